//! The vocabulary of auditbox: events, fields, filters, queries, cursors, credentials.
//!
//! What belongs here: types that are parsed once, where a value enters, and cannot hold an invalid value; and the rules that
//! follow from values alone. What does not belong here: I/O, HTTP, and SQL. Files import downwards only.

pub mod address;
pub(crate) mod align;
pub mod batch;
mod broken;
pub mod cancel;
pub mod credential;
pub mod cursor;
pub mod custom_fields;
pub mod decimal;
pub mod door;
pub mod duration;
pub mod epoch;
pub mod error;
pub mod event;
pub mod field;
pub mod file_proof;
pub mod filter;
pub mod fold;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod gzip;
pub mod idempotency_key;
pub mod json;
mod json_pointer;
mod json_tree;
pub(crate) mod json_walk;
pub mod limits;
pub mod list_params;
pub mod mapping;
pub mod mask;
pub mod masked_event;
pub mod networks;
pub mod printable;
pub mod query;
pub mod random;
pub mod records;
pub mod resource_type;
pub mod retention;
pub mod route;
pub mod search;
pub mod search_language;
pub mod self_audit;
mod signed;
pub mod stats;
pub mod syslog;
pub mod term_text;
pub mod ticket;
pub mod ticket_id;
pub mod timestamp;
pub mod token;
pub mod toml_reader;
pub mod values;
pub mod verbs;
pub mod words;
pub mod zone;
