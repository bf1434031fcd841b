//! Finding events: a question in, an ordered page of positions or a count out.
//!
//! The log is cut into chunks of 65,536 consecutive events. For each value that events can be found by, a chunk knows the
//! set of its events that have it; a question is set algebra, chunk by chunk. Full chunks are sealed: their sets are rows
//! of the file, and never change. What has come since is in memory in the same form.
//!
//! This layer works inside its caller's transactions, on one snapshot. It reads no bodies: where the words of a long message
//! decide, it asks its caller (`messages`).

mod chunk;
mod damaged_id;
mod encode;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod identifiers;
mod query;
mod snapshot;
mod terms;

pub use chunk::memory::{Entry, MemoryChunk};
pub use chunk::rows::{
    delete_chunk, delete_rows, delete_strays, delete_strays_at, difference, free_side, identifier_of, insert_chunk,
    insert_rows, is_free, sealed_chunks, side_of,
};
pub use chunk::seal::{SealedRow, seal};
pub use chunk::sealed::{ChunkSlot, ChunkTable, Generation, SealedChunk};
pub use encode::hash::value_hash;
pub use error::{IndexError, Result, is_corrupt};
pub use identifiers::IdentifierProbe;
pub use query::expired::{Expired, ExpiredGroup, ReceiptRange, Receipts};
pub use query::messages::Messages;
pub use query::pace::Watch;
pub use query::parallel::ParallelSnapshot;
pub use query::search::{Hits, Reach};
pub use snapshot::{Index, SharedChunk, Snapshot, Stage};
pub use terms::{TermWriter, UsedTerms, delete_terms, has_term};
