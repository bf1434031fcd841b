//! Commands of the operator on a file: backup, restore, checks for damage, changes without the server.
//!
//! Each is one call from the command line. Code that the running server uses does not belong here.

pub(in crate::store) mod backup;
pub(in crate::store) mod doctor;
pub(in crate::store) mod duplicates;
pub(in crate::store) mod offline;
pub(in crate::store) mod replaced;
pub(in crate::store) mod restore;
