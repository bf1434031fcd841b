//! One chunk as a question sees it, sealed or not: sets of positions out, whatever they are read from.
//!
//! In a sealed chunk positions are ranks by time, in one that is being filled they are the order of arrival; only this
//! file and those below it know the difference.

use parking_lot::{RwLock, RwLockReadGuard};

use crate::{
    index::{
        chunk::{
            memory::MemoryChunk,
            sealed::{ChunkReader, SealedChunk},
        },
        encode::bitset::Bitset,
        error::Result,
        snapshot::Snapshot,
    },
    model::{
        cursor::Position,
        field::Field,
        filter::{Predicate, TimeRange},
        search::SearchWord,
        timestamp::Timestamp,
    },
};

/// A chunk, and how much of it a question may see.
pub(in crate::index) struct View<'c> {
    snapshot: &'c Snapshot<'c>,
    kind: Kind<'c>,
    length: u32,
    /// What is within the question's range of time, if that is not everything.
    range: Option<Bitset>,
}

enum Kind<'c> {
    Sealed(ChunkReader<'c>),
    /// It is locked for one pass over one column at a time: whoever asks much of it
    /// must not keep the writer from it for long.
    Memory(&'c RwLock<MemoryChunk>),
}

impl<'c> View<'c> {
    /// A sealed chunk.
    pub(in crate::index) fn sealed(chunk: &'c SealedChunk, snapshot: &'c Snapshot<'c>) -> Self {
        let kind = Kind::Sealed(ChunkReader::new(chunk, snapshot.connection));
        Self { snapshot, length: chunk.length, kind, range: None }
    }

    /// The first `length` events of a chunk in memory.
    pub(in crate::index) fn memory(chunk: &'c RwLock<MemoryChunk>, length: u32, snapshot: &'c Snapshot<'c>) -> Self {
        Self { snapshot, length, kind: Kind::Memory(chunk), range: None }
    }

    /// To be called between two passes over the chunk: [`Snapshot::step`].
    pub(in crate::index) fn step(&self) -> Result<()> {
        self.snapshot.step()
    }

    /// Confines the view to a range of time.
    pub(in crate::index) fn confine(&mut self, range: &TimeRange) -> Result<()> {
        if range.from.is_none() && range.to.is_none() {
            return Ok(());
        }
        let mut bits = Bitset::all(self.length);
        match &mut self.kind {
            Kind::Memory(chunk) => {
                for (position, time) in (0..=u16::MAX).zip(read(chunk).times.iter().take(self.length as usize)) {
                    if !range.holds(*time) {
                        bits.remove(position);
                    }
                }
            }
            Kind::Sealed(reading) => {
                let (chunk, mut begin, mut end) = (reading.chunk, 0, self.length);
                if let Some(from) = range.from.filter(|from| *from > chunk.first) {
                    begin = reading.rank_of(Position { timestamp: from, seq: i64::MIN })?;
                }
                if let Some(to) = range.to.filter(|to| *to < chunk.last) {
                    end = reading.rank_of(Position { timestamp: to, seq: i64::MAX })?;
                }
                if (begin, end) == (0, self.length) {
                    return Ok(());
                }
                bits.keep_range(begin, end);
            }
        }
        self.range = Some(bits);
        Ok(())
    }

    /// How many events there are, within the range or not.
    pub(in crate::index) fn length(&self) -> u32 {
        self.length
    }

    /// The events within the range of time.
    pub(in crate::index) fn in_range(&self) -> Bitset {
        self.range.clone().unwrap_or_else(|| Bitset::all(self.length))
    }

    pub(in crate::index) fn add_terms(&self, field: Field, ordinals: &[u32], bits: &mut Bitset) -> Result<()> {
        match &self.kind {
            Kind::Sealed(reading) => reading.add_terms(field, ordinals, bits),
            Kind::Memory(chunk) => {
                read(chunk).add_terms(field, ordinals, bits);
                Ok(())
            }
        }
    }

    /// Adds the events whose messages have as many words as the index keeps, and may have more.
    pub(in crate::index) fn add_wordy(&self, bits: &mut Bitset) -> Result<()> {
        match &self.kind {
            Kind::Sealed(reading) => reading.add_wordy(bits),
            Kind::Memory(chunk) => {
                read(chunk).wordy().for_each(|position| bits.insert(position));
                Ok(())
            }
        }
    }

    /// Adds the events with a key that passes one of the predicates.
    pub(in crate::index) fn add_keys(&self, field: Field, predicates: &[Predicate], bits: &mut Bitset) -> Result<()> {
        match &self.kind {
            Kind::Sealed(reading) => predicates.iter().try_for_each(|predicate| match predicate {
                Predicate::Exact(value) => reading.add_key(field, value, bits),
                other => reading
                    .each_key_block(field, 0, u16::MAX, |block| block.add_passing(|value| other.matches(value), bits)),
            }),
            Kind::Memory(chunk) => {
                let passes = |value: &str| predicates.iter().any(|predicate| predicate.matches(value));
                add_keys(chunk, field, passes, bits);
                Ok(())
            }
        }
    }

    /// Adds the events with a key that holds a word.
    pub(in crate::index) fn add_keys_holding(&self, field: Field, word: &SearchWord, bits: &mut Bitset) -> Result<()> {
        match &self.kind {
            Kind::Sealed(reading) => reading.each_key_block(field, 0, u16::MAX, |block| block.add_holding(word, bits)),
            Kind::Memory(chunk) => {
                add_keys(chunk, field, |value| word.is_in(value), bits);
                Ok(())
            }
        }
    }

    /// Calls `each` with the terms of a field that events of the set have, and how many of them do.
    pub(in crate::index) fn count_terms(
        &self,
        field: Field,
        bits: &Bitset,
        mut each: impl FnMut(u32, u64),
    ) -> Result<()> {
        match &self.kind {
            Kind::Sealed(reading) => {
                let (count, mut common) = (bits.count(), 0);
                reading.each_posting(field, 0, u32::MAX, |posting| {
                    if !posting.is_same {
                        common = posting.count_in(bits, count);
                    }
                    if common > 0 {
                        each(posting.ordinal, u64::from(common));
                    }
                })
            }
            Kind::Memory(chunk) => {
                let chunk = read(chunk);
                let column = chunk.terms(field);
                let entries = column.positions.iter().zip(&column.ordinals);
                entries.filter(|(position, _)| bits.holds(**position)).for_each(|(_, ordinal)| each(*ordinal, 1));
                Ok(())
            }
        }
    }

    /// Where the events of a set stand in the log, from the end of the newest or of the oldest. `each` says whether one is
    /// near enough to that end; it is asked until none that is left can be.
    pub(in crate::index) fn walk(
        &mut self,
        bits: &Bitset,
        newest_first: bool,
        mut each: impl FnMut(Position) -> bool,
    ) -> Result<()> {
        let positions: Box<dyn Iterator<Item = u16>> =
            if newest_first { Box::new(bits.iter_down()) } else { Box::new(bits.iter()) };
        match &mut self.kind {
            Kind::Sealed(reading) => {
                for rank in positions {
                    if !each(reading.position(rank)?) {
                        break;
                    }
                }
            }
            Kind::Memory(chunk) => {
                // In order of arrival, which mostly is that of time.
                let (chunk, mut rejected) = (&read(chunk), None);
                for position in positions {
                    if newest_first && rejected.is_some_and(|rejected| chunk.latest_through(position) <= rejected) {
                        break;
                    }
                    let place = place(chunk, position);
                    if !each(place) {
                        rejected = rejected.max(Some(place.timestamp));
                    }
                }
            }
        }
        Ok(())
    }

    /// Where the events of a set stand in the log, in no order.
    pub(in crate::index) fn positions(&mut self, bits: &Bitset) -> Result<Vec<Position>> {
        let mut positions = Vec::with_capacity(bits.count() as usize);
        match &mut self.kind {
            Kind::Sealed(reading) => {
                for rank in bits.iter() {
                    positions.push(reading.position(rank)?);
                }
            }
            Kind::Memory(chunk) => {
                let chunk = &read(chunk);
                positions.extend(bits.iter().map(|position| place(chunk, position)));
            }
        }
        Ok(positions)
    }

    /// The earliest and the latest time of a set's events; `None` if it has none.
    pub(in crate::index) fn extent(&mut self, bits: &Bitset) -> Result<Option<(Timestamp, Timestamp)>> {
        match &mut self.kind {
            Kind::Sealed(reading) => {
                let (Some(first), Some(last)) = (bits.iter().next(), bits.iter_down().next()) else {
                    return Ok(None);
                };
                Ok(Some((reading.position(first)?.timestamp, reading.position(last)?.timestamp)))
            }
            Kind::Memory(chunk) => {
                let chunk = read(chunk);
                let times = || bits.iter().map(|position| chunk.times[usize::from(position)]);
                Ok(times().min().zip(times().max()))
            }
        }
    }

    /// How many of the events of two sets are in each of the buckets between `bounds`, which are in order: added to
    /// `counts`.
    pub(in crate::index) fn spread(
        &mut self,
        sets: [&Bitset; 2],
        bounds: &[Timestamp],
        counts: &mut [[u64; 2]],
    ) -> Result<()> {
        match &mut self.kind {
            Kind::Memory(chunk) => {
                let chunk = read(chunk);
                for (set, bits) in sets.into_iter().enumerate() {
                    for position in bits.iter() {
                        let place = bounds.partition_point(|bound| *bound <= chunk.times[usize::from(position)]);
                        if let Some(count) = place.checked_sub(1).and_then(|bucket| counts.get_mut(bucket)) {
                            count[set] += 1;
                        }
                    }
                }
            }
            Kind::Sealed(reading) => {
                let (first, last) = (reading.chunk.first, reading.chunk.last);
                let begin = bounds.partition_point(|bound| *bound <= first).saturating_sub(1);
                let mut rank = reading.rank_of(before(bounds.get(begin).copied().unwrap_or(first)))?;
                for (bucket, end) in (begin..).zip(bounds.iter().skip(begin + 1)) {
                    let next = if *end > last { self.length } else { reading.rank_of(before(*end))? };
                    if let Some(count) = counts.get_mut(bucket) {
                        for (set, bits) in sets.into_iter().enumerate() {
                            count[set] += u64::from(bits.count_range(rank, next));
                        }
                    }
                    rank = next;
                    if *end > last {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Entries of a column that are looked at under one lock.
const LOCKED_ENTRIES: usize = 2_048;

/// Adds the events of a chunk in memory with a key that passes.
fn add_keys(chunk: &RwLock<MemoryChunk>, field: Field, passes: impl Fn(&str) -> bool, bits: &mut Bitset) {
    let mut first = 0;
    while read(chunk).add_keys(field, (first, LOCKED_ENTRIES), &passes, bits) {
        first += LOCKED_ENTRIES;
    }
}

/// Nothing that fills a chunk panics; if it did, what a question may see was whole before.
fn read(chunk: &RwLock<MemoryChunk>) -> RwLockReadGuard<'_, MemoryChunk> {
    chunk.read()
}

/// The place before all events of an instant.
fn before(timestamp: Timestamp) -> Position {
    Position { timestamp, seq: i64::MIN }
}

fn place(chunk: &MemoryChunk, position: u16) -> Position {
    let seq = chunk.seq_before + 1 + i64::from(chunk.offsets[usize::from(position)]);
    Position { timestamp: chunk.times[usize::from(position)], seq }
}
