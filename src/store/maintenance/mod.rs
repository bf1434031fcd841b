//! Work that keeps the file in shape: sealing chunks, migrating older formats, rebuilding indexes, deleting expired
//! events.
//!
//! While the server runs, threads here compute and hand small jobs to the writer. Commands of the operator are in
//! `admin`.

pub(in crate::store) mod dictionary;
pub(in crate::store) mod fields;
pub(in crate::store) mod index_job;
pub(in crate::store) mod migrate;
pub(in crate::store) mod move_events;
pub(in crate::store) mod reindex;
pub(in crate::store) mod retention;
pub(in crate::store) mod sealer;
pub(in crate::store) mod sql_index;
