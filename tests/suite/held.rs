//! Readers and the write-ahead log (WAL). While another program keeps a read transaction on the file open, the WAL
//! cannot be emptied, and must not fill the disk. The server's own clients keep nothing open, however slowly they read.

use std::{fs, io::Write};

use base64::{Engine, prelude::BASE64_STANDARD};
use rusqlite::Connection;
use serde_json::json;

use crate::{
    harness::{Server, eventually},
    raw,
};

const MEBIBYTE: u64 = 1024 * 1024;
/// The least that may be configured.
pub(crate) const WAL_BYTES_MAX: u64 = 128 * MEBIBYTE;
/// What may be written beyond it: a batch that was under way when it was met, and the server's own records.
pub(crate) const BEYOND_BYTES: u64 = 48 * MEBIBYTE;
pub(crate) const BATCH_EVENTS: usize = 12;

/// Events that zstd cannot make much shorter: about nine megabytes of log.
pub(crate) fn batch(number: usize) -> String {
    let event = |place: usize| {
        let mut noise = vec![0; 700_000];
        getrandom::fill(&mut noise).unwrap();
        let noise = BASE64_STANDARD.encode(noise);
        json!({
            "identifier": format!("e-{number}-{place}"), "action": "A", "resourceType": "x", "additionalData": noise,
        })
        .to_string()
    };
    (0..BATCH_EVENTS).map(|place| event(place) + "\n").collect()
}

/// A server whose log has a bound that is soon come to.
fn bounded() -> Server {
    Server::start_with(&[("AUDITBOX_DATABASE_LOG_BYTES_MAX", &WAL_BYTES_MAX.to_string())])
}

fn wal_bytes(server: &Server) -> u64 {
    fs::metadata(server.database().with_extension("db-wal")).unwrap().len()
}

#[test]
fn the_log_has_a_bound_and_whoever_is_to_blame_is_told() {
    let server = bounded();
    let wal_bytes = || wal_bytes(&server);

    let mut other = Connection::open(server.database()).unwrap();
    let reading = other.transaction().unwrap();
    let count = |on: &Connection| on.query_row("SELECT count(*) FROM event", [], |row| row.get::<_, i64>(0)).unwrap();
    let seen = count(&reading);

    let mut stored = 0;
    let refused = loop {
        let answer = server.post("/v1/audit-log", &batch(stored));
        if answer.status != 201 {
            break answer;
        }
        stored += 1;
        assert!(stored < 100, "the WAL has no limit: {} bytes", wal_bytes());
    };
    assert_eq!(refused.refusal(), (503, "overloaded".to_owned()));
    assert!(refused.text.contains("read transaction"), "{}", refused.text);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(server.get("/readyz").refusal().0, 503);
    assert!(stored > 8, "what there is room for is taken: {stored}");
    for turn in 0..20 {
        assert_eq!(server.post("/v1/audit-log", &batch(1_000 + turn)).status, 503);
    }
    assert!(wal_bytes() < WAL_BYTES_MAX + BEYOND_BYTES, "{}", wal_bytes());
    assert!(server.log().contains("another program holds a read transaction"), "{}", server.log());

    // Reading goes on, people still get in, and the other program still sees what it saw.
    assert_eq!(server.list("identifier=e-0-0").identifiers(), ["e-0-0"]);
    assert_eq!(server.get("/healthz").status, 200);
    server.credential("made meanwhile", &["read"]);
    assert_eq!(count(&reading), seen);

    drop(reading);
    eventually("taking events again", || (server.post("/v1/audit-log", &batch(2_000)).status == 201).then_some(()));
    assert!(wal_bytes() < WAL_BYTES_MAX);
    assert_eq!(server.get("/readyz").status, 200);
    assert!(server.log().contains("events are accepted again"), "{}", server.log());
    let last = format!("e-{}-11", stored - 1);
    assert_eq!(server.list(&format!("identifier={last}")).identifiers(), [last]);
}

#[test]
fn clients_that_do_not_read_on_hold_neither_the_writer_nor_the_log() {
    let server = bounded();
    let wal_bytes = || wal_bytes(&server);
    for number in 0..3 {
        assert_eq!(server.post("/v1/audit-log", &batch(number)).status, 201);
    }
    // Each is sent more than sockets hold, and takes none of it.
    let unread: Vec<_> = ["", "/export?format=ndjson", "/export?format=csv", "/stream"]
        .map(|path| {
            let mut stream = raw::connect(&server);
            stream.write_all(&raw::head(&server, &format!("GET /v1/audit-log{path}"), &[])).unwrap();
            // The answer has begun.
            assert_eq!(stream.peek(&mut [0]).unwrap(), 1, "{path}");
            stream
        })
        .into();
    // In all more than the log may hold.
    for number in 3..23 {
        assert_eq!(server.post("/v1/audit-log", &batch(number)).status, 201, "{number}: {} bytes", wal_bytes());
    }
    assert!(wal_bytes() < WAL_BYTES_MAX, "{}", wal_bytes());
    drop(unread);
}

/// The most that a write-ahead log may keep where hardly anything is written.
const QUIET_BYTES_MAX: u64 = 4 * MEBIBYTE;

#[test]
fn a_log_that_is_hardly_written_to_gives_its_room_back() {
    let server = Server::start();
    for number in 0..4 {
        assert_eq!(server.post("/v1/audit-log", &batch(number)).status, 201);
    }
    assert!(wal_bytes(&server) > 8 * QUIET_BYTES_MAX);
    // Nobody asks for anything.
    eventually("a short WAL", || (wal_bytes(&server) <= QUIET_BYTES_MAX).then_some(()));
    for number in 4..8 {
        assert_eq!(server.post("/v1/audit-log", &batch(number)).status, 201);
    }
    assert!(wal_bytes(&server) > 8 * QUIET_BYTES_MAX);
    // Somebody asks now and then, of which a record is written each time.
    eventually("a short WAL", || {
        assert_eq!(server.list("limit=1").status, 200);
        std::thread::sleep(std::time::Duration::from_millis(500));
        (wal_bytes(&server) <= QUIET_BYTES_MAX).then_some(())
    });
    let newest: Vec<_> = (0..8).map(|number| format!("e-{number}-0")).collect();
    for identifier in &newest {
        assert_eq!(server.get(&format!("/v1/audit-log/{identifier}")).status, 200, "{identifier}");
    }
    assert!(server.stop().0.success());
}

#[test]
fn a_log_that_another_program_reads_is_shortened_once_it_has_ended() {
    let server = Server::start();
    assert_eq!(server.post("/v1/audit-log", &batch(0)).status, 201);
    let mut other = Connection::open(server.database()).unwrap();
    let reading = other.transaction().unwrap();
    let count = |on: &Connection| on.query_row("SELECT count(*) FROM event", [], |row| row.get::<_, i64>(0)).unwrap();
    let seen = count(&reading);
    for number in 1..4 {
        assert_eq!(server.post("/v1/audit-log", &batch(number)).status, 201);
    }
    // Long enough for the server to have tried more than once.
    std::thread::sleep(std::time::Duration::from_secs(12));
    assert!(wal_bytes(&server) > 8 * QUIET_BYTES_MAX);
    assert_eq!(count(&reading), seen);
    assert_eq!(server.post("/v1/audit-log", &batch(4)).status, 201);
    drop(reading);
    eventually("a short WAL", || (wal_bytes(&server) <= QUIET_BYTES_MAX).then_some(()));
}
