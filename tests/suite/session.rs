//! Sessions: signing in and out, links that sign in once, cookies, and requests from pages of other sites.

use serde_json::{Value, json};

use crate::harness::{Answer, CLIENT_ID, CLIENT_SECRET, Server, eventually, run};

const NOT_A_LIMIT: (&str, &str) = ("AUDITBOX_AUTH_FAILED_LOGINS_MAX", "1000000");
const NAME: &str = "auditbox_session";

fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn sign_in(server: &Server, client_id: &str, secret: &str, next: &str) -> Answer {
    let body = form(&[("client_id", client_id), ("client_secret", secret), ("next", next)]);
    server.request_once("POST", "/sign-in", &[("origin", &server.url)], body.as_bytes())
}

/// The cookie that a response sets: its value and its attributes.
fn cookie(answer: &Answer) -> (String, Vec<String>) {
    let line = answer.header("set-cookie").unwrap_or_else(|| panic!("{} without a cookie", answer.status));
    let mut parts = line.split("; ").map(str::to_owned);
    let value = parts.next().unwrap();
    (value, parts.collect())
}

/// A session of the admin, in the form that the browser sends.
pub(crate) fn session(server: &Server) -> String {
    let answer = sign_in(server, CLIENT_ID, CLIENT_SECRET, "/audit-logs");
    assert_eq!(answer.status, 303, "{}", answer.text);
    cookie(&answer).0
}

pub(crate) fn with(
    server: &Server,
    cookie: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut all = vec![("cookie", cookie)];
    all.extend(headers);
    server.request_once(method, path, &all, body.as_bytes())
}

pub(crate) fn opens(server: &Server, cookie: &str) -> bool {
    let answer = with(server, cookie, "GET", "/v1/audit-log?limit=1", &[], "");
    assert!(matches!(answer.status, 200 | 401), "{}", answer.text);
    answer.status == 200
}

/// The path of a sign-in link that was created while the server runs.
pub(crate) fn link(server: &Server, arguments: &[&str]) -> String {
    let all = [&["login-link", "--url", "https://audit.example/"], arguments].concat();
    let printed = run(server.directory(), &all);
    assert!(printed.status.success(), "{printed:?}");
    let url = String::from_utf8(printed.stdout).unwrap();
    url.trim().strip_prefix("https://audit.example").unwrap().to_owned()
}

pub(crate) fn use_link(server: &Server, path: &str) -> Answer {
    let code = path.split_once("code=").unwrap().1;
    server.request_once("POST", "/sign-in", &[("origin", &server.url)], form(&[("code", code)]).as_bytes())
}

#[test]
fn a_wrong_secret_is_rejected() {
    let server = Server::start_with(&[NOT_A_LIMIT]);
    for (client_id, secret) in [(CLIENT_ID, "wrong"), ("nobody", CLIENT_SECRET), ("", ""), ("é", "\0"), (CLIENT_ID, "")]
    {
        let answer = sign_in(&server, client_id, secret, "/");
        assert_eq!((answer.status, answer.header("set-cookie")), (401, None), "{client_id}");
        assert!(answer.text.contains("role=\"alert\"") && answer.text.contains("<form"), "{}", answer.text);
        assert!(!answer.text.contains(CLIENT_SECRET));
    }
    for wrong in ["x", "a.b.c", &server.token, ""] {
        assert!(!opens(&server, &format!("{NAME}={wrong}")), "{wrong}");
    }
    // A client that submits forms receives errors as pages.
    let foreign = [("origin", "https://evil.example")];
    let large = vec![b'x'; 40_000];
    for (path, headers, body, status) in [
        ("/sign-in", &[][..], &b"client_id=%ff"[..], 422),
        ("/sign-in", &[], &large, 413),
        ("/sign-in", &foreign, b"client_id=x", 403),
        ("/sign-out", &[], b"next=%ff", 422),
    ] {
        let answer = server.request_once("POST", path, headers, body);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path} {status}");
        assert!(answer.text.contains("<h1>"), "{}", answer.text);
    }
    let answer = server.request_once("GET", "/sign-in?next=%ff", &[], b"");
    assert_eq!((answer.status, answer.header("content-type")), (422, Some("text/html; charset=utf-8")));
}

#[test]
fn a_session_has_exactly_the_scopes_of_its_credential() {
    let server = Server::start();
    let made = server.post("/v1/credentials", r#"{"name":"reader","scopes":["read"],"actorType":"user"}"#).json();
    let credential = &made["credential"];
    let text = |key: &str| credential[key].as_str().unwrap();
    let cookie = cookie(&sign_in(&server, text("clientId"), text("clientSecret"), "/")).0;
    assert!(opens(&server, &cookie));
    let answer = with(&server, &cookie, "GET", "/v1/credentials", &[], "");
    assert_eq!(answer.refusal(), (403, "forbidden".to_owned()));
}

#[test]
fn a_forbidden_page_offers_to_sign_in_as_another_and_leads_back() {
    let server = Server::start();
    let made = server.post("/v1/credentials", r#"{"name":"reader","scopes":["read"],"actorType":"user"}"#).json();
    let text = |key: &str| made["credential"][key].as_str().unwrap();
    let reader = cookie(&sign_in(&server, text("clientId"), text("clientSecret"), "/")).0;
    let html = ("accept", "text/html");
    let page = with(&server, &reader, "GET", "/credentials", &[html], "");
    assert_eq!(page.status, 403);
    assert!(!page.text.contains("href=\"/sign-in"), "{}", page.text);
    assert!(page.text.contains("<input type=\"hidden\" name=\"next\" value=\"/credentials\">"), "{}", page.text);
    let origin = ("origin", &*server.url);
    let left = with(&server, &reader, "POST", "/sign-out", &[origin], "next=/credentials");
    assert_eq!(left.header("location"), Some("/sign-in?next=%2Fcredentials"));
    assert!(!opens(&server, &reader));
    let other = sign_in(&server, CLIENT_ID, CLIENT_SECRET, "/credentials");
    assert_eq!(other.header("location"), Some("/credentials"));
    assert_eq!(with(&server, &cookie(&other).0, "GET", "/credentials", &[html], "").status, 200);
    let left = with(&server, &cookie(&other).0, "POST", "/sign-out", &[origin], "next=//evil.example");
    assert_eq!(left.header("location"), Some("/sign-in"));
}

#[test]
fn the_cookie_is_hidden_from_script_and_from_other_sites() {
    let server = Server::start();
    let (_, attributes) = cookie(&sign_in(&server, CLIENT_ID, CLIENT_SECRET, "/"));
    let mut sorted = attributes.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["HttpOnly", "Max-Age=28800", "Path=/", "SameSite=Strict"]);

    // A trusted proxy reports TLS.
    let server = Server::start_with(&[("AUDITBOX_SERVER_TRUSTED_PROXIES", "127.0.0.1")]);
    let body = form(&[("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)]);
    let headers =
        [("x-forwarded-proto", "https"), ("x-forwarded-host", "audit.example"), ("origin", "https://audit.example")];
    let (value, attributes) = cookie(&server.request_once("POST", "/sign-in", &headers, body.as_bytes()));
    assert!(value.starts_with("__Host-"), "{value}");
    assert!(attributes.contains(&"Secure".to_owned()), "{attributes:?}");
    let answer = with(&server, &value, "GET", "/v1/audit-log", &[("x-forwarded-proto", "https")], "");
    assert_eq!(answer.status, 200);
    // A cookie that was sent in the clear may have been tampered with.
    let headers = [("x-forwarded-proto", "https"), ("origin", &*server.url)];
    assert_eq!(with(&server, &value, "POST", "/v1/audit-log", &headers, "{}").status, 403);

    // Other clients may not claim to be such a proxy.
    let server = Server::start();
    let headers = [("x-forwarded-proto", "https")];
    let (_, attributes) = cookie(&server.request_once("POST", "/sign-in", &headers, body.as_bytes()));
    assert!(!attributes.contains(&"Secure".to_owned()), "{attributes:?}");
}

#[test]
fn signing_in_redirects_only_to_pages_of_this_server() {
    let server = Server::start();
    for (next, expected) in [
        ("/audit-logs?actor=a%20b&status=FAILURE", "/audit-logs?actor=a%20b&status=FAILURE"),
        ("", "/audit-logs"),
        ("//evil.example/", "/audit-logs"),
        ("/\\evil.example", "/audit-logs"),
        ("/\t/evil.example", "/audit-logs"),
        ("https://evil.example/", "/audit-logs"),
        ("/a\r\nSet-Cookie: x=y", "/audit-logs"),
    ] {
        let answer = sign_in(&server, CLIENT_ID, CLIENT_SECRET, next);
        assert_eq!((answer.status, answer.header("location")), (303, Some(expected)), "{next:?}");
        let page = format!("/sign-in?{}", form(&[("next", next)]));
        let page = server.request_once("GET", &page, &[], b"");
        assert!(page.text.contains(&format!("value=\"{}\"", expected.replace('&', "&#38;"))), "{}", page.text);
    }
}

#[test]
fn the_sign_in_form_keeps_typed_text_and_escapes_it() {
    let server = Server::start();
    let answer = sign_in(&server, "\"><script>alert(1)</script>", "wrong", "/");
    assert_eq!(answer.status, 401);
    assert!(!answer.text.contains("<script>alert"), "{}", answer.text);
    let page = server.request_once("GET", "/sign-in", &[], b"");
    assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    // A signed-in user is redirected.
    let answer = with(&server, &session(&server), "GET", "/sign-in?next=/docs/", &[], "");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/docs/")));
}

#[test]
fn each_sign_in_is_a_separate_session_and_signing_out_ends_only_that_one() {
    let mut server = Server::start();
    let (one, other) = (session(&server), session(&server));
    assert_ne!(one, other);
    let given = format!("{NAME}=chosen-by-somebody-else");
    let body = form(&[("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)]);
    let headers = [("cookie", &*given), ("origin", &server.url)];
    assert!(!cookie(&server.request_once("POST", "/sign-in", &headers, body.as_bytes())).0.contains("chosen"));

    let origin = [("origin", &*server.url.clone())];
    let answer = with(&server, &one, "POST", "/sign-out", &origin, "");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/sign-in")));
    let (emptied, attributes) = cookie(&answer);
    assert_eq!(emptied, format!("{NAME}="));
    assert!(attributes.contains(&"Max-Age=0".to_owned()), "{attributes:?}");
    // A copy of the cookie is invalid, even after a restart.
    assert!(!opens(&server, &one) && opens(&server, &other));
    server.kill();
    server.start_again();
    assert!(!opens(&server, &one) && opens(&server, &other));
    // Signing out twice, or without a session, is no error.
    let origin = [("origin", &*server.url.clone())];
    assert_eq!(with(&server, &one, "POST", "/sign-out", &origin, "").status, 303);
    assert_eq!(server.request_once("POST", "/sign-out", &origin, b"").status, 303);
}

#[test]
fn a_session_ends_with_its_credential() {
    let server = Server::start();
    for (end, body) in [("PATCH", r#"{"disabled":true}"#), ("DELETE", "")] {
        let asked = json!({ "name": end, "scopes": ["read"] }).to_string();
        let made = server.post("/v1/credentials", &asked).json();
        let text = |key: &str| made["credential"][key].as_str().unwrap().to_owned();
        let cookie = cookie(&sign_in(&server, &text("clientId"), &text("clientSecret"), "/")).0;
        assert!(opens(&server, &cookie));
        let answer = server.request_as(&server.token, end, &format!("/v1/credentials/{}", text("clientId")), body);
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(!opens(&server, &cookie), "{end}");
    }
}

#[test]
fn a_session_ends_when_idle_and_at_the_latest_at_its_maximum_age() {
    let idle = [("AUDITBOX_AUTH_SESSION_IDLE_SECONDS", "1"), ("AUDITBOX_AUTH_SESSION_SECONDS", "1000")];
    let server = Server::start_with(&idle);
    let cookie_unused = session(&server);
    // A session in use is renewed under the same name with a new expiry.
    let used = eventually("a renewal", || {
        let answer = with(&server, &session(&server), "GET", "/v1/audit-log?limit=1", &[], "");
        (answer.status == 200).then(|| cookie(&answer))
    });
    assert!(used.0.starts_with(NAME), "{used:?}");
    // Responses that a proxy may cache do not carry the cookie.
    let page = server.request_once("GET", "/sign-in", &[], b"").text;
    let style = page.split_once("rel=\"stylesheet\" href=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let answer = with(&server, &session(&server), "GET", &style, &[], "");
    assert_eq!((answer.status, answer.header("set-cookie")), (200, None));
    eventually("the end of an idle session", || (!opens(&server, &cookie_unused)).then_some(()));

    let absolute = [("AUDITBOX_AUTH_SESSION_IDLE_SECONDS", "2"), ("AUDITBOX_AUTH_SESSION_SECONDS", "2")];
    let server = Server::start_with(&absolute);
    let mut cookie_in_use = session(&server);
    eventually("the end of a session in use", || {
        let answer = with(&server, &cookie_in_use, "GET", "/v1/audit-log?limit=1", &[], "");
        if answer.header("set-cookie").is_some() {
            cookie_in_use = cookie(&answer).0;
        }
        (answer.status == 401).then_some(())
    });
}

#[test]
fn changes_are_accepted_only_from_pages_of_this_server() {
    let server = Server::start();
    let cookie = session(&server);
    let event = r#"{"action":"READ","resourceType":"x"}"#;
    let host = server.url.strip_prefix("http://").unwrap().to_owned();
    let page = format!("{}/audit-logs", server.url);
    let port = host.rsplit(':').next().unwrap();
    for (headers, expected) in [
        (&[][..], 403),
        (&[("origin", "https://evil.example")], 403),
        (&[("origin", "null")], 403),
        (&[("origin", &*format!("http://evil.example:{port}"))], 403),
        (&[("origin", &*format!("{}.evil.example", server.url))], 403),
        (&[("referer", "https://evil.example/")], 403),
        (&[("sec-fetch-site", "same-site")], 403),
        (&[("sec-fetch-site", "none")], 403),
        (&[("origin", "https://evil.example"), ("referer", &*page), ("sec-fetch-site", "same-origin")], 403),
        (&[("origin", &*server.url)], 201),
        (&[("referer", &*page)], 201),
        (&[("origin", "null"), ("sec-fetch-site", "same-origin")], 201),
    ] {
        let answer = with(&server, &cookie, "POST", "/v1/audit-log", headers, event);
        assert_eq!(answer.status, expected, "{headers:?}: {}", answer.text);
        if expected == 403 {
            assert_eq!(with(&server, &cookie, "POST", "/sign-out", headers, "").status, 403, "{headers:?}");
            assert!(opens(&server, &cookie));
        }
    }
    // A page of another site cannot sign a user in with another credential. A browser does not send tokens by itself.
    let body = form(&[("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)]);
    let foreign = [("origin", "https://evil.example")];
    assert_eq!(server.request_once("POST", "/sign-in", &foreign, body.as_bytes()).status, 403);
    let bearer = format!("Bearer {}", server.token);
    let headers = [("authorization", &*bearer), ("origin", "https://evil.example")];
    assert_eq!(server.request_once("POST", "/v1/audit-log", &headers, event.as_bytes()).status, 201);
}

#[test]
fn a_link_signs_in_once_and_viewing_it_does_not_use_it() {
    let mut server = Server::start();
    let path = link(&server, &[]);
    for _ in 0..2 {
        let page = server.request_once("GET", &path, &[], b"");
        assert_eq!((page.status, page.header("set-cookie")), (200, None), "{}", page.text);
        assert!(page.text.contains("Sign in as admin"), "{}", page.text);
    }
    let answer = use_link(&server, &path);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/audit-logs")), "{}", answer.text);
    assert!(opens(&server, &cookie(&answer).0));
    for restarted in [false, true] {
        if restarted {
            server.kill();
            server.start_again();
        }
        let again = use_link(&server, &path);
        assert_eq!((again.status, again.header("set-cookie")), (401, None));
        assert!(again.text.contains("no longer valid"), "{}", again.text);
        assert_eq!(server.request_once("GET", &path, &[], b"").status, 401);
    }
}

#[test]
fn of_many_concurrent_uses_of_a_link_one_succeeds() {
    let server = Server::start();
    let path = link(&server, &[]);
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let users: Vec<_> = (0..8).map(|_| scope.spawn(|| use_link(&server, &path).status)).collect();
        users.into_iter().map(|user| user.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 7, "{statuses:?}");
}

#[test]
fn a_link_is_valid_for_one_usable_credential() {
    let server = Server::start();
    server.credential("machine", &["read"]);
    let path = link(&server, &["--credential", "machine"]);
    let page = server.request_once("GET", &path, &[], b"");
    assert!(page.text.contains("Sign in as machine"), "{}", page.text);
    assert!(run(server.directory(), &["credential", "revoke", "machine"]).status.success());
    eventually("the revocation", || (server.request_once("GET", &path, &[], b"").status == 401).then_some(()));
    assert_eq!(use_link(&server, &path).status, 401);
    for wrong in ["machine", "nobody"] {
        let refused = run(server.directory(), &["login-link", "--credential", wrong]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&refused.stderr).contains(wrong), "{refused:?}");
    }
    // Sessions, tokens and links are not interchangeable.
    let code = path.split_once("code=").unwrap().1;
    assert!(!opens(&server, &format!("{NAME}={code}")));
    let value = session(&server).split_once('=').unwrap().1.to_owned();
    for other in [&value, &server.token] {
        assert_eq!(use_link(&server, &format!("/sign-in?code={other}")).status, 401);
    }
    assert_eq!(server.request_as(&value, "GET", "/v1/audit-log", "").status, 401);
}

#[test]
fn failed_sign_ins_and_failed_logins_are_counted_together() {
    let server = Server::start_with(&[("AUDITBOX_AUTH_FAILED_LOGINS_MAX", "2")]);
    assert_eq!(sign_in(&server, CLIENT_ID, "wrong", "/").status, 401);
    let body = json!({ "clientId": CLIENT_ID, "clientSecret": "wrong" }).to_string();
    assert_eq!(server.request("POST", "/v1/auth/access_token", &[], body.as_bytes()).status, 401);
    let answer = sign_in(&server, CLIENT_ID, "wrong", "/");
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").is_some_and(|wait| wait.parse::<u32>().is_ok()));
    assert!(answer.text.contains("<form"), "{}", answer.text);
}

#[test]
fn signing_in_and_out_is_recorded() {
    let server = Server::start();
    let cookie = session(&server);
    let path = link(&server, &[]);
    use_link(&server, &path);
    with(&server, &cookie, "POST", "/sign-out", &[("origin", &server.url)], "");
    let answer = server.list("origin=auditbox&path=/sign-&sort=received&order=asc");
    let audits = answer.json()["audits"].as_array().unwrap().clone();
    let shown: Vec<_> = audits.iter().map(|event| (&event["action"], &event["request"]["statusCode"])).collect();
    let (create, end, status) = (json!("session.create"), json!("session.end"), json!(303));
    assert_eq!(shown, [(&create, &status), (&create, &status), (&end, &status)]);
    assert!(audits.iter().all(|event| event["trigger"]["by"]["userId"] == CLIENT_ID));
    // The records contain no secret and no code.
    let whole = Value::from(audits).to_string();
    assert!(!whole.contains(CLIENT_SECRET) && !whole.contains(path.split_once("code=").unwrap().1));
    assert!(!server.log().contains(CLIENT_SECRET));
}
