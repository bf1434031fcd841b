//! One chunk: in memory while it fills, and sealed into rows of the file when it is full.
//!
//! The SQL of chunk rows is here and nowhere else. Code that spans several chunks belongs to `snapshot`, and code that
//! answers queries to `query`.

mod fill;
pub(in crate::index) mod memory;
pub(in crate::index) mod posting_set;
pub(in crate::index) mod range;
pub(in crate::index) mod rows;
pub(in crate::index) mod seal;
mod seal_words;
pub(in crate::index) mod sealed;
mod sealed_words;
mod word_column;
