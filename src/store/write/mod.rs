//! Writing: one thread with the only writable connection, the queue in front of it, and the jobs that it commits.
//!
//! Jobs that keep the file in shape are computed in `maintenance`, and written here.

pub(in crate::store) mod append;
pub(in crate::store) mod job;
pub(in crate::store) mod metrics;
pub(in crate::store) mod notify;
pub(in crate::store) mod queue;
pub(in crate::store) mod replay;
pub(in crate::store) mod thread;
