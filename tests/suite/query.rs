//! Queries: every parameter and what it matches.

use serde_json::{Value, json};

use crate::harness::{Server, eventually};

/// Checks which events each query finds, newest first; names are separated by spaces.
pub fn check(server: &Server, queries: &[(&str, &str)]) {
    for (query, expected) in queries {
        let expected: Vec<_> = expected.split_whitespace().collect();
        assert_eq!(server.list(query).identifiers(), expected, "{query}");
    }
}

/// Checks that each query is rejected because of its parameter.
pub fn check_refused(server: &Server, refused: &[(&str, &str)]) {
    for (query, parameter) in refused {
        let answer = server.list(query);
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{query}");
        let envelope = answer.json();
        assert_eq!(envelope["details"][0]["parameter"], *parameter, "{query}: {envelope}");
        assert!(envelope["message"].as_str().unwrap().starts_with(&format!("{parameter}: ")), "{envelope}");
    }
}

/// Stores events, each with its name as identifier and a distinct minute; the first is the newest.
pub fn server_with(events: &[(&str, Value)]) -> Server {
    let server = Server::start();
    let events: Vec<_> = events
        .iter()
        .enumerate()
        .map(|(number, (name, event))| {
            let mut event = event.clone();
            let defaults = json!({ "action": "A", "resourceType": "x", "trigger": {} });
            for (key, value) in defaults.as_object().unwrap() {
                event.as_object_mut().unwrap().entry(key).or_insert_with(|| value.clone());
            }
            event["identifier"] = json!(name);
            event["trigger"]["at"] = json!(format!("2024-05-01T12:{:02}:00Z", 59 - number));
            event
        })
        .collect();
    server.store(&events);
    server
}

#[test]
fn queries_need_a_token_with_the_scope() {
    let server = server_with(&[("a", json!({}))]);
    for path in ["/v1/audit-log", "/v1/audit-log?foo=1", "/v1/audit-log/a", "/v1/audit-log/none"] {
        assert_eq!(server.request("GET", path, &[], b"").refusal(), (401, "unauthorized".to_owned()), "{path}");
        let sender = server.credential(path.trim_start_matches('/'), &["ingest", "admin"]);
        assert_eq!(server.request_as(&sender, "GET", path, "").refusal(), (403, "forbidden".to_owned()), "{path}");
    }
    let reader = server.credential("reader", &["read"]);
    assert_eq!(server.request_as(&reader, "GET", "/v1/audit-log", "").identifiers(), ["a"]);
}

#[test]
fn ports_parameters_match_their_event_keys() {
    let context = |key: &str| json!({ "context": { key: "it" } });
    let server = server_with(&[
        ("entity", context("entity")),
        ("blueprint", context("blueprint")),
        ("run", context("runId")),
        ("webhook", context("webhookId")),
        ("webhook-event", context("webhookEventId")),
        ("installation", context("integrationId")),
        ("automation", json!({ "context": { "actionType": "automation" } })),
        ("self-service", json!({ "context": { "actionType": "self-service" } })),
        ("origin", json!({ "trigger": { "origin": "it" } })),
        ("failure", json!({ "status": "FAILURE" })),
        ("action", json!({ "action": "it" })),
        ("resource", json!({ "resourceType": "It" })),
    ]);
    check(
        &server,
        &[
            ("entity=it", "entity"),
            ("blueprint=it", "blueprint"),
            ("run_id=it", "run"),
            ("webhookId=it", "webhook"),
            ("webhookEventId=it", "webhook-event"),
            ("InstallationId=it", "installation"),
            ("actionType=automation", "automation"),
            ("actionType=self-service&actionType=automation", "automation self-service"),
            ("origin=it", "origin"),
            ("status=FAILURE", "failure"),
            ("action=it", "action"),
            ("resources=it", "resource"),
            ("resource_type=iT", "resource"),
            ("resources=IT&resource_type=none", "resource"),
            ("identifier=run", "run"),
            ("identifier=run&identifier=entity&identifier=none", "entity run"),
            ("identifier=run&run_id=other", ""),
            ("entity=IT", ""),
            ("action=It", "action"),
            ("origin=IT", "origin"),
        ],
    );
}

#[test]
fn ports_parameters_are_combined_and_repeated_in_every_encoding() {
    let event = |entity: &str, kind: &str| json!({ "resourceType": kind, "context": { "entity": entity } });
    let server = server_with(&[
        ("1", event("a", "entity")),
        ("2", event("b", "Blueprint")),
        ("3", event("a", "run")),
        ("4", event("c", "entity")),
        ("5", json!({})),
    ]);
    check(
        &server,
        &[
            ("", "1 2 3 4 5"),
            ("&&", "1 2 3 4 5"),
            ("resources=entity&resources=blueprint", "1 2 4"),
            ("resources%5B%5D=entity&resources[]=blueprint", "1 2 4"),
            ("resources=Entity%2CBlueprint", "1 2 4"),
            ("resources=Entity,+BLUEPRINT,", "1 2 4"),
            ("resources=entity", "1 4"),
            ("resources[]=entity", "1 4"),
            ("resources=entity&resources[]=run", "1 3 4"),
            ("entity=a&resources=entity", "1"),
            ("entity=a&entity=b&resources=entity,blueprint", "1 2"),
            ("entity[]=a&entity[]=c&not.resources=run", "1 4"),
            ("entity=a&blueprint=b", ""),
        ],
    );
}

#[test]
fn a_comma_separates_only_in_a_list_that_is_given_once() {
    let origin = |origin: &str| json!({ "trigger": { "origin": origin }, "context": { "entity": origin } });
    let server = server_with(&[("ab", origin("a,b")), ("a", origin("a")), ("b", origin("b")), ("c", origin(","))]);
    check(
        &server,
        &[
            ("origin=a,b", "ab a b"),
            ("origin=a%2Cb", "ab a b"),
            ("origin[]=a,b", "ab"),
            ("origin=a,b&origin=a,b", "ab"),
            ("origin=a,b&origin=b", "ab b"),
            ("origin=,", "ab a b c"),
            ("status_code=,", "ab a b c"),
            ("not.status_code=,,", "ab a b c"),
            ("origin[]=,", "c"),
            ("entity=,", "c"),
            ("origin=,,a,,", "a"),
            ("not.origin=a,b", "c"),
            ("not.origin[]=a,b", "a b c"),
            ("entity=a,b", "ab"),
            ("entity=a,b&entity=a", "ab a"),
        ],
    );
    check_refused(&server, &[("status=SUCCESS,FAILURE", "status")]);
}

/// Events with actors and requests.
fn requests() -> Server {
    let event = |by: Value, method: &str, path: &str, status_code: u16, ip: &str| {
        let request = json!({ "method": method, "path": path, "statusCode": status_code, "ip": ip });
        json!({ "trigger": { "by": by }, "request": request })
    };
    server_with(&[
        ("a", event(json!({ "userId": "u1", "type": "user" }), "GET", "/v1/apps", 200, "10.0.0.1")),
        ("b", event(json!({ "name": "u1", "type": "token" }), "post", "/v1/app", 404, "10.1.2.3")),
        ("c", event(json!({ "email": "u1", "name": "Ünal, C" }), "DELETE", "/V1/apps?x=1,2", 403, "2001:0db8::0:1")),
        ("d", event(json!({ "userId": "u2", "type": "user" }), "Get", "/", 503, "AWS Internal")),
        ("e", event(json!({ "userId": "U1", "type": "system" }), "PATCH", "v1", 999, "::ffff:10.0.0.1")),
        ("f", json!({})),
    ])
}

#[test]
fn additional_parameters_match_actors_and_requests() {
    check(
        &requests(),
        &[
            ("actor=u1", "a b c e"),
            ("actor=%C3%9Cnal,+C", "c"),
            ("actor=u%CC%88nal,+c", "c"),
            ("actor=unal,+C", ""),
            ("actor=U1&actor=u2", "a b c d e"),
            ("actor_type=user", "a d"),
            ("actor_type=token,system", "b e"),
            ("method=get", "a d"),
            ("method=POST,Delete", "b c"),
            ("methods=GET&method=patch", "a d e"),
            ("path=/v1/app", "a b"),
            ("path=/v1/apps", "a"),
            ("path=/", "a b c d"),
            ("path=/V1/apps?x%3D1,", "c"),
            ("path=/V1&path=v", "c e"),
            ("status_code=404", "b"),
            ("status_code=4xx", "b c"),
            ("status_code=4XX,200", "a b c"),
            ("statusCodes=9xx&statusCodes=503", "d e"),
            ("status_code=1xx", ""),
            ("ip=10.0.0.1", "a e"),
            ("ip=::ffff:10.0.0.1", "a e"),
            ("ip=10.0.0.0/8", "a b e"),
            ("ip=10.0.0.99/24", "a e"),
            ("ip=0.0.0.0/0", "a b e"),
            ("ip=10.1.2.3/32,2001:db8::1", "b c"),
            ("ip=2001:db8::/32", "c"),
            ("ip=2001:DB8:0:0:0:0:0:1", "c"),
            ("ip=::/0", "c"),
            ("ip=AWS+Internal", "d"),
            ("ip=aws+internal", ""),
            ("actor=u1&method=get&path=/v1&status_code=2xx&ip=10.0.0.0/8&actor_type=user", "a"),
        ],
    );
}

#[test]
fn every_filter_can_be_negated_and_then_matches_events_without_the_field() {
    check(
        &requests(),
        &[
            ("not.actor=u1", "d f"),
            ("not.actor_type=user", "b c e f"),
            ("not.method=GET", "b c e f"),
            ("not.path=/", "e f"),
            ("not.status_code=4xx&not.status_code=2xx", "d e f"),
            ("not.status_code=4xx,503", "a e f"),
            ("not.ip=10.0.0.0/8", "c d f"),
            ("not.identifier=a&not.identifier[]=b", "c d e f"),
            ("actor=u1&not.actor=C", "a b c e"),
            ("actor=u1&not.actor=%C3%9CNAL,+C", "a b e"),
            ("actor=u1&not.actor=u1", ""),
            ("not.entity=none", "a b c d e f"),
            ("not.resources=X", ""),
            ("not.action=a", ""),
            ("not.status=SUCCESS", ""),
            ("not.origin=API", ""),
            ("not.actionType=automation&not.blueprint=b&not.run_id=r", "a b c d e f"),
            ("not.webhookId=w&not.webhookEventId=w&not.InstallationId=i&not.resource_type=y", "a b c d e f"),
        ],
    );
}

#[test]
fn both_time_bounds_are_inclusive_to_the_microsecond_at_any_offset() {
    let server = Server::start();
    let event = |name: &str, at: &str| json!({ "identifier": name, "action": "A", "resourceType": "x", "trigger": { "at": at } });
    server.store(&[
        event("first", "2024-05-01T12:00:00Z"),
        event("second", "2024-05-01T14:00:00.000001999+02:00"),
        event("third", "2024-05-01T06:30:01-05:30"),
    ]);
    check(
        &server,
        &[
            ("from=2024-05-01T12:00:00Z", "third second first"),
            ("from=2024-05-01T12:00:00.000001Z", "third second"),
            ("from=2024-05-01T12:00:00.000002Z", "third"),
            ("to=2024-05-01T12:00:00.000000Z", "first"),
            ("to=2024-05-01T12:00:00.000001Z", "second first"),
            ("from=2024-05-01T12:00:00.000001Z&to=2024-05-01T12:00:00.000001Z", "second"),
            ("from=2024-05-01T14:00:01%2B02:00&to=2024-05-01T14:00:01+02:00", "third"),
            ("to=2024-05-01T11:59:59.999999Z", ""),
            ("to=0000-01-01T00:00:00Z", ""),
        ],
    );
    check_refused(
        &server,
        &[
            ("from=yesterday", "from"),
            ("to=2024-05-01T", "to"),
            ("from=1714564800", "from"),
            ("to=2024-05-01T12:00:00.", "to"),
            ("from=2024-05-01T12:00:00Z&to=2024-05-01T11:59:59Z", "from"),
            ("from=2024-05-02&to=2024-05-01", "from"),
            ("from=2024-05-01T12:00:00Z&from=2024-05-01T12:00:00Z", "from"),
            ("from=9999-12-31T23:59:59-23:59", "from"),
        ],
    );
}

#[test]
fn a_less_precise_time_covers_all_of_it() {
    let server = Server::start();
    let event = |name: &str, at: &str| json!({ "identifier": name, "action": "A", "resourceType": "x", "trigger": { "at": at } });
    server.store(&[
        event("half", "2024-05-01T12:00:59.5Z"),
        event("minute", "2024-05-01T12:01:00Z"),
        event("evening", "2024-05-01T23:30:00Z"),
    ]);
    check(
        &server,
        &[
            ("to=2024-05-01T12:00:59Z", "half"),
            ("to=2024-05-01T12:00:59.5Z", "half"),
            ("to=2024-05-01T12:00:59.4Z", ""),
            ("to=2024-05-01T12:00Z", "half"),
            ("to=2024-05-01T12:00", "half"),
            ("to=2024-05-01T14:00&tz=Europe/Berlin", "half"),
            ("from=2024-05-01T12:01&to=2024-05-01T12", "minute"),
            ("from=2024-05-01&to=2024-05-01", "evening minute half"),
            ("from=2024-05-01&to=2024-05-01&tz=Europe/Berlin", "minute half"),
            ("from=2024-05-02&tz=%2B02:00", "evening"),
            ("to=2024-05-01&tz=", "evening minute half"),
        ],
    );
    let answer = server.list("from=2024-05-02&to=2024-05-01").json();
    assert!(answer["message"].as_str().unwrap().starts_with("from: is after to: "), "{answer}");
    check_refused(&server, &[("tz=Nowhere", "tz")]);
}

#[test]
fn every_address_in_the_stored_text_is_found() {
    let event = |ip: &str| json!({ "request": { "ip": ip } });
    let server = server_with(&[
        ("port", event("198.51.100.196:50332")),
        ("list", event("203.0.113.7, 10.0.0.1")),
        ("brackets", event("[2001:db8::2]:443")),
        ("forwarded", event("for=\"[2001:db8::3]:80\";by=203.0.113.7")),
        ("zone", event("fe80::1%eth0")),
        ("plain", event("10.0.0.1")),
        ("text", event("AWS Internal")),
    ]);
    check(
        &server,
        &[
            ("ip=198.51.100.196", "port"),
            ("ip=198.51.100.196:50332", "port"),
            ("ip=10.0.0.1", "list plain"),
            ("ip=203.0.113.0/24", "list forwarded"),
            ("ip=2001:db8::2", "brackets"),
            ("ip=2001:db8::/32", "brackets forwarded"),
            ("ip=fe80::/10", "zone"),
            ("ip[]=203.0.113.7,+10.0.0.1", "list"),
            ("not.ip=10.0.0.0/8", "port brackets forwarded zone text"),
            ("q=ip:203.0.113.7", "list forwarded"),
        ],
    );
    assert!(server.list("identifier=list").text.contains("\"203.0.113.7, 10.0.0.1\""));
}

#[test]
fn an_event_with_any_identifier_has_a_path() {
    let identifiers = ["stats", "export", "stream", "events/stats", "a/../b", "a%2Fb", "..", ".", "ü ?#&+", "/", "-"];
    let server = server_with(&identifiers.map(|name| (name, json!({}))));
    for identifier in identifiers {
        let encoded: String = identifier.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = server.get(&format!("/v1/events/{encoded}"));
        assert_eq!(answer.json()["audit"]["identifier"], identifier, "{}", answer.text);
        if !["stats", "export", "stream"].contains(&identifier) {
            let answer = server.get(&format!("/v1/audit-log/{encoded}"));
            assert_eq!(answer.json()["audit"]["identifier"], identifier, "{}", answer.text);
        }
    }
    for (path, identifier) in [("stats", "stats"), ("events/stats", "events/stats"), ("a%2F..%2Fb", "a/../b")] {
        assert_eq!(server.get(&format!("/v1/events/{path}")).json()["audit"]["identifier"], identifier, "{path}");
    }
    assert_eq!(server.get("/v1/events/none").refusal(), (404, "not_found".to_owned()));
}

#[test]
fn includes_selects_keys_and_keeps_their_bytes() {
    let server = Server::start();
    let diff = r#"{ "before":null,"after":{"n":1.0, "big":9007199254740993} }"#;
    let body = format!(
        r#"{{"identifier":"e","action":"A","resourceType":"x","message":"m","context":{{"entity":"\u0061"}},"request":{{ }},
        "diff":{diff},"additionalData":[1.10],"own":1}}"#
    );
    assert_eq!(server.post("/v1/audit-log", &body).status, 201);
    let all = server.list("").json()["audits"][0].clone();
    let keys =
        ["action", "context", "diff", "identifier", "resourceType", "status", "trigger", "additionalData", "message"];
    for key in keys.iter().chain(&["request", "receivedAt", "receivedBy"]) {
        for query in [format!("includes={key}"), format!("includes[]={}", key.to_uppercase())] {
            assert_eq!(server.list(&query).json()["audits"], json!([{ *key: all[*key] }]), "{query}");
        }
    }
    for query in [
        "includes=identifier&includes=diff",
        "includes=Diff,IDENTIFIER",
        "includes%5B%5D=diff&includes=identifier,diff",
    ] {
        let answer = server.list(query);
        assert!(answer.text.contains(&format!(r#"[{{"identifier":"e","diff":{diff}}}]"#)), "{query}: {}", answer.text);
    }
    check_refused(
        &server,
        &[("includes=own", "includes"), ("includes=diff,", "includes"), ("includes=diff;action", "includes")],
    );
    server.store(&[json!({ "identifier": "bare", "action": "A", "resourceType": "x", "trigger": { "at": "2001-01-01T00:00:00Z" } })]);
    assert_eq!(server.list("includes=message,diff&order=asc").json()["audits"][0], json!({}));
}

#[test]
fn self_audit_records_are_shown_on_request() {
    let server = server_with(&[("a", json!({})), ("b", json!({ "resourceType": "api_request" }))]);
    let own = eventually("the record of a list", || {
        let events = server.list("include_own=true&action=audit_log.list").json();
        events["audits"].as_array().unwrap().last().cloned()
    });
    assert_eq!([&own["trigger"]["origin"], &own["resourceType"]], [&json!("auditbox"), &json!("api_request")]);
    assert_eq!([&own["trigger"]["by"]["name"], &own["request"]["method"]], [&json!("admin"), &json!("GET")]);
    let identifier = own["identifier"].as_str().unwrap();
    for query in [
        "",
        "status=SUCCESS",
        "method=GET",
        "not.origin=UI",
        "not.resources=x",
        "origin=UI",
        "include_own=false",
        "path=/v1",
    ] {
        assert!(!server.list(query).text.contains("\"origin\":\"auditbox\""), "{query}");
    }
    for query in [
        "include_own=true",
        "origin=auditbox",
        "origin=AuditBox",
        "origin=UI,auditbox",
        "resources=API_REQUEST",
        "q=origin:auditbox",
    ] {
        assert!(server.list(query).text.contains(identifier), "{query}");
    }
    check(&server, &[(&format!("identifier={identifier}"), identifier)]);
    check(&server, &[("resources=api_request&not.origin=auditbox", "b")]);
    assert_eq!(server.get(&format!("/v1/audit-log/{identifier}")).json()["audit"], own);
}

#[test]
fn lists_are_newest_first_with_ties_by_arrival() {
    let server = Server::start();
    assert_eq!(server.list("").json(), json!({ "ok": true, "audits": [], "next": null }));
    let event = |name: &str, at: &str| json!({ "identifier": name, "action": "A", "resourceType": "x", "message": null, "trigger": { "at": at } });
    server.store(&[event("noon", "2024-05-01T12:00:00Z"), event("tie-1", "2024-05-01T13:00:00Z")]);
    server.store(&[event("tie-2", "2024-05-01T15:00:00+02:00"), event("late", "2024-04-30T00:00:00Z")]);
    server.store(&[event("tie-3", "2024-05-01T13:00:00.0000001Z")]);
    check(
        &server,
        &[
            ("", "tie-3 tie-2 tie-1 noon late"),
            ("order=asc", "late noon tie-1 tie-2 tie-3"),
            ("sort=received", "tie-3 late tie-2 tie-1 noon"),
            ("sort=received&order=asc", "noon tie-1 tie-2 late tie-3"),
        ],
    );
    assert!(!server.list("").text.contains("message"));
    assert_eq!(server.list("").header("content-type"), Some("application/json"));
}
