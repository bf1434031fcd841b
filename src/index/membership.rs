//! Which identifiers a sealed chunk may hold: a filter that says "no" for sure and "yes" almost rightly.
//!
//! Each event that comes in is looked for among all that there are, and nearly always it is new. One glance at a cache line
//! for each chunk says so, without asking the file. The filter is a split block Bloom filter (Putze, Sanders, Singler 2007;
//! laid out as in Apache Parquet's specification): one block of 256 bits for an identifier, one bit in each of its eight
//! words. With 16 bits an event one answer in about a thousand is a "yes" that is not so.

/// Bits for each event.
const BITS_PER_EVENT: usize = 16;
const BLOCK_BYTES: usize = 32;
/// Odd numbers that spread a hash differently for each word, as the specification gives them.
const SALT: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// A filter over the identifiers of one chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Membership(Vec<[u32; 8]>);

impl Membership {
    /// A filter for so many identifiers, none of them in it yet.
    pub(super) fn new(events: usize) -> Self {
        Self(vec![[0; 8]; (events * BITS_PER_EVENT).div_ceil(BLOCK_BYTES * 8).max(1)])
    }

    /// Adds an identifier by its hash.
    pub(super) fn insert(&mut self, hash: u64) {
        let block = self.block(hash);
        self.0[block].iter_mut().zip(mask(hash)).for_each(|(word, bit)| *word |= bit);
    }

    /// Whether the identifier of this hash may be among those that were added.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        self.0[self.block(hash)].iter().zip(mask(hash)).all(|(word, bit)| word & bit != 0)
    }

    /// The filter's bytes: its words, little-endian.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Reads a filter; `None` if its length is that of none.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
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

#[expect(clippy::cast_possible_truncation, reason = "the lower half of the hash is what is wanted")]
fn mask(hash: u64) -> impl Iterator<Item = u32> {
    SALT.iter().map(move |salt| 1 << ((hash as u32).wrapping_mul(*salt) >> 27))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::hash::value_hash;

    #[test]
    fn what_was_added_is_there_and_little_else() {
        let hash = |n: u32| value_hash(&n.to_string());
        let mut filter = Membership::new(10_000);
        (0..10_000).for_each(|n| filter.insert(hash(n)));
        let read = Membership::from_bytes(&filter.to_bytes()).unwrap();
        assert_eq!(read, filter);
        assert!((0..10_000).all(|n| read.may_hold(hash(n))));
        let wrong = (10_000..110_000).filter(|n| read.may_hold(hash(*n))).count();
        assert!(wrong < 500, "{wrong} of 100,000");
        assert!(Membership::from_bytes(&[0; 33]).is_none() && Membership::from_bytes(&[]).is_none());
    }
}
