//! Index pages that SQLite cannot read: their consequences, and the repair of the index.

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use auditbox::model::timestamp::Timestamp;

use crate::{
    damage::{close, damage_pages, doctor, sql},
    harness::{Server, eventually, program, run},
};

const CHUNK_EVENTS: u32 = 64;
const EVENTS: u32 = 2_000;
const KEEP_30: [(&str, &str); 2] =
    [("AUDITBOX_RETENTION_KEEP_DAYS", "30"), ("AUDITBOX_RETENTION_KEEP_BY", "event_time")];

/// An event from the given number of days ago.
fn event(number: u32, days: i64) -> Value {
    // Text that does not compress, so that the keys take several pages.
    let random = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    json!({
        "identifier": format!("event-{number:04}"),
        "action": "UPDATE",
        "resourceType": "entity",
        "trigger": { "at": Timestamp::now().plus_seconds(-days * 86_400).to_string() },
        "message": format!("step{number} of{number} part{number} took{number}"),
        "context": {
            "entity": format!("svc-{}", number % 5),
            "runId": format!("run-{number:04}"),
            "webhookEventId": format!("{random:032x}"),
        },
    })
}

/// A stopped server's file with all its full chunks sealed.
fn file(days: impl Fn(u32) -> i64) -> TempDir {
    let server = Server::start_chunked(CHUNK_EVENTS);
    for batch in 0..EVENTS / 250 {
        let events: Vec<_> = (batch * 250..(batch + 1) * 250).map(|number| event(number, days(number))).collect();
        let body = Value::from(events).to_string();
        // Chunks this small fill faster than they are sealed.
        eventually("room", || (server.post("/v1/audit-log", &body).status == 201).then_some(()));
    }
    let count = || -> u32 {
        let connection = Connection::open(server.database()).unwrap();
        connection.query_row("SELECT count(*) FROM chunk", [], |row| row.get(0)).unwrap()
    };
    eventually("sealing", || (count() >= EVENTS / CHUNK_EVENTS).then_some(()));
    let (status, directory) = server.stop();
    assert!(status.success());
    directory
}

/// Damages the leaf at this position of a table, in hundredths.
fn damage_leaf(path: &Path, table: &str, hundredths: usize) {
    let connection = Connection::open(path).unwrap();
    let leaves = "SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf' ORDER BY path";
    let leaves: Vec<u32> =
        connection.prepare(leaves).unwrap().query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(leaves.len() > 3, "{table} has {} leaves", leaves.len());
    connection.close().unwrap();
    damage_pages(path, &[leaves[leaves.len() * hundredths / 100]]);
}

fn number(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The number of events of each entity.
fn by_entity(server: &Server) -> Vec<i64> {
    let counted = server.get("/v1/audit-log/stats?facets=entity");
    assert_eq!(counted.status, 200, "{}", counted.text);
    let values = counted.json()["facets"]["entity"]["values"].clone();
    values.as_array().unwrap().iter().map(|value| value["count"].as_i64().unwrap()).collect()
}

#[test]
fn retention_leaves_rows_on_damaged_pages_and_the_writer_continues() {
    let directory = file(|_| 40);
    let path = directory.path().join("auditbox.db");
    for table in ["chunk_key", "chunk_posting"] {
        damage_leaf(&path, table, 50);
    }
    let server = Server::start_in(directory, &KEEP_30);
    let open = "SELECT count(*) FROM setting WHERE name = 'dropping'";
    let dropped = "SELECT coalesce(sum(last - first + 1), 0) FROM dropped";
    // Retention may need the page of postings to decide what is expired.
    let least = i64::from(EVENTS / CHUNK_EVENTS * CHUNK_EVENTS) * 3 / 4;
    eventually("retention", || (number(&path, dropped) >= least && number(&path, open) == 0).then_some(()));
    eventually("a report of the damaged page", || {
        let log = server.log();
        (log.contains("a page of the file is damaged") && log.contains("run auditbox doctor")).then_some(())
    });
    assert_eq!(server.store(&[event(9_999, 0)]).status, 201, "{}", server.log());
    assert_eq!(server.get("/v1/audit-log/event-9999").status, 200);
    let (status, directory) = server.stop();
    assert!(status.success());
    let left = "SELECT count(*) FROM chunk_time WHERE place < (SELECT min(number) << 38 FROM chunk)";
    assert_eq!(number(&path, left), 0, "rows on sound pages");
    let (is_sound, said) = doctor(&directory);
    assert!(!is_sound && said.contains("[restore]"), "{said}");
}

#[test]
fn a_file_with_undeletable_orphans_opens_and_no_chunk_is_sealed_over_them() {
    let directory = file(|number| if number % 2 == 0 { 40 } else { 1 });
    let path = directory.path().join("auditbox.db");
    // As a crash leaves it, except for the number of chunks.
    let connection = Connection::open(&path).unwrap();
    let half = EVENTS / CHUNK_EVENTS / 2;
    connection.execute("DELETE FROM chunk WHERE number >= ?1", [half]).unwrap();
    connection.close().unwrap();
    damage_leaf(&path, "chunk_key", 60);
    let mut server = Server::start_in(directory, &[]);
    assert!(server.log().contains("a page of the file is damaged"), "{}", server.log());
    let all = i64::from(EVENTS / 5);
    let first_side = format!("SELECT count(*) FROM chunk WHERE number >= {half} AND side = 0");
    let second_side = format!("SELECT count(*) FROM chunk WHERE number >= {half} AND side = 1");
    let expected = i64::from(EVENTS / CHUNK_EVENTS - half);
    for start in 0..2 {
        eventually("sealing", || (number(&path, &second_side) >= expected).then_some(()));
        assert_eq!(number(&path, &first_side), 0);
        assert_eq!(by_entity(&server), [all; 5]);
        for number in (0..EVENTS).step_by(97) {
            assert_eq!(server.get(&format!("/v1/audit-log/event-{number:04}")).status, 200, "{number}");
            assert_eq!(server.get(&format!("/v1/audit-log?run_id=run-{number:04}")).identifiers().len(), 1, "{number}");
        }
        if start == 0 {
            let (status, directory) = server.stop();
            assert!(status.success());
            server = Server::start_in(directory, &[]);
        }
    }
    let (status, directory) = server.stop();
    assert!(status.success());
    let (is_sound, said) = doctor(&directory);
    assert!(!is_sound && said.contains("[restore]") && !said.contains("[reindex]"), "{said}");
    // Retention has no free place for the rest of these chunks. It reports that, and nothing else stops.
    let server = Server::start_in(directory, &KEEP_30);
    eventually("a round of retention", || {
        let log = server.log();
        (log.contains("nothing of this chunk is dropped") && log.contains("a round of retention has finished"))
            .then_some(())
    });
    assert_eq!(server.store(&[event(9_999, 0)]).status, 201, "{}", server.log());
    let (first, last) = (half * CHUNK_EVENTS + 1, EVENTS / CHUNK_EVENTS * CHUNK_EVENTS);
    let dropped = |seqs: &str| number(&path, &format!("SELECT count(*) FROM dropped WHERE {seqs}"));
    assert_eq!(dropped(&format!("first BETWEEN {first} AND {last}")), 0, "{}", server.log());
    assert!(dropped(&format!("first < {first}")) > 0, "{}", server.log());
}

#[test]
fn a_failed_reindex_leaves_the_former_index() {
    let directory = file(|_| 1);
    let path = directory.path().join("auditbox.db");
    let connection = sql(&path);
    // A long row of damaged pages, so that the numbers of neighboring chunks cannot be inferred.
    connection.execute("DELETE FROM event WHERE seq BETWEEN 300 AND 1500", []).unwrap();
    close(connection);
    let failed = run(directory.path(), &["reindex"]);
    assert!(!failed.status.success(), "{failed:?}");
    let server = Server::start_in(directory, &[]);
    assert_eq!(by_entity(&server), [i64::from(EVENTS / 5); 5]);
    assert_eq!(server.get("/v1/audit-log/event-0003").status, 200);
    assert_eq!(server.get("/v1/audit-log/event-1999").status, 200);
}

#[test]
fn the_index_is_rebuilt_despite_its_damaged_pages() {
    let directory = file(|_| 1);
    let path = directory.path().join("auditbox.db");
    damage_leaf(&path, "chunk_posting", 50);
    let server = Server::start_in(directory, &[]);
    assert_eq!(server.get("/v1/audit-log/stats?facets=entity").status, 503);
    let (status, directory) = server.stop();
    assert!(status.success());
    let made = run(directory.path(), &["reindex"]);
    assert!(made.status.success(), "{made:?}");
    let (is_sound, said) = doctor(&directory);
    assert!(!is_sound && said.contains("[restore]") && !said.contains("[reindex]"), "{said}");
    let server = Server::start_in(directory, &[]);
    assert_eq!(by_entity(&server), [i64::from(EVENTS / 5); 5]);
}

#[test]
fn a_killed_reindex_leaves_a_complete_index() {
    let directory = file(|_| 1);
    let path = directory.path().join("auditbox.db");
    let on_second = || number(&path, "SELECT count(*) FROM chunk WHERE side = 1");
    let mut midway = 0;
    for _ in 0..6 {
        let before = on_second();
        let mut child = program(directory.path()).arg("reindex").spawn().unwrap();
        while on_second() == before && child.try_wait().unwrap().is_none() {}
        child.kill().ok();
        midway += u32::from(!child.wait().unwrap().success());
        let (is_sound, said) = doctor(&directory);
        assert!(is_sound, "{said}");
    }
    assert!(midway > 0, "no kill came midway");
    let server = Server::start_in(directory, &[]);
    assert_eq!(by_entity(&server), [i64::from(EVENTS / 5); 5]);
}
