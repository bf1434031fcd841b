//! The event times of a sealed chunk, and each event's position in the order of arrival.
//!
//! The positions of a sealed chunk are in order of (timestamp, seq): the newest event has the highest. The newest
//! events of any set are therefore its highest bits, a range of time is a range of positions, and a histogram is a
//! count between two positions. Timestamps are read only for events of a response and at the ends of a range.
//!
//! They are stored in blocks of 256 events, one row each: the first timestamp (8 bytes); the width of the others (1
//! byte); for each event, its offset in the chunk in order of arrival (2 bytes); for each event, its distance from the
//! first timestamp (as many bytes as the width). The chunk's own row holds the first timestamp of each block.

use crate::{
    index::encode::varint::{Bytes, numbers},
    model::timestamp::Timestamp,
};

/// Events per block. A block then fits into a page of the file, so reading one event reads one page.
pub(in crate::index) const BLOCK_EVENTS: usize = 256;

/// Writes a block of events in order, each with its timestamp and its offset in the chunk.
pub(in crate::index) fn encode(events: &[(Timestamp, u16)]) -> Vec<u8> {
    let base = events.first().map_or(0, |(timestamp, _)| timestamp.micros());
    // Timestamps ascend, and the calendar spans less than 2^63 microseconds.
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

/// The events of one block, in order. They are decoded on demand, because a page needs few of each block.
pub(in crate::index) struct TimeBlock {
    base: i64,
    width: usize,
    offsets: Vec<u8>,
    later: Vec<u8>,
}

impl TimeBlock {
    /// Reads a block of `events` events; `None` if it is damaged.
    pub(in crate::index) fn decode(block: &[u8], events: usize) -> Option<Self> {
        let mut bytes = Bytes(block);
        let base = i64::from_le_bytes(bytes.array()?);
        let [width @ 0..=8] = bytes.array()? else {
            return None;
        };
        let width = usize::from(width);
        let offsets = bytes.take(events.checked_mul(2)?)?.to_vec();
        let later = bytes.take(events.checked_mul(width)?)?.to_vec();
        bytes.0.is_empty().then_some(Self { base, width, offsets, later })
    }

    /// The event at an index of the block: its time and its offset in the chunk.
    pub(in crate::index) fn get(&self, index: usize) -> Option<(Timestamp, u16)> {
        let offset = numbers(self.offsets.get(index * 2..)?).next()?;
        let mut number = [0; 8];
        number[..self.width].copy_from_slice(self.later.get(index * self.width..(index + 1) * self.width)?);
        Some((Timestamp::from_micros(self.base.wrapping_add(i64::from_le_bytes(number))), offset))
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
            let read = TimeBlock::decode(&block, events.len()).unwrap();
            assert!((0..events.len()).all(|index| read.get(index) == Some(events[index])));
            assert_eq!(read.get(events.len()), None);
            for end in 0..block.len() {
                assert!(TimeBlock::decode(&block[..end], events.len()).is_none());
            }
        }
    }
}
