//! One chunk as a question sees it, sealed or not: sets of positions out, whatever they are read from.
//!
//! In a sealed chunk positions are ranks by time, in one that is being filled they are the order of arrival; only this
//! file and those below it know the difference.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use rusqlite::Connection;

use crate::{
    index::{
        Result,
        bits::Bits,
        memory::MemoryChunk,
        sealed::{Reading, SealedChunk},
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
pub(super) struct View<'c> {
    kind: Kind<'c>,
    length: u32,
    /// What is within the question's range of time, if that is not everything.
    range: Option<Bits>,
}

enum Kind<'c> {
    Sealed(Reading<'c>),
    /// With the seq before its first event.
    Memory(RwLockReadGuard<'c, MemoryChunk>, i64),
}

impl<'c> View<'c> {
    /// A sealed chunk.
    pub(super) fn sealed(chunk: &'c SealedChunk, connection: &'c Connection) -> Self {
        Self { length: chunk.length, kind: Kind::Sealed(Reading::new(chunk, connection)), range: None }
    }

    /// The first `length` events of a chunk in memory, which come after `seq_before`.
    pub(super) fn memory(chunk: &'c RwLock<MemoryChunk>, length: u32, seq_before: i64) -> Self {
        // A writer that panicked left whole columns or none of an event; what is beyond `length` is not looked at.
        let guard = chunk.read().unwrap_or_else(PoisonError::into_inner);
        Self { length: length.min(guard.length()), kind: Kind::Memory(guard, seq_before), range: None }
    }

    /// Confines the view to a range of time.
    pub(super) fn confine(&mut self, range: &TimeRange) -> Result<()> {
        if range.from.is_none() && range.to.is_none() {
            return Ok(());
        }
        let mut bits = Bits::all(self.length);
        match &mut self.kind {
            Kind::Memory(chunk, _) => {
                for (position, time) in (0..=u16::MAX).zip(&chunk.times[..self.length as usize]) {
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
    pub(super) fn length(&self) -> u32 {
        self.length
    }

    /// The events within the range of time.
    pub(super) fn in_range(&self) -> Bits {
        self.range.clone().unwrap_or_else(|| Bits::all(self.length))
    }

    pub(super) fn add_terms(&self, field: Field, ordinals: &[u32], bits: &mut Bits) -> Result<()> {
        match &self.kind {
            Kind::Sealed(reading) => reading.add_terms(field, ordinals, bits),
            Kind::Memory(chunk, _) => {
                chunk.add_terms(field, ordinals, bits);
                Ok(())
            }
        }
    }

    /// Adds the events with a key that passes one of the predicates.
    pub(super) fn add_keys(&self, field: Field, predicates: &[Predicate], bits: &mut Bits) -> Result<()> {
        match &self.kind {
            Kind::Sealed(reading) => predicates.iter().try_for_each(|predicate| match predicate {
                Predicate::Exact(value) => reading.add_key(field, value, bits),
                other => reading
                    .each_key_block(field, 0, u16::MAX, |block| block.add_passing(|value| other.matches(value), bits)),
            }),
            Kind::Memory(chunk, _) => {
                chunk.add_keys(field, |value| predicates.iter().any(|predicate| predicate.matches(value)), bits);
                Ok(())
            }
        }
    }

    /// Adds the events with a key that holds a word.
    pub(super) fn add_keys_holding(&self, field: Field, word: &SearchWord, bits: &mut Bits) -> Result<()> {
        match &self.kind {
            Kind::Sealed(reading) => reading.each_key_block(field, 0, u16::MAX, |block| block.add_holding(word, bits)),
            Kind::Memory(chunk, _) => {
                chunk.add_keys(field, |value| word.is_in(value), bits);
                Ok(())
            }
        }
    }

    /// Calls `each` with the terms of a field that events of the set have, and how many of them do.
    pub(super) fn count_terms(&self, field: Field, bits: &Bits, mut each: impl FnMut(u32, u64)) -> Result<()> {
        match &self.kind {
            Kind::Sealed(reading) => {
                let count = bits.count();
                reading.each_posting(field, 0, u32::MAX, |posting| {
                    let common = posting.count_in(bits, count);
                    if common > 0 {
                        each(posting.ordinal, u64::from(common));
                    }
                })
            }
            Kind::Memory(chunk, _) => {
                let column = chunk.terms(field);
                let entries = column.positions.iter().zip(&column.ordinals);
                entries.filter(|(position, _)| bits.holds(**position)).for_each(|(_, ordinal)| each(*ordinal, 1));
                Ok(())
            }
        }
    }

    /// Where the events of a set stand in the log, in order of time: newest first, or oldest first. `each` says whether
    /// to go on.
    pub(super) fn in_order_of_time(
        &mut self,
        bits: &Bits,
        newest_first: bool,
        mut each: impl FnMut(Position) -> bool,
    ) -> Result<()> {
        match &mut self.kind {
            Kind::Sealed(reading) => {
                let ranks: Box<dyn Iterator<Item = u16>> =
                    if newest_first { Box::new(bits.iter_down()) } else { Box::new(bits.iter()) };
                for rank in ranks {
                    if !each(reading.position(rank)?) {
                        break;
                    }
                }
            }
            Kind::Memory(chunk, seq_before) => {
                let mut positions: Vec<_> = bits.iter().map(|position| place(chunk, *seq_before, position)).collect();
                positions.sort_unstable();
                let mut each = |position: &Position| each(*position);
                // All of them were looked at anyway; whether the last was wanted is nobody's business any more.
                let _ =
                    if newest_first { positions.iter().rev().all(&mut each) } else { positions.iter().all(&mut each) };
            }
        }
        Ok(())
    }

    /// Where the events of a set stand in the log, in no order.
    pub(super) fn positions(&mut self, bits: &Bits) -> Result<Vec<Position>> {
        let mut positions = Vec::with_capacity(bits.count() as usize);
        match &mut self.kind {
            Kind::Sealed(reading) => {
                for rank in bits.iter() {
                    positions.push(reading.position(rank)?);
                }
            }
            Kind::Memory(chunk, seq_before) => {
                positions.extend(bits.iter().map(|position| place(chunk, *seq_before, position)));
            }
        }
        Ok(positions)
    }

    /// The earliest and the latest time of a set's events; `None` if it has none.
    pub(super) fn extent(&mut self, bits: &Bits) -> Result<Option<(Timestamp, Timestamp)>> {
        match &mut self.kind {
            Kind::Sealed(reading) => {
                let (Some(first), Some(last)) = (bits.iter().next(), bits.iter_down().next()) else {
                    return Ok(None);
                };
                Ok(Some((reading.position(first)?.timestamp, reading.position(last)?.timestamp)))
            }
            Kind::Memory(chunk, _) => {
                let times = || bits.iter().map(|position| chunk.times[usize::from(position)]);
                Ok(times().min().zip(times().max()))
            }
        }
    }

    /// How many of a set's events are in each of the buckets between `bounds`, which are in order: added to `counts`.
    pub(super) fn spread(&mut self, bits: &Bits, bounds: &[Timestamp], counts: &mut [u64]) -> Result<()> {
        match &mut self.kind {
            Kind::Memory(chunk, _) => {
                for position in bits.iter() {
                    let place = bounds.partition_point(|bound| *bound <= chunk.times[usize::from(position)]);
                    if let Some(count) = place.checked_sub(1).and_then(|bucket| counts.get_mut(bucket)) {
                        *count += 1;
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
                        *count += u64::from(bits.count_range(rank, next));
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

/// The place before all events of an instant.
fn before(timestamp: Timestamp) -> Position {
    Position { timestamp, seq: i64::MIN }
}

fn place(chunk: &MemoryChunk, seq_before: i64, position: u16) -> Position {
    Position { timestamp: chunk.times[usize::from(position)], seq: seq_before + 1 + i64::from(position) }
}
