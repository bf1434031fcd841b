//! What pages say of values that are hidden: masked by auditbox, or by the sender.

use std::fs;

use serde_json::{Value, json};

use crate::{
    harness::{Server, run},
    pages::{event, page, text},
};

fn changing(identifier: &str, before: &Value, after: &Value) -> Value {
    let mut sent = event(identifier, "2024-05-01T10:00:00Z", "UPDATE", "service");
    sent["diff"] = json!({ "before": before, "after": after });
    sent
}

fn stored(server: &Server, identifier: &str) -> Value {
    server.get(&format!("/v1/audit-log/{identifier}")).json()["audit"].clone()
}

fn shown(server: &Server, identifier: &str) -> String {
    text(&page(server, &format!("/audit-logs/{identifier}")))
}

#[test]
fn a_value_that_the_sender_hides_is_never_unchanged() {
    let server = Server::start();
    for (number, hidden) in
        ["***", "*****", "[REDACTED]", "[FILTERED]", "••••", "<redacted>", "xxxxx", "(hidden)"].iter().enumerate()
    {
        // One key is masked, the other is not.
        let side = json!({ "password": hidden, "pin": hidden, "port": 1 });
        let identifier = format!("e{number}");
        server.store(&[changing(&identifier, &side, &side)]);
        let event = stored(&server, &identifier);
        assert_eq!((&event["maskedChanged"], &event["maskedUnknown"]), (&json!([]), &json!(["/password"])), "{hidden}");
        let shown = shown(&server, &identifier);
        assert!(shown.contains("password : unknown whether it changed (masked)"), "{shown}");
        assert!(shown.contains("pin : unknown whether it changed (hidden by the sender)"), "{shown}");
        assert!(shown.contains("2 unknown, 1 unchanged") && !shown.contains("No field changed"), "{shown}");
    }
    server.store(&[changing("one", &json!({ "password": "***" }), &json!({ "password": "new" }))]);
    assert!(shown(&server, "one").contains("password : unknown whether it changed (masked)"));
}

#[test]
fn a_page_says_whether_the_secret_in_a_url_changed() {
    let server = Server::start();
    let url = |token: &str, page: u32| json!({ "url": format!("https://example.com/?token={token}&page={page}") });
    server.store(&[
        changing("page", &url("a", 1), &url("a", 2)),
        changing("token", &url("a", 1), &url("b", 1)),
        changing("both", &url("a", 1), &url("b", 2)),
    ]);
    for (identifier, changed, note) in [
        ("page", json!([]), "url : the masked part is unchanged"),
        ("token", json!(["/url"]), "url : changed (masked)"),
        ("both", json!(["/url"]), "url : the masked part changed"),
    ] {
        assert_eq!(stored(&server, identifier)["maskedChanged"], changed, "{identifier}");
        let shown = shown(&server, identifier);
        assert!(shown.contains(note) && shown.contains("1 changed"), "{shown}");
    }
}

#[test]
fn an_element_keeps_its_fact_wherever_it_moves() {
    let server = Server::start();
    let env = |values: &[(&str, &str)]| {
        let all: Vec<_> = values.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        json!({ "env": all })
    };
    let before = env(&[("API_TOKEN", "1"), ("DB_PASSWORD", "2")]);
    server.store(&[
        changing("inserted", &before, &env(&[("NEW_TOKEN", "9"), ("API_TOKEN", "1"), ("DB_PASSWORD", "3")])),
        changing("reordered", &before, &env(&[("DB_PASSWORD", "2"), ("API_TOKEN", "1")])),
    ]);
    let inserted = shown(&server, "inserted");
    assert!(inserted.contains("1 changed, 2 added, 3 unchanged"), "{inserted}");
    assert!(inserted.contains("env[DB_PASSWORD].value : changed (masked)"), "{inserted}");
    assert!(inserted.contains("env[API_TOKEN].value : unchanged (masked)"), "{inserted}");
    let reordered = shown(&server, "reordered");
    assert!(reordered.contains("No field changed") && !reordered.contains("unknown"), "{reordered}");
    assert_eq!(reordered.matches("unchanged (masked)").count(), 2, "{reordered}");
}

#[test]
fn more_values_than_are_listed_are_at_least_a_number() {
    let server = Server::start();
    let many = |count: usize, value: u32| {
        let all: Vec<_> = (0..count).map(|id| json!({ "id": id, "token": format!("{value}-{id}") })).collect();
        json!({ "keys": all })
    };
    server.store(&[
        changing("some", &many(100, 1), &many(100, 2)),
        changing("all", &many(130, 1), &many(130, 2)),
        changing("none", &many(130, 1), &many(130, 1)),
    ]);
    let count = |identifier: &str| stored(&server, identifier)["maskedChanged"].as_array().unwrap().len();
    assert_eq!((count("some"), count("all"), count("none")), (100, 100, 0));
    assert!(shown(&server, "some").contains("100 changed, 100 unchanged"));
    assert!(shown(&server, "all").contains("at least 100 changed, 30 unknown, 130 unchanged"));
    assert!(shown(&server, "none").contains("No field changed"));
}

#[test]
fn an_export_that_is_imported_keeps_what_is_known_of_masked_values() {
    let server = Server::start();
    let side = |password: &str, port: u32| json!({ "password": password, "token": "t", "pwd": "***", "port": port });
    server.store(&[changing("e", &side("a", 1), &side("b", 2))]);
    let known = |server: &Server| {
        let event = stored(server, "e");
        (event["maskedChanged"].clone(), event["maskedUnknown"].clone())
    };
    let expected = (json!(["/password"]), json!(["/pwd"]));
    assert_eq!(known(&server), expected);
    let export = server.get("/v1/audit-log/export?format=ndjson").text;
    for flags in [&[][..], &["--keep-received"]] {
        let other = Server::start();
        fs::write(other.directory().join("in.ndjson"), &export).unwrap();
        let arguments = ["import", "in.ndjson", "--url", &other.url, "--token", &other.token];
        let output = run(other.directory(), &[&arguments, flags].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(known(&other), expected, "{flags:?}");
        assert_eq!(shown(&other, "e").matches("(masked)").count(), 3);
        assert!(shown(&other, "e").contains("token : unchanged (masked)"));
    }
    // It is the same event for the log that it comes from.
    fs::write(server.directory().join("in.ndjson"), &export).unwrap();
    let output = run(server.directory(), &["import", "in.ndjson", "--url", &server.url, "--token", &server.token]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // What a sender says of other values does not count, and what is no list of pointers is an error.
    let mut sent = changing("claim", &json!({ "password": "a" }), &json!({ "password": "a" }));
    sent["maskedChanged"] = json!(["/password"]);
    server.store(&[sent]);
    assert_eq!(stored(&server, "claim")["maskedChanged"], json!([]));
    for (key, value) in [("maskedChanged", "true"), ("maskedUnknown", "[1]"), ("maskedChanged", "null")] {
        let answer = server.post("/v1/audit-log", &format!(r#"{{"action":"A","resourceType":"x","{key}":{value}}}"#));
        assert_eq!((answer.status, &answer.json()["details"][0]["field"]), (422, &json!(key)), "{}", answer.text);
    }
}

#[test]
fn a_change_that_cannot_be_seen_is_named() {
    let server = Server::start();
    server.store(&[changing(
        "e",
        &json!({ "name": "M\u{fc}ller", "title": "Head of sales" }),
        &json!({ "name": "Mu\u{308}ller", "title": "Head\u{a0}of sales" }),
    )]);
    let shown = shown(&server, "e");
    assert!(shown.contains("name : differs only in Unicode normalization"), "{shown}");
    assert!(shown.contains("title : differs only in the kind of space"), "{shown}");
    let list = text(&page(&server, "/audit-logs?range=all"));
    assert!(list.contains("(differs only in the kind of space)"), "{list}");
}
