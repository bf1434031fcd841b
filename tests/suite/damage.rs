//! Damage: `doctor` finds a flipped byte, no response serves it as sound, and only the damaged data is affected.
//!
//! `AUDITBOX_FLIPS=400` runs the long form of the last test.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use auditbox::{
    model::{limits::QueryLimits, list_params::ListParams},
    store::{self, PageReader, Quiet, Store},
};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    blocks,
    harness::{Server, eventually, run, store_options},
};

const CHUNK_EVENTS: u32 = 64;
const EVENTS: u32 = 150;
/// So many that their rows take several pages.
const PAGES_EVENTS: u32 = 700;
/// Short events of a full block.
const BLOCK_EVENTS: u32 = 16;

/// Events that compress well, and one that is stored uncompressed because it is shorter.
fn event(number: u32) -> Value {
    json!({
        "identifier": format!("event-{number:04}"),
        "action": "UPDATE",
        "resourceType": "entity",
        "trigger": { "at": format!("2024-05-01T{:02}:{:02}:00Z", number / 60, number % 60) },
        "context": { "entity": format!("svc-{}", number % 5), "blueprint": "service" },
        "additionalData": "audit ".repeat(12),
    })
}

/// A stopped server's file: sealed chunks, and newer events in no chunk.
fn file() -> (TempDir, PathBuf) {
    file_with(EVENTS)
}

fn file_with(events: u32) -> (TempDir, PathBuf) {
    let server = Server::start_chunked(CHUNK_EVENTS);
    server.store(&(0..events).map(event).collect::<Vec<_>>());
    let sealed = || -> u32 {
        let connection = Connection::open(server.database()).unwrap();
        connection.query_row("SELECT count(*) FROM chunk", [], |row| row.get(0)).unwrap()
    };
    eventually("sealing", || (sealed() >= events / CHUNK_EVENTS).then_some(()));
    let (status, directory) = server.stop();
    assert!(status.success());
    let path = directory.path().join("auditbox.db");
    (directory, path)
}

pub fn sql(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    blocks::allow_changes(&connection);
    connection
}

/// Restores the triggers that [`sql`] drops.
pub fn close(connection: Connection) {
    blocks::forbid_changes(&connection);
    connection.close().unwrap();
}

pub fn doctor(directory: &TempDir) -> (bool, String) {
    let examined = run(directory.path(), &["doctor"]);
    let said = format!("{}{}", String::from_utf8_lossy(&examined.stdout), String::from_utf8_lossy(&examined.stderr));
    (examined.status.success(), said)
}

/// Makes pages of a file unreadable for SQLite.
pub fn damage_pages(path: &Path, pages: &[u32]) {
    let connection = Connection::open(path).unwrap();
    let page_bytes: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    connection.close().unwrap();
    let mut bytes = fs::read(path).unwrap();
    for page in pages {
        // The type of a B-tree page; there is no such type.
        bytes[(*page as usize - 1) * page_bytes as usize] = 0x0f;
    }
    fs::write(path, bytes).unwrap();
}

/// Flips a byte in the body of an event, in a block of its own.
fn flip_body(path: &Path, seq: u32) {
    let connection = sql(path);
    blocks::isolate(&connection, seq.into());
    flip_block(path, connection, seq);
}

/// Flips a byte in the middle of a block, which the file contains once.
fn flip_block(path: &Path, connection: Connection, first: u32) {
    let of_block = "SELECT bodies FROM block WHERE first = ?1";
    let body: Vec<u8> = connection.query_row(of_block, [first], |row| row.get(0)).unwrap();
    close(connection);
    let mut bytes = fs::read(path).unwrap();
    // When a page is split, its former content remains in its unused space.
    let places: Vec<_> = (0..bytes.len() - body.len()).filter(|at| bytes[*at..].starts_with(&body)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at + body.len() / 2] ^= 0x04;
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_byte_of_a_body_affects_only_that_event_and_is_reported_everywhere() {
    let (directory, path) = file();
    let seqs = |connection: &Connection, identifier: &str| -> u32 {
        let offset = identifier.trim_start_matches("event-").parse::<u32>().unwrap();
        let first: u32 = connection
            .query_row("SELECT min(seq) FROM event WHERE blueprint IS NOT NULL", [], |row| row.get(0))
            .unwrap();
        first + offset
    };
    let connection = sql(&path);
    let (sealed, tail) = (seqs(&connection, "event-0010"), seqs(&connection, "event-0149"));
    close(connection);
    flip_body(&path, sealed);
    flip_body(&path, tail);
    let (is_sound, said) = doctor(&directory);
    assert!(!is_sound && said.contains(&format!("event {sealed} (event-0010): is damaged")), "{said}");
    assert!(said.contains(&format!("event {tail} (")) && said.contains("auditbox restore"), "{said}");

    let server = Server::start_in(directory, &[]);
    let listed = server.list("entity=svc-0&entity=svc-4&count=true&limit=1000&from=2024-05-01T00:00:00Z");
    let expected: Vec<_> = (0..EVENTS)
        .rev()
        .filter(|n| n % 5 == 0 || n % 5 == 4)
        .filter(|n| ![10, 149].contains(n))
        .map(|n| format!("event-{n:04}"))
        .collect();
    assert_eq!(listed.identifiers(), expected);
    let told = listed.json();
    assert_eq!((&told["damaged"]["count"], &told["count"]), (&json!(2), &json!(60)));
    let named: Vec<_> =
        told["damaged"]["events"].as_array().unwrap().iter().map(|event| event["seq"].clone()).collect();
    assert_eq!(named, [json!(tail), json!(sealed)]);
    // A list whose filter excludes the damaged events does not report them.
    assert_eq!(server.list("entity=svc-1&limit=1000").json().get("damaged"), None);
    assert_eq!(server.get("/v1/audit-log/event-0010").refusal(), (410, "event_damaged".to_owned()));
    assert_eq!(server.get("/v1/audit-log/event-0149").refusal(), (410, "event_damaged".to_owned()));
    assert_eq!(server.get("/v1/audit-log/event-0011").status, 200);
    // Neither becomes a second event when its sender retries.
    for number in [10, 149] {
        let again = server.post("/v1/audit-log", &event(number).to_string());
        assert_eq!(again.refusal(), (409, "conflict".to_owned()), "{number}");
    }
    let lines = server.get("/v1/audit-log/export?format=ndjson&entity=svc-0&entity=svc-4").text;
    let marks: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line.get("damaged").is_some())
        .collect();
    assert!(marks.len() == 2 && marks.iter().all(|mark| mark.get("action").is_none()), "{marks:?}");
    let rows = server.get("/v1/audit-log/export?format=csv&entity=svc-0").text;
    assert_eq!(rows.matches("DAMAGED, NOT AN EVENT").count(), 1, "{rows}");
    let page = server.get("/audit-logs?range=all&entity=svc-0").text;
    assert!(
        page.contains(&format!("Event {sealed} of the log")) && page.contains("is damaged and cannot be shown"),
        "{page}"
    );
    let page = server.get("/audit-logs/event-0010");
    assert_eq!(page.status, 410, "{}", page.text);
    assert!(server.log().contains("a query matched a damaged event"));
    let (status, directory) = server.stop();
    assert!(status.success());
    let asked = run(directory.path(), &["query", "--entity", "svc-0", "--json"]);
    assert_eq!(asked.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&asked.stderr).contains("damaged, left out"), "{asked:?}");
    assert!(!String::from_utf8_lossy(&asked.stdout).contains("event-0010"));
    // The rebuilt index still knows both events, although they can no longer be read.
    assert!(run(directory.path(), &["reindex"]).status.success());
    let server = Server::start_in(directory, &[]);
    for number in [10, 149] {
        assert_eq!(server.post("/v1/audit-log", &event(number).to_string()).status, 409, "{number}");
    }
}

#[test]
fn a_damaged_block_affects_all_of_its_events_and_no_others() {
    let (directory, path) = file();
    let connection = sql(&path);
    let of_batch = "SELECT first FROM block WHERE events = ?1 AND first BETWEEN 10 AND 50 ORDER BY first LIMIT 1";
    let first: u32 = connection.query_row(of_batch, [BLOCK_EVENTS], |row| row.get(0)).unwrap();
    let before: u32 =
        connection.query_row("SELECT min(seq) FROM event WHERE blueprint IS NOT NULL", [], |row| row.get(0)).unwrap();
    // An invalid frame.
    let changed = connection.execute("UPDATE block SET bodies = x'28b52ffd' WHERE first = ?1", [first]);
    assert_eq!(changed.unwrap(), 1);
    close(connection);
    let lost: Vec<u32> = (first - before..first - before + BLOCK_EVENTS).collect();
    let (is_sound, said) = doctor(&directory);
    for number in &lost {
        let named = format!("event {} (event-{number:04}): is damaged", before + number);
        assert!(!is_sound && said.contains(&named), "{said}");
    }
    let server = Server::start_in(directory, &[]);
    let listed = server.list("sort=received&order=asc&limit=1000&include_own=false");
    let kept = (0..EVENTS).filter(|number| !lost.contains(number));
    assert_eq!(listed.identifiers(), kept.map(|number| format!("event-{number:04}")).collect::<Vec<_>>());
    assert_eq!(listed.json()["damaged"]["count"], BLOCK_EVENTS);
    for number in lost {
        assert_eq!(server.post("/v1/audit-log", &event(number).to_string()).status, 409, "{number}");
    }
}

#[test]
fn every_column_of_a_block_is_covered() {
    for damage in ["first = first + 1", "events = events + 1", "events = 100000", "bodies = x''", "bodies = x'7b7d'"] {
        let (directory, path) = file();
        let connection = sql(&path);
        let changed =
            connection.execute(&format!("UPDATE block SET {damage} WHERE first = (SELECT max(first) FROM block)"), []);
        assert_eq!(changed.unwrap(), 1);
        close(connection);
        let (is_sound, said) = doctor(&directory);
        assert!(!is_sound && said.contains("is damaged"), "{damage}: {said}");
        let server = Server::start_in(directory, &[]);
        let listed = server.list("sort=received&order=asc&limit=1000&include_own=true").json();
        let (sound, damaged) =
            (listed["audits"].as_array().unwrap().len(), listed["damaged"]["count"].as_u64().unwrap());
        assert!(damaged <= u64::from(BLOCK_EVENTS) && sound >= 130, "{damage}: {sound} and {damaged}");
    }
}

#[test]
fn a_body_without_a_row_is_reported() {
    let (directory, path) = file();
    let connection = sql(&path);
    blocks::insert(&connection, 1_000, &["{}".to_owned()]);
    close(connection);
    let (is_sound, said) = doctor(&directory);
    assert!(!is_sound && said.contains("has the bodies of events up to 1000"), "{said}");
}

#[test]
fn every_column_of_a_row_is_covered() {
    for damage in [
        "timestamp = timestamp + 1",
        "entity = 1 - min(entity, 1)",
        "entity = NULL",
        "blueprint = NULL",
        "entity = entity + 4096",
        "blueprint = blueprint + 4096",
        "filled = filled + 1",
        "checksum = checksum + 1",
        "checksum = NULL",
        "seq = 10000",
    ] {
        let (directory, path) = file();
        let connection = sql(&path);
        let changed = connection.execute(
            &format!("UPDATE event SET {damage} WHERE seq = (SELECT max(seq) FROM event WHERE blueprint IS NOT NULL)"),
            [],
        );
        assert_eq!(changed.unwrap(), 1);
        close(connection);
        let (is_sound, said) = doctor(&directory);
        assert!(!is_sound && said.contains("is damaged"), "{damage}: {said}");
        if damage == "seq = 10000" {
            continue;
        }
        let server = Server::start_in(directory, &[]);
        let listed = server.list("sort=received&order=asc&limit=1000&include_own=false");
        assert_eq!(listed.json()["damaged"]["count"], 1, "{damage}: {}", listed.text);
        assert!(!listed.identifiers().contains(&"event-0149".to_owned()), "{damage}");
        assert!(listed.identifiers().contains(&"event-0148".to_owned()), "{damage}");
        // Only values in the dictionary are counted, even if the column contains others.
        for field in ["entity", "blueprint"] {
            let counted = server.get(&format!("/v1/audit-log/stats?facets={field}"));
            assert_eq!(counted.status, 200, "{damage}: {}", counted.text);
        }
    }
}

#[test]
fn the_index_the_terms_and_the_dictionaries_are_covered() {
    let flip =
        |column: &str| format!("{column} = CAST(substr({column}, 1, length({column}) - 4) || x'7f7f7f7f' AS BLOB)");
    for (table, change, named) in [
        ("chunk_posting", flip("terms"), "chunk 0 of the index"),
        ("chunk_time", flip("times"), "chunk 0 of the index"),
        ("chunk_key", flip("keys"), "chunk 0 of the index"),
        ("chunk", flip("identifiers"), "chunk 0 of the index"),
        ("chunk", flip("first_times"), "chunk 0 of the index"),
        ("chunk", "last = last + 1".to_owned(), "chunk 0 of the index"),
        ("term", "value = value || 'x'".to_owned(), "is not in the term dictionary"),
        ("dictionary", "bytes = CAST(x'37a430ec' || bytes AS BLOB)".to_owned(), "dictionary 1: is damaged"),
    ] {
        let (directory, path) = file();
        let connection = sql(&path);
        connection
            .execute(
                &format!("UPDATE {table} SET {change} WHERE rowid = (SELECT min(rowid) FROM {table})")
                    .replace("WHERE rowid = (SELECT min(rowid) FROM term)", "WHERE (field, ordinal) = (2, 0)"),
                [],
            )
            .unwrap();
        close(connection);
        let (is_sound, said) = doctor(&directory);
        assert!(!is_sound && said.contains(named), "{table}.{change}: {said}");
        let remedy = if table.starts_with("chunk") { "[reindex]" } else { "[restore]" };
        assert!(said.contains(remedy), "{table}.{change}: {said}");
        if table.starts_with("chunk") {
            assert!(run(directory.path(), &["reindex"]).status.success());
            assert!(doctor(&directory).0);
        }
    }
}

/// Changes the file while the schema lacks one of its indexes.
fn without_index(path: &Path, index: &str, change: &str) {
    let connection = sql(path);
    let hide = format!(
        "PRAGMA writable_schema = ON;
         CREATE TABLE temp.hidden AS SELECT * FROM main.sqlite_schema WHERE name = '{index}';
         DELETE FROM main.sqlite_schema WHERE name = '{index}';
         PRAGMA writable_schema = RESET;"
    );
    let show = "PRAGMA writable_schema = ON; INSERT INTO main.sqlite_schema SELECT * FROM temp.hidden;
         PRAGMA writable_schema = RESET;";
    connection.execute_batch("CREATE TABLE temp.kept AS SELECT * FROM event WHERE seq = 70").unwrap();
    if change.starts_with("INSERT") {
        connection.execute_batch("DELETE FROM event WHERE seq = 70").unwrap();
    } else {
        connection.execute_batch("UPDATE kept SET seq = 1000; INSERT INTO event SELECT * FROM kept").unwrap();
    }
    for statements in [&hide, change, show] {
        connection.execute_batch(statements).unwrap();
    }
    close(connection);
}

#[test]
fn an_sql_index_with_a_missing_or_extra_entry_is_rebuilt() {
    let (lacks, has_more) = ("INSERT INTO event SELECT * FROM kept", "DELETE FROM event WHERE seq = 1000");
    // SQLite does not count the entries of a partial index.
    for (index, change, told) in [
        ("event_timestamp", lacks, "row 70 missing from index event_timestamp [reindex]"),
        ("event_entity", lacks, "row 70 missing from index event_entity [reindex]"),
        ("event_blueprint", lacks, "row 70 missing from index event_blueprint [reindex]"),
        ("event_timestamp", has_more, "wrong # of entries in index event_timestamp [reindex]"),
    ] {
        let (directory, path) = file();
        without_index(&path, index, change);
        let (is_sound, said) = doctor(&directory);
        assert!(!is_sound && said.contains(told) && !said.contains("[restore]"), "{index}: {change}: {said}");
        let made = run(directory.path(), &["reindex"]);
        assert!(made.status.success(), "{made:?}");
        let (is_sound, said) = doctor(&directory);
        assert!(is_sound, "{index}: {change}: {said}");
    }
}

#[test]
fn no_new_event_depends_on_a_damaged_dictionary() {
    let (directory, path) = file();
    let connection = sql(&path);
    let changed = connection.execute(
        "UPDATE dictionary SET bytes = CAST(substr(bytes, 1, length(bytes) - 8) || x'0102030405060708' AS BLOB)",
        [],
    );
    assert!(changed.unwrap() > 0);
    close(connection);
    let server = Server::start_in(directory, &[]);
    let listed = server.list("sort=received&order=asc&limit=1000&include_own=false");
    let damaged = listed.json()["damaged"]["count"].as_u64().unwrap_or(0);
    assert_eq!(listed.identifiers().len() as u64 + damaged, u64::from(EVENTS));
    assert!(server.log().contains("a dictionary is damaged"), "{}", server.log());
    assert_eq!(server.store(&[event(1_439)]).status, 201);
    assert_eq!(server.get("/v1/audit-log/event-1439").status, 200);
    let (_, directory) = server.stop();
    let last = "SELECT bodies FROM block WHERE first <= (SELECT max(seq) FROM event WHERE blueprint IS NOT NULL) \
                ORDER BY first DESC LIMIT 1";
    let body: Vec<u8> = Connection::open(&path).unwrap().query_row(last, [], |row| row.get(0)).unwrap();
    assert_eq!(zstd::zstd_safe::get_dict_id_from_frame(&body), None);
    let (is_sound, said) = doctor(&directory);
    assert!(!is_sound && said.contains("dictionary 1: is damaged") && !said.contains("event-1439"), "{said}");
}

#[test]
fn a_posting_of_an_impossible_term_is_reported_and_affects_nothing_else() {
    let (directory, path) = file();
    let connection = sql(&path);
    // One term, the 2,147,483,647th after the first of its block, set for the first event.
    connection.execute("UPDATE chunk_posting SET terms = x'0106ffffffff07000000'", []).unwrap();
    close(connection);
    let server = Server::start_in(directory, &[]);
    let counted = server.get("/v1/audit-log/stats?facets=action");
    assert_eq!(counted.refusal(), (503, "overloaded".to_owned()));
    assert!(counted.text.contains("has no term 2147483647"), "{}", counted.text);
    assert_eq!(server.get("/v1/audit-log/event-0003").status, 200);
    let (_, directory) = server.stop();
    let (is_sound, said) = doctor(&directory);
    assert!(!is_sound && said.contains("chunk 0 of the index") && said.contains("[reindex]"), "{said}");
    assert!(run(directory.path(), &["reindex"]).status.success());
    assert!(doctor(&directory).0);
}

#[test]
fn keys_compressed_by_another_zstd_release_are_equal() {
    let (directory, path) = file();
    let connection = sql(&path);
    let (place, keys): (i64, Vec<u8>) = connection
        .query_row("SELECT place, keys FROM chunk_key ORDER BY place LIMIT 1", [], |row| row.try_into())
        .unwrap();
    let unpacked = zstd::stream::decode_all(keys.as_slice()).unwrap();
    let otherwise = zstd::bulk::compress(&unpacked, 19).unwrap();
    let otherwise = if otherwise == keys { zstd::bulk::compress(&unpacked, -5).unwrap() } else { otherwise };
    assert_ne!(keys, otherwise);
    connection.execute("UPDATE chunk_key SET keys = ?1 WHERE place = ?2", (otherwise, place)).unwrap();
    close(connection);
    let (is_sound, said) = doctor(&directory);
    assert!(is_sound, "{said}");
}

#[test]
fn a_damaged_page_of_rows_affects_only_their_events() {
    a_damaged_page_affects_only_its_events("event");
}

#[test]
fn a_damaged_page_of_bodies_affects_only_their_events() {
    a_damaged_page_affects_only_its_events("block");
}

fn a_damaged_page_affects_only_its_events(table: &str) {
    let (directory, path) = file_with(PAGES_EVENTS);
    let connection = sql(&path);
    let leaf = "SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf' ORDER BY path LIMIT 1";
    let page: u32 = connection.query_row(leaf, [table], |row| row.get(0)).unwrap();
    close(connection);
    damage_pages(&path, &[page]);
    let (is_sound, said) = doctor(&directory);
    assert!(!is_sound && said.contains("its page is damaged") && said.contains("(event-00"), "{said}");
    let server = Server::start_in(directory, &[]);
    let listed = server.list("sort=received&order=asc&limit=1000&include_own=false");
    let (whole, damaged) = (listed.identifiers().len(), listed.json()["damaged"]["count"].as_u64().unwrap());
    assert!(damaged > 0 && whole > 0 && whole as u64 + damaged == u64::from(PAGES_EVENTS), "{whole} and {damaged}");
    // SQLite commits nothing after it has read such a page. A sender that retries its events must not stop the writer.
    let sound = listed.identifiers();
    let lost = (0..PAGES_EVENTS).find(|number| !sound.contains(&format!("event-{number:04}"))).unwrap();
    let batch = json!([event(1_000), event(lost), event(1_001)]).to_string();
    for path in ["/v1/audit-log", "/v1/audit-log?partial=true"] {
        let again = server.post(path, &batch);
        assert!(again.status < 500, "{}", again.text);
    }
    assert_eq!(server.post("/v1/audit-log", &event(lost).to_string()).status, 409);
    for number in [1_000, 1_001] {
        assert_eq!(server.get(&format!("/v1/audit-log/event-{number}")).status, 200, "{number}");
    }
}

#[test]
fn a_file_opens_though_a_page_of_its_newest_events_is_damaged() {
    let (directory, path) = file_with(PAGES_EVENTS);
    let connection = sql(&path);
    let leaves =
        "SELECT pageno FROM dbstat WHERE name = 'event' AND pagetype = 'leaf' ORDER BY path DESC LIMIT 1 OFFSET 1";
    let page: u32 = connection.query_row(leaves, [], |row| row.get(0)).unwrap();
    close(connection);
    damage_pages(&path, &[page]);
    let server = Server::start_in(directory, &[]);
    let listed = server.list("sort=received&order=asc&limit=1000&include_own=true").json();
    assert!(listed["damaged"]["count"].as_u64().unwrap() > 0, "{listed}");
    assert!(!listed["audits"].as_array().unwrap().is_empty());
}

/// Everything that the server returns from a file: each event by its identifier.
fn served(path: &Path) -> Result<Vec<(String, String)>, String> {
    let options = store_options(path, CHUNK_EVENTS);
    let store = Store::open(&options, &Quiet).map_err(|error| error.to_string())?;
    let limits = QueryLimits { list_default: 1_000, ..QueryLimits::default() };
    let query =
        ListParams::parse_query([("include_own".into(), "true".into())], &limits).map_err(|error| error.to_string())?;
    let read = || -> Result<Vec<(String, String)>, String> {
        let opened = PageReader::list(&store.reader.unbounded(), query.clone(), usize::MAX);
        let opened = opened.map_err(|error| error.to_string())?;
        let named = |body: &str| {
            let event: Value = serde_json::from_str(body).unwrap();
            (event["identifier"].as_str().unwrap().to_owned(), body.to_owned())
        };
        Ok(opened.first.bodies().map(named).collect())
    };
    let found = read();
    store.close().ok();
    found
}

#[test]
fn no_flipped_bit_is_served_as_sound_and_doctor_reports_it() {
    let flips: u64 = std::env::var("AUDITBOX_FLIPS").map_or(30, |flips| flips.parse().unwrap());
    let seed: u64 = std::env::var("AUDITBOX_SEED").map_or(1, |seed| seed.parse().unwrap());
    let (directory, path) = file();
    let whole = fs::read(&path).unwrap();
    let sound = served(&path).unwrap();
    assert!(sound.len() >= EVENTS as usize);
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let (mut refused, mut found, mut harmless) = (0, 0, 0);
    for _ in 0..flips {
        let (at, mask) = (random(whole.len()), 1_u8 << random(8));
        let mut bytes = whole.clone();
        bytes[at] ^= mask;
        for suffix in ["-wal", "-shm"] {
            drop(fs::remove_file(directory.path().join(format!("auditbox.db{suffix}"))));
        }
        fs::write(&path, &bytes).unwrap();
        let begun = Instant::now();
        let reported = match store::examine(&path, &Quiet) {
            Ok(report) => !report.findings.is_empty(),
            Err(_) => true,
        };
        let what = format!("byte {at}, bit {mask:#x}, seed {seed}");
        match served(&path) {
            Err(error) => {
                assert!(reported, "{what}: rejected ({error}), but doctor finds nothing");
                refused += 1;
            }
            Ok(events) => {
                for (identifier, body) in &events {
                    let original = sound.iter().find(|(known, _)| known == identifier);
                    assert_eq!(original.map(|(_, body)| body), Some(body), "{what}: served as sound");
                }
                assert!(reported || events == sound, "{what}: the events differ, but doctor finds nothing");
                if reported { found += 1 } else { harmless += 1 }
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: takes too long");
    }
    println!("{flips} flips: {refused} rejected and reported, {found} reported, {harmless} changed nothing");
}

#[test]
fn a_completely_lost_chunk_is_reported() {
    let (directory, path) = file();
    let connection = sql(&path);
    connection.execute("DELETE FROM event WHERE seq BETWEEN 65 AND 128", []).unwrap();
    close(connection);
    let (is_sound, said) = doctor(&directory);
    assert!(!is_sound && said.contains("events 65 to 128: 64 are missing [restore]"), "{said}");
}
