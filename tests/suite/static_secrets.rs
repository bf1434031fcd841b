//! One static secret, in every form in which senders present it; several secrets of a credential; the addresses that it allows.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    cli::{bad, good},
    harness::{Answer, Server, eventually},
};

const EVENT: &[u8] = br#"{"action":"READ","resourceType":"form"}"#;
const LOG: &str = "/v1/audit-log";

/// The client id, the secret and the API token of a new credential.
fn create(server: &Server, asked: &Value) -> [String; 3] {
    let answer = server.post("/v1/credentials", &asked.to_string());
    assert_eq!(answer.status, 201, "{}", answer.text);
    parts(&answer.json()["credential"])
}

fn parts(credential: &Value) -> [String; 3] {
    ["clientId", "clientSecret", "apiToken"].map(|key| credential[key].as_str().unwrap().to_owned())
}

fn encode(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

/// The values of `Authorization` that present a secret.
fn headers([id, secret, token]: &[String; 3]) -> Vec<String> {
    let pairs = [format!("{id}:{secret}"), format!("x:{token}"), format!(":{token}"), format!("x:{id}.{secret}")];
    let bearers = ["Bearer", "bearer", "Splunk"]
        .into_iter()
        .flat_map(|scheme| [format!("{scheme} {token}"), format!("{scheme} {id}.{secret}")]);
    let basics = pairs.iter().flat_map(|pair| ["Basic", "ApiKey"].map(|scheme| format!("{scheme} {}", encode(pair))));
    bearers.chain(basics).chain([format!("ApiKey {token}"), token.clone()]).collect()
}

fn send(server: &Server, path: &str, header: Option<&str>) -> Answer {
    let headers: Vec<_> = header.map(|value| ("authorization", value)).into_iter().collect();
    server.request("POST", path, &headers, EVENT)
}

#[test]
fn one_secret_is_accepted_in_every_form_where_events_are_sent() {
    let server = Server::start_with(&[("AUDITBOX_AUTH_FAILED_LOGINS_MAX", "1000000")]);
    let sender = create(&server, &json!({ "name": "sender", "scopes": ["ingest", "read"] }));
    let [id, secret, token] = &sender;
    for header in headers(&sender) {
        let answer = send(&server, LOG, Some(&header));
        assert_eq!(answer.status, 201, "{header}: {}", answer.text);
        // The same with another secret.
        let wrong = headers(&[id.clone(), secret.replace(|_| true, "x"), token.replace("abx_", "abx_x")]);
        for header in wrong {
            assert_eq!(send(&server, LOG, Some(&header)).refusal(), (401, "unauthorized".to_owned()), "{header}");
        }
    }
    for token in [token.clone(), format!("{id}.{secret}"), server.login(id, secret)] {
        assert_eq!(send(&server, &format!("{LOG}?partial=true&access_token={token}"), None).status, 200, "{token}");
        assert_eq!(send(&server, &format!("{LOG}?access_token={token}x"), None).status, 401, "{token}");
    }
    let stored = server.list("resources=form&includes=receivedBy").json();
    assert_eq!(stored["audits"].as_array().unwrap().len(), headers(&sender).len() + 3);
    assert!(stored["audits"].as_array().unwrap().iter().all(|event| event["receivedBy"] == "sender"), "{stored}");
    // Elsewhere only as a Bearer token, although the credential may read.
    for header in headers(&sender) {
        let answer = server.request("GET", "/v1/audit-log?limit=1", &[("authorization", &header)], b"");
        let is_bearer = header.to_lowercase().starts_with("bearer ");
        assert_eq!(answer.status, if is_bearer { 200 } else { 401 }, "{header}: {}", answer.text);
    }
    let answer = server.request("GET", &format!("{LOG}?access_token={token}"), &[], b"");
    assert_eq!(answer.status, 401, "{}", answer.text);
}

#[test]
fn a_password_that_a_browser_adds_does_not_count_for_a_page_of_another_site() {
    let server = Server::start();
    let [id, secret, _] = create(&server, &json!({ "name": "sender", "scopes": ["ingest"] }));
    let basic = format!("Basic {}", encode(&format!("{id}:{secret}")));
    for (origin, status) in [("https://evil.example", 403), ("null", 403), (&*server.url, 201)] {
        let answer = server.request("POST", LOG, &[("authorization", &basic), ("origin", origin)], EVENT);
        assert_eq!(answer.status, status, "{origin}: {}", answer.text);
    }
}

#[test]
fn guesses_in_any_form_are_limited() {
    let server = Server::start();
    let [id, ..] = create(&server, &json!({ "name": "sender", "scopes": ["ingest"] }));
    for _ in 0..10 {
        assert_eq!(send(&server, LOG, Some(&format!("Basic {}", encode(&format!("{id}:guess"))))).status, 401);
    }
    for header in [format!("Bearer {id}.guess"), format!("ApiKey {}", encode(&format!("{id}:guess")))] {
        assert_eq!(send(&server, LOG, Some(&header)).refusal(), (429, "rate_limited".to_owned()), "{header}");
    }
}

/// Whether a token may send.
fn sends(server: &Server, token: &str) -> bool {
    let answer = server.request_as(token, "POST", LOG, "[]");
    assert!(matches!(answer.status, 200 | 401), "{}", answer.text);
    answer.status == 200
}

#[test]
fn a_secret_is_replaced_while_both_are_valid() {
    let server = Server::start();
    let [id, _, first] = create(&server, &json!({ "name": "sender", "scopes": ["ingest"] }));
    let second = parts(&server.post(&format!("/v1/credentials/{id}/secrets"), "").json()["credential"])[2].clone();
    let printed = good(server.directory(), &["credential", "add-secret", "sender", "--json"]);
    let third = parts(&serde_json::from_str(&printed).unwrap())[2].clone();
    let all = [&first, &second, &third];
    assert!(all.iter().all(|token| sends(&server, token)), "the three secrets are valid at once");
    let list = good(server.directory(), &["credential", "list"]);
    assert!(list.lines().any(|line| line.starts_with("sender") && line.contains(" 3 ")), "{list}");

    assert!(server.get("/credentials").text.contains("3 secrets"), "the page shows the number of secrets");

    let said = good(server.directory(), &["credential", "retire-secrets", "sender"]);
    assert!(said.contains("sender is valid with its newest secret alone"), "{said}");
    eventually("the end of the earlier secrets", || (!sends(&server, &first)).then_some(()));
    assert_eq!(all.map(|token| sends(&server, token)), [false, false, true]);

    for _ in 0..4 {
        assert_eq!(server.post(&format!("/v1/credentials/{id}/secrets"), "").status, 201);
    }
    let full = server.post(&format!("/v1/credentials/{id}/secrets"), "");
    assert_eq!(full.refusal(), (409, "conflict".to_owned()), "{}", full.text);
    let said = bad(server.directory(), &["credential", "add-secret", "sender"], 1);
    assert!(said.contains("has 5 secrets, which is the maximum"), "{said}");
    assert_eq!(server.request_as(&server.token, "DELETE", &format!("/v1/credentials/{id}/secrets"), "").status, 200);
    let listed = server.get("/v1/credentials").json();
    assert!(listed["credentials"].as_array().unwrap().iter().all(|one| one["secrets"] == 1), "{listed}");
    assert!(!sends(&server, &third));
    for (action, count) in [("credential.add_secret", 6), ("credential.retire_secrets", 2)] {
        let found = server.list(&format!("include_own=true&action={action}&status=SUCCESS")).identifiers();
        assert_eq!(found.len(), count, "{action}");
    }
    assert_eq!(server.request_as(&server.token, "DELETE", "/v1/credentials/none/secrets", "").status, 404);
}

#[test]
fn a_credential_is_accepted_only_from_its_addresses() {
    let server = Server::start_with(&[("AUDITBOX_SERVER_TRUSTED_PROXIES", "127.0.0.1")]);
    let asked = json!({ "name": "sender", "scopes": ["ingest", "read"], "actorType": "user",
        "allowIp": ["10.0.0.0/8", "2001:db8::7"] });
    let [id, secret, token] = create(&server, &asked);
    let from = |address: &str, header: &str| {
        server.request("POST", LOG, &[("authorization", header), ("x-forwarded-for", address)], b"[]")
    };
    for header in headers(&[id.clone(), secret.clone(), token.clone()]) {
        for address in ["10.1.2.3", "2001:db8::7"] {
            assert_eq!(from(address, &header).status, 200, "{header}");
        }
        let refused = from("192.0.2.9", &header);
        assert_eq!(refused.refusal(), (403, "forbidden".to_owned()), "{header}");
        assert!(refused.text.contains("not accepted from the address 192.0.2.9"), "{}", refused.text);
        // Only the right secret learns that.
        assert_eq!(from("192.0.2.9", &format!("{header}x")).status, 401, "{header}");
    }
    let refused = server.list("include_own=true&actor=sender&status=FAILURE&ip=192.0.2.9").identifiers();
    assert_eq!(refused.len(), headers(&[id.clone(), secret.clone(), token.clone()]).len());

    // A login and a session.
    let login = json!({ "clientId": id, "clientSecret": secret }).to_string();
    let post = |address: &str| {
        server.request("POST", "/v1/auth/access_token", &[("x-forwarded-for", address)], login.as_bytes())
    };
    assert_eq!(post("192.0.2.9").refusal(), (403, "forbidden".to_owned()));
    let access = post("10.0.0.1").json()["accessToken"].as_str().unwrap().to_owned();
    assert_eq!(from("192.0.2.9", &format!("Bearer {access}")).status, 403);
    assert_eq!(from("10.0.0.1", &format!("Bearer {access}")).status, 200);
    let form = format!("client_id={id}&client_secret={secret}");
    let sign_in = |address: &str| {
        let headers = [("origin", &*server.url), ("x-forwarded-for", address)];
        server.request_once("POST", "/sign-in", &headers, form.as_bytes())
    };
    let refused = sign_in("192.0.2.9");
    assert!(refused.status == 403 && refused.text.contains("192.0.2.9"), "{}", refused.text);
    let cookie = sign_in("10.0.0.1").header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    for (address, status) in [("10.0.0.2", 200), ("192.0.2.9", 401)] {
        let headers = [("cookie", &*cookie), ("x-forwarded-for", address)];
        assert_eq!(server.request("GET", "/v1/audit-log?limit=1", &headers, b"").status, status, "{address}");
    }

    let page =
        server.request("GET", "/credentials", &[("authorization", &format!("Bearer {}", server.token))], b"").text;
    assert!(page.contains("from 10.0.0.0/8, 2001:db8::7"), "{page}");

    // The addresses can be changed.
    let said = good(server.directory(), &["credential", "allow-ip", "sender", "192.0.2.0/24"]);
    assert!(said.contains("sender is accepted from 192.0.2.0/24"), "{said}");
    let header = format!("Bearer {token}");
    eventually("the change", || (from("192.0.2.9", &header).status == 200).then_some(()));
    assert_eq!(from("10.1.2.3", &header).status, 403);
    good(server.directory(), &["credential", "allow-ip", "sender", "any"]);
    eventually("the change", || (from("198.51.100.1", &header).status == 200).then_some(()));
    for wrong in ["", "10.0.0.0/40", "here"] {
        bad(server.directory(), &["credential", "allow-ip", "sender", wrong], 2);
    }
    let refused = server.post("/v1/credentials", r#"{"name":"n","scopes":["read"],"allowIp":["10.0.0.0/40"]}"#);
    assert_eq!(refused.refusal(), (422, "invalid_request".to_owned()));
    assert!(refused.text.contains("allowIp: must list addresses"), "{}", refused.text);
}

#[test]
fn addresses_and_secrets_outlive_a_restart_and_a_restore() {
    let server = Server::start_with(&[("AUDITBOX_SERVER_TRUSTED_PROXIES", "127.0.0.1")]);
    let [id, _, first] = create(&server, &json!({ "name": "sender", "scopes": ["ingest"], "allowIp": ["10.0.0.1"] }));
    let second = parts(&server.post(&format!("/v1/credentials/{id}/secrets"), "").json()["credential"])[2].clone();
    let from = |server: &Server, token: &str, address: &str| {
        let header = format!("Bearer {token}");
        server.request("POST", LOG, &[("authorization", &header), ("x-forwarded-for", address)], b"[]").status
    };
    good(server.directory(), &["backup", "copy.db"]);
    // After the backup, fewer secrets and other addresses are valid.
    good(server.directory(), &["credential", "retire-secrets", "sender"]);
    good(server.directory(), &["credential", "allow-ip", "sender", "10.0.0.2"]);
    let (_, directory) = server.stop();
    good(directory.path(), &["restore", "copy.db", "--force"]);
    let server = Server::start_in(directory, &[("AUDITBOX_SERVER_TRUSTED_PROXIES", "127.0.0.1")]);
    let statuses = [(&first, "10.0.0.2"), (&second, "10.0.0.1"), (&second, "10.0.0.2")];
    assert_eq!(statuses.map(|(token, address)| from(&server, token, address)), [401, 403, 200]);
}
