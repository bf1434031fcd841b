//! Finding events: a question in, an ordered page of positions or a count out.
//!
//! The log is cut into chunks of 65,536 consecutive events. For each value that events can be found by, a chunk knows the
//! set of its events that have it; a question is set algebra, chunk by chunk. Full chunks are sealed: their sets are rows
//! of the file, and never change. What has come since is in memory in the same form.
//!
//! This layer works inside its caller's transactions, on one snapshot. It reads no bodies: where the words of a long message
//! decide, it asks its caller (`messages`).

mod bits;
mod bytes;
mod divide;
mod error;
mod expired;
mod hash;
mod histogram;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod identifier;
mod keys;
mod lost;
mod membership;
mod memory;
mod messages;
mod pace;
mod posting;
mod resolve;
mod rows;
mod seal;
mod sealed;
mod search;
mod snapshot;
mod stats;
mod terms;
mod times;
mod view;

pub use divide::Second;
pub use error::{IndexError, Result, is_corrupt};
pub use expired::{Expired, Group, ReceiptRange, Receipts};
pub use hash::value_hash;
pub use identifier::Glance;
pub use memory::{Entry, MemoryChunk};
pub use messages::Messages;
pub use pace::Watch;
pub use rows::{
    delete_chunk, delete_rows, delete_strays, delete_strays_at, difference, free_side, identifier_of, insert_chunk,
    insert_rows, is_free, sealed_chunks, side_of,
};
pub use seal::{SealedRow, seal};
pub use sealed::{Home, SealedChunk, Side, Table};
pub use search::{Found, Reach};
pub use snapshot::{Index, SharedChunk, Snapshot, Stage};
pub use terms::{TermWriter, UsedTerms, delete_terms, has_term};
