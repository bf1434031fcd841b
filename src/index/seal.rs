//! Sealing: a full chunk becomes rows of the file.
//!
//! The rows follow from the events and the dictionary alone, byte for byte, whenever they are made: so `doctor` checks a
//! chunk by making it again, and a crash between two of them costs nothing but making them again.

use crate::{
    index::{
        hash::value_hash,
        keys,
        membership::Membership,
        memory::{MemoryChunk, TermColumn, key_fields, term_fields},
        posting::BlockWriter,
        sealed::{Place, SealedChunk, Table},
        times,
    },
    model::{field::Field, timestamp::Timestamp},
};

/// One row of a sealed chunk.
#[derive(Debug, PartialEq, Eq)]
pub struct SealedRow {
    pub(super) table: Table,
    pub(super) place: Place,
    pub(super) bytes: Vec<u8>,
}

impl SealedRow {
    /// About how many bytes the row takes.
    pub fn bytes(&self) -> usize {
        self.bytes.len() + 16
    }
}

/// Makes the rows of a chunk, and what is kept of it in memory: its own row, to be written after all others.
pub fn seal(chunk: &MemoryChunk) -> std::io::Result<(Vec<SealedRow>, SealedChunk)> {
    let ranks = Ranks::of(&chunk.times);
    let mut rows = Vec::new();
    let first_times = time_rows(chunk, &ranks, &mut rows);
    for field in term_fields() {
        posting_rows(chunk.number, field, chunk.terms(field), &ranks, &mut rows);
    }
    let mut block_bits = Vec::new();
    for field in key_fields() {
        block_bits.push((field, key_rows(chunk, field, &ranks, &mut rows)?));
    }
    let mut identifiers = Membership::new(chunk.times.len());
    chunk.keys(Field::Identifier).iter().for_each(|(value, _)| identifiers.insert(value_hash(value)));
    let time_at = |rank: Option<&u16>| rank.map_or(Timestamp::from_micros(0), |rank| chunk.times[usize::from(*rank)]);
    let sealed = SealedChunk {
        number: chunk.number,
        length: chunk.length(),
        first: time_at(ranks.order.first()),
        last: time_at(ranks.order.last()),
        first_times,
        block_bits,
        has_lost: chunk.has_lost,
        identifiers,
    };
    Ok((rows, sealed))
}

/// The order of a chunk's events by time, ties by arrival.
struct Ranks {
    /// The offset of the event with each rank.
    order: Vec<u16>,
    /// The rank of the event at each offset.
    ranks: Vec<u16>,
}

impl Ranks {
    fn of(times: &[Timestamp]) -> Self {
        let mut order: Vec<u16> = (0..=u16::MAX).take(times.len()).collect();
        // Stable, so that equal times stay in order of arrival.
        order.sort_by_key(|offset| times[usize::from(*offset)]);
        let mut ranks = vec![0; order.len()];
        for (rank, offset) in (0..=u16::MAX).zip(&order) {
            ranks[usize::from(*offset)] = rank;
        }
        Self { order, ranks }
    }

    fn of_offset(&self, offset: u16) -> u16 {
        self.ranks[usize::from(offset)]
    }
}

/// Returns the first timestamp of each block.
fn time_rows(chunk: &MemoryChunk, ranks: &Ranks, rows: &mut Vec<SealedRow>) -> Vec<Timestamp> {
    let mut first_times = Vec::new();
    for (number, offsets) in (0..).zip(ranks.order.chunks(times::BLOCK_EVENTS)) {
        let events: Vec<_> = offsets.iter().map(|offset| (chunk.times[usize::from(*offset)], *offset)).collect();
        first_times.extend(events.first().map(|(timestamp, _)| *timestamp));
        let place = Place::time_block(chunk.number, number);
        rows.push(SealedRow { table: Table::Time, place, bytes: times::encode(&events) });
    }
    first_times
}

fn posting_rows(chunk: u32, field: Field, column: &TermColumn, ranks: &Ranks, rows: &mut Vec<SealedRow>) {
    let length = u32::try_from(ranks.order.len()).unwrap_or(u32::MAX);
    let with_ranks = column.ordinals.iter().zip(&column.positions);
    let mut entries: Vec<(u32, u16)> =
        with_ranks.map(|(ordinal, position)| (*ordinal, ranks.of_offset(*position))).collect();
    entries.sort_unstable();
    let mut writer = BlockWriter::new(length);
    for of_one in entries.chunk_by(|one, other| one.0 == other.0) {
        let positions: Vec<u16> = of_one.iter().map(|(_, rank)| *rank).collect();
        writer.push(of_one[0].0, &positions);
    }
    for (first, bytes) in writer.finish() {
        rows.push(SealedRow { table: Table::Posting, place: Place::posting(chunk, field, first), bytes });
    }
}

/// Returns into how many blocks the keys were dealt, as a power of two.
fn key_rows(chunk: &MemoryChunk, field: Field, ranks: &Ranks, rows: &mut Vec<SealedRow>) -> std::io::Result<u8> {
    let mut entries: Vec<(&str, u16)> =
        chunk.keys(field).iter().map(|(value, offset)| (value, ranks.of_offset(offset))).collect();
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
        let place = Place::key_block(chunk.number, field, number);
        rows.push(SealedRow { table: Table::Key, place, bytes: keys::encode(&values)? });
    }
    Ok(bits)
}
