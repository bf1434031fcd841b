//! Answering a query on one snapshot: which events match, in which order, and how many.
//!
//! Every result is computed chunk by chunk with set operations. What queries are computed from belongs elsewhere: chunks to
//! `chunk`, the term dictionary to `terms`, and the published state to `snapshot`.

pub(in crate::index) mod candidates;
pub(in crate::index) mod expired;
pub(in crate::index) mod facet;
pub(in crate::index) mod histogram;
pub(in crate::index) mod parallel;
pub(in crate::index) mod resolve;
pub(in crate::index) mod search;
pub(in crate::index) mod stats;
pub(in crate::index) mod view;
