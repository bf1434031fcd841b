//! OTLP over HTTP.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use super::{post, server_with_sender, stored};
use crate::harness::{Answer, Server};

/// `{"resourceLogs":[…]}` with these log records.
fn logs(records: &str) -> String {
    format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},"scopeLogs":[{{"scope":{{"name":"lib"}},"logRecords":[{records}]}}]}}]}}"#
    )
}

const RECORD: &str = r#"{"timeUnixNano":"1767323045123456789","severityNumber":9,"eventName":"role.update","body":{"stringValue":"role changed"},"attributes":[{"key":"enduser.id","value":{"stringValue":"alice"}},{"key":"client.address","value":{"stringValue":"203.0.113.7"}}],"traceId":"4bf92f3577b34da6a3ce929d0e0e4736"}"#;

/// The same in protobuf, with the fields of opentelemetry-proto 1.x.
fn protobuf() -> Vec<u8> {
    fn field(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag << 3 | 2];
        let mut length = content.len();
        while length >= 0x80 {
            bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        bytes.push(u8::try_from(length).unwrap());
        bytes.extend_from_slice(content);
        bytes
    }
    let text = |tag: u8, text: &str| field(tag, text.as_bytes());
    let pair = |key: &str, value: &str| [text(1, key), field(2, &text(1, value))].concat();
    let trace =
        (0..16).map(|at| u8::from_str_radix(&"4bf92f3577b34da6a3ce929d0e0e4736"[at * 2..at * 2 + 2], 16).unwrap());
    let record = [
        [&[1 << 3 | 1][..], &1_767_323_045_123_456_789_u64.to_le_bytes()].concat(),
        vec![2 << 3, 9],
        field(5, &text(1, "role changed")),
        field(6, &pair("enduser.id", "alice")),
        field(6, &pair("client.address", "203.0.113.7")),
        field(9, &trace.collect::<Vec<u8>>()),
        text(12, "role.update"),
        // A field that does not exist yet.
        text(99 % 32 + 12, "unknown"),
    ]
    .concat();
    let scope_logs = [field(1, &text(1, "lib")), field(2, &record)].concat();
    let resource = field(1, &pair("service.name", "shop"));
    field(1, &[field(1, &resource), field(2, &scope_logs)].concat())
}

fn send(server: &Server, sender: &str, content_type: &str, body: &[u8]) -> Answer {
    server.request("POST", "/v1/logs", &[("authorization", sender), ("content-type", content_type)], body)
}

#[test]
fn both_encodings_give_the_same_event() {
    let (server, sender) = server_with_sender("");
    let answer = send(&server, &sender, "application/json", logs(RECORD).as_bytes());
    assert_eq!((answer.status, answer.text.as_str()), (200, "{}"));
    let answer = send(&server, &sender, "application/x-protobuf", &protobuf());
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    assert_eq!(answer.header("content-type"), Some("application/x-protobuf"));
    let events = stored(&server, "actor=alice");
    assert_eq!(events.len(), 2);
    for event in &events {
        assert_eq!((&event["action"], &event["resourceType"]), (&json!("role.update"), &json!("shop")), "{event}");
        assert_eq!((&event["message"], &event["request"]["ip"]), (&json!("role changed"), &json!("203.0.113.7")));
        assert_eq!(event["trigger"]["at"], "2026-01-02T03:04:05.123456Z");
        assert_eq!(event["context"]["runId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(event["mapping"], json!({ "preset": "otlp@1", "door": "otlp" }));
    }
    assert_eq!(events[0]["additionalData"], events[1]["additionalData"]);
}

#[test]
fn a_log_record_that_cannot_be_read_costs_no_other() {
    let (server, sender) = server_with_sender("[limits]\nevent_bytes_max = 2000\n");
    let large = RECORD.replace("role changed", &"x".repeat(3_000));
    let answer = send(&server, &sender, "application/json", logs(&format!("{RECORD},{large},{RECORD}")).as_bytes());
    let partial = &answer.json()["partialSuccess"];
    assert_eq!((answer.status, &partial["rejectedLogRecords"]), (200, &json!("1")), "{}", answer.text);
    assert!(partial["errorMessage"].as_str().unwrap().contains("2000 bytes"), "{partial}");
    assert_eq!(stored(&server, "actor=alice").len(), 2);
}

#[test]
fn an_empty_request_stores_nothing_and_a_small_one_does_not_grow_without_bound() {
    let (server, sender) = server_with_sender("");
    for body in ["{}", " { } ", "{\"resourceLogs\":[]}"] {
        let answer = send(&server, &sender, "application/json", body.as_bytes());
        assert_eq!((answer.status, answer.text.as_str()), (200, "{}"), "{body}");
    }
    let resource = format!("{{\"x\":\"{}\"}}", "x".repeat(900_000));
    let records = vec!["{}"; 400].join(",");
    let body =
        format!("{{\"resourceLogs\":[{{\"resource\":{resource},\"scopeLogs\":[{{\"logRecords\":[{records}]}}]}}]}}");
    let answer = send(&server, &sender, "application/json", body.as_bytes());
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.text.contains("resource that they share"), "{}", answer.text);
    assert!(stored(&server, "").is_empty());
}

#[test]
fn errors_are_a_status_in_the_encoding_of_the_request() {
    let (server, sender) = server_with_sender("");
    for (authorization, content_type, body, status, code) in [
        ("Bearer none", "application/json", logs(RECORD), 401, 16),
        (&*sender, "application/json", "{\"resourceLogs\":".to_owned(), 400, 3),
        (&*sender, "text/plain", "x".to_owned(), 415, 3),
    ] {
        let answer = send(&server, authorization, content_type, body.as_bytes());
        let error: Value = answer.json();
        assert_eq!((answer.status, &error["code"]), (status, &json!(code)), "{}", answer.text);
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
    }
    let answer = server.request("POST", "/v1/logs", &[("content-type", "application/x-protobuf")], b"");
    assert_eq!((answer.status, answer.header("content-type")), (401, Some("application/x-protobuf")));
    assert!(answer.text.contains("send a token"), "{}", answer.text);
    let empty = post(&server, "/v1/logs", &sender, "");
    assert_eq!(empty.status, 415, "{}", empty.text);
}

#[test]
fn a_large_body_and_a_compressed_one_are_stored() {
    let (server, sender) = server_with_sender("");
    let record = RECORD.replace("role changed", &"x".repeat(20_000));
    let large = logs(&vec![record; 1_000].join(","));
    assert!(large.len() > 20_000_000);
    let answer = send(&server, &sender, "application/json", large.as_bytes());
    assert_eq!((answer.status, answer.text.as_str()), (200, "{}"));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&protobuf()).unwrap();
    let headers =
        [("authorization", &*sender), ("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
    assert_eq!(server.request("POST", "/v1/logs", &headers, &gzip.finish().unwrap()).status, 200);
    assert_eq!(server.get("/v1/audit-log/stats?actor=alice").json()["count"], 1_001);
}

#[test]
fn parts_of_another_form_are_stored_as_they_are() {
    let (server, sender) = server_with_sender("");
    let part = r#"{"eventName":"a"}"#;
    let mut count = 0;
    for body in [
        format!(r#"{{"resourceLogs":{{"scopeLogs":[{{"logRecords":[{part}]}}]}}}}"#),
        format!(r#"{{"resourceLogs":[{{"scopeLogs":{{"logRecords":[{part}]}}}}]}}"#),
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":{part}}}]}}]}}"#),
        format!(r#"{{"resourceLogs":[{{"scope_logs":[{{"log_records":[{part}]}}]}}]}}"#),
        format!(r#"{{"resourceLogs":[{{"instrumentationLibraryLogs":[{{"logRecords":[{part}]}}]}}]}}"#),
        r#"{"resourceLogs":[5]}"#.to_owned(),
        r#"{"resourceLogs":[{"scopeLogs":"x"}]}"#.to_owned(),
    ] {
        let answer = send(&server, &sender, "application/json", body.as_bytes());
        assert_eq!((answer.status, answer.text.as_str()), (200, "{}"), "{body}");
        count += 1;
        assert_eq!(stored(&server, "").len(), count, "{body}");
    }
    assert_eq!(stored(&server, "action=a").len(), 3);
    for body in [r#"{"resourceLogs":null}"#, r#"{"resourceLogs":[{"resource":{},"scopeLogs":null}]}"#] {
        assert_eq!(send(&server, &sender, "application/json", body.as_bytes()).text, "{}");
        assert_eq!(stored(&server, "").len(), count, "{body}");
    }
}
