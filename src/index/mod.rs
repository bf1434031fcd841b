//! Finding events: from a query to an ordered page of positions, or to a count.
//!
//! The log is divided into chunks of 65,536 consecutive seqs. For each searchable value, a chunk knows the set of its events
//! that have the value. A query is set algebra on these sets, chunk by chunk. Full chunks are sealed: their sets become rows
//! of the file and never change. Newer events are in memory in the same form.
//!
//! What belongs here: chunks, the term dictionary, the state that queries see, and the algorithms of queries. This layer
//! works inside its caller's transactions, on one snapshot. What does not belong here: reading bodies (where a text
//! decides, `texts` asks the caller), writing events, connections, and HTTP.
//!
//! Files import downwards only: `encode`, `chunk`, then `state`, `pace`, `term_cache`, `term_parts`, `term_scan`, `terms`,
//! `spellings`, `texts` and `snapshot`, then `coverage` and `query`.

mod addresses;
mod chunk;
mod coverage;
mod damaged_id;
mod encode;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod identifiers;

mod pace;
mod query;
mod snapshot;
mod spellings;
mod state;
mod term_cache;
mod term_parts;
mod term_scan;
mod terms;
mod texts;

pub use chunk::memory::{Entry, MemoryChunk, term_fields};
pub use chunk::range::ChunkRange;
pub use chunk::rows::{
    delete_chunk, delete_field_rows, delete_orphans, delete_orphans_in, delete_rows, difference, free_generation,
    generation_of, identifier_of, insert_chunk, insert_rows, is_free, sealed_chunks,
};
pub use chunk::seal::{Occurrence, SealedRow, posting_rows, seal};
pub use chunk::sealed::{ChunkSlot, ChunkTable, Generation, SealedChunk};
pub use coverage::PartialField;
pub use encode::hash::value_hash;
pub use error::{IndexError, Result, is_corrupt};
pub use identifiers::IdentifierProbe;

pub use pace::Watch;
pub use query::expired::{Expired, ExpiredGroup, ReceiptRange, Receipts};
pub use query::parallel::ParallelSnapshot;
pub use query::search::{Hits, Reach};
pub use snapshot::{Index, Snapshot, Stage};
pub use state::SharedChunk;
pub use term_cache::{KnownTerms, TermCache};
pub use terms::{TermWriter, UsedTerms, delete_terms, has_term};
pub use texts::{EventTexts, OpenTexts};
