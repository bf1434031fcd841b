//! The index as a whole: sealed chunks in the file, newer ones in memory, and what a question sees of both.
//!
//! The writer publishes events here after their commit. A question takes hold of what is published and of SQLite's
//! snapshot in one step, so that it sees one state of the log, and works on that whatever is written meanwhile: chunks in
//! memory only grow, and it knows how far to look; a chunk that is sealed meanwhile is still in memory for it.

use std::{
    ops::Deref,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use rusqlite::Connection;

use crate::{
    index::{
        Result,
        bits::Bits,
        divide::Second,
        hash::value_hash,
        lost,
        memory::{Entry, MemoryChunk},
        resolve::Resolved,
        sealed::{Reading, SealedChunk},
        terms::Tests,
        view::View,
    },
    model::{
        field::Field,
        filter::{Filter, TimeRange},
        timestamp::Timestamp,
    },
};

/// A chunk in memory, which one thread fills and many read.
pub type SharedChunk = Arc<RwLock<MemoryChunk>>;

/// The index. Shared by the writer, which adds to it, and the readers.
#[derive(Debug)]
pub struct Index {
    chunk_events: u32,
    state: RwLock<State>,
    /// Full chunks in memory, and the bytes that they hold: beside the state, for threads that must wait for no lock.
    unsealed: (AtomicUsize, AtomicUsize),
    tests: Tests,
}

#[derive(Debug, Clone)]
pub(super) struct State {
    /// In order of arrival.
    sealed: Arc<Vec<Arc<SealedChunk>>>,
    /// After them, in order of arrival; the last is being filled.
    memory: Vec<SharedChunk>,
    /// The newest event that is published.
    through_seq: i64,
}

impl Index {
    /// An index with these sealed chunks, in order, and nothing in memory yet.
    pub fn new(chunk_events: u32, sealed: Vec<SealedChunk>) -> Self {
        let next = sealed.last().map_or(0, |chunk| chunk.number + 1);
        let state = State {
            through_seq: i64::from(next) * i64::from(chunk_events),
            sealed: Arc::new(sealed.into_iter().map(Arc::new).collect()),
            memory: vec![shared(next)],
        };
        Self {
            chunk_events,
            state: RwLock::new(state),
            unsealed: (AtomicUsize::new(0), AtomicUsize::new(0)),
            tests: Tests::default(),
        }
    }

    /// Adds events, which follow the newest that is published, and lets questions see them. Returns the chunks that this
    /// has filled: they are to be sealed.
    pub fn publish(&self, entries: &[Entry]) -> Vec<SharedChunk> {
        let State { mut memory, through_seq, .. } = self.state();
        let (mut full, mut rest) = (Vec::new(), entries);
        while let (Some(last), false) = (memory.last(), rest.is_empty()) {
            let mut chunk = last.write().unwrap_or_else(PoisonError::into_inner);
            let room = self.chunk_events.saturating_sub(chunk.length()) as usize;
            let (own, others) = rest.split_at(room.min(rest.len()));
            for entry in own {
                chunk.push(entry);
            }
            let is_full = chunk.length() >= self.chunk_events;
            let next = chunk.number + 1;
            drop(chunk);
            if is_full {
                full.push(Arc::clone(last));
                memory.push(shared(next));
            }
            rest = others;
        }
        if !full.is_empty() {
            self.count_unsealed(&memory);
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.memory = memory;
        state.through_seq = through_seq + i64::try_from(entries.len()).unwrap_or(0);
        full
    }

    /// Puts a sealed chunk, whose rows are committed, in the place of the oldest in memory.
    pub fn sealed(&self, chunk: Arc<SealedChunk>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.memory.retain(|memory| memory.read().unwrap_or_else(PoisonError::into_inner).number != chunk.number);
        Arc::make_mut(&mut state.sealed).push(chunk);
        self.count_unsealed(&state.memory);
    }

    /// The newest event that is published.
    pub fn through_seq(&self) -> i64 {
        self.state.read().unwrap_or_else(PoisonError::into_inner).through_seq
    }

    /// Full chunks in memory that wait to be sealed, and the bytes of memory that they hold.
    pub fn unsealed(&self) -> (usize, usize) {
        let (chunks, bytes) = &self.unsealed;
        (chunks.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed))
    }

    fn count_unsealed(&self, memory: &[SharedChunk]) {
        // The last is being filled, and is nobody's to wait for.
        let full = memory.split_last().map_or(&[][..], |(_, full)| full);
        let held = full.iter().map(|chunk| chunk.read().unwrap_or_else(PoisonError::into_inner).bytes()).sum();
        let (chunks, bytes) = &self.unsealed;
        chunks.store(full.len(), Ordering::Relaxed);
        bytes.store(held, Ordering::Relaxed);
    }

    /// What is published, together with the connection's snapshot. The connection must be in a transaction.
    pub fn snapshot<'c>(&'c self, connection: &'c Connection) -> Result<Snapshot<'c>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        begin(connection)?;
        Ok(Snapshot { connection, index: self, state: state.clone() })
    }

    /// The same on two connections, of which another thread may take the second one: both see one state of the log.
    pub fn snapshot_for_two<'c, C: Deref<Target = Connection>>(
        &'c self,
        connection: &'c Connection,
        second: Option<C>,
    ) -> Result<(Snapshot<'c>, Option<Second<C>>)> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        begin(connection)?;
        let second = second.map(|second| Second::begin(second, state.clone())).transpose()?;
        Ok((Snapshot { connection, index: self, state: state.clone() }, second))
    }

    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Begins SQLite's snapshot, which the first statement that reads does. To be called while nothing can be published, so that
/// the snapshot has all that is.
pub(super) fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM chunk)")?.query_row([], |_| Ok(()))
}

fn shared(number: u32) -> SharedChunk {
    Arc::new(RwLock::new(MemoryChunk::new(number)))
}

/// One state of the log.
pub struct Snapshot<'c> {
    pub(super) connection: &'c Connection,
    pub(super) index: &'c Index,
    pub(super) state: State,
}

/// A chunk of a snapshot: where it is, and what it spans.
pub(super) struct Chunk<'s> {
    place: PlaceOf<'s>,
    pub(super) number: u32,
    /// The earliest and the latest time, or further.
    pub(super) extent: (Timestamp, Timestamp),
    pub(super) first_seq: i64,
    pub(super) last_seq: i64,
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

    /// The seq of the event with this identifier, if there is one: of a damaged one too, of which only a part of the
    /// identifier's hash is left.
    pub fn find_identifier(&self, identifier: &str) -> Result<Option<i64>> {
        let hash = value_hash(identifier);
        if let Some(seq) = self.find_key(identifier, hash, false)? {
            return Ok(Some(seq));
        }
        let in_memory = |chunk: &SharedChunk| chunk.read().unwrap_or_else(PoisonError::into_inner).has_lost;
        if !self.state.sealed.iter().any(|chunk| chunk.has_lost) && !self.state.memory.iter().any(in_memory) {
            return Ok(None);
        }
        let key = lost::lost_key(lost::part_of(hash));
        self.find_key(&key, value_hash(&key), true)
    }

    fn find_key(&self, key: &str, hash: u64, only_lost: bool) -> Result<Option<i64>> {
        // Who sends an event again does so soon: the newest first.
        for chunk in self.state.memory.iter().rev() {
            let chunk = chunk.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(position) = chunk.find_identifier(key, hash) {
                let seq = self.seq_before(chunk.number) + 1 + i64::from(position);
                return Ok((seq <= self.state.through_seq).then_some(seq));
            }
        }
        let may_hold = |chunk: &&Arc<SealedChunk>| (chunk.has_lost || !only_lost) && chunk.identifiers.may_hold(hash);
        for chunk in self.state.sealed.iter().rev().filter(may_hold) {
            let (mut reading, mut bits) = (Reading::new(chunk, self.connection), Bits::none(chunk.length));
            reading.add_key(Field::Identifier, key, &mut bits)?;
            if let Some(rank) = bits.iter().next() {
                return reading.position(rank).map(|position| Some(position.seq));
            }
        }
        Ok(None)
    }

    pub(super) fn tests(&self) -> &Tests {
        &self.index.tests
    }

    pub(super) fn resolve(&self, filter: &Filter) -> Result<Resolved> {
        Resolved::new(self.connection, &self.index.tests, filter)
    }

    pub(super) fn view<'s>(&'s self, chunk: &Chunk<'s>) -> View<'s> {
        match chunk.place {
            PlaceOf::Sealed(sealed) => View::sealed(sealed, self.connection),
            PlaceOf::Memory(memory) => {
                let length = u32::try_from(chunk.last_seq - chunk.first_seq + 1).unwrap_or(0);
                View::memory(memory, length, chunk.first_seq - 1)
            }
        }
    }

    /// Every chunk that has events, in order of arrival or from its end.
    pub(super) fn chunks_by_arrival(&self, newest_first: bool) -> Vec<Chunk<'_>> {
        let sealed = self.state.sealed.iter().map(|chunk| Chunk {
            place: PlaceOf::Sealed(chunk),
            number: chunk.number,
            extent: (chunk.first, chunk.last),
            first_seq: self.seq_before(chunk.number) + 1,
            last_seq: self.seq_before(chunk.number) + i64::from(chunk.length),
        });
        let memory = self.state.memory.iter().filter_map(|memory| self.chunk_in_memory(memory));
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
    fn chunk_in_memory<'s>(&self, memory: &'s SharedChunk) -> Option<Chunk<'s>> {
        let chunk = memory.read().unwrap_or_else(PoisonError::into_inner);
        let seq_before = self.seq_before(chunk.number);
        let length = usize::try_from(self.state.through_seq - seq_before).ok()?.min(chunk.times.len());
        if length == 0 {
            return None;
        }
        // What came since may reach further, which makes no answer wrong.
        let extent = chunk.extent?;
        let last_seq = seq_before + i64::try_from(length).ok()?;
        let place = PlaceOf::Memory(memory);
        Some(Chunk { place, number: chunk.number, extent, first_seq: seq_before + 1, last_seq })
    }

    fn seq_before(&self, chunk: u32) -> i64 {
        i64::from(chunk) * i64::from(self.index.chunk_events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_to_be_sealed_is_counted_in_bytes_too() {
        const EVENTS: u32 = 64;
        let index = Index::new(EVENTS, Vec::new());
        // The longest keys that an event may have, and as many words as its message is taken apart into.
        let entry = |number: usize| {
            let terms = (0..256).map(|word| (Field::Word, word)).collect();
            let keys = [(Field::Identifier, 256), (Field::Run, 1_024), (Field::WebhookEvent, 1_024)];
            let keys = keys.map(|(field, bytes)| (field, format!("{number:0bytes$}")));
            Entry::new(Timestamp::from_micros(0), terms, keys.into())
        };
        let entries: Vec<_> = (0..EVENTS as usize).map(entry).collect();
        assert_eq!(index.unsealed(), (0, 0));
        assert!(index.publish(&entries[1..]).is_empty());
        assert_eq!(index.unsealed(), (0, 0), "what is being filled waits for nobody");
        let full = index.publish(&entries);
        let (chunks, bytes) = index.unsealed();
        assert_eq!((chunks, full.len()), (1, 1));
        let least = EVENTS as usize * (256 + 1_024 + 1_024 + 256 * 6);
        assert!((least..3 * least).contains(&bytes), "{bytes} of {least}");
    }
}
