//! Commands that find the server that runs on their file, and ask it instead of reading the file.

use std::fs;

use auditbox::{auth::command_line_token, model::timestamp::Timestamp};
use serde_json::Value;

use crate::{
    cli::{events, good, identifiers},
    harness::{Server, eventually},
};

/// The requests of commands that the server has recorded.
fn recorded(server: &Server, action: &str) -> Vec<Value> {
    let query = format!("origin=auditbox&actor=command-line&action={action}&includes=trigger,request");
    server.list(&query).json()["audits"].as_array().unwrap().clone()
}

#[test]
fn commands_ask_the_server_that_runs_on_the_file_and_are_recorded() {
    let server = Server::start();
    server.store(&events("e", 250));
    for (command, action, lines) in [
        (&["query", "--json"][..], "audit_log.list", 250),
        (&["query", "--limit", "7"], "audit_log.list", 9),
        (&["event", "e7"], "audit_log.list", 1),
        (&["export"], "audit_log.export", 250),
        (&["stats", "--json"], "audit_log.stats", 1),
    ] {
        let before = recorded(&server, action).len();
        assert_eq!(good(server.directory(), command).lines().count(), lines, "{command:?}");
        let records = eventually("the record", || Some(recorded(&server, action)).filter(|found| found.len() > before));
        let by = &records[0]["trigger"]["by"];
        assert_eq!((&by["name"], &by["type"]), (&"command line".into(), &"system".into()), "{by}");
    }
    // From a directory with another name of the file.
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(server.database(), elsewhere.path().join("auditbox.db")).unwrap();
    let before = recorded(&server, "audit_log.stats").len();
    good(elsewhere.path(), &["stats"]);
    eventually("the record", || (recorded(&server, "audit_log.stats").len() > before).then_some(()));
}

#[test]
fn a_copy_or_a_file_without_its_server_is_read() {
    let mut server = Server::start();
    server.store(&events("old", 2));
    let copy = tempfile::tempdir().unwrap();
    good(server.directory(), &["backup", copy.path().join("auditbox.db").to_str().unwrap()]);
    fs::copy(server.directory().join("auditbox.db.lock"), copy.path().join("auditbox.db.lock")).unwrap();
    server.store(&events("new", 2));
    assert_eq!(identifiers(&good(copy.path(), &["query", "--json"])).len(), 2);
    assert_eq!(identifiers(&good(server.directory(), &["query", "--json"])).len(), 4);
    // The address of a killed server stays.
    server.kill();
    assert_ne!(fs::read_to_string(server.directory().join("auditbox.db.lock")).unwrap(), "");
    assert_eq!(identifiers(&good(server.directory(), &["query", "--json"])).len(), 4);
    server.start_again();
    let (status, directory) = server.stop();
    assert!(status.success());
    assert_eq!(fs::read_to_string(directory.path().join("auditbox.db.lock")).unwrap(), "");
    // An address at which another program listens, or nothing that can be read.
    for text in ["127.0.0.1:9 1:1\n", "nonsense", "192.0.2.1:80 1:1\n"] {
        fs::write(directory.path().join("auditbox.db.lock"), text).unwrap();
        assert_eq!(identifiers(&good(directory.path(), &["query", "--json"])).len(), 4);
    }
}

#[test]
fn the_token_of_a_command_reads_and_nothing_else_for_five_minutes() {
    let server = Server::start();
    let database = rusqlite::Connection::open(server.database()).unwrap();
    let key: Vec<u8> =
        database.query_row("SELECT value FROM setting WHERE name = 'access_token_key'", [], |row| row.get(0)).unwrap();
    let token = |age: i64| command_line_token(&key, Timestamp::now().plus_seconds(-age)).unwrap();
    let status = |token: &str, method: &str, path: &str| server.request_as(token, method, path, "{}").status;
    assert_eq!(status(&token(0), "GET", "/v1/audit-log"), 200);
    assert_eq!(status(&token(290), "GET", "/v1/audit-log/stats"), 200);
    for token in [token(301), token(-120), command_line_token(b"another key", Timestamp::now()).unwrap()] {
        assert_eq!(status(&token, "GET", "/v1/audit-log"), 401);
    }
    for (method, path) in
        [("POST", "/v1/audit-log"), ("GET", "/v1/credentials"), ("POST", "/v1/credentials"), ("GET", "/metrics")]
    {
        assert_eq!(status(&token(0), method, path), 403, "{method} {path}");
    }
}
