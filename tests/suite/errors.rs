//! Errors: status, code, envelope and headers of each.

use std::io::Write;

use serde_json::json;

use crate::{
    harness::{Answer, CLIENT_ID, CLIENT_SECRET, Server, eventually},
    raw,
};

const LOG: &str = "/v1/audit-log";
const LOGIN: &str = "/v1/auth/access_token";

/// Checks a complete error: status, code, envelope, headers.
fn check(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.refusal(), (status, code.to_owned()), "{}", answer.text);
    let envelope = answer.json();
    let keys: Vec<_> = envelope.as_object().unwrap().keys().collect();
    assert!(keys.iter().all(|key| ["ok", "error", "message", "details"].contains(&key.as_str())), "{keys:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("x-trace-id").is_some_and(|id| id.len() >= 16), "{:?}", answer.headers);
    assert_eq!(answer.header("www-authenticate"), (status == 401).then_some("Bearer"));
    let wait = answer.header("retry-after");
    assert_eq!(wait.is_some(), matches!(status, 429 | 503 | 507), "{wait:?}");
    assert!(wait.is_none_or(|wait| wait.parse::<u32>().is_ok_and(|seconds| seconds >= 1)), "{wait:?}");
}

/// Every request that needs a scope, with that scope.
const GUARDED: [(&str, &str, &str, &str); 8] = [
    ("GET", LOG, "", "read"),
    ("GET", "/v1/audit-log/x", "", "read"),
    ("POST", LOG, r#"{"action":"A","resourceType":"x"}"#, "ingest"),
    ("GET", "/v1/credentials", "", "admin"),
    ("POST", "/v1/credentials", r#"{"name":"new","scopes":["read"]}"#, "admin"),
    ("PATCH", "/v1/credentials/test-admin", r#"{"disabled":true}"#, "admin"),
    ("DELETE", "/v1/credentials/test-admin", "", "admin"),
    ("GET", "/metrics", "", "metrics"),
];

#[test]
fn without_a_valid_token_everything_is_401() {
    let server = Server::start();
    let (token, api_token) = (&server.token, server.credential("other", &["read"]));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0ZXN0LWFkbWluIiwiaWF0IjoxLCJleHAiOjQxMDI0NDQ4MDB9.";
    let headers = [
        String::new(),
        format!("Token {token}"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Basic {token}"),
        format!("Bearer {token}x"),
        format!("Bearer {signed}.{turned}"),
        format!("Bearer {signed}."),
        format!("Bearer {unsigned}"),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer {}", &api_token[..api_token.len() - 1]),
        "Bearer abx_".to_owned(),
        "Bearer null".to_owned(),
        format!("Bearer {CLIENT_SECRET}"),
        format!("Bearer {}", "x".repeat(10_000)),
    ];
    for (method, path, body, _) in GUARDED {
        check(&server.request(method, path, &[], body.as_bytes()), 401, "unauthorized");
        for header in &headers {
            let answer = server.request(method, path, &[("authorization", header)], body.as_bytes());
            check(&answer, 401, "unauthorized");
            assert!(!answer.text.contains(token.as_str()), "a token is not repeated");
        }
    }
    assert_eq!(server.list("").identifiers(), [""; 0]);
    for scheme in ["bearer", "BEARER"] {
        let header = format!("{scheme} {token}");
        assert_eq!(server.request("GET", LOG, &[("authorization", &header)], b"").status, 200);
    }
}

#[test]
fn without_the_scope_everything_is_403() {
    let server = Server::start();
    for missing in ["ingest", "read", "admin", "metrics"] {
        // Administrators may read the metrics.
        let all = if missing == "metrics" { &["ingest", "read"][..] } else { &["ingest", "read", "admin"] };
        let scopes: Vec<_> = all.iter().copied().filter(|scope| *scope != missing).collect();
        let token = server.credential(&format!("without {missing}"), &scopes);
        let body = json!({ "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET }).to_string();
        for (method, path, body, needed) in GUARDED.iter().filter(|(.., needed)| *needed == missing) {
            let answer = server.request_as(&token, method, path, body);
            check(&answer, 403, "forbidden");
            let message = answer.json()["message"].as_str().unwrap().to_owned();
            assert!(message.contains(needed) && message.contains("without"), "{message}");
        }
        // Requesting a token with one's own credential needs no scope.
        assert_eq!(server.request_as(&token, "POST", LOGIN, &body).status, 200);
    }
    let names = server.get("/v1/credentials").json()["credentials"].as_array().unwrap().len();
    assert_eq!(names, 5, "nothing was created");
}

#[test]
fn a_wrong_secret_and_an_unknown_client_get_the_same_response() {
    let server = Server::start_with(&[("AUDITBOX_AUTH_FAILED_LOGINS_MAX", "100")]);
    let mut texts = Vec::new();
    for (client, secret) in [
        (CLIENT_ID, "wrong"),
        ("nobody", CLIENT_SECRET),
        ("", ""),
        ("a b/ü", CLIENT_SECRET),
        (CLIENT_SECRET, CLIENT_ID),
    ] {
        let body = json!({ "clientId": client, "clientSecret": secret }).to_string();
        let answer = server.request("POST", LOGIN, &[], body.as_bytes());
        check(&answer, 401, "invalid_credentials");
        texts.push(answer.text);
    }
    texts.dedup();
    assert_eq!(texts.len(), 1);
    assert!(texts[0].contains("Invalid credentials supplied to the generate token API"));
    for body in ["", "{}", "[]", "7", r#"{"clientId":"x"}"#, r#"{"clientId":1,"clientSecret":2}"#, "\u{0}"] {
        check(&server.request("POST", LOGIN, &[], body.as_bytes()), 422, "invalid_request");
    }
    check(&server.request("POST", LOGIN, &[], &vec![b' '; 20_000]), 413, "payload_too_large");
}

#[test]
fn too_many_failed_logins_are_429_with_retry_after() {
    let server = Server::start_with(&[
        ("AUDITBOX_AUTH_FAILED_LOGINS_MAX", "3"),
        ("AUDITBOX_AUTH_FAILED_LOGINS_WINDOW_SECONDS", "600"),
    ]);
    let wrong = json!({ "clientId": CLIENT_ID, "clientSecret": "wrong" }).to_string();
    for _ in 0..3 {
        check(&server.request("POST", LOGIN, &[], wrong.as_bytes()), 401, "invalid_credentials");
    }
    let answer = server.request("POST", LOGIN, &[], wrong.as_bytes());
    check(&answer, 429, "rate_limited");
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() <= 600);
    assert_eq!(server.list("").status, 200, "an issued token stays valid");
}

#[test]
fn unknown_paths_are_404_and_wrong_methods_405() {
    let server = Server::start();
    for path in [
        "/v1",
        "/v1/",
        "/v1/audit-logs",
        "/v1/AUDIT-LOG",
        "/v1/audit-log/",
        "/v2/audit-log",
        "/%00",
        "/v1/audit-log%2F",
    ] {
        check(&server.get(path), 404, "not_found");
        check(&server.request("POST", path, &[], b"{}"), 404, "not_found");
    }
    check(&server.get("/v1/audit-log/none"), 404, "not_found");
    check(&server.request_as(&server.token, "DELETE", "/v1/credentials/nobody", ""), 404, "not_found");
    for (method, path) in [
        ("PUT", LOG),
        ("DELETE", LOG),
        ("PATCH", "/v1/audit-log/x"),
        ("DELETE", "/v1/audit-log/x"),
        ("GET", LOGIN),
        ("PUT", "/v1/credentials"),
        ("GET", "/v1/credentials/x"),
        ("POST", "/healthz"),
        ("DELETE", "/readyz"),
        ("FROBNICATE", LOG),
    ] {
        check(&server.request_as(&server.token, method, path, ""), 405, "method_not_allowed");
    }
}

#[test]
fn a_taken_name_or_identifier_is_409() {
    let server = Server::start();
    server.credential("taken", &["read"]);
    check(&server.post("/v1/credentials", r#"{"name":"taken","scopes":["read"]}"#), 409, "conflict");
    server.store(&[json!({ "identifier": "e", "action": "A", "resourceType": "x" })]);
    let other = json!({ "identifier": "e", "action": "B", "resourceType": "x" }).to_string();
    check(&server.post(LOG, &other), 409, "conflict");
}

#[test]
fn bodies_that_are_too_large_or_wrong_are_413_and_422() {
    let server =
        Server::start_with(&[("AUDITBOX_LIMITS_BODY_BYTES_MAX", "1000"), ("AUDITBOX_LIMITS_EVENT_BYTES_MAX", "500")]);
    check(&server.post(LOG, &" ".repeat(1_001)), 413, "payload_too_large");
    check(&server.post(LOG, &"x".repeat(1_000)), 422, "invalid_request");
    assert_eq!(server.post(LOG, &" ".repeat(1_000)).status, 200, "a body without events");
    check(&server.post(LOG, "{}"), 422, "invalid_request");
    check(&server.list("foo=1"), 422, "invalid_request");
    check(&server.post("/v1/credentials", "{}"), 422, "invalid_request");
    check(&server.post("/v1/credentials", r#"{"name":"n","scopes":[]}"#), 422, "invalid_request");
}

#[test]
fn a_body_that_does_not_arrive_is_408() {
    let server = Server::start_with(&[("AUDITBOX_LIMITS_BODY_READ_SECONDS", "1")]);
    for lines in [["content-length: 100"], ["transfer-encoding: chunked"]] {
        let head = raw::head(&server, "POST /v1/audit-log", &lines);
        let answer = raw::send(&server, [&*head]);
        assert_eq!((answer.status, &*answer.error()), (408, "request_timeout"));
        assert!(answer.head.contains("\r\nx-trace-id: "), "{}", answer.head);
    }
}

#[test]
fn overload_is_503_with_retry_after() {
    let server = Server::start_with(&[
        ("AUDITBOX_LIMITS_BODY_BYTES_MAX", "1000"),
        ("AUDITBOX_LIMITS_EVENT_BYTES_MAX", "500"),
        ("AUDITBOX_LIMITS_BODY_MEMORY_BYTES_MAX", "1000"),
    ]);
    let event = json!({ "action": "A", "resourceType": "x".repeat(120) }).to_string();
    let (holder, refused) = eventually("a refusal", || {
        // A client that does not finish its body holds most of the memory for bodies. If the event below arrives
        // before that, the test tries again.
        let mut holder = raw::connect(&server);
        holder.write_all(&raw::head(&server, "POST /v1/audit-log", &["content-length: 1000"])).unwrap();
        holder.write_all(&[b' '; 950]).unwrap();
        let answer = server.post(LOG, &event);
        (answer.status != 201).then_some((holder, answer))
    });
    check(&refused, 503, "overloaded");
    assert_eq!(server.list("").status, 200, "reads continue");
    drop(holder);
    eventually("taking events again", || (server.post(LOG, &event).status == 201).then_some(()));
}

#[test]
fn every_response_has_a_unique_trace_id() {
    let server = Server::start();
    let paths = [LOG, "/healthz", "/readyz", "/none", "/openapi.json", "/v1/audit-log?foo=1", LOG];
    let mut ids: Vec<_> = paths.iter().map(|path| server.get(path).header("x-trace-id").unwrap().to_owned()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), paths.len());
}

#[test]
fn odd_bytes_in_a_request_line_cause_no_server_error() {
    let server = Server::start();
    let events: Vec<_> =
        (0..3).map(|n| json!({ "identifier": n.to_string(), "action": "A", "resourceType": "x" })).collect();
    server.store(&events);
    for byte in (0..=255_u8).filter(|byte| !b" \r\n".contains(byte)) {
        // The Link header of a page repeats the query.
        for before in [
            "GET /v1/audit-log?limit=1&page=",
            "GET /v1/audit-log/",
            "GET /v1/audit-log?entity=%",
            "GET /v1/audit-log?",
        ] {
            let mut request = raw::head(&server, "?", &[]);
            request.splice(..1, [before.as_bytes(), &[byte]].concat());
            let status = raw::send(&server, [&*request]).status;
            assert!(matches!(status, 200 | 400 | 404 | 422), "{before} {byte:#04x}: {status}");
        }
    }
}

#[test]
fn responses_with_data_are_not_cached_or_sniffed() {
    let server = Server::start();
    server.post("/v1/audit-log", r#"{"identifier":"e1","action":"A","resourceType":"x"}"#);
    for path in [
        "/v1/audit-log",
        "/v1/audit-log/e1",
        "/v1/audit-log/none",
        "/v1/audit-log/stats",
        "/v1/audit-log/export?format=csv",
        "/v1/audit-log?limit=0",
        "/v1/credentials",
        "/v1/nothing",
    ] {
        let answers = [server.get(path), server.request("GET", path, &[], b"")];
        for answer in answers {
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{path} {}", answer.status);
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path} {}", answer.status);
        }
    }
    let token = server.post("/v1/auth/access_token", "{}");
    assert_eq!(token.header("cache-control"), Some("no-store"));
}
