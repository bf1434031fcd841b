//! Finding events: a query in, an ordered page of positions out.
//!
//! This is all that the rest of auditbox knows of how events are found. It works inside the caller's read transaction,
//! on one snapshot, and reads no bodies.

mod identifier;
mod search;
mod stats;

pub use identifier::identifier_hash;
pub use search::{Found, last_seq, search};
pub use stats::stats;
