//! `CloudEvents` over HTTP.

use serde_json::json;

use super::{server_with_sender, stored};

const EVENT: &str = r#"{"specversion":"1.0","id":"1","source":"/shop","type":"com.example.order.created","subject":"o-1","time":"2026-01-02T03:04:05Z","authid":"alice","data":{"total":1.50}}"#;

#[test]
fn every_content_mode_gives_the_same_event() {
    let (server, sender) = server_with_sender("");
    let send = |headers: &[(&str, &str)], body: &str| {
        let all = [&[("authorization", &*sender)], headers].concat();
        server.request("POST", "/cloudevents", &all, body.as_bytes()).status
    };
    assert_eq!(send(&[("content-type", "application/cloudevents+json; charset=utf-8")], EVENT), 204);
    let batch = format!("[{},{}]", EVENT.replace("\"id\":\"1\"", "\"id\":\"2\""), EVENT);
    assert_eq!(send(&[("content-type", "application/cloudevents-batch+json")], &batch), 204);
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "%33"),
        ("ce-source", "/shop"),
        ("ce-type", "com.example.order.created"),
        ("ce-subject", "o-1"),
        ("ce-time", "2026-01-02T03:04:05Z"),
        ("ce-authid", "alice"),
        ("content-type", "application/json"),
    ];
    assert_eq!(send(&binary, r#"{"total":1.50}"#), 204);
    let events = stored(&server, "entity=o-1");
    let mut identifiers: Vec<_> = events.iter().map(|event| event["identifier"].as_str().unwrap()).collect();
    identifiers.sort_unstable();
    assert_eq!(identifiers, ["/shop/1", "/shop/2", "/shop/3"]);
    for event in &events {
        assert_eq!((&event["action"], &event["resourceType"]), (&json!("created"), &json!("com.example.order")));
        assert_eq!(
            (&event["trigger"]["by"]["userId"], &event["trigger"]["at"]),
            (&json!("alice"), &json!("2026-01-02T03:04:05Z"))
        );
        assert_eq!(event["additionalData"]["data"]["total"], json!(1.5));
    }
}

#[test]
fn a_sender_is_allowed_and_may_present_its_token_in_the_address() {
    let (server, sender) = server_with_sender("");
    let origin = [("webhook-request-origin", "events.example.com"), ("webhook-request-rate", "120")];
    let answer = server.request("OPTIONS", "/cloudevents", &origin, b"");
    assert_eq!((answer.status, answer.header("webhook-allowed-origin")), (200, Some("events.example.com")));
    assert_eq!(answer.header("webhook-allowed-rate"), Some("*"));
    let path = format!("/cloudevents?access_token={}", sender.strip_prefix("Bearer ").unwrap());
    let structured = [("content-type", "application/cloudevents+json")];
    assert_eq!(server.request("POST", &path, &structured, EVENT.as_bytes()).status, 204);
}

#[test]
fn what_is_no_event_is_rejected_with_the_reason() {
    let (server, sender) = server_with_sender("");
    let send = |headers: &[(&str, &str)], body: &str| {
        let all = [&[("authorization", &*sender)], headers].concat();
        server.request("POST", "/cloudevents", &all, body.as_bytes())
    };
    assert_eq!(send(&[("content-type", "text/plain")], "x").status, 415);
    let xml = [("content-type", "application/cloudevents+xml"), ("ce-specversion", "1.0")];
    assert_eq!(send(&xml, "x").status, 415);
    // What is there is stored.
    for headers in
        [[("ce-specversion", "1.0"), ("ce-id", "1")], [("ce-specversion", "1.0"), ("ce-subject", "100% %ff")]]
    {
        assert_eq!(send(&headers, "").status, 204, "{headers:?}");
    }
    assert_eq!(stored(&server, "entity=100%25%20%25ff").len(), 1);
    let batch = format!("[{EVENT},{{\"id\":]");
    let answer = send(&[("content-type", "application/cloudevents-batch+json")], &batch);
    assert_eq!((answer.status, &answer.json()["rejected"]), (200, &json!(1)), "{}", answer.text);
}
