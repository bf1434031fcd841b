//! The rows of events, each statement next to its function.

use rusqlite::{Connection, params};

use crate::{
    index::{Entry, TermWriter},
    model::{
        field::{Field, TermStorage},
        timestamp::Timestamp,
        values::{self, Values},
    },
    store::event::{checksum::Columns, prepared::Prepared},
};

/// The newest event's seq; 0 in an empty log.
pub(in crate::store) fn last_seq(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT coalesce(max(seq), 0) FROM event")?.query_row([], |row| row.get(0))
}

/// Inserts an event, and those of its values that are not in the term dictionary yet. Returns the index entry.
pub(in crate::store) fn insert(
    connection: &Connection,
    terms: &mut TermWriter,
    seq: i64,
    event: &Prepared,
) -> rusqlite::Result<Entry> {
    let mut known = terms.valid(&event.known).iter();
    let entry = entry(seq, event.timestamp, &event.values, |field, value| match known.next() {
        Some(Some(ordinal)) => Ok(Some(*ordinal)),
        Some(None) | None => terms.ordinal(connection, field, value).map(Some),
    })?;
    let columns = Columns {
        seq,
        timestamp: event.timestamp.micros(),
        entity: entry.first(Field::Entity).map(i64::from),
        blueprint: entry.first(Field::Blueprint).map(i64::from),
        filled: event.filled.code().into(),
    };
    let Columns { timestamp, entity, blueprint, filled, .. } = columns;
    connection
        .prepare_cached(
            "INSERT INTO event (seq, timestamp, entity, blueprint, filled, body, checksum) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![seq, timestamp, entity, blueprint, filled, event.stored, event.content.in_row(&columns)])?;
    Ok(entry)
}

/// The index entry of an event with these values. `ordinal` looks up a term, in the order of the values; unknown terms are
/// omitted.
pub(in crate::store) fn entry(
    seq: i64,
    timestamp: Timestamp,
    values: &Values,
    mut ordinal: impl FnMut(Field, &str) -> rusqlite::Result<Option<u32>>,
) -> rusqlite::Result<Entry> {
    let (mut terms, mut keys) = (Vec::new(), Vec::new());
    for (field, value) in values::iterate(values.as_bytes()) {
        match field.spec().sharing {
            TermStorage::LogWide => terms.extend(ordinal(field, value)?.map(|ordinal| (field, ordinal))),
            TermStorage::PerChunk => keys.push((field, value.to_owned())),
        }
    }
    Ok(Entry::new(seq, timestamp, terms, keys).with_words(values.words()))
}
