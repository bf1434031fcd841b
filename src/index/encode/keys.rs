//! Per-chunk values (identifiers, runs), as a sealed chunk lists them.
//!
//! A term dictionary of all of them would grow with the log and cost a random write per event, so each chunk lists its
//! own. The values are distributed into a power of two of blocks by their hash, so the block of a value is known
//! without a lookup. A block is a zstd frame of: the number of values; the values, each preceded by a NUL, with one NUL
//! after the last (no value contains one); for each value, the number of events that have it; the positions of those
//! events. Values in a block are in byte order, and the positions of a value ascend.

use std::cell::RefCell;

use memchr::{memchr_iter, memmem};
use zstd::bulk::Decompressor;

use crate::{
    index::encode::{
        bitset::Bitset,
        hash::value_hash,
        varint::{Bytes, numbers, push_varint},
    },
    model::search::SearchText,
};

/// Target size of a block's values in bytes. Larger blocks compress better and take longer to search.
const BLOCK_VALUE_BYTES: usize = 8 * 1024;
/// Maximum number of blocks per field and chunk, as a power of two.
pub(in crate::index) const BLOCK_BITS_MAX: u8 = 10;
/// A block that claims more bytes is damaged: all values of a chunk together are shorter.
const BLOCK_BYTES_MAX: usize = 128 * 1024 * 1024;
const LEVEL: i32 = 3;

thread_local! {
    /// Creating a context costs more than decompressing a block with it, so each thread keeps one.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The number of blocks, as a power of two, for values of this many bytes.
pub(in crate::index) fn block_bits(value_bytes: usize) -> u8 {
    let blocks = (value_bytes / BLOCK_VALUE_BYTES).max(1);
    u8::try_from(blocks.ilog2()).unwrap_or(BLOCK_BITS_MAX).min(BLOCK_BITS_MAX)
}

/// The block of a value, among `1 << bits`.
pub(in crate::index) fn block_of(value: &str, bits: u8) -> u16 {
    let top = value_hash(value).checked_shr(u64::BITS - u32::from(bits)).unwrap_or(0);
    u16::try_from(top).unwrap_or(0)
}

/// Writes a block of values in byte order, each with its positions in ascending order.
pub(in crate::index) fn encode(values: &[(&str, &[u16])]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    push_varint(&mut out, u32::try_from(values.len()).unwrap_or(u32::MAX));
    for (value, _) in values {
        out.push(0);
        out.extend(value.as_bytes());
    }
    out.push(0);
    for (_, positions) in values {
        push_varint(&mut out, u32::try_from(positions.len()).unwrap_or(u32::MAX));
    }
    out.extend(values.iter().flat_map(|(_, positions)| *positions).flat_map(|position| position.to_le_bytes()));
    zstd::bulk::compress(&out, LEVEL)
}

/// A decompressed block.
pub(in crate::index) struct KeyBlock {
    bytes: Vec<u8>,
    /// The start and the end of the values, including the outer NULs.
    values: std::ops::Range<usize>,
    count: u32,
}

impl KeyBlock {
    /// Reads a block; `None` if it is damaged.
    pub(in crate::index) fn decode(block: &[u8]) -> Option<Self> {
        let length = zstd::zstd_safe::get_frame_content_size(block).ok().flatten()?;
        let length = usize::try_from(length).ok().filter(|length| *length <= BLOCK_BYTES_MAX)?;
        let bytes = DECOMPRESSOR.with_borrow_mut(|slot| {
            let decompressor = match slot {
                Some(decompressor) => decompressor,
                None => slot.insert(Decompressor::new().ok()?),
            };
            decompressor.decompress(block, length).ok()
        })?;
        let mut rest = Bytes(&bytes);
        let count = rest.varint()?;
        let begin = bytes.len() - rest.0.len();
        let end = begin + memchr_iter(0, rest.0).nth(count as usize)? + 1;
        Some(Self { values: begin..end, count, bytes })
    }

    /// Adds the positions of the events that have exactly this value. `None` if the block is damaged.
    pub(in crate::index) fn add_exact(&self, value: &str, bits: &mut Bitset) -> Option<()> {
        let needle = [b"\0", value.as_bytes(), b"\0"].concat();
        match memmem::find(self.values(), &needle) {
            Some(at) => {
                let place = u32::try_from(memchr_iter(0, &self.values()[..at]).count()).ok()?;
                self.add_positions(|index| index == place, bits)
            }
            None => Some(()),
        }
    }

    /// Adds the positions of the events whose value contains a search text. `None` if the block is damaged.
    pub(in crate::index) fn add_holding(&self, text: &SearchText, bits: &mut Bitset) -> Option<()> {
        let values = std::str::from_utf8(self.values()).ok()?;
        // One search over all values first: most blocks do not contain the text.
        if !text.is_in_key(values) {
            return Some(());
        }
        self.add_passing(|value| text.is_in_key(value), bits)
    }

    /// Adds the positions of the events whose value matches. `None` if the block is damaged.
    pub(in crate::index) fn add_passing(&self, passes: impl Fn(&str) -> bool, bits: &mut Bitset) -> Option<()> {
        let values = std::str::from_utf8(self.values()).ok()?;
        let found: Vec<bool> = values.split('\0').skip(1).map(passes).collect();
        self.add_positions(|index| found.get(index as usize).is_some_and(|found| *found), bits)
    }

    /// Finds the value of the event at a position, if this block holds it. `None` if the block is damaged.
    pub(in crate::index) fn find_value(&self, position: u16, found: &mut Option<String>) -> Option<()> {
        let mut counts = Bytes(&self.bytes[self.values.end..]);
        let mut walk = Bytes(counts.0);
        for _ in 0..self.count {
            walk.varint()?;
        }
        for value in std::str::from_utf8(self.values()).ok()?.split('\0').skip(1).take(self.count as usize) {
            let positions = walk.take((counts.varint()? as usize).checked_mul(2)?)?;
            if numbers(positions).any(|own| own == position) {
                *found = Some(value.to_owned());
            }
        }
        Some(())
    }

    /// Whether another block has the same content, however it was compressed.
    pub(in crate::index) fn is_same(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }

    fn values(&self) -> &[u8] {
        &self.bytes[self.values.clone()]
    }

    fn add_positions(&self, wanted: impl Fn(u32) -> bool, bits: &mut Bitset) -> Option<()> {
        let mut counts = Bytes(&self.bytes[self.values.end..]);
        let mut walk = Bytes(counts.0);
        for _ in 0..self.count {
            walk.varint()?;
        }
        for index in 0..self.count {
            let positions = walk.take((counts.varint()? as usize).checked_mul(2)?)?;
            if wanted(index) {
                numbers(positions).for_each(|position| bits.insert(position));
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: &[(&str, &[u16])] =
        &[("", &[9]), ("Run-1", &[0, 3]), ("run-1", &[1]), ("run-10", &[2]), ("é", &[4, 5])];

    fn found(find: impl Fn(&KeyBlock, &mut Bitset) -> Option<()>) -> Vec<u16> {
        let mut bits = Bitset::none(10);
        find(&KeyBlock::decode(&encode(VALUES).unwrap()).unwrap(), &mut bits).unwrap();
        bits.iter().collect()
    }

    #[test]
    fn values_are_found_whole_and_by_words() {
        for (value, positions) in VALUES {
            assert_eq!(found(|block, bits| block.add_exact(value, bits)), *positions, "{value}");
        }
        assert!(found(|block, bits| block.add_exact("run", bits)).is_empty());
        let words = |text| SearchText::word(text, false);
        assert_eq!(found(|block, bits| block.add_holding(&words("RUN-1"), bits)), [0, 1, 2, 3]);
        assert_eq!(found(|block, bits| block.add_holding(&words("É"), bits)), [4, 5]);
        assert!(found(|block, bits| block.add_holding(&words("runs"), bits)).is_empty());
    }

    #[test]
    fn a_value_has_one_block_and_damage_is_seen() {
        assert_eq!(block_of("anything", 0), 0);
        assert!((0..200).all(|n| block_of(&n.to_string(), 3) < 8));
        assert_eq!((block_bits(0), block_bits(20_000), block_bits(usize::MAX)), (0, 1, BLOCK_BITS_MAX));
        let block = encode(VALUES).unwrap();
        assert!((0..block.len()).all(|end| KeyBlock::decode(&block[..end]).is_none()));
    }
}
