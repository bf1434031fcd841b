//! Queries: a pool of read-only connections, the right to use one, and reading a long list in slices.
//!
//! No connection and no transaction leaves this directory. The search itself is in the layer `index`.

pub(in crate::store) mod actor_names;
pub(in crate::store) mod lease;

pub(in crate::store) mod pager;
pub(in crate::store) mod reader;
pub(in crate::store) mod seats;
pub(in crate::store) mod texts;
