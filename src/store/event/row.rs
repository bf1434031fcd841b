//! The rows of events, each statement next to its function.

use rusqlite::{Connection, params};

use crate::{
    index::{Entry, TermWriter},
    model::{
        field::{Field, TermStorage},
        timestamp::Timestamp,
        values::{self, Values},
    },
    store::event::{
        block_replacement, block_rows, checksum::Columns, chunks::SeqRun, codec::BodyCodec, prepared::Prepared,
    },
};

/// Numbers of terms and of per-chunk values that few events exceed.
const USUAL_TERMS: usize = 32;
const USUAL_KEYS: usize = 4;

/// The newest event's seq; 0 in an empty log.
pub(in crate::store) fn last_seq(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT coalesce(max(seq), 0) FROM event")?.query_row([], |row| row.get(0))
}

/// Inserts events after the one with the seq `last`, and those of their values that are not in the term dictionary yet.
/// Returns the index entries.
pub(in crate::store) fn append(
    connection: &Connection,
    bodies: &BodyCodec,
    terms: &mut TermWriter,
    last: i64,
    events: &[&Prepared],
) -> rusqlite::Result<Vec<Entry>> {
    let mut entries = Vec::with_capacity(events.len());
    let mut seq = last;
    for block in events.chunk_by(|one, next| one.is_with(next)) {
        let stored = Prepared::block_of(block, bodies)
            .ok_or_else(|| rusqlite::Error::ToSqlConversionFailure("a prepared block cannot be decoded".into()))?;
        block_rows::insert(connection, seq + 1, block.len(), &stored)?;
        for event in block {
            seq += 1;
            entries.push(insert(connection, terms, seq, event)?);
        }
    }
    Ok(entries)
}

/// Inserts the row of an event, and its new terms.
fn insert(connection: &Connection, terms: &mut TermWriter, seq: i64, event: &Prepared) -> rusqlite::Result<Entry> {
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
            "INSERT INTO event (seq, timestamp, entity, blueprint, filled, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![seq, timestamp, entity, blueprint, filled, event.content.in_row(&columns)])?;
    Ok(entry)
}

/// Deletes the rows and the bodies of events whose deletion is recorded.
pub(in crate::store) fn delete(connection: &Connection, bodies: &BodyCodec, runs: &[SeqRun]) -> rusqlite::Result<()> {
    block_replacement::remove(connection, bodies, runs)?;
    let mut statement = connection.prepare_cached("DELETE FROM event WHERE seq BETWEEN ?1 AND ?2")?;
    for (first, last) in runs {
        statement.execute([first, last])?;
    }
    Ok(())
}

/// The index entry of an event with these values. `ordinal` looks up a term, in the order of the values; unknown terms are
/// omitted.
pub(in crate::store) fn entry(
    seq: i64,
    timestamp: Timestamp,
    values: &Values,
    mut ordinal: impl FnMut(Field, &str) -> rusqlite::Result<Option<u32>>,
) -> rusqlite::Result<Entry> {
    let (mut terms, mut keys) = (Vec::with_capacity(USUAL_TERMS), Vec::with_capacity(USUAL_KEYS));
    for (field, value) in values::iterate(values.as_bytes()) {
        match field.spec().sharing {
            TermStorage::LogWide => terms.extend(ordinal(field, value)?.map(|ordinal| (field, ordinal))),
            TermStorage::PerChunk => keys.push((field, value.to_owned())),
        }
    }
    Ok(Entry::new(seq, timestamp, terms, keys).with_words(values.words()))
}
