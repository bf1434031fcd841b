//! Writing: one thread with the only writable connection, the queue in front of it, and the jobs that clients cause.
//!
//! Each kind of write is one implementation of [`job::Job`]. Jobs that keep the file in shape are in `maintenance`,
//! which also computes them; nothing here knows them by name.

pub(in crate::store) mod append;
pub(in crate::store) mod batch;
pub(in crate::store) mod credential_change;
pub(in crate::store) mod job;
pub(in crate::store) mod last_used;
pub(in crate::store) mod metrics;
pub(in crate::store) mod notify;
pub(in crate::store) mod preparer;
pub(in crate::store) mod queue;
pub(in crate::store) mod replay;
pub(in crate::store) mod thread;
pub(in crate::store) mod writer;
