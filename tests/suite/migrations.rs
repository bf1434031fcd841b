//! The file: creation, migration, rejected files, its constraints, and queries by hand-written SQL.

mod from_3;

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
};

use auditbox::{
    model::timestamp::Timestamp,
    store::{self, Progress, Store},
};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    blocks,
    harness::{Server, program, store_options},
    platform::assert_private,
    process::refusal,
};

const SCHEMA: &str = include_str!("../../schema.sql");
/// The step of a migration that moves the events.
const MOVING: &str = "moving the events into blocks, which needs up to 128 MB of free disk space";

/// A stopped server's file with a few events.
fn file() -> (TempDir, PathBuf) {
    let server = Server::start();
    let event = |number: u32| {
        json!({
            "identifier": format!("e{number}"), "action": "CREATE", "resourceType": "entity",
            "context": { "entity": format!("svc-{}", number % 3), "blueprint": "service" },
        })
    };
    server.store(&(0..9).map(event).collect::<Vec<_>>());
    let (status, directory) = server.stop();
    assert!(status.success());
    let path = directory.path().join("auditbox.db");
    (directory, path)
}

/// The SQL text of every table, index and trigger.
fn schema_of(connection: &Connection) -> Vec<(String, String, String, Option<String>)> {
    let mut statement =
        connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").unwrap();
    let rows = statement.query_map([], |row| row.try_into()).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn pragma(connection: &Connection, name: &str) -> i64 {
    connection.pragma_query_value(None, name, |row| row.get(0)).unwrap()
}

#[test]
fn a_new_file_matches_the_schema() {
    let (_directory, path) = file();
    let made = Connection::open(path).unwrap();
    let described = Connection::open_in_memory().unwrap();
    described.execute_batch(SCHEMA).unwrap();
    assert_eq!(schema_of(&made), schema_of(&described));
    assert!(SCHEMA.contains(&format!("format {}.", pragma(&made, "user_version"))));
    assert_eq!(pragma(&made, "application_id"), i64::from(u32::from_be_bytes(*b"abox")));
}

#[test]
fn only_its_owner_may_read_a_new_file() {
    let server = Server::start();
    server.store(&[json!({ "action": "READ", "resourceType": "x" })]);
    for name in ["auditbox.db", "auditbox.db-wal", "auditbox.db-shm"] {
        assert_private(&server.directory().join(name));
    }
}

#[test]
fn an_event_in_the_file_cannot_be_changed_or_deleted() {
    let (_directory, path) = file();
    let connection = Connection::open(path).unwrap();
    for (statement, refusal) in [
        ("UPDATE event SET timestamp = 0", "an event is never changed"),
        ("UPDATE block SET bodies = x'00' WHERE first = 1", "a block is never changed"),
        ("DELETE FROM block WHERE first = 1", "a block is never deleted"),
        ("UPDATE event SET seq = 1000 WHERE seq = 1", "an event is never changed"),
        ("DELETE FROM event", "an event is never deleted"),
        ("DELETE FROM event WHERE seq = 1", "an event is never deleted"),
        ("DELETE FROM credential", "a credential is revoked, never deleted"),
    ] {
        let error = connection.execute(statement, []).unwrap_err().to_string();
        assert!(error.contains(refusal), "{statement}: {error}");
    }
    // A replacement would be a disguised change.
    let columns = "seq, timestamp, entity, blueprint, filled";
    let copy = format!("({columns}) SELECT {columns} FROM event WHERE seq = 1");
    assert!(connection.execute(&format!("INSERT INTO event {copy}"), []).is_err());
    connection.pragma_update(None, "recursive_triggers", true).unwrap();
    let error = connection.execute(&format!("REPLACE INTO event {copy}"), []).unwrap_err().to_string();
    assert!(error.contains("an event is never deleted"), "{error}");
    let error = connection.execute("REPLACE INTO block VALUES (1, 1, x'00')", []).unwrap_err().to_string();
    assert!(error.contains("a block is never deleted"), "{error}");
}

/// Runs every command that opens the file. Each must reject the file and leave it and its directory unchanged.
fn refused(directory: &Path, path: &Path, reason: &str) {
    let before = fs::read(path).unwrap();
    fs::write(directory.join("in.ndjson"), r#"{"action":"READ","resourceType":"x"}"#).unwrap();
    for arguments in [
        &["serve"][..],
        &["import", "in.ndjson"],
        &["query"],
        &["credential", "list"],
        &["credential", "create", "--name", "ci", "--scope", "read"],
    ] {
        let (code, message) = refusal(program(directory).args(arguments));
        assert_eq!(code, Some(1), "{arguments:?}: {message}");
        assert!(message.contains("auditbox.db") && message.contains(reason), "{arguments:?}: {message}");
        assert!(fs::read(path).unwrap() == before, "{arguments:?} changed the file");
        for suffix in ["-wal", "-journal"] {
            let mut beside = path.as_os_str().to_owned();
            beside.push(suffix);
            assert!(fs::metadata(&beside).map_or(true, |file| file.len() == 0), "{arguments:?} left {suffix}");
        }
    }
}

#[test]
fn a_file_of_a_newer_format_is_rejected_and_unchanged() {
    let (directory, path) = file();
    let connection = Connection::open(&path).unwrap();
    let newer = pragma(&connection, "user_version") + 1;
    connection.pragma_update(None, "user_version", newer).unwrap();
    connection.close().unwrap();
    refused(
        directory.path(),
        &path,
        &format!("has format {newer}, and this auditbox knows formats up to {}", newer - 1),
    );
}

#[test]
fn a_file_of_another_program_is_rejected_and_unchanged() {
    for setting in [
        "",
        "PRAGMA journal_mode = WAL;",
        "PRAGMA application_id = 7;",
        "PRAGMA user_version = 1;",
        "PRAGMA application_id = 7; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auditbox.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(&format!("{setting} CREATE TABLE note (text); INSERT INTO note VALUES ('x');"))
            .unwrap();
        connection.close().unwrap();
        refused(directory.path(), &path, "is not a file of auditbox, and was not changed");
    }
}

#[test]
fn a_file_that_is_not_a_database_is_rejected_and_unchanged() {
    for bytes in [b"x".as_slice(), &b"To whom it may concern\n".repeat(300), &[0; 4_096]] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auditbox.db");
        fs::write(&path, bytes).unwrap();
        refused(directory.path(), &path, "is not a file of auditbox, and was not changed");
    }
}

#[test]
fn a_damaged_file_is_rejected_and_unchanged() {
    let (directory, path) = file();
    let mut bytes = fs::read(&path).unwrap();
    // The first page after the header: the schema table.
    bytes[100..4_096].fill(0x55);
    fs::write(&path, bytes).unwrap();
    refused(directory.path(), &path, "the file was not changed: make a copy");
}

#[test]
fn an_empty_file_becomes_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("auditbox.db"), b"").unwrap();
    let server = Server::start_in(directory, &[]);
    assert_eq!(server.list("").identifiers(), [] as [&str; 0]);
}

#[test]
fn a_file_opened_again_keeps_its_format_and_its_key() {
    let (directory, path) = file();
    let look = || {
        let connection = Connection::open(&path).unwrap();
        let key: Vec<u8> = connection
            .query_row("SELECT value FROM setting WHERE name = 'access_token_key'", [], |row| row.get(0))
            .unwrap();
        (schema_of(&connection), key)
    };
    let before = look();
    let (status, directory) = Server::start_in(directory, &[]).stop();
    assert!(status.success());
    assert_eq!(look(), before);
    drop(directory);
}

#[test]
fn a_file_without_epochs_gets_them_when_it_is_opened_to_write() {
    let (directory, path) = file();
    let epochs = || -> Vec<(String, i64)> {
        let connection = Connection::open(&path).unwrap();
        let sql = "SELECT name, value FROM setting WHERE name LIKE 'epoch:%' ORDER BY name";
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([], |row| row.try_into()).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let connection = Connection::open(&path).unwrap();
    assert!(connection.execute("DELETE FROM setting WHERE name LIKE 'epoch:%'", []).unwrap() > 0);
    let newest: i64 = connection.query_row("SELECT max(seq) FROM event", [], |row| row.get(0)).unwrap();
    connection.close().unwrap();
    for arguments in [&["query"][..], &["doctor"], &["backup", "copy.db"]] {
        assert!(program(directory.path()).args(arguments).output().unwrap().status.success());
        assert_eq!(epochs(), []);
    }
    let (status, directory) = Server::start_in(directory, &[]).stop();
    assert!(status.success());
    // One epoch for the existing events, and one for later events.
    let names: Vec<_> = epochs().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["epoch:-000000000000000001".to_owned(), format!("epoch:{newest:019}")]);
    let before = epochs();
    let (status, _directory) = Server::start_in(directory, &[]).stop();
    assert!(status.success());
    // A start adds one epoch after the newest event, and changes none.
    assert!(epochs().len() == 3 && epochs().starts_with(&before), "{:?}", epochs());
}

#[test]
fn everyday_queries_use_an_index_without_sorting() {
    let (_directory, path) = file();
    let connection = Connection::open(path).unwrap();
    for (condition, order, index) in [
        ("timestamp BETWEEN 1 AND 2", "timestamp DESC, seq DESC", "event_timestamp (timestamp>? AND timestamp<?)"),
        ("timestamp > 1", "timestamp, seq", "event_timestamp (timestamp>?)"),
        ("seq > 5", "seq", "INTEGER PRIMARY KEY (rowid>?)"),
    ] {
        let sql = format!("SELECT filled FROM event WHERE {condition} ORDER BY {order} LIMIT 100");
        let plan = plan_of(&connection, &sql);
        // One step: a second one would be a sort.
        assert_eq!(plan.len(), 1, "{sql}: {plan:?}");
        assert!(plan[0].starts_with("SEARCH event USING ") && plan[0].ends_with(index), "{sql}: {plan:?}");
    }
}

/// The steps of SQLite's query plan.
fn plan_of(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let steps = statement.query_map([], |row| row.get(3)).unwrap();
    steps.collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_indexes_serve_ordinals_and_names() {
    let (_directory, path) = file();
    let connection = Connection::open(path).unwrap();
    let entity = "event_entity (ANY(<expr>) AND entity=?)";
    let blueprint = "event_blueprint (ANY(<expr>) AND blueprint=?)";
    for (sql, step) in [
        ("SELECT filled FROM event WHERE entity = 1 ORDER BY timestamp DESC, seq DESC", entity),
        ("SELECT filled FROM event WHERE entity = 1 AND timestamp BETWEEN 1 AND 2", entity),
        ("SELECT at FROM named_event WHERE entity = 'svc-1' ORDER BY timestamp", entity),
        ("SELECT count(*) FROM event WHERE blueprint = 1", blueprint),
        ("SELECT at FROM named_event WHERE blueprint = 'service'", blueprint),
    ] {
        let plan = plan_of(&connection, sql);
        assert!(plan.iter().any(|found| found.ends_with(step)), "{sql}: {plan:?}");
        assert!(!plan.iter().any(|found| found.starts_with("SCAN")), "{sql}: {plan:?}");
    }
    let sql = "SELECT count(*) FROM named_event WHERE entity = 'svc-1'";
    assert_eq!(connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 3);
}

#[test]
fn a_file_with_the_former_indexes_for_sql_is_sound() {
    let (directory, path) = file();
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "DROP INDEX event_entity; DROP INDEX event_blueprint;
             CREATE INDEX event_entity    ON event (seq >> 12, entity, timestamp) WHERE entity IS NOT NULL;
             CREATE INDEX event_blueprint ON event (blueprint, timestamp)         WHERE blueprint IS NOT NULL;",
        )
        .unwrap();
    connection.close().unwrap();
    let doctor = || program(directory.path()).arg("doctor").output().unwrap();
    assert!(doctor().status.success(), "{:?}", doctor());
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("DROP INDEX event_blueprint; CREATE INDEX event_blueprint ON event (blueprint)").unwrap();
    connection.close().unwrap();
    assert!(!doctor().status.success());
}

#[test]
fn anyone_may_read_the_columns_with_sql() {
    let (_directory, path) = file();
    let connection = Connection::open(path).unwrap();
    let mut statement = connection
        .prepare("SELECT entity, count(*) FROM named_event WHERE blueprint = 'service' GROUP BY entity ORDER BY entity")
        .unwrap();
    let rows: Vec<(String, i64)> =
        statement.query_map([], |row| row.try_into()).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(rows, [("svc-0".to_owned(), 3), ("svc-1".to_owned(), 3), ("svc-2".to_owned(), 3)]);
}

/// A file of the first format with this many events, each uncompressed.
fn file_of_format_1(events: u32) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("auditbox.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(include_str!("migrations/format_1.sql")).unwrap();
    connection.pragma_update(None, "application_id", i64::from(u32::from_be_bytes(*b"abox"))).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    connection
        .execute("INSERT INTO setting VALUES ('access_token_key', ?1), ('credential_generation', 0)", [[7_u8; 32]])
        .unwrap();
    connection.execute_batch("BEGIN").unwrap();
    for number in 1..=events {
        let (identifier, entity) = (format!("e{number}"), format!("svc-{}", number % 3));
        let at = Timestamp::from_micros(1_700_000_000_000_000 + i64::from(number % 1_000) * 1_000_000);
        let body = format!(
            "{{\"identifier\":\"{identifier}\",\"action\":\"CREATE\",\"resourceType\":\"entity\",\"status\":\"SUCCESS\",\
             \"trigger\":{{\"at\":\"{at}\",\"origin\":\"API\"}},\"context\":{{\"entity\":\"{entity}\"}},\
             \"receivedAt\":\"{at}\",\"receivedBy\":\"ci\"}}"
        );
        let mut fields = Vec::new();
        for (code, value) in
            [(1_u8, identifier.as_str()), (2, &entity), (7, "API"), (9, "entity"), (10, "CREATE"), (11, "SUCCESS")]
        {
            fields.push(code);
            fields.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
            fields.extend(value.as_bytes());
        }
        let insert = "INSERT INTO event VALUES (?1, ?2, ?3, NULL, ?4, 0, ?5, ?6)";
        let row = rusqlite::params![number, at.micros(), entity, i64::from(number), fields, body.into_bytes()];
        connection.prepare_cached(insert).unwrap().execute(row).unwrap();
    }
    connection.execute_batch("COMMIT").unwrap();
    (directory, path)
}

#[test]
fn a_file_of_the_first_format_is_migrated() {
    let (directory, path) = file_of_format_1(2_500);
    // Reading does not change a file.
    let (code, message) = refusal(program(directory.path()).arg("query"));
    assert_eq!(code, Some(1));
    assert!(message.contains("has the older format 1"), "{message}");
    let (code, message) =
        refusal(program(directory.path()).args(["credential", "create", "--name", "ci", "--scope", "read"]));
    assert_eq!(code, Some(1));
    assert!(message.contains("has the older format 1"), "{message}");
    let server = Server::start_in(directory, &[]);
    assert!(server.log().contains(MOVING), "{}", server.log());
    let expected: Vec<_> = (1..=2_500).map(|number| format!("e{number}")).collect();
    let by_arrival = server.list("sort=received&order=asc&limit=5000&include_own=false");
    assert_eq!(by_arrival.identifiers(), expected);
    assert_eq!(server.list("entity=svc-1&count=true&limit=1").json()["count"], 834);
    assert_eq!(server.list("identifier=e77").identifiers(), ["e77"]);
    let (status, directory) = server.stop();
    assert!(status.success());
    is_as_described(&directory, &path);
}

/// The file is complete and equals a new one.
fn is_as_described(directory: &TempDir, path: &Path) {
    let migrated = Connection::open(path).unwrap();
    let described = Connection::open_in_memory().unwrap();
    described.execute_batch(SCHEMA).unwrap();
    assert_eq!(schema_of(&migrated), schema_of(&described));
    let statistics = |connection: &Connection| -> Vec<(String, String, String)> {
        let mut statement = connection.prepare("SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY idx").unwrap();
        statement.query_map([], |row| row.try_into()).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(statistics(&migrated), statistics(&described));
    assert!(program(directory.path()).arg("doctor").output().unwrap().status.success());
}

/// Brings a file of the present format to format 3, with uncompressed bodies. Its index may be that of either.
fn as_format_3(connection: &Connection) {
    blocks::allow_changes(connection);
    let objects =
        "DROP VIEW named_event; DROP INDEX event_timestamp; DROP INDEX event_entity; DROP INDEX event_blueprint;
         ALTER TABLE event RENAME TO narrow;
         CREATE TABLE event (
             seq INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, entity INTEGER, blueprint INTEGER,
             filled INTEGER NOT NULL, body BLOB NOT NULL, checksum INTEGER
         ) STRICT;
         CREATE INDEX event_timestamp ON event (timestamp);
         CREATE INDEX event_entity    ON event (seq >> 16, entity, timestamp) WHERE entity IS NOT NULL;
         CREATE INDEX event_blueprint ON event (blueprint, timestamp)         WHERE blueprint IS NOT NULL;
         CREATE VIEW named_event AS SELECT seq, timestamp, body FROM event";
    connection.execute_batch(&format!("BEGIN; {objects}")).unwrap();
    let seqs: Vec<i64> = {
        let mut statement = connection.prepare("SELECT seq FROM narrow").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    for seq in seqs {
        let insert = "INSERT INTO event SELECT seq, timestamp, entity, blueprint, filled, ?2, checksum FROM narrow \
                      WHERE seq = ?1";
        let body = blocks::body(connection, seq).into_bytes();
        connection.prepare_cached(insert).unwrap().execute((seq, body)).unwrap();
    }
    connection
        .execute_batch(
            "DROP TABLE narrow; DROP TABLE block;
             CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
             BEGIN SELECT RAISE(ABORT, 'an event is never changed'); END;
             CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
             BEGIN SELECT RAISE(ABORT, 'an event is never deleted'); END;
             PRAGMA user_version = 3; COMMIT",
        )
        .unwrap();
}

#[test]
fn a_file_of_the_second_format_is_migrated() {
    let (directory, path) = file();
    let connection = Connection::open(&path).unwrap();
    as_format_3(&connection);
    connection
        .execute_batch(
            "DROP VIEW named_event; DROP INDEX event_entity; DROP TABLE sqlite_stat1;
             DROP TRIGGER event_is_never_deleted; DROP TABLE dropped; ALTER TABLE chunk DROP COLUMN side;
             CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
             BEGIN SELECT RAISE(ABORT, 'an event is never deleted'); END;
             CREATE INDEX event_entity ON event (entity, timestamp) WHERE entity IS NOT NULL;
             DROP INDEX event_blueprint;
             CREATE INDEX event_blueprint ON event (blueprint, timestamp) WHERE blueprint IS NOT NULL;
             CREATE VIEW named_event AS
             SELECT event.seq, event.timestamp, (SELECT value FROM term WHERE field = 2 AND ordinal = event.entity) AS entity
             FROM event;
             ALTER TABLE event DROP COLUMN checksum; ALTER TABLE dictionary DROP COLUMN checksum;
             DELETE FROM setting WHERE name = 'checksums_from';
             INSERT INTO dictionary VALUES (1, 0, 0.5, x'0011223344556677');
             PRAGMA user_version = 2",
        )
        .unwrap();
    connection.close().unwrap();
    let (code, message) = refusal(program(directory.path()).arg("query"));
    assert!(code == Some(1) && message.contains("has the older format 2"), "{message}");
    let server = Server::start_in(directory, &[]);
    assert!(server.log().contains("bringing the file to its present format"), "{}", server.log());
    assert_eq!(server.list("entity=svc-1&include_own=false").identifiers(), ["e7", "e4", "e1"]);
    server.store(&[json!({ "identifier": "new", "action": "CREATE", "resourceType": "entity" })]);
    // Old rows have no checksums; new ones do.
    let connection = Connection::open(&path).unwrap();
    let checksums = |condition: &str| -> (i64, i64) {
        let sql = format!("SELECT count(*), count(checksum) FROM event WHERE {condition}");
        connection.query_row(&sql, [], |row| row.try_into()).unwrap()
    };
    let from = "(SELECT value FROM setting WHERE name = 'checksums_from')";
    let (older, newer) = (checksums(&format!("seq < {from}")), checksums(&format!("seq >= {from}")));
    assert!(older.0 >= 9 && older.1 == 0 && newer.0 > 0 && newer.0 == newer.1, "{older:?} {newer:?}");
    let (status, directory) = server.stop();
    assert!(status.success());
    is_as_described(&directory, &path);
}

#[test]
fn a_killed_migration_resumes() {
    let (directory, path) = file_of_format_1(60_000);
    let is_done = || {
        let connection = Connection::open(&path).unwrap();
        let left = "SELECT count(*) FROM setting WHERE name = 'moved_events'";
        pragma(&connection, "user_version") == 4
            && connection.query_row(left, [], |row| row.get::<_, i64>(0)).unwrap() == 0
    };
    let mut interrupted = 0;
    for round in 0..12 {
        let mut child = program(directory.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(30 + 25 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        if !is_done() {
            interrupted += 1;
            // A partial migration is not mistaken for a complete one.
            let (code, message) = refusal(program(directory.path()).arg("query"));
            assert!(code == Some(1) && message.contains("has the older format 1"), "{message}");
        }
    }
    assert!(interrupted > 0, "every migration was over before it was killed");
    let server = Server::start_in(directory, &[]);
    assert_eq!(server.list("resources=entity&count=true&limit=1").json()["count"], 60_000);
    let (status, directory) = server.stop();
    assert!(status.success() && is_done());
    assert!(program(directory.path()).arg("doctor").output().unwrap().status.success());
}

/// Records the length of the WAL at each step of a long operation.
struct WalWatch(PathBuf, RefCell<Vec<(&'static str, u64)>>);

impl WalWatch {
    fn new(path: &Path) -> Self {
        Self(path.with_extension("db-wal"), RefCell::default())
    }

    /// At each reported step except the first.
    fn lengths(&self, step: &str) -> Vec<u64> {
        self.1.borrow().iter().filter(|(what, _)| *what == step).map(|(_, length)| *length).skip(1).collect()
    }
}

impl Progress for WalWatch {
    fn advance(&self, what: &'static str, _: i64, _: i64) {
        self.1.borrow_mut().push((what, fs::metadata(&self.0).map_or(0, |file| file.len())));
    }
}

#[test]
fn a_migration_and_a_reindex_empty_the_wal_after_each_step() {
    let (_directory, path) = file_of_format_1(45_000);
    let options = store_options(&path, 4_096);
    let watch = WalWatch::new(&path);
    Store::open(&options, &watch).unwrap().close().unwrap();
    let (carried, indexed) = (watch.lengths(MOVING), watch.lengths("making the index"));
    assert!(carried.len() > 1 && indexed.len() > 1, "{carried:?} {indexed:?}");
    assert!(carried.iter().chain(&indexed).all(|length| *length == 0), "{carried:?} {indexed:?}");
    let watch = WalWatch::new(&path);
    store::reindex(&path, &watch).unwrap();
    let indexed = watch.lengths("making the index");
    assert!(indexed.len() > 1 && indexed.iter().all(|length| *length == 0), "{indexed:?}");
}
