//! The published state of the index: the chunks that exist, and how far queries may read them.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::index::chunk::{memory::MemoryChunk, sealed::SealedChunk};

/// A chunk in memory: one thread fills it and many read it.
pub type SharedChunk = Arc<RwLock<MemoryChunk>>;

/// The sealed chunks, in order of arrival.
pub(super) type SealedChunks = Arc<Vec<Arc<SealedChunk>>>;

/// One published state. A query clones it when it begins and is not affected by later changes.
#[derive(Debug, Clone)]
pub(super) struct IndexState {
    pub(super) sealed: SealedChunks,
    /// Whether a sealed chunk has, or once had, a damaged event whose identifier is unknown.
    pub(super) has_damaged_ids: bool,
    /// The chunks after the sealed ones, in order of arrival. The last one is being filled.
    pub(super) memory: Vec<SharedChunk>,
    /// The seq of the newest published event.
    pub(super) through_seq: i64,
    /// The number of times that events were dropped since the index was created.
    pub(super) drops: u64,
}
