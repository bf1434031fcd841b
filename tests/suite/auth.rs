//! Authentication: tokens, credentials, scopes, the limit on failed logins, the first start.

use std::process::Command;

use auditbox::model::timestamp::Timestamp;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

use crate::{
    harness::{Answer, CLIENT_ID, CLIENT_SECRET, Server, eventually, program, run},
    process::{Process, refusal},
    skip::{CURL, runs},
};

/// Every request that needs a scope, with that scope.
const GUARDED: &[(&str, &str, &str, &str)] = &[
    ("GET", "/v1/audit-log", "", "read"),
    ("GET", "/v1/audit-log/e1", "", "read"),
    ("POST", "/v1/audit-log", r#"{"action":"READ","resourceType":"x"}"#, "ingest"),
    ("GET", "/v1/credentials", "", "admin"),
    ("POST", "/v1/credentials", r#"{"name":"n","scopes":["read"]}"#, "admin"),
    ("PATCH", "/v1/credentials/nobody", r#"{"disabled":true}"#, "admin"),
    ("DELETE", "/v1/credentials/nobody", "", "admin"),
    ("GET", "/v1/doors", "", "admin"),
];

const NOT_A_LIMIT: (&str, &str) = ("AUDITBOX_AUTH_FAILED_LOGINS_MAX", "1000000");

fn login(server: &Server, client_id: &str, secret: &str) -> Answer {
    login_from(server, client_id, secret, &[])
}

fn login_from(server: &Server, client_id: &str, secret: &str, headers: &[(&str, &str)]) -> Answer {
    let body = json!({ "clientId": client_id, "clientSecret": secret }).to_string();
    server.request("POST", "/v1/auth/access_token", headers, body.as_bytes())
}

/// Creates a credential; returns the fields of the response.
fn create(server: &Server, asked: &Value) -> Value {
    let answer = server.post("/v1/credentials", &asked.to_string());
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["credential"].clone()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

/// The credential as the list shows it.
fn listed(server: &Server, client_id: &str) -> Value {
    let all = server.get("/v1/credentials").json();
    let found = all["credentials"].as_array().unwrap().iter().find(|credential| credential["clientId"] == client_id);
    found.unwrap_or_else(|| panic!("{client_id} is not listed in {all}")).clone()
}

/// Whether a token opens a list.
fn opens(server: &Server, token: &str) -> bool {
    let answer = server.request_as(token, "GET", "/v1/audit-log?limit=1", "");
    assert!(matches!(answer.status, 200 | 401), "{}", answer.text);
    answer.status == 200
}

#[test]
fn without_a_token_every_request_is_answered_401() {
    let server = Server::start_with(&[NOT_A_LIMIT]);
    let encode = |text: String| base64::prelude::BASE64_STANDARD.encode(text);
    let basic = format!("Basic {}", encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    let wrong = format!("Basic {}", encode(format!("{CLIENT_ID}:x{CLIENT_SECRET}")));
    let headers = [
        None,
        Some(""),
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer x.y.z"),
        Some("Bearer abx_x"),
        Some(&*basic),
        Some(&*wrong),
    ];
    for (method, path, body, scope) in GUARDED {
        for header in headers {
            if *scope == "ingest" && header == Some(&*basic) {
                continue;
            }
            let headers: Vec<_> = header.map(|value| ("authorization", value)).into_iter().collect();
            let answer = server.request(method, path, &headers, body.as_bytes());
            assert_eq!(answer.refusal(), (401, "unauthorized".to_owned()), "{method} {path} {header:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
}

#[test]
fn a_credential_may_do_only_what_its_scopes_allow() {
    let server = Server::start();
    for (name, scopes) in [("a", &["ingest"][..]), ("b", &["read"]), ("c", &["admin"]), ("d", &["ingest", "read"])] {
        let token = server.credential(name, scopes);
        for (method, path, body, scope) in GUARDED {
            let answer = server.request_as(&token, method, path, body);
            if scopes.contains(scope) {
                assert!(!matches!(answer.status, 401 | 403), "{name} {method} {path}: {}", answer.text);
            } else {
                assert_eq!(answer.refusal(), (403, "forbidden".to_owned()), "{name} {method} {path}");
                let message = answer.json()["message"].as_str().unwrap().to_owned();
                assert!(message.contains(scope) && message.contains(name), "{message}");
            }
        }
    }
}

#[test]
fn a_wrong_client_id_and_a_wrong_secret_get_the_same_401() {
    let server = Server::start_with(&[NOT_A_LIMIT]);
    let long = "x".repeat(300);
    for (client_id, secret) in [
        (CLIENT_ID, "wrong"),
        (CLIENT_ID, ""),
        ("nobody", CLIENT_SECRET),
        ("", CLIENT_SECRET),
        ("not a possible id", CLIENT_SECRET),
        (&long, &long),
        (CLIENT_SECRET, CLIENT_ID),
    ] {
        let answer = login(&server, client_id, secret);
        let expected = json!({
            "ok": false,
            "error": "invalid_credentials",
            "message": "Invalid credentials supplied to the generate token API",
        });
        assert_eq!((answer.status, answer.json()), (401, expected), "{client_id} {secret}");
    }
}

#[test]
fn a_malformed_login_is_answered_422() {
    let server = Server::start();
    for body in ["", "{}", "[]", "null", r#"{"clientId":"a"}"#, r#"{"clientId":1,"clientSecret":"b"}"#, "clientId=a"] {
        let answer = server.request("POST", "/v1/auth/access_token", &[], body.as_bytes());
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{body}");
        assert!(answer.text.contains("clientId and clientSecret"), "{}", answer.text);
    }
}

#[test]
fn an_access_token_has_the_shape_that_clients_expect() {
    let server = Server::start();
    // Unknown keys are allowed.
    let body = json!({ "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "grantType": "x" }).to_string();
    let answer = server.request("POST", "/v1/auth/access_token", &[], body.as_bytes());
    assert_eq!(answer.status, 200);
    let envelope = answer.json();
    let token = text(&envelope, "accessToken").to_owned();
    let expected = json!({ "ok": true, "accessToken": token, "expiresIn": 10_800, "tokenType": "Bearer" });
    assert_eq!(envelope, expected);
    assert!(envelope["expiresIn"].is_u64());
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    let decode =
        |part: &str| -> Value { serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    let (header, claims) = (decode(parts[0]), decode(parts[1]));
    assert_eq!(header["alg"], "HS256");
    assert_eq!(claims["sub"], CLIENT_ID);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 10_800);
    assert!(opens(&server, &token));
}

#[test]
fn the_scheme_is_bearer_in_any_case() {
    let server = Server::start();
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let header = format!("{scheme} {}", server.token);
        assert_eq!(server.request("GET", "/v1/audit-log", &[("authorization", &header)], b"").status, 200, "{scheme}");
    }
}

/// A JWT with these claims and this algorithm in its header, signed accordingly.
fn forge(key: &[u8], algorithm: &str, claims: &Value) -> String {
    let encode = |part: &str| BASE64_URL_SAFE_NO_PAD.encode(part);
    let header = format!(r#"{{"typ":"JWT","alg":"{algorithm}"}}"#);
    let signed = format!("{}.{}", encode(&header), encode(&claims.to_string()));
    let signature = match algorithm {
        "HS256" => hmac::<Hmac<Sha256>>(key, &signed),
        "HS384" => hmac::<Hmac<Sha384>>(key, &signed),
        "HS512" => hmac::<Hmac<Sha512>>(key, &signed),
        other => panic!("no algorithm {other}"),
    };
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn hmac<M: Mac + KeyInit>(key: &[u8], text: &str) -> Vec<u8> {
    <M as KeyInit>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

fn signing_key(server: &Server) -> Vec<u8> {
    let database = rusqlite::Connection::open(server.database()).unwrap();
    database.query_row("SELECT value FROM setting WHERE name = 'access_token_key'", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_foreign_or_expired_jwt_is_rejected() {
    let server = Server::start();
    let key = signing_key(&server);
    assert_eq!(key.len(), 32);
    let now = Timestamp::now().seconds();
    let claims = |sub: &str, iat: i64, exp: i64| json!({ "sub": sub, "iat": iat, "exp": exp });
    let good = claims(CLIENT_ID, now - 60, now + 3_600);
    // The forgery itself works, so each of the others fails because of its difference.
    assert!(opens(&server, &forge(&key, "HS256", &good)));
    let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let unsigned = format!("{}.{}", encode(&json!({ "alg": "none", "typ": "JWT" })), encode(&good));
    let bad = [
        forge(b"another key of thirty-two bytes!", "HS256", &good),
        forge(b"", "HS256", &good),
        forge(&key, "HS384", &good),
        forge(&key, "HS512", &good),
        forge(&key, "HS256", &claims(CLIENT_ID, now - 7_200, now - 3_600)),
        forge(&key, "HS256", &claims(CLIENT_ID, now + 3_600, now + 7_200)),
        forge(&key, "HS256", &claims("nobody", now - 60, now + 3_600)),
        forge(&key, "HS256", &claims("not a possible id", now - 60, now + 3_600)),
        forge(&key, "HS256", &json!({ "sub": CLIENT_ID, "iat": now - 60 })),
        forge(&key, "HS256", &json!({ "iat": now - 60, "exp": now + 3_600 })),
        format!("{unsigned}."),
        unsigned,
    ];
    for token in bad {
        assert!(!opens(&server, &token), "{token}");
    }
}

#[test]
fn a_tampered_jwt_is_rejected() {
    let server = Server::start();
    let parts: Vec<_> = server.token.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{}", server.token) };
    let mut other: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    other["exp"] = json!(other["exp"].as_i64().unwrap() + 1);
    let other = BASE64_URL_SAFE_NO_PAD.encode(other.to_string());
    let mut flipped = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[0] ^= 1;
    let flipped = BASE64_URL_SAFE_NO_PAD.encode(flipped);
    for token in [
        format!("{header}.{other}.{signature}"),
        format!("{header}.{claims}.{flipped}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}"),
        format!("{header}.{claims}.{}", &signature[1..]),
        format!("{header}.{claims}.{signature}.{signature}"),
    ] {
        assert!(!opens(&server, &token), "{token}");
    }
    assert!(opens(&server, &server.token));
}

#[test]
fn an_access_token_expires() {
    let server = Server::start_with(&[("AUDITBOX_AUTH_ACCESS_TOKEN_SECONDS", "1")]);
    let answer = login(&server, CLIENT_ID, CLIENT_SECRET);
    assert_eq!(answer.json()["expiresIn"], 1);
    eventually("the end of the token", || (!opens(&server, &server.token)).then_some(()));
}

#[test]
fn an_access_token_outlives_a_restart() {
    let mut server = Server::start();
    let token = server.token.clone();
    server.kill();
    server.start_again();
    assert!(opens(&server, &token));
}

#[test]
fn an_api_token_is_accepted_and_a_damaged_one_is_not() {
    let server = Server::start_with(&[NOT_A_LIMIT]);
    let token = server.credential("ci", &["read"]);
    assert!(token.starts_with("abx_"));
    assert!(opens(&server, &token));
    let other = server.credential("other", &["read"]);
    let (half, checksum) = token.split_at(token.len() - 8);
    let other_half = &other[..other.len() - 8];
    let damaged = [
        &token[..token.len() - 1],
        &token[4..],
        &token.to_uppercase(),
        &format!("{token}0"),
        &format!("{half}00000000"),
        // The checksum is right, the secret is not.
        &with_checksum(&format!("abx_{}", BASE64_URL_SAFE_NO_PAD.encode("test-admin:not-the-secret-of-this-one"))),
        &format!("{other_half}{checksum}"),
    ];
    for token in damaged {
        assert!(!opens(&server, token), "{token}");
    }
}

fn with_checksum(token: &str) -> String {
    format!("{token}{:08x}", crc32fast::hash(&token.as_bytes()[4..]))
}

#[test]
fn a_new_credential_is_shown_once_with_its_secrets() {
    let server = Server::start();
    let asked =
        json!({ "name": "Nightly import", "scopes": ["read", "ingest"], "actorType": "user", "expires": "90d" });
    let answer = server.post("/v1/credentials", &asked.to_string());
    assert_eq!(answer.status, 201, "{}", answer.text);
    let envelope = answer.json();
    assert_eq!(envelope["ok"], true);
    let made = &envelope["credential"];
    let (client_id, secret, token) = (text(made, "clientId"), text(made, "clientSecret"), text(made, "apiToken"));
    let expected = json!({
        "clientId": client_id, "name": "Nightly import", "actorType": "user", "scopes": ["ingest", "read"],
        "state": "active", "secrets": 1, "allowIp": [], "createdAt": made["createdAt"], "expiresAt": made["expiresAt"], "disabledAt": null,
        "revokedAt": null, "clientSecret": secret, "apiToken": token,
    });
    assert_eq!(*made, expected);
    let instant = |key| time::OffsetDateTime::parse(text(made, key), &time::format_description::well_known::Rfc3339);
    assert_eq!(instant("expiresAt").unwrap() - instant("createdAt").unwrap(), time::Duration::days(90));
    assert!(opens(&server, token));
    assert_eq!(login(&server, client_id, secret).status, 200);
    // From here on, no response shows the secrets.
    let list = server.get("/v1/credentials").text;
    assert!(!list.contains(secret) && !list.contains(token) && !list.contains("Secret") && !list.contains("hash"));
    let mut public = expected;
    public.as_object_mut().unwrap().retain(|key, _| key != "clientSecret" && key != "apiToken");
    let listed = listed(&server, client_id);
    public["lastUsedAt"] = listed["lastUsedAt"].clone();
    assert_eq!(listed, public);
}

#[test]
fn a_credential_is_by_default_a_service_account_that_never_expires() {
    let server = Server::start();
    let made = create(&server, &json!({ "name": "ci", "scopes": ["ingest"] }));
    assert_eq!((text(&made, "actorType"), &made["expiresAt"]), ("service_account", &Value::Null));
}

#[test]
fn an_invalid_credential_is_rejected_by_field() {
    let server = Server::start();
    for (asked, field) in [
        (json!({ "name": "", "scopes": ["read"] }), "name"),
        (json!({ "name": " a", "scopes": ["read"] }), "name"),
        (json!({ "name": "a\nb", "scopes": ["read"] }), "name"),
        (json!({ "name": "n".repeat(129), "scopes": ["read"] }), "name"),
        (json!({ "name": "auditbox", "scopes": ["read"] }), "name"),
        (json!({ "name": "import", "scopes": ["read"] }), "name"),
        (json!({ "name": 5, "scopes": ["read"] }), ""),
        (json!({ "scopes": ["read"] }), "name"),
        (json!({ "name": "a" }), "scopes"),
        (json!({ "name": "a", "scopes": [] }), "scopes"),
        (json!({ "name": "a", "scopes": ["write"] }), "scopes"),
        (json!({ "name": "a", "scopes": ["read", ""] }), "scopes"),
        (json!({ "name": "a", "scopes": ["READ"] }), "scopes"),
        (json!({ "name": "a", "scopes": ["read"], "expires": "soon" }), "expires"),
        (json!({ "name": "a", "scopes": ["read"], "expires": "" }), "expires"),
        (json!({ "name": "a", "scopes": ["read"], "expires": "0s" }), "expires"),
        (json!({ "name": "a", "scopes": ["read"], "expires": "-1d" }), "expires"),
        // An expiry that no calendar can represent.
        (json!({ "name": "a", "scopes": ["read"], "expires": "9000y" }), "expires"),
        (json!({ "name": "a", "scopes": ["read"], "expires": "500000000000y" }), "expires"),
        (json!({ "name": "a", "scopes": ["read"], "actorType": "robot" }), "actorType"),
        (json!({ "name": "a", "scopes": ["read"], "scope": "read" }), "scope"),
    ] {
        let answer = server.post("/v1/credentials", &asked.to_string());
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{asked}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(field), "{asked}: {message}");
    }
    assert_eq!(server.get("/v1/credentials").json()["credentials"].as_array().unwrap().len(), 1);
}

#[test]
fn a_name_is_never_reused() {
    let server = Server::start();
    let asked = json!({ "name": "ci", "scopes": ["read"] }).to_string();
    let made = create(&server, &serde_json::from_str(&asked).unwrap());
    assert_eq!(server.post("/v1/credentials", &asked).refusal(), (409, "conflict".to_owned()));
    let path = format!("/v1/credentials/{}", text(&made, "clientId"));
    assert_eq!(server.request_as(&server.token, "DELETE", &path, "").status, 200);
    assert_eq!(server.post("/v1/credentials", &asked).refusal(), (409, "conflict".to_owned()));
}

#[test]
fn a_missing_credential_cannot_be_changed() {
    let server = Server::start();
    let change =
        |method, id: &str, body: &str| server.request_as(&server.token, method, &format!("/v1/credentials/{id}"), body);
    assert_eq!(change("PATCH", "nobody", r#"{"disabled":true}"#).refusal(), (404, "not_found".to_owned()));
    assert_eq!(change("DELETE", "nobody", "").refusal(), (404, "not_found".to_owned()));
    assert_eq!(change("DELETE", "no%20body", "").refusal(), (422, "invalid_request".to_owned()));
    for body in ["", "{}", r#"{"disabled":1}"#, r#"{"disabled":true,"name":"x"}"#] {
        assert_eq!(change("PATCH", CLIENT_ID, body).refusal(), (422, "invalid_request".to_owned()), "{body}");
    }
    assert_eq!(listed(&server, CLIENT_ID)["state"], "active");
}

#[test]
fn a_credential_is_disabled_enabled_and_revoked_permanently() {
    let server = Server::start_with(&[NOT_A_LIMIT]);
    let made = create(&server, &json!({ "name": "ci", "scopes": ["read"] }));
    let (client_id, secret, api_token) =
        (text(&made, "clientId"), text(&made, "clientSecret"), text(&made, "apiToken"));
    let jwt = server.login(client_id, secret);
    let path = format!("/v1/credentials/{client_id}");
    let change = |method, body| server.request_as(&server.token, method, &path, body);
    let check = |is_open: bool, state: &str| {
        assert_eq!(opens(&server, api_token), is_open, "API token, {state}");
        assert_eq!(opens(&server, &jwt), is_open, "access token, {state}");
        let answer = login(&server, client_id, secret);
        let error = if is_open { Value::Null } else { json!("invalid_credentials") };
        assert_eq!(
            (answer.status, answer.json()["error"].clone()),
            (if is_open { 200 } else { 401 }, error),
            "{state}"
        );
        assert_eq!(listed(&server, client_id)["state"], state);
    };
    check(true, "active");
    for _ in 0..2 {
        assert_eq!(change("PATCH", r#"{"disabled":true}"#).json(), json!({ "ok": true }));
        check(false, "disabled");
    }
    assert_eq!(change("PATCH", r#"{"disabled":false}"#).status, 200);
    check(true, "active");
    assert_eq!(change("DELETE", "").json(), json!({ "ok": true }));
    check(false, "revoked");
    assert_eq!(change("DELETE", "").refusal(), (409, "conflict".to_owned()));
    assert_eq!(change("PATCH", r#"{"disabled":false}"#).refusal(), (409, "conflict".to_owned()));
    check(false, "revoked");
}

#[test]
fn a_running_server_notices_changes_by_the_command_line() {
    let server = Server::start_with(&[NOT_A_LIMIT]);
    let command = |arguments: &[&str]| {
        let output = run(server.directory(), arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = command(&["credential", "create", "--name", "ci", "--scope", "read,ingest", "--expires", "90d"]);
    let value = |label| shown.lines().find_map(|line| line.trim().strip_prefix(label)).unwrap().trim();
    let (client_id, secret, token) = (value("client id"), value("client secret"), value("API token"));
    let wait = |what, is_open| eventually(what, || (opens(&server, token) == is_open).then_some(()));
    wait("the new credential", true);
    let jwt = server.login(client_id, secret);
    command(&["credential", "disable", "ci"]);
    wait("the end of the disabled credential", false);
    assert!(!opens(&server, &jwt));
    command(&["credential", "enable", client_id]);
    wait("the return of the enabled credential", true);
    assert!(opens(&server, &jwt));
    command(&["credential", "revoke", "ci"]);
    wait("the end of the revoked credential", false);
    assert!(!opens(&server, &jwt));
}

#[test]
fn a_credential_created_by_a_command_is_accepted_at_once() {
    let server = Server::start();
    let command = |arguments: &[&str]| {
        let output = run(server.directory(), arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for n in 0..5 {
        let name = format!("ci-{n}");
        let shown = command(&["credential", "create", "--name", &name, "--scope", "read", "--type", "user"]);
        let value = |label| shown.lines().find_map(|line| line.trim().strip_prefix(label)).unwrap().trim();
        // The first use differs each time, because each kind of use must find the credential.
        match n {
            0 | 1 => assert_eq!(login(&server, value("client id"), value("client secret")).status, 200),
            2 => assert!(opens(&server, value("API token"))),
            3 => assert_eq!(sign_in(&server, value("client id"), value("client secret")).status, 303),
            _ => {
                let link = command(&["login-link", "--credential", &name, "--url", ""]);
                let page = server.request_once("GET", link.trim(), &[], b"");
                assert!(page.status == 200 && page.text.contains(&name), "{}", page.text);
            }
        }
    }
    let token = server.credential("switched", &["read"]);
    for _ in 0..3 {
        command(&["credential", "disable", "switched"]);
        eventually("the end of the disabled credential", || (!opens(&server, &token)).then_some(()));
        command(&["credential", "enable", "switched"]);
        assert!(opens(&server, &token), "enabled again");
    }
}

#[test]
fn an_access_token_does_not_outlive_its_credential() {
    let server = Server::start();
    let made = create(&server, &json!({ "name": "ci", "scopes": ["read"], "expires": "100s" }));
    let answer = login(&server, text(&made, "clientId"), text(&made, "clientSecret"));
    let seconds = answer.json()["expiresIn"].as_i64().unwrap();
    assert!((1..=100).contains(&seconds), "{seconds}");
}

#[test]
fn a_credential_expires() {
    let server = Server::start_with(&[NOT_A_LIMIT]);
    let made = create(&server, &json!({ "name": "ci", "scopes": ["read"], "expires": "1s" }));
    eventually("the end of the credential", || (!opens(&server, text(&made, "apiToken"))).then_some(()));
    assert_eq!(login(&server, text(&made, "clientId"), text(&made, "clientSecret")).status, 401);
    assert_eq!(listed(&server, text(&made, "clientId"))["state"], "expired");
}

const THREE: (&str, &str) = ("AUDITBOX_AUTH_FAILED_LOGINS_MAX", "3");
const AN_HOUR: (&str, &str) = ("AUDITBOX_AUTH_FAILED_LOGINS_WINDOW_SECONDS", "3600");

/// Whether the response reports this many failures.
fn is_limited(answer: &Answer, failures_max: i64) -> bool {
    if answer.status != 429 {
        return false;
    }
    assert_eq!(answer.refusal().1, "rate_limited");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
    let number = |name: &str| answer.header(name).unwrap().parse::<i64>().unwrap();
    assert_eq!((number("x-ratelimit-limit"), number("x-ratelimit-remaining")), (failures_max, 0));
    assert!(number("x-ratelimit-reset") >= Timestamp::now().seconds());
    assert!(number("x-ratelimit-period") >= i64::try_from(seconds).unwrap());
    true
}

/// An API token of this client id with this secret.
fn api_token(client_id: &str, secret: &str) -> String {
    with_checksum(&format!("abx_{}", BASE64_URL_SAFE_NO_PAD.encode(format!("{client_id}:{secret}"))))
}

/// The response of the sign-in form.
fn sign_in(server: &Server, client_id: &str, secret: &str) -> Answer {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("client_id", client_id), ("client_secret", secret)])
        .finish();
    server.request_once("POST", "/sign-in", &[("origin", &server.url)], form.as_bytes())
}

#[test]
fn a_correct_secret_is_accepted_after_any_failures() {
    let server = Server::start_with(&[THREE, AN_HOUR]);
    let other = create(&server, &json!({ "name": "other", "scopes": ["read"] }));
    for _ in 0..3 {
        assert_eq!(login(&server, CLIENT_ID, "wrong").status, 401);
    }
    assert!(is_limited(&login(&server, CLIENT_ID, "wrong"), 3));
    for (client_id, secret) in [(CLIENT_ID, CLIENT_SECRET), (text(&other, "clientId"), text(&other, "clientSecret"))] {
        assert_eq!(login(&server, client_id, secret).status, 200, "{client_id}");
        assert_eq!(sign_in(&server, client_id, secret).status, 303, "{client_id}");
        assert_ne!(server.request_as(&api_token(client_id, secret), "GET", "/v1/credentials", "").status, 429);
    }
    assert!(opens(&server, &server.token));
    assert!(is_limited(&login(&server, CLIENT_ID, "wrong"), 3));
}

#[test]
fn failed_logins_of_one_client_do_not_count_against_another() {
    let server = Server::start_with(&[THREE, AN_HOUR]);
    for _ in 0..5 {
        login(&server, "broken", "wrong");
    }
    assert!(is_limited(&login(&server, "broken", "wrong"), 3));
    assert_eq!(login(&server, CLIENT_ID, "wrong").status, 401);
    assert_eq!(sign_in(&server, CLIENT_ID, "wrong").status, 401);
    assert_eq!(server.request_as(&api_token(CLIENT_ID, "wrong"), "GET", "/v1/audit-log", "").status, 401);
    assert!(is_limited(&login(&server, CLIENT_ID, "wrong"), 3));
}

#[test]
fn an_address_that_tries_ever_new_clients_is_limited_as_a_whole() {
    let server = Server::start_with(&[("AUDITBOX_AUTH_FAILED_LOGINS_MAX", "1"), AN_HOUR]);
    for n in 0..100 {
        assert_eq!(login(&server, &format!("client-{n}"), "wrong").status, 401, "{n}");
    }
    assert!(is_limited(&login(&server, "client-100", "wrong"), 100));
    assert_eq!(login(&server, CLIENT_ID, CLIENT_SECRET).status, 200);
}

#[test]
fn failed_logins_do_not_fill_the_server_log_and_are_all_counted_there() {
    const ATTEMPTS: u64 = 300;
    let server = Server::start();
    let before = server.log().len();
    for n in 0..ATTEMPTS / 3 {
        login(&server, CLIENT_ID, "wrong");
        sign_in(&server, &format!("client-{n}"), "wrong");
        server.request_as(&api_token(CLIENT_ID, "wrong"), "GET", "/v1/audit-log", "");
    }
    let number = |line: &str| line.split("rejected=").nth(1)?.split(' ').next()?.trim().parse::<u64>().ok();
    let counted = |log: &str| log[before..].lines().filter_map(number).sum::<u64>();
    let (status, directory) = server.stop();
    assert!(status.success());
    let log = std::fs::read_to_string(directory.path().join("stderr.txt")).unwrap();
    assert_eq!(counted(&log), ATTEMPTS, "{log}");
    let lines = log[before..].lines().count();
    assert!(lines <= 60, "{lines} lines\n{log}");
    assert!(log[before..].contains("127.0.0.1") && log[before..].contains("admin"), "{log}");
}

#[test]
fn a_successful_login_does_not_reset_the_limit() {
    let server = Server::start_with(&[THREE, AN_HOUR]);
    for _ in 0..3 {
        assert_eq!(login(&server, CLIENT_ID, CLIENT_SECRET).status, 200);
        assert_eq!(login(&server, "somebody-else", "a guess").status, 401);
    }
    assert!(is_limited(&login(&server, "somebody-else", "a guess"), 3));
}

#[test]
fn guesses_of_api_tokens_are_limited_too() {
    let server = Server::start_with(&[THREE, AN_HOUR]);
    let guess = api_token(CLIENT_ID, "guess");
    for _ in 0..3 {
        assert_eq!(server.request_as(&guess, "GET", "/v1/audit-log", "").status, 401);
    }
    assert!(is_limited(&server.request_as(&guess, "GET", "/v1/audit-log", ""), 3));
    assert!(is_limited(&login(&server, CLIENT_ID, "guess"), 3));
    assert_eq!(server.request_as(&api_token(CLIENT_ID, CLIENT_SECRET), "GET", "/v1/audit-log", "").status, 200);
}

#[test]
fn the_limit_ends_with_its_window() {
    let server = Server::start_with(&[THREE, ("AUDITBOX_AUTH_FAILED_LOGINS_WINDOW_SECONDS", "1")]);
    eventually("the limit", || is_limited(&login(&server, CLIENT_ID, "wrong"), 3).then_some(()));
    eventually("its end", || (login(&server, CLIENT_ID, "wrong").status == 401).then_some(()));
}

#[test]
fn a_forwarded_address_counts_when_a_trusted_proxy_names_it() {
    let trusted = ("AUDITBOX_SERVER_TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8");
    let server = Server::start_with(&[THREE, AN_HOUR, trusted]);
    let try_from = |forwarded: &str| login_from(&server, CLIENT_ID, "wrong", &[("x-forwarded-for", forwarded)]);
    // A client can write anything to the left of the address that the proxy saw. A proxy may be behind another proxy.
    for forwarded in ["203.0.113.9", "198.51.100.1, 203.0.113.9", "198.51.100.2,203.0.113.9, 10.1.2.3"] {
        assert_eq!(try_from(forwarded).status, 401, "{forwarded}");
    }
    assert!(is_limited(&try_from("203.0.113.9"), 3));
    assert!(is_limited(&try_from("198.51.100.3, 203.0.113.9"), 3));
    assert_eq!(try_from("203.0.113.10").status, 401);
    assert_eq!(try_from("203.0.113.9, 203.0.113.10").status, 401);
    assert_eq!(login(&server, CLIENT_ID, CLIENT_SECRET).status, 200);
}

#[test]
fn a_forwarded_address_from_an_untrusted_client_is_ignored() {
    for proxies in ["", "10.0.0.0/8"] {
        let server = Server::start_with(&[THREE, AN_HOUR, ("AUDITBOX_SERVER_TRUSTED_PROXIES", proxies)]);
        for last in 1..=3 {
            let address = format!("203.0.113.{last}");
            assert_eq!(login_from(&server, CLIENT_ID, "wrong", &[("x-forwarded-for", &address)]).status, 401);
        }
        assert!(is_limited(&login_from(&server, CLIENT_ID, "wrong", &[("x-forwarded-for", "203.0.113.4")]), 3));
    }
}

/// The program without any setting in its environment.
fn bare(directory: &std::path::Path) -> Command {
    let mut command = program(directory);
    command.env_remove("AUDITBOX_ADMIN_CLIENT_ID").env_remove("AUDITBOX_ADMIN_CLIENT_SECRET");
    command
}

#[test]
fn only_the_first_start_shows_a_credential_and_working_commands() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Process::start(&mut bare(directory.path()));
    let url = first.url();
    eventually("the commands", || first.output().contains("?entity=hello").then_some(()));
    let output = first.output();
    let value = |label| output.lines().find_map(|line| line.trim().strip_prefix(label)).unwrap().trim();
    let (secret, token) = (value("client secret").to_owned(), value("API token").to_owned());
    assert_eq!(value("name"), "admin");
    let commands = output[output.find("  curl").unwrap()..].to_owned();
    if CURL.is_met(runs("curl", &["--version"]) && runs("sh", &["-c", ":"])) {
        let (send, ask) = commands.split_at(commands.rfind("  curl").unwrap());
        let shell = |line: &str| -> Value {
            let output = Command::new("sh").arg("-c").arg(line).output().unwrap();
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
        };
        assert_eq!(shell(send)["accepted"], 1);
        let asked = shell(ask);
        assert_eq!(asked["audits"].as_array().unwrap().len(), 1, "{asked}");
        assert_eq!(asked["audits"][0]["context"], json!({ "entity": "hello", "blueprint": "service" }));
        assert_eq!(asked["audits"][0]["receivedBy"], "admin");
    }
    assert!(first.stop().success());
    let mut second = Process::start(&mut bare(directory.path()));
    let again = second.url();
    assert!(second.stop().success());
    let shown = second.output().replace(&again, "") + &second.log() + &first.log().replace(&url, "");
    for hidden in [&*secret, &*token, "client secret", "API token", "curl"] {
        assert!(!shown.contains(hidden), "{hidden:?} is in {shown}");
    }
}

#[test]
fn a_first_start_that_cannot_listen_leaves_the_credential_to_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, message) = refusal(bare(directory.path()).env("AUDITBOX_SERVER_LISTEN", &address));
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains(&format!("cannot listen on {address}")), "{message}");
    let next = Process::start(&mut bare(directory.path()));
    next.url();
    eventually("the credential", || next.output().contains("client secret").then_some(()));
}

#[test]
fn a_chosen_admin_credential_is_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Process::start(&mut program(directory.path()));
    first.url();
    assert!(first.stop().success());
    for shown in [first.output(), first.log()] {
        assert!(!shown.contains(CLIENT_SECRET) && !shown.contains("curl"), "{shown}");
    }
    // A later choice has no effect; otherwise anyone who can set a variable could create a credential.
    let other = "another-secret-for-tests-0123456789";
    let mut later = Process::start(program(directory.path()).env("AUDITBOX_ADMIN_CLIENT_SECRET", other));
    let url = later.url();
    let body = json!({ "clientId": CLIENT_ID, "clientSecret": other }).to_string();
    let answer = ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).build())
        .post(format!("{url}/v1/auth/access_token"))
        .send(&body)
        .unwrap();
    assert_eq!(answer.status(), 401);
    assert!(later.stop().success());
    assert!(later.log().contains("only the first start uses them"), "{}", later.log());
}

#[test]
fn an_incomplete_or_weak_admin_credential_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    for (id, secret, named) in [
        (Some("admin"), None, "set both AUDITBOX_ADMIN_CLIENT_ID and AUDITBOX_ADMIN_CLIENT_SECRET"),
        (None, Some(CLIENT_SECRET), "set both AUDITBOX_ADMIN_CLIENT_ID and AUDITBOX_ADMIN_CLIENT_SECRET"),
        (Some("admin"), Some("short"), "AUDITBOX_ADMIN_CLIENT_SECRET: must be 24"),
        (Some("an admin"), Some(CLIENT_SECRET), "AUDITBOX_ADMIN_CLIENT_ID: must be"),
    ] {
        let mut command = bare(directory.path());
        for (name, value) in [("AUDITBOX_ADMIN_CLIENT_ID", id), ("AUDITBOX_ADMIN_CLIENT_SECRET", secret)] {
            value.map(|value| command.env(name, value));
        }
        let (code, message) = refusal(&mut command);
        assert_eq!(code, Some(1), "{message}");
        assert!(message.contains(named), "{message}");
        assert!(!message.contains(CLIENT_SECRET) && !message.contains("short"), "{message}");
        assert_eq!(
            std::fs::read_dir(directory.path()).unwrap().count(),
            0,
            "a database without a credential was created"
        );
    }
}

#[test]
fn startup_errors_leave_no_files() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (settings, says) in [
        (&[("AUDITBOX_SERVER_LISTEN", &*address)][..], "cannot listen on"),
        (&[("AUDITBOX_SERVER_LISTEN", "192.0.2.1:0")], "cannot listen on 192.0.2.1:0"),
        (&[("AUDITBOX_SERVER_TLS_CERTIFICATE", "no.pem"), ("AUDITBOX_SERVER_TLS_KEY", "no.pem")], "no.pem"),
        (&[("AUDITBOX_ADMIN_CLIENT_SECRET", "short")], "AUDITBOX_ADMIN_CLIENT_SECRET: must be 24"),
        (&[("AUDITBOX_ADMIN_CLIENT_ID", "an admin")], "AUDITBOX_ADMIN_CLIENT_ID: must be"),
        (&[("AUDITBOX_DATABASE_READERS", "0")], "readers"),
    ] {
        for arguments in [&["serve"][..], &["demo", "--events", "100"]] {
            let (code, message) = refusal(
                program(directory.path())
                    .envs(settings.iter().copied())
                    .env("TMPDIR", directory.path())
                    .args(arguments),
            );
            assert_eq!(code, Some(1), "{arguments:?}: {message}");
            assert!(message.contains(says), "{arguments:?}: {message}");
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "{says} {arguments:?}");
        }
    }
}

#[test]
fn secrets_are_neither_in_the_server_log_nor_in_the_records() {
    let server = Server::start_with(&[("AUDITBOX_LOG_LEVEL", "debug"), NOT_A_LIMIT]);
    let made = create(&server, &json!({ "name": "ci", "scopes": ["read"] }));
    let (secret, api_token) = (text(&made, "clientSecret"), text(&made, "apiToken"));
    let jwt = server.login(text(&made, "clientId"), secret);
    let wrong = "a-wrong-secret-that-somebody-typed";
    assert_eq!(login(&server, CLIENT_ID, wrong).status, 401);
    let guess = with_checksum(&format!("abx_{}", BASE64_URL_SAFE_NO_PAD.encode(format!("{CLIENT_ID}:{wrong}"))));
    assert!(!opens(&server, &guess));
    assert!(opens(&server, &jwt) && opens(&server, api_token));
    assert_eq!(server.request_as(&jwt, "POST", "/v1/audit-log", "{}").status, 403);
    let (status, directory) = server.stop();
    assert!(status.success());
    let log = std::fs::read_to_string(directory.path().join("stderr.txt")).unwrap();
    assert!(log.contains("DEBUG") && log.contains("/v1/auth/access_token"), "{log}");
    let server = Server::start_in(directory, &[]);
    let record = server.list("include_own=true").text;
    assert!(record.contains("access_token.create") && record.contains("credential.create"), "{record}");
    for hidden in [secret, api_token, &*jwt, wrong, &*guess, CLIENT_SECRET] {
        assert!(!log.contains(hidden), "{hidden} is in the log:\n{log}");
        assert!(!record.contains(hidden), "{hidden} is in the record: {record}");
    }
}

#[test]
fn the_list_shows_the_last_use_of_a_credential() {
    let server = Server::start();
    let made = create(&server, &json!({ "name": "ci", "scopes": ["read"] }));
    let client_id = text(&made, "clientId");
    assert_eq!(listed(&server, client_id)["lastUsedAt"], Value::Null);
    // A failed attempt is not a use.
    login(&server, client_id, "wrong");
    assert_eq!(listed(&server, client_id)["lastUsedAt"], Value::Null);
    let before = Timestamp::now().to_string();
    assert!(opens(&server, text(&made, "apiToken")));
    let used = text(&listed(&server, client_id), "lastUsedAt").to_owned();
    assert!(before <= used && used <= Timestamp::now().to_string(), "{used}");
    login(&server, client_id, text(&made, "clientSecret"));
    assert!(*used <= *text(&listed(&server, client_id), "lastUsedAt"));
}

#[test]
fn the_last_use_survives_a_restart_and_is_soon_in_the_file() {
    let mut server = Server::start();
    let made = create(&server, &json!({ "name": "ci", "scopes": ["read"] }));
    let client_id = text(&made, "clientId");
    assert!(opens(&server, text(&made, "apiToken")));
    let used = text(&listed(&server, client_id), "lastUsedAt").to_owned();
    let (_, directory) = server.stop();
    server = Server::start_in(directory, &[]);
    assert_eq!(text(&listed(&server, client_id), "lastUsedAt"), used);
    assert!(opens(&server, text(&made, "apiToken")));
    let used = text(&listed(&server, client_id), "lastUsedAt").to_owned();
    // The server is not stopped here, so a crash loses little.
    let file = rusqlite::Connection::open(server.database()).unwrap();
    let noted = || {
        let sql = "SELECT value FROM setting WHERE name = 'used:' || ?1";
        file.query_row(sql, [client_id], |row| row.get::<_, i64>(0)).unwrap()
    };
    crate::harness::eventually("a note", || (Timestamp::from_micros(noted()).to_string() == used).then_some(()));
    server.kill();
    server.start_again();
    assert_eq!(text(&listed(&server, client_id), "lastUsedAt"), used);
}
