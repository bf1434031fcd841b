//! The index as a whole, and the snapshots of it that queries work on.
//!
//! The writer publishes events here after they are committed. A query takes the published state and SQLite's snapshot in
//! one step, so that both show the same log, and later writes do not affect it: chunks in memory only grow, and the query
//! knows how far it may read them; a chunk that is sealed meanwhile stays in memory for the query. When events are
//! dropped, a new chunk replaces theirs. Rows of the replaced chunk are deleted only after that, so a query that still uses
//! the old chunk also has a snapshot of the file that contains its rows.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::RwLock;
use rusqlite::Connection;

use crate::{
    index::{
        addresses::Addresses,
        chunk::{
            memory::{Entry, MemoryChunk, OrdinalSet},
            range::ChunkRange,
            sealed::{Generation, SealedChunk},
        },
        coverage::Coverage,
        error::Result,
        pace::{PacedConnection, Watch, begin_snapshot},
        spellings::Spellings,
        state::{IndexState, SealedChunks, SharedChunk},
        terms::PredicateCache,
        texts::{EventTexts, TextReader},
    },
    model::{field::Field, filter::TimeRange, timestamp::Timestamp},
};

/// The index. The writer adds to it, and readers take snapshots of it.
#[derive(Debug)]
pub struct Index {
    chunk_events: u32,
    pub(super) state: RwLock<IndexState>,
    /// The sealed chunks again, for threads that must not wait while a query begins.
    pub(super) probed: RwLock<SealedChunks>,
    /// The number and the bytes of full chunks in memory. Kept outside the state for threads that must not wait for a lock.
    unsealed: (AtomicUsize, AtomicUsize),
    pub(super) predicates: PredicateCache,
    pub(super) spellings: Spellings,
    pub(super) addresses: Addresses,
    pub(super) coverage: Coverage,
    texts: Box<dyn EventTexts>,
}

impl Index {
    /// An index with these sealed chunks, in order, and no events in memory. It reads through `texts` what it does not
    /// have of them.
    pub fn new(chunk_events: u32, sealed: Vec<SealedChunk>, texts: Box<dyn EventTexts>) -> Self {
        let next = ChunkRange::new(sealed.last().map_or(0, |chunk| chunk.slot.number + 1), chunk_events);
        let sealed: SealedChunks = Arc::new(sealed.into_iter().map(Arc::new).collect());
        let state = IndexState {
            through_seq: next.before(),
            has_damaged_ids: sealed.iter().any(|chunk| chunk.has_damaged_ids),
            sealed: Arc::clone(&sealed),
            memory: vec![shared(next)],
            drops: 0,
        };
        Self {
            chunk_events,
            state: RwLock::new(state),
            probed: RwLock::new(sealed),
            unsealed: (AtomicUsize::new(0), AtomicUsize::new(0)),
            predicates: PredicateCache::default(),
            spellings: Spellings::default(),
            addresses: Addresses::default(),
            coverage: Coverage::default(),
            texts,
        }
    }

    /// Adds events, which follow the newest published one, and makes them visible to queries. Seqs that are missing between
    /// them belong to dropped events. Returns the chunks that are now full and must be sealed.
    pub fn publish(&self, entries: &[Entry]) -> Vec<SharedChunk> {
        let IndexState { mut memory, through_seq, .. } = self.state();
        let (mut full, mut rest) = (Vec::new(), entries);
        while let (Some(last), false) = (memory.last(), rest.is_empty()) {
            let mut chunk = last.write();
            let last_seq = chunk.range.last();
            let (own, others) = rest.split_at(rest.partition_point(|entry| entry.seq() <= last_seq));
            for entry in own {
                chunk.push(entry);
            }
            let is_full = !others.is_empty() || own.last().is_some_and(|entry| entry.seq() == last_seq);
            // Chunks without any events are skipped.
            let next_seq = others.first().map_or(last_seq + 1, Entry::seq);
            let is_empty = chunk.length() == 0;
            drop(chunk);
            if is_full {
                if is_empty {
                    memory.pop();
                } else {
                    full.push(Arc::clone(last));
                }
                memory.push(shared(ChunkRange::covering(next_seq, self.chunk_events)));
            }
            rest = others;
        }
        if !full.is_empty() {
            self.count_unsealed(&memory);
        }
        let mut state = self.state.write();
        state.memory = memory;
        state.through_seq = entries.last().map_or(through_seq, Entry::seq);
        full
    }

    /// Replaces the oldest chunk in memory with its sealed form, whose rows are committed.
    pub fn sealed(&self, chunk: Arc<SealedChunk>) {
        let mut state = self.state.write();
        state.memory.retain(|memory| memory.read().range.number() != chunk.slot.number);
        state.has_damaged_ids |= chunk.has_damaged_ids;
        Arc::make_mut(&mut state.sealed).push(chunk);
        self.publish_probed(&state.sealed);
        self.count_unsealed(&state.memory);
    }

    /// Replaces a sealed chunk with another of the same number, whose rows are committed; or removes it if no event remains.
    pub fn replace(&self, number: u32, chunk: Option<Arc<SealedChunk>>) {
        let mut state = self.state.write();
        state.drops += 1;
        state.has_damaged_ids |= chunk.as_ref().is_some_and(|chunk| chunk.has_damaged_ids);
        let sealed = Arc::make_mut(&mut state.sealed);
        if let Ok(place) = sealed.binary_search_by_key(&number, |chunk| chunk.slot.number) {
            match chunk {
                Some(chunk) => sealed[place] = chunk,
                None => drop(sealed.remove(place)),
            }
        }
        self.publish_probed(&state.sealed);
    }

    fn publish_probed(&self, sealed: &SealedChunks) {
        *self.probed.write() = Arc::clone(sealed);
    }

    /// Removes events from the chunk that is being filled. Only the thread that publishes may call this.
    pub fn remove_events(&self, is_dropped: impl Fn(i64) -> bool) {
        let Some(filled) = self.state().memory.pop() else {
            return;
        };
        let left = filled.read().without(is_dropped);
        let mut state = self.state.write();
        state.drops += 1;
        state.memory.pop();
        state.memory.push(Arc::new(RwLock::new(left)));
    }

    /// The number of the chunk that is being filled.
    pub fn filled(&self) -> Option<u32> {
        let state = self.state();
        state.memory.last().map(|chunk| chunk.read().number())
    }

    /// The number of the newest sealed chunk.
    pub fn sealed_through(&self) -> Option<u32> {
        self.state().sealed.last().map(|chunk| chunk.slot.number)
    }

    /// Removes from `ordinals` the terms of events in memory.
    pub fn retain_unused(&self, field: Field, ordinals: &mut Vec<u32>) {
        for chunk in self.state().memory {
            let chunk = chunk.read();
            let used = OrdinalSet::new(&chunk.terms(field).ordinals);
            ordinals.retain(|ordinal| !used.holds(*ordinal));
        }
    }

    /// The number of seqs that each chunk covers.
    pub fn chunk_events(&self) -> u32 {
        self.chunk_events
    }

    /// The seq of the newest published event.
    pub fn through_seq(&self) -> i64 {
        self.state.read().through_seq
    }

    /// The number of events in the log.
    pub fn events(&self) -> u64 {
        let IndexState { sealed, memory, .. } = self.state();
        let in_memory = |chunk: &SharedChunk| chunk.read().length();
        let lengths = sealed.iter().map(|chunk| chunk.length).chain(memory.iter().map(in_memory));
        lengths.map(u64::from).sum()
    }

    /// The number of full chunks in memory that wait to be sealed, and the bytes that they hold.
    pub fn unsealed(&self) -> (usize, usize) {
        let (chunks, bytes) = &self.unsealed;
        (chunks.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed))
    }

    fn count_unsealed(&self, memory: &[SharedChunk]) {
        // The last chunk is still being filled.
        let full = memory.split_last().map_or(&[][..], |(_, full)| full);
        let held = full.iter().map(|chunk| chunk.read().bytes()).sum();
        let (chunks, bytes) = &self.unsealed;
        chunks.store(full.len(), Ordering::Relaxed);
        bytes.store(held, Ordering::Relaxed);
    }

    /// Takes a snapshot of the published state and of the file. The connection must be in a transaction.
    pub fn snapshot<'c>(&'c self, connection: &'c Connection) -> Result<Snapshot<'c>> {
        self.begin(connection, None)
    }

    /// Takes a snapshot for a bounded query. A long query exchanges the connection's transaction for a new one.
    pub fn watched<'c>(&'c self, connection: &'c Connection, watch: Watch<'c>) -> Result<Snapshot<'c>> {
        let snapshot = self.begin(connection, Some(watch))?;
        (watch.begun)(connection)?;
        Ok(snapshot)
    }

    fn begin<'c>(&'c self, connection: &'c Connection, watch: Option<Watch<'c>>) -> Result<Snapshot<'c>> {
        let state = self.state.read();
        begin_snapshot(connection)?;
        Ok(Snapshot::new(connection, self, state.clone(), watch))
    }

    fn state(&self) -> IndexState {
        self.state.read().clone()
    }
}

fn shared(range: ChunkRange) -> SharedChunk {
    Arc::new(RwLock::new(MemoryChunk::covering(range)))
}

/// One state of the log, and a connection that reads its rows.
pub struct Snapshot<'c> {
    pub(super) paced: PacedConnection<'c>,
    pub(super) index: &'c Index,
    pub(super) state: IndexState,
}

impl<'c> Snapshot<'c> {
    /// A snapshot on a connection whose own snapshot has begun.
    pub(super) fn new(
        connection: &'c Connection,
        index: &'c Index,
        state: IndexState,
        watch: Option<Watch<'c>>,
    ) -> Self {
        Self { paced: PacedConnection::new(connection, &index.state, state.drops, watch), index, state }
    }
}

/// Where a chunk is on its way into the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The chunk is in memory and still takes events.
    Filling,
    /// The chunk is full, in memory, and waits to be sealed.
    Waiting,
    /// The chunk's rows are in the file, in this generation.
    Sealed(Generation),
}

/// A chunk of a snapshot, and the ranges that it spans.
pub(super) struct Chunk<'s> {
    pub(super) number: u32,
    pub(super) stage: Stage,
    pub(super) source: ChunkSource<'s>,
    /// A range of event times that includes all of the chunk's events.
    pub(super) extent: (Timestamp, Timestamp),
    /// The first seq that an event of the chunk may have.
    pub(super) first_seq: i64,
    /// The last seq that an event of the chunk may have.
    pub(super) last_seq: i64,
    /// The number of the chunk's events that this snapshot sees.
    pub(super) length: u32,
}

/// Where the sets of a chunk are read from.
#[derive(Clone, Copy)]
pub(super) enum ChunkSource<'s> {
    Sealed(&'s SealedChunk),
    Memory(&'s SharedChunk),
}

impl Chunk<'_> {
    /// Whether any of the chunk's events may be in a range of time.
    pub(super) fn overlaps(&self, range: &TimeRange) -> bool {
        range.from.is_none_or(|from| from <= self.extent.1) && range.to.is_none_or(|to| to >= self.extent.0)
    }
}

impl Snapshot<'_> {
    /// The seq of the newest event in this state.
    pub fn through_seq(&self) -> i64 {
        self.state.through_seq
    }

    /// Call this between two pieces of a query's work: see [`PacedConnection::step`].
    pub(super) fn step(&self) -> Result<()> {
        self.paced.step()
    }

    /// A reader of events for one query.
    pub(super) fn text_reader(&self) -> TextReader<'_> {
        TextReader::new(&*self.index.texts, self.paced.connection)
    }

    /// Every chunk that has events, in order of arrival, or in the opposite order.
    pub(super) fn chunks_by_arrival(&self, newest_first: bool) -> Vec<Chunk<'_>> {
        let sealed = self.state.sealed.iter().map(|chunk| Chunk {
            number: chunk.slot.number,
            stage: Stage::Sealed(chunk.slot.generation),
            source: ChunkSource::Sealed(chunk),
            extent: (chunk.first, chunk.last),
            first_seq: chunk.range.first(),
            last_seq: chunk.range.last(),
            length: chunk.length,
        });
        let waiting = self.state.memory.len().saturating_sub(1);
        let memory = self.state.memory.iter().enumerate().filter_map(|(place, memory)| {
            self.chunk_in_memory(memory, if place < waiting { Stage::Waiting } else { Stage::Filling })
        });
        let mut chunks: Vec<_> = sealed.chain(memory).collect();
        if newest_first {
            chunks.reverse();
        }
        chunks
    }

    /// Every chunk that may have events in a range of time: ordered by its newest event, newest first, or by its oldest
    /// event, oldest first.
    pub(super) fn chunks_by_time(&self, range: &TimeRange, newest_first: bool) -> Vec<Chunk<'_>> {
        let mut chunks = self.chunks_by_arrival(newest_first);
        chunks.retain(|chunk| chunk.overlaps(range));
        if newest_first {
            chunks.sort_by_key(|chunk| std::cmp::Reverse(chunk.extent.1));
        } else {
            chunks.sort_by_key(|chunk| chunk.extent.0);
        }
        chunks
    }

    /// The part of a chunk in memory that this snapshot sees; `None` if it sees no event of the chunk.
    fn chunk_in_memory<'s>(&self, memory: &'s SharedChunk, stage: Stage) -> Option<Chunk<'s>> {
        let chunk = memory.read();
        let length = u32::try_from(chunk.length_through(self.state.through_seq)).ok().filter(|length| *length > 0)?;
        // Events that were added since may widen the extent, which costs time but does not change results.
        let (extent, range) = (chunk.extent?, chunk.range);
        let last_seq = self.state.through_seq.min(range.last());
        let source = ChunkSource::Memory(memory);
        Some(Chunk { number: range.number(), stage, source, extent, first_seq: range.first(), last_seq, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::texts::tests::Unread;

    #[test]
    fn unsealed_chunks_are_counted_with_their_bytes() {
        const EVENTS: u32 = 64;
        let index = Index::new(EVENTS, Vec::new(), Box::new(Unread));
        // The longest keys that an event may have, and the maximum number of words of a message.
        let entry = |number: usize| {
            let terms = (0..256).map(|word| (Field::Word, word)).collect();
            let keys = [(Field::Identifier, 256), (Field::Run, 1_024), (Field::WebhookEvent, 1_024)];
            let keys = keys.map(|(field, bytes)| (field, format!("{number:0bytes$}")));
            Entry::new(i64::try_from(number).unwrap() + 1, Timestamp::from_micros(0), terms, keys.into())
        };
        let entries: Vec<_> = (0..EVENTS as usize).map(entry).collect();
        assert_eq!(index.unsealed(), (0, 0));
        let (newest, others) = entries.split_last().unwrap();
        assert!(index.publish(others).is_empty());
        assert_eq!(index.unsealed(), (0, 0), "the chunk that is being filled does not wait to be sealed");
        let full = index.publish(std::slice::from_ref(newest));
        let (chunks, bytes) = index.unsealed();
        assert_eq!((chunks, full.len()), (1, 1));
        let least = EVENTS as usize * (256 + 1_024 + 1_024 + 256 * 6);
        assert!((least..3 * least).contains(&bytes), "{bytes} of {least}");
    }
}
