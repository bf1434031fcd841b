//! Every page, light and dark, checked with axe-core's rules.
//!
//! `AUDITBOX_AXE` is the path of axe-core's `axe.min.js`, a development tool that is not part of auditbox. Without it,
//! the test is skipped, or fails if `AUDITBOX_REQUIRE_BROWSER` is set.

use std::{env, fs};

use serde_json::{Value, json};

use crate::{
    browser::{WHAT, driver::Page, event, event_path},
    harness::{CLIENT_ID, CLIENT_SECRET, Server},
    skip::AXE,
};

/// The violations on a page: the rule, and the element that breaks it.
fn violations(page: &Page, axe: &str) -> Vec<String> {
    page.run(axe, Vec::new());
    let found = page.run_to_end(
        "const done = arguments[arguments.length - 1]; \
         axe.run(document, { resultTypes: ['violations'] }).then((found) => done(found.violations), (error) => done(String(error)));",
    );
    let found = found.as_array().unwrap_or_else(|| panic!("{found}")).clone();
    let describe = |violation: &Value| {
        let nodes = violation["nodes"].as_array().unwrap();
        let places: Vec<_> =
            nodes.iter().take(3).map(|node| format!("{} {}", node["target"], node["failureSummary"])).collect();
        format!("{} ({}): {}", violation["id"], violation["help"], places.join("; "))
    };
    found.iter().map(describe).collect()
}

/// The page of doors, before and after something arrived, and with the lines of a sender.
fn check_doors(server: &Server, page: &Page, check: &mut impl FnMut(&str)) {
    page.open("/doors");
    check("doors, nothing yet");
    server.post("/registry", r#"{"events":[{"password":"x","event":1}]}"#);
    server.request("POST", "/k8s/audit", &[], b"{}");
    page.open("/doors?sender=kube-apiserver");
    page.until("the lines are shown", || page.count("pre") > 1);
    check("doors and the lines of a sender");
    page.click("form[action='/doors#setup'] button.primary");
    page.until("the lines have a secret", || page.text("section.good").contains("abx_"));
    check("the lines of a sender with a secret");
    page.resize(390, 844);
    check("narrow doors");
}

#[test]
fn no_page_breaks_a_rule_light_or_dark() {
    let path = env::var_os("AUDITBOX_AXE");
    if !AXE.is_met(path.is_some()) {
        return;
    }
    let axe = fs::read_to_string(path.unwrap()).unwrap();
    let server = Server::start();
    let Some(page) = Page::of(&server) else { return };
    let mut broken = Vec::new();
    let mut check = |what: &str| {
        for scheme in ["light", "dark"] {
            page.prefer(scheme);
            broken
                .extend(violations(&page, &axe).into_iter().map(|violation| format!("{what}, {scheme}: {violation}")));
        }
    };
    page.open("/sign-in");
    check("signing in");
    page.sign_in(CLIENT_ID, "wrong");
    page.until("it is refused", || !page.text("[role=alert]").is_empty());
    check("refused");
    page.sign_in(CLIENT_ID, CLIENT_SECRET);
    page.until_at("/audit-logs");
    check("nothing stored");

    let now = auditbox::model::timestamp::Timestamp::now().to_string();
    let mut changed = event("e1", "application", &now);
    changed["diff"] = json!({ "before": { "a": 1, "b": "x y" , "c": 1, "same": 1 }, "after": { "a": 2, "b": "x z", "d": 1, "same": 1 } });
    changed["request"] = json!({ "method": "PATCH", "path": "/api/x", "statusCode": 200, "ip": "192.0.2.1" });
    let mut failed = event("e2", "cluster", &now);
    failed["status"] = json!("FAILURE");
    failed["message"] = json!("not allowed");
    server.store(&[changed, failed]);
    page.open("/audit-logs?status=SUCCESS&status=FAILURE&tz=Europe/Berlin");
    page.until("two are shown", || page.count(WHAT) == 2);
    check("list");
    page.click("button.expand");
    page.until("a row is open", || page.text("tr.detail").contains("ada"));
    page.click("details.drop:has(.range) summary");
    check("list with all that opens");
    page.press("\u{e00c}");
    page.click("[data-help]");
    page.until_true("document.querySelector('dialog[open]')");
    check("help");
    page.open("/audit-logs?entity=none");
    page.until("nothing matches", || page.text(".empty").contains("No event matches"));
    check("no match");
    page.open("/audit-logs?status_code=nonsense");
    check("bad query");
    page.open(&event_path("e1"));
    page.until("the event is open", || page.text("h1").contains("updated"));
    check("event");
    page.resize(390, 844);
    check("narrow event");
    page.open("/audit-logs");
    check("narrow list");
    page.resize(1280, 900);
    page.open(&event_path("nobody"));
    check("no such event");
    page.open("/nowhere");
    check("not found");
    page.open("/credentials");
    check("credentials");
    page.write("input[name=name]", "ci");
    page.click("section.card form button");
    page.until("the credential is created", || page.text("body").contains("ci is created"));
    check("a new credential");
    check_doors(&server, &page, &mut check);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
