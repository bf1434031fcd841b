//! The live tail.

use auditbox::model::timestamp::Timestamp;

use crate::{
    browser::{WHAT, driver::Page, event},
    harness::Server,
};

fn post(server: &Server, identifier: &str, resource_type: &str) {
    server.store(&[event(identifier, resource_type, &Timestamp::now().to_string())]);
}

#[test]
fn what_arrives_is_announced_keeps_the_place_and_is_shown_when_asked_for() {
    let server = Server::start();
    for number in 0..60 {
        post(&server, &format!("old{number}"), "application");
    }
    let Some(page) = Page::signed_in(&server, "/audit-logs?resource_type=application") else { return };
    page.click("button[data-live]");
    page.until("it is live", || page.attribute("button[data-live]", "aria-pressed").as_deref() == Some("true"));
    page.run("scrollTo(0, 400)", Vec::new());
    let place = page.value("scrollY");
    // What does not match is not announced.
    post(&server, "other", "cluster");
    post(&server, "new1", "application");
    page.until("it is announced", || page.text("[data-fresh] button").contains("1 new event"));
    post(&server, "new2", "application");
    page.until("both are", || page.text("[data-fresh] button").contains("2 new events"));
    assert_eq!((page.count(WHAT), page.value("scrollY")), (60, place));
    page.click("[data-fresh] button");
    page.until("they are shown", || page.text(WHAT).contains("thing-new2"));
    assert_eq!(page.count(WHAT), 62);
    assert_eq!(page.text("[data-fresh] button"), "");
    // Paused, it says nothing; then it goes on from where it was.
    page.click("button[data-live]");
    post(&server, "new3", "application");
    page.click("button[data-live]");
    post(&server, "new4", "application");
    page.until("both are announced", || page.text("[data-fresh] button").contains("2 new events"));
}

#[test]
fn it_goes_on_without_a_gap_after_the_server_has_started_again() {
    // The browser comes back to the same port.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut server = Server::start_with(&[("AUDITBOX_SERVER_LISTEN", &address)]);
    post(&server, "old", "application");
    let Some(mut page) = Page::signed_in(&server, "/audit-logs") else { return };
    page.click("button[data-live]");
    post(&server, "new1", "application");
    page.until("the first is announced", || page.text("[data-fresh] button").contains("1 new event"));
    server.kill();
    server.start_again();
    page.follow(&server);
    // Before the browser has come back, or after: it is not missed.
    post(&server, "new2", "application");
    post(&server, "new3", "application");
    page.until("the others are announced too", || page.text("[data-fresh] button").contains("3 new events"));
    page.click("[data-fresh] button");
    page.until("they are shown", || page.count(WHAT) == 4);
}
