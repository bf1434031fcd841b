//! The rows that decide who has access: credentials, and the tickets revoked before they expired.
//!
//! The layer `auth` decides what a credential may do. Only reading and writing rows belongs here.

pub(in crate::store) mod credentials;
pub(in crate::store) mod revoked_tickets;
