//! Opening a file to write: creates it, or migrates it to the present format.
//!
//! Each step is one transaction and leaves a file from which the next attempt continues: a crash or a full disk costs
//! only the step in progress. Data in the old form is deleted only when all of it exists in the new form.

use std::{collections::HashSet, path::Path};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::{
    index::{IndexError, TermWriter},
    model::{field::Field, random, values},
    platform::sync,
    store::{
        error::OpenError,
        event::{codec::BodyCodec, epoch, row, stored, zstd_dictionary},
        file::{
            checkpoint,
            format::{self, APPLICATION_ID, FORMAT, SCHEMA},
            open,
            progress::Progress,
        },
        maintenance::reindex,
    },
};

/// Events moved from the old format in one transaction.
const STEP_EVENTS: i64 = 10_000;
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
            from_2(&transaction, progress).map_err(sqlite)?;
            transaction.commit().map_err(sqlite)?;
            checkpoint::empty(connection).map_err(sqlite)?;
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
    finish_from_1(connection, progress).map_err(sqlite)?;
    finish_from_3(connection, path, progress).map_err(|error| open::unusable(path, &error))
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
/// own. This renames the table of its events and creates everything else of the present format. After this transaction
/// no older auditbox opens the file.
fn begin_from_1(connection: &Connection, chunk_events: u32) -> rusqlite::Result<()> {
    connection.execute_batch(
        "DROP TRIGGER event_is_never_changed; DROP TRIGGER event_is_never_deleted;
         DROP INDEX event_timestamp; DROP INDEX event_entity; DROP INDEX event_blueprint;
         DROP INDEX event_identifier_hash;
         ALTER TABLE event RENAME TO event_1;",
    )?;
    complete(connection)?;
    let last_seq: i64 = connection.query_row("SELECT coalesce(max(seq), 0) FROM event_1", [], |row| row.get(0))?;
    set(connection, "checksums_from", last_seq + 1)?;
    set(connection, "chunk_events", chunk_events)?;
    connection.pragma_update(None, "user_version", FORMAT)
}

/// Format 2 had one index order for the entities of all events, another definition of the index of blueprints, a view
/// that used no index, no retention, and no checksums. Its events get no checksums: those would confirm events that may
/// already be damaged.
fn from_2(connection: &Connection, progress: &dyn Progress) -> rusqlite::Result<()> {
    let total = row::last_seq(connection)?;
    progress.advance(STEP, 0, total);
    connection.execute_batch(
        "DROP INDEX event_entity; DROP INDEX event_blueprint; DROP VIEW named_event; DROP TRIGGER event_is_never_deleted;
         ALTER TABLE chunk RENAME TO chunk_2; ALTER TABLE dictionary RENAME TO dictionary_2",
    )?;
    complete(connection)?;
    connection.execute_batch(
        "INSERT INTO chunk SELECT number, 0, events, first, last, first_times, key_blocks, identifiers FROM chunk_2;
         DROP TABLE chunk_2;",
    )?;
    add_checksums(connection)?;
    set(connection, "checksums_from", total + 1)?;
    progress.advance(STEP, total, total);
    begin_from_3(connection)
}

/// Format 3 had no declared fields. Its index had every name of an actor as a value of the same field, and its index of
/// entities for SQL had larger parts. After this transaction no older auditbox opens the file.
fn begin_from_3(connection: &Connection) -> rusqlite::Result<()> {
    complete(connection)?;
    set(connection, format::OUTDATED_CHUNKS, 0)?;
    connection.pragma_update(None, "user_version", FORMAT)
}

fn add_checksums(connection: &Connection) -> rusqlite::Result<()> {
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
    connection.execute_batch("DROP TABLE dictionary_2; ALTER TABLE event ADD COLUMN checksum INTEGER")?;
    // Store the table's definition as the schema words it, so that a migrated file equals a new one. This is the way
    // that SQLite documents (<https://www.sqlite.org/lang_altertable.html>, 7); the stored rows do not change.
    let fresh = Connection::open_in_memory()?;
    fresh.execute_batch(SCHEMA)?;
    let text: String = fresh.query_row("SELECT sql FROM sqlite_schema WHERE name = 'event'", [], |row| row.get(0))?;
    connection.pragma_update(None, "writable_schema", true)?;
    connection.execute("UPDATE sqlite_schema SET sql = ?1 WHERE name = 'event'", [text])?;
    connection.pragma_update(None, "writable_schema", false)
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

/// Moves the events that are still in the table of format 1.
fn finish_from_1(connection: &mut Connection, progress: &dyn Progress) -> rusqlite::Result<()> {
    if format::is_migrated(connection)? {
        return Ok(());
    }
    let total = connection.query_row("SELECT coalesce(max(seq), 0) FROM event_1", [], |row| row.get(0))?;
    let mut terms = TermWriter::default();
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = row::last_seq(&transaction)?;
        progress.advance(STEP, done, total);
        if done >= total {
            // New events reuse the pages; the file does not shrink.
            transaction.execute_batch("DROP TABLE event_1")?;
            transaction.commit()?;
            return checkpoint::empty(connection);
        }
        move_events(&transaction, &mut terms, done)?;
        transaction.commit()?;
        terms.committed();
        checkpoint::empty(connection)?;
    }
}

/// Replaces the index of entities, if it is still that of format 3.
fn renew_entity_index(connection: &mut Connection, progress: &dyn Progress) -> rusqlite::Result<()> {
    let is_former = "SELECT instr(sql, '>> 16') > 0 FROM sqlite_schema WHERE name = 'event_entity'";
    if !connection.query_row(is_former, [], |row| row.get::<_, bool>(0))? {
        return Ok(());
    }
    progress.advance("making an index for SQL", 0, 0);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch("DROP INDEX event_entity")?;
    complete(&transaction)?;
    transaction.commit()?;
    checkpoint::empty(connection)
}

/// Rebuilds the chunks whose rows are still those of format 3. Values that no event has any more stay in the term
/// dictionary until retention next deletes events.
fn finish_from_3(connection: &mut Connection, path: &Path, progress: &dyn Progress) -> Result<(), IndexError> {
    let Some(first) = format::outdated_chunks(connection)? else {
        return Ok(());
    };
    // The rows of an interrupted retention may be replaced: they must not stay readable on free pages.
    connection.pragma_update(None, "secure_delete", true)?;
    match renew_entity_index(connection, progress) {
        Err(error) if stored::is_damage(&error) => tracing::error!(
            %error, "the file is damaged: the index of entities for SQL keeps its former parts; run auditbox doctor"
        ),
        renewed => renewed?,
    }
    let bodies = BodyCodec::load(connection)?;
    let done = |transaction: &Connection, number: u32| {
        let sql = "UPDATE setting SET value = ?1 WHERE name = ?2";
        transaction.execute(sql, params![number + 1, format::OUTDATED_CHUNKS]).map(drop)
    };
    reindex::renew(path, connection, &bodies, first, |done, total| progress.advance(STEP, done, total), done)?;
    connection.execute("DELETE FROM setting WHERE name = ?1", [format::OUTDATED_CHUNKS])?;
    Ok(checkpoint::empty(connection)?)
}

fn move_events(transaction: &Transaction<'_>, terms: &mut TermWriter, after: i64) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO event (seq, timestamp, entity, blueprint, filled, body) \
         SELECT seq, timestamp, ?2, ?3, filled, body FROM event_1 WHERE seq = ?1",
    )?;
    let mut statement =
        transaction.prepare_cached("SELECT seq, fields FROM event_1 WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query([after, STEP_EVENTS])?;
    while let Some(row) = rows.next()? {
        let fields = row.get_ref(1)?.as_blob()?;
        let mut ordinal = |wanted: Field| {
            let value = values::iterate(fields).find(|(field, _)| *field == wanted);
            value.map(|(field, value)| terms.ordinal(transaction, field, value)).transpose()
        };
        insert.execute(params![row.get::<_, i64>(0)?, ordinal(Field::Entity)?, ordinal(Field::Blueprint)?])?;
    }
    Ok(())
}
