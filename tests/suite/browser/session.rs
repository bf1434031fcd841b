//! Signing in and out.

use std::process::Stdio;

use crate::{
    browser::driver::Page,
    harness::{CLIENT_ID, CLIENT_SECRET, Server, program},
};

#[test]
fn signing_in_leads_to_the_requested_page_and_signing_out_ends_the_session() {
    let server = Server::start();
    let Some(page) = Page::of(&server) else { return };
    let wanted = "/audit-logs?status=FAILURE&range=all";
    page.open(wanted);
    page.until("the form is shown", || page.at().starts_with("/sign-in?") && page.at().contains("next="));
    page.sign_in(CLIENT_ID, "wrong");
    page.until("the refusal is shown", || !page.text("[role=alert]").is_empty());
    assert_eq!(page.value("document.querySelector('#client-id').value"), CLIENT_ID);
    page.sign_in(CLIENT_ID, CLIENT_SECRET);
    page.until_at(wanted);
    assert_eq!(page.text("header .who"), "admin");
    // Script on the page cannot read the session's cookie.
    assert_eq!(page.value("document.cookie"), "");

    page.click("form[action='/sign-out'] button");
    page.until_at("/sign-in");
    page.back();
    page.until("nothing is shown from before", || page.at().starts_with("/sign-in"));
}

#[test]
fn a_link_from_the_command_line_signs_in_once() {
    let server = Server::start();
    let Some(page) = Page::of(&server) else { return };
    let printed = program(server.directory()).args(["login-link", "--url", ""]).stdin(Stdio::null()).output().unwrap();
    let link = String::from_utf8(printed.stdout).unwrap().trim().to_owned();
    page.open(&link);
    page.click("form[action='/sign-in'] button");
    page.until_at("/audit-logs");
    page.click("form[action='/sign-out'] button");
    page.until_at("/sign-in");
    page.open(&link);
    page.until("the page reports a used link", || page.text("[role=alert]").contains("no longer valid"));
}

#[test]
fn an_admin_creates_and_disables_a_credential() {
    let server = Server::start();
    let Some(page) = Page::signed_in(&server, "/credentials") else { return };
    page.write("input[name=name]", "ci <deploy>");
    if page.value("document.querySelector('input[name=scope][value=read]').checked") == false {
        page.click("input[name=scope][value=read]");
    }
    page.click("section.card form button");
    page.until("the secret is shown", || page.text("body").contains("ci <deploy> is created"));
    let token = page.text("section.good pre");
    assert_eq!(server.request_as(&token, "GET", "/v1/audit-log?limit=1", "").status, 200);
    page.open("/credentials");
    assert!(!page.text("body").contains(&token));
    page.click("a[aria-label='Disable ci <deploy>…']");
    page.until("the confirmation is shown", || page.text("h1").contains("Disable ci <deploy>?"));
    assert_eq!(server.request_as(&token, "GET", "/v1/audit-log?limit=1", "").status, 200);
    page.click("button[value=disable]");
    page.until("it is disabled", || page.count("button[aria-label='Enable ci <deploy>']") == 1);
    assert_eq!(server.request_as(&token, "GET", "/v1/audit-log?limit=1", "").status, 401);
}
