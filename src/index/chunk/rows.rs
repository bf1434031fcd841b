//! The index's rows in the file: writing sealed chunks, reading their own rows, deleting orphans.

use std::sync::OnceLock;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    index::{
        chunk::{
            memory::MemoryChunk,
            memory::key_fields,
            posting_set::PostingSet,
            range::ChunkRange,
            seal::{self, SealedRow},
            sealed::{ChunkReader, ChunkSlot, ChunkTable, Generation, RowKey, SealedChunk},
        },
        damaged_id,
        encode::{
            bloom::BloomFilter,
            keys::{BLOCK_BITS_MAX, KeyBlock},
        },
        error::{IndexError, Result, is_corrupt},
    },
    model::{field::Field, timestamp::Timestamp},
};

/// In `key_blocks`, a code that no field has: the chunk has an event of whose identifier only a part remains.
const HAS_DAMAGED_IDS: [u8; 2] = [0, 0];
/// In `key_blocks`, a code that no field has: the chunk has the words of its events, and the parts of its per-chunk values.
const HAS_WORDS: [u8; 2] = [PostingSet::Words.code(), 0];

/// Inserts rows of a chunk. They are not read until the chunk's own row exists.
pub fn insert_rows(connection: &Connection, rows: &[SealedRow]) -> rusqlite::Result<()> {
    for row in rows {
        let sql = match row.table {
            ChunkTable::Time => "INSERT INTO chunk_time (place, times) VALUES (?1, ?2)",
            ChunkTable::Posting => "INSERT INTO chunk_posting (place, terms) VALUES (?1, ?2)",
            ChunkTable::Key => "INSERT INTO chunk_key (place, keys) VALUES (?1, ?2)",
            ChunkTable::Custom => "INSERT INTO chunk_custom (place, terms) VALUES (?1, ?2)",
        };
        connection.prepare_cached(sql)?.execute(params![row.place.0, row.bytes])?;
    }
    Ok(())
}

/// Inserts a chunk's own row, which seals the chunk.
pub fn insert_chunk(connection: &Connection, chunk: &SealedChunk) -> rusqlite::Result<()> {
    let first_times: Vec<u8> = chunk.first_times.iter().flat_map(|time| time.micros().to_le_bytes()).collect();
    let mut key_blocks: Vec<u8> = chunk.block_bits.iter().flat_map(|(field, bits)| [field.code(), *bits]).collect();
    if chunk.has_damaged_ids {
        key_blocks.extend(HAS_DAMAGED_IDS);
    }
    if chunk.has_words {
        key_blocks.extend(HAS_WORDS);
    }
    connection
        .prepare_cached(
            "INSERT INTO chunk (number, side, events, first, last, first_times, key_blocks, identifiers) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            chunk.slot.number,
            chunk.slot.generation.code(),
            chunk.length,
            chunk.first.micros(),
            chunk.last.micros(),
            first_times,
            key_blocks,
            chunk.identifiers.to_bytes(),
        ])?;
    Ok(())
}

/// Deletes a chunk's own row. After this, the chunk's remaining rows are orphans.
pub fn delete_chunk(connection: &Connection, number: u32) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM chunk WHERE number = ?1")?.execute([number]).map(drop)
}

/// Every sealed chunk in order, in an index with this many events per chunk. The caller checks that no chunk is missing.
pub fn sealed_chunks(connection: &Connection, chunk_events: u32) -> Result<Vec<SealedChunk>> {
    let chunks: Vec<SealedChunk> = connection
        .prepare(&format!("{SELECT_CHUNK} ORDER BY number"))?
        .query_and_then([], |row| read_chunk(row, chunk_events))?
        .collect::<Result<_>>()?;
    match chunks.iter().find(|chunk| !(1..=chunk_events).contains(&chunk.length)) {
        Some(chunk) => Err(IndexError::damaged(chunk.slot.number, "the row")),
        None => Ok(chunks),
    }
}

const SELECT_CHUNK: &str = "SELECT number, side, events, first, last, first_times, key_blocks, identifiers FROM chunk";

fn read_chunk(row: &Row<'_>, chunk_events: u32) -> Result<SealedChunk> {
    let number = row.get(0)?;
    let blob = |column| row.get_ref(column).and_then(|value| Ok(value.as_blob()?));
    let damaged = || IndexError::damaged(number, "the row");
    let (first_times, _) = blob(5)?.as_chunks();
    let (key_blocks, _) = blob(6)?.as_chunks();
    let mut block_bits = Vec::new();
    for field in key_fields() {
        let bits = key_blocks.iter().find(|[code, _]| *code == field.code()).map(|[_, bits]| *bits);
        block_bits.push((field, bits.filter(|bits| *bits <= BLOCK_BITS_MAX).ok_or_else(damaged)?));
    }
    Ok(SealedChunk {
        slot: ChunkSlot { number, generation: Generation::from_code(row.get(1)?).ok_or_else(damaged)? },
        range: ChunkRange::new(number, chunk_events),
        length: row.get(2)?,
        first: Timestamp::from_micros(row.get(3)?),
        last: Timestamp::from_micros(row.get(4)?),
        first_times: first_times.iter().map(|bytes| Timestamp::from_micros(i64::from_le_bytes(*bytes))).collect(),
        block_bits,
        has_damaged_ids: key_blocks.contains(&HAS_DAMAGED_IDS),
        has_words: key_blocks.contains(&HAS_WORDS),
        identifiers: BloomFilter::from_bytes(blob(7)?).ok_or_else(damaged)?,
        wordy: OnceLock::new(),
    })
}

/// Deletes orphans: rows that a crash left of a chunk that was being sealed or deleted. Rows that cannot be deleted
/// because of a damaged page remain; nothing reads them, and no chunk is sealed over them ([`free_generation`]). Do not call
/// this in a transaction: one that has met a damaged page cannot commit.
pub fn delete_orphans(connection: &Connection) -> rusqlite::Result<()> {
    unclaimed(connection)?.into_iter().try_for_each(|places| delete_unclaimed(connection, places))
}

/// Deletes the orphans in one slot, where no chunk's rows remain.
pub fn delete_orphans_in(connection: &Connection, slot: ChunkSlot) -> rusqlite::Result<()> {
    let (first, end) = slot.places();
    delete_unclaimed(connection, (first, end - 1))
}

fn delete_unclaimed(connection: &Connection, places: (i64, i64)) -> rusqlite::Result<()> {
    for table in ChunkTable::ALL {
        match delete(connection, table, places, i64::MAX) {
            Ok(_) => {}
            Err(error) if is_corrupt(&error) => tracing::error!(
                %error, table = table.name(),
                "a page of the file is damaged: rows of the index that belong to no chunk were left on it, if it has any; \
                 run auditbox doctor"
            ),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The ranges of keys, both ends included, that belong to no chunk.
fn unclaimed(connection: &Connection) -> rusqlite::Result<Vec<(i64, i64)>> {
    let mut statement = connection.prepare("SELECT number, side FROM chunk")?;
    let mut rows = statement.query([])?;
    let mut claimed = Vec::new();
    while let Some(row) = rows.next()? {
        let (number, generation) = (row.get::<_, i64>(0)?, Generation::from_code(row.get(1)?));
        if let Ok(number) = u32::try_from(number) {
            // If the stored generation is damaged, the chunk's rows may be in either.
            let generations = generation.map_or(vec![Generation::First, Generation::Second], |known| vec![known]);
            claimed.extend(generations.into_iter().map(|generation| ChunkSlot { number, generation }.places()));
        }
    }
    claimed.sort_unstable();
    let (mut unclaimed, mut from) = (Vec::new(), i64::MIN);
    for (first, end) in claimed {
        if from < first {
            unclaimed.push((from, first - 1));
        }
        from = end;
    }
    unclaimed.push((from, i64::MAX));
    Ok(unclaimed)
}

/// Deletes at most the given number of rows of a table from a slot whose chunk no longer exists. Returns whether more
/// remain.
pub fn delete_rows(
    connection: &Connection,
    slot: ChunkSlot,
    table: ChunkTable,
    rows_max: i64,
) -> rusqlite::Result<bool> {
    let (first, end) = slot.places();
    Ok(delete(connection, table, (first, end - 1), rows_max)? == rows_max)
}

/// Deletes at most the given number of rows of a declared field from a chunk. Returns whether more may remain.
pub fn delete_field_rows(
    connection: &Connection,
    slot: ChunkSlot,
    field: Field,
    rows_max: i64,
) -> rusqlite::Result<bool> {
    let set = PostingSet::Terms(field);
    let places = (RowKey::posting(slot, set, 0).0, RowKey::posting(slot, set, u32::MAX).0);
    Ok(delete(connection, set.table(), places, rows_max)? == rows_max)
}

/// Deletes at most the given number of rows with keys in a range, both ends included; returns the number.
fn delete(
    connection: &Connection,
    table: ChunkTable,
    (first, last): (i64, i64),
    rows_max: i64,
) -> rusqlite::Result<i64> {
    let name = table.name();
    let sql =
        format!("DELETE FROM {name} WHERE place IN (SELECT place FROM {name} WHERE place BETWEEN ?1 AND ?2 LIMIT ?3)");
    let deleted = connection.prepare_cached(&sql)?.execute([first, last, rows_max])?;
    Ok(i64::try_from(deleted).unwrap_or(i64::MAX))
}

/// The generation in which a chunk can be sealed: one without any rows. `None` if both have rows, which only damage can
/// cause.
pub fn free_generation(connection: &Connection, number: u32) -> rusqlite::Result<Option<Generation>> {
    for generation in [Generation::First, Generation::Second] {
        if is_free(connection, ChunkSlot { number, generation })? {
            return Ok(Some(generation));
        }
    }
    Ok(None)
}

/// Whether a slot has no rows. A damaged page that may hold some counts as rows.
pub fn is_free(connection: &Connection, slot: ChunkSlot) -> rusqlite::Result<bool> {
    let (first, end) = slot.places();
    for table in ChunkTable::ALL {
        let name = table.name();
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {name} WHERE place >= ?1 AND place < ?2)");
        match connection.prepare_cached(&sql)?.query_row([first, end], |row| row.get(0)) {
            Ok(false) => {}
            Ok(true) => return Ok(false),
            Err(error) if is_corrupt(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// The generation of a chunk's rows; `None` if there is no such chunk.
pub fn generation_of(connection: &Connection, number: u32) -> rusqlite::Result<Option<Generation>> {
    let code = connection
        .prepare_cached("SELECT side FROM chunk WHERE number = ?1")?
        .query_row([number], |row| row.get(0))
        .optional()?;
    // An invalid generation is damage. Comparing the rows reports it.
    Ok(code.map(|code| Generation::from_code(code).unwrap_or(Generation::First)))
}

/// Whether two rows have the same content. Compressed keys may differ in bytes, because another release of the
/// compressor may compress them differently.
fn says_the_same(table: ChunkTable, found: &[u8], expected: &[u8]) -> bool {
    let unpacked = || Some(KeyBlock::decode(found)?.is_same(&KeyBlock::decode(expected)?));
    found == expected || (table == ChunkTable::Key && unpacked() == Some(true))
}

/// The identifier that the index has for an event of a sealed chunk; `None` if it has none.
pub fn identifier_of(connection: &Connection, chunk: u32, chunk_events: u32, seq: i64) -> Result<Option<String>> {
    let sql = format!("{SELECT_CHUNK} WHERE number = ?1");
    let own = connection
        .prepare_cached(&sql)?
        .query_and_then([chunk], |row| read_chunk(row, chunk_events))?
        .next()
        .transpose()?;
    let found = own.map(|own| ChunkReader::new(&own, connection).identifier_of(seq)).transpose()?;
    Ok(found.flatten().filter(|identifier| !damaged_id::is_damaged(identifier)))
}

/// The first row of a chunk in the file that is wrong, missing or unexpected. Rows of declared fields are not compared where
/// some of them are still to be filled in. `rows` and `sealed` are what sealing `chunk` gives.
pub fn difference(
    connection: &Connection,
    chunk: &MemoryChunk,
    (rows, sealed): (&[SealedRow], SealedChunk),
    (chunk_events, has_all_fields): (u32, bool),
) -> Result<Option<String>> {
    for table in ChunkTable::ALL.into_iter().filter(|table| has_all_fields || *table != ChunkTable::Custom) {
        let expected: Vec<_> = rows.iter().filter(|row| row.table == table).collect();
        let (name, column) = (table.name(), table.column());
        let mut statement = connection.prepare_cached(&format!("SELECT {column} FROM {name} WHERE place = ?1"))?;
        for row in &expected {
            let found: Option<Vec<u8>> = statement.query_row([row.place.0], |found| found.get(0)).optional()?;
            if !found.as_ref().is_some_and(|found| says_the_same(table, found, &row.bytes)) {
                let how = if found.is_some() { "is damaged" } else { "is missing" };
                return Ok(Some(format!("row {} of {name} {how}", row.place.0)));
            }
        }
        let (first, end) = sealed.slot.places();
        let sql = format!("SELECT count(*) FROM {name} WHERE place >= ?1 AND place < ?2");
        let count: u32 = connection.prepare_cached(&sql)?.query_row([first, end], |row| row.get(0))?;
        if count as usize != expected.len() {
            return Ok(Some(format!("{name} has {count} rows instead of {}", expected.len())));
        }
    }
    let own = connection
        .prepare_cached(&format!("{SELECT_CHUNK} WHERE number = ?1"))?
        .query_and_then([sealed.slot.number], |row| read_chunk(row, chunk_events))?
        .next()
        .transpose();
    Ok(match own {
        // Older files have smaller filters.
        Ok(Some(own))
            if seal::filter_alike(&own.identifiers, chunk)
                .is_some_and(|identifiers| own == SealedChunk { identifiers, ..sealed }) =>
        {
            None
        }
        Ok(_) | Err(IndexError::Damaged(_)) => Some("its own row is damaged".to_owned()),
        Err(error) => return Err(error),
    })
}
