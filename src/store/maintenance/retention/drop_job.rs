//! The job with which retention deletes: a small step that shares a transaction with other jobs.

use std::sync::Arc;

use rusqlite::Connection;

use crate::{
    index::{self, ChunkSlot, ChunkTable, IndexError, SealedChunk},
    model::{field::Field, timestamp::Timestamp},
    store::{
        error::WriteError,
        event::{
            chunks::{self, SeqRun},
            prepared::Prepared,
            row, tombstones,
        },
        maintenance::retention::clock,
        write::{
            batch::WriteBatch,
            job::{Job, Published},
        },
    },
};

/// Index rows deleted in one piece.
const PIECE_ROWS: i64 = 32;

/// One step.
pub(in crate::store) enum DropJob {
    /// Deletes events of a chunk: from here on no query finds them. Rejected if the chunk has changed.
    DropChunk(Box<DropChunk>),
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
    pub(in crate::store) remainder: Remainder,
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

impl Job for Arc<DropJob> {
    /// Whether the step was applied. If not, nothing was written.
    type Output = bool;
    type Error = WriteError;

    fn apply(&self, batch: &mut WriteBatch<'_>) -> Result<Result<bool, WriteError>, IndexError> {
        let connection = batch.transaction;
        match &**self {
            DropJob::DropChunk(chunk) => return Ok(Ok(chunk.apply(batch)?)),
            DropJob::Events(runs) => row::delete(connection, batch.bodies, runs)?,
            DropJob::Rows(slot, table) => {
                return Ok(Ok(index::delete_rows(connection, *slot, *table, PIECE_ROWS)?));
            }
            DropJob::Done => tombstones::done(connection)?,
            DropJob::Terms(field, ordinals, sealed_through) => {
                if batch.index.sealed_through() > *sealed_through {
                    return Ok(Ok(false));
                }
                let mut unused = ordinals.clone();
                batch.index.retain_unused(*field, &mut unused);
                unused.retain(|ordinal| !batch.entries.iter().any(|entry| entry.has(*field, *ordinal)));
                index::delete_terms(connection, *field, &unused)?;
                batch.terms.forget();
            }
            DropJob::Swept => set_unswept(connection, false)?,
            DropJob::Clock(now) => clock::trust(connection, *now)?,
        }
        Ok(Ok(true))
    }

    /// Rows that cannot be deleted stay as orphans, and nothing else stops.
    fn reply_to_damage(&self) -> Option<Result<bool, WriteError>> {
        Some(match &**self {
            DropJob::Events(_) | DropJob::Rows(..) => Ok(false),
            _ => Err(WriteError::IndexDamaged),
        })
    }

    fn publish_removals(&self, applied: &bool, to: &Published<'_>) {
        let DropJob::DropChunk(chunk) = &**self else {
            return;
        };
        let DropChunk { number, runs, remainder, .. } = &**chunk;
        match remainder {
            _ if !applied => {}
            Remainder::Nothing => to.index.replace(*number, None),
            Remainder::Sealed(chunk) => to.index.replace(*number, Some(Arc::clone(chunk))),
            Remainder::Filling => to.index.remove_events(|seq| tombstones::holds(runs, seq)),
        }
    }
}

impl DropChunk {
    fn apply(&self, batch: &mut WriteBatch<'_>) -> Result<bool, IndexError> {
        let index = batch.index;
        if matches!(self.remainder, Remainder::Filling) && index.filled() != Some(self.number) {
            return Ok(false);
        }
        // The audit record is now the newest event and is not among the deleted ones, so no seq is ever reused.
        batch.store(&[&self.record])?;
        let connection = batch.transaction;
        tombstones::add(connection, self.number, chunks::span(self.number, index.chunk_events()), &self.runs)?;
        set_unswept(connection, true)?;
        if !matches!(self.remainder, Remainder::Filling) {
            index::delete_chunk(connection, self.number)?;
        }
        if let Remainder::Sealed(chunk) = &self.remainder {
            index::insert_chunk(connection, chunk)?;
        }
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
