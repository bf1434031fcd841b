//! Acknowledged events are on disk: after kill -9, and after an orderly stop.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
    sync::{
        Barrier, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rusqlite::Connection as Database;
use serde_json::json;

use crate::{
    harness::{Server, eventually, program},
    platform::signal,
    process::refusal,
    wire::Connection,
};

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 20;

/// The outcome of the events that were sent until the server was gone.
#[derive(Default)]
struct Sent {
    acknowledged: BTreeSet<String>,
    /// No response, or a response that does not confirm storage.
    open: BTreeSet<String>,
}

fn event(identifier: &str) -> String {
    json!({ "identifier": identifier, "action": "CREATE", "resourceType": "entity" }).to_string()
}

/// Where to send: independent of the server, which may be killed meanwhile.
struct Target {
    url: String,
    token: String,
}

impl Target {
    fn of(server: &Server) -> Self {
        Self { url: server.url.clone(), token: server.token.clone() }
    }
}

/// Sends one event per request over `CONNECTIONS` connections at once, until all connections are closed. The thread
/// that receives the `enough`th acknowledgement calls `end` at once: an event that was acknowledged too early is not
/// yet on disk.
fn send_until(target: &Target, prefix: &str, enough: usize, end: impl FnOnce() + Send) -> Sent {
    let (sent, count, end) = (Mutex::new(Sent::default()), AtomicUsize::new(0), Mutex::new(Some(end)));
    let client = |number: usize| {
        let Ok(mut connection) = Connection::open(&target.url) else { return };
        for step in 0.. {
            let identifier = format!("{prefix}-{number}-{step}");
            let reply = connection.request("POST", "/v1/audit-log", &target.token, &event(&identifier));
            let is_acknowledged =
                reply.as_ref().is_ok_and(|reply| reply.status == 201 && reply.body.contains("\"accepted\":1,"));
            if is_acknowledged
                && count.fetch_add(1, Ordering::Relaxed) + 1 >= enough
                && let Some(end) = end.lock().unwrap().take()
            {
                end();
            }
            let mut so_far = sent.lock().unwrap();
            if is_acknowledged {
                so_far.acknowledged.insert(identifier);
            } else {
                so_far.open.insert(identifier);
            }
            if reply.is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let client = &client;
            scope.spawn(move || client(number));
        }
    });
    assert!(end.into_inner().unwrap().is_none(), "the server ended by itself");
    sent.into_inner().unwrap()
}

/// The number of events of each identifier in the log, read page by page in order of arrival.
fn stored(server: &Server) -> BTreeMap<String, usize> {
    let (mut counts, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let page = server.list(&format!("sort=received&order=asc&includes=identifier&limit=5000{cursor}"));
        let identifiers = page.identifiers();
        if identifiers.is_empty() {
            return counts;
        }
        for identifier in identifiers {
            *counts.entry(identifier).or_default() += 1;
        }
        cursor = format!("&cursor={}", page.json()["next"].as_str().unwrap());
    }
}

/// Every acknowledged event is there once, and nothing that was not sent is there.
fn check(server: &Server, acknowledged: &BTreeSet<String>, open: &BTreeSet<String>) {
    let counts = stored(server);
    let missing: Vec<_> = acknowledged.iter().filter(|identifier| !counts.contains_key(*identifier)).collect();
    assert!(missing.is_empty(), "acknowledged, but lost: {missing:?}");
    for (identifier, count) in &counts {
        assert_eq!(*count, 1, "{identifier}");
        assert!(acknowledged.contains(identifier) || open.contains(identifier), "{identifier} was never sent");
    }
}

/// The file passes SQLite's integrity check, and seq is dense.
fn check_file(path: &Path) {
    let database = Database::open(path).unwrap();
    let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    let (count, first, last): (i64, i64, i64) =
        database.query_row("SELECT count(*), min(seq), max(seq) FROM event", [], |row| row.try_into()).unwrap();
    assert_eq!((first, last), (1, count));
}

/// A stopped server leaves one file.
fn has_no_wal(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).map_or(true, |metadata| metadata.len() == 0)
}

/// Starts a request and waits until the server expects its body, which `100 Continue` confirms.
fn begin_request(server: &Server, body: &str) -> Connection {
    let mut connection = Connection::open(&server.url).unwrap();
    let (token, length) = (&server.token, body.len());
    let head = format!(
        "POST /v1/audit-log HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
    );
    connection.send(&head).unwrap();
    assert_eq!(connection.reply().unwrap().status, 100);
    connection
}

#[test]
fn events_acknowledged_before_a_kill_are_there_once() {
    let rounds = std::env::var("AUDITBOX_KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut server = Server::start();
    let mut acknowledged = BTreeSet::new();
    for round in 0..rounds {
        // Each round kills after another number of acknowledgements: at different points of a batch, a commit and a
        // checkpoint.
        let sent = send_until(&Target::of(&server), &format!("r{round}"), 1 + (round * 211) % 1_000, || server.kill());
        acknowledged.extend(sent.acknowledged);
        server.start_again();
        check(&server, &acknowledged, &sent.open);
        for identifier in &sent.open {
            let answer = server.post("/v1/audit-log", &event(identifier));
            assert!(matches!(answer.status, 200 | 201), "{identifier}: {}", answer.text);
        }
        acknowledged.extend(sent.open);
    }
    check(&server, &acknowledged, &BTreeSet::new());
    let (status, directory) = server.stop();
    assert!(status.success());
    check_file(&directory.path().join("auditbox.db"));
}

#[test]
fn a_signal_lets_running_requests_finish() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start();
        let body = event(signal);
        let (first, second) = body.split_at(body.len() / 2);
        let mut connection = begin_request(&server, &body);
        connection.send(first).unwrap();
        server.signal(signal);
        eventually("the stop", || server.log().contains("stopping").then_some(()));
        connection.send(second).unwrap();
        assert_eq!(connection.reply().unwrap().status, 201, "SIG{signal}");
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        assert!(has_no_wal(&server.database()));
        check_file(&server.database());
        server.start_again();
        assert_eq!(server.list("").identifiers(), [signal]);
    }
}

#[test]
fn a_signal_right_after_the_start_stops_in_order() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let mut child = program(directory.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains(" at http://"), "{line}");
        assert!(signal(child.id(), "TERM"));
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(has_no_wal(&directory.path().join("auditbox.db")));
    }
}

#[test]
fn a_stop_under_load_loses_no_acknowledged_event() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start();
        let sent = send_until(&Target::of(&server), signal, 500, || server.signal(signal));
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        assert!(has_no_wal(&server.database()));
        server.start_again();
        check(&server, &sent.acknowledged, &sent.open);
    }
}

#[test]
fn silent_connections_do_not_delay_a_stop() {
    // If the stop waited for these connections, it would take an hour.
    let mut server = Server::start_with(&[("AUDITBOX_SERVER_SHUTDOWN_SECONDS", "3600")]);
    let mut used: Vec<_> = (0..8).map(|_| Connection::open(&server.url).unwrap()).collect();
    for connection in &mut used {
        assert_eq!(connection.request("GET", "/healthz", "", "").unwrap().status, 200);
    }
    let fresh: Vec<_> = (0..8).map(|_| Connection::open(&server.url).unwrap()).collect();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    drop((used, fresh));
}

#[test]
fn a_stopping_server_accepts_no_connection() {
    let mut server = Server::start();
    let body = event("last");
    let mut under_way = begin_request(&server, &body);
    server.signal("TERM");
    eventually("the stop", || server.log().contains("stopping").then_some(()));
    // The server closes a connection that the system still accepted, without a response.
    eventually("the end of responses", || {
        let answer = Connection::open(&server.url).and_then(|mut late| late.request("GET", "/healthz", "", ""));
        answer.is_err().then_some(())
    });
    under_way.send(&body).unwrap();
    assert_eq!(under_way.reply().unwrap().status, 201);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_server_on_the_same_file_is_rejected() {
    let server = Server::start();
    let (code, message) = refusal(&mut program(server.directory()));
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("auditbox.db is open in another auditbox"), "{message}");
    server.store(&[json!({ "identifier": "e1", "action": "READ", "resourceType": "x" })]);
    assert_eq!(server.list("").identifiers(), ["e1"]);
}

#[test]
fn a_server_that_was_killed_leaves_no_lock_behind() {
    let mut server = Server::start();
    server.kill();
    assert!(server.directory().join("auditbox.db.lock").exists());
    server.start_again();
    assert_eq!(server.get("/readyz").status, 200);
}

/// Sends `body(n)` over every connection at the same moment; returns the statuses, sorted.
fn at_once(server: &Server, body: impl Fn(usize) -> String + Sync) -> Vec<u16> {
    let (start, statuses) = (Barrier::new(CONNECTIONS), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let (start, statuses, body) = (&start, &statuses, &body);
            scope.spawn(move || {
                let mut connection = Connection::open(&server.url).unwrap();
                start.wait();
                let reply = connection.request("POST", "/v1/audit-log", &server.token, &body(number)).unwrap();
                statuses.lock().unwrap().push(reply.status);
            });
        }
    });
    let mut statuses = statuses.into_inner().unwrap();
    statuses.sort_unstable();
    statuses
}

#[test]
fn the_same_event_from_many_connections_is_stored_once() {
    let server = Server::start();
    let statuses = at_once(&server, |_| event("same"));
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), CONNECTIONS - 1, "{statuses:?}");
    assert_eq!(server.list("").identifiers(), ["same"]);
}

#[test]
fn of_different_events_with_one_identifier_one_is_stored() {
    let server = Server::start();
    let statuses = at_once(&server, |number| {
        json!({ "identifier": "same", "action": format!("A{number}"), "resourceType": "x" }).to_string()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), CONNECTIONS - 1, "{statuses:?}");
    assert_eq!(server.list("").identifiers(), ["same"]);
}
