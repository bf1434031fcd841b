//! A filter over the identifiers of a sealed chunk: no false negatives, about 0.01 % false positives.
//!
//! Each incoming event is looked up among all stored events, and nearly always it is new. The filter decides that with
//! one cache line per chunk, without reading the file. It is a split block Bloom filter (Putze, Sanders, Singler 2007;
//! laid out as in the Apache Parquet specification): one block of 256 bits per identifier, with one bit set in each of
//! the block's eight words. It uses 24 bits per event. Filters of 16 bits, which exist in older files, have ten times as many false
//! positives. At ten million events, the writer then read a block of identifiers for every sixth event.

/// Bits per event.
const BITS_PER_EVENT: usize = 24;
/// Bits per event of the filters in older files.
const FORMER_BITS_PER_EVENT: usize = 16;
const BLOCK_BYTES: usize = 32;
/// Odd multipliers that spread a hash differently for each word, from the specification.
const SALT: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// A filter over the identifiers of one chunk.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::index) struct BloomFilter(Vec<[u32; 8]>);

impl BloomFilter {
    /// An empty filter for this many identifiers.
    pub(in crate::index) fn new(events: usize) -> Self {
        Self::of_blocks(blocks_for(events, BITS_PER_EVENT))
    }

    /// An empty filter for this many identifiers, of the size of this one; `None` if no filter for them has that size.
    pub(in crate::index) fn new_alike(&self, events: usize) -> Option<Self> {
        let sizes = [BITS_PER_EVENT, FORMER_BITS_PER_EVENT].map(|bits| blocks_for(events, bits));
        sizes.contains(&self.0.len()).then(|| Self::of_blocks(self.0.len()))
    }

    fn of_blocks(blocks: usize) -> Self {
        Self(vec![[0; 8]; blocks])
    }

    /// Adds an identifier by its hash.
    pub(in crate::index) fn insert(&mut self, hash: u64) {
        let block = self.block(hash);
        self.0[block].iter_mut().zip(mask(hash)).for_each(|(word, bit)| *word |= bit);
    }

    /// Whether an identifier with this hash may have been added.
    pub(in crate::index) fn may_hold(&self, hash: u64) -> bool {
        self.0[self.block(hash)].iter().zip(mask(hash)).all(|(word, bit)| word & bit != 0)
    }

    /// The filter's words as bytes, little-endian.
    pub(in crate::index) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Reads a filter; `None` if its length is invalid.
    pub(in crate::index) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        (rest.is_empty() && !blocks.is_empty()).then_some(())?;
        let read = |block: &[u8; BLOCK_BYTES]| {
            let (words, _) = block.as_chunks();
            std::array::from_fn(|index| u32::from_le_bytes(words[index]))
        };
        Some(Self(blocks.iter().map(read).collect()))
    }

    fn block(&self, hash: u64) -> usize {
        // The upper half of the hash, scaled to the number of blocks.
        let blocks = self.0.len() as u64;
        usize::try_from(((hash >> 32) * blocks) >> 32).unwrap_or(0)
    }
}

/// The number of blocks of a filter.
fn blocks_for(events: usize, bits_per_event: usize) -> usize {
    (events * bits_per_event).div_ceil(BLOCK_BYTES * 8).max(1)
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half of the hash is what is wanted")]
fn mask(hash: u64) -> impl Iterator<Item = u32> {
    SALT.iter().map(move |salt| 1 << ((hash as u32).wrapping_mul(*salt) >> 27))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::encode::hash::value_hash;

    #[test]
    fn what_was_added_is_there_and_little_else() {
        let hash = |n: u32| value_hash(&n.to_string());
        let mut filter = BloomFilter::new(10_000);
        (0..10_000).for_each(|n| filter.insert(hash(n)));
        let read = BloomFilter::from_bytes(&filter.to_bytes()).unwrap();
        assert_eq!(read, filter);
        assert!((0..10_000).all(|n| read.may_hold(hash(n))));
        let wrong = (10_000..110_000).filter(|n| read.may_hold(hash(*n))).count();
        assert!(wrong < 50, "{wrong} of 100,000");
        for (blocks, is_known) in [(938, true), (625, true), (626, false)] {
            assert_eq!(BloomFilter::of_blocks(blocks).new_alike(10_000).is_some(), is_known, "{blocks}");
        }
        assert!(BloomFilter::from_bytes(&[0; 33]).is_none() && BloomFilter::from_bytes(&[]).is_none());
    }
}
