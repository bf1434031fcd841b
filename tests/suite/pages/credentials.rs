//! The page of credentials.

use crate::{
    harness::{Answer, CLIENT_ID, Server},
    pages::{get_once, page, redirection, text},
};

fn post(server: &Server, path: &str, form: &str) -> Answer {
    let bearer = format!("Bearer {}", server.token);
    server.request_once("POST", path, &[("authorization", &bearer)], form.as_bytes())
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    text.split(before).nth(1).unwrap_or_else(|| panic!("{before} is not in {text}")).split(after).next().unwrap()
}

#[test]
fn a_secret_is_shown_once_and_works() {
    let server = Server::start();
    let answer = post(&server, "/credentials", "name=auditor&scope=read&actor_type=user&expires=30d");
    assert_eq!(answer.status, 201, "{}", answer.text);
    let shown = text(&answer.text);
    let (client_id, secret) = (between(&shown, "Client ID ", " "), between(&shown, "Client secret ", " "));
    let token = between(&shown, "API token ", " ");
    assert_eq!(server.request_as(token, "GET", "/audit-logs", "").status, 200);
    assert_eq!(server.request_as(&server.login(client_id, secret), "GET", "/v1/audit-log", "").status, 200);
    assert_eq!(server.request_as(token, "GET", "/credentials", "").status, 403);
    let again = page(&server, "/credentials");
    assert!(again.contains(client_id) && !again.contains(secret) && !again.contains(token));
    assert!(text(&again).contains("auditor"));
    let own = server.get("/v1/audit-log?include_own=true").text;
    assert!(own.contains("credential.create") && !own.contains(secret) && !own.contains(token));
}

#[test]
fn a_credential_is_disabled_enabled_and_revoked() {
    let server = Server::start();
    let token = server.credential("ci", &["read"]);
    let all = server.get("/v1/credentials").json();
    let ci = all["credentials"].as_array().unwrap().iter().find(|credential| credential["name"] == "ci").unwrap();
    let path = format!("/credentials/{}", ci["clientId"].as_str().unwrap());
    let status = || server.request_as(&token, "GET", "/audit-logs", "").status;
    assert_eq!(status(), 200);
    assert!(text(&page(&server, "/credentials")).contains("just now"));
    for (form, after, word) in
        [("do=disable", 401, "Disabled"), ("do=enable", 200, "Active"), ("do=revoke", 401, "Revoked")]
    {
        assert_eq!(redirection(&post(&server, &path, form)), "/credentials");
        assert_eq!(status(), after, "{form}");
        let shown = page(&server, "/credentials");
        assert!(text(&shown).contains(word), "{form}");
    }
    assert_eq!(post(&server, &path, "do=enable").status, 409);
    assert_eq!(post(&server, &path, "do=nothing").status, 422);
    assert_eq!(post(&server, "/credentials/nobody", "do=revoke").status, 404);
    assert_eq!(get_once(&server, &path).status, 422);
}

#[test]
fn a_rejected_form_keeps_its_values() {
    let server = Server::start();
    for (form, status, said) in [
        ("name=&scope=read&actor_type=user", 422, "name: must be 1 to 128 characters"),
        ("name=x&actor_type=user", 422, "scopes: "),
        ("name=x&scope=root&actor_type=user", 422, "root"),
        ("name=x&scope=read&actor_type=robot", 422, "actorType: "),
        ("name=x&scope=read&actor_type=user&expires=soon", 422, "expires: "),
        ("name=admin&scope=read&actor_type=user", 409, "admin"),
    ] {
        let answer = post(&server, "/credentials", form);
        assert_eq!(answer.status, status, "{form}");
        assert!(text(&answer.text).contains(said), "{form}");
        let name = form.split(['=', '&']).nth(1).unwrap();
        assert!(answer.text.contains(&format!("name=\"name\" value=\"{name}\"")), "{form}");
    }
    let hostile = post(&server, "/credentials", "name=%3Cscript%3E%22&scope=read&actor_type=user");
    assert_eq!(hostile.status, 201);
    for html in [hostile.text, page(&server, "/credentials")] {
        assert!(!html.contains("<script>") && html.contains("&#60;script&#62;&#34;"));
    }
    assert!(text(&page(&server, "/credentials")).contains(CLIENT_ID));
}
