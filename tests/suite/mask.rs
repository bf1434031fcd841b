//! Secrets in events: replaced before they are stored, by every way into the log.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Server, run};

const EVENT: &str = r#"{"identifier":"m1","action":"UPDATE","resourceType":"service","n":1.0,
    "context":{"entity":"api","apiKey":"hide-me-1"},
    "request":{"method":"GET","path":"/login?user=ada&token=hide-me-2","headers":[{"name":"Authorization","value":"Bearer hide-me-3"}]},
    "diff":{"before":{"dbPassword":"hide-me-4","port": 1.50},"after":{"dbPassword":["hide-me-5"],"port": 2e0}},
    "additionalData":{"raw":["Accept: x","Cookie: hide-me-6"],"hasPassword":true,"deep":[[{"client-secret":{"k":"hide-me-7"}}]]}}"#;

/// A part of the stored event.
const STORED: &str = r#""context":{"entity":"api","apiKey":"[masked]"},"#;

#[test]
fn no_part_of_a_secret_is_stored_and_the_event_names_the_place() {
    let (server, log) = (Server::start_with(&[("AUDITBOX_LOG_LEVEL", "trace")]), "hide-me");
    assert_eq!(server.post("/v1/audit-log", EVENT).status, 201);
    let stored = server.get("/v1/audit-log/m1");
    assert_eq!(
        stored.json()["audit"]["masked"],
        json!([
            "/context/apiKey",
            "/request/path",
            "/request/headers/0/value",
            "/diff/before/dbPassword",
            "/diff/after/dbPassword",
            "/additionalData/raw/1",
            "/additionalData/deep/0/0/client-secret",
        ])
    );
    let event = &stored.json()["audit"];
    assert_eq!(event["request"]["path"], "/login?user=ada&token=[masked]");
    assert_eq!(event["additionalData"]["raw"], json!(["Accept: x", "Cookie: [masked]"]));
    // The sender's other bytes are unchanged.
    for kept in [
        r#""diff":{"before":{"dbPassword":"[masked]","port": 1.50},"after":{"dbPassword":"[masked]","port": 2e0}}"#,
        r#""hasPassword":true"#,
        r#""n":1.0"#,
    ] {
        assert!(stored.text.contains(kept), "{}", stored.text);
    }
    // Queries find it by the stored value.
    assert_eq!(server.list("path=/login?user=ada%26token=%5Bmasked%5D").identifiers(), ["m1"]);
    assert_eq!(server.list("path=/login?user=ada%26token=h").identifiers(), [""; 0]);
    assert_eq!(server.list("includes=masked").json()["audits"][0]["masked"][0], "/context/apiKey");
    let csv = server.get("/v1/audit-log/export?format=csv").text;
    assert!(csv.lines().next().unwrap().contains("masked") && csv.contains("/diff/after/dbPassword"), "{csv}");
    for text in [&stored.text, &csv, &server.log(), &server.get("/audit-logs/m1").text] {
        assert!(!text.contains(log), "{text}");
    }
    let (_, directory) = server.stop();
    for file in fs::read_dir(directory.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(memchr::memmem::find(&bytes, log.as_bytes()).is_none());
    }
}

#[test]
fn a_retry_is_a_duplicate_with_any_secret_and_other_content_is_a_conflict() {
    let server = Server::start();
    assert_eq!(server.post("/v1/audit-log", EVENT).status, 201);
    for again in [EVENT.to_owned(), EVENT.replace("hide-me", "another")] {
        let answer = server.post("/v1/audit-log", &again);
        assert_eq!((answer.status, &answer.json()["duplicates"]), (200, &json!(1)), "{}", answer.text);
    }
    assert_eq!(server.post("/v1/audit-log", &EVENT.replace("ada", "bob")).status, 409);
    // A value of a type that is never masked differs from a secret.
    assert_eq!(server.post("/v1/audit-log", &EVENT.replace("\"hide-me-4\"", "null")).status, 409);
}

#[test]
fn stored_events_do_not_change_with_the_mask_and_the_mask_can_be_disabled() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_in(directory, &[("AUDITBOX_MASK_ENABLED", "false")]);
    assert_eq!(server.post("/v1/audit-log", EVENT).status, 201);
    let plain = server.get("/v1/audit-log/m1").text;
    assert!(plain.contains("hide-me-1") && plain.contains("hide-me-7") && !plain.contains("masked"), "{plain}");
    let (_, directory) = server.stop();
    let server = Server::start_in(directory, &[("AUDITBOX_MASK_NAMES", "national-id, port")]);
    assert_eq!(server.get("/v1/audit-log/m1").text, plain);
    let other = EVENT.replace("\"m1\"", "\"m2\"").replace("\"entity\":\"api\"", "\"entity\":\"api\",\"NationalID\":5");
    assert_eq!(server.post("/v1/audit-log", &other).status, 201);
    let stored = server.get("/v1/audit-log/m2");
    assert_eq!(
        stored.json()["audit"]["masked"],
        json!(["/context/NationalID", "/diff/before/port", "/diff/after/port"])
    );
    assert!(stored.text.contains("hide-me-4"), "{}", stored.text);
}

/// Stores [`EVENT`] under one configuration of the mask, then restarts the server under another.
fn stored_under(before: &[(&str, &str)], after: &[(&str, &str)]) -> Server {
    let server = Server::start_with(before);
    assert_eq!(server.post("/v1/audit-log", EVENT).status, 201);
    let (_, directory) = server.stop();
    Server::start_in(directory, after)
}

const OFF: &[(&str, &str)] = &[("AUDITBOX_MASK_ENABLED", "false")];
const ON: &[(&str, &str)] = &[];
const OTHERS: &[(&str, &str)] = &[("AUDITBOX_MASK_NAMES", "client-secret, port, headers, raw")];
const PARAMETER: &[(&str, &str)] = &[("AUDITBOX_MASK_NAMES", "user, token")];

#[test]
fn a_retry_is_a_duplicate_after_a_change_of_the_mask() {
    for (before, after) in [
        (OFF, ON),
        (ON, OFF),
        (ON, OTHERS),
        (OTHERS, ON),
        (OFF, OTHERS),
        (OTHERS, OFF),
        (OFF, PARAMETER),
        (ON, PARAMETER),
    ] {
        let server = stored_under(before, after);
        let stored = server.get("/v1/audit-log/m1").text;
        let answer = server.post("/v1/audit-log", EVENT);
        assert_eq!((answer.status, &answer.json()["duplicates"]), (200, &json!(1)), "{before:?} {after:?}");
        assert_eq!(server.get("/v1/audit-log/m1").text, stored, "{before:?} {after:?}");
    }
}

#[test]
fn other_content_is_a_conflict_after_a_change_of_the_mask() {
    for (before, after) in [(OFF, ON), (ON, OFF)] {
        let server = stored_under(before, after);
        for (what, other) in [
            // Next to the masked value.
            ("/login", "/logout"),
            ("user=ada", "user=bob"),
            ("&token=", "&other="),
            ("Cookie: ", "Cookies: "),
            ("Accept: x", "Accept: y"),
            ("\"name\":\"Authorization\"", "\"name\":\"authorization\""),
            ("\"hasPassword\":true", "\"hasPassword\":false"),
            ("\"port\": 1.50", "\"port\": 1.5"),
            ("\"n\":1.0", "\"n\":1"),
            ("\"entity\":\"api\"", "\"entity\":\"[masked]\""),
            // A masked place held a value.
            ("\"hide-me-4\"", "null"),
            ("[\"hide-me-5\"]", "\"\""),
            ("token=hide-me-2", "token="),
            // One masked place too few or too many.
            (",\"apiKey\":\"hide-me-1\"", ""),
            ("\"apiKey\":\"hide-me-1\"", "\"apiKey\":\"hide-me-1\",\"token\":\"hide-me-8\""),
            ("&token=hide-me-2", "&token=hide-me-2&token=hide-me-9"),
            ("\"hide-me-7\"}}]", "\"hide-me-7\"}},5]"),
        ] {
            let event = EVENT.replace(what, other);
            assert_ne!(event, EVENT, "{what}");
            let answer = server.post("/v1/audit-log", &event);
            assert_eq!(answer.status, 409, "{before:?} {after:?} {what} -> {other}: {}", answer.text);
        }
    }
}

#[test]
fn a_parameter_masked_by_an_operators_name_equals_no_other_value() {
    // The server does not record which parameters of a URL were masked, so a stored `user=[masked]` may come from the
    // sender.
    let server = stored_under(PARAMETER, ON);
    assert_eq!(server.post("/v1/audit-log", EVENT).status, 409);
}

#[test]
fn text_that_only_looks_masked_equals_no_other_value() {
    let event = |value: &str| json!({ "identifier": "m1", "action": "A", "resourceType": "x", "diff": { "after": { "amount": value, "token": "t" } } });
    for (before, after) in [(OFF, ON), (ON, OFF), (ON, ON)] {
        for (first, second) in [("[masked]", "5"), ("5", "[masked]")] {
            let server = Server::start_with(before);
            server.store(&[event(first)]);
            let (_, directory) = server.stop();
            let server = Server::start_in(directory, after);
            assert_eq!(server.post("/v1/audit-log", &event(second).to_string()).status, 409, "{before:?} {after:?}");
        }
    }
    // With so many secrets that their pointers do not fit, the empty pointer is stored. It does not make every value
    // equal.
    let many = |value: &str| {
        let secrets: Vec<_> = (0..150).map(|n| format!("\"k{n}\":{{\"token\":\"t{n}\"}}")).collect();
        format!(
            r#"{{"identifier":"m1","action":"A","resourceType":"x","diff":{{"after":{{{}}}}},"amount":"{value}"}}"#,
            secrets.join(",")
        )
    };
    let server = Server::start();
    assert_eq!(server.post("/v1/audit-log", &many("[masked]")).status, 201);
    assert_eq!(server.post("/v1/audit-log", &many("[masked]").replace("t149", "t0")).status, 200);
    assert_eq!(server.post("/v1/audit-log", &many("5")).status, 409);
}

#[test]
fn only_the_server_may_set_masked() {
    let server = Server::start();
    for value in ["[]", "null", "[\"/a\"]", "true"] {
        let answer = server.post("/v1/audit-log", &format!(r#"{{"action":"A","resourceType":"x","masked":{value}}}"#));
        assert_eq!((answer.status, &answer.json()["details"][0]["field"]), (422, &json!("masked")), "{}", answer.text);
    }
    server.store(&[json!({ "identifier": "e", "action": "A", "resourceType": "x", "diff": { "masked": 1 } })]);
    assert_eq!(server.get("/v1/audit-log/e").json()["audit"].get("masked"), None);
}

#[test]
fn an_import_masks_into_a_file_and_into_a_server() {
    let server = Server::start();
    fs::write(server.directory().join("in.ndjson"), EVENT.replace('\n', " ")).unwrap();
    let there = run(server.directory(), &["import", "in.ndjson", "--url", &server.url, "--token", &server.token]);
    assert!(there.status.success(), "{}", String::from_utf8_lossy(&there.stderr));
    let text = server.get("/v1/audit-log/m1").text;
    assert!(text.contains(STORED) && text.contains("\"masked\":[\"/context/apiKey\""), "{text}");
    let (_, directory) = server.stop();
    fs::remove_file(directory.path().join("auditbox.db")).unwrap();
    let here = run(directory.path(), &["import", "in.ndjson"]);
    assert!(here.status.success(), "{}", String::from_utf8_lossy(&here.stderr));
    let server = Server::start_in(directory, &[]);
    let text = server.get("/v1/audit-log/m1").text;
    assert!(text.contains(STORED) && text.contains("\"masked\":[\"/context/apiKey\""), "{text}");
    // An event from one way is a duplicate in the other.
    assert_eq!(server.post("/v1/audit-log", EVENT).json()["duplicates"], json!(1));
}

#[test]
fn an_error_about_an_event_does_not_repeat_its_secrets() {
    let server = Server::start();
    let bad = EVENT.replace("\"UPDATE\"", "5");
    for path in ["/v1/audit-log", "/v1/audit-log?partial=true"] {
        let answer = server.post(path, &bad);
        assert!(!answer.text.contains("hide-me") && answer.text.contains("action"), "{}", answer.text);
    }
}

#[test]
fn records_of_requests_are_masked_with_any_mask_of_events() {
    let server = Server::start_with(&[("AUDITBOX_MASK_ENABLED", "false")]);
    let asked = "/v1/audit-log?token=hide-me&api_key=hide-me&limit=1";
    assert_eq!(server.get(asked).status, 422);
    assert_eq!(server.post("/v1/audit-log?access_token=hide-me", "{}").status, 422);
    let records = || server.list("origin=auditbox&path=/v1/audit-log?&includes=request&sort=received&order=asc");
    let paths = crate::harness::eventually("two records", || {
        let audits = records().json()["audits"].as_array().unwrap().clone();
        let paths: Vec<Value> = audits.iter().map(|event| event["request"]["path"].clone()).collect();
        let paths: Vec<_> = paths.into_iter().filter(|path| path.as_str().unwrap().contains("masked")).collect();
        (paths.len() == 2).then_some(paths)
    });
    assert!(paths.contains(&json!("/v1/audit-log?token=[masked]&api_key=[masked]&limit=1")), "{paths:?}");
    assert!(paths.contains(&json!("/v1/audit-log?access_token=[masked]")), "{paths:?}");
    assert!(!records().text.contains("hide-me"));
}

#[test]
fn an_event_with_the_maximum_number_of_keys_is_read_back() {
    let server = Server::start();
    let keys: Vec<_> = (0..997).map(|n| format!("\"k{n}\":{n}")).collect();
    let event = format!(r#"{{"identifier":"many","action":"A","resourceType":"x",{}}}"#, keys.join(","));
    assert_eq!(server.post("/v1/audit-log", &event).status, 201);
    assert_eq!(server.post("/v1/audit-log", &event).json()["duplicates"], json!(1));
    assert_eq!(server.list("includes=identifier").json()["audits"], json!([{ "identifier": "many" }]));
}

#[test]
fn digests_and_exceptions_stay() {
    let digest = |name: &str| format!("{name}:{}", "0f".repeat(32));
    let (sha, hmac) = (digest("sha256"), digest("hmac-sha256"));
    let sent = |identifier: &str| {
        json!({
            "identifier": identifier, "action": "A", "resourceType": "x",
            "request": { "path": format!("/p?token={sha}&secret=s") },
            "additionalData": {
                "hashed_token": "raw-digest", "oauthHashedToken": "another", "access_token": hmac, "token": "t",
                "password": sha, "secret": "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
                "list": [format!("Cookie: {sha}"), "Cookie: a"], "pairs": [{ "name": "token", "value": hmac }],
            },
        })
    };
    let stored = |server: &Server| {
        server.store(&[sent("d")]);
        server.get("/v1/audit-log/d").json()["audit"].clone()
    };
    let event = stored(&Server::start());
    assert_eq!(event["request"]["path"], format!("/p?token={sha}&secret=[masked]"));
    let data = &event["additionalData"];
    assert_eq!(
        data,
        &json!({
            "hashed_token": "raw-digest", "oauthHashedToken": "another", "access_token": hmac, "token": "[masked]",
            "password": "[masked]", "secret": "[masked]",
            "list": [format!("Cookie: {sha}"), "Cookie: [masked]"], "pairs": [{ "name": "token", "value": hmac }],
        })
    );
    // The operator's own exceptions replace the default ones.
    let event = stored(&Server::start_with(&[("AUDITBOX_MASK_KEEP", "access-token, secret")]));
    assert_eq!(event["additionalData"]["hashed_token"], "[masked]");
    assert!(event["additionalData"]["secret"].as_str().unwrap().starts_with("$2b$"), "{event}");
    // An event that an earlier version masked entirely is the same event.
    let server = stored_digest_under_another_mask(&sent("d"));
    let answer = server.post("/v1/audit-log", &sent("d").to_string());
    assert_eq!((answer.status, &answer.json()["duplicates"]), (200, &json!(1)), "{}", answer.text);
}

/// Stores an event without exceptions and digests that stay, as far as settings allow, then restarts with the defaults.
fn stored_digest_under_another_mask(event: &Value) -> Server {
    let server = Server::start_with(&[("AUDITBOX_MASK_KEEP", "none-such")]);
    server.store(std::slice::from_ref(event));
    let (_, directory) = server.stop();
    Server::start_in(directory, ON)
}
