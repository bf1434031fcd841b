//! Times that no correct clock gives. An event from the future, or from the year 0, stays in the log and distorts no
//! reader's view of it.

use auditbox::model::timestamp::Timestamp;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Server, run},
    pages,
};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn event(identifier: &str, at: &str) -> Value {
    json!({
        "identifier": identifier, "action": "UPDATE", "resourceType": "entity",
        "trigger": { "at": at, "by": { "name": "ci-token", "type": "token" } },
        "context": { "entity": format!("thing-{identifier}") },
    })
}

/// The instant this many seconds from now.
fn from_now(seconds: i64) -> String {
    Timestamp::now().plus_seconds(seconds).to_string()
}

fn stored(server: &Server, identifier: &str) -> Value {
    let answer = server.get(&format!("/v1/audit-log/{identifier}"));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["audit"].clone()
}

fn histogram(server: &Server, query: &str) -> Value {
    let answer = server.get(&format!("/v1/audit-log/stats?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["histogram"].clone()
}

fn buckets(histogram: &Value) -> &Vec<Value> {
    histogram["buckets"].as_array().unwrap()
}

/// The number of events that the buckets count.
fn counted(histogram: &Value) -> u64 {
    buckets(histogram).iter().map(|bucket| bucket["success"].as_u64().unwrap()).sum()
}

/// The number of bars in the chart of a page.
fn bars(html: &str) -> usize {
    html.matches("class=\"hit\"").count()
}

fn is_sound(server: &Server) {
    let doctor = run(server.directory(), &["doctor"]);
    assert!(doctor.status.success(), "{doctor:?}");
}

fn post_as(server: &Server, token: &str, event: &Value) -> Answer {
    server.request_as(token, "POST", "/v1/audit-log", &event.to_string())
}

#[test]
fn an_event_from_the_future_is_ordered_by_its_receipt_and_marked() {
    let server = Server::start();
    let sender = server.credential("sender", &["ingest"]);
    server.store(&[event("before", &from_now(-MINUTE))]);
    let far = event("far", "2999-01-01T00:00:00+02:00");
    assert_eq!(post_as(&server, &sender, &far).status, 201);
    server.store(&[event("now", &from_now(0))]);
    assert_eq!(server.list("").identifiers(), ["now", "far", "before"]);
    let found = stored(&server, "far");
    assert_eq!(found["trigger"]["at"], "2999-01-01T00:00:00+02:00", "the sender's bytes are kept");
    assert_eq!(found["orderedBy"], "receivedAt");
    assert_eq!(stored(&server, "now").get("orderedBy"), None);
    assert_eq!(
        server.list("includes=orderedBy&identifier=far").json()["audits"],
        json!([{ "orderedBy": "receivedAt" }])
    );
    // Filters by time use the time that determines the order.
    let received = found["receivedAt"].as_str().unwrap();
    assert_eq!(server.list(&format!("from={received}&to={received}")).identifiers(), ["far"]);
    assert_eq!(server.list("from=2998-12-31T00:00:00Z").identifiers(), Vec::<String>::new());

    // A retry is the same event, other content is a conflict, and no sender may set the server's keys.
    assert_eq!(post_as(&server, &sender, &far).json()["duplicates"], 1);
    assert_eq!(post_as(&server, &sender, &event("far", "2999-01-01T00:00:00Z")).refusal().0, 409);
    let mut forged = event("forged", &from_now(0));
    forged["orderedBy"] = json!("receivedAt");
    let refused = post_as(&server, &sender, &forged);
    assert_eq!(
        (refused.status, &refused.json()["details"][0]["field"]),
        (422, &json!("orderedBy")),
        "{}",
        refused.text
    );

    let csv = server.get("/v1/audit-log/export?format=csv").text;
    assert!(csv.lines().next().unwrap().contains(",orderedBy,"), "{csv}");
    let table = run(server.directory(), &["query", "--identifier", "far"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains(&format!("{received} (received)")) && !table.contains("2999"), "{table}");
}

#[test]
fn the_order_follows_from_the_stored_event() {
    let server = Server::start_chunked(64);
    let events: Vec<_> = (0..200)
        .map(|number| match number % 3 {
            0 => event(&format!("e-{number:03}"), "9999-12-31T23:59:59.999999Z"),
            1 => event(&format!("e-{number:03}"), &from_now(-DAY - number)),
            _ => event(&format!("e-{number:03}"), &from_now(HOUR + number)),
        })
        .collect();
    server.store(&events);
    let (listed, filter) = (server.list("").identifiers(), format!("from={}&to={}", from_now(-HOUR), from_now(MINUTE)));
    let received = server.list(&filter).identifiers();
    assert_eq!(received.len(), 67);
    is_sound(&server);
    let (status, directory) = server.stop();
    assert!(status.success());
    let renewed = run(directory.path(), &["reindex"]);
    assert!(renewed.status.success(), "{renewed:?}");
    let server = Server::start_in(directory, &[]);
    assert_eq!(server.list("").identifiers(), listed);
    assert_eq!(server.list(&filter).identifiers(), received);
    is_sound(&server);
}

#[test]
fn the_operator_chooses_how_far_ahead_an_event_may_be() {
    let ordered_by = |server: &Server, seconds: i64| {
        server.store(&[event("e", &from_now(seconds))]);
        stored(server, "e").get("orderedBy").is_some()
    };
    assert!(!ordered_by(&Server::start(), DAY - MINUTE));
    assert!(ordered_by(&Server::start(), DAY + MINUTE));
    let strict = || Server::start_with(&[("AUDITBOX_LIMITS_FUTURE_SECONDS_MAX", "60")]);
    assert!(!ordered_by(&strict(), 30));
    assert!(ordered_by(&strict(), 2 * MINUTE));
}

#[test]
fn an_imported_event_from_the_future_is_ordered_by_its_receipt() {
    let directory = tempfile::tempdir().unwrap();
    let lines = [event("far", "2999-01-01T00:00:00Z"), event("past", &from_now(-DAY))];
    std::fs::write(directory.path().join("in.ndjson"), lines.map(|event| event.to_string() + "\n").concat()).unwrap();
    let imported = run(directory.path(), &["import", "in.ndjson"]);
    assert!(imported.status.success(), "{imported:?}");
    let server = Server::start_in(directory, &[]);
    assert_eq!(stored(&server, "far")["orderedBy"], "receivedAt");
    server.store(&[event("now", &from_now(MINUTE))]);
    assert_eq!(server.list("").identifiers(), ["now", "far", "past"]);
}

#[test]
fn the_default_page_is_the_same_with_an_event_from_the_future() {
    let server = Server::start();
    server.store(&[event("a", &from_now(-2 * DAY)), event("b", &from_now(-HOUR))]);
    let usual = bars(&pages::page(&server, "/audit-logs"));
    assert!(usual > 50, "{usual}");
    server.store(&[event("far", "2999-01-01T00:00:00Z")]);
    let html = pages::page(&server, "/audit-logs");
    // Between the two requests, one bar may end and another may begin.
    assert!(bars(&html).abs_diff(usual) <= 1, "{} bars, {usual} before", bars(&html));
    assert!(pages::text(&html).contains("the sender’s clock is ahead"), "{}", pages::text(&html));
    assert!(!html.contains("2999-01-01"), "the time of the list is that of its order");
    let told = pages::text(&pages::page(&server, "/audit-logs/far"));
    for part in ["2999-01-01T00:00:00Z", "is in the future", "ordered by its time of receipt"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[test]
fn an_event_slightly_ahead_is_listed_and_counted_next_to_the_chart() {
    let server = Server::start();
    server.store(&[event("a", &from_now(-2 * DAY)), event("b", &from_now(-HOUR))]);
    let usual = bars(&pages::page(&server, "/audit-logs"));
    server.store(&[event("soon", &from_now(10 * MINUTE)), event("later", &from_now(20 * HOUR))]);
    assert_eq!(server.list("").identifiers(), ["later", "soon", "b", "a"]);
    let html = pages::page(&server, "/audit-logs");
    assert!(bars(&html).abs_diff(usual) <= 1, "{} bars, {usual} before", bars(&html));
    assert!(pages::text(&html).contains("2 events after now"), "{}", pages::text(&html));
    let link = html.split("2 events after now").next().unwrap().rsplit("href=\"").next().unwrap();
    let list = pages::page(&server, &pages::unescape(link.split('"').next().unwrap()));
    assert_eq!(pages::rows(&list), ["ci-token updated entity thing-later", "ci-token updated entity thing-soon"]);

    let found = histogram(&server, "histogram=auto");
    assert_eq!((counted(&found), &found["after"], &found["before"]), (2, &json!(2), &json!(0)), "{found}");
    // A requested end is used.
    let found = histogram(&server, &format!("histogram=auto&to={}", from_now(HOUR)));
    assert_eq!((counted(&found), &found["after"]), (3, &json!(0)), "{found}");
    // A request for the future includes it.
    let found = histogram(&server, &format!("histogram=auto&from={}", from_now(5 * MINUTE)));
    assert_eq!((counted(&found), &found["after"]), (2, &json!(0)), "{found}");
    assert!(buckets(&found).len() <= 120);
    // Only the future.
    let found = histogram(&server, "histogram=auto&identifier=soon");
    assert_eq!((buckets(&found).len(), &found["after"]), (0, &json!(1)), "{found}");
}

#[test]
fn a_histogram_without_an_end_ends_now() {
    let server = Server::start();
    server.store(&[event("a", &from_now(-3 * DAY))]);
    let found = histogram(&server, &format!("histogram=1h&from={}", from_now(-6 * DAY)));
    // An hour may end in the meantime.
    assert!((6 * 24 + 1..=6 * 24 + 2).contains(&buckets(&found).len()) && counted(&found) == 1, "{found}");
    let found = histogram(&server, "histogram=1h");
    assert!((3 * 24 + 1..=3 * 24 + 2).contains(&buckets(&found).len()) && counted(&found) == 1, "{found}");
}

#[test]
fn a_few_events_from_long_ago_do_not_flatten_the_chart() {
    let server = Server::start();
    let mut events: Vec<_> = (0..100).map(|hour| event(&format!("e-{hour}"), &from_now(-HOUR * hour))).collect();
    server.store(&events);
    let usual = histogram(&server, "histogram=auto");
    assert_eq!((&usual["interval"], counted(&usual)), (&json!("1h"), 100));
    for (number, at) in ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"].into_iter().enumerate()
    {
        events = vec![event(&format!("old-{number}"), at)];
        server.store(&events);
        let found = histogram(&server, "histogram=auto");
        assert_eq!((&found["interval"], counted(&found)), (&json!("1h"), 100), "{found}");
        assert_eq!(found["before"], number + 1);
        // Old events do not prevent a histogram by days.
        let found = histogram(&server, "histogram=1d");
        assert_eq!((counted(&found), &found["before"]), (100, &json!(number + 1)), "{found}");
    }
    let html = pages::page(&server, "/audit-logs?range=all");
    assert!(bars(&html) > 50, "{}", bars(&html));
    let text = pages::text(&html);
    let link = html.split("3 events before").next().unwrap().rsplit("href=\"").next().unwrap();
    let list = pages::page(&server, &pages::unescape(link.split('"').next().unwrap()));
    assert_eq!(pages::rows(&list).len(), 3, "{text}");
    // If many events are old, the chart includes them.
    let many: Vec<_> =
        (0..20).map(|day| event(&format!("many-{day}"), &format!("1999-01-{:02}T00:00:00Z", day + 1))).collect();
    server.store(&many);
    let found = histogram(&server, "histogram=auto");
    assert_eq!((counted(&found), &found["before"]), (120, &json!(3)), "{found}");
    let all = histogram(&server, "histogram=auto&from=0000-01-01T00:00:00Z");
    assert_eq!((counted(&all), &all["before"]), (123, &json!(0)), "{all}");
}
