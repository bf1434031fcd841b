//! Identifiers that belong to more than one event: `doctor` finds each, in every part of the log.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    blocks::{self, body},
    damage::doctor,
    harness::{Server, eventually, run},
};

const CHUNK_EVENTS: u32 = 64;
const EVENTS: usize = 150;

fn event(number: usize) -> Value {
    json!({ "identifier": format!("event-{number:04}"), "action": "UPDATE", "resourceType": "entity" })
}

/// A stopped server's file: two sealed chunks, and newer events in no chunk.
fn file() -> (TempDir, PathBuf) {
    let server = Server::start_chunked(CHUNK_EVENTS);
    server.store(&(0..EVENTS).map(event).collect::<Vec<_>>());
    let sealed = || -> u32 {
        let connection = Connection::open(server.database()).unwrap();
        connection.query_row("SELECT count(*) FROM chunk", [], |row| row.get(0)).unwrap()
    };
    eventually("sealing", || (sealed() >= 2).then_some(()));
    let (status, directory) = server.stop();
    assert!(status.success());
    let path = directory.path().join("auditbox.db");
    (directory, path)
}

/// The seq of the first event with this number.
fn seq_of(connection: &Connection, number: usize) -> i64 {
    let wanted = format!("\"identifier\":\"event-{number:04}\"");
    let seqs: Vec<i64> = connection
        .prepare("SELECT seq FROM event ORDER BY seq")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    seqs.into_iter().find(|seq| body(connection, *seq).contains(&wanted)).unwrap()
}

/// Stores a body again at the end of the log, as a program that does not check for duplicates would. Returns its seq.
fn store_again(connection: &Connection, of: i64, body: &str, identifier: &str) -> i64 {
    let seq: i64 = connection.query_row("SELECT max(seq) + 1 FROM event", [], |row| row.get(0)).unwrap();
    let (timestamp, filled): (i64, i64) =
        connection.query_row("SELECT timestamp, filled FROM event WHERE seq = ?1", [of], |row| row.try_into()).unwrap();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(body.as_bytes());
    for number in [seq, timestamp, -1, -1, filled] {
        hasher.update(&number.to_le_bytes());
    }
    let upper = u32::from_be_bytes(Sha256::digest(identifier)[..4].try_into().unwrap());
    let checksum = (i64::from(upper) << 32) | i64::from(hasher.finalize());
    connection
        .execute(
            "INSERT INTO event (seq, timestamp, filled, checksum) VALUES (?1, ?2, ?3, ?4)",
            params![seq, timestamp, filled, checksum],
        )
        .unwrap();
    blocks::insert(connection, seq, &[body.to_owned()]);
    seq
}

/// Stores the event with this number again; returns both its seqs.
fn twice(connection: &Connection, number: usize) -> (i64, i64) {
    let first = seq_of(connection, number);
    (first, store_again(connection, first, &body(connection, first), &format!("event-{number:04}")))
}

fn reindex(directory: &TempDir) {
    let done = run(directory.path(), &["reindex"]);
    assert!(done.status.success(), "{done:?}");
}

fn open(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

#[test]
fn an_identifier_of_two_events_is_named_in_every_part_of_the_log() {
    let (directory, path) = file();
    let connection = open(&path);
    // The first event of each pair is in a sealed chunk or after the last one; the second is after the last chunk.
    let seqs: Vec<_> = [3, 70, 148].map(|number| (number, twice(&connection, number))).into();
    connection.close().unwrap();
    for _ in 0..2 {
        let (is_sound, said) = doctor(&directory);
        assert!(!is_sound && !said.contains("Nothing is wrong"), "{said}");
        for (number, (first, second)) in &seqs {
            let line = format!("identifier \"event-{number:04}\" belongs to events {first} and {second}");
            assert!(said.contains(&line), "{line}: {said}");
        }
        assert!(said.contains("3 identifiers belong to more than one event"), "{said}");
        assert!(!said.contains("damaged") && !said.contains("auditbox reindex"), "{said}");
        // The remedy.
        assert!(said.contains("restore"), "{said}");
        reindex(&directory);
    }
}

#[test]
fn an_identifier_of_two_events_of_one_sealed_chunk_is_named() {
    let (directory, path) = file();
    let connection = open(&path);
    let (first, second) = twice(&connection, 149);
    let another = {
        // Other content with the same identifier, and a third copy.
        let body = body(&connection, first).replace("UPDATE", "DELETE");
        store_again(&connection, first, &body, "event-0149")
    };
    connection.close().unwrap();
    // The next events fill the chunk that holds all of them.
    let server = Server::start_in(directory, &[]);
    server.store(&(1_000..1_000 + 2 * CHUNK_EVENTS as usize).map(event).collect::<Vec<_>>());
    let is_sealed = || {
        let sql = "SELECT count(*) FROM chunk WHERE number = ?1";
        let number = (another - 1) / i64::from(CHUNK_EVENTS);
        assert_eq!(number, (first - 1) / i64::from(CHUNK_EVENTS));
        open(&path).query_row(sql, [number], |row| row.get::<_, u32>(0)).unwrap() > 0
    };
    eventually("sealing", || is_sealed().then_some(()));
    let line = format!("identifier \"event-0149\" belongs to events {first}, {second} and {another}");
    // While the server runs, and after it has stopped.
    let beside = run(server.directory(), &["doctor"]);
    assert!(String::from_utf8_lossy(&beside.stdout).contains(&line), "{beside:?}");
    let (_, directory) = server.stop();
    let (is_sound, said) = doctor(&directory);
    assert!(!is_sound && said.contains(&line), "{said}");
    assert!(said.contains("their content differs"), "{said}");
}

#[test]
fn a_backup_of_a_log_with_duplicates_succeeds_and_reports_them() {
    let (directory, path) = file();
    let connection = open(&path);
    let (first, second) = twice(&connection, 3);
    connection.close().unwrap();
    let line = format!("identifier \"event-0003\" belongs to events {first} and {second}");
    let made = run(directory.path(), &["backup", "copy.db"]);
    assert!(made.status.success() && String::from_utf8_lossy(&made.stdout).contains(&line), "{made:?}");
    let restored = run(directory.path(), &["restore", "copy.db", "--force"]);
    assert!(restored.status.success() && String::from_utf8_lossy(&restored.stdout).contains(&line), "{restored:?}");
}

#[test]
fn every_one_of_many_duplicates_is_named() {
    let (directory, path) = file();
    let connection = open(&path);
    for number in 0..EVENTS {
        twice(&connection, number);
    }
    connection.close().unwrap();
    let (is_sound, said) = doctor(&directory);
    assert!(!is_sound && said.contains("150 identifiers belong to more than one event"), "{said}");
    let listed = said.lines().filter(|line| line.starts_with("identifier \"")).count();
    assert_eq!(listed, EVENTS, "{said}");
}
