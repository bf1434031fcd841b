//! The list and its filter.

use serde_json::json;

use crate::{
    browser::{
        WHAT,
        driver::{ENTER, ESCAPE, Page, TAB},
        event, event_path,
    },
    harness::Server,
};

const CHIPS: &str = "ul[aria-label=Filter] li.chip";

/// One event of each of five kinds, by kind.
fn kinds(server: &Server) {
    let kinds = ["application", "environment_group", "cluster", "AWS::S3::Bucket", "datastore"];
    let now = auditbox::model::timestamp::Timestamp::now().to_string();
    server.store(&kinds.map(|kind| event(kind, kind, &now)));
}

fn shown(page: &Page) -> Vec<String> {
    let mut shown = page.texts(".log table.events tbody td.c-resource");
    shown.sort_unstable();
    shown
}

#[test]
fn a_shared_porter_url_selects_exactly_two_resource_types() {
    let server = Server::start();
    kinds(&server);
    let path = "/security/audit-logs?resource_type=application&resource_type=environment_group";
    let Some(page) = Page::of(&server) else { return };
    page.open(path);
    page.sign_in(crate::harness::CLIENT_ID, crate::harness::CLIENT_SECRET);
    page.until("two events are shown", || page.count(WHAT) == 2);
    assert_eq!(shown(&page), ["Application", "Environment group"]);
    let chips = page.texts(CHIPS).join("\n");
    assert!(chips.contains("Application") && chips.contains("Environment group"), "{chips}");
    page.until_true("document.querySelectorAll('.options input:checked').length === 2");
    // The other spellings.
    for query in
        ["resource_type=application,environment_group", "resources[]=application&resources[]=Environment_Group"]
    {
        page.open(&format!("/security/audit-logs?{query}"));
        page.until(query, || page.count(WHAT) == 2);
    }
    page.open("/audit-logs");
    page.until("all are shown", || page.count(WHAT) == 5);
    assert!(shown(&page).contains(&"AWS::S3::Bucket".to_owned()), "{:?}", shown(&page));
}

#[test]
fn chips_are_removed_one_by_one_or_all_at_once() {
    let server = Server::start();
    kinds(&server);
    let path = "/audit-logs?resource_type=application&action=UPDATE&actor=ada&not.method=GET&range=30d";
    let Some(page) = Page::signed_in(&server, path) else { return };
    page.until("one event is shown", || page.count(WHAT) == 1);
    let mut left = page.count(CHIPS);
    assert!(left >= 4, "{:?}", page.texts(CHIPS));
    page.click("a[aria-label^='Remove: Resource type']");
    page.until("all kinds are shown", || page.count(WHAT) == 5);
    left -= 1;
    for field in ["Action", "Actor", "Method"] {
        page.until("a chip is removed", || page.count(CHIPS) == left);
        page.click(&format!("a[aria-label^='Remove: {field}']"));
        left -= 1;
    }
    page.until("the last chip is removed", || page.count(CHIPS) == left);
    assert!(!page.at().contains("actor") && page.at().contains("range=30d"), "{}", page.at());
    page.open(path);
    page.click(".clear a");
    page.until("the filter is cleared", || !page.at().contains("actor") && page.count(WHAT) == 5);
}

#[test]
fn a_menu_chooses_a_value_and_excludes_another() {
    let server = Server::start();
    kinds(&server);
    let Some(page) = Page::signed_in(&server, "/audit-logs") else { return };
    page.unfold("#menu-resources");
    page.click("#menu-resources input[value=cluster]");
    page.click(".apply button");
    page.until("one event is shown", || page.count(WHAT) == 1);
    assert_eq!(shown(&page), ["Cluster"]);
    page.click("#menu-resources input[value=not]");
    page.click(".apply button");
    page.until("the others are shown", || page.count(WHAT) == 4);
    assert!(page.at().contains("not.resource"), "{}", page.at());
}

#[test]
fn presets_and_a_range_of_days_that_includes_its_last_day() {
    let server = Server::start();
    let now = auditbox::model::timestamp::Timestamp::now();
    let ago = |seconds: i64| now.plus_seconds(-seconds).to_string();
    server.store(&[
        event("minutes", "x", &ago(600)),
        event("hours", "x", &ago(7_200)),
        event("days", "x", &ago(3 * 86_400)),
        event("weeks", "x", &ago(20 * 86_400)),
        event("last-second", "x", "2024-05-02T23:59:59.999999Z"),
        event("next-day", "x", "2024-05-03T00:00:00Z"),
        event("first-second", "x", "2024-05-01T00:00:00Z"),
        event("day-before", "x", "2024-04-30T23:59:59.999999Z"),
    ]);
    let Some(page) = Page::signed_in(&server, "/audit-logs") else { return };
    for (preset, count) in
        [("Last hour", 1), ("Last 24 hours", 2), ("Last 7 days", 3), ("Last 30 days", 4), ("All time", 8)]
    {
        page.click("details.drop:has(.range) summary");
        page.click_text(".presets a", preset);
        page.until(preset, || page.count(WHAT) == count);
    }
    page.click("details.drop:has(.range) summary");
    // Sets the value as a date picker does; the typed format depends on the browser's language.
    page.run(
        "document.querySelector('input[name=from]').value = '2024-05-01'; document.querySelector('input[name=to]').value = '2024-05-02';",
        Vec::new(),
    );
    page.click(".range button");
    page.until("the two days are shown", || page.count(WHAT) == 2);
    let shown = page.texts(WHAT).join("\n");
    assert!(shown.contains("thing-last-second") && shown.contains("thing-first-second"), "{shown}");
    // In another time zone these days cover other hours, and the page names the zone.
    let zoned = "/audit-logs?from=2024-05-03&to=2024-05-03&tz=Asia/Tokyo";
    page.open(zoned);
    page.until("a day in Tokyo is shown", || page.text(WHAT).contains("thing-"));
    let shown = page.texts(WHAT).join("\n");
    assert!(shown.contains("thing-last-second") && shown.contains("thing-next-day"), "{shown}");
    assert!(page.text(".log table.events caption").contains("Asia/Tokyo"), "{}", page.text("caption"));
}

#[test]
fn a_row_expands_in_place_and_collapses() {
    let server = Server::start();
    let now = auditbox::model::timestamp::Timestamp::now().to_string();
    let mut changed = event("e1", "entity", &now);
    changed["diff"] = json!({ "before": { "version": "1.4.0" }, "after": { "version": "1.5.0" } });
    server.store(&[changed]);
    let Some(page) = Page::signed_in(&server, "/audit-logs") else { return };
    page.click("button.expand");
    page.until("what changed is shown", || page.text("tr.detail").contains("1.5.0"));
    assert_eq!(page.attribute("button.expand", "aria-expanded").as_deref(), Some("true"));
    assert_eq!(page.at(), "/audit-logs");
    page.click("button.expand");
    page.until("it is closed", || page.count("tr.detail") == 0);
    assert_eq!(page.attribute("button.expand", "aria-expanded").as_deref(), Some("false"));
}

#[test]
fn pages_link_to_older_and_newer_ones() {
    let server = Server::start();
    let now = auditbox::model::timestamp::Timestamp::now();
    let events: Vec<_> =
        (0..250).map(|number| event(&format!("e{number}"), "x", &now.plus_seconds(number - 300).to_string())).collect();
    server.store(&events);
    let Some(page) = Page::signed_in(&server, "/audit-logs") else { return };
    page.until("the newest is shown", || page.text(WHAT).contains("thing-e249"));
    page.click("a[rel=next]");
    page.until("the next page is shown", || page.text(WHAT).contains("thing-e149"));
    page.press("]");
    page.until("the last page is shown", || page.text(WHAT).contains("thing-e49"));
    assert_eq!(page.count(WHAT), 50);
    page.press("[");
    page.until("the page before is shown", || page.text(WHAT).contains("thing-e149"));
    page.click("a[rel=prev]");
    page.until("the first is shown", || page.text(WHAT).contains("thing-e249"));
}

#[test]
fn an_export_contains_exactly_the_filtered_events() {
    let server = Server::start();
    kinds(&server);
    let Some(page) = Page::signed_in(&server, "/audit-logs?not.resource_type=cluster&q=thing") else { return };
    page.until("four events are shown", || page.count(WHAT) == 4);
    let identifiers: Vec<_> =
        page.value("[...document.querySelectorAll('.log table.events th.c-what a')].map((link) => new URL(link.href).pathname.split('/').pop())")
            .as_array()
            .unwrap()
            .iter()
            .map(|path| percent_encoding::percent_decode_str(path.as_str().unwrap()).decode_utf8().unwrap().into_owned())
            .collect();
    let cookie = page.cookie();
    let get = |href: &str| server.request("GET", href, &[("cookie", &cookie)], b"");
    page.click("details.drop:has(a[href*=ndjson]) summary");
    let lines = get(&page.attribute("a[href*='format=ndjson']", "href").unwrap());
    assert_eq!(lines.status, 200, "{}", lines.text);
    let exported: Vec<_> = lines
        .text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["identifier"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(exported, identifiers);
    let table = get(&page.attribute("a[href*='format=csv']", "href").unwrap());
    let mut reader = csv::Reader::from_reader(table.text.as_bytes());
    let column = reader.headers().unwrap().iter().position(|name| name == "identifier").unwrap();
    let exported: Vec<_> = reader.records().map(|record| record.unwrap()[column].to_owned()).collect();
    assert_eq!(exported, identifiers);
}

#[test]
fn empty_lists_explain_themselves() {
    let server = Server::start();
    let Some(page) = Page::signed_in(&server, "/audit-logs") else { return };
    page.until("nothing is stored", || page.text(".empty").contains("No events yet"));
    assert!(page.text(".empty pre").contains("curl"), "{}", page.text(".empty"));
    server.store(&[event("e1", "x", "2024-05-01T12:00:00Z")]);
    page.open("/audit-logs?entity=none&range=all");
    page.until("nothing matches", || page.text(".empty").contains("No event matches"));
    page.click_text(".empty a", "remove");
    page.until("one is shown", || page.count(WHAT) == 1);
    page.open("/audit-logs?status_code=nonsense&entity=thing-e1&range=all");
    page.until("the field is named", || page.text(".empty").contains("status_code"));
    page.click(".empty p a");
    page.until("the rest is kept", || page.count(WHAT) == 1 && page.at().contains("entity=thing-e1"));
    // A credential without the scope gets the reason.
    let made = server.post("/v1/credentials", r#"{"name":"sender","scopes":["ingest"]}"#).json();
    page.click("form[action='/sign-out'] button");
    page.until_at("/sign-in");
    let text = |key: &str| made["credential"][key].as_str().unwrap().to_owned();
    page.sign_in(&text("clientId"), &text("clientSecret"));
    page.until("it is refused", || page.text("main").contains("Not allowed"));
}

#[test]
fn every_function_works_with_the_keyboard() {
    let server = Server::start();
    kinds(&server);
    let Some(page) = Page::of(&server) else { return };
    page.open("/audit-logs");
    // The form, field by field.
    page.until_true("document.querySelector('#client-id')");
    page.press(TAB);
    while page.value("document.activeElement.id") != "client-id" {
        page.press(TAB);
    }
    page.press(crate::harness::CLIENT_ID);
    page.press(TAB);
    page.press(crate::harness::CLIENT_SECRET);
    page.press(ENTER);
    page.until("the list is shown", || page.count(WHAT) == 5);
    // The first tab stop skips the page header.
    page.press(TAB);
    assert_eq!(page.value("document.activeElement.getAttribute('href')"), "#main");
    // Search.
    page.press("/");
    assert_eq!(page.value("document.activeElement.id"), "q");
    page.press(&format!("thing-cluster{ENTER}"));
    page.until("one event is shown", || page.count(WHAT) == 1);
    page.back();
    page.until("all are shown again", || page.count(WHAT) == 5);
    page.until_true("document.documentElement.classList.contains('js')");
    // Leaves the search box, in which letter keys type letters. Then moves from row to row, expands one, and opens the
    // event.
    page.press(TAB);
    page.press("j");
    page.press("j");
    let second = page.texts(WHAT)[1].clone();
    assert_eq!(page.value("document.activeElement.closest('th').innerText.trim()"), second);
    page.press("k");
    page.press("j");
    page.press("e");
    page.until("the row is open", || page.count("tr.detail") == 1);
    page.press("e");
    page.until("the row is closed", || page.count("tr.detail") == 0);
    page.press("?");
    page.until_true("document.querySelector('dialog[open]')");
    page.press(ESCAPE);
    page.until_true("!document.querySelector('dialog[open]')");
    let href = page.value("document.querySelectorAll('.log table.events th.c-what a')[1].getAttribute('href')");
    page.run("document.querySelectorAll('.log table.events th.c-what a')[1].focus()", Vec::new());
    page.press(ENTER);
    page.until("the event is open", || href.as_str().unwrap().starts_with(&page.at()) || page.at() == href);
    assert!(page.at().starts_with(&event_path("")), "{}", page.at());
    // The browser shows the focus.
    page.press(TAB);
    page.press(TAB);
    assert_ne!(page.value("getComputedStyle(document.activeElement).outlineStyle"), "none");
}

#[test]
fn without_script_every_page_works() {
    let server = Server::start();
    kinds(&server);
    let Some(page) = Page::of(&server) else { return };
    page.without_script();
    page.open("/audit-logs?q=thing");
    page.sign_in(crate::harness::CLIENT_ID, crate::harness::CLIENT_SECRET);
    page.until("all are shown", || page.count(WHAT) == 5);
    assert_eq!(page.count("html.js"), 0);
    // The page offers nothing that needs script.
    assert!(page.texts(".js-only").iter().all(String::is_empty), "{:?}", page.texts(".js-only"));
    page.unfold("#menu-resources");
    page.click("#menu-resources input[value=cluster]");
    page.click(".apply button");
    page.until("one event is shown", || page.count(WHAT) == 1);
    page.click(&format!("{WHAT} a"));
    page.until("the event is open", || page.text("h1").contains("updated cluster thing-cluster"));
    page.open("/credentials");
    page.until("the credentials are shown", || page.text("table").contains("admin"));
    page.click("form[action='/sign-out'] button");
    page.until_at("/sign-in");
}
