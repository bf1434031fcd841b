//! Events read, completed and compared.

use super::*;

const RECEIPT: Receipt<'_> = Receipt { at: Timestamp::from_micros(1_720_000_000_000_000), by: "ci" };

fn parse(text: &str) -> Result<EventDraft<'_>, FieldError> {
    EventDraft::parse(serde_json::from_str(text).unwrap(), &EventLimits::default(), Sender::Client)
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
        r#"{"identifier":"e","action":"READ","resourceType":"x","status":"SUCCESS"}"#,
        r#"{"identifier":"e","action":"READ","resourceType":"x","trigger":{"at":"2024-07-03T09:46:40.000000Z"}}"#,
        r#"{"identifier":"e","action":"READ","resourceType":"x","note":1}"#,
    ] {
        assert!(!same(&first, &accept(other)), "{other}");
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
        (r#"{"action":"A","resourceType":"x","trigger":{"by":{"email":7}}}"#, "trigger.by.email"),
        (r#"{"action":"A","resourceType":"x","trigger":{"by":{"k":1,"k":2}}}"#, "trigger.by.k"),
        (r#"{"action":"A","resourceType":"x","trigger":{"by":{"name":"\ud800"}}}"#, "trigger.by.name"),
        (r#"{"action":"A","resourceType":"x","trigger":"UI"}"#, "trigger"),
        (r#"{"action":"A","resourceType":"x","context":{"entity":["a"]}}"#, "context.entity"),
        (r#"{"action":"A","resourceType":"x","request":{"statusCode":"200"}}"#, "request.statusCode"),
        (r#"{"action":"A","resourceType":"x","request":{"statusCode":2e2}}"#, "request.statusCode"),
        (r#"{"action":"A","resourceType":"x","diff":{"before":[]}}"#, "diff.before"),
        (r#"{"action":"A","resourceType":"x","diff":{"after":{"a":"\ud800"}}}"#, "diff.after"),
        (r#"{"action":"A","resourceType":"x","receivedAt":"2024-05-01T12:00:00Z"}"#, "receivedAt"),
        (r#"{"action":"A","resourceType":"x","orderedBy":"receivedAt"}"#, "orderedBy"),
    ] {
        assert_eq!(parse(text).unwrap_err().field, field, "{text}");
    }
    let long = format!(r#"{{"action":"A","resourceType":"x","identifier":"{}"}}"#, "i".repeat(257));
    assert_eq!(parse(&long).unwrap_err().field, "identifier");
}
