//! Making the index from the events: sealed chunks, one after another, each in a transaction of its own.
//!
//! This is what `auditbox reindex` does, what follows a migration, and what happens when a file is opened that has more
//! events without an index than are kept in memory.

use rusqlite::{Connection, TransactionBehavior};

use crate::{
    index::{self, IndexError, MemoryChunk, TermWriter},
    store::{CHUNK_EVENTS_RANGE, Progress, body::Bodies, checkpoint, event, tail},
};

/// Takes the whole index out of the file, the newest chunk first. The dictionary of terms stays: events refer to it.
pub(super) fn clear(connection: &mut Connection) -> rusqlite::Result<()> {
    for number in (0..next_chunk(connection)?).rev() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("DELETE FROM chunk WHERE number >= ?1", [number])?;
        index::delete_unsealed(&transaction, number)?;
        transaction.commit()?;
        checkpoint::empty(connection)?;
    }
    Ok(())
}

/// Takes out what a crash has left of a chunk that was not sealed, then seals every full chunk but `spare` of the newest.
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
    index::delete_unsealed(&transaction, sealed)?;
    transaction.commit()?;
    for number in sealed..full.saturating_sub(spare) {
        progress.advance("making the index", i64::from(number - sealed), i64::from(full - sealed));
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut chunk = MemoryChunk::new(number);
        tail::each_event(&transaction, bodies, seqs_of(number, chunk_events), |read| {
            read.report();
            chunk.push(&read.entry(|field, value| terms.ordinal(&transaction, field, value).map(Some))?);
            Ok(())
        })?;
        let (rows, sealed) = index::seal(&chunk).map_err(|error| IndexError::Damaged(error.to_string()))?;
        index::insert_rows(&transaction, &rows)?;
        index::insert_chunk(&transaction, &sealed)?;
        transaction.commit()?;
        checkpoint::empty(connection)?;
    }
    Ok(())
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
