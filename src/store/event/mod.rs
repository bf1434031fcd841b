//! The stored form of events: their rows, the blocks of their bodies, the checks on both, and the ranges that were
//! deleted.
//!
//! Functions here read and write rows in the transaction of their caller. Code that starts a thread or opens a
//! connection does not belong here.

pub(in crate::store) mod block;
pub(in crate::store) mod block_replacement;
pub(in crate::store) mod block_rows;
pub(in crate::store) mod checksum;
pub(in crate::store) mod chunks;
pub(in crate::store) mod codec;
pub(in crate::store) mod epoch;
pub(in crate::store) mod fields;
pub(in crate::store) mod prepared;
pub(in crate::store) mod recent_blocks;
pub(in crate::store) mod row;
pub(in crate::store) mod stored;
pub(in crate::store) mod tombstones;
pub(in crate::store) mod zstd_dictionary;
