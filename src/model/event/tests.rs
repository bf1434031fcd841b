//! Events read, completed and compared.

use super::*;

const RECEIPT: Receipt<'_> = Receipt { at: Timestamp::from_micros(1_720_000_000_000_000), by: "ci" };

fn parse(text: &str) -> Result<EventDraft<'_>, FieldError> {
    EventDraft::parse(text, &EventLimits::default(), Sender::Client)
}

fn accept(text: &str) -> Event {
    parse(text).unwrap().accept(&RECEIPT)
}

#[test]
fn values_keep_the_senders_bytes_and_the_server_adds_its_own() {
    let event = accept(
        r#"{ "extra" : 9007199254740993, "diff":{"before":null,"after":{ "n": 1.0, "s":"\u00e9" }},"resourceType":"entity",
        "trigger":{"via":[1e2],"at":"2024-05-01T14:00:00+02:00"},"context":{"entity":"api","runId":null},
        "identifier":"e1","action":"UPDATE","message":null}"#,
    );
    let expected = concat!(
        r#"{"identifier":"e1","action":"UPDATE","resourceType":"entity","status":"SUCCESS","#,
        r#""trigger":{"at":"2024-05-01T14:00:00+02:00","origin":"API","via":[1e2]},"#,
        r#""context":{"entity":"api","runId":null},"diff":{"before":null,"after":{ "n": 1.0, "s":"\u00e9" }},"#,
        r#""extra":9007199254740993,"receivedAt":"2024-07-03T09:46:40.000000Z","receivedBy":"ci"}"#
    );
    assert_eq!(event.body, expected);
    assert_eq!(event.timestamp, Timestamp::parse("2024-05-01T12:00:00Z").unwrap());
    assert_eq!(event.values.first(Field::Entity), Some("api"));
    assert_eq!(event.values.first(Field::Run), None);
}

#[test]
fn an_event_without_identifier_or_time_gets_both() {
    let event = accept(r#"{"action":"READ","resourceType":"x"}"#);
    assert!(event.identifier.starts_with("event_"));
    assert_eq!(event.values.first(Field::Identifier), Some(event.identifier.as_str()));
    assert_eq!(event.timestamp, RECEIPT.at);
}

#[test]
fn a_time_too_far_ahead_stays_and_the_receipt_orders_the_event() {
    let sent = |at: &str| format!(r#"{{"identifier":"e","action":"A","resourceType":"x","trigger":{{"at":"{at}"}}}}"#);
    let (near, far) = (accept(&sent("2024-07-04T09:46:40Z")), accept(&sent("2024-07-04T09:46:40.000001Z")));
    assert_eq!(near.timestamp, RECEIPT.at.plus_seconds(86_400));
    assert!(!near.body.contains(ORDERED_BY), "{}", near.body);
    assert_eq!(far.timestamp, RECEIPT.at);
    assert!(far.body.contains(r#""at":"2024-07-04T09:46:40.000001Z""#), "{}", far.body);
    assert!(far.body.ends_with(r#","receivedBy":"ci","orderedBy":"receivedAt"}"#), "{}", far.body);
    for event in [&near, &far] {
        assert_eq!(searchable(&event.body).unwrap().0, event.timestamp);
        assert_eq!(received_at(&event.body), Some(RECEIPT.at));
    }
    // A retry may come when the time is no longer far ahead.
    let again = sent("2024-07-04T09:46:40.000001Z");
    let retry = parse(&again).unwrap().accept(&Receipt { at: RECEIPT.at.plus_seconds(60), by: "ci" });
    assert!(!retry.body.contains(ORDERED_BY));
    assert!(same_submission((&far.body, far.filled), (&retry.body, retry.filled)));
}

#[test]
fn a_servers_key_before_receivedat_belongs_to_the_sender() {
    // Accepted by a version that did not set the key.
    let at = |key: &str| {
        let sent = r#"{"identifier":"e","action":"A","resourceType":"x","trigger":{"at":"2999-01-01T00:00:00Z"}"#;
        let body = format!(r#"{sent}{key},"receivedAt":"2024-07-03T09:46:40.000000Z","receivedBy":"ci"}}"#);
        (searchable(&body).unwrap().0.to_string(), body)
    };
    let (plain, own) = (at(""), at(r#","orderedBy":"receivedAt""#));
    assert_eq!((plain.0.as_str(), own.0.as_str()), ("2999-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"));
    assert!(!same_submission((&plain.1, DefaultedFields::default()), (&own.1, DefaultedFields::default())));
}

#[test]
fn defaults_of_the_server_do_not_count_and_content_of_the_sender_does() {
    let bare = r#"{"identifier":"e","action":"READ","resourceType":"x"}"#;
    let first = accept(bare);
    let later = Receipt { at: RECEIPT.at.plus_seconds(9), by: "other" };
    let retry = parse(bare).unwrap().accept(&later);
    assert_ne!(first.body, retry.body);
    let same = |one: &Event, other: &Event| same_submission((&one.body, one.filled), (&other.body, other.filled));
    assert!(same(&first, &retry));
    for other in [
        r#"{"identifier":"e","action":"READ","resourceType":"x","status":"FAILURE"}"#,
        r#"{"identifier":"e","action":"READ","resourceType":"x","status":"success"}"#,
        r#"{"identifier":"e","action":"READ","resourceType":"x","trigger":{"at":"2024-07-03T09:46:41Z"}}"#,
        r#"{"identifier":"e","action":"READ","resourceType":"x","trigger":{"origin":"UI"}}"#,
        r#"{"identifier":"e","action":"READ","resourceType":"x","context":{}}"#,
        r#"{"identifier":"e","action":"READ","resourceType":"x","additionalData":null}"#,
        r#"{"identifier":"e","action":"READ","resourceType":"x","note":""}"#,
    ] {
        assert!(!same(&first, &accept(other)), "{other}");
    }
    // A default counts as if it had been sent, also the time at which the event was received.
    for other in [
        r#"{"identifier":"e","action":"READ","resourceType":"x","status":"SUCCESS","trigger":{"origin":"API"}}"#,
        r#"{"identifier":"e","action":"READ","resourceType":"x","trigger":{"at":"2024-07-03T11:46:40+02:00"}}"#,
        r#"{"identifier":"e","action":"READ","resourceType":"x","status":"","message":"","trigger":"","diff":null}"#,
        r#"{ "action" : "\u0052EAD", "resourceType":"x","trigger":{"at":"","origin":null,"by":null}, "identifier":"e"}"#,
    ] {
        assert!(same(&first, &accept(other)), "{other}");
    }
}

#[test]
fn what_can_be_kept_is_kept_and_read() {
    let read = |members: &str, field: Field| {
        let text = format!(r#"{{"action":"A","resourceType":"x",{members}}}"#);
        let event = accept(&text);
        // The bytes stay, and the index can be rebuilt from them.
        assert!(event.body.contains(members), "{members}: {}", event.body);
        let rebuilt = searchable(&event.body).unwrap().1;
        assert_eq!(rebuilt.first(field), event.values.first(field), "{members}");
        event.values.first(field).map(str::to_owned)
    };
    for (members, field, expected) in [
        (r#""context":{"entity":""}"#, Field::Entity, None),
        (r#""context":{"entity":42}"#, Field::Entity, Some("42")),
        (r#""context":{"runId":9007199254740993}"#, Field::Run, Some("9007199254740993")),
        (r#""request":{"ip":"","userAgent":"","path":"","method":""}"#, Field::Ip, None),
        (r#""request":{"userAgent":5}"#, Field::Path, None),
        (r#""request":{"userAgent":"Mozilla \ud83d"}"#, Field::Path, None),
        (r#""message":"""#, Field::Word, None),
        (r#""message":404"#, Field::Word, Some("404")),
        (r#""message":"cut \ud83d""#, Field::Word, Some("cut")),
        (r#""identifier":7"#, Field::Identifier, Some("7")),
        (r#""status":"success""#, Field::Status, Some("SUCCESS")),
        (r#""status":"Failure""#, Field::Status, Some("FAILURE")),
        (r#""request":{"statusCode":"403"}"#, Field::StatusCode, Some("403")),
        (r#""request":{"statusCode":200.0}"#, Field::StatusCode, Some("200")),
        (r#""request":{"statusCode":2e2}"#, Field::StatusCode, Some("200")),
        (r#""request":{"statusCode":"200.0"}"#, Field::StatusCode, Some("200")),
        (r#""request":{"statusCode":0}"#, Field::StatusCode, None),
        (r#""request":{"statusCode":"0"}"#, Field::StatusCode, None),
        (r#""request":{"statusCode":""}"#, Field::StatusCode, None),
        (r#""diff":{"before":"on","after":"off"}"#, Field::Word, None),
        (r#""diff":{"before":[1],"after":7}"#, Field::Word, None),
        (r#""diff":{"after":{"a":"\ud800"}}"#, Field::Word, None),
        (r#""additionalData":{"\udc00":["\ud800"]}"#, Field::Word, None),
        (r#""unknown":"\ud800""#, Field::Word, None),
    ] {
        assert_eq!(read(members, field).as_deref(), expected, "{members}");
    }
    for (by, expected) in [(r#"{"userId":42,"orgId":7}"#, Some("42")), (r#"{"name":true}"#, Some("true"))] {
        let event = accept(&format!(r#"{{"action":"A","resourceType":"x","trigger":{{"by":{by}}}}}"#));
        assert!(event.body.contains(&format!(r#""by":{by}"#)), "{}", event.body);
        assert_eq!(event.values.first(Field::Actor), expected, "{by}");
    }
}

#[test]
fn the_server_fills_in_what_is_empty() {
    let empty = r#"{"identifier":"","status":"","action":"A","resourceType":"x","trigger":{"at":"","origin":""}}"#;
    let event = accept(empty);
    assert!(event.identifier.starts_with("event_"));
    let tail = r#""status":"SUCCESS","trigger":{"at":"2024-07-03T09:46:40.000000Z","origin":"API"},"receivedAt""#;
    assert!(event.body.contains(tail) && !event.body.contains("\"\""), "{}", event.body);
    let plain = accept(r#"{"identifier":"e","action":"A","resourceType":"x","trigger":{"by":null}}"#);
    let members = r#""context":"","request":"","diff":"","trigger":"","status":"""#;
    let empty = accept(&format!(r#"{{"identifier":"e","action":"A","resourceType":"x",{members}}}"#));
    assert_eq!(empty.body, plain.body);
}

#[test]
fn long_texts_are_kept_and_found() {
    let (entity, path, action) = ("e".repeat(1_101), format!("/{}", "p".repeat(9_000)), "a".repeat(129));
    let text = format!(
        r#"{{"action":"{action}","resourceType":"x","context":{{"entity":"{entity}"}},"request":{{"path":"{path}","userAgent":"{path}"}}}}"#
    );
    let event = accept(&text);
    assert!([&entity, &path, &action].iter().all(|value| event.body.contains(*value)));
    for (field, value) in [(Field::Entity, &entity), (Field::Path, &path), (Field::Action, &action)] {
        let term = event.values.first(field).unwrap();
        assert!(term.len() <= field.spec().bytes_max && value.starts_with(crate::model::term_text::readable(term)));
    }
    let rebuilt = searchable(&event.body).unwrap().1;
    assert_eq!(rebuilt.first(Field::Entity), event.values.first(Field::Entity));
}

#[test]
fn a_time_in_another_form_is_rejected_with_the_form_that_is_accepted() {
    for (at, expected) in [
        ("1714564800", "read as seconds since 1970; send the time in RFC 3339: \"2024-05-01T12:00:00.000000Z\""),
        (
            "1714564800123",
            "read as milliseconds since 1970; send the time in RFC 3339: \"2024-05-01T12:00:00.123000Z\"",
        ),
        ("\"1714564800.5\"", "read as seconds since 1970; send the time in RFC 3339: \"2024-05-01T12:00:00.500000Z\""),
        ("1714564800123456789", "read as nanoseconds since 1970"),
        ("\"yesterday\"", "must be a time in RFC 3339"),
        ("true", "must be a time in RFC 3339"),
        ("{}", "must be a time in RFC 3339"),
        ("1e99", "must be a time in RFC 3339"),
    ] {
        let text = format!(r#"{{"action":"A","resourceType":"x","trigger":{{"at":{at}}}}}"#);
        let error = parse(&text).unwrap_err();
        assert!(error.field == "trigger.at" && error.message.contains(expected), "{at}: {error}");
    }
}

#[test]
fn refusals_name_the_field() {
    for (text, field) in [
        ("[]", ""),
        (r#"{"action":"A","resourceType":"x","action":"B"}"#, "action"),
        (r#"{"resourceType":"x"}"#, "action"),
        (r#"{"action":"A"}"#, "resourceType"),
        (r#"{"action":"","resourceType":"x"}"#, "action"),
        (r#"{"action":1,"resourceType":"x"}"#, "action"),
        (r#"{"action":"A","resourceType":"x","identifier":"a\u0000b"}"#, "identifier"),
        (r#"{"action":"A","resourceType":"x","status":"OK"}"#, "status"),
        (r#"{"action":"A","resourceType":"x","trigger":{"at":"yesterday"}}"#, "trigger.at"),
        (r#"{"action":"A","resourceType":"x","trigger":{"at":5}}"#, "trigger.at"),
        (r#"{"action":"A","resourceType":"x","trigger":{"origin":"auditbox"}}"#, "trigger.origin"),
        (r#"{"action":"A","resourceType":"x","trigger":{"by":{"email":{}}}}"#, "trigger.by.email"),
        (r#"{"action":"A","resourceType":"x","trigger":{"by":{"userId":[1]}}}"#, "trigger.by.userId"),
        (r#"{"action":"A","resourceType":"x","trigger":{"by":{"k":1,"k":2}}}"#, "trigger.by.k"),
        (r#"{"action":"A","resourceType":"x","trigger":{"by":{"name":"\ud800"}}}"#, "trigger.by.name"),
        (r#"{"action":"A","resourceType":"x","trigger":"UI"}"#, "trigger"),
        (r#"{"action":"A","resourceType":"x","context":{"entity":["a"]}}"#, "context.entity"),
        (r#"{"action":"A","resourceType":"x","request":{"statusCode":99}}"#, "request.statusCode"),
        (r#"{"action":"A","resourceType":"x","request":{"statusCode":"200.5"}}"#, "request.statusCode"),
        (r#"{"action":"A","resourceType":"x","request":{"statusCode":"OK"}}"#, "request.statusCode"),
        (r#"{"action":"A","resourceType":"x","request":{"statusCode":true}}"#, "request.statusCode"),
        (r#"{"action":"A","resourceType":"x","diff":[]}"#, "diff"),
        (r#"{"action":"\ud800","resourceType":"x"}"#, "action"),
        (r#"{"action":"A","resourceType":"x","identifier":"\ud800"}"#, "identifier"),
        (r#"{"action":"A","resourceType":"x","context":{"entity":"a\udc00"}}"#, "context.entity"),
        (r#"{"action":"A","resourceType":"x","context":{"\udc00":1}}"#, "context"),
        (r#"{"action":"A","resourceType":"x","receivedAt":"2024-05-01T12:00:00Z"}"#, "receivedAt"),
        (r#"{"action":"A","resourceType":"x","orderedBy":"receivedAt"}"#, "orderedBy"),
    ] {
        assert_eq!(parse(text).unwrap_err().field, field, "{text}");
    }
    let long = format!(r#"{{"action":"A","resourceType":"x","identifier":"{}"}}"#, "i".repeat(257));
    assert_eq!(parse(&long).unwrap_err().field, "identifier");
}
