//! Files of format 3, whose index has every name of an actor as a value of the same field.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    env,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use auditbox::{
    model::timestamp::Timestamp,
    store::{Progress, Quiet, Store},
    testdata::Generator,
};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use super::{as_format_3, file_of_format_1, is_as_described, pragma};
use crate::{
    blocks,
    damage::damage_pages,
    harness::{Server, program, received, store_options},
    process::refusal,
};

/// The chunks of the file, and the events in each.
const CHUNKS: i64 = 2;
const CHUNK_EVENTS: u32 = 64;

/// A file that an earlier program wrote.
fn file_of_format_3() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("auditbox.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(include_str!("format_3.sql")).unwrap();
    connection.pragma_update(None, "application_id", i64::from(u32::from_be_bytes(*b"abox"))).unwrap();
    connection.pragma_update(None, "user_version", 3).unwrap();
    (directory, path)
}

/// The rows of all events, without their bodies, which their checksums cover.
fn rows(path: &Path, through: i64) -> Vec<[Option<i64>; 6]> {
    let connection = Connection::open(path).unwrap();
    let sql = "SELECT seq, timestamp, entity, blueprint, filled, checksum FROM event WHERE seq <= ?1 ORDER BY seq";
    let mut statement = connection.prepare(sql).unwrap();
    let columns = |row: &rusqlite::Row<'_>| Ok([0, 1, 2, 3, 4, 5].map(|column| row.get(column).unwrap()));
    statement.query_map([through], columns).unwrap().collect::<Result<_, _>>().unwrap()
}

/// The identity of an event's actor.
fn identity(event: &Value) -> String {
    let by = &event["trigger"]["by"];
    ["userId", "email", "name"].iter().find_map(|key| by[key].as_str()).unwrap().to_owned()
}

/// The identities of all actors, and the number of events in which each is one of the actor's names.
fn counts(events: &[Value]) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<_, _> = events.iter().map(|event| (identity(event), 0)).collect();
    for event in events {
        for name in ["userId", "email", "name"].iter().filter_map(|key| event["trigger"]["by"][key].as_str()) {
            counts.entry(name.to_owned()).and_modify(|count| *count += 1);
        }
    }
    counts
}

/// The facet of actors, over all events but auditbox's own.
fn facet(server: &Server) -> (BTreeMap<String, u64>, Value) {
    let mut found = server.get("/v1/audit-log/stats?facets=actor").json();
    let facet = found["facets"]["actor"].take();
    let of = |value: &Value| (value["value"].as_str().unwrap().to_owned(), value["count"].as_u64().unwrap());
    (facet["values"].as_array().unwrap().iter().map(of).collect(), facet["distinct"].clone())
}

/// The events of the list, by arrival.
fn events(server: &Server) -> Vec<Value> {
    let list = server.list("sort=received&order=asc&limit=1000").json();
    list["audits"].as_array().unwrap().clone()
}

#[test]
fn a_file_of_the_third_format_counts_each_actor_once() {
    let (directory, path) = file_of_format_3();
    let before = rows(&path, 150);
    let (code, message) = refusal(program(directory.path()).arg("query"));
    assert!(code == Some(1) && message.contains("has the older format 3"), "{message}");
    let server = Server::start_in(directory, &[]);
    assert!(server.log().contains("bringing the file to its present format"), "{}", server.log());
    let events = events(&server);
    assert_eq!(events.len(), 150);
    let expected = counts(&events);
    assert!(expected.len() > 10 && expected.contains_key("u1") && expected.contains_key("p1@example.com"));
    assert_eq!(facet(&server), (expected.clone(), expected.len().into()));
    // Every name still finds the events, and excludes them.
    for name in ["u1", "p1@example.com", "Person 1", "Robot 1"] {
        let has = |event: &&Value| event["trigger"]["by"].as_object().unwrap().values().any(|value| value == name);
        let expected = events.iter().filter(has).count();
        let encoded = name.replace(' ', "%20");
        let count = |query: &str| server.list(&format!("{query}&count=true&limit=1")).json()["count"].clone();
        assert_eq!(count(&format!("actor={encoded}")), expected, "{name}");
        assert_eq!(count(&format!("not.actor={encoded}")), 150 - expected, "{name}");
        if !name.contains(' ') {
            assert_eq!(count(&format!("q={name}")), expected, "{name}");
        }
    }
    let (status, directory) = server.stop();
    assert!(status.success());
    assert!(rows(&path, 150) == before, "a row of an event has changed");
    is_as_described(&directory, &path);
}

/// Ends the program, as a kill would, when this number of chunks are rebuilt.
struct EndsAfter(i64, Cell<Vec<i64>>);

impl Progress for EndsAfter {
    fn advance(&self, what: &'static str, done: i64, total: i64) {
        if what == "bringing the file to its present format" {
            assert_eq!(total, CHUNKS);
            let mut seen = self.1.take();
            seen.push(done);
            self.1.set(seen);
            assert!(done < self.0, "interrupted");
        }
    }
}

#[test]
fn an_interrupted_migration_of_the_index_continues_where_it_ended() {
    let (directory, path) = file_of_format_3();
    let open = |after: i64| {
        let progress = EndsAfter(after, Cell::default());
        let open = || Store::open(&store_options(&path, CHUNK_EVENTS), &progress).unwrap().close().unwrap();
        let outcome = panic::catch_unwind(AssertUnwindSafe(open));
        (outcome.is_ok(), progress.1.take())
    };
    for (after, expected) in [(0, vec![0]), (1, vec![0, 1]), (2, vec![1, 2])] {
        assert_eq!(open(after), (false, expected));
        // Nothing reads a file whose index is of two formats.
        let (code, message) = refusal(program(directory.path()).arg("query"));
        assert!(code == Some(1) && message.contains("has the older format 3"), "{message}");
    }
    assert_eq!(open(9), (true, vec![2]));
    assert_eq!(open(9), (true, vec![]));
    is_as_described(&directory, &path);
    let server = Server::start_in(directory, &[]);
    let expected = counts(&events(&server));
    assert_eq!(facet(&server), (expected.clone(), expected.len().into()));
}

#[test]
fn a_killed_migration_of_the_index_leaves_a_file_that_the_next_start_completes() {
    const EVENTS: u32 = 20_000;
    let (directory, path) = file_of_format_1(EVENTS);
    Store::open(&store_options(&path, CHUNK_EVENTS), &Quiet).unwrap().close().unwrap();
    as_format_3(&Connection::open(&path).unwrap());
    let next = || -> Option<u32> {
        let connection = Connection::open(&path).unwrap();
        let sql = "SELECT max(value) FROM setting WHERE name = 'outdated_chunks'";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let mut interrupted = BTreeSet::new();
    for round in 0..12 {
        let mut child = program(directory.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(30 + 25 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        interrupted.extend(next());
    }
    assert!(!interrupted.is_empty(), "every migration was over before it was killed");
    let server = Server::start_in(directory, &[]);
    assert_eq!(server.list("resources=entity&count=true&limit=1").json()["count"], EVENTS);
    let (status, directory) = server.stop();
    assert!(status.success() && next().is_none() && pragma(&Connection::open(&path).unwrap(), "user_version") == 4);
    assert!(program(directory.path()).arg("doctor").output().unwrap().status.success());
}

#[test]
fn no_event_changes_though_its_migration_is_killed_again_and_again() {
    // `AUDITBOX_MIGRATION=long` takes minutes.
    let is_long = env::var_os("AUDITBOX_MIGRATION").is_some_and(|form| form == "long");
    let (count, kills, step_ms) = if is_long { (100_000, 50, 5) } else { (12_000, 10, 60) };
    let now = Timestamp::now();
    let events: Vec<_> = Generator::new(1, count, now, 86_400).map(|event| (event, now)).collect();
    let directory = received(4_096, &events);
    let path = directory.path().join("auditbox.db");
    let bodies = || -> Vec<String> {
        let connection = Connection::open(&path).unwrap();
        let last: i64 = connection.query_row("SELECT max(seq) FROM event", [], |row| row.get(0)).unwrap();
        let own = |body: &String| !body.contains("\"origin\":\"auditbox\"");
        (1..=last).map(|seq| blocks::body(&connection, seq)).filter(own).collect()
    };
    let before = bodies();
    as_format_3(&Connection::open(&path).unwrap());
    let mut interrupted = 0;
    for round in 0..kills {
        let mut child = program(directory.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(40 + step_ms * (round % 10)));
        child.kill().unwrap();
        child.wait().unwrap();
        let sql = "SELECT max(value) FROM setting WHERE name = 'moved_events'";
        let moved: Option<i64> = Connection::open(&path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap();
        interrupted += u32::from(moved.is_some());
    }
    assert!(interrupted > 0, "every migration was over before it was killed");
    println!("{interrupted} of {kills} kills came while events were being moved");
    let (status, directory) = Server::start_in(directory, &[]).stop();
    assert!(status.success());
    assert!(bodies() == before, "an event has changed");
    is_as_described(&directory, &path);
}

#[test]
fn a_chunk_with_a_damaged_event_keeps_its_index() {
    let (directory, path) = file_of_format_3();
    let connection = Connection::open(&path).unwrap();
    let trigger = "SELECT sql FROM sqlite_schema WHERE name = 'event_is_never_changed'";
    let trigger: String = connection.query_row(trigger, [], |row| row.get(0)).unwrap();
    let damage = "UPDATE event SET body = x'00' WHERE seq = 71";
    connection.execute_batch(&format!("DROP TRIGGER event_is_never_changed; {damage}; {trigger}")).unwrap();
    connection.close().unwrap();
    let server = Server::start_in(directory, &[]);
    assert!(server.log().contains("the index of a chunk keeps its former content"), "{}", server.log());
    assert_eq!(events(&server).len(), 149);
    // The index still has all names of the damaged event.
    for query in ["identifier=e71", "actor=u1&entity=svc-2&from=2024-05-01T01:11:00Z&to=2024-05-01T01:11:00Z"] {
        let found = server.list(query).json();
        assert_eq!(found["damaged"]["events"][0]["seq"], 71, "{query}: {found}");
    }
    for name in ["Person 1", "p1@example.com"] {
        let found = server.list(&format!("actor={}", name.replace(' ', "%20"))).json();
        assert!(found["audits"].as_array().unwrap().len() > 15, "{found}");
    }
}

#[test]
fn a_file_with_a_damaged_page_is_migrated_as_far_as_it_can_be_read() {
    let (directory, path) = file_of_format_3();
    let connection = Connection::open(&path).unwrap();
    let leaf = "SELECT pageno FROM dbstat WHERE name = 'event' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 6";
    let page: u32 = connection.query_row(leaf, [], |row| row.get(0)).unwrap();
    connection.close().unwrap();
    damage_pages(&path, &[page]);
    let server = Server::start_in(directory, &[]);
    for message in ["a former table of events stays", "the index of a chunk keeps its former content"] {
        assert!(server.log().contains(message), "{}", server.log());
    }
    let list = server.list("sort=received&order=asc&limit=1000").json();
    let (sound, damaged) = (list["audits"].as_array().unwrap().len(), list["damaged"]["count"].as_u64().unwrap());
    assert!(sound > 100 && damaged > 0 && sound as u64 + damaged == 150, "{sound} {damaged}");
}
