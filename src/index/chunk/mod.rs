//! One chunk: in memory while it fills, sealed into rows when it is full, and the view that queries have of either.
//!
//! What spans several chunks is in `snapshot` and `query`.

pub(in crate::index) mod memory;
pub(in crate::index) mod rows;
pub(in crate::index) mod seal;
pub(in crate::index) mod sealed;
pub(in crate::index) mod view;
