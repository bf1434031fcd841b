//! Sealing: a full chunk becomes rows of the file.
//!
//! The rows follow from the events and the term dictionary, byte for byte, whenever they are built. `doctor` therefore
//! checks a chunk by building it again, and a crash between two rows costs only building them again.

use std::sync::OnceLock;

use crate::{
    index::{
        chunk::{
            memory::{MemoryChunk, TermColumn, key_fields, term_fields},
            posting_set::PostingSet,
            seal_words,
            sealed::{ChunkSlot, ChunkTable, Generation, RowKey, SealedChunk},
        },
        encode::{bloom::BloomFilter, hash::value_hash, keys, postings::BlockWriter, times},
    },
    model::{field::Field, timestamp::Timestamp},
};

/// One row of a sealed chunk.
#[derive(Debug, PartialEq, Eq)]
pub struct SealedRow {
    pub(in crate::index) table: ChunkTable,
    pub(in crate::index) place: RowKey,
    pub(in crate::index) bytes: Vec<u8>,
}

impl SealedRow {
    /// Approximate size of the row in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len() + 16
    }
}

/// Builds the rows of a chunk for a generation, and the part that stays in memory: the chunk's own row, which must be
/// inserted after all others.
pub fn seal(chunk: &MemoryChunk, generation: Generation) -> std::io::Result<(Vec<SealedRow>, SealedChunk)> {
    let slot = ChunkSlot { number: chunk.number(), generation };
    let ranks = Ranks::of(&chunk.times);
    let mut rows = Vec::new();
    let first_times = time_rows(chunk, slot, &ranks, &mut rows);
    for field in term_fields() {
        let TermColumn { ordinals, positions } = chunk.terms(field);
        let entries = ordinals.iter().zip(positions);
        let occurrences = entries.map(|(ordinal, position)| Occurrence::new(*ordinal, ranks.of_position(*position)));
        rows.extend(posting_rows(slot, field, chunk.length(), occurrences.collect()));
    }
    let mut block_bits = Vec::new();
    for field in key_fields() {
        block_bits.push((field, key_rows(chunk, slot, field, &ranks, &mut rows)?));
    }
    seal_words::word_rows(chunk, slot, &ranks, &mut rows);
    seal_words::part_rows(chunk, slot, &ranks, &mut rows);
    let identifiers = filled(BloomFilter::new(chunk.times.len()), chunk);
    let time_at = |rank: Option<&u16>| rank.map_or(Timestamp::from_micros(0), |rank| chunk.times[usize::from(*rank)]);
    let sealed = SealedChunk {
        slot,
        range: chunk.range,
        length: chunk.length(),
        first: time_at(ranks.order.first()),
        last: time_at(ranks.order.last()),
        first_times,
        block_bits,
        has_damaged_ids: chunk.has_damaged_ids,
        has_words: true,
        identifiers,
        wordy: OnceLock::new(),
    };
    Ok((rows, sealed))
}

/// A filter with the identifiers of a chunk.
fn filled(mut filter: BloomFilter, chunk: &MemoryChunk) -> BloomFilter {
    chunk.keys(Field::Identifier).iter().for_each(|(value, _)| filter.insert(value_hash(value)));
    filter
}

/// The filter that a chunk would have if it had the size of another filter; `None` if no filter for the chunk has that size.
pub(super) fn filter_alike(other: &BloomFilter, chunk: &MemoryChunk) -> Option<BloomFilter> {
    other.new_alike(chunk.times.len()).map(|filter| filled(filter, chunk))
}

/// The order of a chunk's events by time, then by arrival.
pub(super) struct Ranks {
    /// For each rank, the position in order of arrival.
    order: Vec<u16>,
    /// For each position, its rank.
    ranks: Vec<u16>,
}

impl Ranks {
    fn of(times: &[Timestamp]) -> Self {
        let mut order: Vec<u16> = (0..=u16::MAX).take(times.len()).collect();
        // A stable sort keeps equal times in order of arrival.
        order.sort_by_key(|position| times[usize::from(*position)]);
        let mut ranks = vec![0; order.len()];
        for (rank, position) in (0..=u16::MAX).zip(&order) {
            ranks[usize::from(*position)] = rank;
        }
        Self { order, ranks }
    }

    pub(super) fn of_position(&self, position: u16) -> u16 {
        self.ranks[usize::from(position)]
    }

    /// Each position in order of arrival, with its rank.
    pub(super) fn by_position(&self) -> impl Iterator<Item = (u16, u16)> {
        (0..=u16::MAX).zip(self.ranks.iter().copied())
    }
}

/// Returns the first timestamp of each block.
fn time_rows(chunk: &MemoryChunk, slot: ChunkSlot, ranks: &Ranks, rows: &mut Vec<SealedRow>) -> Vec<Timestamp> {
    let mut first_times = Vec::new();
    for (number, positions) in (0..).zip(ranks.order.chunks(times::BLOCK_EVENTS)) {
        let positions = positions.iter().map(|position| usize::from(*position));
        let events: Vec<_> = positions.map(|position| (chunk.times[position], chunk.offsets[position])).collect();
        first_times.extend(events.first().map(|(timestamp, _)| *timestamp));
        let place = RowKey::time_block(slot, number);
        rows.push(SealedRow { table: ChunkTable::Time, place, bytes: times::encode(&events) });
    }
    first_times
}

/// A term or a word, and the rank of an event that has it. One integer sorts twice as fast as a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurrence(u64);

impl Occurrence {
    /// A term or the number of a word, and a rank.
    pub fn new(number: u32, rank: u16) -> Self {
        Self(u64::from(number) << u16::BITS | u64::from(rank))
    }

    pub(super) fn number(self) -> u32 {
        u32::try_from(self.0 >> u16::BITS).unwrap_or(u32::MAX)
    }

    pub(super) fn rank(self) -> u16 {
        u16::try_from(self.0 & u64::from(u16::MAX)).unwrap_or(u16::MAX)
    }
}

/// Sorts occurrences and calls `each` with each number and its ranks, both in ascending order.
pub(super) fn each_number(occurrences: &mut [Occurrence], mut each: impl FnMut(u32, &[u16])) {
    occurrences.sort_unstable();
    let mut ranks = Vec::new();
    for of_one in occurrences.chunk_by(|one, other| one.number() == other.number()) {
        ranks.clear();
        ranks.extend(of_one.iter().map(|occurrence| occurrence.rank()));
        each(of_one[0].number(), &ranks);
    }
}

/// The rows of one field of a chunk with this number of events, from the occurrences of its terms.
pub fn posting_rows(slot: ChunkSlot, field: Field, length: u32, mut occurrences: Vec<Occurrence>) -> Vec<SealedRow> {
    let mut writer = BlockWriter::new(length);
    each_number(&mut occurrences, |ordinal, ranks| writer.push(ordinal, ranks));
    let set = PostingSet::Terms(field);
    let row = |(first, bytes)| SealedRow { table: set.table(), place: RowKey::posting(slot, set, first), bytes };
    writer.finish().into_iter().map(row).collect()
}

/// Returns the number of key blocks, as a power of two.
fn key_rows(
    chunk: &MemoryChunk,
    slot: ChunkSlot,
    field: Field,
    ranks: &Ranks,
    rows: &mut Vec<SealedRow>,
) -> std::io::Result<u8> {
    let mut entries: Vec<(&str, u16)> =
        chunk.keys(field).iter().map(|(value, position)| (value, ranks.of_position(position))).collect();
    entries.sort_unstable();
    let values = || entries.chunk_by(|one, other| one.0 == other.0);
    let bits = keys::block_bits(values().map(|of_one| of_one[0].0.len() + 1).sum());
    let mut blocks: Vec<Vec<(&str, Vec<u16>)>> = vec![Vec::new(); 1 << bits];
    for of_one in values() {
        let positions = of_one.iter().map(|(_, rank)| *rank).collect();
        blocks[usize::from(keys::block_of(of_one[0].0, bits))].push((of_one[0].0, positions));
    }
    for (number, block) in (0..).zip(&blocks).filter(|(_, block)| !block.is_empty()) {
        let values: Vec<_> = block.iter().map(|(value, positions)| (*value, positions.as_slice())).collect();
        let place = RowKey::key_block(slot, field, number);
        rows.push(SealedRow { table: ChunkTable::Key, place, bytes: keys::encode(&values)? });
    }
    Ok(bits)
}
