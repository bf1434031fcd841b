//! The page of doors.

use std::fs;

use serde_json::json;

use crate::{browser::driver::Page, harness::Server};

/// A server with many routes and a problem at each of some.
fn server() -> Server {
    let directory = tempfile::tempdir().unwrap();
    let routes: String = (0..20)
        .map(|number| {
            let name = format!("{}-{number}", if number % 5 == 0 { "r".repeat(50) } else { "route".to_owned() });
            format!("[[routes]]\nname = '{name}'\npreset = 'okta'\n")
        })
        .collect();
    fs::write(directory.path().join("auditbox.toml"), routes).unwrap();
    let server = Server::start_in(directory, &[("AUDITBOX_CONFIG", "auditbox.toml")]);
    let body = json!({ "password": "x", "text": "long ".repeat(100), "word": "w".repeat(300) }).to_string();
    for number in [1, 2, 3, 6] {
        server.post(&format!("/in/route-{number}"), &body);
        server.request("POST", &format!("/in/route-{number}"), &[], body.as_bytes());
    }
    server.post("/registry", &body);
    server
}

#[test]
fn a_sender_is_set_up_without_script() {
    let server = server();
    let Some(page) = Page::signed_in(&server, "/doors") else { return };
    page.without_script();
    page.open("/doors");
    page.click("option[value=okta]");
    page.click_text("form.choose button", "Show the lines");
    page.until("the lines are shown", || page.text("#setup").contains("Authentication secret: Bearer YOUR_TOKEN"));
    page.write("#setup input[name=name]", "okta of the shop");
    page.click("#setup button.primary");
    page.until("the secret is shown", || page.text("section.good").contains("Bearer abx_"));
    let shown = page.text("section.good");
    let token = shown.split("Bearer ").nth(1).unwrap().split_whitespace().next().unwrap();
    assert_eq!(server.request_as(token, "POST", "/in/route-1", "{\"uuid\":\"1\"}").status, 200);
    page.open("/doors");
    assert!(!page.text("body").contains(token));
}

#[test]
fn no_width_makes_the_page_wider_than_the_window() {
    let server = server();
    let Some(page) = Page::signed_in(&server, "/doors") else { return };
    for path in ["/doors", "/doors?sender=nginx", "/doors?sender=kube-apiserver"] {
        page.open(path);
        for width in [80, 160, 320, 390, 560, 768, 820, 1024, 1280, 1600] {
            page.resize(width, 900);
            let over = page.value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert_eq!(over, 0, "{path} at {width}");
        }
    }
}
