//! Reading the words of a sealed chunk's events, and the parts of its per-chunk values.

use crate::{
    index::{
        chunk::{memory::searched_keys, posting_set::PostingSet, sealed::ChunkReader},
        encode::{bitset::Bitset, parts::parts},
        error::Result,
    },
    model::{search::SearchText, words::ANY_WORD},
};

/// If more than one event in this many may have a per-chunk value with a text, all values are read, instead of these events.
const READ_SHARE: u32 = 16;

impl ChunkReader<'_> {
    /// Adds the events that may have all of these words.
    pub(in crate::index) fn add_words(&self, numbers: &[u32], bits: &mut Bitset) -> Result<()> {
        if !self.chunk.has_words {
            *bits = Bitset::all(self.chunk.length);
            return Ok(());
        }
        let mut all = Bitset::all(self.chunk.length);
        for number in numbers {
            let mut some = Bitset::none(self.chunk.length);
            self.add_word(*number, &mut some)?;
            all.keep(&some);
            if all.is_empty() {
                break;
            }
        }
        bits.add(&all);
        self.add_word(ANY_WORD, bits)
    }

    /// Adds the events that may have a word.
    fn add_word(&self, number: u32, bits: &mut Bitset) -> Result<()> {
        self.add_posting(PostingSet::Words, number, bits)?;
        self.add_groups(PostingSet::CommonWords, number, bits)
    }

    /// Adds the events that have a per-chunk value with a search text to `sure`, or those that may have one to `unsure`.
    pub(in crate::index) fn add_keys_holding(
        &self,
        text: &SearchText,
        sure: &mut Bitset,
        unsure: &mut Bitset,
    ) -> Result<()> {
        let candidates = self.candidates(text)?;
        if candidates.count() * READ_SHARE <= self.chunk.length {
            unsure.add(&candidates);
            return Ok(());
        }
        for field in searched_keys() {
            self.each_key_block(field, 0, u16::MAX, |block| block.add_holding(text, sure))?;
        }
        Ok(())
    }

    /// The events that may have a per-chunk value with a text.
    fn candidates(&self, text: &SearchText) -> Result<Bitset> {
        let mut all = Bitset::all(self.chunk.length);
        if self.chunk.has_words {
            for part in parts(&text.text) {
                let mut some = Bitset::none(self.chunk.length);
                self.add_groups(PostingSet::KeyParts, part.into(), &mut some)?;
                all.keep(&some);
                if all.is_empty() {
                    break;
                }
            }
        }
        Ok(all)
    }

    /// Adds the events of the groups in a posting.
    fn add_groups(&self, set: PostingSet, ordinal: u32, bits: &mut Bitset) -> Result<()> {
        let mut groups = Bitset::none(set.length(self.chunk.length));
        self.add_posting(set, ordinal, &mut groups)?;
        bits.add_groups(&groups, set.group_events());
        Ok(())
    }
}
