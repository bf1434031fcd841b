//! Reading records from the text of a file or a request: one JSON object each, in every form in which they are written.
//!
//! The forms are NDJSON, objects one after another (also over several lines), arrays, and *envelopes*: objects that hold
//! the records in an array under one of [`ENVELOPES`], such as a response of `GET /v1/audit-log`. They may be mixed. The
//! text is UTF-8 or UTF-16, with or without a byte order mark.
//!
//! Records are read one by one, so a text may have any size, and each is named by its line. A broken record costs only
//! itself where the next one can be recognized.

mod derived;
mod foreign;
mod lines;
mod reader;
mod scan;
mod submission;
#[cfg(test)]
mod tests;
mod utf8;

pub use derived::{derived_identifier, digest};
pub use foreign::{Foreign, recognize};
pub use lines::Lines;
pub use reader::{Bad, Place, Record, Records};
pub use submission::{IMPORTED, SentRecord};

/// The keys under which an object holds records in an array. `audits` is that of auditbox and of Port, `Records` that of
/// AWS, `items` that of Kubernetes, `value` that of Microsoft's APIs, `records` that of Azure's exports.
pub const ENVELOPES: [&str; 6] = ["audits", "Records", "items", "events", "value", "records"];
