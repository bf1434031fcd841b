//! What retention has the writer do, one small piece at a time.

use std::sync::Arc;

use rusqlite::Connection;

use crate::{
    index::{self, Home, Index, IndexError, SealedChunk, Table},
    model::{field::Field, timestamp::Timestamp},
    store::{
        Prepared, WriteError,
        batch::Batch,
        dropped::{self, Run},
        retention::clock,
    },
};

/// Rows of the index that are taken out in one piece.
const PIECE_ROWS: i64 = 32;
/// What deleting an event or a row of the index writes to the log: whole pages of the table and its indexes.
const LOG_BYTES_PER_EVENT: usize = 2 * 1024;
const LOG_BYTES_PER_ROW: usize = 8 * 1024;
const LOG_BYTES_PER_RUN: usize = 32;

/// A piece of work, to be done in one transaction with whatever else is written then.
pub(in crate::store) enum Step {
    /// Events of a chunk are dropped: from here on no question finds them. Refused where the chunk is not as it was.
    Cut(Cut),
    /// Rows of events that were dropped are taken out.
    Events(Vec<Run>),
    /// Rows of a chunk of the index that is no more are taken out of one table; refused when there are none left that can be.
    Rows(Home, Table),
    /// Nothing is left of what was dropped.
    Done,
    /// Terms that no event has are taken out; refused where a chunk above this number has been sealed meanwhile.
    Terms(Field, Vec<u32>, Option<u32>),
    /// No term is left that only dropped events had.
    Swept,
    /// The clock is believed.
    Clock(Timestamp),
}

/// Events of one chunk, and what is left of it.
pub(in crate::store) struct Cut {
    pub(in crate::store) number: u32,
    /// The events that are dropped.
    pub(in crate::store) runs: Vec<Run>,
    pub(in crate::store) left: Left,
    /// The record of it.
    pub(in crate::store) record: Prepared,
}

/// What is left of a chunk.
pub(in crate::store) enum Left {
    /// Nothing of a sealed one.
    Nothing,
    /// This, sealed anew; its rows are written.
    Sealed(Arc<SealedChunk>),
    /// Whatever else is in it: it is being filled.
    Filling,
}

impl Step {
    /// Does it; whether it was done. Nothing is written if not.
    pub(in crate::store) fn apply(&self, batch: &mut Batch<'_>, index: &Index) -> Result<bool, IndexError> {
        let connection = batch.transaction;
        match self {
            Self::Cut(cut) => return cut.apply(batch, index),
            Self::Events(runs) => {
                let events = runs.iter().map(|(first, last)| last - first + 1).sum::<i64>();
                batch.log_bytes += usize::try_from(events).unwrap_or(0) * LOG_BYTES_PER_EVENT;
                dropped::delete(connection, runs)?;
            }
            Self::Rows(home, table) => {
                batch.log_bytes += usize::try_from(PIECE_ROWS).unwrap_or(0) * LOG_BYTES_PER_ROW;
                return Ok(index::delete_rows(connection, *home, *table, PIECE_ROWS)?);
            }
            Self::Done => dropped::done(connection)?,
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

    /// What is answered where a damaged page keeps it from being done: rows that nobody reads stay, which ends nothing else.
    pub(in crate::store) fn left_undone(&self) -> Result<bool, WriteError> {
        match self {
            Self::Events(_) | Self::Rows(..) => Ok(false),
            _ => Err(WriteError::IndexDamaged),
        }
    }

    /// Lets questions see it, once it is committed and before any event of the same transaction is published.
    pub(in crate::store) fn publish(&self, index: &Index) {
        let Self::Cut(Cut { number, runs, left, .. }) = self else {
            return;
        };
        match left {
            Left::Nothing => index.replace(*number, None),
            Left::Sealed(chunk) => index.replace(*number, Some(Arc::clone(chunk))),
            Left::Filling => index.take_out(|seq| dropped::holds(runs, seq)),
        }
    }
}

impl Cut {
    fn apply(&self, batch: &mut Batch<'_>, index: &Index) -> Result<bool, IndexError> {
        if matches!(self.left, Left::Filling) && index.filled() != Some(self.number) {
            return Ok(false);
        }
        // The record is the newest event now, and is not among those that are dropped: no seq is ever given twice.
        batch.store(&self.record)?;
        let connection = batch.transaction;
        dropped::add(connection, self.number, dropped::span(self.number, index.chunk_events()), &self.runs)?;
        set_unswept(connection, true)?;
        if !matches!(self.left, Left::Filling) {
            index::delete_chunk(connection, self.number)?;
        }
        if let Left::Sealed(chunk) = &self.left {
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

/// Whether terms may be left that only dropped events had.
pub(super) fn is_unswept(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM setting WHERE name = 'terms_unswept')", [], |row| row.get(0))
}
