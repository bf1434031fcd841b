//! Postings and the blocks that hold them.
//!
//! A posting is the set of a term's positions in one chunk, in the shortest of four forms: nothing (every event has the
//! term), the positions (16 bits each), the missing positions, or one bit per event. The form and its length follow
//! from the number of positions, so a block stores only that number. The idea is that of Roaring bitmaps (Chambi,
//! Lemire, Kaser, Godin 2014), whose container corresponds to a chunk.
//!
//! A block is a run of one field's terms in order of ordinal: the number of terms and the length of their heads; one
//! head per term; then the postings. A head is the distance from the previous ordinal, and twice (the number of
//! positions minus one), plus one if the posting equals the previous term's. Such equal postings are omitted: an
//! actor's id, name and address are mostly on the same events. The first ordinal is the key of the block's row.

use crate::index::encode::{
    bitset::{Bitset, words_for},
    varint::{Bytes, numbers, push_varint},
};

/// A block is closed at this many bytes, so that its row fills a page of the file.
const BLOCK_BYTES: usize = 3_900;

/// The form of a posting of `count` positions in a chunk of `length` events.
enum Form {
    All,
    Present,
    Missing,
    Bitmap,
}

impl Form {
    const fn of(count: u32, length: u32) -> Self {
        let bitmap_bytes = words_for(length) * 8;
        if count == length {
            Self::All
        } else if count as usize * 2 < bitmap_bytes {
            Self::Present
        } else if (length - count) as usize * 2 < bitmap_bytes {
            Self::Missing
        } else {
            Self::Bitmap
        }
    }

    /// The size of a posting in bytes.
    const fn bytes(count: u32, length: u32) -> usize {
        match Self::of(count, length) {
            Self::All => 0,
            Self::Present => count as usize * 2,
            Self::Missing => (length - count) as usize * 2,
            Self::Bitmap => words_for(length) * 8,
        }
    }
}

/// One term's posting, as it lies in a block.
#[derive(Clone, Copy)]
pub(in crate::index) struct Posting<'a> {
    /// The term's ordinal.
    pub(in crate::index) ordinal: u32,
    /// The number of events that have it.
    pub(in crate::index) count: u32,
    /// Whether the events are the same as those of the previous term.
    pub(in crate::index) is_same: bool,
    length: u32,
    bytes: &'a [u8],
}

impl Posting<'_> {
    /// Adds the positions to a set.
    pub(in crate::index) fn add_to(&self, bits: &mut Bitset) {
        match Form::of(self.count, self.length) {
            Form::All => *bits = Bitset::all(self.length),
            Form::Present => numbers(self.bytes).for_each(|position| bits.insert(position)),
            Form::Missing => {
                let mut own = Bitset::all(self.length);
                numbers(self.bytes).for_each(|position| own.remove(position));
                bits.add(&own);
            }
            Form::Bitmap => bits.add_words(self.words()),
        }
    }

    /// Adds one to the count of each of the positions.
    pub(in crate::index) fn count_each(&self, counts: &mut [u16]) {
        let mut add_one = |position: u16| {
            if let Some(count) = counts.get_mut(usize::from(position)) {
                *count = count.saturating_add(1);
            }
        };
        if matches!(Form::of(self.count, self.length), Form::Present) {
            numbers(self.bytes).for_each(add_one);
        } else {
            let mut bits = Bitset::none(self.length);
            self.add_to(&mut bits);
            bits.iter().for_each(&mut add_one);
        }
    }

    /// The number of positions that are also in a set of `set_count` positions.
    pub(in crate::index) fn count_in(&self, bits: &Bitset, set_count: u32) -> u32 {
        if set_count == self.length {
            return self.count;
        }
        let among = |bytes| numbers(bytes).map(|position| u32::from(bits.holds(position))).sum::<u32>();
        match Form::of(self.count, self.length) {
            Form::All => set_count,
            Form::Present => among(self.bytes),
            Form::Missing => set_count.saturating_sub(among(self.bytes)),
            // One bit at a time, if that takes fewer steps than word by word.
            Form::Bitmap if (set_count as usize) < words_for(self.length) => {
                let (words, _) = self.bytes.as_chunks();
                let holds = |position: u16| {
                    let word = words.get(usize::from(position) / 64).map_or(0, |word| u64::from_le_bytes(*word));
                    word >> (position % 64) & 1 == 1
                };
                bits.iter().map(|position| u32::from(holds(position))).sum()
            }
            Form::Bitmap => bits.count_common(self.words()),
        }
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        self.bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word))
    }
}

/// Calls `each` with the postings of a block that begins with ordinal `first`, in a chunk of `length` events. `None` if
/// the block does not end where its heads say, which only damage can cause.
pub(in crate::index) fn for_each(
    block: &[u8],
    first: u32,
    length: u32,
    mut each: impl FnMut(&Posting<'_>),
) -> Option<()> {
    let mut rest = Bytes(block);
    let (terms, heads) = (rest.varint()?, rest.varint()?);
    let (mut heads, mut bodies) = (Bytes(rest.take(heads as usize)?), rest);
    let mut posting = Posting { ordinal: first, count: 0, is_same: false, length, bytes: &[] };
    for _ in 0..terms {
        posting.ordinal = posting.ordinal.checked_add(heads.varint()?)?;
        let size = heads.varint()?;
        (posting.count, posting.is_same) = (size / 2 + 1, size % 2 == 1);
        // A count above the chunk's length would produce a meaningless size.
        (posting.count <= length).then_some(())?;
        if !posting.is_same {
            posting.bytes = bodies.take(Form::bytes(posting.count, length))?;
        }
        each(&posting);
    }
    (heads.0.is_empty() && bodies.0.is_empty()).then_some(())
}

/// Writes the blocks of one field of one chunk.
pub(in crate::index) struct BlockWriter {
    length: u32,
    first: u32,
    last: u32,
    terms: u32,
    heads: Vec<u8>,
    bodies: Vec<u8>,
    /// The positions of the previous term.
    former: Vec<u16>,
    /// Each with its first ordinal.
    done: Vec<(u32, Vec<u8>)>,
}

impl BlockWriter {
    /// A writer for a chunk of `length` events.
    pub(in crate::index) fn new(length: u32) -> Self {
        Self {
            length,
            first: 0,
            last: 0,
            terms: 0,
            heads: Vec::new(),
            bodies: Vec::new(),
            former: Vec::new(),
            done: Vec::new(),
        }
    }

    /// Adds a term with its positions. Ordinals must ascend; there is at least one position, and positions ascend.
    pub(in crate::index) fn push(&mut self, ordinal: u32, positions: &[u16]) {
        let Some(count) = u32::try_from(positions.len()).ok().filter(|count| *count > 0) else {
            return;
        };
        let bytes = Form::bytes(count, self.length);
        if self.terms > 0 && self.heads.len() + self.bodies.len() + bytes > BLOCK_BYTES {
            self.close();
        }
        if self.terms == 0 {
            (self.first, self.last) = (ordinal, ordinal);
        }
        let is_same = self.terms > 0 && self.former == positions;
        push_varint(&mut self.heads, ordinal - self.last);
        push_varint(&mut self.heads, (count - 1) * 2 + u32::from(is_same));
        if !is_same {
            self.write(count, positions);
            self.former = positions.to_vec();
        }
        (self.last, self.terms) = (ordinal, self.terms + 1);
    }

    /// The blocks, each with its first ordinal.
    pub(in crate::index) fn finish(mut self) -> Vec<(u32, Vec<u8>)> {
        if self.terms > 0 {
            self.close();
        }
        self.done
    }

    fn close(&mut self) {
        let mut block = Vec::with_capacity(self.heads.len() + self.bodies.len() + 10);
        push_varint(&mut block, self.terms);
        push_varint(&mut block, u32::try_from(self.heads.len()).unwrap_or(u32::MAX));
        block.append(&mut self.heads);
        block.append(&mut self.bodies);
        self.done.push((self.first, block));
        self.terms = 0;
    }

    fn write(&mut self, count: u32, positions: &[u16]) {
        let set = |bits: &mut Bitset| positions.iter().for_each(|position| bits.insert(*position));
        match Form::of(count, self.length) {
            Form::All => {}
            Form::Present => self.bodies.extend(positions.iter().flat_map(|position| position.to_le_bytes())),
            Form::Missing => {
                let (mut missing, mut present) = (Bitset::all(self.length), Bitset::none(self.length));
                set(&mut present);
                missing.take_out(&present);
                self.bodies.extend(missing.iter().flat_map(u16::to_le_bytes));
            }
            Form::Bitmap => {
                let mut present = Bitset::none(self.length);
                set(&mut present);
                self.bodies.extend(present.words().iter().flat_map(|word| word.to_le_bytes()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            length in 1u32..3_000,
            terms in prop::collection::btree_map(any::<u32>(), (0u32..=1_000, any::<u64>()), 1..40),
        ) {
            let positions_of = |(share, seed): (u32, u64)| -> Vec<u16> {
                let mut state = seed | 1;
                let mut chosen: Vec<u16> = (0..length).filter(|_| {
                    state ^= state << 13; state ^= state >> 7; state ^= state << 17;
                    state % 1_000 < u64::from(share)
                }).map(|position| u16::try_from(position).unwrap()).collect();
                if chosen.is_empty() { chosen.push(0); }
                chosen
            };
            // Sometimes gives neighbors the same positions.
            let terms: BTreeMap<u32, Vec<u16>> =
                terms.into_iter().map(|(ordinal, (share, seed))| (ordinal, positions_of((share / 400 * 400, seed % 2)))).collect();
            let mut writer = BlockWriter::new(length);
            for (ordinal, positions) in &terms {
                writer.push(*ordinal, positions);
            }
            let mut some = Bitset::none(length);
            (0..length).step_by(3).for_each(|position| some.insert(u16::try_from(position).unwrap()));
            let mut found = BTreeMap::new();
            for (first, block) in writer.finish() {
                let read = for_each(&block, first, length, |posting| {
                    let mut bits = Bitset::none(length);
                    posting.add_to(&mut bits);
                    assert_eq!(bits.count(), posting.count);
                    assert_eq!(posting.count_in(&some, some.count()), bits.count_common(some.words().iter().copied()));
                    assert_eq!(posting.count_in(&Bitset::all(length), length), posting.count);
                    let mut counts = vec![0; length as usize];
                    posting.count_each(&mut counts);
                    assert!((0..).zip(&counts).all(|(position, count)| *count == u16::from(bits.holds(position))));
                    found.insert(posting.ordinal, bits.iter().collect::<Vec<_>>());
                });
                prop_assert_eq!(read, Some(()));
                for end in 0..block.len() {
                    let cut = for_each(&block[..end], first, length, |_| ());
                    prop_assert_eq!(cut, None);
                }
            }
            prop_assert_eq!(found, terms);
        }
    }
}
