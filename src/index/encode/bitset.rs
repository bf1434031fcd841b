//! A set of positions within one chunk, one bit each.
//!
//! A chunk has at most 65,536 events, so a set takes at most 8 KiB, and an operation on two sets is one pass over
//! cached memory. A set never contains positions at or beyond its length.

/// A set of positions below its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::index) struct Bitset {
    /// Enough words for a chunk of any length. Every position then has its word, and a lookup needs no bounds
    /// check.
    words: Box<[u64; WORDS]>,
    length: u32,
}

const WORD_BITS: u32 = u64::BITS;
const WORDS: usize = (u16::MAX as usize + 1) / 64;

impl Bitset {
    /// The empty set.
    pub(in crate::index) fn none(length: u32) -> Self {
        Self { words: Box::new([0; WORDS]), length }
    }

    /// The set of every position.
    pub(in crate::index) fn all(length: u32) -> Self {
        let mut bits = Self { words: Box::new([u64::MAX; WORDS]), length };
        bits.trim();
        bits
    }

    /// The bits, 64 per word, lowest first: as many words as the length needs.
    pub(in crate::index) fn words(&self) -> &[u64] {
        &self.words[..words_for(self.length)]
    }

    /// Adds a position. A position beyond the length is ignored.
    pub(in crate::index) fn insert(&mut self, position: u16) {
        if u32::from(position) < self.length {
            self.words[usize::from(position) / 64] |= 1 << (position % 64);
        }
    }

    /// Removes a position.
    pub(in crate::index) fn remove(&mut self, position: u16) {
        self.words[usize::from(position) / 64] &= !(1 << (position % 64));
    }

    /// Whether a position is in the set.
    pub(in crate::index) fn holds(&self, position: u16) -> bool {
        self.words[usize::from(position) / 64] >> (position % 64) & 1 == 1
    }

    /// Adds the bits of words that were read from elsewhere.
    pub(in crate::index) fn add_words(&mut self, words: impl Iterator<Item = u64>) {
        self.words.iter_mut().zip(words).for_each(|(own, other)| *own |= other);
        self.trim();
    }

    /// Intersects with `other`.
    pub(in crate::index) fn keep(&mut self, other: &Self) {
        self.words.iter_mut().zip(other.words.iter()).for_each(|(own, other)| *own &= other);
    }

    /// Removes the positions of `other`.
    pub(in crate::index) fn take_out(&mut self, other: &Self) {
        self.words.iter_mut().zip(other.words.iter()).for_each(|(own, other)| *own &= !other);
    }

    /// Adds the positions of `other`.
    pub(in crate::index) fn add(&mut self, other: &Self) {
        self.words.iter_mut().zip(other.words.iter()).for_each(|(own, other)| *own |= other);
    }

    /// Keeps the positions from `begin` to `end`, `end` excluded.
    pub(in crate::index) fn keep_range(&mut self, begin: u32, end: u32) {
        for (index, word) in (0..).zip(self.words.iter_mut()) {
            *word &= range_mask(index, begin, end);
        }
    }

    /// The number of positions in the set.
    pub(in crate::index) fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// The number of positions that both sets contain.
    pub(in crate::index) fn count_common(&self, words: impl Iterator<Item = u64>) -> u32 {
        self.words.iter().zip(words).map(|(own, other)| (own & other).count_ones()).sum()
    }

    /// The number of positions in the set from `begin` to `end`, `end` excluded.
    pub(in crate::index) fn count_range(&self, begin: u32, end: u32) -> u32 {
        let (first, last) = (begin / WORD_BITS, end.min(self.length).div_ceil(WORD_BITS));
        (first..last)
            .filter_map(|index| Some(self.words.get(index as usize)? & range_mask(index, begin, end)))
            .map(u64::count_ones)
            .sum()
    }

    /// Whether the set is empty.
    pub(in crate::index) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The positions in ascending order.
    pub(in crate::index) fn iter(&self) -> impl Iterator<Item = u16> {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(position(index, bit))
            })
        })
    }

    /// The positions in descending order.
    pub(in crate::index) fn iter_down(&self) -> impl Iterator<Item = u16> {
        self.words.iter().enumerate().rev().flat_map(|(index, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| WORD_BITS - 1 - rest.leading_zeros())?;
                rest &= !(1 << bit);
                Some(position(index, bit))
            })
        })
    }

    /// Adds the positions of groups: group 0 has the first `size` positions, and so on. `size` is a divisor of 64.
    pub(in crate::index) fn add_groups(&mut self, groups: &Self, size: u16) {
        let mask = u64::MAX >> (WORD_BITS - u32::from(size));
        for group in groups.iter() {
            let first = usize::from(group) * usize::from(size);
            if let Some(word) = self.words.get_mut(first / 64) {
                *word |= mask << (first % 64);
            }
        }
        self.trim();
    }

    fn trim(&mut self) {
        let full = (self.length / WORD_BITS) as usize;
        if let Some(first_beyond) = self.words.get_mut(full) {
            *first_beyond &= (1 << (self.length % WORD_BITS)) - 1;
            self.words[full + 1..].fill(0);
        }
    }
}

/// The number of words that hold `length` bits.
pub(in crate::index) const fn words_for(length: u32) -> usize {
    length.div_ceil(WORD_BITS) as usize
}

fn position(word: usize, bit: u32) -> u16 {
    // A set has at most 65,536 positions.
    u16::try_from(word * 64 + bit as usize).unwrap_or(u16::MAX)
}

/// The bits of word `index` for the positions from `begin` to `end`, `end` excluded.
fn range_mask(index: u32, begin: u32, end: u32) -> u64 {
    let first = index * WORD_BITS;
    // The lowest bits, up to a position.
    let below = |position: u32| match position.saturating_sub(first) {
        count @ 0..WORD_BITS => (1 << count) - 1,
        _ => u64::MAX,
    };
    below(end) & !below(begin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn bits(length: u32, positions: &BTreeSet<u16>) -> Bitset {
        let mut bits = Bitset::none(length);
        for position in positions {
            bits.insert(*position);
        }
        bits
    }

    proptest! {
        #[test]
        fn a_set_is_a_set(
            length in 1u32..400, one in prop::collection::btree_set(0u16..400, 0..60),
            other in prop::collection::btree_set(0u16..400, 0..60), begin in 0u32..420, end in 0u32..420,
        ) {
            let below = |set: &BTreeSet<u16>| set.iter().copied().filter(|p| u32::from(*p) < length).collect::<BTreeSet<_>>();
            let (first, second) = (bits(length, &one), bits(length, &other));
            let (one, other) = (below(&one), below(&other));
            let set = |bits: &Bitset| bits.iter().collect::<BTreeSet<_>>();
            let changed = |change: fn(&mut Bitset, &Bitset)| { let mut bits = first.clone(); change(&mut bits, &second); set(&bits) };
            prop_assert_eq!(set(&first), one.clone());
            prop_assert_eq!(first.iter_down().collect::<Vec<_>>(), one.iter().rev().copied().collect::<Vec<_>>());
            prop_assert_eq!(changed(Bitset::keep), &one & &other);
            prop_assert_eq!(changed(Bitset::take_out), &one - &other);
            prop_assert_eq!(changed(Bitset::add), &one | &other);
            prop_assert_eq!(first.count() as usize, one.len());
            prop_assert_eq!(first.count_common(second.words().iter().copied()) as usize, (&one & &other).len());
            let within = |p: &u16| (begin..end).contains(&u32::from(*p));
            prop_assert_eq!(first.count_range(begin, end) as usize, one.iter().filter(|p| within(p)).count());
            let mut ranged = first.clone();
            ranged.keep_range(begin, end);
            prop_assert_eq!(set(&ranged), one.iter().copied().filter(within).collect::<BTreeSet<_>>());
            prop_assert_eq!(Bitset::all(length).count(), length);
            prop_assert!(one.iter().all(|p| first.holds(*p)));
            for size in [1, 16, 64] {
                let mut grouped = Bitset::none(length);
                grouped.add_groups(&first, size);
                let expected: BTreeSet<u16> =
                    (0..400).filter(|p| u32::from(*p) < length && one.contains(&(p / size))).collect();
                prop_assert_eq!(set(&grouped), expected);
            }
        }
    }
}
