//! The rows that decide who has access: credentials, and the tickets revoked before they expired.
//!
//! What a credential may do is decided above, in `auth`.

pub(in crate::store) mod credentials;
pub(in crate::store) mod revoked_tickets;
