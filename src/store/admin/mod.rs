//! Commands of the operator on a file: backup, restore, examination for damage.
//!
//! Each is one call from the command line. The running server uses none of them.

pub(in crate::store) mod backup;
pub(in crate::store) mod doctor;
pub(in crate::store) mod duplicates;
pub(in crate::store) mod offline;
pub(in crate::store) mod replaced;
pub(in crate::store) mod restore;
