//! The part of the index that is in memory, made from the events that no sealed chunk holds.
//!
//! This happens when a file is opened, and when a command beside the server has written an event. An event whose body is
//! damaged is still indexed by what its row says: it must not keep the others from being found.

use rusqlite::{Connection, Row};

use crate::{
    index::{Entry, Index, IndexError, SharedChunk, TermWriter},
    model::{event, field::Field, timestamp::Timestamp},
    store::{
        body::{Bodies, Decoder},
        event as events,
    },
};

/// Events taken into the index at once: bounds what is held twice.
const BATCH_EVENTS: usize = 4_096;

/// Takes into the index the events that the file has beyond it. Returns the chunks that this has filled.
pub(super) fn extend(
    connection: &Connection,
    index: &Index,
    terms: &mut TermWriter,
    bodies: &Bodies,
) -> Result<Vec<SharedChunk>, IndexError> {
    let mut full = Vec::new();
    let mut decoder = Decoder::new(connection, bodies);
    let mut statement = connection
        .prepare_cached("SELECT seq, timestamp, entity, blueprint, body FROM event WHERE seq > ?1 ORDER BY seq")?;
    let mut rows = statement.query([index.through_seq()])?;
    let mut entries = Vec::with_capacity(BATCH_EVENTS);
    while let Some(row) = rows.next()? {
        entries.push(read(connection, terms, &mut decoder, row)?);
        if entries.len() == BATCH_EVENTS {
            full.append(&mut index.publish(&entries));
            entries.clear();
        }
    }
    full.append(&mut index.publish(&entries));
    Ok(full)
}

/// One row's entry.
pub(super) fn read(
    connection: &Connection,
    terms: &mut TermWriter,
    decoder: &mut Decoder<'_>,
    row: &Row<'_>,
) -> rusqlite::Result<Entry> {
    let found = decoder.decode(row.get_ref(4)?.as_blob()?);
    let found = found.and_then(|body| event::searchable(&body).ok_or_else(|| "it is not an event".to_owned()));
    match found {
        Ok((timestamp, values)) => {
            events::entry(timestamp, &values, |field, value| terms.ordinal(connection, field, value))
        }
        Err(message) => {
            let seq: i64 = row.get(0)?;
            tracing::error!(
                seq,
                message,
                "an event is damaged: it can be found by its time, entity and blueprint only"
            );
            let known = [(Field::Entity, row.get::<_, Option<u32>>(2)?), (Field::Blueprint, row.get(3)?)];
            let known = known.into_iter().filter_map(|(field, ordinal)| Some((field, ordinal?))).collect();
            Ok(Entry::new(Timestamp::from_micros(row.get(1)?), known, Vec::new()))
        }
    }
}
