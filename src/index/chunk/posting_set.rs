//! The kinds of postings of a chunk, each a range of ordinals in the same rows.

use crate::{index::chunk::sealed::ChunkTable, model::field::Field};

/// What the ordinals of postings mean, and what their positions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::index) enum PostingSet {
    /// Terms of a field: events.
    Terms(Field),
    /// Numbers of rare words: events.
    Words,
    /// Numbers of the other words: groups of events. Which of a group's events has the word is read from the events.
    CommonWords,
    /// Parts of three bytes of identifiers and other per-chunk values: groups of events.
    KeyParts,
}

impl PostingSet {
    /// The table of the rows. Declared fields have a table of their own, in which their slots count from 0.
    pub(in crate::index) const fn table(self) -> ChunkTable {
        match self {
            Self::Terms(field) if field.slot().is_some() => ChunkTable::Custom,
            _ => ChunkTable::Posting,
        }
    }

    /// The code in the key of a row, next to the codes of fields. It has 6 bits.
    pub(in crate::index) const fn code(self) -> u8 {
        match self {
            Self::Terms(field) => match field.slot() {
                Some(own) => own.number(),
                None => field.code(),
            },
            Self::Words => 61,
            Self::CommonWords => 62,
            Self::KeyParts => 63,
        }
    }

    /// The number of events that one position stands for: a divisor of 64.
    pub(in crate::index) const fn group_events(self) -> u16 {
        match self {
            Self::Terms(_) | Self::Words => 1,
            Self::CommonWords => 16,
            Self::KeyParts => 64,
        }
    }

    /// The number of positions in a chunk of this many events.
    pub(in crate::index) fn length(self, events: u32) -> u32 {
        events.div_ceil(self.group_events().into())
    }
}
