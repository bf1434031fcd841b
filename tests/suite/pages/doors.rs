//! The page of doors: what arrived, and the lines that set up a sender.

use std::{fs, process::Command};

use serde_json::json;

use crate::{
    cli::good,
    harness::{Answer, Server},
    pages::{get_once, page, text, unescape},
    skip::{CURL, runs},
};

fn start(config: &str) -> Server {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("auditbox.toml"), config).unwrap();
    Server::start_in(directory, &[("AUDITBOX_CONFIG", "auditbox.toml")])
}

fn create(server: &Server, sender: &str, name: &str) -> Answer {
    let form =
        form_urlencoded::Serializer::new(String::new()).extend_pairs([("sender", sender), ("name", name)]).finish();
    let bearer = format!("Bearer {}", server.token);
    server.request_once("POST", "/doors", &[("authorization", &bearer)], form.as_bytes())
}

/// The identifiers of all senders.
fn senders(html: &str) -> Vec<String> {
    let select = html.split("<select name=\"sender\">").nth(1).unwrap().split("</select>").next().unwrap();
    select.split("<option value=\"").skip(1).map(|rest| rest[..rest.find('"').unwrap()].to_owned()).collect()
}

/// The blocks of lines on a page.
fn blocks(html: &str) -> Vec<String> {
    html.split("<pre>").skip(1).map(|rest| unescape(rest.split("</pre>").next().unwrap())).collect()
}

#[test]
fn a_page_without_arrivals_says_so_and_one_with_problems_shows_them() {
    let server = start("[doors]\ndisabled = ['registry']\n[[routes]]\nname = 'hooks'\npreset = 'okta'\n");
    let empty = text(&page(&server, "/doors"));
    assert!(empty.contains("Nothing has arrived by a door or a route"), "{empty}");
    assert!(empty.contains("registry /registry Closed in [doors] disabled docker-registry"), "{empty}");
    assert!(empty.contains("in/hooks Open okta 0 0 0 0 0 0 none yet"), "{empty}");
    assert!(empty.contains("no [[syslog]] listener") || empty.contains("syslog/"), "{empty}");
    let token = server.credential("sender", &["ingest"]);
    let hostile = r#"{"<script>":"\u202e","password":"hunter2"}"#;
    assert_eq!(server.request_as(&token, "POST", "/in/hooks", hostile).status, 200);
    server.request("POST", "/k8s/audit", &[], b"{}");
    let html = page(&server, "/doors");
    let shown = text(&html);
    assert!(!shown.contains("Nothing has arrived"), "{shown}");
    assert!(!html.contains("<script>") && html.contains("&#60;script&#62;") && !html.contains("hunter2"), "{html}");
    assert!(shown.contains("in/hooks Open okta 1 1 0 0 1 0 just now"), "{shown}");
    assert!(shown.contains("the preset okta found nothing in the record"), "{shown}");
    assert!(shown.contains("Last problem of this door: just now send a token"), "{shown}");
}

#[test]
fn every_sender_has_lines_with_the_address_of_the_server_and_a_secret_once() {
    let server = Server::start();
    let host = server.url.strip_prefix("http://").unwrap().to_owned();
    let all = senders(&page(&server, "/doors"));
    assert!(all.len() >= 17, "{all:?}");
    for sender in &all {
        let without = page(&server, &format!("/doors?sender={sender}"));
        let placeholder = blocks(&without).iter().any(|lines| lines.contains("YOUR_"));
        assert!(without.contains(&format!("name=\"name\" value=\"{sender}\"")), "{sender}");
        let answer = create(&server, sender, sender);
        assert_eq!(answer.status, 201, "{sender}: {}", answer.text);
        let lines = blocks(&answer.text).join("\n");
        let credentials = server.get("/v1/credentials").json()["credentials"].clone();
        let made = credentials.as_array().unwrap().iter().find(|one| one["name"] == **sender).unwrap();
        assert_eq!(made["scopes"], json!(["ingest"]), "{sender}");
        let client_id = made["clientId"].as_str().unwrap();
        assert_eq!(
            placeholder && !sender.eq("vector"),
            has_secret(&lines, client_id) && !sender.eq("vector"),
            "{sender}"
        );
        assert!(!lines.contains("YOUR_") || sender == "vector", "{sender}: {lines}");
        let (hostname, port) = host.rsplit_once(':').unwrap();
        assert!(lines.contains(&host) || lines.contains(hostname) || lines.contains(port), "{sender}: {lines}");
        // The next credential has another name, and no later page has the secret.
        let again = page(&server, &format!("/doors?sender={sender}"));
        assert!(again.contains(&format!("name=\"name\" value=\"{sender}-2\"")), "{sender}");
        for secret in secrets(&lines) {
            assert!(!again.contains(&secret), "{sender}");
        }
    }
    let own = server.get("/v1/audit-log?include_own=true&action=credential.create&limit=100").text;
    assert!(own.contains("credential.create") && !own.contains("abx_"), "{own}");
}

/// The tokens in lines.
fn secrets(lines: &str) -> Vec<String> {
    let is_part = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    let ends = lines.match_indices("abx_").map(|(at, _)| lines[at..].chars().take_while(|char| is_part(*char)));
    ends.map(Iterator::collect).collect()
}

/// Whether lines have the secret of a credential: its token, or its client id with the secret.
fn has_secret(lines: &str, client_id: &str) -> bool {
    !secrets(lines).is_empty() || lines.contains(client_id)
}

#[test]
fn the_token_in_the_lines_of_curl_works_as_they_stand() {
    if !CURL.is_met(runs("curl", &["--version"]) && runs("sh", &["-c", ":"])) {
        return;
    }
    let server = Server::start();
    let answer = create(&server, "curl", "alice");
    let [lines] = blocks(&answer.text).try_into().unwrap();
    let output = Command::new("sh").args(["-c", &lines]).env("no_proxy", "127.0.0.1").output().unwrap();
    assert!(output.status.success(), "{lines}: {}", String::from_utf8_lossy(&output.stderr));
    let stored = server.list("entity=order-7&includes=receivedBy").json();
    assert_eq!(stored["audits"][0]["receivedBy"], "alice", "{stored}");
}

#[test]
fn the_lines_for_the_configuration_of_auditbox_are_valid() {
    let server = Server::start();
    for (sender, name) in [("github-webhook", "git \"hub\" \\"), ("github-streaming", "github"), ("okta", "okta")] {
        let lines = blocks(&create(&server, sender, name).text);
        let config = lines.iter().find(|lines| lines.starts_with('[')).unwrap_or_else(|| panic!("{lines:?}"));
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("auditbox.toml"), config).unwrap();
        let checked = good(directory.path(), &["check-config", "--config", "auditbox.toml"]);
        let effective: toml::Table = checked.parse().unwrap();
        let written: toml::Table = config.parse().unwrap();
        for section in written.keys() {
            assert!(effective.contains_key(section), "{sender}: {checked}");
        }
        assert!(written.to_string().contains(&toml::Value::from(name).to_string()), "{written}");
    }
}

#[test]
fn a_rejected_form_keeps_its_values_and_creates_nothing() {
    let server = Server::start();
    for (name, status, said) in [("", 422, "name: must be 1 to 128 characters"), ("admin", 409, "admin")] {
        let answer = create(&server, "okta", name);
        assert_eq!(answer.status, status, "{name}");
        assert!(text(&answer.text).contains(said), "{name}: {}", answer.text);
        assert!(answer.text.contains(&format!("name=\"name\" value=\"{name}\"")), "{name}");
        assert!(answer.text.contains("<option value=\"okta\" selected>"), "{name}");
    }
    assert_eq!(create(&server, "smtp", "x").status, 422);
    assert_eq!(get_once(&server, "/doors?sender=smtp").status, 422);
    assert_eq!(server.get("/v1/credentials").json()["credentials"].as_array().unwrap().len(), 1);
    let hostile = create(&server, "okta", "<script>\"");
    assert_eq!(hostile.status, 201);
    assert!(!hostile.text.contains("<script>") && hostile.text.contains("&#60;script&#62;&#34;"));
}

#[test]
fn the_lines_have_the_prefix_of_the_doors_and_the_name_that_a_proxy_forwards() {
    let server =
        start("[server]\ntrusted_proxies = ['127.0.0.1']\n[doors]\npath_prefix = '/from'\ndisabled = ['kubernetes']\n");
    let bearer = format!("Bearer {}", server.token);
    let forwarded = |host: &str, sender: &str| {
        let headers = [("authorization", &*bearer), ("x-forwarded-host", host), ("x-forwarded-proto", "https")];
        server.request_once("GET", &format!("/doors?sender={sender}"), &headers, b"").text
    };
    let html = forwarded("audit.example.org", "kube-apiserver");
    assert!(blocks(&html)[0].contains("server: https://audit.example.org/from/k8s/audit\n"), "{html}");
    assert!(text(&html).contains("The door kubernetes is closed"), "{html}");
    let lines = blocks(&forwarded("audit.example.org:8443", "fluent-bit")).join("\n");
    assert!(lines.contains(" audit.example.org\n") && lines.contains(" 8443\n") && lines.contains(" On\n"), "{lines}");
    let lines = blocks(&forwarded("audit.example.org", "filebeat")).join("\n");
    assert!(lines.contains("[\"https://audit.example.org:443/from\"]"), "{lines}");
    // A name that is no host is not repeated.
    let lines = blocks(&forwarded("x$(id)", "curl")).join("\n");
    assert!(!lines.contains("$(id)") && lines.contains("127.0.0.1:"), "{lines}");
}
