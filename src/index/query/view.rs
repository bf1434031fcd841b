//! One chunk as a query sees it: sets of positions, read from rows or from memory.
//!
//! In a sealed chunk, positions are ranks by time; in a chunk in memory, they are the order of arrival. Only this module
//! and `chunk` know the difference.

use parking_lot::RwLock;

use crate::{
    index::{
        chunk::{
            memory::{MemoryChunk, searched_keys},
            posting_set::PostingSet,
            sealed::ChunkReader,
        },
        encode::bitset::Bitset,
        error::Result,
        pace::PacedConnection,
        snapshot::{Chunk, ChunkSource, Snapshot},
    },
    model::{
        cursor::Position,
        field::Field,
        filter::{Predicate, TimeRange},
        search::SearchText,
        timestamp::Timestamp,
        words::ANY_WORD,
    },
};

/// A chunk, and the part of it that a query may see.
pub(in crate::index) struct View<'c> {
    paced: &'c PacedConnection<'c>,
    kind: Kind<'c>,
    length: u32,
    /// The events in the query's range of time; `None` for all events.
    range: Option<Bitset>,
}

enum Kind<'c> {
    Sealed(ChunkReader<'c>),
    /// Locked for one pass over a part of a column at a time, so that a long query does not block the writer.
    Memory(&'c RwLock<MemoryChunk>),
}

impl Snapshot<'_> {
    /// The events of a chunk that this snapshot sees.
    pub(in crate::index) fn view<'s>(&'s self, chunk: &Chunk<'s>) -> View<'s> {
        let kind = match chunk.source {
            ChunkSource::Sealed(sealed) => Kind::Sealed(ChunkReader::new(sealed, self.paced.connection)),
            ChunkSource::Memory(memory) => Kind::Memory(memory),
        };
        View { paced: &self.paced, length: chunk.length, kind, range: None }
    }
}

impl View<'_> {
    /// Call this between two passes over the chunk: see [`PacedConnection::step`].
    pub(in crate::index) fn step(&self) -> Result<()> {
        self.paced.step()
    }

    /// Limits the view to a range of time.
    pub(in crate::index) fn confine(&mut self, range: &TimeRange) -> Result<()> {
        if range.from.is_none() && range.to.is_none() {
            return Ok(());
        }
        let mut bits = Bitset::all(self.length);
        match &mut self.kind {
            Kind::Memory(chunk) => {
                for (position, time) in (0..=u16::MAX).zip(chunk.read().times.iter().take(self.length as usize)) {
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

    /// The number of events, including those outside the range of time.
    pub(in crate::index) fn length(&self) -> u32 {
        self.length
    }

    /// The events in the range of time.
    pub(in crate::index) fn in_range(&self) -> Bitset {
        self.range.clone().unwrap_or_else(|| Bitset::all(self.length))
    }

    pub(in crate::index) fn add_terms(&self, field: Field, ordinals: &[u32], bits: &mut Bitset) -> Result<()> {
        match &self.kind {
            Kind::Sealed(reading) => reading.add_terms(field, ordinals, bits),
            Kind::Memory(chunk) => {
                chunk.read().add_terms(field, ordinals, bits);
                Ok(())
            }
        }
    }

    /// Adds the events whose messages have as many words as the index keeps, and may have more.
    pub(in crate::index) fn add_wordy(&self, bits: &mut Bitset) -> Result<()> {
        match &self.kind {
            Kind::Sealed(reading) => reading.add_wordy(bits),
            Kind::Memory(chunk) => {
                chunk.read().wordy().for_each(|position| bits.insert(position));
                Ok(())
            }
        }
    }

    /// Adds the events with a key that matches one of the predicates.
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

    /// Adds the events with a key that contains a search text to `sure`, and those that may have one to `unsure`.
    pub(in crate::index) fn add_keys_holding(
        &self,
        text: &SearchText,
        sure: &mut Bitset,
        unsure: &mut Bitset,
    ) -> Result<()> {
        match &self.kind {
            Kind::Sealed(reading) => reading.add_keys_holding(text, sure, unsure),
            Kind::Memory(chunk) => {
                searched_keys().for_each(|field| add_keys(chunk, field, |value| text.is_in_key(value), sure));
                Ok(())
            }
        }
    }

    /// Adds the events that may have all of these words in values that belong to no field.
    pub(in crate::index) fn add_words(&self, numbers: &[u32], bits: &mut Bitset) -> Result<()> {
        match &self.kind {
            Kind::Sealed(reading) => reading.add_words(numbers, bits),
            Kind::Memory(chunk) => {
                let mut all = Bitset::all(self.length);
                for number in numbers {
                    let mut some = Bitset::none(self.length);
                    add_word(chunk, *number, &mut some);
                    all.keep(&some);
                    if all.is_empty() {
                        break;
                    }
                }
                bits.add(&all);
                add_word(chunk, ANY_WORD, bits);
                Ok(())
            }
        }
    }

    /// Calls `each` with the terms of a field that events of the set have, and with the number of these events.
    pub(in crate::index) fn count_terms(
        &self,
        field: Field,
        bits: &Bitset,
        mut each: impl FnMut(u32, u64),
    ) -> Result<()> {
        match &self.kind {
            Kind::Sealed(reading) => {
                let (count, mut common) = (bits.count(), 0);
                reading.each_posting(PostingSet::Terms(field), 0, u32::MAX, |posting| {
                    if !posting.is_same {
                        common = posting.count_in(bits, count);
                    }
                    if common > 0 {
                        each(posting.ordinal, u64::from(common));
                    }
                })
            }
            Kind::Memory(chunk) => {
                let chunk = chunk.read();
                let column = chunk.terms(field);
                let entries = column.positions.iter().zip(&column.ordinals);
                entries.filter(|(position, _)| bits.holds(**position)).for_each(|(_, ordinal)| each(*ordinal, 1));
                Ok(())
            }
        }
    }

    /// Calls `each` with the positions of a set's events in the log, from the newest or from the oldest event on. `each`
    /// returns whether the position is near enough to that end. The walk stops when no remaining position can be.
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
                // The order of arrival is mostly the order of time.
                let (chunk, mut rejected) = (&*chunk.read(), None);
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

    /// The positions of a set's events in the log, one for each event in the order of the set.
    pub(in crate::index) fn positions(&mut self, bits: &Bitset) -> Result<Vec<Position>> {
        let mut positions = Vec::with_capacity(bits.count() as usize);
        match &mut self.kind {
            Kind::Sealed(reading) => {
                for rank in bits.iter() {
                    positions.push(reading.position(rank)?);
                }
            }
            Kind::Memory(chunk) => {
                let chunk = &*chunk.read();
                positions.extend(bits.iter().map(|position| place(chunk, position)));
            }
        }
        Ok(positions)
    }

    /// The earliest and the latest time of a set's events; `None` for an empty set.
    pub(in crate::index) fn extent(&mut self, bits: &Bitset) -> Result<Option<(Timestamp, Timestamp)>> {
        match &mut self.kind {
            Kind::Sealed(reading) => {
                let (Some(first), Some(last)) = (bits.iter().next(), bits.iter_down().next()) else {
                    return Ok(None);
                };
                Ok(Some((reading.position(first)?.timestamp, reading.position(last)?.timestamp)))
            }
            Kind::Memory(chunk) => {
                let chunk = chunk.read();
                let times = || bits.iter().map(|position| chunk.times[usize::from(position)]);
                Ok(times().min().zip(times().max()))
            }
        }
    }

    /// Counts how many events of each of two sets fall into each bucket between `bounds`, which ascend, and adds the numbers
    /// to `counts`.
    pub(in crate::index) fn spread(
        &mut self,
        sets: [&Bitset; 2],
        bounds: &[Timestamp],
        counts: &mut [[u64; 2]],
    ) -> Result<()> {
        match &mut self.kind {
            Kind::Memory(chunk) => {
                let chunk = chunk.read();
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

/// Maximum number of column entries that are compared under one lock.
const LOCKED_ENTRIES: usize = 2_048;

/// Adds the events of a chunk in memory that have a matching key.
fn add_keys(chunk: &RwLock<MemoryChunk>, field: Field, passes: impl Fn(&str) -> bool, bits: &mut Bitset) {
    let mut first = 0;
    while chunk.read().add_keys(field, (first, LOCKED_ENTRIES), &passes, bits) {
        first += LOCKED_ENTRIES;
    }
}

/// Adds the events of a chunk in memory that have a word. Locks the chunk for one segment at a time.
fn add_word(chunk: &RwLock<MemoryChunk>, number: u32, bits: &mut Bitset) {
    let mut segment = 0;
    while chunk.read().words.add(number, segment, bits) {
        segment += 1;
    }
}

/// The position before all events of an instant.
fn before(timestamp: Timestamp) -> Position {
    Position { timestamp, seq: i64::MIN }
}

fn place(chunk: &MemoryChunk, position: u16) -> Position {
    let position = usize::from(position);
    Position { timestamp: chunk.times[position], seq: chunk.range.seq_at(chunk.offsets[position]) }
}
