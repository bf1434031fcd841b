//! The database file: its connections, its format, its lock, its write-ahead log, and the files next to it.
//!
//! Code about the content of tables does not belong here, but in `event` and `auth`.

pub(in crate::store) mod checkpoint;
pub(in crate::store) mod companions;
pub(in crate::store) mod fault_injection;
pub(in crate::store) mod format;
pub(in crate::store) mod identity;
pub(in crate::store) mod location;
pub(in crate::store) mod lock;
pub(in crate::store) mod open;
pub(in crate::store) mod open_reads;
pub(in crate::store) mod progress;
pub(in crate::store) mod rescue;
pub(in crate::store) mod wal_frames;
pub(in crate::store) mod wal_rewrite;
