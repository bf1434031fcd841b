//! The HTTP Event Collector.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use super::{post, server_with_sender, stored};
use crate::harness::Server;

const EVENT: &str = r#"{"time":1767323045.678,"host":"web-1","source":"shop","sourcetype":"audit","event":{"action":"role.update","user":"alice","ip":"203.0.113.7","resource":"billing"}}"#;

fn splunk(sender: &str) -> String {
    sender.replace("Bearer", "Splunk")
}

fn reply(server: &Server, path: &str, authorization: &str, body: &str) -> (u16, Value) {
    let headers = [("authorization", authorization), ("content-type", "application/x-www-form-urlencoded")];
    let answer = server.request("POST", path, &headers, body.as_bytes());
    (answer.status, answer.json())
}

#[test]
fn events_in_a_row_are_stored_with_what_surrounds_them() {
    let (server, sender) = server_with_sender("");
    for path in ["/services/collector", "/services/collector/event", "/services/collector/event/1.0"] {
        let answer = reply(&server, path, &splunk(&sender), &format!("{EVENT}{EVENT}\n{EVENT}"));
        assert_eq!(answer, (200, json!({ "text": "Success", "code": 0 })), "{path}");
    }
    let events = stored(&server, "actor=alice");
    assert_eq!(events.len(), 9);
    let event = &events[0];
    assert_eq!((&event["action"], &event["resourceType"]), (&json!("role.update"), &json!("audit")));
    assert_eq!((&event["context"]["entity"], &event["request"]["ip"]), (&json!("billing"), &json!("203.0.113.7")));
    assert_eq!(event["trigger"]["at"], "2026-01-02T03:04:05.678000Z");
    assert_eq!(event["additionalData"], serde_json::from_str::<Value>(EVENT).unwrap());
}

#[test]
fn json_in_a_string_is_read() {
    let (server, sender) = server_with_sender("");
    let body = json!({ "sourcetype": "app", "event": json!({ "action": "login", "user": "alice" }).to_string() });
    assert_eq!(post(&server, "/services/collector", &sender, body.to_string()).status, 200);
    let events = stored(&server, "actor=alice");
    assert_eq!((events.len(), &events[0]["action"], &events[0]["additionalData"]), (1, &json!("login"), &body));
}

#[test]
fn lines_are_events_of_their_own() {
    let (server, sender) = server_with_sender("");
    let path = "/services/collector/raw?sourcetype=app&host=web-2&channel=0";
    let answer =
        reply(&server, path, &splunk(&sender), "user alice signed in\n\n{\"action\":\"logout\",\"user\":\"alice\"}\n");
    assert_eq!(answer, (200, json!({ "text": "Success", "code": 0 })));
    let events = stored(&server, "resources=app");
    assert_eq!(events.len(), 2);
    assert_eq!(
        (&events[1]["message"], &events[1]["context"]["entity"]),
        (&json!("user alice signed in"), &json!("web-2"))
    );
    assert_eq!(events[0]["action"], "logout");
}

#[test]
fn a_bad_event_costs_no_other_and_only_a_body_of_bad_ones_is_an_error() {
    let (server, sender) = server_with_sender("");
    let answer = reply(&server, "/services/collector", &splunk(&sender), &format!("{EVENT}{{\"event\":\"\"}}{EVENT}"));
    assert_eq!(answer, (200, json!({ "text": "Success", "code": 0, "invalid-event-number": 1 })));
    assert_eq!(stored(&server, "").len(), 2);
    for (body, code) in
        [("", 5), (" ", 5), ("{\"time\":1}", 12), ("{\"event\":null}", 12), ("{\"event\":\"\"}", 13), ("x", 6)]
    {
        let (status, answer) = reply(&server, "/services/collector", &splunk(&sender), body);
        assert_eq!((status, &answer["code"]), (400, &json!(code)), "{body}: {answer}");
    }
}

#[test]
fn codes_tell_what_is_wrong_with_a_token() {
    let (server, _) = server_with_sender("");
    let answer = server.request("POST", "/services/collector", &[], EVENT.as_bytes());
    assert_eq!((answer.status, &answer.json()["code"]), (401, &json!(2)));
    for (authorization, expected) in [("Splunk 0000", (403, 4)), ("Digest none", (401, 3)), ("Basic !", (401, 3))] {
        let (status, answer) = reply(&server, "/services/collector", authorization, EVENT);
        assert_eq!((status, &answer["code"]), (expected.0, &json!(expected.1)), "{authorization}");
    }
}

#[test]
fn health_and_acknowledgements_are_answered() {
    let (server, sender) = server_with_sender("");
    for path in ["/services/collector/health", "/services/collector/health/1.0"] {
        let answer = server.request("GET", path, &[], b"");
        assert_eq!((answer.status, &answer.json()["code"]), (200, &json!(17)));
    }
    let (status, answer) = reply(&server, "/services/collector/ack?channel=0", &splunk(&sender), "{\"acks\":[0]}");
    assert_eq!((status, &answer["code"]), (400, &json!(14)));
    assert_eq!(server.request("OPTIONS", "/services/collector", &[], b"").status, 200);
}

#[test]
fn another_preset_reads_the_event_alone() {
    let (server, sender) = server_with_sender("[doors.presets]\nsender = 'github'\n");
    let inner = |id: &str| json!({ "@timestamp": 1_767_323_045_678_u64, "action": "repo.destroy", "actor": "alice", "repo": "shop/api", "_document_id": id });
    let body = json!({ "time": 1_767_323_045, "event": inner("d-1") }).to_string()
        + &json!({ "event": inner("d-2").to_string() }).to_string();
    for _ in 0..2 {
        assert_eq!(post(&server, "/services/collector", &sender, &body).status, 200);
    }
    let events = stored(&server, "action=repo.destroy");
    let mut identifiers: Vec<_> = events.iter().map(|event| event["identifier"].as_str().unwrap()).collect();
    identifiers.sort_unstable();
    assert_eq!(identifiers, ["d-1", "d-2"]);
    for event in &events {
        assert_eq!(
            (&event["trigger"]["by"]["name"], &event["context"]["entity"]),
            (&json!("alice"), &json!("shop/api"))
        );
        assert!(event["additionalData"]["event"].is_object() || event["additionalData"]["event"].is_string());
    }
}

#[test]
fn a_level_counts_if_the_status_says_nothing() {
    let (server, sender) = server_with_sender("");
    for (event, status) in [
        (json!({ "action": "a", "status": "done", "level": "error" }), "FAILURE"),
        (json!({ "action": "a", "status": 503 }), "FAILURE"),
        (json!({ "action": "a", "status": "ok", "level": "info" }), "SUCCESS"),
    ] {
        let body = json!({ "event": event }).to_string();
        assert_eq!(post(&server, "/services/collector", &sender, &body).status, 200);
        assert_eq!(stored(&server, "limit=1")[0]["status"], status, "{body}");
    }
}

#[test]
fn a_compressed_body_is_read() {
    let (server, sender) = server_with_sender("");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(format!("{EVENT}{EVENT}").as_bytes()).unwrap();
    let headers = [("authorization", &*splunk(&sender)), ("content-encoding", "gzip")];
    assert_eq!(server.request("POST", "/services/collector", &headers, &gzip.finish().unwrap()).status, 200);
    assert_eq!(stored(&server, "actor=alice").len(), 2);
}

#[test]
fn a_bad_object_costs_no_other_on_its_line() {
    let (server, sender) = server_with_sender("");
    for bad in [r#"{"event":{"v":NaN}}"#, r#"{"event":}"#, "{\"event\":\"\t\"}", r#"{"event":"x",}"#] {
        let body = format!("{EVENT}{bad}{EVENT}{EVENT}");
        let answer = reply(&server, "/services/collector", &splunk(&sender), &body);
        assert_eq!(answer, (200, json!({ "text": "Success", "code": 0, "invalid-event-number": 1 })), "{bad}");
    }
    assert_eq!(stored(&server, "actor=alice").len(), 12);
    let twice = reply(&server, "/services/collector", &splunk(&sender), r#"{"event":"one","event":{"action":"two"}}"#);
    assert_eq!(twice.0, 200);
    assert_eq!(stored(&server, "action=two").len(), 1);
}

#[test]
fn lines_keep_their_indent_and_a_byte_order_mark_is_passed() {
    let (server, sender) = server_with_sender("");
    let body = "\u{feff}{\"action\":\"marked\"}\r\n   indented\n";
    assert_eq!(reply(&server, "/services/collector/raw", &splunk(&sender), body).0, 200);
    assert_eq!(stored(&server, "action=marked").len(), 1);
    assert!(stored(&server, "").iter().any(|event| event["additionalData"]["event"] == "   indented"));
}
