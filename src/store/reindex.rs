//! Making the index from the events: sealed chunks, one after another, each in a transaction of its own.
//!
//! This is what `auditbox reindex` does, what follows a migration, and what happens when a file is opened that has more
//! events without an index than are kept in memory.

use rusqlite::{Connection, TransactionBehavior};

use crate::{
    index::{self, Home, IndexError, MemoryChunk, Side, TermWriter},
    model::field::Field,
    store::{
        CHUNK_EVENTS_RANGE, Progress,
        body::Bodies,
        checkpoint,
        dropped::{self, Dropped},
        event, tail,
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
            index::delete_rows(&transaction, Home { number, side }, i64::MAX)?;
        }
        transaction.commit()?;
        checkpoint::empty(connection)?;
    }
    Ok(())
}

/// Takes out what a crash has left of chunks that are none, then seals every full chunk but `spare` of the newest.
pub(super) fn complete(
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
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    index::delete_strays(&transaction)?;
    transaction.commit()?;
    for number in sealed..full.saturating_sub(spare) {
        progress.advance("making the index", i64::from(number - sealed), i64::from(full - sealed));
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (first, last) = dropped::span(number, chunk_events);
        let dropped = Dropped::within(&transaction, first, last)?;
        let (chunk, _) = load_chunk((&transaction, bodies), number, chunk_events, &dropped, |field, value| {
            terms.ordinal(&transaction, field, value).map(Some)
        })?;
        // Nothing may be left of it.
        if chunk.length() > 0 {
            let sealed = index::seal(&chunk, Side::First).map_err(|error| IndexError::Damaged(error.to_string()))?;
            index::insert_rows(&transaction, &sealed.0)?;
            index::insert_chunk(&transaction, &sealed.1)?;
        }
        transaction.commit()?;
        checkpoint::empty(connection)?;
    }
    Ok(())
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
