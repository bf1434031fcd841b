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

/// Makes every full chunk anew, each in one transaction in which the former gives way to it: whatever ends this early, a
/// failure or a kill, leaves each chunk as it was or as it is to be, and at most rows that nobody reads. The dictionary of
/// terms stays: events refer to it.
pub(super) fn renew(
    path: &Path,
    connection: &mut Connection,
    bodies: &Bodies,
    progress: &dyn Progress,
) -> Result<(), IndexError> {
    let (chunk_events, full) = (chunk_events(connection)?, full_chunks(connection)?);
    let (reading, mut terms) = (open::reading(path)?, TermWriter::default());
    index::delete_strays(connection)?;
    for number in 0..full {
        progress.advance("making the index", number.into(), full.into());
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let chunk = load((&reading, &transaction), bodies, number, chunk_events, &mut terms)?;
        let side = if chunk.length() > 0 {
            Some(replace((&reading, &transaction), &chunk)?)
        } else {
            index::delete_chunk(&transaction, number)?;
            None
        };
        transaction.commit()?;
        for other in [Side::First, Side::Second].into_iter().filter(|other| Some(*other) != side) {
            index::delete_strays_at(connection, Home { number, side: other })?;
        }
        checkpoint::empty(connection)?;
    }
    // Chunks of events that are not there.
    connection.execute("DELETE FROM chunk WHERE number < 0 OR number >= ?1", [full])?;
    index::delete_strays(connection)?;
    Ok(checkpoint::empty(connection)?)
}

/// Writes a chunk in place of the one of its number that is in the file, if there is one; returns the side it is on. Where
/// damage leaves no side free, it is that of the former, whose rows are taken out in the same transaction.
fn replace((reading, writing): (&Connection, &Connection), chunk: &MemoryChunk) -> Result<Side, IndexError> {
    let number = chunk.number();
    let former = index::side_of(reading, number)?;
    index::delete_chunk(writing, number)?;
    let side = match (index::free_side(reading, number)?, former) {
        (Some(free), _) => free,
        (None, Some(side)) => {
            for table in Table::ALL {
                index::delete_rows(writing, Home { number, side }, table, i64::MAX)?;
            }
            side
        }
        (None, None) => return Err(no_place()),
    };
    write(writing, chunk, side)?;
    Ok(side)
}

/// Only damage can bring this about.
fn no_place() -> IndexError {
    IndexError::Damaged("there is no place for its rows".to_owned())
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
    let (chunk_events, full) = (chunk_events(connection)?, full_chunks(connection)?);
    let sealed = next_chunk(connection)?;
    index::delete_strays(connection)?;
    let reading = open::reading(path)?;
    for number in sealed..full.saturating_sub(spare) {
        progress.advance("making the index", i64::from(number - sealed), i64::from(full - sealed));
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let chunk = load((&reading, &transaction), bodies, number, chunk_events, terms)?;
        // Nothing may be left of it.
        if chunk.length() > 0 {
            let side = index::free_side(&reading, number)?;
            match side.ok_or_else(no_place).and_then(|side| write(&transaction, &chunk, side)) {
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

/// A chunk made from its events. These are read on the first connection: a transaction that has met a damaged page cannot be
/// committed. Terms that are new are added on the second.
fn load(
    (reading, writing): (&Connection, &Connection),
    bodies: &Bodies,
    number: u32,
    chunk_events: u32,
    terms: &mut TermWriter,
) -> Result<MemoryChunk, IndexError> {
    let (first, last) = dropped::span(number, chunk_events);
    let dropped = Dropped::within(reading, first, last)?;
    let ordinal = |field, value: &str| terms.ordinal(writing, field, value).map(Some);
    Ok(load_chunk((reading, bodies), number, chunk_events, &dropped, ordinal)?.0)
}

/// Writes a chunk that is not in the file, on a side that is free.
fn write(connection: &Connection, chunk: &MemoryChunk, side: Side) -> Result<(), IndexError> {
    let (rows, sealed) = index::seal(chunk, side).map_err(|error| IndexError::Damaged(error.to_string()))?;
    index::insert_rows(connection, &rows)?;
    Ok(index::insert_chunk(connection, &sealed)?)
}

/// How many chunks have all their events.
fn full_chunks(connection: &Connection) -> Result<u32, IndexError> {
    Ok(u32::try_from(event::last_seq(connection)? / i64::from(chunk_events(connection)?)).unwrap_or(u32::MAX))
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
