//! Making the index from the events: sealed chunks, one after another, each in a transaction of its own.
//!
//! This is what `auditbox reindex` does, what follows a migration, and what happens when a file is opened that has more
//! events without an index than are kept in memory.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::{
    index::{self, Home, IndexError, MemoryChunk, Side, Table, TermWriter},
    model::field::Field,
    store::{
        CHUNK_EVENTS_RANGE, Progress,
        body::Bodies,
        checkpoint,
        dropped::{self, Dropped},
        event, open, tail,
    },
};

/// Takes the whole index out of the file, the newest chunk first. The dictionary of terms stays: events refer to it.
pub(super) fn clear(connection: &mut Connection) -> rusqlite::Result<()> {
    let numbers: Vec<u32> = connection
        .prepare("SELECT number FROM chunk ORDER BY number DESC")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for number in numbers {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        index::delete_chunk(&transaction, number)?;
        for side in [Side::First, Side::Second] {
            for table in Table::ALL {
                index::delete_rows(&transaction, Home { number, side }, table, i64::MAX)?;
            }
        }
        transaction.commit()?;
        checkpoint::empty(connection)?;
    }
    Ok(())
}

/// Takes out what a crash has left of chunks that are none, then seals every full chunk but `spare` of the newest.
pub(super) fn complete(
    path: &Path,
    connection: &mut Connection,
    terms: &mut TermWriter,
    bodies: &Bodies,
    spare: u32,
    progress: &dyn Progress,
) -> Result<(), IndexError> {
    let chunk_events = chunk_events(connection)?;
    let last_seq = event::last_seq(connection)?;
    let full = u32::try_from(last_seq / i64::from(chunk_events)).unwrap_or(u32::MAX);
    let sealed = next_chunk(connection)?;
    index::delete_strays(connection)?;
    let reading = open::reading(path)?;
    for number in sealed..full.saturating_sub(spare) {
        progress.advance("making the index", i64::from(number - sealed), i64::from(full - sealed));
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (first, last) = dropped::span(number, chunk_events);
        let dropped = Dropped::within(&reading, first, last)?;
        let (chunk, _) = load_chunk((&reading, bodies), number, chunk_events, &dropped, |field, value| {
            terms.ordinal(&transaction, field, value).map(Some)
        })?;
        // Nothing may be left of it.
        if chunk.length() > 0 {
            match write((&reading, &transaction), &chunk) {
                Ok(()) => {}
                Err(error) if error.is_damage() => {
                    // Those that follow wait for it in memory. Terms that were added are not in the file.
                    tracing::error!(chunk = number, %error, "a chunk of the index cannot be sealed; run auditbox doctor");
                    terms.forget();
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        transaction.commit()?;
        checkpoint::empty(connection)?;
    }
    Ok(())
}

/// Writes a chunk that is not in the file. What may stand on a damaged page is looked at on the first connection: a
/// transaction that has met one cannot be committed.
fn write((reading, connection): (&Connection, &Connection), chunk: &MemoryChunk) -> Result<(), IndexError> {
    let side = index::free_side(reading, chunk.number())?;
    let side = side.ok_or_else(|| IndexError::Damaged("there is no place for its rows".to_owned()))?;
    let (rows, sealed) = index::seal(chunk, side).map_err(|error| IndexError::Damaged(error.to_string()))?;
    index::insert_rows(connection, &rows)?;
    Ok(index::insert_chunk(connection, &sealed)?)
}

/// The events of a chunk without those that are dropped, and how many of them are damaged. `ordinal` looks a term up; one
/// that it does not know is left out.
pub(super) fn load_chunk(
    (connection, bodies): (&Connection, &Bodies),
    number: u32,
    chunk_events: u32,
    dropped: &Dropped,
    mut ordinal: impl FnMut(Field, &str) -> rusqlite::Result<Option<u32>>,
) -> Result<(MemoryChunk, usize), IndexError> {
    let (mut chunk, mut damaged) = (MemoryChunk::new(number, chunk_events), 0);
    tail::each_event((connection, bodies), seqs_of(number, chunk_events), dropped, |read| {
        read.report();
        damaged += usize::from(read.body.is_err());
        chunk.push(&read.entry(&mut ordinal)?);
        Ok(())
    })?;
    Ok((chunk, damaged))
}

/// The events of a chunk: after the first number, up to the second.
pub(super) fn seqs_of(chunk: u32, chunk_events: u32) -> (i64, i64) {
    let before = i64::from(chunk) * i64::from(chunk_events);
    (before, before + i64::from(chunk_events))
}

/// How many events a chunk of this file has.
pub(super) fn chunk_events(connection: &Connection) -> Result<u32, IndexError> {
    let events = connection.query_row("SELECT value FROM setting WHERE name = 'chunk_events'", [], |row| row.get(0))?;
    if !CHUNK_EVENTS_RANGE.contains(&events) {
        return Err(IndexError::Damaged(format!("setting chunk_events is {events}")));
    }
    Ok(events)
}

/// The number of the first chunk that is not sealed.
pub(super) fn next_chunk(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("SELECT coalesce(max(number), -1) + 1 FROM chunk", [], |row| row.get(0))
}
