//! The index as a whole: sealed chunks in the file, newer ones in memory, and what a question sees of both.
//!
//! The writer publishes events here after their commit. A question takes hold of what is published and of SQLite's
//! snapshot in one step, so that it sees one state of the log, and works on that whatever is written meanwhile: chunks in
//! memory only grow, and it knows how far to look; a chunk that is sealed meanwhile is still in memory for it. Where events
//! are dropped, another chunk takes the place of theirs; rows of the former are taken out of the file only after that, so
//! that whoever holds it has a snapshot in which they stand.

use std::{
    cell::Cell,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use parking_lot::RwLock;

use rusqlite::Connection;

use crate::{
    index::{
        chunk::{
            memory::{Entry, MemoryChunk, OrdinalSet},
            sealed::{Generation, SealedChunk},
            view::View,
        },
        error::Result,
        query::{
            messages::{MessageReader, Messages},
            pace::Watch,
            parallel::ParallelSnapshot,
            resolve::{Resolved, terms_of},
        },
        terms::{Ordinals, PredicateCache},
    },
    model::{
        field::Field,
        filter::{Clause, Filter, TimeRange},
        timestamp::Timestamp,
    },
};

/// A chunk in memory, which one thread fills and many read.
pub type SharedChunk = Arc<RwLock<MemoryChunk>>;

/// The sealed chunks, in order of arrival.
pub(super) type SealedChunks = Arc<Vec<Arc<SealedChunk>>>;

/// The index. Shared by the writer, which adds to it, and the readers.
#[derive(Debug)]
pub struct Index {
    chunk_events: u32,
    pub(super) state: RwLock<IndexState>,
    /// The sealed chunks once more, for threads that must not wait while a question begins.
    pub(super) glanced: RwLock<SealedChunks>,
    /// Full chunks in memory, and the bytes that they hold: beside the state, for threads that must wait for no lock.
    unsealed: (AtomicUsize, AtomicUsize),
    pub(super) tests: PredicateCache,
    messages: Box<dyn Messages>,
}

#[derive(Debug, Clone)]
pub(super) struct IndexState {
    pub(super) sealed: SealedChunks,
    /// Whether one of them has, or has had, an event of whose identifier only a part of the hash is left.
    pub(super) has_lost: bool,
    /// After them, in order of arrival; the last is being filled.
    pub(super) memory: Vec<SharedChunk>,
    /// The newest event that is published.
    pub(super) through_seq: i64,
    /// How often events were dropped since the index was made.
    pub(super) drops: u64,
}

impl Index {
    /// An index with these sealed chunks, in order, and nothing in memory yet. Messages that it does not have whole are read
    /// through `messages`.
    pub fn new(chunk_events: u32, sealed: Vec<SealedChunk>, messages: Box<dyn Messages>) -> Self {
        let next = sealed.last().map_or(0, |chunk| chunk.home.number + 1);
        let sealed: SealedChunks = Arc::new(sealed.into_iter().map(Arc::new).collect());
        let state = IndexState {
            through_seq: i64::from(next) * i64::from(chunk_events),
            has_lost: sealed.iter().any(|chunk| chunk.has_lost),
            sealed: Arc::clone(&sealed),
            memory: vec![shared(next, chunk_events)],
            drops: 0,
        };
        Self {
            chunk_events,
            state: RwLock::new(state),
            glanced: RwLock::new(sealed),
            unsealed: (AtomicUsize::new(0), AtomicUsize::new(0)),
            tests: PredicateCache::default(),
            messages,
        }
    }

    /// Adds events, which follow the newest that is published, and lets questions see them; those that are left out between
    /// them are dropped. Returns the chunks that this has filled: they are to be sealed.
    pub fn publish(&self, entries: &[Entry]) -> Vec<SharedChunk> {
        let IndexState { mut memory, through_seq, .. } = self.state();
        let (mut full, mut rest) = (Vec::new(), entries);
        while let (Some(last), false) = (memory.last(), rest.is_empty()) {
            let mut chunk = last.write();
            let last_seq = chunk.seq_before + i64::from(self.chunk_events);
            let (own, others) = rest.split_at(rest.partition_point(|entry| entry.seq() <= last_seq));
            for entry in own {
                chunk.push(entry);
            }
            let is_full = !others.is_empty() || own.last().is_some_and(|entry| entry.seq() == last_seq);
            // Chunks that nothing is left of are passed over.
            let next = others.first().map_or(last_seq, |entry| entry.seq() - 1) / i64::from(self.chunk_events);
            let is_empty = chunk.length() == 0;
            drop(chunk);
            if is_full {
                if is_empty {
                    memory.pop();
                } else {
                    full.push(Arc::clone(last));
                }
                memory.push(shared(u32::try_from(next).unwrap_or(u32::MAX), self.chunk_events));
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

    /// Puts a sealed chunk, whose rows are committed, in the place of the oldest in memory.
    pub fn sealed(&self, chunk: Arc<SealedChunk>) {
        let mut state = self.state.write();
        state.memory.retain(|memory| memory.read().number != chunk.home.number);
        state.has_lost |= chunk.has_lost;
        Arc::make_mut(&mut state.sealed).push(chunk);
        self.show(&state.sealed);
        self.count_unsealed(&state.memory);
    }

    /// Puts a chunk that was sealed anew, whose rows are committed, in the place of the one of the same number; with none,
    /// lets go of that.
    pub fn replace(&self, number: u32, chunk: Option<Arc<SealedChunk>>) {
        let mut state = self.state.write();
        state.drops += 1;
        state.has_lost |= chunk.as_ref().is_some_and(|chunk| chunk.has_lost);
        let sealed = Arc::make_mut(&mut state.sealed);
        if let Ok(place) = sealed.binary_search_by_key(&number, |chunk| chunk.home.number) {
            match chunk {
                Some(chunk) => sealed[place] = chunk,
                None => drop(sealed.remove(place)),
            }
        }
        self.show(&state.sealed);
    }

    fn show(&self, sealed: &SealedChunks) {
        *self.glanced.write() = Arc::clone(sealed);
    }

    /// Takes events, told by their seqs, out of the chunk that is being filled. Only for who publishes.
    pub fn take_out(&self, is_dropped: impl Fn(i64) -> bool) {
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
        state.memory.last().map(|chunk| chunk.read().number)
    }

    /// The number of the newest chunk that is sealed.
    pub fn sealed_through(&self) -> Option<u32> {
        self.state().sealed.last().map(|chunk| chunk.home.number)
    }

    /// Takes from these terms those that events in memory have.
    pub fn retain_unused(&self, field: Field, ordinals: &mut Vec<u32>) {
        for chunk in self.state().memory {
            let chunk = chunk.read();
            let used = OrdinalSet::new(&chunk.terms(field).ordinals);
            ordinals.retain(|ordinal| !used.holds(*ordinal));
        }
    }

    /// How many events a chunk spans.
    pub fn chunk_events(&self) -> u32 {
        self.chunk_events
    }

    /// The newest event that is published.
    pub fn through_seq(&self) -> i64 {
        self.state.read().through_seq
    }

    /// How many events the log has.
    pub fn events(&self) -> u64 {
        let IndexState { sealed, memory, .. } = self.state();
        let in_memory = |chunk: &SharedChunk| chunk.read().length();
        let lengths = sealed.iter().map(|chunk| chunk.length).chain(memory.iter().map(in_memory));
        lengths.map(u64::from).sum()
    }

    /// Full chunks in memory that wait to be sealed, and the bytes of memory that they hold.
    pub fn unsealed(&self) -> (usize, usize) {
        let (chunks, bytes) = &self.unsealed;
        (chunks.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed))
    }

    fn count_unsealed(&self, memory: &[SharedChunk]) {
        // The last is being filled, and is nobody's to wait for.
        let full = memory.split_last().map_or(&[][..], |(_, full)| full);
        let held = full.iter().map(|chunk| chunk.read().bytes()).sum();
        let (chunks, bytes) = &self.unsealed;
        chunks.store(full.len(), Ordering::Relaxed);
        bytes.store(held, Ordering::Relaxed);
    }

    /// What is published, together with the connection's snapshot. The connection must be in a transaction.
    pub fn snapshot<'c>(&'c self, connection: &'c Connection) -> Result<Snapshot<'c>> {
        let state = self.state.read();
        begin(connection)?;
        Ok(Snapshot::new(connection, self, state.clone(), None))
    }

    /// A snapshot for a query that is bounded. Where the query takes long, the connection's transaction is exchanged for a
    /// new one.
    pub fn watched<'c>(&'c self, connection: &'c Connection, watch: Watch<'c>) -> Result<Snapshot<'c>> {
        let snapshot = Snapshot { watch: Some(watch), ..self.snapshot(connection)? };
        (watch.begun)(connection)?;
        Ok(snapshot)
    }

    /// A snapshot on two connections, of which another thread may take the second one: both see one state of the log.
    pub fn watched_by_two<'c, C: Deref<Target = Connection>>(
        &'c self,
        connection: &'c Connection,
        second: Option<C>,
        watch: Watch<'c>,
    ) -> Result<(Snapshot<'c>, Option<ParallelSnapshot<'c, C>>)> {
        let state = self.state.read();
        begin(connection)?;
        let second = second.map(|second| ParallelSnapshot::begin(second, state.clone(), watch)).transpose()?;
        let snapshot = Snapshot::new(connection, self, state.clone(), Some(watch));
        drop(state);
        (watch.begun)(connection)?;
        Ok((snapshot, second))
    }

    fn state(&self) -> IndexState {
        self.state.read().clone()
    }
}

/// Begins SQLite's snapshot, which the first statement that reads does. To be called while nothing can be published, so that
/// the snapshot has all that is.
pub(super) fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM chunk)")?.query_row([], |_| Ok(()))
}

fn shared(number: u32, chunk_events: u32) -> SharedChunk {
    Arc::new(RwLock::new(MemoryChunk::new(number, chunk_events)))
}

/// One state of the log.
pub struct Snapshot<'c> {
    pub(super) connection: &'c Connection,
    pub(super) index: &'c Index,
    pub(super) state: IndexState,
    /// What bounds the query; none for the server's own work.
    pub(super) watch: Option<Watch<'c>>,
    /// When the connection's present transaction began.
    pub(super) begun: Cell<Instant>,
}

impl<'c> Snapshot<'c> {
    /// Of a connection whose transaction has begun.
    pub(super) fn new(
        connection: &'c Connection,
        index: &'c Index,
        state: IndexState,
        watch: Option<Watch<'c>>,
    ) -> Self {
        Self { connection, index, state, watch, begun: Cell::new(Instant::now()) }
    }
}

/// What becomes of a chunk's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is in memory, and more come.
    Filling,
    /// It is in memory, full, and will be sealed.
    Waiting,
    /// Its rows stand on this side.
    Sealed(Generation),
}

/// A chunk of a snapshot: where it is, and what it spans.
pub(super) struct Chunk<'s> {
    pub(super) number: u32,
    pub(super) stage: Stage,
    place: PlaceOf<'s>,
    /// The earliest and the latest time, or further.
    pub(super) extent: (Timestamp, Timestamp),
    /// The first and the last seq that an event of it may have.
    pub(super) first_seq: i64,
    pub(super) last_seq: i64,
    /// How many events this snapshot sees of it.
    pub(super) length: u32,
}

#[derive(Clone, Copy)]
enum PlaceOf<'s> {
    Sealed(&'s SealedChunk),
    Memory(&'s SharedChunk),
}

impl Chunk<'_> {
    /// Whether any of its events may be within a range.
    pub(super) fn overlaps(&self, range: &TimeRange) -> bool {
        range.from.is_none_or(|from| from <= self.extent.1) && range.to.is_none_or(|to| to >= self.extent.0)
    }
}

impl Snapshot<'_> {
    /// The newest event of this state.
    pub fn through_seq(&self) -> i64 {
        self.state.through_seq
    }

    /// The terms that pass a clause's predicates, whatever its sign.
    pub(super) fn terms_of(&self, clause: &Clause) -> Result<Ordinals> {
        terms_of(self, clause)
    }

    pub(super) fn resolve(&self, filter: &Filter) -> Result<Resolved> {
        Resolved::new(self, filter)
    }

    /// Reads messages for one query.
    pub(super) fn message_reader(&self) -> MessageReader<'_> {
        MessageReader::new(&*self.index.messages, self.connection)
    }

    pub(super) fn view<'s>(&'s self, chunk: &Chunk<'s>) -> View<'s> {
        match chunk.place {
            PlaceOf::Sealed(sealed) => View::sealed(sealed, self),
            PlaceOf::Memory(memory) => View::memory(memory, chunk.length, self),
        }
    }

    /// Every chunk that has events, in order of arrival or from its end.
    pub(super) fn chunks_by_arrival(&self, newest_first: bool) -> Vec<Chunk<'_>> {
        let sealed = self.state.sealed.iter().map(|chunk| Chunk {
            number: chunk.home.number,
            stage: Stage::Sealed(chunk.home.side),
            place: PlaceOf::Sealed(chunk),
            extent: (chunk.first, chunk.last),
            first_seq: chunk.seq_before + 1,
            last_seq: chunk.seq_before + i64::from(self.index.chunk_events),
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

    /// Every chunk that may have events within a range, by its newest event, newest first, or by its oldest, oldest first.
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

    /// A chunk in memory, as far as this snapshot sees it; `None` if it sees nothing of it.
    fn chunk_in_memory<'s>(&self, memory: &'s SharedChunk, stage: Stage) -> Option<Chunk<'s>> {
        let chunk = memory.read();
        let length = u32::try_from(chunk.length_through(self.state.through_seq)).ok().filter(|length| *length > 0)?;
        // What came since may reach further, which makes no answer wrong.
        let (extent, first_seq) = (chunk.extent?, chunk.seq_before + 1);
        let last_seq = self.state.through_seq.min(chunk.seq_before + i64::from(self.index.chunk_events));
        Some(Chunk { number: chunk.number, stage, place: PlaceOf::Memory(memory), extent, first_seq, last_seq, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::query::messages::tests::Unread;

    #[test]
    fn what_waits_to_be_sealed_is_counted_in_bytes_too() {
        const EVENTS: u32 = 64;
        let index = Index::new(EVENTS, Vec::new(), Box::new(Unread));
        // The longest keys that an event may have, and as many words as its message is taken apart into.
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
        assert_eq!(index.unsealed(), (0, 0), "what is being filled waits for nobody");
        let full = index.publish(std::slice::from_ref(newest));
        let (chunks, bytes) = index.unsealed();
        assert_eq!((chunks, full.len()), (1, 1));
        let least = EVENTS as usize * (256 + 1_024 + 1_024 + 256 * 6);
        assert!((least..3 * least).contains(&bytes), "{bytes} of {least}");
    }
}
