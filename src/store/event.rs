//! The rows of events: each statement beside its function.

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::{
    index::{Entry, TermWriter},
    model::{
        event::Filled,
        field::{Field, Sharing},
        timestamp::Timestamp,
        values::{self, Values},
    },
    store::Prepared,
};

/// The newest event's seq; 0 in an empty log.
pub(super) fn last_seq(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT coalesce(max(seq), 0) FROM event")?.query_row([], |row| row.get(0))
}

/// Stores one event, and its values that the dictionary of the log does not have. Returns what the index keeps of it.
pub(super) fn insert(
    connection: &Connection,
    terms: &mut TermWriter,
    seq: i64,
    event: &Prepared,
) -> rusqlite::Result<Entry> {
    let mut term = |field, value: &str| terms.ordinal(connection, field, value);
    let mut first = |field| event.values.first(field).map(|value| term(field, value)).transpose();
    let (entity, blueprint) = (first(Field::Entity)?, first(Field::Blueprint)?);
    connection
        .prepare_cached(
            "INSERT INTO event (seq, timestamp, entity, blueprint, filled, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![seq, event.timestamp.micros(), entity, blueprint, event.filled.code(), event.stored])?;
    entry(seq, event.timestamp, &event.values, |field, value| term(field, value).map(Some))
}

/// What the index keeps of an event with these values. `ordinal` looks a term up; one that it does not know is left out.
pub(super) fn entry(
    seq: i64,
    timestamp: Timestamp,
    values: &Values,
    mut ordinal: impl FnMut(Field, &str) -> rusqlite::Result<Option<u32>>,
) -> rusqlite::Result<Entry> {
    let (mut terms, mut keys) = (Vec::new(), Vec::new());
    for (field, value) in values::iterate(values.as_bytes()) {
        match field.spec().sharing {
            Sharing::Shared => terms.extend(ordinal(field, value)?.map(|ordinal| (field, ordinal))),
            Sharing::Own => keys.push((field, value.to_owned())),
        }
    }
    Ok(Entry::new(seq, timestamp, terms, keys))
}

/// A stored event's body and what the server had filled in.
pub(super) struct Stored {
    pub(super) filled: Filled,
    pub(super) body: Vec<u8>,
}

/// The stored form of the event with this seq, and what the server had filled in.
pub(super) fn stored(connection: &Connection, seq: i64) -> rusqlite::Result<Option<Stored>> {
    connection
        .prepare_cached("SELECT filled, body FROM event WHERE seq = ?1")?
        .query_row([seq], |row| Ok(Stored { filled: Filled::from_code(row.get(0)?), body: row.get(1)? }))
        .optional()
}

/// The statement that fetches an event's stored form by its seq: made once for all that are fetched.
pub(super) fn body_statement(connection: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
    connection.prepare_cached("SELECT body FROM event WHERE seq = ?1")
}
