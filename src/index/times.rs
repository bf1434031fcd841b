//! When the events of a sealed chunk happened, and where each stands in the log.
//!
//! The positions of a sealed chunk are in order of (timestamp, seq): the newest event has the highest. So the newest of any
//! set are its highest bits, a range of time is a range of positions, and a histogram is a count between two positions;
//! timestamps are looked at only for events that go into an answer, and at the ends of a range.
//!
//! They are kept in blocks of 1,024 events, one row each: the first timestamp (8 bytes), the width of the others (1 byte),
//! for each event its offset within the chunk in order of arrival (2 bytes), and for each how much later it is than the
//! first (as many bytes as the width). The chunk's own row holds the first timestamp of each block.

use crate::{
    index::bytes::{Bytes, numbers},
    model::timestamp::Timestamp,
};

/// Events in a block.
pub(super) const BLOCK_EVENTS: usize = 1_024;

/// Writes the block of these events, given in order: each with its timestamp and its offset in the chunk.
pub(super) fn encode(events: &[(Timestamp, u16)]) -> Vec<u8> {
    let base = events.first().map_or(0, |(timestamp, _)| timestamp.micros());
    // Timestamps are in order, and their calendar spans less than 2^63 microseconds.
    let later = |timestamp: &Timestamp| timestamp.micros().wrapping_sub(base).cast_unsigned();
    let widest = events.last().map_or(0, |(timestamp, _)| later(timestamp));
    let width = (u64::BITS - widest.leading_zeros()).div_ceil(8);
    let mut out = Vec::with_capacity(9 + events.len() * (2 + width as usize));
    out.extend(base.to_le_bytes());
    out.push(width.to_le_bytes()[0]);
    out.extend(events.iter().flat_map(|(_, offset)| offset.to_le_bytes()));
    for (timestamp, _) in events {
        out.extend(&later(timestamp).to_le_bytes()[..width as usize]);
    }
    out
}

/// The events of one block, in order.
pub(super) struct TimeBlock(Vec<(Timestamp, u16)>);

impl TimeBlock {
    /// Reads a block of `events` events; `None` if it is damaged.
    pub(super) fn decode(block: &[u8], events: usize) -> Option<Self> {
        let mut bytes = Bytes(block);
        let base = i64::from_le_bytes(bytes.array()?);
        let [width @ 0..=8] = bytes.array()? else {
            return None;
        };
        let width = usize::from(width);
        let offsets = bytes.take(events.checked_mul(2)?)?;
        let later = bytes.take(events.checked_mul(width)?)?;
        bytes.0.is_empty().then_some(())?;
        let timestamp = |index: usize| {
            let mut number = [0; 8];
            number[..width].copy_from_slice(&later[index * width..(index + 1) * width]);
            Timestamp::from_micros(base.wrapping_add(i64::from_le_bytes(number)))
        };
        Some(Self(numbers(offsets).enumerate().map(|(index, offset)| (timestamp(index), offset)).collect()))
    }

    /// The event at an index of the block.
    pub(super) fn get(&self, index: usize) -> Option<(Timestamp, u16)> {
        self.0.get(index).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back_and_damage_is_seen() {
        for times in
            [vec![5], vec![-3, -3, 7], vec![-62_167_219_200_000_000, 0, 253_402_300_799_999_999], (0..700).collect()]
        {
            let events: Vec<_> =
                times.iter().zip(0..).map(|(micros, offset)| (Timestamp::from_micros(*micros), offset)).collect();
            let block = encode(&events);
            assert_eq!(TimeBlock::decode(&block, events.len()).unwrap().0, events);
            for end in 0..block.len() {
                assert!(TimeBlock::decode(&block[..end], events.len()).is_none());
            }
        }
    }
}
