//! Builds index entries from stored events.
//!
//! This happens when a file is opened, for the events after the last sealed chunk, and when another program has written
//! events while the server runs. An event with a damaged body is indexed by the columns of its row, so that the others
//! can still be found.

use rusqlite::Connection;

use crate::{
    index::{self, Entry, Index, IndexError, SharedChunk, TermWriter},
    model::{field::Field, timestamp::Timestamp, values::Values},
    store::{
        event::{
            chunks::SeqRun,
            codec::BodyCodec,
            row as events,
            stored::{self, Damage, Fetch, Stored},
            tombstones::Dropped,
        },
        file::progress::Progress,
    },
};

/// Maximum number of consecutive missing events. A larger gap means that the seqs around it are not reliable.
const GAP_EVENTS_MAX: i64 = 1_000;
/// Events published to the index at once. Bounds the entries that are in memory twice.
const BATCH_EVENTS: usize = 4_096;

/// An event as read from its row, with what it is indexed by.
pub(in crate::store) struct ReplayedRow {
    pub(in crate::store) seq: i64,
    /// The time in its column. For an unreadable row, the time of the event before it.
    pub(in crate::store) timestamp: Timestamp,
    pub(in crate::store) columns: [(Field, Option<u32>); 2],
    /// The time and the values in its body, or how the row is damaged.
    pub(in crate::store) body: Result<(Timestamp, Values), Damage>,
}

impl ReplayedRow {
    fn new(seq: i64, row: Result<Stored, String>, before: Timestamp, fetch: &mut Fetch<'_>) -> rusqlite::Result<Self> {
        let ordinal = |column: Option<i64>| column.and_then(|ordinal| u32::try_from(ordinal).ok());
        Ok(match row {
            Ok(stored) => Self {
                seq,
                timestamp: stored.timestamp(),
                columns: [
                    (Field::Entity, ordinal(stored.columns.entity)),
                    (Field::Blueprint, ordinal(stored.columns.blueprint)),
                ],
                body: fetch.open(&stored)?.and_then(|body| Ok(stored::searchable(body)?)),
            },
            Err(message) => Self {
                seq,
                timestamp: before,
                columns: [(Field::Entity, None), (Field::Blueprint, None)],
                body: Err(message.into()),
            },
        })
    }

    /// For a damaged row: ignores columns with ordinals that the term dictionary does not have.
    fn keep_known(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for (field, column) in &mut self.columns {
            if let Some(ordinal) = *column {
                match index::has_term(connection, *field, ordinal) {
                    Ok(true) => {}
                    Ok(false) => *column = None,
                    Err(error) if stored::is_damage(&error) => *column = None,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// The index entry. `ordinal` looks up a term; unknown terms are omitted.
    pub(in crate::store) fn entry(
        &self,
        ordinal: impl FnMut(Field, &str) -> rusqlite::Result<Option<u32>>,
    ) -> rusqlite::Result<Entry> {
        match &self.body {
            Ok((timestamp, values)) => events::entry(self.seq, *timestamp, values, ordinal),
            Err(damage) => {
                let known = self.columns.iter().filter_map(|(field, ordinal)| Some((*field, (*ordinal)?))).collect();
                Ok(match &damage.identifier {
                    Some(identifier) => {
                        Entry::new(self.seq, self.timestamp, known, vec![(Field::Identifier, identifier.clone())])
                    }
                    None => Entry::damaged(self.seq, self.timestamp, known, damage.identifier_part),
                })
            }
        }
    }

    /// The identifier, if the row is undamaged.
    pub(in crate::store) fn identifier(&self) -> Option<&str> {
        self.body.as_ref().ok().and_then(|(_, values)| values.first(Field::Identifier))
    }

    /// Reports a damaged event in the server log.
    pub(in crate::store) fn report(&self) {
        if let Err(Damage { message, .. }) = &self.body {
            let seq = self.seq;
            tracing::error!(
                seq,
                cause = message,
                "an event is damaged: only its time, entity and blueprint can be searched"
            );
        }
    }
}

/// Calls `each` with the events from `first` to `last`, in order, that are not dropped: with every one of them,
/// including those whose rows cannot be read.
pub(in crate::store) fn each_event(
    (connection, bodies): (&Connection, &BodyCodec),
    (first, last): SeqRun,
    dropped: &Dropped,
    mut each: impl FnMut(&ReplayedRow) -> rusqlite::Result<()>,
) -> Result<(), IndexError> {
    let mut before = Timestamp::from_micros(0);
    let mut fetch = Fetch::new(connection, bodies)?;
    let sql = format!("SELECT {} FROM event WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq", Stored::COLUMNS);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([first, last])?;
    let mut is_in_order = true;
    let mut seq = dropped.next_kept(first);
    while seq <= last {
        let mut scanned = None;
        while is_in_order && scanned.is_none() {
            match rows.next().and_then(|row| row.map(Stored::row).transpose()) {
                Ok(Some(stored)) if stored.columns.seq == seq => scanned = Some(Ok(stored)),
                // Its row is about to be deleted.
                Ok(Some(stored)) if dropped.holds(stored.columns.seq) => {}
                // From here on, rows are fetched one by one: the next row is not the next event.
                Ok(_) => is_in_order = false,
                Err(error) if stored::is_damage(&error) => is_in_order = false,
                Err(error) => return Err(error.into()),
            }
        }
        let row = match scanned {
            Some(row) => row,
            None => match fetch.row(seq)? {
                Some(row) => row,
                None => Err(missing(connection, seq)?),
            },
        };
        let mut read = ReplayedRow::new(seq, row, before, &mut fetch)?;
        if read.body.is_err() {
            read.keep_known(connection)?;
        }
        before = read.timestamp;
        each(&read)?;
        seq = dropped.next_kept(seq + 1);
    }
    Ok(())
}

/// The message for a missing event. An error if more events are missing than a gap may have: a damaged seq could make
/// the gap endless.
fn missing(connection: &Connection, seq: i64) -> Result<String, IndexError> {
    let next = next_seq(connection, seq)?;
    if let Some(next) = next {
        let dropped = Dropped::within(connection, seq, next)?;
        let gap = std::iter::successors(Some(seq), |seq| Some(dropped.next_kept(seq + 1)));
        if gap.take(usize::try_from(GAP_EVENTS_MAX + 1).unwrap_or(0)).any(|seq| seq >= next) {
            return Ok("it is missing".to_owned());
        }
    }
    let end = next.map_or_else(String::new, |next| format!(" to {}", next - 1));
    Err(IndexError::Damaged(format!("events {seq}{end} are missing")))
}

/// The seq of the first event after this one.
pub(in crate::store) fn next_seq(connection: &Connection, after: i64) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached("SELECT min(seq) FROM event WHERE seq > ?1")?.query_row([after], |row| row.get(0))
}

/// Adds the events after the newest in the index, for a file that is being opened. Returns the chunks that this has
/// filled.
pub(in crate::store) fn extend(
    connection: &Connection,
    index: &Index,
    bodies: &BodyCodec,
    terms: Terms<'_>,
    progress: &dyn Progress,
) -> Result<Vec<SharedChunk>, IndexError> {
    let mut full = Vec::new();
    let seqs = (index.through_seq(), events::last_seq(connection)?);
    let mut entries = Vec::with_capacity(BATCH_EVENTS);
    each_entry((connection, bodies), seqs, terms, |seq, entry| {
        entries.push(entry);
        if entries.len() == BATCH_EVENTS {
            progress.advance("reading the newest events", seq - seqs.0, seqs.1 - seqs.0);
            full.append(&mut index.publish(&entries));
            entries.clear();
        }
    })?;
    full.append(&mut index.publish(&entries));
    Ok(full)
}

/// The index entries of the events after `after` up to `through`. Their terms must be committed before the entries are
/// published: after a rollback, other values would get the same ordinals.
pub(in crate::store) fn entries(
    source: (&Connection, &BodyCodec),
    seqs: (i64, i64),
    terms: Terms<'_>,
) -> Result<Vec<Entry>, IndexError> {
    let mut entries = Vec::new();
    each_entry(source, seqs, terms, |_, entry| entries.push(entry))?;
    Ok(entries)
}

fn each_entry(
    (connection, bodies): (&Connection, &BodyCodec),
    (after, through): (i64, i64),
    mut terms: Terms<'_>,
    mut each: impl FnMut(i64, Entry),
) -> Result<(), IndexError> {
    let dropped = Dropped::within(connection, after + 1, i64::MAX)?;
    each_event((connection, bodies), (after + 1, through), &dropped, |read| {
        read.report();
        each(read.seq, read.entry(|field, value| terms.ordinal(connection, field, value))?);
        Ok(())
    })
}

/// How terms are looked up.
pub(in crate::store) enum Terms<'t> {
    /// Missing terms are added to the term dictionary, in this connection's transaction.
    Added(&'t mut TermWriter, &'t Connection),
    /// Missing terms are omitted, and the file is only read.
    Known(TermWriter),
}

impl Terms<'_> {
    fn ordinal(&mut self, connection: &Connection, field: Field, value: &str) -> rusqlite::Result<Option<u32>> {
        match self {
            Self::Added(terms, writing) => terms.ordinal(writing, field, value).map(Some),
            Self::Known(terms) => terms.known(connection, field, value),
        }
    }
}
