//! Parameters that are rejected by name, and parameters with limits.

use serde_json::json;

use crate::{
    harness::Server,
    query::{check, check_refused, server_with},
};

#[test]
fn the_limit_takes_the_newest_and_rejects_invalid_counts() {
    let server = Server::start_with(&[("AUDITBOX_LIMITS_LIST_DEFAULT", "3"), ("AUDITBOX_LIMITS_LIST_MAX", "4")]);
    let event = |n: u32| json!({ "identifier": n.to_string(), "action": "A", "resourceType": "x", "trigger": { "at": format!("2024-05-01T12:00:0{n}Z") } });
    server.store(&(1..=5).map(event).collect::<Vec<_>>());
    check(
        &server,
        &[("", "5 4 3"), ("limit=1", "5"), ("limit=4", "5 4 3 2"), ("limit[]=2", "5 4"), ("limit=02", "5 4")],
    );
    assert_eq!(server.list("limit=4").header("x-limit-clamped"), None);
    for above in ["5", "100001", "99999999999999999999999999"] {
        let answer = server.list(&format!("limit={above}"));
        assert_eq!(answer.identifiers(), ["5", "4", "3", "2"], "{above}");
        assert_eq!(answer.header("x-limit-clamped"), Some("4"));
    }
    for same in ["2.0", "2e0", "%2B2", "+2", " 2", "2 "] {
        check(&server, &[(&format!("limit={}", same.replace(' ', "%20")), "5 4")]);
    }
    check(&server, &[("per_page=2", "5 4"), ("per_page=2.0&limit=2", "5 4")]);
    check_refused(&server, &[("per_page=1&limit=2", "per_page"), ("per_page=0", "per_page")]);
    for text in ["0", "00", "1.5", "7e16", "abc", "", "-1", "-0", "0x10", "%D9%A5", "1_000"] {
        check_refused(&server, &[(&format!("limit={text}").replace(' ', "%20"), "limit")]);
    }
    check_refused(&server, &[("limit=1&limit=2", "limit"), ("limit=1&limit[]=1", "limit")]);
}

#[test]
fn unknown_parameters_are_named_and_harmless_ones_ignored() {
    let server = server_with(&[("a", json!({})), ("b", json!({}))]);
    check_refused(
        &server,
        &[
            ("foo=1", "foo"),
            ("entity=x&Entity=x", "Entity"),
            ("installationId=x", "installationId"),
            ("runId=x", "runId"),
            ("not.limit=1", "not.limit"),
            ("not.not.entity=x", "not.not.entity"),
            ("not.=x", "not."),
            ("entity[][]=x", "entity[][]"),
            ("entity[x]=x", "entity[x]"),
            ("%C3%A9=x", "é"),
        ],
    );
    assert_eq!(server.list("=x").refusal().0, 422);
    let long = "n".repeat(5_000);
    let answer = server.list(&format!("{long}=1"));
    assert_eq!(answer.refusal().0, 422);
    assert!(answer.text.len() < 500, "the error repeats the whole value");
    check(
        &server,
        &[
            ("page=1&per_page=100", "a b"),
            ("include_deleted_entities=true", "a b"),
            ("include_deleted_entities=false", "a b"),
            ("sort=time&order=desc", "a b"),
            ("sort=TIME&order=Desc&count=True&include_own=0", "a b"),
        ],
    );
    check_refused(&server, &[("page=2", "page"), ("page=0", "page"), ("page=abc", "page"), ("per_page=", "per_page")]);
    assert!(server.list("page=2").json()["message"].as_str().unwrap().contains("cursor"));
    check_refused(
        &server,
        &[
            ("include_deleted_entities=2", "include_deleted_entities"),
            ("include_own=yes", "include_own"),
            ("sort=name", "sort"),
            ("order=up", "order"),
            ("status=succeeded", "status"),
            ("actionType=manual", "actionType"),
            ("status_code=40", "status_code"),
            ("status_code=4xx,abc", "status_code"),
            ("not.status_code=0xx", "not.status_code"),
            ("ip=10.0.0.0/33", "ip"),
            ("ip=10.0.0.0/8,::/129", "ip"),
        ],
    );
}

#[test]
fn every_rejected_parameter_is_named() {
    let server = Server::start();
    let answer = server.list("foo=1&entity=a&limit=0&not.status=x&not.status=y&bar[]=2");
    assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()));
    let envelope = answer.json();
    let named = envelope["details"].as_array().unwrap().iter().map(|detail| detail["parameter"].as_str().unwrap());
    assert_eq!(named.collect::<Vec<_>>(), ["foo", "bar[]", "limit", "not.status", "not.status"]);
    let message = envelope["message"].as_str().unwrap();
    assert!(
        message.contains("foo: is not a parameter") && message.contains("; limit: must be at least 1"),
        "{message}"
    );
    let many: String = (0..100).map(|n| format!("unknown{n}=1&")).collect();
    let answer = server.list(&many).json();
    assert_eq!(answer["details"].as_array().unwrap().len(), 10);
    assert!(answer["message"].as_str().unwrap().ends_with("; and 90 more"), "{answer}");
    for (path, names) in [
        ("/v1/audit-log?cursor=x&from=soon&q=actor:&page=2", "q cursor from page"),
        ("/v1/audit-log/export?format=xml&limit=0&foo=1", "foo limit format"),
        ("/v1/audit-log/stream?limit=1&order=desc&status=x", "limit order status"),
        ("/v1/audit-log/stats?histogram=2h&tz=Mars&facets=none", "histogram tz facets"),
    ] {
        let details = server.get(path).json()["details"].clone();
        let mut named: Vec<_> =
            details.as_array().unwrap().iter().map(|one| one["parameter"].as_str().unwrap()).collect();
        let mut expected: Vec<_> = names.split(' ').collect();
        named.sort_unstable();
        expected.sort_unstable();
        assert_eq!(named, expected, "{path}");
    }
}

#[test]
fn an_empty_parameter_is_absent_but_an_empty_limit_or_cursor_is_rejected() {
    let server = server_with(&[("a", json!({ "context": { "entity": "e" } })), ("b", json!({}))]);
    for name in [
        "identifier",
        "entity",
        "blueprint",
        "run_id",
        "webhookId",
        "webhookEventId",
        "origin",
        "InstallationId",
        "resources",
        "resource_type",
        "action",
        "status",
        "actionType",
        "actor",
        "actor_type",
        "method",
        "path",
        "status_code",
        "ip",
        "not.entity",
        "not.origin",
        "from",
        "to",
        "q",
        "search",
        "includes",
        "sort",
        "order",
        "tz",
        "page",
        "include_deleted_entities",
        "include_own",
        "count",
    ] {
        for query in [format!("{name}="), name.to_owned(), format!("{name}[]="), format!("{name}[0]=")] {
            check(&server, &[(&query, "a b")]);
        }
    }
    check(&server, &[("entity=e&entity=", "a"), ("q=%20&entity=e", "a")]);
    for name in ["limit", "per_page", "cursor"] {
        check_refused(&server, &[(&format!("{name}="), name), (name, name), (&format!("{name}[]="), name)]);
    }
}

#[test]
fn a_list_without_a_limit_that_is_cut_says_so() {
    let server = Server::start_with(&[("AUDITBOX_LIMITS_LIST_DEFAULT", "2")]);
    let event = |name: &str| json!({ "identifier": name, "action": "A", "resourceType": "x" });
    server.store(&[event("a"), event("b")]);
    let truncated = |query: &str| server.list(query).header("x-list-truncated").map(str::to_owned);
    assert_eq!(truncated(""), None);
    server.store(&[event("c")]);
    for query in ["", "sort=received", "sort=received&order=asc", "entity="] {
        assert_eq!(truncated(query).as_deref(), Some("2"), "{query}");
    }
    for query in ["limit=1", "per_page=2", "identifier=a"] {
        assert_eq!(truncated(query), None, "{query}");
    }
    let log = server.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("was cut at the default limit")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("admin"), "{lines:?}");
}

#[test]
fn a_field_accepts_at_most_a_hundred_values_in_any_encoding() {
    let server = server_with(&[("a", json!({ "trigger": { "origin": "o99" } }))]);
    let values: Vec<_> = (0..=100).map(|n| format!("o{n}")).collect();
    let spread =
        |name: &str, count: usize| values[..count].iter().map(|value| format!("{name}={value}&")).collect::<String>();
    let commas = |name: &str, count: usize| format!("{name}={}", values[..count].join(","));
    let (bracketed, excluded) = ("origin[]", "not.origin");
    check(
        &server,
        &[
            (&spread("origin", 100), "a"),
            (&spread(bracketed, 100), "a"),
            (&spread(excluded, 100), ""),
            (&commas("origin", 100), "a"),
            (&commas(excluded, 100), ""),
        ],
    );
    check_refused(
        &server,
        &[(&spread("origin", 101), "origin"), (&spread(bracketed, 101), "origin"), (&commas("origin", 101), "origin")],
    );
    assert_eq!(server.list(&spread(excluded, 101)).refusal().0, 422);
    assert_eq!(server.list(&commas(excluded, 101)).refusal().0, 422);
}

#[test]
fn invalid_utf_8_is_rejected_and_not_replaced() {
    let server = Server::start();
    server.store(&[serde_json::json!({ "identifier": "\u{fffd}", "action": "A", "resourceType": "x" })]);
    assert_eq!(server.list("identifier=%EF%BF%BD").identifiers(), ["\u{fffd}"]);
    assert_eq!(server.list("identifier=%FF").refusal(), (422, "invalid_request".to_owned()));
    let details = server.list("identifier=%FF&limit=0&entity=%FF").json()["details"].clone();
    let named: Vec<_> = details.as_array().unwrap().iter().map(|detail| detail["parameter"].clone()).collect();
    assert_eq!(named, ["identifier", "entity", "limit"]);
    assert_eq!(server.get("/v1/audit-log/%EF%BF%BD").status, 200);
    assert_eq!(server.get("/v1/audit-log/%FF").refusal(), (422, "invalid_request".to_owned()));
}
