//! Live streams of events: from now on or from a cursor, without a gap, and no longer than the credential is valid.

use std::{
    collections::VecDeque,
    io, thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    harness::{CLIENT_ID, CLIENT_SECRET, SOON, Server, eventually, run},
    wire::{Connection, Reply},
};

const PATH: &str = "/v1/audit-log/stream";

/// A client that follows a stream.
pub(crate) struct Follower {
    connection: Connection,
    /// Received lines that have not been read.
    lines: VecDeque<String>,
    /// The newest cursor that the server has sent.
    pub(crate) place: String,
}

impl Follower {
    /// Opens a stream; `headers` are complete lines.
    fn open(server: &Server, query: &str, headers: &str) -> Self {
        Self::try_open(server, query, headers).unwrap_or_else(|refusal| panic!("{refusal:?}"))
    }

    /// Opens a stream, or returns the response that rejects it.
    pub(crate) fn try_open(server: &Server, query: &str, headers: &str) -> Result<Self, Reply> {
        let mut connection = Connection::open(&server.url).unwrap();
        connection.send(&format!("GET {PATH}?{query} HTTP/1.1\r\nHost: test\r\n{headers}\r\n")).unwrap();
        let (status, head) = connection.head().unwrap();
        if status != 200 {
            return Err(connection.body(status, &head).unwrap());
        }
        assert!(head.iter().any(|line| line == "content-type: text/event-stream"), "{head:?}");
        let mut follower = Self { connection, lines: VecDeque::new(), place: String::new() };
        assert_eq!(follower.line().unwrap(), "retry: 1000");
        assert_eq!(follower.message().unwrap(), None);
        assert!(!follower.place.is_empty());
        Ok(follower)
    }

    fn with_token(server: &Server, query: &str) -> Self {
        Self::open(server, query, &format!("Authorization: Bearer {}\r\n", server.token))
    }

    fn again(server: &Server, query: &str, place: &str) -> Self {
        let headers = format!("Authorization: Bearer {}\r\nLast-Event-ID: {place}\r\n", server.token);
        Self::open(server, query, &headers)
    }

    fn line(&mut self) -> io::Result<String> {
        if self.lines.is_empty() {
            // The server sends whole messages.
            self.lines.extend(self.connection.chunk()?.lines().map(str::to_owned));
        }
        Ok(self.lines.pop_front().unwrap_or_default())
    }

    /// The data of the next message; an error at the end of the stream.
    fn message(&mut self) -> io::Result<Option<String>> {
        let mut data = None;
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("id", place)) => place.clone_into(&mut self.place),
                Some(("data", text)) => data = Some(text.to_owned()),
                None if line.is_empty() => return Ok(data),
                _ => assert_eq!(line, ":"),
            }
        }
    }

    /// The next event.
    fn event(&mut self) -> Value {
        serde_json::from_str(&self.data().unwrap()).unwrap()
    }

    /// The text of the next event; an error if none arrives.
    pub(crate) fn data(&mut self) -> io::Result<String> {
        let begun = Instant::now();
        loop {
            if let Some(data) = self.message()? {
                return Ok(data);
            }
            // Keep-alive messages would continue forever.
            if begun.elapsed() >= SOON {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    fn identifier(&mut self) -> String {
        self.event()["identifier"].as_str().unwrap().to_owned()
    }

    /// Reads until the server ends the stream, which must not send anything else. A live stream sends a keep-alive
    /// message every 15 seconds, which distinguishes it from one that ends.
    fn read_out(mut self) {
        let message = self.message();
        assert!(message.is_err(), "{message:?}");
    }
}

fn event(identifier: &str, entity: &str, at: &str) -> Value {
    json!({
        "identifier": identifier, "action": "UPDATE", "resourceType": "entity",
        "trigger": { "at": at }, "context": { "entity": entity },
    })
}

#[test]
fn it_needs_the_scope_read() {
    let server = Server::start();
    assert_eq!(server.request("GET", PATH, &[], b"").refusal(), (401, "unauthorized".to_owned()));
    let sender = server.credential("sender", &["ingest", "admin"]);
    assert_eq!(server.request_as(&sender, "GET", PATH, "").refusal(), (403, "forbidden".to_owned()));
}

#[test]
fn unsupported_parameters_are_rejected_by_name() {
    let server = Server::start();
    for (query, named) in [
        ("limit=5", "limit"),
        ("count=true", "count"),
        ("sort=time", "sort"),
        ("order=desc", "order"),
        ("cursor=x", "cursor"),
        ("nonsense=1", "nonsense"),
        ("from=yesterday", "from"),
    ] {
        let answer = server.get(&format!("{PATH}?{query}"));
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{query}");
        assert_eq!(answer.json()["details"][0]["parameter"], named, "{query}");
    }
    let bearer = format!("Bearer {}", server.token);
    let headers = [("authorization", &*bearer), ("last-event-id", "nonsense")];
    assert_eq!(server.request("GET", PATH, &headers, b"").refusal(), (422, "invalid_request".to_owned()));
    // A cursor that this log has not reached.
    server.store(&[event("e1", "a", "2024-05-01T12:00:00Z")]);
    let follower = Follower::with_token(&server, "");
    let other = Server::start();
    let bearer = format!("Bearer {}", other.token);
    let headers = [("authorization", &*bearer), ("last-event-id", &*follower.place)];
    let answer = other.request("GET", PATH, &headers, b"");
    // That log's only event is a sign-in; the cursor is after several events.
    assert!(answer.status == 422 && answer.text.contains("begin again"), "{}", answer.text);
}

#[test]
fn a_stream_begins_with_new_events_and_applies_its_filter() {
    let server = Server::start();
    server.store(&[event("before", "a", "2024-05-01T12:00:00Z")]);
    let mut all = Follower::with_token(&server, "");
    let mut some = Follower::with_token(&server, "entity=a&includes=identifier");
    server.store(&[event("e1", "b", "2024-05-01T12:00:00Z")]);
    // Late events count too: arrival determines the order.
    server.store(&[event("e2", "a", "2020-01-01T00:00:00Z"), event("e3", "b", "2024-05-01T12:00:00Z")]);
    server.store(&[event("e4", "a", "2024-05-01T11:00:00Z")]);
    let stored = server.get("/v1/audit-log/e1").json()["audit"].clone();
    assert_eq!(all.event(), stored);
    assert_eq!([all.identifier(), all.identifier(), all.identifier()], ["e2", "e3", "e4"]);
    assert_eq!([some.event(), some.event()], [json!({ "identifier": "e2" }), json!({ "identifier": "e4" })]);
}

#[test]
fn a_stream_is_not_compressed() {
    let server = Server::start();
    let headers = format!("Authorization: Bearer {}\r\nAccept-Encoding: gzip, zstd\r\n", server.token);
    let mut follower = Follower::open(&server, "", &headers);
    server.store(&[event("e1", "a", "2024-05-01T12:00:00Z")]);
    assert_eq!(follower.identifier(), "e1");
}

#[test]
fn an_event_of_many_lines_is_one_message() {
    let server = Server::start();
    let mut follower = Follower::with_token(&server, "");
    let sent = "{\"identifier\":\"e1\",\"action\":\"A\",\"resourceType\":\"x\",\"additionalData\":{\r\n\"id\":\n\n\"data: x\"}}";
    assert_eq!(server.post("/v1/audit-log", sent).status, 201);
    assert_eq!(follower.event()["additionalData"], json!({ "id": "data: x" }));
}

#[test]
fn a_stream_resumes_at_its_cursor_without_a_gap_even_after_a_restart() {
    let mut server = Server::start();
    let mut follower = Follower::with_token(&server, "entity=a");
    let before_any = follower.place.clone();
    server.store(&[event("e1", "a", "2024-05-01T12:00:00Z"), event("e2", "a", "2024-05-01T12:00:00Z")]);
    assert_eq!(follower.identifier(), "e1");
    let after_e1 = follower.place.clone();
    drop(follower);
    server.store(&[event("x", "b", "2024-05-01T12:00:00Z"), event("e3", "a", "2024-05-01T12:00:00Z")]);
    server.kill();
    server.start_again();
    server.store(&[event("e4", "a", "2024-05-01T12:00:00Z")]);
    let mut follower = Follower::again(&server, "entity=a", &after_e1);
    server.store(&[event("e5", "a", "2024-05-01T12:00:00Z")]);
    assert_eq!([(); 4].map(|()| follower.identifier()), ["e2", "e3", "e4", "e5"]);
    let mut follower = Follower::again(&server, "entity=a", &before_any);
    assert_eq!(follower.identifier(), "e1");
    // The header belongs to a later connection than the URL.
    let mut follower = Follower::again(&server, &format!("entity=a&cursor={before_any}"), &after_e1);
    assert_eq!(follower.identifier(), "e2");
    let mut follower = Follower::with_token(&server, &format!("entity=a&cursor={before_any}"));
    assert_eq!(follower.identifier(), "e1");
    // A list that follows the log and a stream accept each other's cursors.
    let page = server.list("entity=a&sort=received&order=asc&limit=3").json();
    let mut follower = Follower::again(&server, "entity=a", page["next"].as_str().unwrap());
    assert_eq!(follower.identifier(), "e4");
}

#[test]
fn a_stream_from_an_old_cursor_catches_up_in_order() {
    let server = Server::start();
    let place = Follower::with_token(&server, "").place;
    let filling = "x".repeat(500);
    let numbered = |number: usize| {
        let mut event = event(&format!("e{number}"), "a", "2024-05-01T12:00:00Z");
        event["additionalData"] = json!(filling);
        event
    };
    server.store(&(0..3_000).map(numbered).collect::<Vec<_>>());
    let mut follower = Follower::again(&server, "", &place);
    for number in 0..3_000 {
        assert_eq!(follower.identifier(), format!("e{number}"));
    }
}

#[test]
fn open_streams_are_limited_and_closed_ones_free_their_place() {
    let server = Server::start_with(&[("AUDITBOX_LIMITS_STREAMS_MAX", "2")]);
    let other = server.credential("other", &["read"]);
    let one = Follower::with_token(&server, "");
    let _other = Follower::open(&server, "", &format!("Authorization: Bearer {other}\r\n"));
    let third = server.credential("third", &["read"]);
    let answer = server.request_as(&third, "GET", PATH, "");
    assert_eq!(answer.refusal(), (503, "overloaded".to_owned()));
    assert_eq!(answer.header("retry-after"), Some("10"));
    drop(one);
    // The server notices the disconnect when it next sends something.
    eventually("a free place", || {
        server.store(&[event("e", "a", "2024-05-01T12:00:00Z"), json!({ "action": "A", "resourceType": "x" })]);
        let mut connection = Connection::open(&server.url).unwrap();
        let (token, host) = (&server.token, "Host: test");
        let request = format!("GET {PATH} HTTP/1.1\r\n{host}\r\nAuthorization: Bearer {token}\r\n\r\n");
        connection.send(&request).unwrap();
        connection.line().unwrap().contains(" 200 ").then_some(())
    });
}

#[test]
fn one_credential_gets_its_share_of_the_streams_and_leaves_the_rest() {
    let server = Server::start_with(&[("AUDITBOX_LIMITS_STREAMS_MAX", "8")]);
    let _two = [(); 2].map(|()| Follower::with_token(&server, ""));
    let answer = server.get(PATH);
    assert_eq!(answer.refusal(), (503, "overloaded".to_owned()));
    assert!(answer.text.contains("2 streams open"), "{}", answer.text);
    // The limit counts by credential, not by how it was presented.
    let again = server.login(CLIENT_ID, CLIENT_SECRET);
    assert_eq!(server.request_as(&again, "GET", PATH, "").status, 503);
    let other = server.credential("other", &["read"]);
    let mut follower = Follower::open(&server, "", &format!("Authorization: Bearer {other}\r\n"));
    server.store(&[event("e1", "a", "2024-05-01T12:00:00Z")]);
    assert_eq!(follower.identifier(), "e1");
}

#[test]
fn a_stream_ends_with_the_credential_and_with_the_session() {
    let server = Server::start();
    let made = server.post("/v1/credentials", r#"{"name":"reader","scopes":["read"]}"#).json();
    let token = made["credential"]["apiToken"].as_str().unwrap();
    let follower = Follower::open(&server, "", &format!("Authorization: Bearer {token}\r\n"));
    let path = format!("/v1/credentials/{}", made["credential"]["clientId"].as_str().unwrap());
    assert_eq!(server.request_as(&server.token, "PATCH", &path, r#"{"disabled":true}"#).status, 200);
    follower.read_out();

    let cookie = session(&server);
    let follower = Follower::open(&server, "", &format!("Cookie: {cookie}\r\n"));
    let headers = [("cookie", &*cookie), ("origin", &*server.url)];
    assert_eq!(server.request_once("POST", "/sign-out", &headers, b"").status, 303);
    follower.read_out();
}

/// A session, in the form that the browser sends.
fn session(server: &Server) -> String {
    let form = format!("client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}");
    let answer = server.request_once("POST", "/sign-in", &[], form.as_bytes());
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

#[test]
fn a_stream_ends_when_a_command_ends_its_credential() {
    let server = Server::start();
    for (name, command) in [("one", "disable"), ("two", "revoke")] {
        let token = server.credential(name, &["read"]);
        let follower = Follower::open(&server, "", &format!("Authorization: Bearer {token}\r\n"));
        assert!(run(server.directory(), &["credential", command, name]).status.success());
        eventually("the end", || (server.request_as(&token, "GET", PATH, "").status == 401).then_some(()));
        // The stream ends at once; otherwise it would check again only at its next keep-alive message.
        let noticed = Instant::now();
        follower.read_out();
        assert!(noticed.elapsed() < Duration::from_secs(5), "{command}");
    }
}

#[test]
fn a_stream_ends_with_the_ticket_that_opened_it_and_keeps_no_session_alive() {
    let idle = [("AUDITBOX_AUTH_SESSION_IDLE_SECONDS", "2"), ("AUDITBOX_AUTH_SESSION_SECONDS", "1000")];
    let server = Server::start_with(&idle);
    let follower = Follower::open(&server, "", &format!("Cookie: {}\r\n", session(&server)));
    follower.read_out();

    // With an idle limit of one second, any request renews a session, except requests that a page makes by itself.
    let server = Server::start_with(&[("AUDITBOX_AUTH_SESSION_IDLE_SECONDS", "1")]);
    eventually("a session that is renewed", || {
        let cookie = session(&server);
        let headers = [("cookie", &*cookie), ("accept-encoding", "identity")];
        let asked = |path: &str| server.request_once("HEAD", path, &headers, b"");
        let (stream, list) = (asked(PATH), asked("/v1/audit-log?limit=1"));
        assert_eq!(stream.header("set-cookie"), None);
        (stream.status == 200 && list.header("set-cookie").is_some()).then_some(())
    });
}

#[test]
fn an_unread_stream_does_not_delay_a_stop() {
    let server = Server::start_with(&[("AUDITBOX_SERVER_SHUTDOWN_SECONDS", "600")]);
    let unread = Follower::with_token(&server, "");
    let filling = "x".repeat(900_000);
    for number in 0..40 {
        let mut event = event(&format!("e{number}"), "a", "2024-05-01T12:00:00Z");
        event["additionalData"] = json!(filling);
        server.store(&[event]);
    }
    // Sockets hold far less than is being sent, and the client reads nothing, so the server soon waits for it.
    thread::sleep(Duration::from_secs(2));
    let (status, _directory) = server.stop();
    assert!(status.success());
    drop(unread);
}

#[test]
fn streams_do_not_delay_a_stop() {
    let server = Server::start_with(&[("AUDITBOX_SERVER_SHUTDOWN_SECONDS", "600")]);
    let followers = [(); 3].map(|()| Follower::with_token(&server, ""));
    let (status, _directory) = server.stop();
    assert!(status.success());
    followers.into_iter().for_each(Follower::read_out);
}

#[test]
fn a_stream_is_recorded_once() {
    let server = Server::start();
    let mut follower = Follower::with_token(&server, "origin=auditbox&action=audit_log.stream");
    let record = follower.event();
    assert_eq!(record["request"]["path"], format!("{PATH}?origin=auditbox&action=audit_log.stream"));
    assert_eq!(record["request"]["statusCode"], 200);
}

#[test]
fn a_head_request_opens_no_stream_and_keeps_the_connection_usable() {
    let server = Server::start();
    server.store(&[json!({ "action": "READ", "resourceType": "x" })]);
    let mut connection = Connection::open(&server.url).unwrap();
    for path in [PATH, "/v1/audit-log/export?format=csv", "/v1/audit-log/export?format=ndjson"] {
        let head = format!("HEAD {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n\r\n", server.token);
        connection.send(&head).unwrap();
        let status = connection.line().unwrap();
        assert!(status.contains(" 200 "), "{path}: {status}");
        while !connection.line().unwrap().is_empty() {}
        let health = connection.request("GET", "/healthz", &server.token, "").unwrap();
        assert_eq!(health.status, 200, "{path}");
    }
}
