//! Opening a file to write: creates it, or migrates it to the present format.
//!
//! Each step is one transaction and leaves a file from which the next attempt continues: a crash or a full disk costs
//! only the step in progress. The first step brings the file to the present schema, and leaves the events in a table of
//! their former format. Then they are moved (`move_events.rs`), and the index is rebuilt.

use std::{collections::HashSet, path::Path};

use rusqlite::{Connection, TransactionBehavior, params};

use crate::{
    index::IndexError,
    model::random,
    platform::sync,
    store::{
        error::OpenError,
        event::{codec::BodyCodec, epoch, zstd_dictionary},
        file::{
            checkpoint,
            format::{self, APPLICATION_ID, FORMAT, MOVED_EVENTS, SCHEMA},
            open,
            progress::Progress,
        },
        maintenance::{move_events, reindex},
    },
};

/// The name of this step in reports of progress.
const STEP: &str = "bringing the file to its present format";

/// Opens the file to write. Creates it if there is none, migrates an older one, and rejects one that is newer or not of
/// auditbox. `chunk_events` is the number of events per chunk of a new index.
pub(in crate::store) fn open(path: &Path, chunk_events: u32, progress: &dyn Progress) -> Result<Connection, OpenError> {
    open::make_private(path).map_err(|error| open::unavailable(path, &error))?;
    format::known_format(path)?;
    let mut connection = open::read_write(path)?;
    migrate(&mut connection, path, chunk_events, progress)?;
    sync::sync_created_by_sqlite(path).map_err(|error| open::unavailable(path, &error))?;
    Ok(connection)
}

fn migrate(
    connection: &mut Connection,
    path: &Path,
    chunk_events: u32,
    progress: &dyn Progress,
) -> Result<(), OpenError> {
    let sqlite = |error: rusqlite::Error| open::refused(path, &error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
    match format::format_of(&transaction).map_err(sqlite)? {
        (APPLICATION_ID, found) if found > FORMAT => return Err(format::newer(path, found)),
        (APPLICATION_ID, FORMAT) => drop(transaction),
        (APPLICATION_ID, 1) => {
            begin_from_1(&transaction, chunk_events).map_err(sqlite)?;
            transaction.commit().map_err(sqlite)?;
        }
        (APPLICATION_ID, 2) => {
            begin_from_2(&transaction).map_err(sqlite)?;
            transaction.commit().map_err(sqlite)?;
        }
        (APPLICATION_ID, 3) => {
            begin_from_3(&transaction).map_err(sqlite)?;
            transaction.commit().map_err(sqlite)?;
        }
        (0, 0) if format::is_empty(&transaction).map_err(sqlite)? => {
            create(&transaction, chunk_events).map_err(sqlite)?;
            return transaction.commit().map_err(sqlite);
        }
        _ => return Err(OpenError::Foreign(path.to_owned())),
    }
    move_events::finish(connection, path, progress).map_err(sqlite)?;
    finish_index(connection, path, progress).map_err(|error| open::unusable(path, &error))
}

fn create(connection: &Connection, chunk_events: u32) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", FORMAT)?;
    let key = random::bytes::<32>().map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    set(connection, "access_token_key", key.as_slice())?;
    set(connection, "credential_generation", 0)?;
    set(connection, "checksums_from", 1)?;
    set(connection, "chunk_events", chunk_events)?;
    epoch::begin_in(connection).map(drop)
}

fn set(connection: &Connection, name: &str, value: impl rusqlite::ToSql) -> rusqlite::Result<()> {
    connection.execute("INSERT INTO setting (name, value) VALUES (?1, ?2)", params![name, value]).map(drop)
}

/// Format 1 stored the values of an event in columns next to its body, found events by B-trees, and had no index of its
/// own. After this transaction no older auditbox opens the file, and the same applies below.
fn begin_from_1(connection: &Connection, chunk_events: u32) -> rusqlite::Result<()> {
    connection.execute_batch("DROP INDEX event_identifier_hash")?;
    set_aside_events(connection, 1)?;
    complete(connection)?;
    set(connection, "checksums_from", last_seq_of(connection, 1)? + 1)?;
    set(connection, "chunk_events", chunk_events)
}

/// Gives the table of events the name of its format, and removes what depends on it.
fn set_aside_events(connection: &Connection, format: usize) -> rusqlite::Result<()> {
    let name = format::EVENTS_OF_FORMATS[format - 1];
    connection.execute_batch(&format!(
        "DROP TRIGGER event_is_never_changed; DROP TRIGGER event_is_never_deleted; DROP VIEW IF EXISTS named_event;
         DROP INDEX event_timestamp; DROP INDEX event_entity; DROP INDEX event_blueprint;
         ALTER TABLE event RENAME TO {name}"
    ))?;
    set(connection, MOVED_EVENTS, 0)?;
    connection.pragma_update(None, "user_version", FORMAT)
}

fn last_seq_of(connection: &Connection, format: usize) -> rusqlite::Result<i64> {
    let sql = format!("SELECT coalesce(max(seq), 0) FROM {}", format::EVENTS_OF_FORMATS[format - 1]);
    connection.query_row(&sql, [], |row| row.get(0))
}

/// Format 2 had no retention and no checksums. Its events get no checksums: those would confirm events that may already be
/// damaged.
fn begin_from_2(connection: &Connection) -> rusqlite::Result<()> {
    set_aside_events(connection, 2)?;
    connection.execute_batch("ALTER TABLE chunk RENAME TO chunk_2; ALTER TABLE dictionary RENAME TO dictionary_2")?;
    complete(connection)?;
    connection.execute_batch(
        "INSERT INTO chunk SELECT number, 0, events, first, last, first_times, key_blocks, identifiers FROM chunk_2;
         DROP TABLE chunk_2;",
    )?;
    add_dictionary_checksums(connection)?;
    set(connection, "checksums_from", last_seq_of(connection, 2)? + 1)?;
    outdate(connection)
}

/// Format 3 had each body in the row of its event.
fn begin_from_3(connection: &Connection) -> rusqlite::Result<()> {
    set_aside_events(connection, 3)?;
    complete(connection)?;
    outdate(connection)
}

/// The index of formats 2 and 3 had every name of an actor as a value of the same field. Their dictionaries were
/// trained for bodies that are compressed one by one.
fn outdate(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("UPDATE dictionary SET ratio = 0")?;
    set(connection, format::OUTDATED_CHUNKS, 0)
}

fn add_dictionary_checksums(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT number, created_at, ratio, bytes FROM dictionary_2")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (number, bytes): (u32, Vec<u8>) = (row.get(0)?, row.get(3)?);
        let (created_at, ratio): (i64, f64) = (row.get(1)?, row.get(2)?);
        connection.execute(
            "INSERT INTO dictionary (number, created_at, ratio, bytes, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![number, created_at, ratio, bytes, zstd_dictionary::checksum(number, &bytes)],
        )?;
    }
    drop(rows);
    drop(statement);
    connection.execute_batch("DROP TABLE dictionary_2")
}

/// Creates what the present format has and the file lacks. The definitions come from the schema, so that a migrated
/// file equals a new one.
fn complete(connection: &Connection) -> rusqlite::Result<()> {
    let present: HashSet<String> = names(connection)?;
    let fresh = Connection::open_in_memory()?;
    fresh.execute_batch(SCHEMA)?;
    let mut statement =
        fresh.prepare("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY rowid")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if !present.contains(&row.get::<_, String>(0)?) {
            connection.execute_batch(&row.get::<_, String>(1)?)?;
        }
    }
    connection.execute_batch("ANALYZE sqlite_schema; DELETE FROM sqlite_stat1")?;
    let mut statement = fresh.prepare("SELECT tbl, idx, stat FROM sqlite_stat1")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (table, index, rows): (String, String, String) = row.try_into()?;
        connection.execute("INSERT INTO sqlite_stat1 VALUES (?1, ?2, ?3)", [table, index, rows])?;
    }
    Ok(())
}

fn names(connection: &Connection) -> rusqlite::Result<HashSet<String>> {
    connection.prepare("SELECT name FROM sqlite_schema")?.query_map([], |row| row.get(0))?.collect()
}

/// Rebuilds the chunks whose rows are still those of format 3. Values that no event has any more stay in the term
/// dictionary until retention next deletes events.
fn finish_index(connection: &mut Connection, path: &Path, progress: &dyn Progress) -> Result<(), IndexError> {
    let Some(first) = format::outdated_chunks(connection)? else {
        return Ok(());
    };
    // The rows of an interrupted retention may be replaced: they must not stay readable on free pages.
    connection.pragma_update(None, "secure_delete", true)?;
    let bodies = BodyCodec::load(connection)?;
    let done = |transaction: &Connection, number: u32| {
        let sql = "UPDATE setting SET value = ?1 WHERE name = ?2";
        transaction.execute(sql, params![number + 1, format::OUTDATED_CHUNKS]).map(drop)
    };
    reindex::renew(path, connection, &bodies, first, |done, total| progress.advance(STEP, done, total), done)?;
    connection.execute("DELETE FROM setting WHERE name = ?1", [format::OUTDATED_CHUNKS])?;
    Ok(checkpoint::empty(connection)?)
}
