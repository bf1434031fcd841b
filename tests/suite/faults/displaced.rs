//! Files of a running server that are deleted, moved or replaced. No acknowledged event is lost if the database still
//! has a name, and the server log says correctly where the events are.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use serde_json::{Value, json};

use super::subject::{Place, Subject};
use crate::harness::eventually;

const BATCH_EVENTS: usize = 100;

fn event(n: usize) -> Value {
    json!({ "identifier": format!("e{n}"), "action": "READ", "resourceType": "x", "context": { "entity": format!("s{n}") } })
}

/// The file with this suffix next to a database.
fn companion(place: &Place, suffix: &str) -> PathBuf {
    place.database.with_file_name(format!("auditbox.db{suffix}"))
}

/// Stores another batch, which the server must acknowledge.
fn store_batch(subject: &Subject, number: usize) {
    let batch: Vec<_> = (number * BATCH_EVENTS..(number + 1) * BATCH_EVENTS).map(event).collect();
    assert_eq!(subject.post("/v1/audit-log", &json!(batch).to_string()).status, 201);
}

/// A server with three stored batches, on a database in a separate directory. `early` runs after the first batch.
fn serving(early: impl FnOnce(&Place)) -> (Place, Subject) {
    let outer = Place::new();
    fs::create_dir(outer.directory.path().join("data")).unwrap();
    let place = Place { database: outer.directory.path().join("data/auditbox.db"), ..outer };
    let subject = Subject::must_start(&place);
    store_batch(&subject, 0);
    early(&place);
    store_batch(&subject, 1);
    store_batch(&subject, 2);
    (place, subject)
}

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is stopped at once.
    Stop,
    /// It rejects a write, then it is stopped.
    RefuseAndStop,
    /// It is killed after it reports what it saved.
    Kill,
}

/// Ends the server. Returns its exit status and its log.
fn end(mut subject: Subject, end: End) -> (ExitStatus, String) {
    if end == End::RefuseAndStop {
        assert_eq!(subject.post("/v1/audit-log", &event(9_999).to_string()).refusal().0, 503);
        assert_eq!(subject.get("/readyz").status, 503);
    }
    if end == End::Kill {
        eventually("a report of what was saved", || subject.process.log().contains(SAVED).then_some(()));
        let status = subject.kill();
        return (status, subject.process.log());
    }
    let status = subject.process.stop();
    (status, subject.process.log())
}

/// The server's message when everything acknowledged is in the database.
const SAVED: &str = "every acknowledged event is in the database";

/// A server on this database has every event of these batches once, and the file is intact.
fn has_batches(database: &Path, batches: usize) {
    let place = Place { database: database.to_owned(), ..Place::new() };
    let mut subject = Subject::must_start(&place);
    let listed = subject.get("/v1/audit-log?sort=received&order=asc&includes=identifier&limit=100000").identifiers();
    let mut expected: Vec<_> = (0..batches * BATCH_EVENTS).map(|n| format!("e{n}")).collect();
    // The rejected event may have been stored anyway.
    if listed.last().is_some_and(|last| last == "e9999") {
        expected.push("e9999".to_owned());
    }
    assert_eq!(listed, expected);
    store_batch(&subject, 900);
    assert!(subject.process.stop().success());
    place.doctor();
}

#[test]
fn a_missing_wal_is_copied_into_the_database() {
    for how in ["deleted", "renamed", "deleted with its index", "replaced by an older one", "replaced by noise"] {
        for ending in [End::Stop, End::RefuseAndStop, End::Kill] {
            let (place, subject) = serving(|place| {
                fs::copy(companion(place, "-wal"), companion(place, "-older")).unwrap();
            });
            let log = companion(&place, "-wal");
            match how {
                "deleted" => fs::remove_file(&log).unwrap(),
                "renamed" => fs::rename(&log, companion(&place, "-elsewhere")).unwrap(),
                "deleted with its index" => {
                    fs::remove_file(&log).unwrap();
                    fs::remove_file(companion(&place, "-shm")).unwrap();
                }
                "replaced by an older one" => fs::rename(companion(&place, "-older"), &log).unwrap(),
                _ => {
                    fs::write(companion(&place, "-noise"), [7; 10_000]).unwrap();
                    fs::rename(companion(&place, "-noise"), &log).unwrap();
                }
            }
            let (status, said) = end(subject, ending);
            assert_eq!(status.code(), (ending != End::Kill).then_some(1), "{how} {ending:?}: {said}");
            has_batches(&place.database, 3);
            assert!(said.contains("auditbox.db-wal") && said.contains(SAVED), "{how} {ending:?}: {said}");
        }
    }
}

#[test]
fn a_missing_wal_index_stops_writes_and_loses_nothing() {
    for is_replaced in [false, true] {
        for ending in [End::Stop, End::RefuseAndStop] {
            let (place, subject) = serving(|_| {});
            let index = companion(&place, "-shm");
            if is_replaced {
                fs::copy(&index, companion(&place, "-other")).unwrap();
                fs::rename(companion(&place, "-other"), &index).unwrap();
            } else {
                fs::remove_file(&index).unwrap();
            }
            let (status, said) = end(subject, ending);
            assert_eq!(status.code(), Some(1), "{said}");
            assert!(said.contains("auditbox.db-shm"), "{said}");
            has_batches(&place.database, 3);
        }
    }
}

#[test]
fn a_moved_database_keeps_every_event_even_if_moved_back() {
    for is_moved_back in [false, true] {
        for ending in [End::Stop, End::RefuseAndStop, End::Kill] {
            let (place, subject) = serving(|_| {});
            let moved = companion(&place, "-moved");
            fs::rename(&place.database, &moved).unwrap();
            let (status, said) = end(subject, ending);
            assert_eq!(status.code(), (ending != End::Kill).then_some(1), "{said}");
            if is_moved_back {
                fs::rename(&moved, &place.database).unwrap();
                has_batches(&place.database, 3);
            } else {
                has_batches(&moved, 3);
            }
            assert!(said.contains(SAVED) && said.contains(&*moved.to_string_lossy()), "{said}");
        }
    }
}

#[test]
fn a_moved_directory_keeps_every_event() {
    for ending in [End::Stop, End::RefuseAndStop, End::Kill] {
        let (place, subject) = serving(|_| {});
        let moved = place.directory.path().join("moved");
        fs::rename(place.directory.path().join("data"), &moved).unwrap();
        let (_, said) = end(subject, ending);
        assert!(said.contains(SAVED), "{said}");
        has_batches(&moved.join("auditbox.db"), 3);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_database_that_was_deleted_or_replaced_can_be_copied_until_the_server_stops() {
    for is_replaced in [false, true] {
        let (place, mut subject) = serving(|place| {
            assert!(place.run(&["backup", "copy.db"]).status.success());
        });
        let copy = place.directory.path().join("copy.db");
        if is_replaced {
            fs::rename(&copy, &place.database).unwrap();
        } else {
            fs::remove_file(&place.database).unwrap();
        }
        let said = eventually("a report of where the events are", || {
            let said = subject.process.log();
            said.contains("cp /proc/").then_some(said)
        });
        assert!(said.contains("only while this process runs"), "{said}");
        assert_eq!(subject.get("/v1/audit-log/e299").status, 200);
        let rescued = place.directory.path().join("rescued.db");
        let from = said.split("cp ").nth(1).unwrap().split_whitespace().next().unwrap();
        fs::copy(from, &rescued).unwrap();
        assert_eq!(subject.process.stop().code(), Some(1));
        let said = subject.process.log();
        let last = said.trim_end().lines().last().unwrap();
        assert!(last.contains("deleted") && !last.contains("is in the database"), "{said}");
        has_batches(&rescued, 3);
        if is_replaced {
            // The server did not write to the replacement, and did not read it with the WAL of another database.
            has_batches(&place.database, 1);
        }
    }
}

#[test]
#[cfg(not(target_os = "linux"))]
fn a_database_that_was_deleted_is_copied_to_a_new_file() {
    let (place, subject) = serving(|_| {});
    fs::remove_file(&place.database).unwrap();
    let (status, said) = end(subject, End::RefuseAndStop);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(SAVED), "{said}");
    let names = fs::read_dir(place.database.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let rescued = names.filter(|path| path.to_string_lossy().contains(".rescued-")).next().unwrap();
    has_batches(&rescued, 3);
}

#[test]
fn writes_of_a_command_after_the_wal_was_saved_are_kept() {
    let (place, subject) = serving(|_| {});
    fs::remove_file(companion(&place, "-wal")).unwrap();
    eventually("a report of what was saved", || subject.process.log().contains(SAVED).then_some(()));
    let made = place.run(&["credential", "create", "--name", "late", "--scope", "read"]);
    assert!(made.status.success(), "{made:?}");
    let (status, said) = end(subject, End::Stop);
    assert_eq!(status.code(), Some(1), "{said}");
    let listed = String::from_utf8(place.run(&["credential", "list"]).stdout).unwrap();
    assert!(listed.contains("late"), "{listed}");
    has_batches(&place.database, 3);
}

#[test]
fn a_wal_that_another_program_reads_is_copied_after_that_program_ends() {
    for ends_in_time in [true, false] {
        let (place, mut subject) = serving(|_| {});
        let mut other = rusqlite::Connection::open(&place.database).unwrap();
        let reading = other.transaction().unwrap();
        let seen: i64 = reading.query_row("SELECT count(*) FROM event", [], |row| row.get(0)).unwrap();
        store_batch(&subject, 3);
        fs::remove_file(companion(&place, "-wal")).unwrap();
        let said = |what| eventually(what, || subject.process.log().contains(what).then_some(()));
        said("cannot be copied into the database yet");
        assert_eq!(reading.query_row("SELECT count(*) FROM event", [], |row| row.get::<_, i64>(0)).unwrap(), seen);
        if ends_in_time {
            drop(reading);
            said(SAVED);
            subject.kill();
            has_batches(&place.database, 4);
        } else {
            assert_eq!(subject.process.stop().code(), Some(1));
            let said = subject.process.log();
            assert!(said.contains("may lack acknowledged events") && !said.contains(SAVED), "{said}");
        }
    }
}

#[test]
fn a_wal_that_its_index_no_longer_describes_is_not_copied() {
    let (place, mut subject) = serving(|_| {});
    // The server is paused, so that another program can do all this before the server notices.
    subject.process.signal("STOP");
    let first = rusqlite::Connection::open(&place.database).unwrap();
    let copied: (i64, i64, i64) = first.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.try_into()).unwrap();
    assert!(copied.0 == 0 && copied.1 == copied.2, "{copied:?}");
    drop(first);
    fs::remove_file(companion(&place, "-wal")).unwrap();
    // Everything was copied, so a writer restarts the WAL: in a new file, described by the same index.
    let second = rusqlite::Connection::open(&place.database).unwrap();
    second.execute("INSERT INTO setting VALUES ('note', 1)", []).unwrap();
    drop(second);
    subject.process.signal("CONT");
    eventually("a refusal", || (subject.get("/readyz").status == 503).then_some(()));
    assert_eq!(subject.process.stop().code(), Some(1));
    let said = subject.process.log();
    assert!(said.contains("another program has written to the database since") && !said.contains(SAVED), "{said}");
    let file = rusqlite::Connection::open(&place.database).unwrap();
    let note: i64 = file.query_row("SELECT value FROM setting WHERE name = 'note'", [], |row| row.get(0)).unwrap();
    assert_eq!(note, 1);
    drop(file);
    has_batches(&place.database, 3);
}
