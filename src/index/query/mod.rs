//! Answering a query on one snapshot: which events match, in which order, and how many.
//!
//! Every result is computed chunk by chunk with set operations.

pub(in crate::index) mod expired;
pub(in crate::index) mod histogram;
pub(in crate::index) mod messages;
pub(in crate::index) mod pace;
pub(in crate::index) mod parallel;
pub(in crate::index) mod resolve;
pub(in crate::index) mod search;
pub(in crate::index) mod stats;
