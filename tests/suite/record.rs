//! auditbox's own records: every authenticated request is recorded, and lists show the records only on request.

use std::{
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection as Database;
use serde_json::{Value, json};

use crate::{
    harness::{CLIENT_ID, Server, eventually, run},
    wire::Connection,
};

const WRITES: (&str, &str) = ("AUDITBOX_SELF_AUDIT_RECORD", "writes");
const OFF: (&str, &str) = ("AUDITBOX_SELF_AUDIT_RECORD", "off");

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The records of requests whose path begins like this, newest first. This request is itself recorded, with another
/// path.
fn records(server: &Server, path: &str) -> Vec<Value> {
    let answer = server.list(&format!("origin=auditbox&path={}", encoded(path)));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["audits"].as_array().unwrap().clone()
}

/// The only record of a request with this path, once it exists.
fn record(server: &Server, path: &str) -> Value {
    let mut found = eventually(path, || Some(records(server, path)).filter(|found| !found.is_empty()));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Waits until everything so far is recorded: records are written in order.
fn settle(server: &Server, mark: &str) {
    let path = format!("/v1/audit-log?identifier={mark}");
    server.get(&path);
    record(server, &path);
}

/// The actions of auditbox's own records, in order of arrival.
fn actions(server: &Server) -> Vec<String> {
    let answer = server.list("origin=auditbox&sort=received&order=asc");
    let audits = answer.json()["audits"].as_array().unwrap().clone();
    audits.iter().map(|event| event["action"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_record_has_the_actor_the_action_the_address_and_the_outcome() {
    let server = Server::start();
    let path = "/v1/audit-log?entity=caf%C3%A9&limit=5";
    let bearer = format!("Bearer {}", server.token);
    let headers = [("authorization", &*bearer), ("user-agent", "probe/1.0 (é)")];
    assert_eq!(server.request("GET", path, &headers, b"").status, 200);
    let event = record(&server, path);
    let expected = json!({
        "identifier": event["identifier"],
        "action": "audit_log.list",
        "resourceType": "api_request",
        "status": "SUCCESS",
        "trigger": {
            "at": event["trigger"]["at"],
            "origin": "auditbox",
            "by": { "userId": CLIENT_ID, "type": "user", "name": "admin" },
        },
        "context": {},
        "request": {
            "method": "GET", "path": path, "statusCode": 200, "ip": "127.0.0.1", "userAgent": "probe/1.0 (é)",
        },
        "receivedAt": event["receivedAt"],
        "receivedBy": "auditbox",
    });
    assert_eq!(event, expected);
    let by_identifier = server.get(&format!("/v1/audit-log/{}", event["identifier"].as_str().unwrap()));
    assert_eq!(by_identifier.json()["audit"], expected);
}

#[test]
fn a_record_keeps_a_kilobyte_of_a_path_and_of_a_user_agent_and_marks_the_cut() {
    let server = Server::start();
    let bearer = format!("Bearer {}", server.token);
    for (n, filler) in ["x", "é", "€", "😀"].into_iter().enumerate() {
        for shift in 0..3 {
            let agent = "a".repeat(shift) + &filler.repeat(7_000 / filler.len());
            let path = format!("/v1/audit-log?entity=long-{n}-{shift}-{}", "y".repeat(7_000));
            let headers = [("authorization", &*bearer), ("user-agent", &*agent)];
            assert_eq!(server.request("GET", &path, &headers, b"").status, 200);
            let start = format!("/v1/audit-log?entity=long-{n}-{shift}-");
            let event = eventually("the record", || {
                let found = server.list("origin=auditbox&action=audit_log.list&limit=1000").json();
                let audits = found["audits"].as_array().unwrap().clone();
                audits.into_iter().find(|event| event["request"]["path"].as_str().unwrap().starts_with(&start))
            });
            for (key, whole) in [("path", &path), ("userAgent", &agent)] {
                let kept = event["request"][key].as_str().unwrap();
                assert!(kept.len() <= 1_024 && kept.len() > 900, "{key}: {} bytes", kept.len());
                let (text, mark) = kept.split_once('…').unwrap_or_else(|| panic!("{key} is not marked: {kept}"));
                assert!(whole.starts_with(text) && mark.contains(&whole.len().to_string()), "{key}: {mark}");
            }
        }
    }
    // A value that fits is kept whole.
    let path = format!("/v1/audit-log?entity={}", "z".repeat(1_024 - 22));
    server.get(&path);
    assert_eq!(record(&server, &path)["request"]["path"].as_str(), Some(&*path));
}

#[test]
fn a_record_has_the_address_that_a_trusted_proxy_names() {
    let server = Server::start_with(&[("AUDITBOX_SERVER_TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8")]);
    let bearer = format!("Bearer {}", server.token);
    for (number, lines, expected) in [
        (1, &["203.0.113.9"][..], "203.0.113.9"),
        (2, &["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        (3, &["198.51.100.1, 203.0.113.9, 10.1.1.1"], "203.0.113.9"),
        (4, &["198.51.100.1", "203.0.113.9,10.1.1.1"], "203.0.113.9"),
        (5, &["2001:db8::7"], "2001:db8::7"),
        (6, &["203.0.113.9, nonsense"], "127.0.0.1"),
        (7, &[""], "127.0.0.1"),
        (8, &[], "127.0.0.1"),
    ] {
        let path = format!("/v1/audit-log?entity=n{number}");
        let mut headers = vec![("authorization", &*bearer)];
        headers.extend(lines.iter().map(|line| ("x-forwarded-for", *line)));
        assert_eq!(server.request("GET", &path, &headers, b"").status, 200);
        assert_eq!(record(&server, &path)["request"]["ip"], expected, "{lines:?}");
    }
}

#[test]
fn an_untrusted_forwarded_address_is_not_recorded() {
    let server = Server::start();
    let bearer = format!("Bearer {}", server.token);
    let path = "/v1/audit-log?entity=n1";
    server.request("GET", path, &[("authorization", &bearer), ("x-forwarded-for", "203.0.113.9")], b"");
    assert_eq!(record(&server, path)["request"]["ip"], "127.0.0.1");
}

#[test]
fn each_kind_of_request_is_recorded_with_its_action() {
    let server = Server::start();
    server.store(&[json!({ "identifier": "e1", "action": "READ", "resourceType": "x" })]);
    server.credential("ci", &["read"]);
    for (method, path, body) in [
        ("GET", "/v1/audit-log/e1", ""),
        ("GET", "/v1/credentials", ""),
        ("PATCH", "/v1/credentials/test-admin", r#"{"disabled":false}"#),
        ("DELETE", "/v1/credentials/nobody", ""),
        ("PATCH", "/v1/credentials/nobody", "{}"),
        ("POST", "/v1/audit-log", "{}"),
        ("GET", "/nowhere", ""),
        ("PUT", "/v1/audit-log", ""),
    ] {
        server.request_as(&server.token, method, path, body);
    }
    settle(&server, "mark");
    let mut actions = actions(&server);
    // Some records are written before the response and some after it, so their order varies.
    actions.sort_unstable();
    let lists = actions.iter().filter(|action| *action == "audit_log.list").count();
    actions.retain(|action| action != "audit_log.list");
    assert!(lists >= 1);
    let expected = [
        "access_token.create",
        "audit_log.get",
        "audit_log.ingest",
        // One from the first start, and one created over HTTP.
        "credential.create",
        "credential.create",
        "credential.enable",
        "credential.list",
        "credential.revoke",
        "credential.switch",
        "unknown",
        "unknown",
    ];
    assert_eq!(actions, expected);
}

#[test]
fn accepted_events_need_no_other_record() {
    let server = Server::start();
    server.store(&[json!({ "identifier": "e1", "action": "READ", "resourceType": "x" })]);
    server.store(&[json!({ "identifier": "e1", "action": "READ", "resourceType": "x" })]);
    let partial = server.post("/v1/audit-log?partial=true", r#"{"action":"READ","resourceType":"x"}"#);
    assert_eq!(partial.json()["accepted"], 1);
    settle(&server, "mark");
    assert!(!actions(&server).contains(&"audit_log.ingest".to_owned()));
}

#[test]
fn rejected_events_are_recorded_before_the_response() {
    let mut server = Server::start();
    server.store(&[json!({ "identifier": "e1", "action": "READ", "resourceType": "x" })]);
    for (number, path, body, status) in [
        (1, "/v1/audit-log", r#"{"action":"READ"}"#, 422),
        (2, "/v1/audit-log", r#"{"identifier":"e1","action":"OTHER","resourceType":"x"}"#, 409),
        (3, "/v1/audit-log?partial=true", r#"{"action":"READ","resourceType":"x"}{"action":1}"#, 200),
        (4, "/v1/audit-log?unknown=1", "{}", 422),
    ] {
        let answer = server.post(path, body);
        assert_eq!(answer.status, status, "{}", answer.text);
        server.kill();
        server.start_again();
        let found = server.list("origin=auditbox&action=audit_log.ingest");
        let found = found.json()["audits"].clone();
        assert_eq!(found.as_array().unwrap().len(), number, "{found}");
        assert_eq!(found[0]["request"]["statusCode"], status);
        assert_eq!(found[0]["request"]["path"], path);
        assert_eq!(found[0]["status"], if status == 200 { "SUCCESS" } else { "FAILURE" });
        let message = found[0]["message"].as_str().unwrap();
        match status {
            200 => assert_eq!(message, "1 of 2 events were rejected"),
            _ => assert_eq!(message, answer.json()["message"].as_str().unwrap()),
        }
    }
}

#[test]
fn a_change_of_credentials_is_recorded_before_the_response() {
    let mut server = Server::start();
    let answer = server.post("/v1/credentials", r#"{"name":"ci","scopes":["read"]}"#);
    let client_id = answer.json()["credential"]["clientId"].as_str().unwrap().to_owned();
    let path = format!("/v1/credentials/{client_id}");
    let change = |server: &mut Server, method: &str, body: &str, action: &str, status: u16| {
        assert_eq!(server.request_as(&server.token, method, &path, body).status, status);
        server.kill();
        server.start_again();
        let found = server.list(&format!("origin=auditbox&path={}&limit=1", encoded(&path)));
        let event = &found.json()["audits"][0];
        assert_eq!((event["action"].as_str(), &event["request"]["statusCode"]), (Some(action), &json!(status)));
    };
    change(&mut server, "PATCH", r#"{"disabled":true}"#, "credential.disable", 200);
    change(&mut server, "PATCH", r#"{"disabled":false}"#, "credential.enable", 200);
    change(&mut server, "PATCH", "{}", "credential.switch", 422);
    change(&mut server, "DELETE", "", "credential.revoke", 200);
    change(&mut server, "DELETE", "", "credential.revoke", 409);
    let state = server.get("/v1/credentials").json();
    let all = state["credentials"].as_array().unwrap();
    assert!(all.iter().any(|credential| credential["clientId"] == *client_id && credential["state"] == "revoked"));
    let made = server.list("origin=auditbox&path=/v1/credentials&action=credential.create").json();
    assert_eq!(made["audits"].as_array().unwrap().len(), 1);
    assert_eq!(made["audits"][0]["request"]["statusCode"], 201);
}

#[test]
fn an_unrecordable_change_of_credentials_is_not_made() {
    let mut server = Server::start();
    let database = Database::open(server.database()).unwrap();
    let broken = "CREATE TRIGGER broken BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'broken'); END";
    database.execute_batch(broken).unwrap();
    let answer = server.post("/v1/credentials", r#"{"name":"ci","scopes":["read"]}"#);
    assert_eq!(answer.refusal(), (503, "overloaded".to_owned()));
    database.execute_batch("DROP TRIGGER broken").unwrap();
    drop(database);
    server.kill();
    server.start_again();
    assert!(!server.get("/v1/credentials").text.contains("\"ci\""));
    // Nothing remains that would prevent another attempt.
    server.credential("ci", &["read"]);
}

#[test]
fn changes_of_credentials_by_commands_are_recorded() {
    let server = Server::start();
    for arguments in [
        &["credential", "create", "--name", "ci", "--scope", "read"][..],
        &["credential", "disable", "ci"],
        &["credential", "enable", "ci"],
        &["credential", "revoke", "ci"],
    ] {
        assert!(run(server.directory(), arguments).status.success(), "{arguments:?}");
    }
    // A failed command leaves no record.
    assert_eq!(run(server.directory(), &["credential", "revoke", "ci"]).status.code(), Some(1));
    assert_eq!(
        run(server.directory(), &["credential", "create", "--name", "ci", "--scope", "read"]).status.code(),
        Some(1)
    );
    // The server notices these changes when it next checks the file.
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut found = Vec::new();
    while found.len() < 4 && Instant::now() < deadline {
        let mut list = server.list("origin=auditbox&resources=credential&sort=received&order=asc").json();
        found = list["audits"].as_array_mut().unwrap().drain(..).collect::<Vec<_>>();
        found.retain(|event| event["additionalData"]["name"] == "ci");
    }
    let of_ci = found;
    let actions: Vec<_> = of_ci.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["credential.create", "credential.disable", "credential.enable", "credential.revoke"]);
    for event in of_ci {
        assert_eq!(event["trigger"]["by"], json!({ "type": "system", "name": "command line" }));
        assert_eq!(event["receivedBy"], "auditbox");
    }
}

#[test]
fn rejected_requests_of_authenticated_callers_are_recorded() {
    let server = Server::start();
    let token = server.credential("writer", &["ingest"]);
    for (method, path, status, action) in [
        ("GET", "/v1/audit-log?entity=forbidden", 403, "audit_log.list"),
        ("GET", "/v1/audit-log/forbidden", 403, "audit_log.get"),
        ("DELETE", "/v1/credentials/forbidden", 403, "credential.revoke"),
        ("GET", "/no/such/path?x=1", 404, "unknown"),
        ("PUT", "/v1/audit-log?x=put", 405, "unknown"),
    ] {
        let answer = server.request_as(&token, method, path, "");
        assert_eq!(answer.status, status, "{}", answer.text);
        let event = record(&server, path);
        assert_eq!((&event["request"]["statusCode"], &event["action"]), (&json!(status), &json!(action)));
        assert_eq!((&event["status"], &event["trigger"]["by"]["name"]), (&json!("FAILURE"), &json!("writer")));
        assert_eq!(event["message"], answer.json()["message"]);
    }
    let path = "/v1/audit-log/no-such-event";
    assert_eq!(server.get(path).status, 404);
    assert_eq!(record(&server, path)["request"]["statusCode"], 404);
}

#[test]
fn unauthenticated_requests_are_not_recorded() {
    let server = Server::start();
    server.request("GET", "/v1/audit-log?entity=none", &[], b"");
    server.request_as("x.y.z", "GET", "/v1/audit-log?entity=bad", "");
    server.request_as("abx_x", "POST", "/v1/audit-log?entity=bad", "{}");
    server.request("POST", "/v1/auth/access_token", &[], br#"{"clientId":"test-admin","clientSecret":"wrong"}"#);
    server.request("POST", "/v1/auth/access_token", &[], b"{}");
    server.request("GET", "/nowhere", &[], b"");
    settle(&server, "mark");
    assert_eq!(records(&server, "/v1/audit-log?entity="), [] as [Value; 0]);
    assert_eq!(records(&server, "/nowhere"), [] as [Value; 0]);
    // The only login is the harness's own.
    assert_eq!(records(&server, "/v1/auth/access_token").len(), 1);
}

#[test]
fn requests_without_data_are_not_recorded() {
    let server = Server::start();
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs/", "/docs/swagger-ui.css"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    settle(&server, "mark");
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs"] {
        assert_eq!(records(&server, path), [] as [Value; 0], "{path}");
    }
}

#[test]
fn own_records_are_listed_on_request() {
    let server = Server::start();
    server.store(&[json!({ "identifier": "e1", "action": "READ", "resourceType": "x" })]);
    settle(&server, "mark");
    for hidden in ["", "actor=admin", "resources=x", "origin=API", "limit=1000&sort=received", "not.origin=UI"] {
        let answer = server.list(hidden);
        assert!(!answer.text.contains("\"origin\":\"auditbox\""), "{hidden}: {}", answer.text);
    }
    assert_eq!(server.list("").identifiers(), ["e1"]);
    for shown in ["origin=auditbox", "resources=api_request", "resources=API_REQUEST", "origin=API,auditbox"] {
        let answer = server.list(shown);
        assert!(answer.text.contains("audit_log.list"), "{shown}: {}", answer.text);
    }
    let everything = server.list("include_own=true");
    assert!(everything.text.contains("audit_log.list") && everything.identifiers().contains(&"e1".to_owned()));
    assert_eq!(server.list("include_own=false").identifiers(), ["e1"]);
}

#[test]
fn the_setting_writes_records_only_writes() {
    let server = Server::start_with(&[WRITES]);
    let token = server.credential("reader", &["read"]);
    assert_eq!(server.get("/v1/audit-log?entity=read").status, 200);
    assert_eq!(server.get("/v1/audit-log/nothing").status, 404);
    assert_eq!(server.request_as(&token, "POST", "/v1/audit-log?x=1", "{}").status, 403);
    assert_eq!(server.post("/v1/audit-log", "{}").status, 422);
    assert_eq!(server.post("/v1/credentials", "{}").status, 422);
    let expected = [
        ("credential.create", Value::Null),
        ("credential.create", json!(201)),
        ("audit_log.ingest", json!(403)),
        ("audit_log.ingest", json!(422)),
        ("credential.create", json!(422)),
    ];
    // A stop writes all waiting records, so reads would be recorded by now.
    let (_, directory) = server.stop();
    let server = Server::start_in(directory, &[OFF]);
    let found = server.list("origin=auditbox&sort=received&order=asc").json();
    let found: Vec<_> = found["audits"].as_array().unwrap().iter().collect();
    let found: Vec<_> =
        found.iter().map(|event| (event["action"].as_str().unwrap(), event["request"]["statusCode"].clone())).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_setting_off_records_only_changes_of_credentials() {
    let server = Server::start_with(&[OFF]);
    server.credential("reader", &["read"]);
    assert_eq!(server.get("/v1/audit-log?entity=read").status, 200);
    assert_eq!(server.post("/v1/audit-log", "{}").status, 422);
    assert_eq!(server.post("/v1/credentials", "{}").status, 422);
    let (_, directory) = server.stop();
    let server = Server::start_in(directory, &[OFF]);
    assert_eq!(actions(&server), ["credential.create", "credential.create"]);
}

#[test]
fn records_of_reads_are_written_before_the_server_stops() {
    let server = Server::start();
    for number in 0..20 {
        assert_eq!(server.get(&format!("/v1/audit-log?entity=n{number}")).status, 200);
    }
    let (status, directory) = server.stop();
    assert!(status.success());
    let server = Server::start_in(directory, &[]);
    assert_eq!(records(&server, "/v1/audit-log?entity=n").len(), 20);
}

#[test]
fn a_request_with_a_path_or_user_agent_of_any_length_is_recorded() {
    let server = Server::start();
    let (bearer, agent) = (format!("Bearer {}", server.token), "é".repeat(6_000));
    let path = format!("/v1/audit-log?entity={}", "%C3%A9".repeat(2_000));
    let headers = [("authorization", &*bearer), ("user-agent", &*agent)];
    let answer = server.request("GET", &path, &headers, b"");
    assert_eq!(answer.status, 200, "{}", answer.text);
    let event = record(&server, "/v1/audit-log?entity=%C3%A9%C3%A9");
    for (key, whole) in [("path", &path), ("userAgent", &agent)] {
        let kept = event["request"][key].as_str().unwrap();
        assert!(whole.starts_with(kept.split_once('…').unwrap().0) && kept.len() <= 1_024, "{key}: {kept}");
    }
}

/// More reads than the buffer of their records holds, faster than batches with a pause between them could write them.
#[test]
fn every_one_of_many_reads_is_recorded() {
    const CONNECTIONS: i64 = 4;
    const READS: i64 = 6_000;
    let server = Server::start();
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut connection = Connection::open(&server.url).unwrap();
                for _ in 0..READS {
                    assert_eq!(connection.request("GET", "/v1/none", &server.token, "").unwrap().status, 404);
                }
            });
        }
    });
    let database = server.database();
    let (status, directory) = server.stop();
    assert!(status.success());
    let events =
        Database::open(database).unwrap().query_row("SELECT count(*) FROM event", [], |row| row.get::<_, i64>(0));
    // The first start's credential and the harness's login are recorded too.
    assert_eq!(events.unwrap(), CONNECTIONS * READS + 2);
    drop(directory);
}

#[test]
fn a_rejected_key_of_any_length_is_reported_and_recorded_truncated() {
    let server = Server::start();
    let event = format!(r#"{{"action":"A","resourceType":"x","{}\u0000":1}}"#, "k".repeat(500_000));
    let answer = server.post("/v1/audit-log", &event);
    assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()));
    assert!(answer.text.len() < 2_000, "{}", answer.text.len());
    assert_eq!(record(&server, "/v1/audit-log")["request"]["statusCode"], 422);
}

#[test]
fn a_request_is_recorded_although_its_client_disconnects() {
    let server = Server::start();
    // Parsing takes long enough on another thread that the client is gone by then.
    let event = format!(r#"{{"action":"","resourceType":"x","message":"{}"}}"#, "m".repeat(900_000));
    let mut connection = Connection::open(&server.url).unwrap();
    let (token, length) = (&server.token, event.len());
    let head = "POST /v1/audit-log HTTP/1.1\r\nhost: x\r\nauthorization: Bearer";
    connection.send(&format!("{head} {token}\r\ncontent-length: {length}\r\n\r\n{event}")).unwrap();
    drop(connection);
    assert_eq!(record(&server, "/v1/audit-log")["request"]["statusCode"], 422);
}
