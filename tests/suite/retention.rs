//! Retention deletes expired events with a record, and nothing else. The tests cover unsealed and sealed chunks,
//! concurrent ingest, kills, reuse of the freed space, and a clock that runs ahead.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use auditbox::{
    model::{
        limits::{EventLimits, QueryLimits},
        list_params::ListParams,
        retention::{KeepBy, Rules},
        timestamp::Timestamp,
    },
    store::{Options, PageReader, Policy, Quiet, ReadError, Retention, Store, open_for_reading},
};
use rusqlite::Connection as Database;
use serde_json::{Value, json};

use crate::{
    harness::{Server, eventually, prepare, prepare_received, received, run, store_options},
    wire::Connection,
};

fn days_ago(days: i64) -> String {
    Timestamp::now().plus_seconds(-days * 86_400).to_string()
}

fn event(identifier: &str, kind: &str, days: i64) -> Value {
    json!({
        "identifier": identifier, "action": "UPDATE", "resourceType": kind, "trigger": { "at": days_ago(days) },
        "context": { "entity": format!("svc-{}", identifier.len() % 5), "runId": format!("run-{identifier}") },
    })
}

const KEEP_30: [(&str, &str); 1] = [("AUDITBOX_RETENTION_KEEP_DAYS", "30")];
/// Only the events' own times count, so that new events can be expired.
const KEEP_30_BY_EVENT_TIME: [(&str, &str); 2] = [KEEP_30[0], ("AUDITBOX_RETENTION_KEEP_BY", "event_time")];

/// The number of dropped events, as recorded in the file.
fn dropped_total(directory: &Path) -> i64 {
    let database = Database::open(directory.join("auditbox.db")).unwrap();
    let sum = "SELECT coalesce(sum(last - first + 1), 0) FROM dropped";
    database.query_row(sum, [], |row| row.get(0)).unwrap()
}

/// The number of chunks whose dropped rows are being deleted: one or none.
fn dropping(directory: &Path) -> i64 {
    let database = Database::open(directory.join("auditbox.db")).unwrap();
    let count = "SELECT count(*) FROM setting WHERE name = 'dropping'";
    database.query_row(count, [], |row| row.get(0)).unwrap()
}

/// In every second round, waits until rows are being deleted, if that happens soon.
fn wait_to_kill(directory: &Path, round: u64) {
    for _ in 0..20 + round * 37 % 160 {
        if round.is_multiple_of(2) && dropping(directory) > 0 {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The records of drops, as the command line finds them in the file.
fn records(directory: &Path) -> Vec<Value> {
    let query = ["query", "--json", "--origin", "auditbox", "--action", "DELETE", "--limit", "100000"];
    let output = run(directory, &query);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn recorded(directory: &Path) -> i64 {
    records(directory).iter().map(|record| record["additionalData"]["count"].as_i64().unwrap()).sum()
}

fn is_sound(directory: &Path) {
    let doctor = run(directory, &["doctor"]);
    assert!(doctor.status.success(), "{doctor:?}");
}

fn restart(server: Server, environment: &[(&str, &str)]) -> Server {
    let (status, directory) = server.stop();
    assert!(status.success());
    Server::start_in(directory, environment)
}

fn settle(server: &Server) {
    eventually("retention", || {
        let database = Database::open(server.database()).unwrap();
        let open = "SELECT count(*) FROM setting WHERE name IN ('dropping', 'terms_unswept')";
        let drops = "SELECT count(*) FROM setting WHERE name = 'drops'";
        let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        (count(drops) == 1 && count(open) == 0).then_some(())
    });
}

/// The text of an event, and the time of its receipt.
fn dated(event: &Value, received_days_ago: i64) -> (String, Timestamp) {
    (event.to_string(), Timestamp::now().plus_seconds(-received_days_ago * 86_400))
}

fn received_event(identifier: &str, at: &str, received_days_ago: i64) -> (String, Timestamp) {
    let event = json!({
        "identifier": identifier, "action": "UPDATE", "resourceType": "entity", "trigger": { "at": at },
    });
    dated(&event, received_days_ago)
}

#[test]
fn an_event_with_any_claimed_time_is_kept_for_the_full_period() {
    let events = [
        received_event("old", &days_ago(40), 40),
        received_event("late", "1970-01-01T00:00:00Z", 40),
        received_event("ahead", "2999-01-01T00:00:00Z", 40),
        received_event("imported", "1970-01-01T00:00:00Z", 20),
        received_event("ahead-young", "2999-01-01T00:00:00Z", 20),
    ];
    let server = Server::start_in(received(64, &events), &[]);
    server.store(&[json!({
        "identifier": "acknowledged", "action": "UPDATE", "resourceType": "entity",
        "trigger": { "at": "1970-01-01T00:00:00Z" },
    })]);
    let said = run(server.directory(), &["retention", "--config", &rules(&server, "keep_days = 30")]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("3 events have expired"), "{said:?}");
    let server = restart(server, &KEEP_30);
    settle(&server);
    assert_eq!(server.list("").identifiers(), ["ahead-young", "acknowledged", "imported"]);
    let record = &records(server.directory())[0]["additionalData"];
    assert_eq!((&record["count"], &record["drops"][0]["keepBy"]), (&json!(3), &json!("both")), "{record}");
    is_sound(server.directory());
}

#[test]
fn a_time_in_the_future_does_not_keep_an_event() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&store_options(&directory.path().join("auditbox.db"), 64), &Quiet).unwrap();
    // As earlier versions stored it: ordered by its own time.
    let limits = EventLimits { future_seconds_max: 1_000 * 366 * 86_400, ..EventLimits::default() };
    let events = [40, 20].map(|days| {
        let (event, at) = received_event(&format!("e-{days}"), "2999-01-01T00:00:00Z", days);
        prepare_received(&store, &event, at, &limits)
    });
    store.writer.append(events.into(), Policy::AllOrNothing).unwrap().wait().unwrap();
    store.close().unwrap();
    let server = Server::start_in(directory, &[]);
    assert_eq!(server.list("from=2999-01-01T00:00:00Z").identifiers(), ["e-20", "e-40"]);
    let server = restart(server, &KEEP_30);
    settle(&server);
    assert_eq!(server.list("").identifiers(), ["e-20"]);
}

#[test]
fn a_receipt_that_is_unknown_counts_as_the_newest_of_its_chunk() {
    // The clock was ahead for a while, and was then set back.
    let ahead = |identifier: &str| received_event(identifier, &days_ago(40), -300);
    let mut events = Vec::new();
    for (chunk, newest_days) in [("old", 40), ("young", 20)] {
        events.push(ahead(&format!("{chunk}-ahead")));
        events.extend((0..63).map(|number| received_event(&format!("{chunk}-{number}"), &days_ago(40), newest_days)));
    }
    let server = restart(Server::start_in(received(64, &events), &[]), &KEEP_30);
    settle(&server);
    assert_eq!(dropped_total(server.directory()), 64);
    assert_eq!(server.list("identifier=old-ahead&count=true").json()["count"], 0);
    assert_eq!(server.list("identifier=young-ahead&count=true").json()["count"], 1);
    is_sound(server.directory());
}

#[test]
fn keep_by_event_time_counts_only_the_time_of_the_event() {
    let events = [received_event("old", &days_ago(40), 40), received_event("young", &days_ago(20), 20)];
    let server = Server::start_in(received(64, &events), &[]);
    server.store(&[event("imported", "entity", 40), event("new", "entity", 0)]);
    let by_event_time = rules(&server, "keep_days = 30\nkeep_by = 'event_time'");
    let said = run(server.directory(), &["retention", "--config", &by_event_time]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("2 events have expired"), "{said:?}");
    let server = restart(server, &[("AUDITBOX_CONFIG", &by_event_time)]);
    settle(&server);
    assert_eq!(server.list("").identifiers(), ["new", "young"]);
    assert_eq!(records(server.directory())[0]["additionalData"]["drops"][0]["keepBy"], "event_time");
}

/// The path of a configuration with this `[retention]` section.
fn rules(server: &Server, retention: &str) -> String {
    let path = server.directory().join("rules.toml");
    fs::write(&path, format!("[retention]\n{retention}\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn an_import_reports_events_that_are_already_expired() {
    let directory = tempfile::tempdir().unwrap();
    let lines: Vec<_> = [40, 35, 20, 0].into_iter().map(|days| event(&format!("e-{days}"), "entity", days)).collect();
    fs::write(directory.path().join("in.ndjson"), lines.iter().map(|event| format!("{event}\n")).collect::<String>())
        .unwrap();
    let config = |keep_by: &str| {
        let text = format!("[database]\npath = '{keep_by}.db'\n[retention]\nkeep_days = 30\nkeep_by = '{keep_by}'\n");
        fs::write(directory.path().join(keep_by), text).unwrap();
    };
    for (keep_by, said) in [("both", "2 stored events are older"), ("event_time", "2 stored events are older")] {
        config(keep_by);
        let import = || run(directory.path(), &["import", "in.ndjson", "--config", keep_by]);
        let first = import();
        let text = String::from_utf8_lossy(&first.stderr).into_owned();
        assert!(first.status.success() && text.contains(said), "{text}");
        assert_eq!(text.contains("within an hour"), keep_by == "event_time", "{text}");
        // What is there already is not stored again.
        assert!(!String::from_utf8_lossy(&import().stderr).contains("older than [retention]"));
    }
}

#[test]
fn rules_that_delete_the_records_of_deletions_are_rejected_at_startup_too() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("rules.toml"),
        "[retention]\nkeep_days = 30\n[retention.resource_types]\naudit_log = 1\n",
    )
    .unwrap();
    for command in ["check-config", "serve"] {
        let refused = run(directory.path(), &[command, "--config", "rules.toml"]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success(), "{command}: {said}");
        assert!(said.contains("set audit_log to 30 or more here"), "{command}: {said}");
    }
}

#[test]
fn an_index_read_before_a_drop_must_be_read_again() {
    let server = Server::start();
    server.store(&[event("old", "entity", 40), event("new", "entity", 1)]);
    let reader = open_for_reading(&server.database()).unwrap().unbounded();
    let query = ListParams::parse_query([("resources".into(), "entity".into())], &QueryLimits::default()).unwrap();
    let found = || PageReader::list(&reader, query.clone(), usize::MAX).map(|opened| opened.first.positions);
    assert_eq!(found().unwrap(), 2);
    let server = restart(server, &KEEP_30_BY_EVENT_TIME);
    settle(&server);
    let told = found().unwrap_err();
    assert!(matches!(told, ReadError::Changed) && told.to_string().contains("run the command again"), "{told}");
    assert!(matches!(reader.by_identifier("new"), Err(ReadError::Changed)));
    let rules = Rules::parse(30, []).unwrap().keep_by(KeepBy::EventTime);
    assert!(matches!(reader.due(&rules, Timestamp::now()), Err(ReadError::Changed)));
    let again = run(server.directory(), &["query", "--json", "--resources", "entity"]);
    let lines = String::from_utf8(again.stdout).unwrap();
    assert!(again.status.success() && lines.lines().count() == 1 && lines.contains("\"new\""), "{lines}");
}

#[test]
fn a_small_log_drops_events_with_a_record_and_leaves_no_bytes_of_them() {
    let server = Server::start();
    let mut old = event("old-1", "entity", 40);
    old["trigger"]["by"] = json!({ "email": "forgotten-4711@example.org", "name": "Forgotten 4711" });
    old["request"] = json!({ "ip": "192.0.2.231" });
    old["message"] = json!("unforgettable4711");
    server.store(&[old.clone(), event("new-1", "entity", 1), event("old-2", "User_Session", 50)]);
    server.store(&[event("new-2", "entity", 29), event("old-3", "entity", 31)]);
    let first = server.list("sort=received&order=asc&limit=1&include_own=true").json();
    let server = restart(server, &[]);
    let needles = ["forgotten-4711@example.org", "192.0.2.231", "unforgettable4711"];
    let holds = |directory: &Path| {
        let bytes = fs::read(directory.join("auditbox.db")).unwrap();
        needles.map(|needle| bytes.windows(needle.len()).any(|part| part == needle.as_bytes()))
    };
    assert_eq!(holds(server.directory()), [true; 3]);

    let said = run(server.directory(), &["retention"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("[retention] is not set"), "{said:?}");
    let server = restart(server, &KEEP_30_BY_EVENT_TIME);
    eventually("retention", || (server.list("").identifiers() == ["new-1", "new-2"]).then_some(()));
    settle(&server);
    is_sound(server.directory());
    // A follower continues with the remaining events and reads the record.
    let next = first["next"].as_str().unwrap();
    let rest = server.list(&format!("sort=received&order=asc&include_own=true&cursor={next}")).json();
    let rest = rest["audits"].as_array().unwrap();
    let record = rest.iter().find(|event| event["action"] == "DELETE").unwrap();
    assert_eq!((&record["resourceType"], &record["trigger"]["origin"]), (&json!("audit_log"), &json!("auditbox")));
    let data = &record["additionalData"];
    assert_eq!(data["count"], 3, "{data}");
    let drops: Vec<_> =
        data["drops"].as_array().unwrap().iter().map(|drop| (&drop["resourceType"], &drop["count"])).collect();
    assert_eq!(drops, [(&json!("entity"), &json!(2)), (&json!("User_Session"), &json!(1))]);
    assert_eq!((&data["drops"][0]["rule"], &data["drops"][0]["keepDays"]), (&json!("keep_days"), &json!(30)));
    assert!(data["drops"][0]["earliest"].as_str().unwrap().starts_with(&days_ago(40)[..10]));
    // The identifier of a dropped event is free again.
    assert_eq!(server.get("/v1/audit-log/old-1").status, 404);
    assert_eq!(server.store(&[event("old-3", "entity", 0), event("new-1", "entity", 1)][..1]).json()["accepted"], 1);
    let server = restart(server, &KEEP_30_BY_EVENT_TIME);
    assert_eq!(server.list("").identifiers(), ["old-3", "new-1", "new-2"]);
    let (status, directory) = server.stop();
    assert!(status.success());
    assert_eq!(holds(directory.path()), [false; 3]);
    is_sound(directory.path());
    assert_eq!((dropped_total(directory.path()), recorded(directory.path())), (3, 3));
}

#[test]
fn the_command_shows_expired_events_and_drops_nothing() {
    let server = Server::start();
    server.store(&[event("a", "entity", 40), event("b", "login", 40), event("c", "login", 3), event("d", "entity", 3)]);
    let config = server.directory().join("rules.toml");
    fs::write(&config, "[retention]\nkeep_days = 30\nkeep_by = 'event_time'\n[retention.resource_types]\nLogin = 2\n")
        .unwrap();
    for arguments in [&["retention"][..], &["retention", "--dry-run"]] {
        let said = run(server.directory(), &[arguments, &["--config", config.to_str().unwrap()]].concat());
        let text = String::from_utf8(said.stdout).unwrap();
        let line =
            |rule: &str| text.lines().find(|line| line.contains(rule)).unwrap_or_else(|| panic!("{text}")).to_owned();
        assert!(line("keep_days").contains(" entity ") && line("keep_days").contains(" 1 "), "{text}");
        assert!(line("resource_types.Login").contains(" 2 "), "{text}");
        assert!(text.contains("3 events have expired. Nothing was deleted"), "{text}");
    }
    assert_eq!(server.list("").identifiers().len(), 4);
    let refused = run(server.directory(), &["retention", "--dry-run", "--trust-clock"]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_clock_that_ran_ahead_drops_nothing_until_it_is_trusted() {
    let server = restart(Server::start(), &KEEP_30_BY_EVENT_TIME);
    server.store(&[event("old", "entity", 40), event("new", "entity", 1)]);
    let (status, directory) = server.stop();
    assert!(status.success());
    // As if retention had last accepted the clock nine days ago.
    let database = Database::open(directory.path().join("auditbox.db")).unwrap();
    let back = "UPDATE setting SET value = value - 9 * 86400000000 WHERE name = 'retention_clock'";
    assert_eq!(database.execute(back, []).unwrap(), 1);
    drop(database);
    let server = Server::start_in(directory, &KEEP_30_BY_EVENT_TIME);
    eventually("a message about the clock", || {
        server.log().contains("run auditbox retention --trust-clock").then_some(())
    });
    assert_eq!(server.list("").identifiers(), ["new", "old"]);
    assert_eq!(dropped_total(server.directory()), 0);
    let trusted = run(server.directory(), &["retention", "--trust-clock"]);
    assert!(trusted.status.success(), "{trusted:?}");
    let server = restart(server, &KEEP_30_BY_EVENT_TIME);
    eventually("retention", || (server.list("").identifiers() == ["new"]).then_some(()));
    assert_eq!(server.list("origin=auditbox&action=retention.trust_clock").identifiers().len(), 1);
}

const CHUNK_EVENTS: u32 = 64;
/// Number of kills, unless this variable sets another.
const ROUNDS: u64 = 12;
const ROUNDS_VARIABLE: &str = "AUDITBOX_RETENTION_KILLS";

#[test]
fn killed_while_dropping_the_server_resumes_and_every_drop_has_a_record() {
    let (mut kept, mut acknowledged, mut events) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (batch, number) in (0..16).flat_map(|batch| (0..1_000).map(move |number| (batch, number))) {
        let identifier = format!("e-{batch}-{number}");
        // Some chunks are dropped whole, some in part, and some stay.
        let days = match (batch, number % 5) {
            (0..8, _) | (8..14, 0 | 3) => 40,
            _ => 2,
        };
        if days == 2 {
            kept.insert(identifier.clone());
        }
        events.push(dated(&event(&identifier, "entity", days), days));
    }
    let mut server = Server::start_in(received(CHUNK_EVENTS, &events), &KEEP_30);
    let mut interrupted = 0;
    let rounds = std::env::var(ROUNDS_VARIABLE).map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        let is_killed = AtomicBool::new(false);
        let (url, token) = (server.url.clone(), server.token.clone());
        thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let (mut sent, mut connection) = (Vec::new(), Connection::open(&url).ok());
                for number in 0.. {
                    let identifier = format!("n-{round}-{number}");
                    let body = event(&identifier, "entity", 0).to_string();
                    let Some(Ok(reply)) =
                        connection.as_mut().map(|open| open.request("POST", "/v1/audit-log", &token, &body))
                    else {
                        break;
                    };
                    if reply.status == 201 {
                        sent.push(identifier);
                    }
                    if is_killed.load(Ordering::Relaxed) {
                        break;
                    }
                }
                sent
            });
            wait_to_kill(server.directory(), round);
            server.kill();
            is_killed.store(true, Ordering::Relaxed);
            acknowledged.extend(sender.join().unwrap());
        });
        interrupted += dropping(server.directory());
        is_sound(server.directory());
        assert_eq!(dropped_total(server.directory()), recorded(server.directory()), "round {round}");
        server.start_again();
    }
    println!("{interrupted} of {rounds} kills happened between a drop and its end");
    assert!(interrupted > 0, "no kill happened between a drop and its end");
    kept.extend(acknowledged);
    eventually("retention", || (dropped_total(server.directory()) == 10_400).then_some(()));
    settle(&server);
    let found: BTreeSet<_> = server.list("limit=100000").identifiers().into_iter().collect();
    assert!(found.is_superset(&kept), "{:?}", kept.difference(&found).collect::<Vec<_>>());
    assert!(found.iter().all(|identifier| kept.contains(identifier) || identifier.starts_with("n-")));
    is_sound(server.directory());
    let (status, directory) = server.stop();
    assert!(status.success());
    is_sound(directory.path());
    assert_eq!((dropped_total(directory.path()), recorded(directory.path())), (10_400, 10_400));
}

#[test]
fn the_space_of_dropped_events_is_reused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("auditbox.db");
    let options = Options {
        retention: Some(Retention {
            rules: Rules::parse(30, []).unwrap().keep_by(KeepBy::EventTime),
            every: Duration::from_millis(10),
        }),
        ..store_options(&path, 256)
    };
    let store = Store::open(&options, &Quiet).unwrap();
    let mut pages = Vec::new();
    for round in 0..16 {
        let events = (0..1_500).map(|number| {
            let mut event = event(&format!("e-{round}-{number}"), "entity", 40 + number % 9);
            event["message"] = json!("rolled out ".repeat(20));
            prepare(&store, &event)
        });
        let outcomes = store.writer.append(events.collect(), Policy::AllOrNothing).unwrap().wait().unwrap();
        assert_eq!(outcomes.len(), 1_500);
        eventually("retention", || (dropped_total(directory.path()) == (round + 1) * 1_500).then_some(()));
        let database = Database::open(&path).unwrap();
        pages.push(database.pragma_query_value(None, "page_count", |row| row.get::<_, i64>(0)).unwrap());
    }
    store.close().unwrap();
    assert!(pages[15] * 2 < pages[3] * 3, "{pages:?}");
    is_sound(directory.path());
}

#[test]
fn a_chunk_with_a_damaged_event_stays_and_others_are_dropped() {
    let days = |number: i64| if number % 2 == 0 { 40 } else { 1 };
    let events = (0..190).map(|number| dated(&event(&format!("e-{number}"), "entity", days(number)), days(number)));
    let directory = received(64, &events.collect::<Vec<_>>());
    let database = Database::open(directory.path().join("auditbox.db")).unwrap();
    let trigger = "SELECT sql FROM sqlite_schema WHERE name = 'event_is_never_changed'";
    let trigger: String = database.query_row(trigger, [], |row| row.get(0)).unwrap();
    database.execute_batch("DROP TRIGGER event_is_never_changed").unwrap();
    // An event that is to stay.
    let kept = "SELECT min(seq) FROM event WHERE timestamp > unixepoch('now', '-30 days') * 1000000 AND seq > 5";
    let kept: i64 = database.query_row(kept, [], |row| row.get(0)).unwrap();
    database.execute("UPDATE event SET body = x'7b7d' WHERE seq = ?1", [kept]).unwrap();
    database.execute_batch(&trigger).unwrap();
    let server = Server::start_in(directory, &KEEP_30);
    let dropped = |first: i64, last: i64| -> i64 {
        let sum = "SELECT coalesce(sum(last - first + 1), 0) FROM dropped WHERE first BETWEEN ?1 AND ?2";
        database.query_row(sum, [first, last], |row| row.get(0)).unwrap()
    };
    eventually("retention of the others", || (dropped(65, 128) == 32).then_some(()));
    assert_eq!(dropped(1, 64), 0);
    assert!(server.log().contains("nothing of this chunk is dropped"), "{}", server.log());
    let found = server.list("identifier=e-0").identifiers();
    assert_eq!(found, ["e-0"], "expired events in that chunk stay");
}
