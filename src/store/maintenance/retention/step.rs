//! The small pieces of work that retention gives to the writer.

use std::sync::Arc;

use rusqlite::Connection;

use crate::{
    index::{self, ChunkSlot, ChunkTable, Index, IndexError, SealedChunk},
    model::{field::Field, timestamp::Timestamp},
    store::{
        error::WriteError,
        event::{
            prepared::Prepared,
            tombstones::{self, SeqRun},
        },
        maintenance::retention::clock,
        write::append::WriteBatch,
    },
};

/// Index rows deleted in one piece.
const PIECE_ROWS: i64 = 32;
/// What deleting an event or an index row writes to the WAL: whole pages of the table and its indexes.
const LOG_BYTES_PER_EVENT: usize = 2 * 1024;
const LOG_BYTES_PER_ROW: usize = 8 * 1024;
const LOG_BYTES_PER_RUN: usize = 32;

/// A piece of work, done in one transaction together with other jobs.
pub(in crate::store) enum DropJob {
    /// Deletes events of a chunk: from here on no query finds them. Rejected if the chunk has changed.
    DropChunk(DropChunk),
    /// Deletes rows of deleted events.
    Events(Vec<SeqRun>),
    /// Deletes rows of a former chunk from one table. Rejected if no deletable row remains.
    Rows(ChunkSlot, ChunkTable),
    /// Records that nothing remains of deleted events.
    Done,
    /// Deletes terms that no event has. Rejected if a chunk above this number was sealed meanwhile.
    Terms(Field, Vec<u32>, Option<u32>),
    /// Records that no term remains that only deleted events had.
    Swept,
    /// Accepts the clock.
    Clock(Timestamp),
}

/// Events of one chunk, and what remains of it.
pub(in crate::store) struct DropChunk {
    pub(in crate::store) number: u32,
    /// The events to delete.
    pub(in crate::store) runs: Vec<SeqRun>,
    pub(in crate::store) left: Remainder,
    /// The audit record of the deletion.
    pub(in crate::store) record: Prepared,
}

/// What remains of a chunk.
pub(in crate::store) enum Remainder {
    /// Nothing of a sealed chunk.
    Nothing,
    /// This chunk, sealed again; its rows are written.
    Sealed(Arc<SealedChunk>),
    /// The other events of the chunk that is being filled.
    Filling,
}

impl DropJob {
    /// Applies the step; returns whether it was applied. If not, nothing was written.
    pub(in crate::store) fn apply(&self, batch: &mut WriteBatch<'_>, index: &Index) -> Result<bool, IndexError> {
        let connection = batch.transaction;
        match self {
            Self::DropChunk(cut) => return cut.apply(batch, index),
            Self::Events(runs) => {
                let events = runs.iter().map(|(first, last)| last - first + 1).sum::<i64>();
                batch.log_bytes += usize::try_from(events).unwrap_or(0) * LOG_BYTES_PER_EVENT;
                tombstones::delete(connection, runs)?;
            }
            Self::Rows(home, table) => {
                batch.log_bytes += usize::try_from(PIECE_ROWS).unwrap_or(0) * LOG_BYTES_PER_ROW;
                return Ok(index::delete_rows(connection, *home, *table, PIECE_ROWS)?);
            }
            Self::Done => tombstones::done(connection)?,
            Self::Terms(field, ordinals, sealed_through) => {
                if index.sealed_through() > *sealed_through {
                    return Ok(false);
                }
                let mut unused = ordinals.clone();
                index.retain_unused(*field, &mut unused);
                unused.retain(|ordinal| !batch.entries.iter().any(|entry| entry.has(*field, *ordinal)));
                batch.log_bytes += unused.len() * LOG_BYTES_PER_ROW;
                index::delete_terms(connection, *field, &unused)?;
                batch.terms.forget();
            }
            Self::Swept => set_unswept(connection, false)?,
            Self::Clock(now) => clock::believe(connection, *now)?,
        }
        Ok(true)
    }

    /// The reply when a damaged page prevents the step. Orphans remain, and nothing else stops.
    pub(in crate::store) fn left_undone(&self) -> Result<bool, WriteError> {
        match self {
            Self::Events(_) | Self::Rows(..) => Ok(false),
            _ => Err(WriteError::IndexDamaged),
        }
    }

    /// Makes the step visible to queries, after its commit and before any event of the same transaction is published.
    pub(in crate::store) fn publish(&self, index: &Index) {
        let Self::DropChunk(DropChunk { number, runs, left, .. }) = self else {
            return;
        };
        match left {
            Remainder::Nothing => index.replace(*number, None),
            Remainder::Sealed(chunk) => index.replace(*number, Some(Arc::clone(chunk))),
            Remainder::Filling => index.remove_events(|seq| tombstones::holds(runs, seq)),
        }
    }
}

impl DropChunk {
    fn apply(&self, batch: &mut WriteBatch<'_>, index: &Index) -> Result<bool, IndexError> {
        if matches!(self.left, Remainder::Filling) && index.filled() != Some(self.number) {
            return Ok(false);
        }
        // The audit record is now the newest event and is not among the deleted ones, so no seq is ever reused.
        batch.store(&self.record)?;
        let connection = batch.transaction;
        tombstones::add(connection, self.number, tombstones::span(self.number, index.chunk_events()), &self.runs)?;
        set_unswept(connection, true)?;
        if !matches!(self.left, Remainder::Filling) {
            index::delete_chunk(connection, self.number)?;
        }
        if let Remainder::Sealed(chunk) = &self.left {
            index::insert_chunk(connection, chunk)?;
        }
        batch.log_bytes += self.runs.len() * LOG_BYTES_PER_RUN;
        Ok(true)
    }
}

fn set_unswept(connection: &Connection, unswept: bool) -> rusqlite::Result<()> {
    let sql = if unswept {
        "INSERT INTO setting (name, value) VALUES ('terms_unswept', 1) ON CONFLICT DO NOTHING"
    } else {
        "DELETE FROM setting WHERE name = 'terms_unswept'"
    };
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// Whether terms may remain that only deleted events had.
pub(in crate::store) fn is_unswept(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM setting WHERE name = 'terms_unswept')", [], |row| row.get(0))
}
