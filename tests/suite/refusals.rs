//! Rejected events: each error names the field, and nothing is stored.

use serde_json::json;

use crate::harness::Server;

const LOG: &str = "/v1/audit-log";

/// A valid event except for `part`.
fn with(part: &str) -> String {
    format!(r#"{{"action":"A","resourceType":"x",{part}}}"#)
}

/// Sends each event, which must be rejected because of its field.
fn assert_refused(server: &Server, events: &[(String, &str)]) {
    for (event, field) in events {
        let answer = server.post(LOG, event);
        let shown: String = event.chars().take(200).collect();
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{shown}");
        let envelope = answer.json();
        assert_eq!(envelope["details"][0]["field"], *field, "{shown}: {envelope}");
        let message = envelope["message"].as_str().unwrap();
        assert!(message.contains(field) && message.len() < 500, "{shown}: {message}");
    }
    assert!(server.list("").identifiers().is_empty());
}

#[test]
fn wrong_types_and_values_are_rejected_by_field() {
    let server = Server::start();
    let mut events = vec![
        (r#"{"resourceType":"x"}"#.to_owned(), "action"),
        (r#"{"action":"A"}"#.to_owned(), "resourceType"),
        (r#"{"action":null,"resourceType":"x"}"#.to_owned(), "action"),
        (r#"{"action":7,"resourceType":"x"}"#.to_owned(), "action"),
        (r#"{"action":"A","resourceType":["x"]}"#.to_owned(), "resourceType"),
    ];
    for (part, field) in [
        (r#""identifier":[7]"#, "identifier"),
        (r#""status":"successful""#, "status"),
        (r#""status":"UNKNOWN""#, "status"),
        (r#""status":true"#, "status"),
        (r#""message":{}"#, "message"),
        (r#""trigger":"UI""#, "trigger"),
        (r#""trigger":[]"#, "trigger"),
        (r#""trigger":{"at":1714564800}"#, "trigger.at"),
        (r#""trigger":{"at":"yesterday"}"#, "trigger.at"),
        (r#""trigger":{"at":"2024-05-01"}"#, "trigger.at"),
        (r#""trigger":{"at":"2024-05-01T12:00:00"}"#, "trigger.at"),
        (r#""trigger":{"at":"2024-02-30T12:00:00Z"}"#, "trigger.at"),
        (r#""trigger":{"at":"2024-05-01T12:00:00+25:00"}"#, "trigger.at"),
        (r#""trigger":{"at":"12024-05-01T12:00:00Z"}"#, "trigger.at"),
        (r#""trigger":{"at":"9999-12-31T23:59:59-23:59"}"#, "trigger.at"),
        (r#""trigger":{"origin":{}}"#, "trigger.origin"),
        (r#""trigger":{"origin":"auditbox"}"#, "trigger.origin"),
        (r#""trigger":{"origin":"audit\u0062ox"}"#, "trigger.origin"),
        (r#""trigger":{"by":"me"}"#, "trigger.by"),
        (r#""trigger":{"by":{"userId":[7]}}"#, "trigger.by.userId"),
        (r#""trigger":{"by":{"orgId":{}}}"#, "trigger.by.orgId"),
        (r#""trigger":{"by":{"type":[]}}"#, "trigger.by.type"),
        (r#""trigger":{"by":{"name":[]}}"#, "trigger.by.name"),
        (r#""trigger":{"by":{"email":{}}}"#, "trigger.by.email"),
        (r#""context":"api""#, "context"),
        (r#""context":{"entity":{}}"#, "context.entity"),
        (r#""context":{"blueprint":[7]}"#, "context.blueprint"),
        (r#""context":{"runId":[]}"#, "context.runId"),
        (r#""context":{"webhookId":[true]}"#, "context.webhookId"),
        (r#""context":{"webhookEventId":{}}"#, "context.webhookEventId"),
        (r#""context":{"integrationId":{}}"#, "context.integrationId"),
        (r#""request":[]"#, "request"),
        (r#""request":{"method":[7]}"#, "request.method"),
        (r#""request":{"path":{}}"#, "request.path"),
        (r#""request":{"ip":[16843009]}"#, "request.ip"),
        (r#""request":{"userAgent":[]}"#, "request.userAgent"),
        (r#""request":{"statusCode":"OK"}"#, "request.statusCode"),
        (r#""request":{"statusCode":200.5}"#, "request.statusCode"),
        (r#""request":{"statusCode":1000}"#, "request.statusCode"),
        (r#""request":{"statusCode":99}"#, "request.statusCode"),
        (r#""request":{"statusCode":-200}"#, "request.statusCode"),
        (r#""diff":"none""#, "diff"),
        (r#""diff":[]"#, "diff"),
        (r#""receivedAt":"2024-05-01T12:00:00Z""#, "receivedAt"),
        (r#""receivedAt":null"#, "receivedAt"),
        (r#""receivedBy":"me""#, "receivedBy"),
    ] {
        events.push((with(part), field));
    }
    assert_refused(&server, &events);
}

#[test]
fn only_identifiers_are_limited_and_nul_and_empty_names_are_rejected_by_field() {
    let server = Server::start();
    let mut events = vec![(with(&nest("identifier", &"é".repeat(129))), "identifier")];
    // The number of bytes that the index keeps of each.
    for (field, bytes_max) in [
        ("identifier", 256),
        ("trigger.origin", 256),
        ("trigger.by.userId", 1_024),
        ("trigger.by.name", 1_024),
        ("trigger.by.type", 128),
        ("trigger.by.orgId", 8_192),
        ("context.entity", 1_024),
        ("context.blueprint", 1_024),
        ("context.runId", 1_024),
        ("context.actionType", 1_024),
        ("request.method", 128),
        ("request.path", 8_192),
        ("request.ip", 1_024),
        ("request.userAgent", 8_192),
    ] {
        events.push((with(&nest(field, "a\\u0000b")), field));
        // A two-byte character: lengths are in bytes.
        let (longest, longer) = ("é".repeat(bytes_max / 2), "é".repeat(bytes_max * 2));
        let kept = if field == "identifier" { vec![longest] } else { vec![longest, longer, String::new()] };
        for text in kept {
            let answer = server.post("/v1/audit-log?partial=true", &format!("[{},7]", with(&nest(field, &text))));
            assert_eq!(answer.json()["results"][0]["status"], 201, "{field}: {}", answer.text);
        }
    }
    for field in ["action", "resourceType"] {
        for text in [String::new(), "a\\u0000b".to_owned()] {
            let event = r#"{"action":"A","resourceType":"A"}"#.replacen(
                &format!(r#""{field}":"A""#),
                &format!(r#""{field}":"{text}""#),
                1,
            );
            events.push((event, field));
        }
    }
    events.push((with(r#""message":"a\u0000b""#), "message"));
    let fresh = Server::start();
    assert_refused(&fresh, &events);
}

/// Puts `text` at a dotted path.
fn nest(path: &str, text: &str) -> String {
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    if rest.is_empty() { format!(r#""{head}":"{text}""#) } else { format!(r#""{head}":{{{}}}"#, nest(rest, text)) }
}

#[test]
fn duplicate_keys_are_rejected_where_the_server_reads_and_kept_elsewhere() {
    let server = Server::start();
    for (event, named) in [
        (r#"{"action":"A","resourceType":"x","action":"B"}"#.to_owned(), "action"),
        (r#"{"action":"A","resourceType":"x","\u0061ction":"B"}"#.to_owned(), "action"),
        (with(r#""note":1,"note":1"#), "note"),
        (with(r#""receivedAt":null,"receivedAt":null"#), "receivedAt"),
        (with(r#""trigger":{"origin":"a","origin":"b"}"#), "trigger"),
        (with(r#""trigger":{"by":{"name":"a","name":"b"}}"#), "trigger.by"),
        (with(r#""context":{"entity":null,"entity":"b"}"#), "context"),
        (with(r#""request":{"odd":1,"odd":2}"#), "request"),
        (with(r#""diff":{"after":null,"after":{}}"#), "diff"),
    ] {
        let answer = server.post(LOG, &event);
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{event}");
        assert!(answer.json()["message"].as_str().unwrap().contains(named), "{}", answer.text);
    }
    assert!(server.list("").identifiers().is_empty());
    let kept = r#"{"k":1,"k":2}"#;
    let event = with(&format!(r#""additionalData":{kept},"diff":{{"after":{kept}}}"#));
    assert_eq!(server.post(LOG, &event).status, 201);
    assert_eq!(server.list("").text.matches(kept).count(), 2);
}

#[test]
fn undecodable_text_is_rejected_where_it_is_compared() {
    let server = Server::start();
    for (event, named) in [
        (with(r#""identifier":"\ud800""#), "identifier"),
        (with(r#""status":"\ud800""#), "status"),
        (with(r#""context":{"entity":"\udc00\ud800"}"#), "context.entity"),
        (with(r#""trigger":{"by":{"name":"\ud83dA"}}"#), "trigger.by.name"),
        (with(r#""trigger":{"at":"\ud83dA"}"#), "trigger.at"),
        (with(r#""diff":{"\ud800":1}"#), "diff"),
    ] {
        let answer = server.post(LOG, &event);
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{event}");
        assert_eq!(answer.json()["details"][0]["field"], named, "{}", answer.text);
    }
    assert_eq!(server.post(LOG, &with(r#""\ud800":1"#)).refusal().0, 422);
    assert_eq!(server.post(LOG, &with("\"message\":\"a\nb\"")).refusal().0, 422, "a raw control character");

    let bearer = format!("Bearer {}", server.token);
    let mut body = with(r#""message":"?""#).into_bytes();
    let place = body.iter().position(|byte| *byte == b'?').unwrap();
    body[place] = 0xff;
    let answer = server.request("POST", LOG, &[("authorization", &bearer)], &body);
    assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()));
    assert!(answer.json()["message"].as_str().unwrap().contains(&format!("UTF-8 at byte {place}")), "{}", answer.text);
    assert!(server.list("").identifiers().is_empty());
}

#[test]
fn null_at_a_known_key_counts_as_absent() {
    let server = Server::start();
    let nulls =
        r#""identifier":null,"status":null,"message":null,"trigger":null,"request":null,"diff":null,"note":null"#;
    assert_eq!(server.post(LOG, &with(nulls)).status, 201);
    let event = server.list("").json()["audits"][0].clone();
    for key in ["message", "request", "diff"] {
        assert_eq!(event.get(key), None, "{event}");
    }
    assert_eq!(event.get("note"), Some(&json!(null)), "an unknown key of the sender is kept");
}
