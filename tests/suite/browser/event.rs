//! One event's page.

use serde_json::{Value, json};

use crate::{
    browser::{WHAT, driver::Page, event, event_path},
    harness::Server,
};

#[test]
fn the_page_of_an_update_shows_the_changes_field_by_field() {
    let server = Server::start();
    let mut changed = event("e1", "entity", "2024-05-01T12:00:00Z");
    changed["diff"] = json!({
        "before": { "version": "1.4.0", "owner": { "team": "one", "kept": 1 }, "tags": ["a", "b"], "gone": true, "note": "the quick brown fox" },
        "after": { "version": "1.5.0", "owner": { "team": "two", "kept": 1 }, "tags": ["a", "c"], "added": 7, "note": "the quick red fox" },
    });
    server.store(&[changed]);
    let Some(page) = Page::signed_in(&server, "/audit-logs?range=all") else { return };
    page.click(&format!("{WHAT} a"));
    page.until("the event is open", || page.at().starts_with(&event_path("e1")));
    assert_eq!(page.text("h1"), "ada updated entity thing-e1 in service");
    let line = |path: &str| -> Vec<String> {
        let rows = page.value("[...document.querySelectorAll('table.diff tbody tr')].map((row) => [row.className, row.querySelector('code').innerText, ...[...row.querySelectorAll('td')].map((cell) => cell.innerText)])");
        let found = rows.as_array().unwrap().iter().find(|row| row[1] == path).cloned();
        let found = found.unwrap_or_else(|| panic!("{path} is not in {rows}"));
        found.as_array().unwrap().iter().map(|cell| cell.as_str().unwrap().trim().to_owned()).collect()
    };
    assert_eq!(line("version"), ["changed", "version", "\"1.4.0\"", "\"1.5.0\""]);
    assert_eq!(line("owner.team"), ["changed", "owner.team", "\"one\"", "\"two\""]);
    assert_eq!(line("added"), ["added", "added", "", "7"]);
    assert_eq!(line("gone"), ["removed", "gone", "true", ""]);
    // Changed words within a text are marked.
    let marks = page.value("[...document.querySelectorAll('table.diff mark')].map((mark) => mark.innerText.trim())");
    assert!(
        marks.as_array().unwrap().contains(&json!("brown")) && marks.as_array().unwrap().contains(&json!("red")),
        "{marks}"
    );
    assert!(!marks.to_string().contains("quick"), "{marks}");
    // Equal fields are folded.
    assert_eq!(page.value("document.querySelector('details.equal').open"), false);
    assert!(page.text("details.equal summary").contains("unchanged"));
}

#[test]
fn an_events_page_has_a_permalink_and_links_to_similar_events() {
    let server = Server::start();
    let awkward = "a/b c?d=é&#e";
    let mut one = event(awkward, "entity", "2024-05-01T12:00:00Z");
    one["context"] = json!({ "entity": "api", "blueprint": "service", "runId": "run-1" });
    let mut before = event("before", "entity", "2024-04-01T12:00:00Z");
    before["context"] = json!({ "entity": "api", "blueprint": "service" });
    let mut same_run = event("same-run", "webhook", "2024-05-01T12:00:30Z");
    same_run["context"] = json!({ "runId": "run-1" });
    server.store(&[one, before, same_run, event("other", "entity", "2024-01-01T00:00:00Z")]);
    let Some(page) = Page::signed_in(&server, "/audit-logs?range=all&q=run-1&resource_type=entity") else { return };
    page.click(&format!("{WHAT} a"));
    page.until("the event is open", || page.text("h1").contains("api"));
    let address = page.at();
    page.open("/audit-logs");
    page.open(&address);
    page.until("it is open again", || page.text("h1").contains("api"));
    let raw = page.value("document.querySelector('section.raw code').textContent");
    let raw: Value = serde_json::from_str(raw.as_str().unwrap()).unwrap();
    assert_eq!(raw["identifier"], awkward);
    let related = page.texts("section.related").join("\n");
    assert!(related.contains("2024-04-01") && related.contains("2024-05-01"), "{related}");
    page.click("a[aria-label='Only this: Entity']");
    page.until("both of this entity are shown", || page.count(WHAT) == 2);
    page.back();
    page.until("it is open again", || page.text("h1").contains("api"));
    page.click("a[aria-label='Without this: Entity']");
    page.until("the others are shown", || page.count(WHAT) >= 1 && page.at().contains("not.entity=api"));

    page.open(&event_path("nobody"));
    page.until("it is not there", || page.text("h1").contains("No such event"));
}

/// Text that is harmful anywhere but in a text node.
fn hostile() -> String {
    let text = "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 2'>\"'`&lt;{{7*7}}</title></textarea>\u{202e}\u{2066}txt.exe ";
    text.repeat(10_000 / text.chars().count() + 1).chars().take(10_000).collect()
}

#[test]
fn an_event_with_hostile_values_in_every_field_does_no_harm() {
    let server = Server::start();
    let text = |limit: usize| {
        let hostile = hostile();
        hostile[..hostile.floor_char_boundary(limit)].trim_end().to_owned()
    };
    let now = auditbox::model::timestamp::Timestamp::now().to_string();
    let hostile = hostile();
    server.store(&[json!({
        "identifier": text(256), "action": text(128), "resourceType": text(128), "status": "FAILURE", "message": hostile,
        "trigger": { "at": now, "origin": text(256), "by": {
            "userId": text(1024), "orgId": text(1024), "type": text(128), "name": text(1024), "email": text(1024),
        } },
        "context": {
            "entity": text(1024), "blueprint": text(1024), "runId": text(1024), "webhookId": text(1024),
            "webhookEventId": text(1024), "integrationId": text(1024), (hostile.as_str()): hostile,
        },
        "request": { "method": text(128), "path": text(8192), "statusCode": 404, "ip": text(1024), "userAgent": text(8192) },
        "diff": {
            "before": { (hostile.as_str()): hostile, "a": { (hostile.as_str()): [hostile] } },
            "after": { (hostile.as_str()): format!("{hostile}!"), "a": { (hostile.as_str()): [hostile, hostile] } },
        },
        "additionalData": { (hostile.as_str()): [hostile, { "a": hostile }] },
    })]);
    let Some(page) = Page::signed_in(&server, "/audit-logs") else { return };
    let harmless = |where_: &str| {
        assert_eq!(page.value("window.harmed ?? null"), Value::Null, "{where_}");
        assert_eq!(
            page.value("document.querySelectorAll('main script, main img, main iframe, [onerror]').length"),
            0,
            "{where_}"
        );
        // The text may be long, but it must not widen the page.
        let over = page.value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert!(over.as_f64().unwrap() <= 1.0, "{where_}: {over}");
    };
    page.until("it is listed", || page.count(WHAT) == 1);
    harmless("list");
    assert!(page.text(WHAT).contains("<script>"), "{}", page.text(WHAT));
    page.click("button.expand");
    page.until("it is open in its place", || page.text("tr.detail").contains("<script>"));
    harmless("row");
    page.click(&format!("{WHAT} a"));
    page.until("it is open", || page.at().starts_with("/audit-logs/") && page.count("h1") == 1);
    harmless("event");
    let links = page.value("[...document.querySelectorAll('.links a')].map((link) => link.href)");
    assert!(links.as_array().unwrap().len() > 4, "{links}");
    page.click("a[aria-label^='Only this:']");
    page.until("the link finds it", || page.count(WHAT) == 1);
    harmless("filter");
    page.resize(390, 800);
    harmless("narrow list");
    page.back();
    page.until("it is open", || page.at().starts_with("/audit-logs/") && page.count("h1") == 1);
    harmless("narrow event");
}

#[test]
fn large_events_stay_usable() {
    let server = Server::start();
    let large = |fields: usize, turn: usize| -> Value {
        (0..fields)
            .map(|number| {
                (
                    format!("field{number}"),
                    json!(format!("value {} of {number} {}", turn * (number % 3), "x".repeat(40))),
                )
            })
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    for (identifier, fields) in [("kilobytes", 110), ("megabyte", 6_000)] {
        let mut event = event(identifier, "entity", "2024-05-01T12:00:00Z");
        event["diff"] = json!({ "before": large(fields, 1), "after": large(fields, 2) });
        server.store(&[event]);
    }
    let Some(page) = Page::signed_in(&server, "/audit-logs?range=all") else { return };
    for identifier in ["kilobytes", "megabyte"] {
        page.open(&event_path(identifier));
        page.until(identifier, || page.text("h1").contains(identifier));
        assert!(page.text("table.diff caption").contains("changed"), "{}", page.text("table.diff caption"));
        let nodes = page.value("document.querySelectorAll('*').length").as_u64().unwrap();
        assert!(nodes < 20_000, "{identifier}: {nodes} elements");
    }
}
