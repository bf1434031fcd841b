//! Commands that find the server that runs on their file, and ask it instead of reading the file.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener},
    sync::mpsc,
    thread,
};

use auditbox::{auth::command_line_token, model::timestamp::Timestamp};
use serde_json::Value;

use crate::{
    cli::{err, event, events, good, identifiers, piped},
    harness::{Server, eventually, program, run},
    reading::Following,
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
        (&["query", "--limit", "7"], "audit_log.list", 8),
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
fn a_tail_of_the_file_continues_when_a_server_starts_and_stops() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().to_owned();
    let import = |name: &str| {
        assert!(piped(&database, &["import", "-"], event(name).to_string().as_bytes()).status.success());
    };
    import("old");
    let query = run(&database, &["query", "--json", "--sort", "received", "--order", "asc"]);
    let cursor = err(&query).strip_prefix("next cursor: ").unwrap().trim_end().to_owned();
    let tail = Following::start(program(&database).args(["tail", "--json", "--cursor", &cursor]));
    import("before");
    assert_eq!(identifiers(&tail.next()), ["before"]);
    let server = Server::start_in(directory, &[]);
    for name in ["during-1", "during-2"] {
        server.store(&[event(name)]);
        assert_eq!(identifiers(&tail.next()), [name]);
    }
    let (status, _directory) = server.stop();
    assert!(status.success());
    import("after");
    assert_eq!(identifiers(&tail.next()), ["after"]);
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

/// Another program: it answers every request with 200 and a forged list. Returns its address and what it reads.
fn impostor() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, (sender, requests)) = (listener.local_addr().unwrap().to_string(), mpsc::channel());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut buffer) = (stream.unwrap(), [0; 4096]);
            let length = stream.read(&mut buffer).unwrap_or(0);
            sender.send(String::from_utf8_lossy(&buffer[..length]).to_lowercase()).unwrap();
            let body = r#"{"audits":[{"identifier":"forged"}],"next":null}"#;
            let head =
                "HTTP/1.1 200 OK\r\nconnection: close\r\nx-auditbox-proof: AAAA\r\ncontent-type: application/json";
            let sent = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            assert!(sent.is_ok() || sent.unwrap_err().kind() == ErrorKind::BrokenPipe);
            drop(stream.shutdown(Shutdown::Write));
        }
    });
    (address, requests)
}

#[test]
fn another_program_at_the_address_gets_no_token_and_is_not_believed() {
    let mut server = Server::start();
    server.store(&events("e", 3));
    let lock = server.directory().join("auditbox.db.lock");
    let (own, identity) = fs::read_to_string(&lock)
        .unwrap()
        .trim_end()
        .split_once(' ')
        .map(|(own, id)| (own.to_owned(), id.to_owned()))
        .unwrap();
    let (address, requests) = impostor();
    fs::write(&lock, format!("{address} {identity}\n")).unwrap();
    // A process holds the lock, so the program there must prove that it is the server. It cannot.
    for command in [&["query", "--json"][..], &["export"], &["event", "e1"], &["stats", "--json"]] {
        let printed = good(server.directory(), command);
        assert!(printed.contains("e1") || printed.contains("\"count\":3"), "{command:?}: {printed}");
        assert!(!printed.contains("forged"), "{printed}");
    }
    let received: Vec<_> = requests.try_iter().collect();
    assert_eq!(received.len(), 4, "{received:?}");
    assert!(received.iter().all(|request| request.contains("x-auditbox-challenge")), "{received:?}");
    assert!(!received.iter().any(|request| request.contains("authorization")), "{received:?}");
    // The server proves it for its own address and a challenge of the right form only.
    let challenge = "A".repeat(43);
    let proof = |challenge: &str| {
        let response =
            ureq::get(format!("http://{own}/healthz")).header("x-auditbox-challenge", challenge).call().unwrap();
        response.headers().get("x-auditbox-proof").map(|proof| proof.to_str().unwrap().to_owned())
    };
    assert_eq!(proof(&challenge).unwrap().len(), 43);
    assert_eq!(proof("short"), None);
    // Once the server is killed, nothing is asked.
    server.kill();
    assert_eq!(identifiers(&good(server.directory(), &["query", "--json"])).len(), 3);
    assert!(requests.try_iter().next().is_none());
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
