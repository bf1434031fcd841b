//! Which events belong to which chunk of the index.
//!
//! A file keeps the chunk size that it was created with, in the setting `chunk_events`.

use std::ops::RangeInclusive;

use rusqlite::Connection;

use crate::index::IndexError;

/// Events per chunk in a new file. A position within a chunk then fits in 16 bits.
pub const CHUNK_EVENTS: u32 = 65_536;
/// Valid values of the setting.
const CHUNK_EVENTS_RANGE: RangeInclusive<u32> = 64..=CHUNK_EVENTS;

/// Seqs from the first to the last, both included.
pub(in crate::store) type SeqRun = (i64, i64);

/// The number of events per chunk of this file.
pub(in crate::store) fn chunk_events(connection: &Connection) -> Result<u32, IndexError> {
    let events = connection.query_row("SELECT value FROM setting WHERE name = 'chunk_events'", [], |row| row.get(0))?;
    if !CHUNK_EVENTS_RANGE.contains(&events) {
        return Err(IndexError::Damaged(format!("setting chunk_events is {events}")));
    }
    Ok(events)
}

/// The seqs that a chunk covers, both ends included.
pub(in crate::store) fn span(number: u32, chunk_events: u32) -> SeqRun {
    let before = i64::from(number) * i64::from(chunk_events);
    (before + 1, before + i64::from(chunk_events))
}
