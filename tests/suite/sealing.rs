//! Chunks of the index are sealed during ingest. After a kill at any moment, nothing is lost, nothing is found twice,
//! and the index agrees with the events.

use std::{collections::BTreeSet, thread, time::Duration};

use auditbox::{
    model::timestamp::Timestamp,
    store::{Outcome, Policy, Quiet, Store},
};
use rusqlite::Connection as Database;
use serde_json::json;

use crate::{
    blocks,
    harness::{Server, eventually, prepare, run, store_options},
    wire::Connection,
};

/// Small, so that a chunk is nearly always being sealed.
const CHUNK_EVENTS: u32 = 128;
const ROUNDS: u64 = 50;
const BATCH_EVENTS: usize = 40;

/// Sends batches until the connection breaks; adds the acknowledged events.
fn send(url: &str, token: &str, round: u64, number: u64, acknowledged: &mut BTreeSet<String>) {
    let Ok(mut connection) = Connection::open(url) else { return };
    for step in 0.. {
        let identifiers: Vec<_> = (0..BATCH_EVENTS).map(|n| format!("{round}-{number}-{step}-{n}")).collect();
        let event = |identifier: &String| {
            json!({
                "identifier": identifier, "action": "UPDATE", "resourceType": "entity",
                "context": { "entity": format!("svc-{}", identifier.len() % 5), "runId": format!("run-{round}-{step}") },
                "message": "rolled out",
            })
        };
        let batch = json!(identifiers.iter().map(event).collect::<Vec<_>>()).to_string();
        match connection.request("POST", "/v1/audit-log", token, &batch) {
            Ok(reply) if reply.status == 201 => acknowledged.extend(identifiers),
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// Rows of chunks that were never sealed, as a kill in the middle leaves them.
fn leftovers(server: &Server) -> u32 {
    let database = Database::open(server.database()).unwrap();
    let count =
        "SELECT count(*) FROM chunk_posting WHERE place >= (SELECT coalesce(max(number), -1) + 1 FROM chunk) << 38";
    database.query_row(count, [], |row| row.get(0)).unwrap()
}

fn sealed(server: &Server) -> u32 {
    let database = Database::open(server.database()).unwrap();
    database.query_row("SELECT count(*) FROM chunk", [], |row| row.get(0)).unwrap()
}

#[test]
fn an_event_prepared_before_its_duplicate_was_sealed_is_recognized() {
    let directory = tempfile::tempdir().unwrap();
    let options = store_options(&directory.path().join("auditbox.db"), 64);
    let store = Store::open(&options, &Quiet).unwrap();
    let ready = |identifier: &str| {
        prepare(&store, &json!({ "identifier": identifier, "action": "UPDATE", "resourceType": "entity" }))
    };
    let append = |event| store.writer.append(vec![event], Policy::AllOrNothing).unwrap().wait().unwrap();
    let database = Database::open(&options.path).unwrap();
    let fill = |chunk: i64| {
        let sealed = || database.query_row("SELECT count(*) FROM chunk", [], |row| row.get(0));
        for number in (0..).take_while(|_| sealed().unwrap_or(0) <= chunk) {
            append(ready(&format!("{chunk}-{number}")));
        }
    };
    fill(0);
    let twins: Vec<_> = (0..3).map(|_| ready("twin")).collect();
    let outcomes = twins.into_iter().zip(1..).map(|(twin, chunk)| {
        let outcome = append(twin);
        fill(chunk);
        outcome
    });
    assert_eq!(outcomes.flatten().collect::<Vec<_>>(), [Outcome::Stored, Outcome::Duplicate, Outcome::Duplicate]);
    store.close().unwrap();
}

#[test]
fn killed_while_sealing_the_server_seals_again_and_loses_nothing() {
    let mut server = Server::start_chunked(CHUNK_EVENTS);
    let (mut acknowledged, mut interrupted, mut round) = (BTreeSet::new(), 0, 0);
    // On a busy machine more rounds may be needed until a kill comes while a chunk is being sealed.
    while round < ROUNDS || (interrupted == 0 && round < 5 * ROUNDS) {
        let (url, token) = (server.url.clone(), server.token.clone());
        thread::scope(|scope| {
            let senders: Vec<_> = (0..3)
                .map(|number| {
                    let (url, token) = (&url, &token);
                    scope.spawn(move || {
                        let mut acknowledged = BTreeSet::new();
                        send(url, token, round, number, &mut acknowledged);
                        acknowledged
                    })
                })
                .collect();
            // A random moment, at which the server may be doing anything.
            thread::sleep(Duration::from_millis(40 + (round * 37) % 90));
            server.kill();
            for sender in senders {
                acknowledged.extend(sender.join().unwrap());
            }
        });
        interrupted += u64::from(leftovers(&server) > 0);
        server.start_again();
        round += 1;
    }
    assert!(interrupted > 0, "no kill happened while a chunk was being sealed: this run proves nothing");
    let full = sealed(&server);
    assert!(u64::from(full) > ROUNDS, "{full} chunks");

    // The events that the index finds, and the events in the file.
    let found = found(&server);
    let (once, count) = (found.iter().collect::<BTreeSet<_>>(), found.len());
    assert_eq!(once.len(), count, "an event is found twice");
    let lost: Vec<_> = acknowledged.iter().filter(|identifier| !once.contains(identifier)).collect();
    assert!(lost.is_empty(), "acknowledged, and not found: {lost:?}");
    let stats = server.get("/v1/audit-log/stats?facets=entity&q=rolled").json();
    assert_eq!(stats["count"], count);
    let values = stats["facets"]["entity"]["values"].as_array().unwrap();
    assert_eq!(values.iter().map(|value| value["count"].as_u64().unwrap()).sum::<u64>(), count as u64);
    // Every full chunk is sealed eventually.
    eventually("the last chunk's sealing", || {
        let newest: u32 = Database::open(server.database())
            .unwrap()
            .query_row("SELECT max(seq) FROM event", [], |row| row.get(0))
            .unwrap();
        (sealed(&server) == newest / CHUNK_EVENTS).then_some(())
    });
    doctor(&server);
}

fn found(server: &Server) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.list(&format!("resources=entity&includes=identifier&limit=20000{cursor}"));
        found.extend(page.identifiers());
        match page.json()["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

fn doctor(server: &Server) {
    let examined = run(server.directory(), &["doctor"]);
    let said = String::from_utf8_lossy(&examined.stdout);
    assert!(examined.status.success() && said.contains("Nothing is wrong."), "{said}");
}

/// A stopped server's file with sealed chunks.
fn sealed_file() -> (tempfile::TempDir, std::path::PathBuf) {
    let server = Server::start_chunked(CHUNK_EVENTS);
    let event = |n: usize| {
        json!({
            "identifier": format!("event-{n}"), "action": "UPDATE", "resourceType": "entity",
            "context": { "entity": format!("svc-{}", n % 5), "runId": format!("run-{}", n / 3) },
            "trigger": { "by": { "name": format!("ci-{}", n % 3) } },
        })
    };
    server.store(&(0..500).map(event).collect::<Vec<_>>());
    eventually("sealing", || (sealed(&server) == 3).then_some(()));
    let (status, directory) = server.stop();
    assert!(status.success());
    let path = directory.path().join("auditbox.db");
    (directory, path)
}

#[test]
fn doctor_finds_the_damage_and_reindex_repairs_the_index() {
    for (damage, named) in [
        (
            "UPDATE chunk_posting SET terms = CAST(x'05' || terms AS BLOB) WHERE place = (SELECT min(place) FROM chunk_posting)",
            "chunk 0 of the index: row",
        ),
        (
            "UPDATE chunk_key SET keys = x'00' WHERE place = (SELECT max(place) FROM chunk_key)",
            "chunk 2 of the index: row",
        ),
        ("DELETE FROM chunk_time WHERE place = 1 << 38", "chunk 1 of the index: row"),
        ("UPDATE chunk SET last = last + 1 WHERE number = 1", "chunk 1 of the index: its own row"),
        ("INSERT INTO chunk_time VALUES ((1 << 38) + 77, x'00')", "chunk 1 of the index: chunk_time has 2 rows"),
    ] {
        let (directory, path) = sealed_file();
        assert_eq!(Database::open(&path).unwrap().execute(damage, []).unwrap(), 1, "{damage}");
        let examined = run(directory.path(), &["doctor"]);
        let said = String::from_utf8_lossy(&examined.stdout).into_owned();
        assert_eq!(examined.status.code(), Some(1), "{damage}: {said}");
        assert!(said.contains(named), "{damage}: {said}");
        assert!(run(directory.path(), &["reindex"]).status.success());
        let examined = run(directory.path(), &["doctor"]);
        assert!(examined.status.success(), "{damage}: {}", String::from_utf8_lossy(&examined.stdout));
        let server = Server::start_in(directory, &[]);
        assert_eq!(server.list("entity=svc-1&count=true&limit=1").json()["count"], 100);
    }
}

#[test]
fn doctor_names_the_damaged_event_and_others_are_still_served() {
    let (directory, path) = sealed_file();
    let database = Database::open(&path).unwrap();
    blocks::allow_changes(&database);
    blocks::isolate(&database, 100);
    for damage in [
        "UPDATE block SET bodies = CAST(substr(bodies, 1, length(bodies) - 1) || x'fe' AS BLOB) WHERE first = 100",
        "UPDATE event SET timestamp = 5 WHERE seq = 200",
        "UPDATE event SET entity = 999 WHERE seq = 450",
    ] {
        assert_eq!(database.execute(damage, []).unwrap(), 1);
    }
    drop(database);
    let examined = run(directory.path(), &["doctor"]);
    let said = String::from_utf8_lossy(&examined.stdout).into_owned();
    assert_eq!(examined.status.code(), Some(1));
    for named in ["event 100 (event-", "event 200 (event-", "event 450 (event-"] {
        assert!(said.contains(named), "{named}: {said}");
    }
    let server = Server::start_in(directory, &[]);
    assert_eq!(server.list("identifier=event-7").identifiers(), ["event-7"]);
}

#[test]
fn reindex_refuses_a_file_in_use() {
    let server = Server::start_chunked(CHUNK_EVENTS);
    let refused = run(server.directory(), &["reindex"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is open in another auditbox"));
}

#[test]
fn a_duplicate_of_an_event_in_a_sealed_chunk_is_recognized() {
    let (directory, path) = sealed_file();
    let mut server = Server::start_in(directory, &[]);
    let again = |n: usize, name: &str| {
        json!({
            "identifier": format!("event-{n}"), "action": "UPDATE", "resourceType": "entity",
            "context": { "entity": format!("svc-{}", n % 5), "runId": format!("run-{}", n / 3) },
            "trigger": { "by": { "name": name } },
        })
    };
    for n in [0, 127, 128, 300, 383, 384, 499] {
        let answer = server.store(&[again(n, &format!("ci-{}", n % 3))]).json();
        assert_eq!((&answer["accepted"], &answer["duplicates"]), (&json!(0), &json!(1)), "{n}");
        let answer = server.post("/v1/audit-log", &again(n, "someone else").to_string());
        assert_eq!(answer.refusal(), (409, "conflict".to_owned()), "{n}");
    }
    // The same with a damaged earlier event.
    server.kill();
    let database = Database::open(&path).unwrap();
    blocks::allow_changes(&database);
    blocks::overwrite(&database, 450, b"\x28\xb5\x2f\xfd");
    drop(database);
    server.start_again();
    for n in [460, 499] {
        let answer = server.store(&[again(n, &format!("ci-{}", n % 3))]).json();
        assert_eq!((&answer["accepted"], &answer["duplicates"]), (&json!(0), &json!(1)), "{n}");
    }
}

#[test]
fn events_that_cannot_be_looked_up_are_rejected_and_others_stored() {
    let (directory, path) = sealed_file();
    let database = Database::open(&path).unwrap();
    // Identifier blocks: field 1 of chunk 0.
    let damage = "UPDATE chunk_key SET keys = x'00' WHERE place >> 32 = 1";
    assert!(database.execute(damage, []).unwrap() > 0);
    drop(database);
    let server = Server::start_in(directory, &[]);
    let event =
        |identifier: &str| json!({ "identifier": identifier, "action": "READ", "resourceType": "x" }).to_string();
    assert_eq!(server.post("/v1/audit-log", &event("event-7")).refusal(), (503, "overloaded".to_owned()));
    assert_eq!(server.post("/v1/audit-log", &event("another")).status, 201);
}

#[test]
fn a_gap_in_the_index_is_detected() {
    let (directory, path) = sealed_file();
    assert_eq!(Database::open(&path).unwrap().execute("DELETE FROM chunk WHERE number = 1", []).unwrap(), 1);
    let refused = run(directory.path(), &["serve"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("auditbox reindex"));
    assert!(run(directory.path(), &["reindex"]).status.success());
    let server = Server::start_in(directory, &[]);
    assert_eq!(server.list("resources=entity&count=true&limit=1").json()["count"], 500);
}

#[test]
fn a_reader_during_ingest_sees_only_complete_states() {
    const EVENTS: usize = 3_000;
    let server = Server::start_chunked(64);
    let event = |n: usize| {
        let at = format!("2024-05-01T00:{:02}:{:02}Z", n / 60 % 60, n % 60);
        json!({ "identifier": format!("e{n}"), "action": "READ", "resourceType": "x", "trigger": { "at": at } })
    };
    let (url, token) = (server.url.clone(), server.token.clone());
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut connection = Connection::open(&url).unwrap();
            for first in (0..EVENTS).step_by(10) {
                let batch = json!((first..first + 10).map(event).collect::<Vec<_>>()).to_string();
                // Chunks this small may fill faster than they are sealed; the request is then repeated.
                eventually("room", || {
                    let status = connection.request("POST", "/v1/audit-log", &token, &batch).unwrap().status;
                    assert!(matches!(status, 201 | 503), "{status}");
                    (status == 201).then_some(())
                });
            }
        });
        let (mut seen, mut looks) = (0, 0);
        while seen < EVENTS {
            let is_over = writing.is_finished();
            let page = server.list("resources=x&includes=identifier&limit=5000&count=true");
            let (found, count) = (page.identifiers(), page.json()["count"].as_u64().unwrap());
            assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "an event twice");
            assert_eq!(found.len() as u64, count);
            assert!(found.len() >= seen && found.len() % 10 == 0, "{} after {seen}", found.len());
            (seen, looks) = (found.len(), looks + 1);
            assert!(seen == EVENTS || !is_over, "{seen} although all were acknowledged");
        }
        assert!(looks > 1);
    });
}

#[test]
fn bodies_use_a_dictionary_once_there_is_one() {
    let server = Server::start();
    let event = |n: usize| {
        json!({
            "identifier": format!("event-{n}"), "action": "UPDATE", "resourceType": "entity",
            "context": { "entity": format!("svc-{}", n % 50), "blueprint": "service", "runId": format!("run-{}", n / 3) },
            "trigger": { "by": { "name": format!("ci-{}", n % 7), "email": format!("ci-{}@example.com", n % 7) } },
            "diff": { "before": { "replicas": n % 9, "version": format!("1.{n}.0") }, "after": { "replicas": n % 8 } },
        })
    };
    server.store(&[event(50_000)]);
    server.store(&(0..3_000).map(event).collect::<Vec<_>>());
    let database = Database::open(server.database()).unwrap();
    eventually("a dictionary", || {
        let count: u32 = database.query_row("SELECT count(*) FROM dictionary", [], |row| row.get(0)).unwrap();
        (count == 1).then_some(())
    });
    server.store(&[event(5_000)]);
    // Events that were sent one by one.
    let single = "SELECT bodies FROM block JOIN named_event ON seq = first WHERE events = 1 AND entity = 'svc-0'";
    let newest = &format!("{single} ORDER BY seq DESC LIMIT 1");
    // The dictionary is used shortly after it is stored in the file.
    let length = eventually("a body written with it", || {
        server.store(&[event(50 * usize::try_from(Timestamp::now().micros() % 1_000_000).unwrap() + 10_000)]);
        let body: Vec<u8> = database.query_row(newest, [], |row| row.get(0)).unwrap();
        zstd::zstd_safe::get_dict_id_from_frame(&body).map(|_| body.len())
    });
    let oldest = &format!("{single} ORDER BY seq LIMIT 1");
    let first: Vec<u8> = database.query_row(oldest, [], |row| row.get(0)).unwrap();
    assert!(length * 2 < first.len(), "{length} instead of {}", first.len());
    assert_eq!(server.list("identifier=event-5000").identifiers(), ["event-5000"]);
    assert_eq!(server.list("identifier=event-0").identifiers(), ["event-0"]);
}
