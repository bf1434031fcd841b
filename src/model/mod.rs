//! The vocabulary of auditbox: events, fields, filters, cursors, credentials.
//!
//! Everything here is parsed once, on the way in, into a type that cannot hold a bad value. This layer does no I/O and
//! knows neither HTTP nor SQL.

pub mod batch;
pub mod cancel;
pub mod credential;
pub mod cursor;
pub mod duration;
pub mod epoch;
pub mod error;
pub mod event;
pub mod field;
pub mod filter;
pub mod fold;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod json;
pub mod limits;
pub mod list_params;
pub mod mask;
pub mod masked_event;
pub mod printable;
pub mod query;
pub mod random;
pub mod resource_type;
pub mod retention;
pub mod search;
pub mod self_audit;
mod signed;
pub mod stats;
pub mod ticket;
pub mod ticket_id;
pub mod timestamp;
pub mod token;
pub mod values;
pub mod zone;
