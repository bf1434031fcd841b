//! Malicious events, URLs and names.

use serde_json::{Value, json};

use crate::{
    harness::Server,
    pages::{get_once, page},
};

const SCRIPT: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&lt;\u{202e}gnp\u{2066}{{7*7}}";

/// Markup that only a hostile value can have caused.
fn check(path: &str, html: &str) {
    for markup in ["<script>", "<img", "</script>alert", "onerror=alert(2)>\"", "49}"] {
        assert!(!html.contains(markup), "{path} holds {markup}");
    }
    // Text is escaped only once, so it reads like the original.
    assert!(!html.contains("&#38;#60;"), "{path} is escaped twice");
    // The page's own script element, and no other.
    assert_eq!(html.matches("<script").count(), usize::from(html.contains("<html")), "{path}");
}

fn long(char: &str, count: usize) -> String {
    format!("{SCRIPT}{}", char.repeat(count))
}

fn hostile(identifier: &str) -> Value {
    json!({
        "identifier": identifier,
        "action": long("A", 20),
        "resourceType": long("r", 20),
        "status": "FAILURE",
        "message": long("m ", 10_000),
        "trigger": {
            "at": "2024-05-01T10:00:00Z", "origin": &long("o", 100),
            "by": { "userId": long("u", 800), "name": long("n", 800), "email": long("e", 800), "type": SCRIPT, "orgId": SCRIPT },
        },
        "context": {
            "entity": long("x", 800), "blueprint": SCRIPT, "runId": SCRIPT, "webhookId": SCRIPT, "webhookEventId": SCRIPT,
            "integrationId": SCRIPT, (SCRIPT): SCRIPT,
        },
        "request": { "method": SCRIPT, "path": long("/p", 3_000), "statusCode": 500, "ip": SCRIPT, "userAgent": long("a", 5_000) },
        "diff": {
            "before": { (SCRIPT): long("old ", 2_500), "same": SCRIPT, "list": [SCRIPT, { "identifier": SCRIPT, "a": 1 }] },
            "after": { (SCRIPT): long("new ", 2_500), "same": SCRIPT, "list": [{ "identifier": SCRIPT, "a": SCRIPT }], "more": SCRIPT },
        },
        "additionalData": { (SCRIPT): SCRIPT },
        (SCRIPT): SCRIPT,
    })
}

#[test]
fn event_data_is_shown_as_text() {
    let server = Server::start();
    let identifier = &long("i", 40);
    server.store(&[hostile(identifier), hostile("plain")]);
    let encoded: String = identifier.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for path in [
        "/audit-logs?range=all",
        "/audit-logs?range=all&facets=entity,path,ip,actor_type,webhookId,InstallationId",
        "/audit-logs/plain",
        "/audit-logs/plain?within=list",
        &format!("/audit-logs/{encoded}"),
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}");
        check(path, &answer.text);
        assert!(answer.text.contains("&#60;script&#62;alert(1)"), "{path} does not show it");
    }
    // A list remains a list: no name fills the page.
    assert!(page(&server, "/audit-logs?range=all").len() < 120_000);
}

#[test]
fn url_data_is_shown_as_text() {
    let server = Server::start();
    server.store(&[hostile("e")]);
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let value = encode(SCRIPT);
    for name in [
        "q",
        "entity",
        "not.actor",
        "action",
        "resources",
        "origin%5B%5D",
        "path",
        "ip",
        "status",
        "status_code",
        "from",
        "to",
        "tz",
        "range",
        "at",
        "cursor",
        "newer",
        "kept",
        "facets",
        "order",
        "sort",
        "include_own",
        "from_time",
        "fields",
        &value,
        &format!("not.{value}"),
        &format!("mode.{value}"),
    ] {
        let path = format!("/audit-logs?{name}={value}");
        let answer = get_once(&server, &path);
        assert!(matches!(answer.status, 200 | 303 | 422), "{path}: {}", answer.status);
        assert!(answer.header("location").is_none_or(|to| to.starts_with("/audit-logs")), "{path}");
        check(&path, &answer.text);
    }
    let answer = server.get(&format!("/audit-logs/{}", value.replace('+', "%20")));
    assert_eq!(answer.status, 404);
    check("unknown", &answer.text);
    let answer = server.request("GET", &format!("/sign-in?next={value}&client_id={value}&code={value}"), &[], b"");
    check("/sign-in", &answer.text);
}

#[test]
fn oversized_input_is_rejected_and_breaks_nothing() {
    let server = Server::start();
    let many = |name: &str, count: usize| (0..count).map(|n| format!("{name}={n}&")).collect::<String>();
    for (query, status) in [
        (many("entity", 101), 422),
        (format!("q={}", "word+".repeat(33)), 422),
        (format!("q={}", "x".repeat(2_000)), 422),
        (many("facets", 2), 422),
        (format!("entity={}", "x".repeat(5_000)), 200),
        ("from=0000-01-01T00:00:00Z&to=9999-12-31T23:59:59Z".to_owned(), 200),
        ("from=-9999-01-01".to_owned(), 422),
        ("to=10000-01-01".to_owned(), 422),
        ("at=0000-01-01T00:00:00Z".to_owned(), 200),
        ("at=-0001-12-31T23:59:59Z".to_owned(), 422),
    ] {
        let answer = server.get(&format!("/audit-logs?{query}"));
        assert_eq!(answer.status, status, "{query:.60}");
    }
}

#[test]
fn a_hostile_host_is_not_pasted_into_a_command() {
    let server = Server::start();
    let bearer = format!("Bearer {}", server.token);
    let answer = server.request(
        "GET",
        "/audit-logs",
        &[("authorization", &bearer), ("x-forwarded-host", "evil;rm -rf /"), ("forwarded", "host=\"$(reboot)\"")],
        b"",
    );
    assert_eq!(answer.status, 200);
    assert!(!answer.text.contains("rm -rf") && !answer.text.contains("reboot"));
}
