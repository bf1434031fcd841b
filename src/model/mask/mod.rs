//! Masking: replaces the values of secrets that senders include by mistake, before an event is stored or indexed.
//!
//! A value is a secret if its key ends with the name of a secret. `password` covers `dbPassword`, `DB_PASSWORD` and
//! `db-password`, but not `passwordChangedAt` or `secretName`: in a compound, the last word says what the thing is. Matching
//! words anywhere in a key would remove `tokenCount` and `secretName`, which an audit log is for. Matching whole keys would
//! miss `githubToken`. Case and separators are ignored.
//!
//! Some values stay although their key is such a name: those of keys on the list of exceptions (`[mask] keep`), and values that
//! identify themselves as digests (`digest`), because people trace a leaked token by them. What changed is recorded before the
//! values are replaced (`changed`, `known`), unless the sender has hidden the values itself (`redaction`).
//!
//! `scan` looks once through the text for strings that may be such keys. Only if it finds one does `walk` determine their
//! meaning and replace values. Nothing is parsed into a tree, and every byte outside a secret stays unchanged. `same`
//! compares events whose secrets are replaced.
//!
//! What belongs here: which values are secrets, and how they are replaced. Reading events belongs to `event`.

mod changed;
mod digest;
mod known;
mod names;
mod redaction;
mod same;
mod scan;
#[cfg(test)]
mod tests;
mod url;
mod walk;

pub use changed::MaskedDiff;
pub use names::{KEEP, MASKED, Mask, NAMES};
pub use redaction::is_evident as is_redaction;
pub(crate) use same::{MaskedTree, same_but_for_masks};
pub use url::without_parameter;
pub(crate) use walk::DEPTH_MAX as MASK_DEPTH_MAX;
pub use walk::Masked;
