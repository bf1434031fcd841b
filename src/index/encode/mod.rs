//! The encoded forms of index rows: sets of positions, lists of keys, times, filters, numbers.
//!
//! Pure functions on bytes: no SQL, and no knowledge of chunks. The input may be damaged, so every decoder stays within its
//! bounds.

pub(in crate::index) mod bitset;
pub(in crate::index) mod bloom;
pub(in crate::index) mod hash;
pub(in crate::index) mod keys;
pub(in crate::index) mod parts;
pub(in crate::index) mod postings;
pub(in crate::index) mod times;
pub(in crate::index) mod varint;
