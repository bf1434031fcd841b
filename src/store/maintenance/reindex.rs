//! Builds the index from the events: one sealed chunk after another, each in its own transaction.
//!
//! `auditbox reindex` uses it, and so do migrations and the opening of a file with more events without an index than
//! fit in memory.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::{
    index::{self, ChunkSlot, ChunkTable, Generation, IndexError, MemoryChunk, TermWriter},
    model::field::Field,
    store::{
        event::{
            block_replacement,
            chunks::{SeqRun, chunk_events, span},
            codec::BodyCodec,
            row, stored,
            tombstones::Dropped,
        },
        file::{checkpoint, open, progress::Progress},
        write::replay,
    },
};

/// Rebuilds every full chunk, each in one transaction that replaces the former one. A failure or a kill leaves each
/// chunk in its former or its new state, and at most some orphans. The term dictionary stays, because events refer to
/// it.
pub(in crate::store) fn rebuild(
    path: &Path,
    connection: &mut Connection,
    bodies: &BodyCodec,
    progress: &dyn Progress,
) -> Result<(), IndexError> {
    let full = full_chunks(connection)?;
    let mut rebuilder = Rebuilder::new(path, connection, bodies)?;
    index::delete_orphans(connection)?;
    for number in 0..full {
        progress.advance("making the index", number.into(), full.into());
        rebuilder.rebuild_chunk(connection, number, OfDamaged::Replace, |_| Ok(()))?;
    }
    // Chunks without events.
    connection.execute("DELETE FROM chunk WHERE number < 0 OR number >= ?1", [full])?;
    index::delete_orphans(connection)?;
    Ok(checkpoint::empty(connection)?)
}

/// Rebuilds the sealed chunks from `first` on, each in one transaction, in which `done` records that the chunk is
/// finished. A chunk that damage prevents from being rebuilt keeps its rows, and so does one with damaged events: its rows
/// have values that these events have lost.
pub(in crate::store) fn renew(
    path: &Path,
    connection: &mut Connection,
    bodies: &BodyCodec,
    first: u32,
    progress: impl Fn(i64, i64),
    done: impl Fn(&Connection, u32) -> rusqlite::Result<()>,
) -> Result<(), IndexError> {
    let end = next_chunk(connection)?;
    let mut rebuilder = Rebuilder::new(path, connection, bodies)?;
    for number in first..end {
        progress(number.into(), end.into());
        match rebuilder.rebuild_chunk(connection, number, OfDamaged::Keep, |transaction| done(transaction, number)) {
            Err(error) if error.is_damage() => {
                tracing::error!(
                    chunk = number, %error,
                    "the index of a chunk keeps its former content, in which each name of an actor counts as an actor: \
                     run auditbox doctor"
                );
                // Terms that were added are not in the file.
                rebuilder.terms.forget();
            }
            replaced => replaced?,
        }
    }
    progress(end.into(), end.into());
    Ok(())
}

/// What to do with a chunk that has damaged events.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OfDamaged {
    Replace,
    Keep,
}

/// Builds chunks from their events. Events are read on a connection of their own, because a transaction that has read a
/// damaged page cannot commit.
struct Rebuilder<'b> {
    reading: Connection,
    bodies: &'b BodyCodec,
    chunk_events: u32,
    terms: TermWriter,
}

impl<'b> Rebuilder<'b> {
    fn new(path: &Path, connection: &Connection, bodies: &'b BodyCodec) -> Result<Self, IndexError> {
        let (reading, chunk_events) = (open::reading(path)?, chunk_events(connection)?);
        Ok(Self { reading, bodies, chunk_events, terms: TermWriter::default() })
    }

    /// Replaces a chunk in one transaction, to which `also` may add. A chunk without events is deleted.
    fn rebuild_chunk(
        &mut self,
        connection: &mut Connection,
        number: u32,
        of_damaged: OfDamaged,
        also: impl Fn(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), IndexError> {
        let Self { reading, bodies, chunk_events, terms } = self;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (chunk, damaged) = load((&*reading, &transaction), bodies, number, *chunk_events, terms)?;
        if damaged > 0 && of_damaged == OfDamaged::Keep {
            return Err(IndexError::Damaged(format!("{damaged} events of chunk {number} in the file")));
        }
        let side = if chunk.length() > 0 {
            Some(replace((&*reading, &transaction), &chunk)?)
        } else {
            index::delete_chunk(&transaction, number)?;
            None
        };
        also(&transaction)?;
        transaction.commit()?;
        terms.committed();
        for other in [Generation::First, Generation::Second].into_iter().filter(|other| Some(*other) != side) {
            index::delete_orphans_in(connection, ChunkSlot { number, generation: other })?;
        }
        Ok(checkpoint::empty(connection)?)
    }
}

/// Replaces the chunk of this number, if the file has one; returns the new generation. If damage leaves no generation
/// free, the chunk's current one is reused and its rows are deleted in the same transaction.
fn replace((reading, writing): (&Connection, &Connection), chunk: &MemoryChunk) -> Result<Generation, IndexError> {
    let number = chunk.number();
    let former = index::generation_of(reading, number)?;
    index::delete_chunk(writing, number)?;
    let side = match (index::free_generation(reading, number)?, former) {
        (Some(free), _) => free,
        (None, Some(side)) => {
            for table in ChunkTable::ALL {
                index::delete_rows(writing, ChunkSlot { number, generation: side }, table, i64::MAX)?;
            }
            side
        }
        (None, None) => return Err(no_place()),
    };
    write(writing, chunk, side)?;
    Ok(side)
}

/// Only damage can cause this.
fn no_place() -> IndexError {
    IndexError::Damaged("neither generation is free for its rows".to_owned())
}

/// Deletes what a crash has left of unfinished chunks, then seals every full chunk except the newest `spare`.
pub(in crate::store) fn complete(
    path: &Path,
    connection: &mut Connection,
    terms: &mut TermWriter,
    bodies: &BodyCodec,
    spare: u32,
    progress: &dyn Progress,
) -> Result<(), IndexError> {
    let (chunk_events, full) = (chunk_events(connection)?, full_chunks(connection)?);
    let sealed = next_chunk(connection)?;
    index::delete_orphans(connection)?;
    let reading = open::reading(path)?;
    for number in sealed..full.saturating_sub(spare) {
        progress.advance("making the index", i64::from(number - sealed), i64::from(full - sealed));
        join_blocks((&reading, connection), bodies, span(number, chunk_events))?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (chunk, _) = load((&reading, &transaction), bodies, number, chunk_events, terms)?;
        // The transaction must leave nothing of it.
        if chunk.length() > 0 {
            let side = index::free_generation(&reading, number)?;
            match side.ok_or_else(no_place).and_then(|side| write(&transaction, &chunk, side)) {
                Ok(()) => {}
                Err(error) if error.is_damage() => {
                    // Later chunks wait for this one in memory. Terms that were added are not in the file.
                    tracing::error!(chunk = number, %error, "a chunk cannot be sealed: run auditbox doctor");
                    terms.forget();
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        transaction.commit()?;
        terms.committed();
        checkpoint::empty(connection)?;
    }
    Ok(())
}

/// Replaces small blocks. Those on damaged pages stay as they are.
fn join_blocks(
    (reading, writing): (&Connection, &mut Connection),
    bodies: &BodyCodec,
    span: SeqRun,
) -> rusqlite::Result<()> {
    for part in block_replacement::parts(span) {
        let transaction = writing.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let joined = block_replacement::joined(reading, bodies, part)
            .and_then(|replacements| block_replacement::replace(&transaction, &replacements));
        match joined {
            Ok(()) => transaction.commit()?,
            Err(error) if stored::is_damage(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A chunk built from its events, and the number of damaged ones. Events are read on the first connection. New terms are
/// added on the second.
fn load(
    (reading, writing): (&Connection, &Connection),
    bodies: &BodyCodec,
    number: u32,
    chunk_events: u32,
    terms: &mut TermWriter,
) -> Result<(MemoryChunk, usize), IndexError> {
    let (first, last) = span(number, chunk_events);
    let dropped = Dropped::within(reading, first, last)?;
    let ordinal = |field, value: &str| terms.ordinal(writing, field, value).map(Some);
    load_chunk((reading, bodies), number, chunk_events, &dropped, ordinal)
}

/// Inserts a chunk that is not in the file, in a free generation.
fn write(connection: &Connection, chunk: &MemoryChunk, side: Generation) -> Result<(), IndexError> {
    let (rows, sealed) = index::seal(chunk, side).map_err(|error| IndexError::Damaged(error.to_string()))?;
    index::insert_rows(connection, &rows)?;
    Ok(index::insert_chunk(connection, &sealed)?)
}

/// The number of chunks that have all their events.
fn full_chunks(connection: &Connection) -> Result<u32, IndexError> {
    Ok(u32::try_from(row::last_seq(connection)? / i64::from(chunk_events(connection)?)).unwrap_or(u32::MAX))
}

/// The events of a chunk without the deleted ones, and the number of damaged ones. `ordinal` looks up a term; unknown
/// terms are omitted.
pub(in crate::store) fn load_chunk(
    (connection, bodies): (&Connection, &BodyCodec),
    number: u32,
    chunk_events: u32,
    dropped: &Dropped,
    mut ordinal: impl FnMut(Field, &str) -> rusqlite::Result<Option<u32>>,
) -> Result<(MemoryChunk, usize), IndexError> {
    let (mut chunk, mut damaged) = (MemoryChunk::new(number, chunk_events), 0);
    replay::each_event((connection, bodies), span(number, chunk_events), dropped, |read| {
        read.report();
        damaged += usize::from(read.body.is_err());
        chunk.push(&read.entry(&mut ordinal)?);
        Ok(())
    })?;
    Ok((chunk, damaged))
}

/// The number of the first chunk that is not sealed.
pub(in crate::store) fn next_chunk(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("SELECT coalesce(max(number), -1) + 1 FROM chunk", [], |row| row.get(0))
}
