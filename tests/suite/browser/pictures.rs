//! Pictures of the pages that `auditbox demo` serves, for the documentation.
//!
//! `AUDITBOX_PICTURES=docs/images cargo test --test suite -- pictures` writes them to `docs/images`. Without the
//! variable they go to a temporary directory. They show the time of the run, so two runs never write the same bytes.
//! `pngquant --quality 70-95 --speed 1 --strip` reduces them to a third of their size.

use std::{env, fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    browser::{WHAT, driver::Page},
    harness::{CLIENT_ID, CLIENT_SECRET, Server},
};

#[test]
fn the_main_pages_light_and_dark_wide_and_narrow() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = env::var_os("AUDITBOX_PICTURES").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let server = Server::start_demo(5_000);
    for (name, scopes) in [("ci-deploy", &["ingest"][..]), ("nightly-report", &["read"]), ("siem", &["read"])] {
        server.credential(name, scopes);
    }
    let Some(page) = Page::of(&server) else { return };
    let picture = |name: &str| {
        for scheme in ["light", "dark"] {
            page.prefer(scheme);
            for (width, height) in [(1280, 800), (390, 844)] {
                page.resize(width, height);
                page.run("scrollTo(0, 0); document.activeElement.blur()", Vec::new());
                let picture = page.picture();
                assert_eq!(dimensions(&picture), [width, height], "{name}");
                fs::write(directory.join(format!("{name}-{scheme}-{width}.png")), picture).unwrap();
            }
        }
        page.resize(1280, 800);
    };
    page.open("/sign-in");
    page.until("the form is shown", || page.text("h1") == "Sign in");
    picture("sign-in");
    page.sign_in(CLIENT_ID, CLIENT_SECRET);
    page.until("events are shown", || page.count(WHAT) > 10);
    page.until_true("document.querySelector('[data-chart] a')");
    picture("list");
    page.open(&an_update(&server));
    page.until("what changed is shown", || page.count("table.diff tbody tr") > 2);
    picture("event");
    page.open("/credentials");
    page.until("the credentials are shown", || page.count("table tbody tr") > 3);
    picture("credentials");
    arrivals(&server);
    page.open("/doors");
    page.until("the doors are shown", || page.count("table.doors tr") > 3);
    picture("doors");
}

/// Records by two doors, one of which has a problem.
fn arrivals(server: &Server) {
    let token = server.credential("k8s-production", &["ingest"]);
    let item = |number: u32| {
        json!({ "auditID": format!("a-{number}"), "stage": "ResponseComplete", "verb": "get", "user": { "username": "alice" },
                "objectRef": { "resource": "pods", "namespace": "shop", "name": format!("api-{number}") } })
    };
    let items: Vec<_> = (0..120).map(item).collect();
    server.request_as(&token, "POST", "/k8s/audit", &json!({ "items": items }).to_string());
    let push =
        json!({ "id": "p-1", "action": "push", "target": { "repository": "shop/api" }, "actor": { "name": "ci" } });
    server.request_as(&token, "POST", "/registry", &json!({ "events": [push, { "kind": "heartbeat" }] }).to_string());
}

/// The width and the height of a PNG file, in pixels, from its first chunk (RFC 2083, section 4.1.1).
fn dimensions(picture: &[u8]) -> [u32; 2] {
    [16, 20].map(|at| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap()))
}

/// The page of a recent update: of those by people, the one that changes most fields.
fn an_update(server: &Server) -> String {
    let answer = server.list("action=UPDATE&resources=entity&actor_type=user&status=SUCCESS&limit=300").json();
    let changes = |event: &Value| {
        let side = |name: &str| event["diff"][name].as_object().cloned().unwrap_or_default();
        let (before, after) = (side("before"), side("after"));
        after.iter().filter(|(key, value)| before.get(*key) != Some(value)).count()
    };
    let events = answer["audits"].as_array().unwrap();
    let event = events.iter().max_by_key(|event| changes(event)).unwrap();
    format!("/audit-logs/{}", event["identifier"].as_str().unwrap())
}
