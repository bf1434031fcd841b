//! Routes of the configuration: records that other systems deliver to `/in/<route>`.

mod config;
mod signed;

use std::{fs, io::Write};

use flate2::{Compression, write::GzEncoder};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    cli::good,
    harness::{Answer, Server, eventually},
};

/// A server with this configuration file.
fn start(config: &str) -> Server {
    start_with(config, &[])
}

fn start_with(config: &str, environment: &[(&str, &str)]) -> Server {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("auditbox.toml"), config).unwrap();
    Server::start_in(directory, &[&[("AUDITBOX_CONFIG", "auditbox.toml")], environment].concat())
}

/// Creates a credential that may send events; returns its API token.
fn credential(server: &Server, name: &str) -> String {
    server.credential(name, &["ingest"])
}

fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    server.request("POST", path, headers, body.as_bytes())
}

/// The events of a route's records.
fn stored(server: &Server, query: &str) -> Vec<Value> {
    server.list(query).json()["audits"].as_array().unwrap().clone()
}

const DOORS: &str = "[presets.doors]\naction = '/what'\nresourceType = '=door'\nidentifier = '/key'\n";

fn route(name: &str, more: &str) -> String {
    format!("[[routes]]\nname = '{name}'\npreset = 'doors'\n{more}\n")
}

fn sign(key: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

const KEY: &str = "a-key-of-github-0123456789";
const SIGNED: &str = "credential = 'hooks'\nsignature = { scheme = 'github', keys = ['a-key-of-github-0123456789'] }";

fn deliver(server: &Server, path: &str, body: &str, delivery: &str) -> Answer {
    let signature = format!("sha256={}", sign(KEY, body.as_bytes()));
    post(server, path, &[("x-hub-signature-256", &signature), ("x-github-delivery", delivery)], body)
}

#[test]
fn an_object_an_array_lines_and_gzip_are_stored() {
    let server = start(&(DOORS.to_owned() + &route("doors", "")));
    let token = credential(&server, "sender");
    let bearer = format!("Bearer {token}");
    let bodies = [
        (r#"{"what":"open"}"#, 1),
        (r#"[{"what":"open"},{"what":"shut"}]"#, 2),
        ("{\"what\":\"open\"}\n{\"what\":\"shut\"}\n\n{\"what\":\"lock\"}", 3),
        ("", 0),
        ("[]", 0),
    ];
    let mut total = 0;
    for (body, count) in bodies {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(body.as_bytes()).unwrap();
        let gzip = gzip.finish().unwrap();
        for (headers, body) in [
            (&[("authorization", &*bearer)][..], body.as_bytes()),
            (&[("authorization", &bearer), ("content-encoding", "gzip")], &gzip),
        ] {
            let answer = server.request("POST", "/in/doors", headers, body);
            assert_eq!((answer.status, &answer.json()["accepted"]), (200, &json!(count)), "{}", answer.text);
            total += count;
        }
        let path = format!("/in/doors/{token}");
        assert_eq!(post(&server, &path, &[], body).status, 200);
        total += count;
    }
    let events = stored(&server, "resources=door&includes=receivedBy,mapping");
    assert_eq!(events.len(), total);
    let mapping = json!({ "preset": "doors@1", "door": "webhook" });
    assert!(events.iter().all(|event| event["receivedBy"] == "sender" && event["mapping"] == mapping), "{events:?}");
}

#[test]
fn a_bad_record_costs_no_other_and_only_a_body_of_bad_ones_is_an_error() {
    let server = start(&(DOORS.to_owned() + &route("doors", "")));
    let path = format!("/in/doors/{}", credential(&server, "sender"));
    let answer = post(&server, &path, &[], "{\"what\":\"open\"}\n{\"what\" \"shut\"}\n{\"what\":\"lock\"}");
    assert_eq!(answer.status, 200, "{}", answer.text);
    let outcome = answer.json();
    assert_eq!((&outcome["accepted"], &outcome["rejected"]), (&json!(2), &json!(1)), "{outcome}");
    for body in ["what=open", "{\"what\" 1}\n{", "\u{1}"] {
        let answer = post(&server, &path, &[], body);
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{body}");
        assert!(answer.json()["details"][0]["line"].is_number(), "{}", answer.text);
    }
    assert_eq!(stored(&server, "resources=door").len(), 2);
}

#[test]
fn okta_verifies_a_route_once() {
    let server = start(&(DOORS.to_owned() + &route("okta", "")));
    let answer = server.request("GET", "/in/okta", &[("x-okta-verification-challenge", "abc_123")], b"");
    assert_eq!((answer.status, answer.json()), (200, json!({ "verification": "abc_123" })));
    for headers in [&[][..], &[("x-okta-verification-challenge", "")]] {
        let answer = server.request("GET", "/in/okta", headers, b"");
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{headers:?}");
    }
}

#[test]
fn only_the_credential_of_a_route_opens_it() {
    let config = DOORS.to_owned() + &route("open", "") + &route("own", "credential = 'door keeper'");
    let server = start_with(&config, &[("AUDITBOX_SERVER_TRUSTED_PROXIES", "127.0.0.1")]);
    assert!(server.log().contains("there is no credential \"door keeper\""), "{}", server.log());
    let (keeper, other) = (credential(&server, "door keeper"), credential(&server, "other"));
    let reader = server.credential("reader", &["read"]);
    let send =
        |path: &str, token: &str| post(&server, path, &[("authorization", &format!("Splunk {token}"))], "[]").status;
    for (token, open, own, none) in
        [(&*keeper, 200, 200, 404), (&other, 200, 403, 404), (&reader, 403, 403, 403), ("abx_x", 401, 401, 401)]
    {
        assert_eq!(["/in/open", "/in/own", "/in/none"].map(|path| send(path, token)), [open, own, none], "{token}");
        assert_eq!(["open", "own", "none"].map(|name| send_path(&server, name, token)), [open, own, none], "{token}");
    }
    good(server.directory(), &["credential", "allow-ip", "door keeper", "192.0.2.1"]);
    eventually("the addresses", || (send("/in/own", &keeper) == 403).then_some(()));
    let headers = [("authorization", &*format!("Bearer {keeper}")), ("x-forwarded-for", "192.0.2.1")];
    assert_eq!(post(&server, "/in/own", &headers, "[]").status, 200);
}

fn send_path(server: &Server, route: &str, token: &str) -> u16 {
    post(server, &format!("/in/{route}/{token}"), &[], "[]").status
}

#[test]
fn a_signed_request_acts_as_the_credential_of_its_route() {
    let server =
        start_with(&(DOORS.to_owned() + &route("doors", SIGNED)), &[("AUDITBOX_SERVER_TRUSTED_PROXIES", "127.0.0.1")]);
    let body = r#"{"what":"open"}"#;
    // Until the credential exists, and whenever it may not be used.
    let refused = deliver(&server, "/in/doors", body, "0");
    assert_eq!(refused.refusal(), (403, "forbidden".to_owned()));
    assert!(refused.text.contains("which this route acts as, does not exist"), "{}", refused.text);
    let token = credential(&server, "hooks");
    assert_eq!(deliver(&server, "/in/doors", body, "1").status, 200);
    assert_eq!(deliver(&server, "/in/doors/anything", body, "2").status, 200);
    // Only a signature opens the route.
    for headers in [vec![], vec![("authorization", format!("Bearer {token}"))]] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let refused = post(&server, "/in/doors", &headers, body);
        assert_eq!(refused.refusal(), (401, "unauthorized".to_owned()));
        assert!(refused.text.contains("X-Hub-Signature-256: is missing"), "{}", refused.text);
    }
    let wrong = format!("sha256={}", sign("another-key-of-github", body.as_bytes()));
    let refused = post(&server, "/in/doors", &[("x-hub-signature-256", &wrong)], body);
    assert!(
        refused.status == 401 && refused.text.contains("no key of this route made the signature"),
        "{}",
        refused.text
    );
    // A body that is checked on another thread.
    let long = format!(r#"{{"what":"{}"}}"#, "x".repeat(100_000));
    assert_eq!(deliver(&server, "/in/doors", &long, "3").status, 200);
    assert_eq!(stored(&server, "resources=door").len(), 3);
    assert!(server.log().contains("of the route doors"), "{}", server.log());

    good(server.directory(), &["credential", "allow-ip", "hooks", "192.0.2.1"]);
    eventually("the addresses", || (deliver(&server, "/in/doors", body, "1").status == 403).then_some(()));
    let refused = deliver(&server, "/in/doors", body, "1");
    assert!(refused.text.contains("not accepted from the address 127.0.0.1"), "{}", refused.text);
    good(server.directory(), &["credential", "allow-ip", "hooks", "any"]);
    good(server.directory(), &["credential", "disable", "hooks"]);
    eventually("the end", || deliver(&server, "/in/doors", body, "1").text.contains("is disabled").then_some(()));
}

#[test]
fn what_counts_as_the_same_record_is_the_routes_choice() {
    let dedupe = |name: &str, value: &str| route(name, &format!("{SIGNED}\ndedupe = '{value}'"));
    let config = [
        DOORS.to_owned(),
        dedupe("delivery", "delivery"),
        dedupe("content", "content"),
        dedupe("key", "/id"),
        dedupe("none", "none"),
    ];
    let server = start(&config.concat());
    credential(&server, "hooks");
    let counts = |route: &str, body: &str, delivery: &str| {
        let answer = deliver(&server, &format!("/in/{route}"), body, delivery);
        assert_eq!(answer.status, 200, "{route}: {}", answer.text);
        let outcome = answer.json();
        ["accepted", "duplicates", "rejected"].map(|key| outcome[key].as_u64().unwrap())
    };
    let (one, two) = (r#"{"id":1,"what":"open"}"#, r#"[{"id":1,"what":"open"},{"id":2,"what":"shut"}]"#);
    // The first request, its repetition, the same record in another delivery, and another body with the same name.
    for (route, again, other, reused) in [
        // A repetition gets the response of the first request.
        ("delivery", [1, 0, 0], [2, 0, 0], [1, 1, 0]),
        ("content", [0, 1, 0], [1, 1, 0], [0, 2, 0]),
        ("key", [0, 1, 0], [1, 1, 0], [0, 2, 0]),
        ("none", [1, 0, 0], [2, 0, 0], [2, 0, 0]),
    ] {
        assert_eq!(counts(route, one, "d1"), [1, 0, 0], "{route}");
        assert_eq!(counts(route, one, "d1"), again, "{route}: the same delivery");
        assert_eq!(counts(route, two, "d2"), other, "{route}: another delivery");
        assert_eq!(counts(route, two, "d1"), reused, "{route}: another body of the same delivery");
    }
    // A record is never lost: one that reuses a name is stored under another.
    assert_eq!(counts("delivery", r#"{"id":3,"what":"lock"}"#, "d1"), [1, 0, 0]);
    assert_eq!(counts("key", r#"{"id":1,"what":"burn"}"#, "d9"), [1, 0, 0]);
    assert_eq!(counts("key", r#"{"id":1,"what":"burn"}"#, "d9"), [0, 1, 0]);
    assert_eq!(counts("delivery", r#"{"id":3,"what":"lock"}"#, "d2"), [1, 0, 0], "another name, reused");
    assert_eq!(stored(&server, "action=lock&action=burn").len(), 3);
    assert_eq!(server.get("/v1/audit-log/key%2F2").status, 200);
    // Keys of records count in any case, and names of deliveries only within their route.
    assert_eq!(counts("delivery", r#"{"key":"k","what":"own"}"#, "d7"), [1, 0, 0]);
    assert_eq!(counts("none", r#"{"key":"k","what":"own"}"#, "d8"), [0, 1, 0]);
}

#[test]
fn a_route_has_its_own_limits() {
    let limits = "body_bytes_max = 100\nrequests_per_second_max = 2";
    let server = start(&(DOORS.to_owned() + &route("doors", limits)));
    let path = format!("/in/doors/{}", credential(&server, "sender"));
    let long = format!(r#"{{"what":"{}"}}"#, "x".repeat(100));
    assert_eq!(post(&server, &path, &[], &long).refusal(), (413, "payload_too_large".to_owned()));
    let refused = eventually("the limit", || {
        let answer = post(&server, &path, &[], "[]");
        assert!(matches!(answer.status, 200 | 429), "{}", answer.text);
        (answer.status == 429).then_some(answer)
    });
    assert_eq!(refused.refusal(), (429, "too_many_requests".to_owned()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    eventually("the next turn", || (post(&server, &path, &[], "[]").status == 200).then_some(()));
}

#[test]
fn routes_are_described_counted_and_recorded() {
    let server = start(&(DOORS.to_owned() + &route("doors", "") + &route("gates", SIGNED)));
    let token = credential(&server, "sender");
    assert_eq!(send_path(&server, "doors", &token), 200);
    assert_eq!(deliver(&server, "/in/gates", "[]", "1").status, 403);
    let path = format!("/in/doors/{token}");
    assert_eq!(post(&server, &path, &[], "nothing").status, 422);
    let document = server.request("GET", "/openapi.json", &[], b"").json();
    let parameters = &document["paths"]["/in/{route}"]["post"]["parameters"];
    assert_eq!(parameters[0]["schema"]["enum"], json!(["doors", "gates"]), "{parameters}");
    let metrics = server.get("/metrics").text;
    for line in [
        "auditbox_route_requests_total{name=\"doors\",status=\"200\"} 1",
        "auditbox_route_requests_total{name=\"doors\",status=\"422\"} 1",
        "auditbox_route_requests_total{name=\"gates\",status=\"403\"} 1",
        "auditbox_http_requests_total{method=\"POST\",route=\"/in/{route}/{secret}\",status=\"200\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let records = stored(&server, "include_own=true&action=route.ingest&includes=request,message");
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["request"]["path"], "/in/doors/[masked]", "{records:?}");
}

#[test]
fn secrets_of_a_route_are_in_no_log_no_record_and_no_response() {
    let environment = [("AUDITBOX_LOG_LEVEL", "trace,actix_http::h1=trace,actix_server=trace")];
    let gitlab = "credential = 'hooks'\nsignature = { scheme = 'gitlab', keys = ['a-token-of-gitlab-0123'] }";
    let server = start_with(
        &(DOORS.to_owned() + &route("doors", SIGNED) + &route("gitlab", gitlab) + &route("open", "")),
        &environment,
    );
    let token = credential(&server, "hooks");
    let mut answers = Vec::new();
    for (path, headers) in [
        ("/in/doors".to_owned(), vec![("x-hub-signature-256", KEY)]),
        ("/in/gitlab".to_owned(), vec![("x-gitlab-token", "a-token-of-gitlab-0123")]),
        ("/in/gitlab".to_owned(), vec![("x-gitlab-token", "a-token-of-gitlab-0123x")]),
        (format!("/in/open/{token}"), vec![]),
        (format!("/in/none/{token}"), vec![]),
        (format!("/in/open/{token}/x"), vec![]),
        (format!("/in/gitlab/{token}"), vec![("x-gitlab-token", "a-token-of-gitlab-0123")]),
        (format!("/in/open?access_token={token}"), vec![]),
        (format!("/in/open?access_token={token}x"), vec![]),
    ] {
        for body in [r#"{"what":"open"}"#, "nothing"] {
            answers.push(post(&server, &path, &headers, body).text);
        }
        answers.push(server.request("PUT", &path, &headers, b"").text);
        answers.push(server.request("GET", &path, &headers, b"").text);
    }
    answers.push(deliver(&server, "/in/doors", "nothing", "1").text);
    let log = server.log();
    assert!(
        log.contains("TRACE") && log.contains("/in/open/[masked]"),
        "the server log is not at its most verbose level"
    );
    let own = server.get("/v1/audit-log/export?format=ndjson&include_own=true").text;
    assert!(own.contains("/in/open/[masked]") && own.contains("access_token=[masked]"), "{own}");
    let (_, directory) = server.stop();
    let file = fs::read(directory.path().join("auditbox.db")).unwrap();
    let secret = token.strip_prefix("abx_").unwrap();
    for secret in [secret, KEY, "a-token-of-gitlab-0123"] {
        assert!(!log.contains(secret) && !own.contains(secret), "{secret}");
        assert!(answers.iter().all(|answer| !answer.contains(secret)), "{secret}");
        assert!(memchr::memmem::find(&file, secret.as_bytes()).is_none(), "{secret}");
    }
}
