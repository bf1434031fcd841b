//! The rows of events: each statement beside its function.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    model::{event::Filled, field::Field, values},
    store::Prepared,
};

/// Stores one event.
pub(super) fn insert(connection: &Connection, seq: i64, event: &Prepared) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO event (seq, timestamp, entity, blueprint, identifier_hash, filled, fields, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            seq,
            event.timestamp.micros(),
            event.entity(),
            event.blueprint(),
            event.identifier_hash,
            event.filled.code(),
            event.values.as_bytes(),
            event.stored,
        ])?;
    Ok(())
}

/// A stored event's body and what the server had filled in.
pub(super) struct Stored {
    pub(super) seq: i64,
    pub(super) filled: Filled,
    pub(super) body: Vec<u8>,
}

/// The event with this identifier, found by its hash and confirmed by its fields.
pub(super) fn by_identifier(connection: &Connection, hash: i64, identifier: &str) -> rusqlite::Result<Option<Stored>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, fields, filled, body FROM event INDEXED BY event_identifier_hash WHERE identifier_hash = ?1",
    )?;
    let mut rows = statement.query([hash])?;
    while let Some(row) = rows.next()? {
        let is_it = values::iterate(row.get_ref(1)?.as_blob()?)
            .any(|(field, value)| field == Field::Identifier && value == identifier);
        if is_it {
            return Ok(Some(Stored { seq: row.get(0)?, filled: Filled::from_code(row.get(2)?), body: row.get(3)? }));
        }
    }
    Ok(None)
}

/// The stored form of the event with this seq.
pub(super) fn body(connection: &Connection, seq: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    connection.prepare_cached("SELECT body FROM event WHERE seq = ?1")?.query_row([seq], |row| row.get(0)).optional()
}
