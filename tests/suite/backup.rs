//! A backup made while many connections write, and put back: everything that was acknowledged before it began is in it,
//! byte for byte, and the write-ahead log grows by no more than is written meanwhile.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

use crate::{
    harness::{Server, eventually, run},
    wire::Connection,
};

/// Far less than the file's bound for it, and far more than is written in the time that so small a file takes to copy.
const LOG_BYTES_MAX: u64 = 320 * 1024 * 1024;
const SENDERS: usize = 8;

fn event(sender: usize, number: usize) -> Value {
    json!({
        "identifier": format!("s{sender}-{number}"), "action": "UPDATE", "resourceType": "entity",
        "context": { "entity": format!("svc-{}", number % 50), "runId": format!("run-{sender}-{number}") },
        "additionalData": { "text": format!("{sender} changed {number}, as it was to be changed") },
    })
}

#[test]
fn a_backup_beside_full_ingest_has_what_was_acknowledged_before_it_began() {
    let server = Server::start_chunked(4_096);
    let (url, token) = (server.url.clone(), server.token.clone());
    let (stop, longest) = (AtomicBool::new(false), AtomicU64::new(0));
    let acknowledged = Mutex::new(Vec::<String>::new());
    let copy = server.directory().join("copy.db");
    let log = server.database().with_extension("db-wal");
    let before = thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (url, token, stop, acknowledged) = (&url, &token, &stop, &acknowledged);
            scope.spawn(move || {
                let mut connection = Connection::open(url).unwrap();
                for batch in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let events: Vec<_> = (0..50).map(|number| event(sender, batch * 50 + number)).collect();
                    let body = Value::from(events.clone()).to_string();
                    let reply = connection.request("POST", "/v1/audit-log", token, &body).unwrap();
                    if reply.status == 201 {
                        let names = events.iter().map(|event| event["identifier"].as_str().unwrap().to_owned());
                        acknowledged.lock().unwrap().extend(names);
                    }
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                longest.fetch_max(fs::metadata(&log).map_or(0, |file| file.len()), Ordering::Relaxed);
                thread::yield_now();
            }
        });
        eventually("ingest", || (acknowledged.lock().unwrap().len() > 10_000).then_some(()));
        let before = acknowledged.lock().unwrap().clone();
        let made = run(server.directory(), &["backup", "copy.db"]);
        stop.store(true, Ordering::Relaxed);
        assert!(made.status.success(), "{made:?}");
        before
    });
    assert!(acknowledged.lock().unwrap().len() > before.len(), "nothing came meanwhile");
    let longest = longest.into_inner();
    assert!(longest < LOG_BYTES_MAX, "{longest}");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let original: HashMap<String, String> = lines(&server);

    let (status, directory) = server.stop();
    assert!(status.success());
    let refused = run(directory.path(), &["restore", "copy.db"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--force"));
    let restored = run(directory.path(), &["restore", "copy.db", "--force"]);
    assert!(restored.status.success(), "{restored:?}");
    let examined = run(directory.path(), &["doctor"]);
    assert!(examined.status.success(), "{examined:?}");
    let server = Server::start_in(directory, &[]);
    let copied = lines(&server);
    for identifier in &before {
        assert_eq!(copied.get(identifier), original.get(identifier), "{identifier}");
        assert!(copied.contains_key(identifier), "{identifier}");
    }
    for (identifier, line) in copied.iter().filter(|(identifier, _)| identifier.starts_with('s')) {
        assert_eq!(original.get(identifier), Some(line), "{identifier}");
    }
    println!(
        "{} acknowledged before the backup, {} events in it; the log's largest size was {longest} bytes",
        before.len(),
        copied.len()
    );
}

/// Every event that was sent, by identifier.
fn lines(server: &Server) -> HashMap<String, String> {
    let answer = server.get("/v1/audit-log/export?format=ndjson");
    assert_eq!(answer.status, 200);
    let named = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        (event["identifier"].as_str().unwrap().to_owned(), line.to_owned())
    };
    answer.text.lines().map(named).collect()
}

#[test]
fn who_was_ahead_of_a_backup_is_told_and_goes_on() {
    let server = Server::start();
    server.store(&[event(0, 1)]);
    assert!(run(server.directory(), &["backup", "copy.db"]).status.success());
    server.store(&[event(0, 2), event(0, 3)]);
    let follow = "sort=received&order=asc&include_own=true&limit=1000";
    let ahead = server.list(follow).json()["next"].as_str().unwrap().to_owned();
    assert_eq!(run(server.directory(), &["restore", "copy.db", "--force"]).status.code(), Some(1));
    let (_, directory) = server.stop();
    assert!(run(directory.path(), &["restore", "copy.db", "--force"]).status.success());
    let server = Server::start_in(directory, &[]);
    assert_eq!(server.list(&format!("{follow}&cursor={ahead}")).refusal(), (422, "invalid_request".to_owned()));
    assert_eq!(server.list("resources=entity").identifiers(), ["s0-1"]);
    // What was lost is sent again, and clients that begin anew see it.
    assert_eq!(server.post("/v1/audit-log", &event(0, 2).to_string()).status, 201);
    assert_eq!(server.list("resources=entity&sort=received&order=asc").identifiers(), ["s0-1", "s0-2"]);
    let aside = fs::read_dir(server.directory())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("auditbox.db.before-"));
    assert!(aside.count() >= 1);
}

#[test]
fn a_backup_replaces_nothing_unasked_and_one_that_is_not_sound_never() {
    let server = Server::start();
    server.store(&[event(0, 1)]);
    let directory = server.directory();
    assert!(run(directory, &["backup", "copy.db"]).status.success());
    let sound = fs::read(directory.join("copy.db")).unwrap();
    let refused = run(directory, &["backup", "copy.db"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is there already"));
    assert!(run(directory, &["backup", "copy.db", "--force"]).status.success());
    assert_eq!(run(directory, &["backup", "auditbox.db", "--force"]).status.code(), Some(1));
    let connection = rusqlite::Connection::open(server.database()).unwrap();
    connection.execute_batch("DROP TRIGGER event_is_never_changed").unwrap();
    connection.execute("UPDATE event SET filled = filled + 1 WHERE seq = 1", []).unwrap();
    let unsound = run(directory, &["backup", "copy.db", "--force"]);
    assert_eq!(unsound.status.code(), Some(1), "{unsound:?}");
    assert!(String::from_utf8_lossy(&unsound.stdout).contains("event 1 ("), "{unsound:?}");
    assert!(directory.join("copy.db.unsound").exists() && !directory.join("copy.db.part").exists());
    assert_eq!(fs::read(directory.join("copy.db")).unwrap().len(), sound.len());
    fs::write(directory.join("torn.db"), &sound[..sound.len() / 2]).unwrap();
    let (_, directory) = server.stop();
    let torn = run(directory.path(), &["restore", "torn.db", "--force"]);
    assert_eq!(torn.status.code(), Some(1), "{torn:?}");
    assert!(directory.path().join("auditbox.db").exists() && !directory.path().join("auditbox.db.part").exists());
}
