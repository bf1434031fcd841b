//! Rows that another program writes into the database while the server runs.

use std::{thread, time::Duration};

use auditbox::store::{Policy, Quiet, Store};
use rusqlite::{Connection, TransactionBehavior, params_from_iter, types::Value as Column};
use serde_json::json;

use crate::harness::{Server, eventually, prepare, run, store_options};

const CHUNK_EVENTS: u32 = 65_536;

/// A row of the table of events, and the block of its body.
struct Row {
    event: [Column; 6],
    block: [Column; 3],
}

/// The row that an event would have in this database. It is taken from a copy of the database, so the values are in no
/// dictionary of the original.
fn row_of(connection: &Connection, copy: &std::path::Path, event: &serde_json::Value) -> Row {
    connection.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    let store = Store::open(&store_options(copy, CHUNK_EVENTS), &Quiet).unwrap();
    let event = prepare(&store, event);
    store.writer.append(vec![event], Policy::AllOrNothing).unwrap().wait().unwrap();
    store.close().unwrap();
    let copy = Connection::open(copy).unwrap();
    let event = "SELECT seq, timestamp, entity, blueprint, filled, checksum FROM event ORDER BY seq DESC LIMIT 1";
    let event = copy.query_row(event, [], |row| Ok([0, 1, 2, 3, 4, 5].map(|column| row.get(column).unwrap()))).unwrap();
    let block = "SELECT first, events, bodies FROM block ORDER BY first DESC LIMIT 1";
    let block = copy.query_row(block, [], |row| Ok([0, 1, 2].map(|column| row.get(column).unwrap()))).unwrap();
    Row { event, block }
}

fn insert(connection: &Connection, row: &Row) {
    connection.execute("INSERT INTO block VALUES (?1, ?2, ?3)", params_from_iter(&row.block)).unwrap();
    connection.execute("INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6)", params_from_iter(&row.event)).unwrap();
}

#[test]
fn rows_of_another_program_are_found_although_the_next_transaction_fails() {
    let server = Server::start();
    server.store(&[json!({ "identifier": "e1", "action": "READ", "resourceType": "x" })]);
    let mut other = Connection::open(server.database()).unwrap();
    let writing = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let event = json!({
        "identifier": "other", "action": "READ", "resourceType": "x", "context": { "entity": "new", "blueprint": "newer" },
    });
    let reading = Connection::open(server.database()).unwrap();
    insert(&writing, &row_of(&reading, &server.directory().join("copy.db"), &event));
    let fails = "CREATE TRIGGER fails BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'no more'); END";
    writing.execute_batch(fails).unwrap();
    thread::scope(|scope| {
        let body = r#"{"identifier":"e2","action":"READ","resourceType":"x"}"#;
        let refused = scope.spawn(|| server.post("/v1/audit-log", body));
        // By now the server's transaction waits for the end of the other one, and will be the first to see its rows.
        thread::sleep(Duration::from_millis(300));
        writing.commit().unwrap();
        assert_eq!(refused.join().unwrap().status, 503);
    });
    for query in ["entity=new", "blueprint=newer", "identifier=other", "entity=new&blueprint=newer&identifier=other"] {
        let found = || (server.list(query).identifiers() == ["other"]).then_some(());
        eventually(query, found);
    }
    let stats = server.get("/v1/audit-log/stats?facets=entity&identifier=other");
    assert_eq!((stats.status, &stats.json()["facets"]["entity"]["distinct"]), (200, &json!(1)), "{}", stats.text);
    other.execute_batch("DROP TRIGGER fails").unwrap();
    other.close().unwrap();
    let (_, directory) = server.stop();
    let server = Server::start_in(directory, &[]);
    assert_eq!(server.list("entity=new").identifiers(), ["other"]);
    let (_, directory) = server.stop();
    let examined = run(directory.path(), &["doctor"]);
    assert!(String::from_utf8_lossy(&examined.stdout).contains("Nothing is wrong."), "{examined:?}");
}
