//! Sealed chunks: the part of each that stays in memory, and reading the rest from its rows.

use std::sync::OnceLock;

use rusqlite::{Connection, params};

use crate::{
    index::{
        chunk::{posting_set::PostingSet, range::ChunkRange},
        encode::{
            bitset::Bitset,
            bloom::BloomFilter,
            keys::{self, KeyBlock},
            postings::{self, Posting},
            times::{BLOCK_EVENTS, TimeBlock},
        },
        error::{IndexError, Result},
    },
    model::{cursor::Position, field::Field, search::MESSAGE_WORDS_MAX, timestamp::Timestamp},
};

/// Above this many terms of one field, all its postings are read at once instead of term by term.
const SEEKS_MAX: usize = 16;

/// A table of chunk rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkTable {
    /// Timestamps and offsets.
    Time,
    /// Terms and their postings.
    Posting,
    /// Keys and their postings.
    Key,
    /// Terms of the fields that the operator has declared, and their postings.
    Custom,
}

impl ChunkTable {
    /// All tables.
    pub const ALL: [Self; 4] = [Self::Time, Self::Posting, Self::Key, Self::Custom];

    pub(in crate::index) const fn name(self) -> &'static str {
        match self {
            Self::Time => "chunk_time",
            Self::Posting => "chunk_posting",
            Self::Key => "chunk_key",
            Self::Custom => "chunk_custom",
        }
    }

    /// The column next to the key.
    pub(in crate::index) const fn column(self) -> &'static str {
        match self {
            Self::Time => "times",
            Self::Posting | Self::Custom => "terms",
            Self::Key => "keys",
        }
    }
}

/// One of the two places that can hold a chunk's rows. A chunk is first sealed in the first generation. When it is
/// sealed again without deleted events, its new rows go into the other generation while queries still use the old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Every second sealing, beginning with the first.
    First,
    /// Every second sealing, beginning with the second.
    Second,
}

impl Generation {
    /// The generation after this one.
    pub const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    pub(in crate::index) const fn code(self) -> u8 {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }

    pub(in crate::index) const fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(Self::First),
            1 => Some(Self::Second),
            _ => None,
        }
    }
}

/// A place for the rows of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSlot {
    /// The chunk's number.
    pub number: u32,
    /// The generation of the rows.
    pub generation: Generation,
}

impl ChunkSlot {
    /// The range of the row keys, the end excluded.
    pub(in crate::index) const fn places(self) -> (i64, i64) {
        let first = RowKey::first(self).0;
        (first, first + (1 << CHUNK_SHIFT))
    }
}

/// A row's key: generation and chunk number in the upper bits, and the table's own part below. The rows of one chunk
/// are neighbors, and new chunks append at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::index) struct RowKey(pub(in crate::index) i64);

/// Bits below the chunk number, wide enough for a field and an ordinal.
const CHUNK_SHIFT: u32 = 38;
const FIELD_SHIFT: u32 = 32;
/// The highest bit that keeps a key positive.
const GENERATION_SHIFT: u32 = 62;

impl RowKey {
    /// The first key of a slot.
    pub(in crate::index) const fn first(slot: ChunkSlot) -> Self {
        // Chunk numbers start at 0 and stay below 2^24: there are at most 2^40 events.
        Self((slot.generation.code() as i64) << GENERATION_SHIFT | (slot.number as i64) << CHUNK_SHIFT)
    }

    pub(in crate::index) const fn time_block(slot: ChunkSlot, block: u16) -> Self {
        Self(Self::first(slot).0 | block as i64)
    }

    pub(in crate::index) const fn posting(slot: ChunkSlot, set: PostingSet, ordinal: u32) -> Self {
        Self(Self::first(slot).0 | (set.code() as i64) << FIELD_SHIFT | ordinal as i64)
    }

    pub(in crate::index) const fn key_block(slot: ChunkSlot, field: Field, block: u16) -> Self {
        Self(Self::first(slot).0 | (field.code() as i64) << FIELD_SHIFT | block as i64)
    }

    /// The ordinal in the key of a posting row.
    fn ordinal(self) -> u32 {
        u32::try_from(self.0 & i64::from(u32::MAX)).unwrap_or(0)
    }
}

/// The copy of a sealed chunk's own row in memory.
#[derive(Debug, PartialEq, Eq)]
pub struct SealedChunk {
    pub(in crate::index) slot: ChunkSlot,
    pub(in crate::index) range: ChunkRange,
    /// The number of events.
    pub(in crate::index) length: u32,
    /// The earliest event time.
    pub(in crate::index) first: Timestamp,
    /// The latest event time.
    pub(in crate::index) last: Timestamp,
    /// The first timestamp of each block.
    pub(in crate::index) first_times: Vec<Timestamp>,
    /// The number of key blocks of each field, as a power of two.
    pub(in crate::index) block_bits: Vec<(Field, u8)>,
    /// Whether the chunk has an event of whose identifier only a part of the hash remains.
    pub(in crate::index) has_damaged_ids: bool,
    /// Whether the chunk has the words of its events, and the parts of its per-chunk values. One that damage kept an earlier
    /// version's migration from rebuilding has neither.
    pub(in crate::index) has_words: bool,
    pub(in crate::index) identifiers: BloomFilter,
    /// The events whose messages have as many words as the index keeps, mostly none. Computed at first use.
    pub(in crate::index) wordy: OnceLock<Vec<u16>>,
}

impl SealedChunk {
    /// The slot that holds the chunk's rows.
    pub fn slot(&self) -> ChunkSlot {
        self.slot
    }

    /// The number of events.
    pub fn length(&self) -> u32 {
        self.length
    }
}

/// Reads one chunk on a connection.
pub(in crate::index) struct ChunkReader<'c> {
    pub(in crate::index) chunk: &'c SealedChunk,
    pub(in crate::index) connection: &'c Connection,
    /// The last block of times that was read. Neighbors are usually requested in sequence.
    block: Option<(usize, TimeBlock)>,
}

impl<'c> ChunkReader<'c> {
    pub(in crate::index) fn new(chunk: &'c SealedChunk, connection: &'c Connection) -> Self {
        Self { chunk, connection, block: None }
    }

    /// Adds the events that have a term of `ordinals`, which ascend.
    pub(in crate::index) fn add_terms(&self, field: Field, ordinals: &[u32], bits: &mut Bitset) -> Result<()> {
        let ([first, ..], [.., last]) = (ordinals, ordinals) else {
            return Ok(());
        };
        if ordinals.len() > SEEKS_MAX {
            let mut wanted = ordinals.iter().copied().peekable();
            return self.each_posting(PostingSet::Terms(field), *first, *last, |posting| {
                while wanted.next_if(|ordinal| *ordinal < posting.ordinal).is_some() {}
                if wanted.next_if_eq(&posting.ordinal).is_some() {
                    posting.add_to(bits);
                }
            });
        }
        for ordinal in ordinals {
            self.add_posting(PostingSet::Terms(field), *ordinal, bits)?;
        }
        Ok(())
    }

    /// Adds the events whose messages have as many words as the index keeps, and may have more.
    pub(in crate::index) fn add_wordy(&self, bits: &mut Bitset) -> Result<()> {
        let wordy = match self.chunk.wordy.get() {
            Some(wordy) => wordy,
            None => {
                let counted = self.count_words()?;
                self.chunk.wordy.get_or_init(|| counted)
            }
        };
        for position in wordy {
            bits.insert(*position);
        }
        Ok(())
    }

    /// The events that have as many words as the index keeps, by their postings.
    fn count_words(&self) -> Result<Vec<u16>> {
        let mut counts = vec![0_u16; self.chunk.length as usize];
        self.each_posting(PostingSet::Terms(Field::Word), 0, u32::MAX, |posting| posting.count_each(&mut counts))?;
        let is_full = |count: &u16| usize::from(*count) >= MESSAGE_WORDS_MAX;
        Ok((0..=u16::MAX).zip(&counts).filter(|(_, count)| is_full(count)).map(|(position, _)| position).collect())
    }

    /// Adds the positions of one posting.
    pub(super) fn add_posting(&self, set: PostingSet, ordinal: u32, bits: &mut Bitset) -> Result<()> {
        self.each_posting(set, ordinal, ordinal, |posting| {
            if posting.ordinal == ordinal {
                posting.add_to(bits);
            }
        })
    }

    /// Calls `each` with postings in order of ordinal, from `first` to `last`, both included, and
    /// possibly some around them.
    pub(in crate::index) fn each_posting(
        &self,
        set: PostingSet,
        first: u32,
        last: u32,
        mut each: impl FnMut(&Posting<'_>),
    ) -> Result<()> {
        // The block that may hold `first` begins at or before it.
        let sql = match set.table() {
            ChunkTable::Custom => {
                "SELECT place, terms FROM chunk_custom WHERE place BETWEEN \
                 coalesce((SELECT max(place) FROM chunk_custom WHERE place BETWEEN ?1 AND ?2), ?2) AND ?3 ORDER BY place"
            }
            _ => {
                "SELECT place, terms FROM chunk_posting WHERE place BETWEEN \
                 coalesce((SELECT max(place) FROM chunk_posting WHERE place BETWEEN ?1 AND ?2), ?2) AND ?3 ORDER BY place"
            }
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        let place = |ordinal| RowKey::posting(self.chunk.slot, set, ordinal).0;
        let length = set.length(self.chunk.length);
        let mut rows = statement.query(params![place(0), place(first), place(last)])?;
        while let Some(row) = rows.next()? {
            let (place, block) = (RowKey(row.get(0)?), row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?);
            postings::for_each(block, place.ordinal(), length, &mut each).ok_or_else(|| self.damaged("a posting"))?;
        }
        Ok(())
    }

    /// Adds the events that have this key.
    pub(in crate::index) fn add_key(&self, field: Field, value: &str, bits: &mut Bitset) -> Result<()> {
        let number = keys::block_of(value, self.block_bits(field));
        self.each_key_block(field, number, number, |block| block.add_exact(value, bits))
    }

    /// Calls `each` with the key blocks of a field from `first` to `last`, both included.
    pub(in crate::index) fn each_key_block(
        &self,
        field: Field,
        first: u16,
        last: u16,
        mut each: impl FnMut(&KeyBlock) -> Option<()>,
    ) -> Result<()> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT keys FROM chunk_key WHERE place BETWEEN ?1 AND ?2 ORDER BY place")?;
        let place = |block| RowKey::key_block(self.chunk.slot, field, block).0;
        let mut rows = statement.query(params![place(first), place(last)])?;
        while let Some(row) = rows.next()? {
            let block = KeyBlock::decode(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
            block.and_then(|block| each(&block)).ok_or_else(|| self.damaged("the keys"))?;
        }
        Ok(())
    }

    /// The seq of the event with this rank.
    pub(in crate::index) fn position(&mut self, rank: u16) -> Result<Position> {
        let (number, index) = (usize::from(rank) / BLOCK_EVENTS, usize::from(rank) % BLOCK_EVENTS);
        if self.block.as_ref().is_none_or(|(known, _)| *known != number) {
            self.block = Some((number, self.time_block(number)?));
        }
        let found = self.block.as_ref().and_then(|(_, block)| block.get(index));
        let (timestamp, offset) = found.ok_or_else(|| self.damaged("the times"))?;
        Ok(Position { timestamp, seq: self.chunk.range.seq_at(offset) })
    }

    /// The number of events before a position in the order of time.
    pub(in crate::index) fn rank_of(&mut self, place: Position) -> Result<u32> {
        let times = &self.chunk.first_times;
        // Blocks that begin before the time hold events before it. Blocks that begin at the time may hold some, by
        // arrival.
        let low = times.partition_point(|first| *first < place.timestamp).saturating_sub(1) * BLOCK_EVENTS;
        let high = times.partition_point(|first| *first <= place.timestamp) * BLOCK_EVENTS;
        let bound = |rank: usize| u32::try_from(rank).unwrap_or(u32::MAX).min(self.chunk.length);
        let (mut low, mut high) = (bound(low), bound(high));
        while low < high {
            let middle = low.midpoint(high);
            if self.position(u16::try_from(middle).unwrap_or(u16::MAX))? < place {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn time_block(&self, number: usize) -> Result<TimeBlock> {
        let mut statement = self.connection.prepare_cached("SELECT times FROM chunk_time WHERE place = ?1")?;
        let place = RowKey::time_block(self.chunk.slot, u16::try_from(number).unwrap_or(u16::MAX)).0;
        let mut rows = statement.query([place])?;
        let events = (self.chunk.length as usize).saturating_sub(number * BLOCK_EVENTS).min(BLOCK_EVENTS);
        let block = match rows.next()? {
            Some(row) => TimeBlock::decode(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?, events),
            None => None,
        };
        block.ok_or_else(|| self.damaged("the times"))
    }

    /// The identifier of the event with this seq.
    pub(in crate::index) fn identifier_of(&mut self, seq: i64) -> Result<Option<String>> {
        let mut found = None;
        for rank in (0..=u16::MAX).take(self.chunk.length as usize) {
            if self.position(rank)?.seq == seq {
                self.each_key_block(Field::Identifier, 0, u16::MAX, |block| block.find_value(rank, &mut found))?;
                break;
            }
        }
        Ok(found)
    }

    fn block_bits(&self, field: Field) -> u8 {
        self.chunk.block_bits.iter().find(|(known, _)| *known == field).map_or(0, |(_, bits)| *bits)
    }

    pub(super) fn damaged(&self, part: &str) -> IndexError {
        IndexError::damaged(self.chunk.slot.number, part)
    }
}
