//! `/openapi.json` describes what the server does, and `/docs/` shows it without another host.

use std::collections::BTreeSet;

use auditbox::model::{
    credential::{ClientId, Secret},
    token::api_token,
};
use serde_json::{Value, json};

use crate::harness::{Answer, CLIENT_ID, Server};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn document(server: &Server) -> Value {
    let answer = server.request("GET", "/openapi.json", &[], b"");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    answer.json()
}

/// The operation of a request, found as a reader of the document would find it.
fn operation<'d>(document: &'d Value, method: &str, path: &str) -> &'d Value {
    let path = path.split('?').next().unwrap();
    let fits = |pattern: &str| {
        let (one, other): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
        one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| one == other || one.starts_with('{'))
    };
    let paths = document["paths"].as_object().unwrap();
    let exact = paths.get(path).or_else(|| paths.iter().find(|(pattern, _)| fits(pattern)).map(|(_, item)| item));
    &exact.unwrap_or_else(|| panic!("{path} is not documented"))[method.to_lowercase()]
}

/// The document allows the response, including its form.
fn check(document: &Value, method: &str, path: &str, answer: &Answer) {
    let promised = &operation(document, method, path)["responses"][answer.status.to_string()];
    assert!(promised.is_object(), "{method} {path}: {} is not documented: {}", answer.status, answer.text);
    if answer.status < 400 && promised["content"].get("application/json").is_none() {
        let kind = answer.header("content-type").and_then(|kind| kind.split(';').next()).unwrap();
        assert!(promised["content"].get(kind).is_some(), "{method} {path}: {kind} is not documented");
        return;
    }
    let envelope = answer.json();
    if answer.status < 400 {
        let target = promised["content"]["application/json"]["schema"]["$ref"].as_str().unwrap();
        let schema = document.pointer(target.trim_start_matches('#')).unwrap();
        for key in schema["required"].as_array().unwrap() {
            assert!(envelope.get(key.as_str().unwrap()).is_some(), "{method} {path}: {key} is missing: {envelope}");
        }
        for key in envelope.as_object().unwrap().keys() {
            assert!(schema["properties"].get(key).is_some(), "{method} {path}: {key} is not documented");
        }
    } else {
        let (_, code) = answer.refusal();
        let description = promised["description"].as_str().unwrap();
        assert!(description.contains(&format!("`{code}`")), "{method} {path}: {code} is not in {description}");
        let known = document["components"]["schemas"]["ErrorCode"]["enum"].as_array().unwrap();
        assert!(known.contains(&json!(code)), "{code}");
    }
}

/// A valid request for each operation; `{id}` is a credential's client id.
const GOOD: &[(&str, &str, &str, u16)] = &[
    ("POST", "/v1/audit-log", r#"{"identifier":"e1","action":"READ","resourceType":"x"}"#, 201),
    ("POST", "/v1/audit-log", r#"{"identifier":"e1","action":"READ","resourceType":"x"}"#, 200),
    ("POST", "/v1/audit-log?partial=true", r#"{"action":"READ","resourceType":"x"}{}"#, 200),
    ("GET", "/v1/audit-log?limit=1", "", 200),
    ("GET", "/v1/audit-log/stats?facets=action,status&histogram=1d&tz=Europe/Berlin", "", 200),
    ("GET", "/v1/audit-log/export?format=ndjson&entity=none", "", 200),
    ("GET", "/v1/audit-log/e1", "", 200),
    ("GET", "/v1/events/e1", "", 200),
    (
        "POST",
        "/v1/auth/access_token",
        r#"{"clientId":"test-admin","clientSecret":"a-secret-for-tests-0123456789"}"#,
        200,
    ),
    ("GET", "/in/nowhere", "", 422),
    ("POST", "/in/nowhere", "[]", 404),
    ("POST", "/in/nowhere/a-secret", "[]", 404),
    ("GET", "/v1/credentials", "", 200),
    ("POST", "/v1/credentials", r#"{"name":"second","scopes":["read"],"actorType":"user","expires":"90d"}"#, 201),
    ("POST", "/v1/credentials/{id}/secrets", "", 201),
    ("DELETE", "/v1/credentials/{id}/secrets", "", 200),
    ("PATCH", "/v1/credentials/{id}", r#"{"disabled":true}"#, 200),
    ("DELETE", "/v1/credentials/{id}", "", 200),
    ("GET", "/metrics", "", 200),
    ("GET", "/v1/doors", "", 200),
    ("GET", "/healthz", "", 200),
    ("GET", "/readyz", "", 200),
];

#[test]
fn every_documented_operation_answers_as_documented() {
    let server = Server::start();
    let document = document(&server);
    let made = server.post("/v1/credentials", r#"{"name":"first","scopes":["read"]}"#).json();
    let id = made["credential"]["clientId"].as_str().unwrap();
    let mut seen = BTreeSet::new();
    for (method, path, body, status) in GOOD {
        let path = path.replace("{id}", id);
        let answer = server.request_as(&server.token, method, &path, body);
        assert_eq!(answer.status, *status, "{method} {path}: {}", answer.text);
        check(&document, method, &path, &answer);
        seen.insert(operation(&document, method, &path)["operationId"].as_str().unwrap().to_owned());
    }
    // A stream has no end; other tests read it.
    seen.insert("streamEvents".to_owned());
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let documented: Vec<_> =
        operations.map(|operation| operation["operationId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(documented.iter().cloned().collect::<BTreeSet<_>>(), seen);
    assert_eq!(documented.len(), seen.len(), "a duplicate operationId");
    let tags: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let paths = document["paths"].as_object().unwrap().values();
    assert!(paths.flat_map(|item| item.as_object().unwrap().values()).all(|one| tags.contains(&&one["tags"][0])));
}

#[test]
fn every_error_is_documented() {
    let limits = [
        ("AUDITBOX_AUTH_FAILED_LOGINS_MAX", "1"),
        ("AUDITBOX_LIMITS_BODY_BYTES_MAX", "4000"),
        ("AUDITBOX_LIMITS_EVENT_BYTES_MAX", "4000"),
    ];
    let server = Server::start_with(&limits);
    let document = document(&server);
    let reader = server.credential("reader", &["read"]);
    let nobody = server.credential("nobody", &["ingest"]);
    let guess = api_token(&ClientId::parse(CLIENT_ID).unwrap(), &Secret::presented("guess".to_owned()));
    server.store(&[json!({ "identifier": "e1", "action": "READ", "resourceType": "x" })]);
    let long = format!(r#"{{"clientId":"{}"}}"#, "x".repeat(5_000));
    let login = r#"{"clientId":"test-admin","clientSecret":"wrong"}"#;
    for (token, method, path, body, status) in [
        ("", "GET", "/v1/audit-log", "", 401),
        ("", "POST", "/v1/audit-log", "{}", 401),
        ("", "GET", "/v1/audit-log/stats", "", 401),
        ("", "GET", "/v1/audit-log/e1", "", 401),
        ("", "GET", "/v1/credentials", "", 401),
        ("", "GET", "/metrics", "", 401),
        (&reader, "GET", "/metrics", "", 403),
        ("", "POST", "/v1/credentials", "{}", 401),
        ("", "PATCH", "/v1/credentials/x", "{}", 401),
        ("", "DELETE", "/v1/credentials/x", "", 401),
        (&nobody, "GET", "/v1/audit-log", "", 403),
        (&reader, "POST", "/v1/audit-log", "{}", 403),
        (&nobody, "GET", "/v1/audit-log/stats", "", 403),
        (&nobody, "GET", "/v1/audit-log/e1", "", 403),
        (&reader, "GET", "/v1/credentials", "", 403),
        (&reader, "POST", "/v1/credentials", "{}", 403),
        (&reader, "PATCH", "/v1/credentials/x", "{}", 403),
        (&reader, "DELETE", "/v1/credentials/x", "", 403),
        (&server.token, "GET", "/v1/audit-log?limit=0", "", 422),
        (&server.token, "GET", "/v1/audit-log/stats?facets=identifier", "", 422),
        (&server.token, "POST", "/v1/audit-log", "{}", 422),
        (&server.token, "POST", "/v1/audit-log", r#"{"identifier":"e1","action":"OTHER","resourceType":"x"}"#, 409),
        (&server.token, "POST", "/v1/audit-log", &long, 413),
        (&server.token, "GET", "/v1/audit-log/e2", "", 404),
        (&server.token, "POST", "/v1/credentials", "{}", 422),
        (&server.token, "POST", "/v1/credentials", r#"{"name":"reader","scopes":["read"]}"#, 409),
        (&server.token, "POST", "/v1/credentials", &long, 413),
        (&server.token, "PATCH", "/v1/credentials/x", r#"{"disabled":true}"#, 404),
        (&server.token, "PATCH", "/v1/credentials/x", "{}", 422),
        (&server.token, "PATCH", "/v1/credentials/x", &long, 413),
        (&server.token, "DELETE", "/v1/credentials/x", "", 404),
        (&server.token, "DELETE", "/v1/credentials/%20", "", 422),
        ("", "POST", "/v1/auth/access_token", "{}", 422),
        ("", "POST", "/v1/auth/access_token", &long, 413),
        ("", "POST", "/v1/auth/access_token", login, 401),
        ("", "POST", "/v1/auth/access_token", login, 429),
        // From here on, a token with a wrong secret must wait as well.
        (&guess, "GET", "/v1/audit-log", "", 429),
        (&guess, "POST", "/v1/audit-log", "{}", 429),
        (&guess, "GET", "/v1/audit-log/e1", "", 429),
        (&guess, "GET", "/v1/credentials", "", 429),
        (&guess, "POST", "/v1/credentials", "{}", 429),
        (&guess, "PATCH", "/v1/credentials/x", "{}", 429),
        (&guess, "DELETE", "/v1/credentials/x", "", 429),
    ] {
        let answer = server.request_as(token, method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        check(&document, method, path, &answer);
    }
}

#[test]
fn a_writer_that_has_stopped_is_documented() {
    let server = Server::start();
    let document = document(&server);
    let database = rusqlite::Connection::open(server.database()).unwrap();
    let broken = "CREATE TRIGGER broken BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'broken'); END";
    database.execute_batch(broken).unwrap();
    for (method, path, body) in [
        ("POST", "/v1/audit-log", r#"{"action":"READ","resourceType":"x"}"#),
        ("POST", "/v1/credentials", r#"{"name":"a","scopes":["read"]}"#),
        ("PATCH", "/v1/credentials/test-admin", r#"{"disabled":true}"#),
        ("DELETE", "/v1/credentials/test-admin", ""),
        ("GET", "/readyz", ""),
    ] {
        let answer = server.request_as(&server.token, method, path, body);
        assert_eq!(answer.status, 503, "{method} {path}: {}", answer.text);
        assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
        check(&document, method, path, &answer);
    }
}

#[test]
fn a_method_that_is_not_documented_is_answered_405() {
    let server = Server::start();
    let document = document(&server);
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{identifier}", "e1").replace("{clientId}", "x");
        for method in METHODS.iter().filter(|method| item.get(**method).is_none()) {
            let answer = server.request_as(&server.token, &method.to_uppercase(), &path, "");
            assert_eq!(answer.refusal(), (405, "method_not_allowed".to_owned()), "{method} {path}");
        }
    }
    for path in ["/v1", "/v1/audit-logs", "/v2/audit-log", "/v1/auth/token", "/v1/credentials/a/b", "/metric"] {
        assert_eq!(server.get(path).refusal(), (404, "not_found".to_owned()), "{path}");
    }
}

#[test]
fn operations_that_need_a_token_are_documented_as_such() {
    let server = Server::start();
    let document = document(&server);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let is_open = operation["security"] == json!([]);
            let path = path.replace("{identifier}", "e1").replace("{clientId}", "x");
            let answer = server.request(&method.to_uppercase(), &path, &[], b"");
            assert_eq!(answer.status == 401, !is_open, "{method} {path}: {}", answer.text);
        }
    }
}

#[test]
fn every_reference_within_the_document_resolves() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(key, value)| match value {
                Value::String(target) if key == "$ref" => found.push(target.clone()),
                value => references(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let server = Server::start();
    let document = document(&server);
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for target in found {
        let pointer = target.strip_prefix('#').unwrap_or_else(|| panic!("{target} is outside the document"));
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
}

/// What a page or a style sheet loads: the targets of `src`, `href`, `action`, `@import` and `url(…)`.
fn loaded(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for start in ["src=", "href=", "action=", "url(", "@import "] {
        for (at, _) in text.match_indices(start) {
            let rest = text[at + start.len()..].trim_start_matches(['"', '\'']);
            targets.push(rest.chars().take_while(|char| !"\"')> ;".contains(*char)).collect());
        }
    }
    targets
}

#[test]
fn the_pages_load_nothing_from_another_host() {
    let server = Server::start();
    let page = server.request("GET", "/docs", &[], b"");
    assert_eq!(page.status, 200);
    let assets: Vec<_> =
        loaded(&page.text).into_iter().filter(|target| !target.is_empty() && !target.starts_with("data:")).collect();
    let kind = |asset: &str| asset.rsplit_once('.').map(|(_, kind)| kind.to_owned()).unwrap_or_default();
    assert!(["js", "css"].iter().all(|wanted| assets.iter().any(|asset| kind(asset) == *wanted)), "{assets:?}");
    for asset in assets {
        assert!(!asset.contains("//"), "{asset} is on another host");
        let path = format!("/docs/{}", asset.trim_start_matches("./"));
        // An image is not text, and the harness reads only text.
        assert_eq!(ureq::get(format!("{}{path}", server.url)).call().unwrap().status(), 200, "{asset}");
        if kind(&asset) == "css" {
            let answer = server.request("GET", &path, &[], b"");
            for target in loaded(&answer.text) {
                assert!(!target.contains("//") || target.starts_with("data:"), "{asset}: {target}");
            }
        }
    }
    let configuration = server.request("GET", "/docs/swagger-initializer.js", &[], b"");
    assert_eq!(configuration.status, 200);
    assert!(configuration.text.contains("/openapi.json"), "{}", configuration.text);
    assert!(!configuration.text.contains("http://") && !configuration.text.contains("https://"));
    // The only request that the page would send to another host by default.
    assert!(configuration.text.contains("\"validatorUrl\": \"none\""), "{}", configuration.text);
}

/// Every value with this key in the document, with the pointer to it.
fn with_key(document: &Value, pointer: &str, key: &str, found: &mut Vec<(String, Value)>) {
    let members: Vec<(String, &Value)> = match document {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(elements) => {
            elements.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    for (name, value) in members {
        let here = format!("{pointer}/{name}");
        if name == key {
            found.push((here.clone(), value.clone()));
        }
        with_key(value, &here, key, found);
    }
}

#[test]
fn generated_clients_can_use_the_description() {
    let server = Server::start();
    let document = server.get("/openapi.json").json();
    assert_eq!(document["info"]["license"]["identifier"], "MIT OR Apache-2.0");
    let found = |key: &str| {
        let mut found = Vec::new();
        with_key(&document, "", key, &mut found);
        found
    };
    // Some generators send every default, also where another parameter excludes it; some require a key that has one.
    assert_eq!(found("default"), []);
    // A union of objects that are made of others is not read.
    for (pointer, value) in found("oneOf") {
        assert!(value.as_array().unwrap().iter().all(|part| part.get("allOf").is_none()), "{pointer}");
    }
    // Some generated clients compare the values of an `enum` with texts.
    for (pointer, value) in found("enum") {
        assert!(value.as_array().unwrap().iter().all(Value::is_string), "{pointer}: {value}");
    }
    // The header of the proof.
    let health = &document["paths"]["/healthz"]["get"];
    assert_eq!(health["parameters"][0]["name"], "X-Auditbox-Challenge");
    assert!(health["responses"]["200"]["headers"].get("X-Auditbox-Proof").is_some());
}
