//! The last administrator: neither the API, nor the pages, nor the command line disables or revokes it.

use std::{process::Output, sync::Barrier, thread};

use serde_json::Value;

use crate::{
    harness::{Answer, CLIENT_ID, Server, run},
    pages::{get_once, redirection, text},
};

/// The command that each refusal suggests.
const REMEDY: &str = "auditbox credential create --name NAME --scope admin,read --type user";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn state(server: &Server, name: &str) -> String {
    let output = run(server.directory(), &["credential", "list"]);
    let list = String::from_utf8(output.stdout).unwrap();
    let line = list.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{list}"));
    let states = ["active", "disabled", "revoked", "expired"];
    states.iter().find(|state| line.contains(**state)).unwrap().to_string()
}

/// Creates an administrator; returns its client id and an API token.
fn administrator(server: &Server, name: &str, expires: Option<&str>) -> (String, String) {
    let asked =
        serde_json::json!({ "name": name, "scopes": ["admin", "read"], "actorType": "user", "expires": expires });
    let made: Value = server.post("/v1/credentials", &asked.to_string()).json();
    let value = |key: &str| made["credential"][key].as_str().unwrap().to_owned();
    (value("clientId"), value("apiToken"))
}

fn form(server: &Server, client_id: &str, form: &str) -> Answer {
    let bearer = format!("Bearer {}", server.token);
    server.request_once("POST", &format!("/credentials/{client_id}"), &[("authorization", &bearer)], form.as_bytes())
}

/// Tries every way to end a credential: each is refused with a remedy and changes nothing.
fn cannot_be_ended(server: &Server, name: &str, client_id: &str) {
    let path = format!("/v1/credentials/{client_id}");
    for (method, body) in [("PATCH", r#"{"disabled":true}"#), ("DELETE", "")] {
        let answer = server.request_as(&server.token, method, &path, body);
        assert_eq!(answer.refusal(), (409, "conflict".to_owned()), "{method}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(REMEDY) && message.contains(name), "{message}");
    }
    for asked in ["do=disable", "do=revoke"] {
        let answer = form(server, client_id, asked);
        assert_eq!(answer.status, 409, "{asked}");
        assert!(text(&answer.text).contains(REMEDY), "{}", text(&answer.text));
    }
    for command in ["disable", "revoke"] {
        let refused = run(server.directory(), &["credential", command, name]);
        assert_eq!(refused.status.code(), Some(1), "{command}");
        assert!(said(&refused).contains(REMEDY), "{}", said(&refused));
    }
    assert_eq!(state(server, name), "active");
}

#[test]
fn the_last_administrator_can_be_neither_disabled_nor_revoked() {
    let server = Server::start();
    cannot_be_ended(&server, "admin", CLIENT_ID);
    // Credentials that are unusable, or are not administrators, do not count.
    server.credential("reader", &["read", "ingest"]);
    let (disabled, _) = administrator(&server, "disabled", None);
    let (revoked, _) = administrator(&server, "revoked", None);
    administrator(&server, "expired", Some("1s"));
    let end = |method: &str, id: &str, body: &str| {
        assert_eq!(server.request_as(&server.token, method, &format!("/v1/credentials/{id}"), body).status, 200);
    };
    end("PATCH", &disabled, r#"{"disabled":true}"#);
    end("DELETE", &revoked, "");
    crate::harness::eventually("its end", || (state(&server, "expired") == "expired").then_some(()));
    cannot_be_ended(&server, "admin", CLIENT_ID);
    // A usable administrator counts, and becomes the last one itself.
    end("PATCH", &disabled, r#"{"disabled":false}"#);
    assert_eq!(redirection(&form(&server, &disabled, "do=disable")), "/credentials");
    end("PATCH", &disabled, r#"{"disabled":false}"#);
    assert!(run(server.directory(), &["credential", "disable", "admin"]).status.success());
    let refused = run(server.directory(), &["credential", "revoke", "disabled"]);
    assert!(refused.status.code() == Some(1) && said(&refused).contains(REMEDY), "{}", said(&refused));
    // An unusable administrator is ended like any other credential.
    assert!(run(server.directory(), &["credential", "revoke", "admin"]).status.success());
    assert!(run(server.directory(), &["credential", "revoke", "expired"]).status.success());
}

#[test]
fn administrators_that_end_each_other_at_once_leave_one() {
    for round in 0..5 {
        let server = Server::start();
        let (id, token) = administrator(&server, "second", None);
        let both = Barrier::new(2);
        let answers: Vec<_> = thread::scope(|scope| {
            let ends = |token: &str, id: &str| {
                let (token, path) = (token.to_owned(), format!("/v1/credentials/{id}"));
                let (server, both) = (&server, &both);
                scope.spawn(move || {
                    both.wait();
                    server.request_as(&token, "DELETE", &path, "").status
                })
            };
            let threads = [ends(&server.token, &id), ends(&token, CLIENT_ID)];
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let left = ["admin", "second"].iter().filter(|name| state(&server, name) == "active").count();
        assert_eq!(left, 1, "round {round}: {answers:?}");
    }
}

#[test]
fn ending_a_credential_on_its_page_takes_two_steps_and_the_first_changes_nothing() {
    let server = Server::start();
    server.credential("ci <b>", &["read"]);
    let all = server.get("/v1/credentials").json();
    let ci = all["credentials"].as_array().unwrap().iter().find(|credential| credential["name"] == "ci <b>").unwrap();
    let path = format!("/credentials/{}", ci["clientId"].as_str().unwrap());
    let list = get_once(&server, "/credentials").text;
    for (asked, word) in [("disable", "Disable"), ("revoke", "Revoke")] {
        let link = format!("{path}?do={asked}");
        assert!(list.contains(&format!("href=\"{link}\"")), "{list}");
        assert!(!list.contains(&format!("value=\"{asked}\"")), "one click would be enough: {list}");
        for _ in 0..2 {
            let page = get_once(&server, &link);
            assert_eq!(page.status, 200, "{}", page.text);
            assert!(text(&page.text).contains(&format!("{word} ci <b>")), "{}", text(&page.text));
            assert!(
                page.text.contains(&format!("value=\"{asked}\"")) && page.text.contains(&format!("action=\"{path}\""))
            );
            assert!(!page.text.contains("<b>"), "{}", page.text);
        }
        assert_eq!(
            server.get("/v1/credentials").json()["credentials"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|c| c["state"] == "active")
                .count(),
            2
        );
    }
    // The page of the last administrator announces the refusal.
    let page = get_once(&server, &format!("/credentials/{CLIENT_ID}?do=revoke"));
    assert_eq!(page.status, 409);
    assert!(text(&page.text).contains(REMEDY));
    for (query, status) in [("?do=enable", 422), ("?do=x", 422), ("", 422)] {
        assert_eq!(get_once(&server, &format!("{path}{query}")).status, status, "{query}");
    }
    assert_eq!(get_once(&server, "/credentials/nobody?do=revoke").status, 404);
}

#[test]
fn login_link_without_a_usable_administrator_names_a_remedy() {
    let server = Server::start();
    let file = rusqlite::Connection::open(server.database()).unwrap();
    file.execute("UPDATE credential SET disabled_at = 1", []).unwrap();
    for arguments in [&["login-link"][..], &["login-link", "--credential", "admin"]] {
        let refused = run(server.directory(), arguments);
        assert_eq!(refused.status.code(), Some(1));
        assert!(said(&refused).contains(REMEDY), "{}", said(&refused));
    }
    assert!(
        said(&run(server.directory(), &["login-link", "--credential", "admin"])).contains("auditbox credential enable")
    );
    let command = REMEDY.replace("NAME", "rescue");
    let arguments: Vec<_> = command.split(' ').skip(1).collect();
    assert!(run(server.directory(), &arguments).status.success());
    let link = run(server.directory(), &["login-link", "--url", ""]);
    assert!(link.status.success(), "{}", said(&link));
    let page = server.request_once("GET", String::from_utf8(link.stdout).unwrap().trim(), &[], b"");
    assert!(page.status == 200 && page.text.contains("rescue"), "{}", page.text);
}
