//! Deleted ranges of events, and the deletion of their rows.
//!
//! A deletion is first recorded here, in the transaction that also writes its audit record and removes the events from
//! the index. From then on no query finds them. Their rows and bodies are deleted afterwards in small pieces (`row.rs`).
//! The trigger that protects events permits only the deletion of rows that are recorded here. The record remains: it distinguishes a
//! deleted range from a loss.
//!
//! One chunk at a time: the setting `dropping` names the chunk whose rows may still exist. After a crash, they are
//! deleted when the file is opened again.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    index::{IndexError, SealedChunk},
    store::event::chunks::{SeqRun, span},
};

/// Events deleted in one piece: a few milliseconds of the writer's time.
const PIECE_EVENTS: i64 = 1_000;
/// The cost of a run in addition to its events: the blocks at its ends are rewritten without its bodies.
const RUN_EVENTS: i64 = 16;

/// What was deleted in a part of the log: ascending runs that do not touch.
#[derive(Debug, Default)]
pub(in crate::store) struct Dropped(Vec<SeqRun>);

impl Dropped {
    /// What was deleted from `first` to `last`. No run crosses either bound.
    pub(in crate::store) fn within(connection: &Connection, first: i64, last: i64) -> rusqlite::Result<Self> {
        let mut statement = connection
            .prepare_cached("SELECT first, last FROM dropped WHERE first BETWEEN ?1 AND ?2 ORDER BY first")?;
        let runs = statement.query_map([first, last], |row| row.try_into())?;
        Ok(Self(runs.collect::<Result<_, _>>()?))
    }

    /// These runs in addition.
    pub(in crate::store) fn and(mut self, runs: &[SeqRun]) -> Self {
        self.0.extend_from_slice(runs);
        self.0.sort_unstable();
        self
    }

    /// The runs.
    pub(in crate::store) fn runs(&self) -> &[SeqRun] {
        &self.0
    }

    /// Deleted events whose rows still exist.
    pub(in crate::store) fn still_there(&self, connection: &Connection) -> rusqlite::Result<Vec<i64>> {
        let mut statement = connection.prepare_cached("SELECT seq FROM event WHERE seq BETWEEN ?1 AND ?2")?;
        let mut found = Vec::new();
        for (first, last) in &self.0 {
            let seqs = statement.query_map([first, last], |row| row.get(0))?;
            found.extend(seqs.collect::<Result<Vec<i64>, _>>()?);
        }
        Ok(found)
    }

    /// Whether the event with this seq was deleted.
    pub(in crate::store) fn holds(&self, seq: i64) -> bool {
        holds(&self.0, seq)
    }

    /// The runs, as [`pieces`] of them.
    pub(in crate::store) fn pieces(&self) -> Vec<Vec<SeqRun>> {
        pieces(&self.0)
    }

    /// The number of deleted events.
    pub(in crate::store) fn count(&self) -> i64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// The first seq from this one on that was not deleted.
    pub(in crate::store) fn next_kept(&self, seq: i64) -> i64 {
        let mut next = seq;
        let from = self.0.partition_point(|(_, last)| *last < seq);
        for (first, last) in &self.0[from..] {
            if *first > next {
                break;
            }
            next = last + 1;
        }
        next
    }
}

/// Whether one of these ascending runs contains a seq.
pub(in crate::store) fn holds(runs: &[SeqRun], seq: i64) -> bool {
    runs.get(runs.partition_point(|(_, last)| *last < seq)).is_some_and(|(first, _)| *first <= seq)
}

/// Ascending seqs as runs.
pub(in crate::store) fn runs_of(seqs: &[i64]) -> Vec<SeqRun> {
    seqs.chunk_by(|one, next| one + 1 == *next).filter_map(|run| Some((*run.first()?, *run.last()?))).collect()
}

/// Splits and joins runs into pieces that are deleted at once.
pub(in crate::store) fn pieces(runs: &[SeqRun]) -> Vec<Vec<SeqRun>> {
    let (mut pieces, mut room): (Vec<Vec<SeqRun>>, i64) = (Vec::new(), 0);
    for (first, last) in runs {
        let mut from = *first;
        while from <= *last {
            if room <= RUN_EVENTS {
                pieces.push(Vec::new());
                room = PIECE_EVENTS + RUN_EVENTS;
            }
            let to = (*last).min(from + room - RUN_EVENTS - 1);
            if let Some(piece) = pieces.last_mut() {
                piece.push((from, to));
            }
            (room, from) = (room - RUN_EVENTS - (to - from + 1), to + 1);
        }
    }
    pieces
}

/// Records that these events of a chunk are deleted and that their rows still exist. The chunk covers the seqs of
/// `span`.
pub(in crate::store) fn add(
    connection: &Connection,
    number: u32,
    span: SeqRun,
    runs: &[SeqRun],
) -> rusqlite::Result<()> {
    let all = Dropped::within(connection, span.0, span.1)?.and(runs).0;
    connection.prepare_cached("DELETE FROM dropped WHERE first BETWEEN ?1 AND ?2")?.execute([span.0, span.1])?;
    let mut insert = connection.prepare_cached("INSERT INTO dropped (first, last) VALUES (?1, ?2)")?;
    for run in all.chunk_by(|one, next| one.1 + 1 == next.0) {
        if let (Some((first, _)), Some((_, last))) = (run.first(), run.last()) {
            insert.execute([first, last])?;
        }
    }
    connection
        .prepare_cached(
            "INSERT INTO setting (name, value) VALUES ('dropping', ?1) ON CONFLICT DO UPDATE SET value = excluded.value",
        )?
        .execute([number])
        .map(drop)?;
    count_drop(connection)
}

/// Increases the counter of deletions.
pub(in crate::store) fn count_drop(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO setting (name, value) VALUES ('drops', 1) ON CONFLICT DO UPDATE SET value = value + 1",
        )?
        .execute([])
        .map(drop)
}

/// A counter of deletions. A process that holds another process's index in memory compares it to detect a change.
pub(in crate::store) fn drops(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT coalesce((SELECT value FROM setting WHERE name = 'drops'), 0)")?
        .query_row([], |row| row.get(0))
}

/// The chunk whose deleted events may still have rows.
pub(in crate::store) fn dropping(connection: &Connection) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached("SELECT value FROM setting WHERE name = 'dropping'")?
        .query_row([], |row| row.get(0))
        .optional()
}

/// Whether the event with this seq was deleted.
pub(in crate::store) fn is_dropped(connection: &Connection, seq: i64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT coalesce((SELECT last FROM dropped WHERE first <= ?1 ORDER BY first DESC LIMIT 1), 0) >= ?1",
        )?
        .query_row([seq], |row| row.get(0))
}

/// Records that the rows of all deleted events are gone.
pub(in crate::store) fn done(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM setting WHERE name = 'dropping'", []).map(drop)
}

/// Checks that the sealed chunks and the deleted ranges together cover everything up to the newest chunk. A missing
/// chunk would be an unnoticed gap.
pub(in crate::store) fn check(
    connection: &Connection,
    chunk_events: u32,
    sealed: &[SealedChunk],
) -> Result<(), IndexError> {
    let mut statement =
        connection.prepare("SELECT sum(last - first + 1) FROM dropped WHERE first BETWEEN ?1 AND ?2")?;
    let mut next = 0;
    for chunk in sealed {
        let number = chunk.slot().number;
        for missing in next..=number {
            let (first, last) = span(missing, chunk_events);
            let dropped: Option<i64> = statement.query_row(params![first, last], |row| row.get(0))?;
            let kept = if missing == number { i64::from(chunk.length()) } else { 0 };
            if kept + dropped.unwrap_or(0) != i64::from(chunk_events) {
                return Err(IndexError::Damaged(format!("the row of chunk {missing}")));
            }
        }
        next = number + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_and_cut_into_pieces() {
        let dropped = Dropped(runs_of(&[2, 3, 4, 9, 11, 12]));
        assert_eq!(dropped.0, [(2, 4), (9, 9), (11, 12)]);
        assert_eq!((1..=13).filter(|seq| dropped.holds(*seq)).collect::<Vec<_>>(), [2, 3, 4, 9, 11, 12]);
        assert_eq!([1, 2, 4, 5, 9, 11, 13].map(|seq| dropped.next_kept(seq)), [1, 5, 5, 5, 10, 13, 13]);
        assert_eq!(Dropped(vec![(1, 2), (3, 4), (6, 6)]).next_kept(1), 5);
        let pieces = pieces(&[(1, 2_500), (3_000, 3_000), (4_000, 4_600)]);
        assert_eq!(
            pieces,
            [
                vec![(1, 1_000)],
                vec![(1_001, 2_000)],
                vec![(2_001, 2_500), (3_000, 3_000), (4_000, 4_466)],
                vec![(4_467, 4_600)]
            ]
        );
    }
}
