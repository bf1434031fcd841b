//! The part of the index that is in memory, made from the events that no sealed chunk holds.
//!
//! This happens when a file is opened, and when another program has written an event while the server runs. An event whose body is
//! damaged is still indexed by what its row says: it must not keep the others from being found.

use rusqlite::Connection;

use crate::{
    index::{self, Entry, Index, IndexError, SharedChunk, TermWriter},
    model::{field::Field, timestamp::Timestamp, values::Values},
    store::{
        event::{
            chunks::SeqRun,
            codec::{BodyCodec, Decoder},
            row as events,
            stored::{self, Damage, Fetch, Stored},
            tombstones::Dropped,
        },
        file::progress::Progress,
    },
};

/// Events in a row that may be missing: with more, the numbers of those around them cannot be relied on.
const GAP_EVENTS_MAX: i64 = 1_000;
/// Events taken into the index at once: bounds what is held twice.
const BATCH_EVENTS: usize = 4_096;

/// What an event is indexed by that is read from its row.
pub(in crate::store) struct ReplayedRow {
    pub(in crate::store) seq: i64,
    /// What its columns say. Of a row that cannot be read, the time of the one before it.
    pub(in crate::store) timestamp: Timestamp,
    pub(in crate::store) columns: [(Field, Option<u32>); 2],
    /// What its body says, or how the row is damaged.
    pub(in crate::store) body: Result<(Timestamp, Values), Damage>,
}

impl ReplayedRow {
    fn new(seq: i64, row: Result<&Stored, String>, before: Timestamp, decoder: &Decoder<'_>) -> Self {
        let ordinal = |column: Option<i64>| column.and_then(|ordinal| u32::try_from(ordinal).ok());
        match row {
            Ok(stored) => Self {
                seq,
                timestamp: stored.timestamp(),
                columns: [
                    (Field::Entity, ordinal(stored.columns.entity)),
                    (Field::Blueprint, ordinal(stored.columns.blueprint)),
                ],
                body: stored.open(decoder).and_then(|body| Ok(stored::searchable(&body)?)),
            },
            Err(message) => Self {
                seq,
                timestamp: before,
                columns: [(Field::Entity, None), (Field::Blueprint, None)],
                body: Err(message.into()),
            },
        }
    }

    /// Of a damaged row, leaves out what its columns say that stands in no dictionary.
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

    /// Its entry. `ordinal` looks a term up; one that it does not know is left out.
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

    /// Its identifier, if it is sound.
    pub(in crate::store) fn identifier(&self) -> Option<&str> {
        self.body.as_ref().ok().and_then(|(_, values)| values.first(Field::Identifier))
    }

    /// Says in the log that the event is damaged, if it is.
    pub(in crate::store) fn report(&self) {
        if let Err(Damage { message, .. }) = &self.body {
            let seq = self.seq;
            tracing::error!(
                seq,
                cause = message,
                "an event is damaged: it is found by its time, entity and blueprint only"
            );
        }
    }
}

/// Calls `each` with the events from `first` to `last`, in order, that are not dropped: with every one of them, including
/// those whose rows cannot be read.
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
                // Its row waits to be taken out.
                Ok(Some(stored)) if dropped.holds(stored.columns.seq) => {}
                // From here on one by one: what follows in the file is not what follows in the log.
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
        let mut read = ReplayedRow::new(seq, row.as_ref().map_err(String::clone), before, fetch.decoder());
        if read.body.is_err() {
            read.keep_known(connection)?;
        }
        before = read.timestamp;
        each(&read)?;
        seq = dropped.next_kept(seq + 1);
    }
    Ok(())
}

/// What is said of an event that is not there. An error, if those after it are not either: a number that is damaged may
/// stand for a gap without end.
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

/// The first event after this place.
pub(in crate::store) fn next_seq(connection: &Connection, after: i64) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached("SELECT min(seq) FROM event WHERE seq > ?1")?.query_row([after], |row| row.get(0))
}

/// Takes into the index the events that the file has beyond it, for a file that is being opened. Returns the chunks that
/// this has filled.
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

/// The index entries of the events after `after` up to `through`. The terms that they need must be committed before the
/// entries are published: after a rollback their ordinals would be given to other values.
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
    /// What the dictionary does not have is added to it, in this connection's transaction.
    Added(&'t mut TermWriter, &'t Connection),
    /// The file is only read.
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
