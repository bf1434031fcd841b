//! One event's page.

use serde_json::json;

use crate::{
    harness::Server,
    pages::{event, links, page, text},
};

fn change(identifier: &str, at: &str, before: &serde_json::Value, after: &serde_json::Value) -> serde_json::Value {
    json!({
        "identifier": identifier, "action": "UPDATE", "resourceType": "entity",
        "trigger": { "at": at, "origin": "UI", "by": { "userId": "usr_1", "name": "ci-token", "email": "ci@example.com" } },
        "context": { "entity": "api", "blueprint": "service", "runId": "r_1", "team": "payments" },
        "diff": { "before": before, "after": after },
    })
}

#[test]
fn the_page_shows_actor_action_place_time_and_changes() {
    let server = Server::start();
    let before = json!({ "tier": "tier-1", "note": "Runs in staging at night", "labels": ["a", "b"], "same": 1.50 });
    let after = json!({ "tier": "tier-1", "note": "Runs in production at night", "labels": ["a", "c"], "same": 1.50, "more": true });
    server.store(&[
        change("e1", "2024-05-01T10:00:00+02:00", &before, &after),
        change("e2", "2024-05-01T10:02:00+02:00", &before, &before),
        event("other", "2024-05-01T08:04:00Z", "READ", "entity"),
    ]);
    let html = page(&server, "/audit-logs/e1?tz=Europe/Berlin");
    let shown = text(&html);
    for part in [
        "ci-token updated entity api in service",
        "2024-05-01 10:00:00 +02:00",
        "after it happened",
        "As sent 2024-05-01T10:00:00+02:00",
        "2 changed, 1 added, 3 unchanged",
        "E-mail ci@example.com",
        "context.team \"payments\"",
        "History of api",
        "The same run, r_1",
        "ci-token, five minutes before and after",
        "\"tier\": \"tier-1\"",
        "\"same\": 1.5",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    assert!(html.contains("<mark>staging</mark>") && html.contains("<mark>production</mark>"));
    let links = links(&html);
    for href in [
        "/audit-logs?entity=api&tz=Europe%2FBerlin&include_own=true&range=all",
        "/audit-logs?not.entity=api&tz=Europe%2FBerlin&include_own=true&range=all",
        "/audit-logs?actor=ci-token&tz=Europe%2FBerlin&include_own=true&range=all",
        "/audit-logs?entity=api&blueprint=service&tz=Europe%2FBerlin&range=all",
        "/audit-logs/e2?tz=Europe%2FBerlin",
    ] {
        assert!(links.contains(&href.to_owned()), "{href} is not in {links:#?}");
    }
    let around = links.iter().find(|href| href.contains("actor=usr_1") && href.contains("from=")).unwrap();
    assert!(
        around.contains("from=2024-05-01T09%3A55%3A00%2B02%3A00&to=2024-05-01T10%3A05%3A00.000000%2B02%3A00"),
        "{around}"
    );
    // Every link on the page works.
    for href in links.iter().filter(|href| href.starts_with("/audit-logs")) {
        page(&server, href);
    }
}

#[test]
fn any_identifier_has_a_page_and_an_unknown_one_gets_404() {
    let server = Server::start();
    for identifier in ["a/b", "a b", "é?x=1#y", "100%", "\"><img>", "a+b&c"] {
        let mut sent = event("x", "2024-05-01T10:00:00Z", "READ", "entity");
        sent["identifier"] = json!(identifier);
        server.store(&[sent]);
    }
    let list = page(&server, "/audit-logs?range=all");
    let events: Vec<_> = links(&list).into_iter().filter(|href| href.starts_with("/audit-logs/")).collect();
    assert_eq!(events.len(), 6);
    for href in events {
        assert!(text(&page(&server, &href)).contains("ci-token read entity thing-x"), "{href}");
    }
    let answer = server.get("/audit-logs/%3Cb%3Enone");
    assert_eq!(answer.status, 404);
    assert!(answer.text.contains("&#60;b&#62;none") && text(&answer.text).contains("No such event"));
    assert_eq!(server.get("/audit-logs/%ff").status, 422);
    assert_eq!(server.get("/audit-logs/x?tz=Mars").status, 422);
}

#[test]
fn a_time_that_the_server_set_is_not_shown_as_sent() {
    let server = Server::start();
    let given = event("given", "2024-05-01T10:00:00+02:00", "READ", "entity");
    let mut assigned = given.clone();
    assigned["identifier"] = json!("assigned");
    assigned["trigger"].as_object_mut().unwrap().remove("at");
    server.store(&[given, assigned]);
    let shown = text(&page(&server, "/audit-logs/given"));
    assert!(shown.contains("As sent 2024-05-01T10:00:00+02:00") && !shown.contains("gave no time"), "{shown}");
    let shown = text(&page(&server, "/audit-logs/assigned"));
    assert!(shown.contains("gave no time, so this is the time of receipt") && !shown.contains("As sent"), "{shown}");
}

#[test]
fn a_list_expands_an_event_in_place() {
    let server = Server::start();
    server.store(&[change("e1", "2024-05-01T10:00:00Z", &json!({ "a": 1 }), &json!({ "a": 2 }))]);
    let answer = server.get("/audit-logs/e1?within=list&tz=UTC");
    assert_eq!(answer.status, 200);
    assert!(!answer.text.contains("<html") && answer.text.contains("What changed"));
    assert!(answer.text.contains("<a href=\"/audit-logs/e1\">"));
}

#[test]
fn large_events_stay_usable() {
    let server = Server::start();
    let object = |value: &str| -> serde_json::Value {
        (0..9_000)
            .map(|n| (format!("field-{n}"), json!(format!("{value} of number {n}"))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let large = change("large", "2024-05-01T10:00:00Z", &object("before"), &object("after"));
    let size = large.to_string().len();
    assert!((600_000..1_048_576).contains(&size), "{size}");
    let text_of = |word: &str| json!({ "text": word.repeat(60_000) });
    server.store(&[large, change("text", "2024-05-01T10:00:00Z", &text_of("old word "), &text_of("new "))]);
    for identifier in ["large", "text"] {
        let html = page(&server, &format!("/audit-logs/{identifier}"));
        assert!(html.len() < 1_500_000, "{identifier}: {}", html.len());
        assert!(text(&html).contains("Only the beginning is shown"), "{identifier}");
    }
    assert!(text(&page(&server, "/audit-logs/large")).contains("8000 more fields differ"));
    assert!(text(&page(&server, "/audit-logs/text")).contains("more characters in the raw event"));
    assert!(page(&server, "/audit-logs?range=all").len() < 300_000);
}

#[test]
fn a_minimal_event_has_a_page() {
    let server = Server::start();
    server.store(&[
        json!({ "identifier": "bare", "action": "X", "resourceType": "y" }),
        json!({ "identifier": "odd", "action": "X", "resourceType": "y", "context": {}, "request": {}, "diff": {}, "trigger": {} }),
        json!({ "identifier": "nulls", "action": "X", "resourceType": "y", "diff": { "before": null, "after": null } }),
        json!({ "identifier": "none", "action": "X", "resourceType": "y", "diff": { "before": {}, "after": {} } }),
    ]);
    for identifier in ["bare", "odd", "nulls", "none"] {
        assert!(
            text(&page(&server, &format!("/audit-logs/{identifier}"))).contains("(no actor): X on y"),
            "{identifier}"
        );
    }
    assert!(text(&page(&server, "/audit-logs/none")).contains("No field changed"));
}

#[test]
fn the_page_links_back_to_its_list_and_shows_utc_next_to_another_zone() {
    let server = Server::start();
    server.store(&[event("e1", "2024-05-01T10:00:00Z", "UPDATE", "entity")]);
    let bearer = format!("Bearer {}", server.token);
    let asked = |path: &str, referer: &str| {
        server.request("GET", path, &[("authorization", &bearer), ("referer", referer)], b"").text
    };
    let back = |html: &str| links(html.split("class=\"back\"").nth(1).unwrap())[0].clone();
    let list = "/audit-logs?action=UPDATE&tz=Europe%2FBerlin&range=all";
    let path = "/audit-logs/e1?tz=Europe/Berlin";
    assert_eq!(back(&asked(path, &format!("{}{list}", server.url))), list);
    for elsewhere in ["https://evil.example/audit-logs?x=1", &format!("{}/audit-logs/e2", server.url), "nonsense"] {
        assert_eq!(back(&asked(path, elsewhere)), "/audit-logs?tz=Europe%2FBerlin", "{elsewhere}");
    }
    assert_eq!(back(&page(&server, "/audit-logs/e1")), "/audit-logs");
    let shown = text(&page(&server, path));
    assert!(shown.contains("2024-05-01 12:00:00 +02:00") && shown.contains("2024-05-01 10:00:00 UTC"), "{shown}");
    let within = page_part(&server, &format!("{path}&within=list"));
    assert!(links(&within).contains(&"/audit-logs/e1?tz=Europe%2FBerlin".to_owned()), "{within}");
}

fn page_part(server: &Server, path: &str) -> String {
    let answer = server.get(path);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.text
}

#[test]
fn a_truncated_event_cannot_be_copied_and_links_to_the_whole() {
    let server = Server::start();
    let mut large = event("large", "2024-05-01T10:00:00Z", "UPDATE", "entity");
    large["additionalData"] = serde_json::json!("x".repeat(100_000));
    let small = event("small", "2024-05-01T10:00:00Z", "UPDATE", "entity");
    let mut dots = large.clone();
    dots["identifier"] = serde_json::json!("..");
    server.store(&[large, small, dots]);
    assert!(page(&server, "/audit-logs/small").contains("class=\"copyable\""));
    let html = page(&server, "/audit-logs/large");
    assert!(!html.contains("class=\"copyable\""));
    assert!(links(&html).contains(&"/v1/events/large".to_owned()));
}
