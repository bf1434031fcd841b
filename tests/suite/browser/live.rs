//! The live tail.

use auditbox::model::timestamp::Timestamp;

use crate::{
    browser::{WHAT, driver::Page, event},
    harness::{Server, run},
};

fn post(server: &Server, identifier: &str, resource_type: &str) {
    server.store(&[event(identifier, resource_type, &Timestamp::now().to_string())]);
}

#[test]
fn new_events_are_announced_keep_the_place_and_are_shown_on_request() {
    let server = Server::start();
    for number in 0..60 {
        post(&server, &format!("old{number}"), "application");
    }
    let Some(page) = Page::signed_in(&server, "/audit-logs?resource_type=application") else { return };
    page.click("button[data-live]");
    page.until("it is live", || page.attribute("button[data-live]", "aria-pressed").as_deref() == Some("true"));
    page.run("scrollTo(0, 400)", Vec::new());
    let place = page.value("scrollY");
    // An event that does not match is not announced.
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
    // A paused tail announces nothing, and later continues where it stopped.
    page.click("button[data-live]");
    post(&server, "new3", "application");
    page.click("button[data-live]");
    post(&server, "new4", "application");
    page.until("both are announced", || page.text("[data-fresh] button").contains("2 new events"));
}

#[test]
fn the_live_tail_continues_without_a_gap_after_a_server_restart() {
    // The browser reconnects to the same port.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut server = Server::start_with(&[("AUDITBOX_SERVER_LISTEN", &address)]);
    post(&server, "old", "application");
    let Some(mut page) = Page::signed_in(&server, "/audit-logs") else { return };
    announces_the_first(&server, &page);
    server.kill();
    server.start_again();
    page.follow(&server);
    // Whether or not the browser has reconnected: the event is not missed.
    post(&server, "new2", "application");
    post(&server, "new3", "application");
    page.until("the others are announced too", || page.text("[data-fresh] button").contains("3 new events"));
    page.click("[data-fresh] button");
    page.until("they are shown", || page.count(WHAT) == 4);
}

/// Enables the live tail and waits until it announces an event.
fn announces_the_first(server: &Server, page: &Page) {
    page.click("button[data-live]");
    post(server, "new1", "application");
    page.until("the first is announced", || page.text("[data-fresh] button").contains("1 new event"));
}

/// Sets the visibility that the page sees.
fn seen(page: &Page, is_seen: bool) {
    let script = "Object.defineProperty(document, 'hidden', { value: arguments[0], configurable: true }); \
                  document.dispatchEvent(new Event('visibilitychange'));";
    page.run(script, vec![serde_json::json!(!is_seen)]);
}

#[test]
fn the_live_tail_reports_problems_retries_and_misses_nothing() {
    // The owner of the page may open one stream, and a program with the same credential takes it.
    let server = Server::start_with(&[("AUDITBOX_LIMITS_STREAMS_MAX", "1")]);
    post(&server, "old", "application");
    let Some(page) = Page::signed_in(&server, "/audit-logs") else { return };
    let mut other = crate::wire::Connection::open(&server.url).unwrap();
    let token = &server.token;
    let request = format!("GET /v1/audit-log/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    other.send(&request).unwrap();
    assert!(other.line().unwrap().contains(" 200 "));
    page.click("button[data-live]");
    page.until("the reason is shown", || {
        page.text("[data-live-note]").contains("too many connections. Trying again in")
    });
    post(&server, "new1", "application");
    drop(other);
    // The server notices the closed connection at its next write.
    post(&server, "new2", "application");
    // A page that becomes visible retries at once.
    page.until("both are announced", || {
        seen(&page, true);
        page.text("[data-fresh] button").contains("2 new events")
    });
    page.until("the note is cleared", || page.text("[data-live-note]").is_empty());
}

#[test]
fn a_hidden_page_releases_its_stream_and_resumes_later() {
    let server = Server::start_with(&[("AUDITBOX_LIMITS_STREAMS_MAX", "1")]);
    post(&server, "old", "application");
    let Some(page) = Page::signed_in(&server, "/audit-logs") else { return };
    announces_the_first(&server, &page);
    seen(&page, false);
    let mut number = 1;
    crate::harness::eventually("a free place", || {
        // The server notices the closed connection at its next write.
        number += 1;
        post(&server, &format!("new{number}"), "application");
        let bearer = format!("Bearer {}", server.token);
        let headers = [("authorization", &*bearer), ("accept-encoding", "identity")];
        (server.request("HEAD", "/v1/audit-log/stream", &headers, b"").status == 200).then_some(())
    });
    let before = server.list("").identifiers().len();
    assert_eq!(page.text("[data-fresh] button"), "1 new event");
    seen(&page, true);
    let all = format!("{} new event", before - 1);
    page.until("the others are announced", || page.text("[data-fresh] button").contains(&all));
}

#[test]
fn a_damaged_event_is_announced_as_well() {
    let server = Server::start();
    post(&server, "old", "application");
    let Some(page) = Page::signed_in(&server, "/audit-logs?resource_type=application") else { return };
    announces_the_first(&server, &page);
    // The page does not read yet, so that the test can damage the event.
    seen(&page, false);
    post(&server, "new2", "application");
    let database = rusqlite::Connection::open(server.database()).unwrap();
    database.execute_batch("DROP TRIGGER event_is_never_changed").unwrap();
    // The server's own records have no entity.
    let newest = "SELECT max(seq) FROM event WHERE entity IS NOT NULL";
    assert_eq!(database.execute(&format!("UPDATE event SET filled = filled + 1 WHERE seq = ({newest})"), []), Ok(1));
    seen(&page, true);
    page.until("it is announced", || page.text("[data-fresh] button").contains("2 new events"));
}

#[test]
fn a_signed_out_page_links_to_the_sign_in_page() {
    let server = Server::start();
    post(&server, "old", "application");
    let Some(page) = Page::signed_in(&server, "/audit-logs") else { return };
    page.click("button[data-live]");
    page.until("it is live", || page.attribute("button[data-live]", "aria-pressed").as_deref() == Some("true"));
    let cookie = page.cookie();
    let headers = [("cookie", &*cookie), ("origin", &*server.url)];
    assert_eq!(server.request_once("POST", "/sign-out", &headers, b"").status, 303);
    page.until("the note is shown", || page.text("[data-live-note]").contains("you are signed out"));
    assert_eq!(page.attribute("[data-live-note] a", "href").as_deref(), Some("/sign-in?next=%2Faudit-logs"));
}

#[test]
fn the_live_tail_of_a_restored_log_reports_it_and_links_to_the_present_log() {
    // The browser reconnects to the same port.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut server = Server::start_with(&[("AUDITBOX_SERVER_LISTEN", &address)]);
    post(&server, "old", "application");
    assert!(run(server.directory(), &["backup", "copy.db"]).status.success());
    let Some(mut page) = Page::signed_in(&server, "/audit-logs?resource_type=application") else { return };
    announces_the_first(&server, &page);
    server.kill();
    assert!(run(server.directory(), &["restore", "copy.db", "--force"]).status.success());
    server.start_again();
    page.follow(&server);
    for number in 0..20 {
        post(&server, &format!("other{number}"), "application");
    }
    page.until("the note is shown", || page.text("[data-live-note]").contains("restored from a backup"));
    let link = page.attribute("[data-live-note] a", "href").unwrap();
    assert!(link.ends_with("/audit-logs?resource_type=application"), "{link}");
}
