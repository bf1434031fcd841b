//! The index's rows in the file: writing sealed chunks, reading their own rows, taking out what a crash has left.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    index::{
        IndexError, Result,
        keys::{BLOCK_BITS_MAX, KeyBlock},
        lost,
        membership::Membership,
        memory::key_fields,
        seal::SealedRow,
        sealed::{Place, Reading, SealedChunk, Table},
    },
    model::timestamp::Timestamp,
};

/// In `key_blocks`, where no field has this code: the chunk has an event of whose identifier only a part is left.
const HAS_LOST: [u8; 2] = [0, 0];

/// Writes rows of a chunk. Until the chunk's own row is written nobody reads them.
pub fn insert_rows(connection: &Connection, rows: &[SealedRow]) -> rusqlite::Result<()> {
    for row in rows {
        let sql = match row.table {
            Table::Time => "INSERT INTO chunk_time (place, times) VALUES (?1, ?2)",
            Table::Posting => "INSERT INTO chunk_posting (place, terms) VALUES (?1, ?2)",
            Table::Key => "INSERT INTO chunk_key (place, keys) VALUES (?1, ?2)",
        };
        connection.prepare_cached(sql)?.execute(params![row.place.0, row.bytes])?;
    }
    Ok(())
}

/// Writes a chunk's own row: with it the chunk is sealed.
pub fn insert_chunk(connection: &Connection, chunk: &SealedChunk) -> rusqlite::Result<()> {
    let first_times: Vec<u8> = chunk.first_times.iter().flat_map(|time| time.micros().to_le_bytes()).collect();
    let mut key_blocks: Vec<u8> = chunk.block_bits.iter().flat_map(|(field, bits)| [field.code(), *bits]).collect();
    if chunk.has_lost {
        key_blocks.extend(HAS_LOST);
    }
    connection
        .prepare_cached(
            "INSERT INTO chunk (number, events, first, last, first_times, key_blocks, identifiers) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            chunk.number,
            chunk.length,
            chunk.first.micros(),
            chunk.last.micros(),
            first_times,
            key_blocks,
            chunk.identifiers.to_bytes(),
        ])?;
    Ok(())
}

/// Every sealed chunk, in order: all that there are, of so many events each.
pub fn sealed_chunks(connection: &Connection, chunk_events: u32) -> Result<Vec<SealedChunk>> {
    let chunks: Vec<SealedChunk> = connection
        .prepare(&format!("{SELECT_CHUNK} ORDER BY number"))?
        .query_and_then([], read_chunk)?
        .collect::<Result<_>>()?;
    // A chunk that is missing would be a hole that nobody sees.
    for (number, chunk) in (0..).zip(&chunks) {
        if (chunk.number, chunk.length) != (number, chunk_events) {
            return Err(IndexError::damaged(number, "the row"));
        }
    }
    Ok(chunks)
}

const SELECT_CHUNK: &str = "SELECT number, events, first, last, first_times, key_blocks, identifiers FROM chunk";

fn read_chunk(row: &Row<'_>) -> Result<SealedChunk> {
    let number = row.get(0)?;
    let blob = |column| row.get_ref(column).and_then(|value| Ok(value.as_blob()?));
    let damaged = || IndexError::damaged(number, "the row");
    let (first_times, _) = blob(4)?.as_chunks();
    let (key_blocks, _) = blob(5)?.as_chunks();
    let mut block_bits = Vec::new();
    for field in key_fields() {
        let bits = key_blocks.iter().find(|[code, _]| *code == field.code()).map(|[_, bits]| *bits);
        block_bits.push((field, bits.filter(|bits| *bits <= BLOCK_BITS_MAX).ok_or_else(damaged)?));
    }
    Ok(SealedChunk {
        number,
        length: row.get(1)?,
        first: Timestamp::from_micros(row.get(2)?),
        last: Timestamp::from_micros(row.get(3)?),
        first_times: first_times.iter().map(|bytes| Timestamp::from_micros(i64::from_le_bytes(*bytes))).collect(),
        block_bits,
        has_lost: key_blocks.contains(&HAS_LOST),
        identifiers: Membership::from_bytes(blob(6)?).ok_or_else(damaged)?,
    })
}

/// Takes out the rows of a chunk whose own row was never written, and of those after it. Returns how many there were.
pub fn delete_unsealed(connection: &Connection, first_unsealed: u32) -> rusqlite::Result<usize> {
    let mut deleted = 0;
    for table in Table::ALL {
        let sql = format!("DELETE FROM {} WHERE place >= ?1", table.name());
        deleted += connection.execute(&sql, [Place::first(first_unsealed).0])?;
    }
    Ok(deleted)
}

/// Whether two rows say the same. How keys are packed is for the compressor to choose, and another release of it may choose
/// otherwise.
fn says_the_same(table: Table, found: &[u8], expected: &[u8]) -> bool {
    let unpacked = || Some(KeyBlock::decode(found)?.is_same(&KeyBlock::decode(expected)?));
    found == expected || (table == Table::Key && unpacked() == Some(true))
}

/// The identifier that the index has for an event of a sealed chunk; `None` if it has none.
pub fn identifier_of(connection: &Connection, chunk: u32, seq: i64) -> Result<Option<String>> {
    let sql = format!("{SELECT_CHUNK} WHERE number = ?1");
    let own = connection.prepare_cached(&sql)?.query_and_then([chunk], read_chunk)?.next().transpose()?;
    let found = own.map(|own| Reading::new(&own, connection).identifier_of(seq)).transpose()?;
    Ok(found.flatten().filter(|identifier| !lost::is_lost(identifier)))
}

/// The first row of a chunk in the file that is not what it should be, is missing, or is one too many.
pub fn difference(connection: &Connection, rows: &[SealedRow], chunk: &SealedChunk) -> Result<Option<String>> {
    for table in Table::ALL {
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
        let ends = [Place::first(chunk.number).0, Place::first(chunk.number + 1).0];
        let sql = format!("SELECT count(*) FROM {name} WHERE place >= ?1 AND place < ?2");
        let count: u32 = connection.prepare_cached(&sql)?.query_row(ends, |row| row.get(0))?;
        if count as usize != expected.len() {
            return Ok(Some(format!("{name} has {count} rows instead of {}", expected.len())));
        }
    }
    let own = connection
        .prepare_cached(&format!("{SELECT_CHUNK} WHERE number = ?1"))?
        .query_and_then([chunk.number], read_chunk)?
        .next()
        .transpose();
    Ok(match own {
        Ok(Some(own)) if own == *chunk => None,
        Ok(_) | Err(IndexError::Damaged(_)) => Some("its own row is damaged".to_owned()),
        Err(error) => return Err(error),
    })
}
