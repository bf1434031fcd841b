//! Feeds arbitrary bytes to the readers of index rows. A file may be damaged or malicious.
//!
//! For tests and fuzzers only. The checks assert that reading ends and stays within its bounds, not what a row holds.

#![allow(clippy::missing_panics_doc, reason = "a check that fails is what a fuzzer looks for")]

use crate::{
    index::encode::{
        bitset::Bitset,
        keys::KeyBlock,
        postings,
        times::{BLOCK_EVENTS, TimeBlock},
    },
    model::search::SearchText,
};

/// Reads `bytes` as every kind of row, for a chunk of `length` events, at most 65,536.
pub fn read_rows(bytes: &[u8], length: u32, word: &str) {
    let length = length.clamp(1, 65_536);
    let within = |bits: &Bitset| assert!(bits.iter().all(|position| u32::from(position) < length));
    let mut bits = Bitset::none(length);
    let some = Bitset::all(length);
    // The return value reports damage, which does not matter here.
    let _ = postings::for_each(bytes, length % 7, length, |posting| {
        assert!(posting.count_in(&some, length) <= length);
        posting.add_to(&mut bits);
    });
    within(&bits);
    if let Some(block) = TimeBlock::decode(bytes, length as usize % (BLOCK_EVENTS + 1)) {
        for index in 0..=BLOCK_EVENTS {
            let _ = block.get(index);
        }
    }
    if let Some(block) = KeyBlock::decode(bytes) {
        let _ = block.add_exact(word, &mut bits);
        let _ = block.add_holding(&SearchText::word(word, false), &mut bits);
        let _ = block.add_passing(|value| value.len() % 2 == 0, &mut bits);
        within(&bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(
            bytes in prop::collection::vec(prop_oneof![Just(0u8), 0u8..8, any::<u8>()], 0..600),
            length in 0u32..=70_000,
            word in ".{0,8}",
        ) {
            read_rows(&bytes, length, &word);
            // The same bytes inside a valid zstd frame, so that only the content is hostile.
            read_rows(&zstd::bulk::compress(&bytes, 1).unwrap(), length, &word);
        }
    }
}
