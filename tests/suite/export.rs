//! Exports: every matching event in a file, complete, in order, exactly as filtered. A failed export breaks off instead
//! of ending early.

use serde_json::{Value, json};

use crate::{
    harness::{Answer, Server, eventually},
    wire::Connection,
};

fn export(server: &Server, query: &str) -> Answer {
    server.get(&format!("/v1/audit-log/export?{query}"))
}

/// Events a second apart, oldest first, alternating between two entities.
fn events(count: usize) -> Vec<Value> {
    let event = |number: usize| {
        let (minute, second) = (number / 60 % 60, number % 60);
        json!({
            "identifier": format!("e{number:05}"), "action": "UPDATE", "resourceType": "entity",
            "trigger": { "at": format!("2024-05-01T{:02}:{minute:02}:{second:02}Z", number / 3600) },
            "context": { "entity": if number.is_multiple_of(2) { "even" } else { "odd" } },
        })
    };
    (0..count).map(event).collect()
}

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn identifiers(answer: &Answer) -> Vec<String> {
    lines(answer).iter().map(|event| event["identifier"].as_str().unwrap().to_owned()).collect()
}

fn table(answer: &Answer) -> (Vec<String>, Vec<Vec<String>>) {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let mut reader = csv::Reader::from_reader(answer.text.as_bytes());
    let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
    (header, rows)
}

#[test]
fn it_needs_the_scope_read() {
    let server = Server::start();
    let path = "/v1/audit-log/export?format=csv";
    assert_eq!(server.request("GET", path, &[], b"").refusal(), (401, "unauthorized".to_owned()));
    let sender = server.credential("sender", &["ingest", "admin"]);
    assert_eq!(server.request_as(&sender, "GET", path, "").refusal(), (403, "forbidden".to_owned()));
}

#[test]
fn invalid_parameters_are_rejected_by_name() {
    let server = Server::start();
    for (query, named) in [
        ("", "format"),
        ("format=xml", "format"),
        ("format=csv&format=ndjson", "format"),
        ("format=csv&includes=action", "includes"),
        ("format=csv&nonsense=1", "nonsense"),
        ("format=ndjson&limit=0", "limit"),
        ("format=ndjson&cursor=x", "cursor"),
    ] {
        let answer = export(&server, query);
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{query}");
        assert_eq!(answer.json()["details"][0]["parameter"], named, "{query}: {}", answer.text);
    }
}

#[test]
fn every_match_is_exported_in_list_order_beyond_the_limit_of_a_list() {
    let limits = [("AUDITBOX_LIMITS_LIST_MAX", "10"), ("AUDITBOX_LIMITS_LIST_DEFAULT", "10")];
    let server = Server::start_with(&limits);
    // More than two pages of the search, and more than one slice.
    let all = events(9_000);
    all.chunks(3_000).for_each(|batch| drop(server.store(batch)));
    let expected = |keep: &dyn Fn(usize) -> bool| -> Vec<String> {
        (0..9_000).rev().filter(|number| keep(*number)).map(|number| format!("e{number:05}")).collect()
    };
    assert_eq!(identifiers(&export(&server, "format=ndjson")), expected(&|_| true));
    assert_eq!(identifiers(&export(&server, "format=ndjson&entity=odd")), expected(&|number| number % 2 == 1));
    let oldest: Vec<_> = expected(&|_| true).into_iter().rev().take(5_000).collect();
    assert_eq!(identifiers(&export(&server, "format=ndjson&order=asc&limit=5000")), oldest);
    let arrival = identifiers(&export(&server, "format=ndjson&sort=received&order=asc"));
    assert_eq!(arrival, expected(&|_| true).into_iter().rev().collect::<Vec<_>>());
    let (_, rows) = table(&export(&server, "format=csv&entity=even&from=2024-05-01T01:00:00Z"));
    assert_eq!(rows.len(), expected(&|number| number % 2 == 0 && number >= 3_600).len());
    // An export from a cursor continues as the list does.
    let next = server.list("limit=10").json()["next"].as_str().unwrap().to_owned();
    let rest = identifiers(&export(&server, &format!("format=ndjson&cursor={next}")));
    assert_eq!(rest, expected(&|number| number < 8_990));
}

#[test]
fn without_a_match_the_file_is_empty() {
    let server = Server::start();
    let answer = export(&server, "format=ndjson");
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    let (header, rows) = table(&export(&server, "format=csv"));
    assert_eq!((header[0].as_str(), rows.len()), ("trigger.at", 0));
}

#[test]
fn a_line_is_the_stored_event_and_never_two() {
    let server = Server::start();
    let sent = "{\"identifier\":\"e1\",\"action\":\"READ\",\"resourceType\":\"x\",\"additionalData\":{\n \"n\": 1.0,\r\n \"t\": \"a\\nb\"}}";
    assert_eq!(server.post("/v1/audit-log", sent).status, 201);
    let answer = export(&server, "format=ndjson");
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(answer.text.lines().count(), 1, "{}", answer.text);
    assert!(answer.text.contains(r#""additionalData":{  "n": 1.0,   "t": "a\nb"}"#), "{}", answer.text);
    let listed = server.list("").json()["audits"][0].clone();
    assert_eq!(lines(&answer), [listed]);
    let answer = export(&server, "format=ndjson&includes=action");
    assert_eq!(answer.text, "{\"action\":\"READ\"}\n");
}

#[test]
fn a_row_has_every_value_and_no_formula() {
    let server = Server::start();
    server.store(&[json!({
        "identifier": "=cmd|' /C calc'!A0", "action": "+1", "resourceType": "@SUM(A1)", "status": "FAILURE",
        "message": "\tquoted \"text\", and\r\nlines",
        "trigger": { "at": "2024-05-01T14:00:00+02:00", "origin": "-1", "by": { "name": "Ä é 🦀" } },
        "context": { "entity": "<script>" }, "request": { "method": "GET", "statusCode": 404 },
        "diff": { "before": null, "after": { "n": 1 } }, "additionalData": [1, 2],
    })]);
    let answer = export(&server, "format=csv");
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    let disposition = answer.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment; filename=\"audit-log-2") && disposition.ends_with("Z.csv\""));
    let (header, rows) = table(&answer);
    let cell = |name: &str| rows[0][header.iter().position(|known| known == name).unwrap()].as_str();
    for (name, expected) in [
        ("trigger.at", "2024-05-01T12:00:00.000000Z"),
        ("identifier", "'=cmd|' /C calc'!A0"),
        ("action", "'+1"),
        ("resourceType", "'@SUM(A1)"),
        ("status", "FAILURE"),
        ("message", "'\tquoted \"text\", and\r\nlines"),
        ("trigger.origin", "'-1"),
        ("trigger.by.name", "Ä é 🦀"),
        ("trigger.by.email", ""),
        ("context.entity", "<script>"),
        ("request.statusCode", "404"),
        ("diff.before", ""),
        ("diff.after", r#"{"n":1}"#),
        ("additionalData", "[1,2]"),
        ("receivedBy", "admin"),
    ] {
        assert_eq!(cell(name), expected, "{name}");
    }
    assert_eq!(rows.len(), 1);
}

#[test]
fn no_cell_is_a_formula_however_its_sign_is_written() {
    let server = Server::start();
    let formulas = [
        "＝1+1",
        "＋1",
        "－1",
        "＠SUM(A1)",
        "﹦1",
        "﹢1",
        "﹣1",
        "﹫a",
        "⁼1",
        "₊1",
        "−1",
        "⁻1",
        "⩵1",
        "\u{fb29}1",
        " =1",
        "\u{3000}＝1",
        "\u{feff}=1",
        "\u{200b}\u{a0}@a",
        "\u{202e}=1",
        "\u{1}=1",
        "\u{ad}\t-1",
        "\n\n=1",
    ];
    let plain = ["a=1", "'=1", "1-1", " a", "\u{feff}a", "é", "〒=1"];
    for (number, text) in formulas.iter().chain(&plain).enumerate() {
        let event = json!({ "identifier": format!("e{number}"), "action": "A", "resourceType": "x", "message": text });
        assert_eq!(server.post("/v1/audit-log", &event.to_string()).status, 201, "{text:?}");
    }
    let (header, rows) = table(&export(&server, "format=csv&sort=received&order=asc"));
    let column = header.iter().position(|known| known == "message").unwrap();
    let cells: Vec<_> = rows.iter().map(|row| row[column].as_str()).collect();
    let expected = formulas.iter().map(|text| format!("'{text}")).chain(plain.iter().map(|text| (*text).to_owned()));
    assert_eq!(cells, expected.collect::<Vec<_>>());
}

#[test]
fn keys_without_a_column_are_in_the_last_one() {
    let server = Server::start();
    let sent = r#"{"identifier":"e1","action":"A","resourceType":"x","ticket":1.0,"trigger":{"by":{"team":"a \"b\""}},"context":{"entity":"e","region":null},"diff":{"why":[1, 2]}}"#;
    assert_eq!(server.post("/v1/audit-log", sent).status, 201);
    server.store(&[
        json!({ "identifier": "e0", "action": "A", "resourceType": "x", "trigger": { "at": "2024-05-01T12:00:00Z" } }),
    ]);
    let (header, rows) = table(&export(&server, "format=csv"));
    assert_eq!(header.last().map(String::as_str), Some("others"));
    let others: Value = serde_json::from_str(rows[0].last().unwrap()).unwrap();
    let expected = json!({
        "ticket": 1.0, "trigger": { "by": { "team": "a \"b\"" } }, "context": { "region": null }, "diff": { "why": [1, 2] },
    });
    assert_eq!(others, expected);
    assert!(rows[0].last().unwrap().contains("1.0"), "{rows:?}");
    assert_eq!(rows[1].last().map(String::as_str), Some(""));
}

#[test]
fn a_client_of_http_1_0_gets_no_export() {
    let server = Server::start();
    let mut connection = Connection::open(&server.url).unwrap();
    let token = &server.token;
    let request = format!("GET /v1/audit-log/export?format=csv HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n");
    connection.send(&request).unwrap();
    let answer = connection.rest().unwrap();
    assert!(answer.contains(" 422 ") && answer.contains("HTTP/1.1"), "{answer}");
}

/// The records of exports: the outcome of each, and its message.
fn records(server: &Server) -> Vec<(String, Value)> {
    let answer = server.list("origin=auditbox&action=audit_log.export&sort=received&order=asc").json();
    let audits = answer["audits"].as_array().unwrap().clone();
    audits.iter().map(|event| (event["status"].as_str().unwrap().to_owned(), event["message"].clone())).collect()
}

#[test]
fn exports_are_recorded_with_any_self_audit_setting() {
    for policy in ["writes", "off"] {
        let server = Server::start_with(&[("AUDITBOX_SELF_AUDIT_RECORD", policy)]);
        export(&server, "format=csv");
        export(&server, "format=xml");
        let (_, directory) = server.stop();
        let server = Server::start_in(directory, &[]);
        let found = records(&server);
        let endings: Vec<_> = found.iter().map(|(status, _)| status.as_str()).collect();
        assert_eq!(endings, ["SUCCESS", "FAILURE"], "{policy}: {found:?}");
    }
}

#[test]
fn an_export_is_recorded() {
    let server = Server::start();
    export(&server, "format=csv&entity=a");
    let records = eventually("the record", || {
        let answer = server.list("origin=auditbox&action=audit_log.export").json();
        Some(answer["audits"].as_array().unwrap().clone()).filter(|found| !found.is_empty())
    });
    assert_eq!(records[0]["request"]["path"], "/v1/audit-log/export?format=csv&entity=a");
}

#[test]
fn an_abandoned_export_is_not_recorded_as_complete() {
    let server = Server::start();
    let filling = "x".repeat(900_000);
    for number in 0..30 {
        server.store(&[json!({ "identifier": format!("e{number}"), "action": "A", "resourceType": "x", "additionalData": filling })]);
    }
    let mut connection = Connection::open(&server.url).unwrap();
    let token = &server.token;
    let path = "/v1/audit-log/export?format=ndjson";
    connection.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n")).unwrap();
    assert!(connection.line().unwrap().contains(" 200 "));
    drop(connection);
    let found = eventually("the record", || Some(records(&server)).filter(|found| !found.is_empty()));
    assert_eq!(found[0].0, "FAILURE", "{found:?}");
}

#[test]
fn a_failure_in_the_middle_breaks_the_connection() {
    // More events than one page of the search. The oldest are in a chunk whose index cannot be read, so the failure
    // comes after most of the data.
    let server = Server::start_chunked(1_024);
    let event = |number: usize| json!({ "identifier": format!("e{number}"), "action": "READ", "resourceType": "x" });
    for batch in 0..6 {
        server.store(&(batch * 1_000..(batch + 1) * 1_000).map(event).collect::<Vec<_>>());
    }
    let database = rusqlite::Connection::open(server.database()).unwrap();
    let sealed = || database.query_row("SELECT EXISTS (SELECT 1 FROM chunk)", [], |row| row.get(0)).unwrap();
    eventually("sealing", || Some(()).filter(|()| sealed()));
    database
        .execute("UPDATE chunk_time SET times = x'00' WHERE place = (SELECT min(place) FROM chunk_time)", [])
        .unwrap();
    for format in ["csv", "ndjson"] {
        let mut connection = Connection::open(&server.url).unwrap();
        let request = format!(
            "GET /v1/audit-log/export?format={format} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
            server.token
        );
        connection.send(&request).unwrap();
        let answer = connection.rest().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:.200}");
        assert!(answer.contains("e5999") && !answer.contains("e0\""), "{answer:.400}");
        assert!(!answer.ends_with("0\r\n\r\n"), "it ends as if it were complete");
    }
    let found = eventually("the records", || Some(records(&server)).filter(|found| found.len() == 2));
    for (status, message) in found {
        assert_eq!(status, "FAILURE");
        assert!(message.as_str().unwrap().starts_with("interrupted after "), "{message}");
    }
    assert_eq!(server.log().matches("an export broke off").count(), 2, "{}", server.log());
}

#[test]
fn a_failure_in_the_middle_of_a_list_breaks_its_connection_too_and_is_logged() {
    let server = Server::start();
    let filling = "x".repeat(100_000);
    let event = |number: usize| json!({ "identifier": format!("e{number}"), "action": "READ", "resourceType": "x", "additionalData": filling });
    for batch in 0..5 {
        server.store(&(batch * 100..(batch + 1) * 100).map(event).collect::<Vec<_>>());
    }
    let mut connection = Connection::open(&server.url).unwrap();
    let request = format!("GET /v1/audit-log HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", server.token);
    connection.send(&request).unwrap();
    assert!(connection.line().unwrap().contains(" 200 "));
    // Sockets hold less than what is still to be sent.
    let database = rusqlite::Connection::open(server.database()).unwrap();
    database.execute_batch("ALTER TABLE event RENAME TO gone").unwrap();
    let answer = connection.rest().unwrap();
    assert!(answer.contains("\"e499\"") && !answer.contains("\"e0\""));
    assert!(!answer.ends_with("0\r\n\r\n"), "it ends as if it were complete");
    assert!(server.log().contains("a list broke off"), "{}", server.log());
}
