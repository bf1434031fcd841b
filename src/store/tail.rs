//! The part of the index that is in memory, made from the events that no sealed chunk holds.
//!
//! This happens when a file is opened, and when a command beside the server has written an event. An event whose body is
//! damaged is still indexed by what its row says: it must not keep the others from being found.

use rusqlite::{Connection, Row};

use crate::{
    index::{Entry, Index, IndexError, SharedChunk, TermWriter},
    model::{event, field::Field, timestamp::Timestamp, values::Values},
    store::{
        Progress,
        body::{Bodies, Decoder},
        dropped::Dropped,
        event as events,
    },
};

/// Events taken into the index at once: bounds what is held twice.
const BATCH_EVENTS: usize = 4_096;

/// What an event is indexed by that is read from its row.
pub(super) struct Read {
    pub(super) seq: i64,
    /// What its columns say.
    pub(super) timestamp: Timestamp,
    pub(super) columns: [(Field, Option<u32>); 2],
    /// What its body says, or how that is damaged.
    pub(super) body: Result<(Timestamp, Values), String>,
}

impl Read {
    /// The columns that [`Read::row`] takes, in its order.
    pub(super) const COLUMNS: &str = "seq, timestamp, entity, blueprint, body";

    /// Reads a row.
    pub(super) fn row(row: &Row<'_>, decoder: &Decoder<'_>) -> rusqlite::Result<Self> {
        let body = decoder.decode(row.get_ref(4)?.as_blob()?);
        Ok(Self {
            seq: row.get(0)?,
            timestamp: Timestamp::from_micros(row.get(1)?),
            columns: [(Field::Entity, row.get(2)?), (Field::Blueprint, row.get(3)?)],
            body: body.and_then(|body| event::searchable(&body).ok_or_else(|| "it is not an event".to_owned())),
        })
    }

    /// Its entry. `ordinal` looks a term up; one that it does not know is left out.
    pub(super) fn entry(
        &self,
        ordinal: impl FnMut(Field, &str) -> rusqlite::Result<Option<u32>>,
    ) -> rusqlite::Result<Entry> {
        match &self.body {
            Ok((timestamp, values)) => events::entry(self.seq, *timestamp, values, ordinal),
            Err(_) => {
                let known = self.columns.iter().filter_map(|(field, ordinal)| Some((*field, (*ordinal)?)));
                Ok(Entry::new(self.seq, self.timestamp, known.collect(), Vec::new()))
            }
        }
    }

    /// Says in the log that the event is damaged, if it is.
    pub(super) fn report(&self) {
        if let Err(message) = &self.body {
            let seq = self.seq;
            tracing::error!(seq, message, "an event is damaged: it is found by its time, entity and blueprint only");
        }
    }
}

/// Takes into the index the events that the file has beyond it. Returns the chunks that this has filled.
pub(super) fn extend(
    connection: &Connection,
    index: &Index,
    bodies: &Bodies,
    terms: Terms<'_>,
    progress: &dyn Progress,
) -> Result<Vec<SharedChunk>, IndexError> {
    let (mut full, mut terms) = (Vec::new(), terms);
    let decoder = Decoder::new(connection, bodies);
    let (through_seq, last_seq) = (index.through_seq(), events::last_seq(connection)?);
    let dropped = Dropped::within(connection, through_seq + 1, i64::MAX)?;
    let sql = format!("SELECT {} FROM event WHERE seq > ?1 ORDER BY seq", Read::COLUMNS);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([through_seq])?;
    let mut entries = Vec::with_capacity(BATCH_EVENTS);
    let mut expected = dropped.next_kept(through_seq + 1);
    while let Some(row) = rows.next()? {
        let read = Read::row(row, &decoder)?;
        let seq = read.seq;
        if dropped.holds(seq) {
            continue;
        }
        if seq != expected {
            return Err(IndexError::Damaged(format!("event {expected} is missing")));
        }
        expected = dropped.next_kept(seq + 1);
        read.report();
        entries.push(read.entry(|field, value| terms.ordinal(connection, field, value))?);
        if entries.len() == BATCH_EVENTS {
            progress.advance("reading the newest events", seq - through_seq, last_seq - through_seq);
            full.append(&mut index.publish(&entries));
            entries.clear();
        }
    }
    full.append(&mut index.publish(&entries));
    Ok(full)
}

/// How terms are looked up.
pub(super) enum Terms<'t> {
    /// What the dictionary does not have is added to it.
    Added(&'t mut TermWriter),
    /// The file is only read.
    Known(TermWriter),
}

impl Terms<'_> {
    fn ordinal(&mut self, connection: &Connection, field: Field, value: &str) -> rusqlite::Result<Option<u32>> {
        match self {
            Self::Added(terms) => terms.ordinal(connection, field, value).map(Some),
            Self::Known(terms) => terms.known(connection, field, value),
        }
    }
}
