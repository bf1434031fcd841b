//! Access to pages, and their security headers.

use crate::{
    harness::{CLIENT_ID, CLIENT_SECRET, Server},
    pages::{redirection, text},
};

const PAGES: [&str; 5] = ["/audit-logs", "/security/audit-logs", "/audit-logs/nothing", "/credentials", "/doors"];
const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml");

#[test]
fn a_page_needs_a_credential_with_the_scope() {
    let server = Server::start();
    let ingest = server.credential("only-ingest", &["ingest"]);
    let reader = server.credential("only-read", &["read"]);
    for path in PAGES {
        for headers in [&[][..], &[("authorization", "Bearer nonsense"), HTML]] {
            let answer = server.request_once("GET", path, headers, b"");
            assert_eq!(answer.status, 401, "{path}");
            assert!(text(&answer.text).contains("Not signed in"), "{path}");
        }
        let answer = server.request_as(&ingest, "GET", path, "");
        assert_eq!(answer.status, 403, "{path}");
        assert!(text(&answer.text).contains("does not have the scope"), "{path}");
        let expected = match path {
            "/credentials" | "/doors" => 403,
            "/audit-logs/nothing" => 404,
            _ => 200,
        };
        assert_eq!(server.request_as(&reader, "GET", path, "").status, expected, "{path}");
    }
    for path in ["/credentials", "/credentials/x", "/doors"] {
        assert_eq!(server.request("POST", path, &[], b"").status, 401, "{path}");
        assert_eq!(server.request_as(&reader, "POST", path, "name=x&scope=admin").status, 403, "{path}");
    }
}

#[test]
fn a_browser_is_redirected_to_sign_in_and_back() {
    let server = Server::start();
    let path = "/audit-logs?resource_type=a&q=x%26y";
    let answer = server.request_once("GET", path, &[HTML], b"");
    let sign_in = redirection(&answer).to_owned();
    assert_eq!(sign_in, "/sign-in?next=%2Faudit-logs%3Fresource_type%3Da%26q%3Dx%2526y");
    let page = server.request_once("GET", &sign_in, &[HTML], b"").text;
    assert!(page.contains("value=\"/audit-logs?resource_type=a&#38;q=x%26y\""), "{page}");
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET), ("next", path)])
        .finish();
    let entered = server.request_once("POST", "/sign-in", &[("origin", &server.url)], form.as_bytes());
    assert_eq!(redirection(&entered), path);
    let cookie = entered.header("set-cookie").unwrap().split(';').next().unwrap();
    let page = server.request_once("GET", path, &[HTML, ("cookie", cookie)], b"");
    assert_eq!(page.status, 200);
    assert!(text(&page.text).contains("Sign out"));
}

#[test]
fn pages_load_nothing_from_elsewhere_and_are_not_cached() {
    let server = Server::start();
    server.store(&[super::event("e1", "2024-05-01T10:00:00Z", "CREATE", "entity")]);
    for path in [
        "/audit-logs",
        "/audit-logs?status=x",
        "/audit-logs/e1",
        "/audit-logs/none",
        "/credentials",
        "/doors",
        "/sign-in?code=x",
    ] {
        let answer = server.get(path);
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path} {name}");
        }
        let policy = answer.header("content-security-policy").unwrap();
        for part in ["default-src 'none'", "script-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for inline in ["style=", " onclick", " onload", "<style", "<script>", "javascript:", "http://", "https://"] {
            assert!(!answer.text.contains(inline), "{path} holds {inline}");
        }
    }
}

#[test]
fn assets_are_named_by_their_content_and_cached() {
    let server = Server::start();
    let page = server.request("GET", "/sign-in", &[], b"").text;
    let names: Vec<_> = super::links(&page).into_iter().filter(|href| href.starts_with("/assets/")).collect();
    let script = page.split("<script src=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
    for path in names.iter().map(String::as_str).chain([script]) {
        let answer = server.request("GET", path, &[], b"");
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    let script = server.request("GET", script, &[], b"");
    assert!(script.header("content-type").unwrap().starts_with("text/javascript"));
    assert!(script.text.len() < 15_000, "the script has {} bytes", script.text.len());
    assert_eq!(server.request("GET", "/assets/script-0.js", &[], b"").status, 404);
}
