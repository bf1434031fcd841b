//! The words of texts, and the numbers under which the index keeps those of an event's values.
//!
//! A word is a run of letters and digits, without regard to case and to the encoding of accents. The index keeps 24 bits of
//! a hash of each word. Two words may share a number, so the event itself is read before it counts as a match.

use std::sync::Arc;

use crate::model::fold::fold;

/// The number of bits of a word's number.
const WORD_BITS: u32 = 24;
/// The number of different numbers.
pub const WORD_NUMBERS: u32 = 1 << WORD_BITS;
/// The number that stands for all words of an event with more than [`EVENT_WORDS_MAX`].
pub const ANY_WORD: u32 = 0;
/// Maximum number of distinct words of one event that the index keeps. Existing files have indexes that were built with this
/// number, so it must not be changed.
pub const EVENT_WORDS_MAX: usize = 512;

/// A number of words that few events exceed.
const USUAL_WORDS: usize = 64;
/// Numbers that are collected before those that occur twice are removed.
const COLLECTED_MAX: usize = 8 * EVENT_WORDS_MAX;

/// The numbers of an event's words: ascending, each once; or [`ANY_WORD`] alone.
pub type WordNumbers = Arc<[u32]>;

/// The words of a text, as they are written.
pub fn words(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split(is_separator).filter(|word| !word.is_empty())
}

/// Whether a character separates words.
pub fn is_separator(char: char) -> bool {
    !char.is_alphanumeric()
}

/// The number of a folded word: FNV-1a, mixed so that the upper bits depend on all others.
pub fn word_number(folded: &str) -> u32 {
    finish(folded.bytes().fold(HASH_START, add_byte))
}

/// Collects the numbers of an event's words. It ends as soon as the event has too many.
#[derive(Debug)]
pub struct WordCollector {
    numbers: Vec<u32>,
    is_full: bool,
}

impl Default for WordCollector {
    fn default() -> Self {
        Self { numbers: Vec::with_capacity(USUAL_WORDS), is_full: false }
    }
}

impl WordCollector {
    /// Whether the event has too many words, so that further ones do not count.
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// Adds the words of a text.
    pub fn add(&mut self, text: &str) {
        if text.is_ascii() {
            self.add_plain(text);
        } else {
            words(&fold(text)).map(word_number).take_while(|number| self.push(*number)).for_each(drop);
        }
    }

    /// Adds the words of a text in ASCII.
    pub fn add_plain(&mut self, text: &str) {
        let mut hash = HASH_START;
        for byte in text.bytes() {
            let folded = FOLDED[usize::from(byte)];
            if folded != 0 {
                hash = add_byte(hash, folded);
            } else if hash != HASH_START {
                if !self.push(finish(hash)) {
                    return;
                }
                hash = HASH_START;
            }
        }
        if hash != HASH_START {
            self.push(finish(hash));
        }
    }

    /// Adds a number. Returns whether more count.
    fn push(&mut self, number: u32) -> bool {
        if self.numbers.len() == COLLECTED_MAX {
            self.sort();
            self.is_full |= self.numbers.len() > EVENT_WORDS_MAX;
        }
        if !self.is_full {
            self.numbers.push(number);
        }
        !self.is_full
    }

    fn sort(&mut self) {
        self.numbers.sort_unstable();
        self.numbers.dedup();
    }

    /// The numbers as the index keeps them.
    pub fn finish(mut self) -> WordNumbers {
        self.sort();
        if self.numbers.len() > EVENT_WORDS_MAX { Arc::from([ANY_WORD]) } else { self.numbers.into() }
    }
}

/// Whether a text has these folded words one after another.
pub fn has_sequence(text: &str, folded: &[&str]) -> bool {
    let Some((first, others)) = folded.split_first() else {
        return false;
    };
    if !text.is_ascii() {
        let text = fold(text);
        return starts(words(&text), |word| word == *first)
            .any(|rest| others.iter().copied().eq(rest.take(others.len())));
    }
    starts(words(text), |word| word.eq_ignore_ascii_case(first))
        .any(|mut rest| others.iter().all(|other| rest.next().is_some_and(|word| word.eq_ignore_ascii_case(other))))
}

/// For each word that passes, the words after it.
fn starts<'t, W: Iterator<Item = &'t str> + Clone>(
    mut words: W,
    passes: impl Fn(&str) -> bool,
) -> impl Iterator<Item = W> {
    std::iter::from_fn(move || words.find(|word| passes(word)).map(|_| words.clone()))
}

/// Each letter and digit of ASCII in lower case; 0 for other bytes.
const FOLDED: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < u8::MAX {
        if byte.is_ascii_alphanumeric() {
            table[byte as usize] = byte.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;
const HASH_PRIME: u64 = 0x0100_0000_01b3;
/// A multiplier of the generator `SplitMix64`.
const MIX: u64 = 0xbf58_476d_1ce4_e5b9;

fn add_byte(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(HASH_PRIME)
}

fn finish(hash: u64) -> u32 {
    let number = (hash ^ hash >> 29).wrapping_mul(MIX) >> (u64::BITS - WORD_BITS);
    // The number has 24 bits.
    u32::try_from(number).unwrap_or(ANY_WORD).max(ANY_WORD + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The numbers of a text's words, in order.
    fn numbers(text: &str) -> Vec<u32> {
        let mut collector = WordCollector::default();
        collector.add(text);
        collector.numbers
    }

    #[test]
    fn the_numbers_of_words_never_change() {
        // Files have them.
        assert_eq!(numbers("Checkout-API 42"), [word_number("checkout"), word_number("api"), word_number("42")]);
        assert_eq!(numbers("a"), [16_247_014]);
        assert_eq!(numbers("Stra\u{df}e"), [4_350_780]);
    }

    #[test]
    fn an_event_with_too_many_words_may_have_any() {
        let of = |count: u32| {
            let mut collector = WordCollector::default();
            for word in (1..=count).chain(1..=count).cycle().take(10_000) {
                collector.add_plain(&format!("w{word} "));
            }
            let is_full = collector.is_full();
            (is_full, collector.finish())
        };
        let (is_full, kept) = of(512);
        assert_eq!((is_full, kept.len()), (false, 512));
        assert_eq!(of(513), (true, WordNumbers::from([ANY_WORD])));
        let mut few = WordCollector::default();
        (0..600).for_each(|word| few.add(&format!("{word}-é")));
        assert_eq!((few.is_full(), &*few.finish()), (false, &[ANY_WORD][..]));
    }

    proptest! {
        #[test]
        fn a_sequence_of_words_is_found_and_has_their_numbers(
            text in "[aBzİßé1 .,\u{301}]{0,12}", begin in 0usize..6, count in 0usize..4,
        ) {
            let folded = fold(&text).into_owned();
            let own: Vec<_> = words(&folded).collect();
            let wanted: Vec<_> = own.iter().copied().skip(begin).take(count).collect();
            prop_assert_eq!(has_sequence(&text, &wanted), !wanted.is_empty());
            let known = numbers(&text);
            prop_assert!(wanted.iter().all(|word| known.contains(&word_number(word)) && word_number(word) != ANY_WORD));
            let other = [&wanted[..], &["other"]].concat();
            prop_assert!(!has_sequence(&text, &other));
        }
    }
}
