//! Secrets stay where they are needed: no server log at its most verbose level contains them, no response except the
//! one that issues them, no event, no table except the credentials', and no `Debug` output.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use auditbox::{
    auth::{AccessToken, SessionToken},
    model::{
        credential::{ActorType, CredentialName, Issued, Scopes, Secret, SecretHashes},
        timestamp::Timestamp,
        token::api_token,
    },
};
use base64::Engine;
use serde_json::json;

use crate::{
    harness::{Answer, CLIENT_ID, CLIENT_SECRET, Server, program, run},
    process::Process,
    skip::{CURL, runs},
};

/// The secrets, by description.
type Secrets = BTreeMap<&'static str, String>;

/// The server log at its most verbose level, including targets that are quiet by default.
const EVERYTHING: &str = "trace,actix_http::h1=trace,actix_server=trace";

fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// `text` contains none of `secrets`. The secret part of a signed token is its signature.
fn free_of(secrets: &Secrets, place: &str, text: &[u8]) {
    for (what, secret) in secrets {
        let sought = secret.rsplit('.').next().unwrap();
        assert!(sought.len() >= 12, "{what} is too short to be looked for");
        assert!(memchr::memmem::find(text, sought.as_bytes()).is_none(), "{what} is in {place}");
    }
}

/// A credential with every secret that the server issues for it.
fn known(server: &Server) -> Secrets {
    let made = server.post("/v1/credentials", r#"{"name":"known","scopes":["ingest","read","admin"]}"#).json();
    let text = |key: &str| made["credential"][key].as_str().unwrap().to_owned();
    let (id, secret) = (text("clientId"), text("clientSecret"));
    let body = form(&[("client_id", &id), ("client_secret", &secret)]);
    let session = server.request_once("POST", "/sign-in", &[("origin", &server.url)], body.as_bytes());
    let cookie = session.header("set-cookie").unwrap().split(';').next().unwrap().split_once('=').unwrap().1.to_owned();
    let printed = run(server.directory(), &["login-link", "--url", "https://audit.example/", "--credential", "admin"]);
    let link = String::from_utf8(printed.stdout).unwrap();
    Secrets::from([
        ("the admin's secret", CLIENT_SECRET.to_owned()),
        ("the admin's access token", server.token.clone()),
        ("a client secret", secret.clone()),
        ("an API token", text("apiToken")),
        ("an access token", server.login(&id, &secret)),
        ("a session", cookie),
        ("a sign-in link's code", link.trim().split_once("code=").unwrap().1.to_owned()),
        ("a secret that is sent by mistake", "sent-by-mistake-0123456789".to_owned()),
    ])
}

/// Sends every secret in every place where a client can put it, in valid, invalid and mistaken requests.
fn requests(server: &Server, secrets: &Secrets) -> Vec<(String, Answer)> {
    let bad_bodies = |secret: &str| {
        [
            json!({ "clientId": CLIENT_ID, "clientSecret": [secret] }).to_string(),
            json!({ "clientId": secret, "clientSecret": secret }).to_string(),
            format!("{{\"clientSecret\":\"{secret}\""),
            form(&[("client_id", CLIENT_ID), ("client_secret", secret), ("next", "/audit-logs")]),
            json!({ "action": 5, "resourceType": "x", "password": secret }).to_string(),
            json!({ "action": "A", "resourceType": "x", "diff": { "after": { "token": secret } } }).to_string(),
            json!({ "name": "n", "scopes": ["nothing"], "clientSecret": secret }).to_string(),
        ]
    };
    let mut answers = Vec::new();
    let admin = format!("Bearer {}", server.token);
    for (what, secret) in secrets {
        let encode = |text: String| base64::prelude::BASE64_STANDARD.encode(text);
        let bearers = [
            format!("Bearer {secret}"),
            format!("bearer  {secret}x"),
            format!("Basic {secret}"),
            format!("Basic {}", encode(format!("{CLIENT_ID}:{secret}"))),
            format!("ApiKey {}", encode(format!("x:{secret}"))),
            format!("Splunk {secret}"),
            format!("Bearer {CLIENT_ID}.{secret}"),
            secret.clone(),
        ];
        let cookies = [format!("auditbox_session={secret}"), format!("auditbox_session={secret}x; other={secret}")];
        let headers =
            bearers.iter().map(|value| ("authorization", value)).chain(cookies.iter().map(|value| ("cookie", value)));
        for (name, value) in headers {
            for (method, path) in [
                ("GET", "/v1/audit-log?limit=1"),
                ("GET", "/audit-logs"),
                ("DELETE", "/v1/audit-log"),
                ("GET", "/v1/nowhere"),
                ("POST", "/v1/credentials"),
                ("POST", "/v1/audit-log"),
            ] {
                let answer = server.request_once(method, path, &[(name, value)], b"");
                answers.push((format!("{what} as {name}: {method} {path}"), answer));
            }
        }
        for parameter in ["token", "access_token", "client_secret", "api_key", "password", "code"] {
            for path in ["/v1/audit-log", "/v1/audit-log/stats", "/v1/nowhere", "/audit-logs", "/v1/credentials"] {
                let path = format!("{path}?{parameter}={secret}");
                answers.push((
                    what.to_string() + " in a query",
                    server.request_once("GET", &path, &[("authorization", &admin)], b""),
                ));
                answers.push((
                    what.to_string() + " in a query",
                    server.request_once("POST", &path, &[("authorization", &admin)], b"{}"),
                ));
            }
        }
        for path in [format!("/in/x/{secret}"), format!("/in/x/y/{secret}"), format!("//%69n/x/{secret}?a=1")] {
            for (method, headers) in [("GET", &[("authorization", &*admin)][..]), ("POST", &[]), ("PUT", &[])] {
                let answer = server.request_once(method, &path, headers, b"{}");
                answers.push((format!("{what} in a path"), answer));
            }
        }
        for body in bad_bodies(secret) {
            for path in ["/v1/auth/access_token", "/v1/audit-log", "/v1/credentials", "/sign-in", "/credentials"] {
                let headers = [("authorization", &*admin), ("origin", &*server.url)];
                let answer = server.request_once("POST", path, &headers, body.as_bytes());
                answers.push((format!("{what} in a body to {path}"), answer));
            }
        }
    }
    answers
}

#[test]
fn no_secret_is_in_a_server_log_a_response_an_event_or_another_table() {
    let limits = [("AUDITBOX_AUTH_FAILED_LOGINS_MAX", "1000000"), ("AUDITBOX_LOG_LEVEL", EVERYTHING)];
    let server = Server::start_with(&limits);
    let secrets = known(&server);
    let answers = requests(&server, &secrets);
    assert!(
        answers.iter().any(|(_, answer)| answer.status < 300) && answers.iter().any(|(_, answer)| answer.status >= 400)
    );
    for (what, answer) in &answers {
        // The responses of a login and a sign-in contain newly issued secrets, none of these. The page of a failed
        // sign-in repeats the id that was typed, and an error about an unknown path repeats the path.
        let names_it = what.ends_with("/sign-in");
        let given: Vec<_> = answer.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        if !names_it {
            free_of(&secrets, what, answer.text.as_bytes());
        }
        free_of(&secrets, what, given.join("\n").as_bytes());
    }
    let log = server.log();
    assert!(log.contains("TRACE") && log.contains("/v1/nowhere"), "the server log is not at its most verbose level");
    free_of(&secrets, "the log", log.as_bytes());
    let own = server.get("/v1/audit-log/export?format=ndjson&include_own=true").text;
    assert!(
        own.contains("client_secret=[masked]") && own.contains("code=[masked]") && own.contains("\"masked\":["),
        "{own}"
    );
    free_of(&secrets, "the events", own.as_bytes());
    let (_, directory) = server.stop();
    tables_are_free_of(&secrets, &directory.path().join("auditbox.db"));
    for file in fs::read_dir(directory.path()).unwrap() {
        let path = file.unwrap().path();
        free_of(&secrets, &path.display().to_string(), &fs::read(&path).unwrap());
    }
}

/// Checks every value of every table as stored, and the events also as read.
fn tables_are_free_of(secrets: &Secrets, file: &Path) {
    let database = rusqlite::Connection::open(file).unwrap();
    let key: Vec<u8> =
        database.query_row("SELECT value FROM setting WHERE name = 'access_token_key'", [], |row| row.get(0)).unwrap();
    let mut names = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(names.len() > 5, "{names:?}");
    for table in names {
        let mut statement = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                let value = row.get_ref(column).unwrap();
                let bytes = value.as_bytes().unwrap_or_default();
                // Even the credentials are stored only as a hash.
                free_of(secrets, &table, bytes);
                let holds_key = memchr::memmem::find(bytes, &key).is_some();
                assert!(!holds_key || table == "setting", "the signing key is in {table}");
            }
        }
    }
}

#[test]
fn the_key_of_a_certificate_is_in_no_server_log_and_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem();
    fs::write(directory.path().join("certificate.pem"), made.cert.pem()).unwrap();
    fs::write(directory.path().join("key.pem"), &key).unwrap();
    let line = key.lines().nth(1).unwrap().to_owned();
    let secrets = Secrets::from([("the key", line), ("a token", "abx_0123456789abcdef0123456789".to_owned())]);
    // The correct files, the two exchanged, and a truncated key.
    fs::write(directory.path().join("cut.pem"), &key[..key.len() / 2]).unwrap();
    for (certificate, key) in [
        ("certificate.pem", "key.pem"),
        ("key.pem", "certificate.pem"),
        ("key.pem", "key.pem"),
        ("certificate.pem", "cut.pem"),
    ] {
        let mut command = program(directory.path());
        command
            .env("AUDITBOX_SERVER_TLS_CERTIFICATE", certificate)
            .env("AUDITBOX_SERVER_TLS_KEY", key)
            .env("AUDITBOX_LOG_LEVEL", EVERYTHING);
        let mut process = Process::start(&mut command);
        if key == "key.pem" && certificate == "certificate.pem" {
            over_tls(&process.url(), directory.path(), &secrets["a token"]);
            process.stop();
        } else {
            assert!(!process.end().success());
        }
        free_of(&secrets, "the log", process.log().as_bytes());
        free_of(&secrets, "the output", process.output().as_bytes());
    }
    let printed = run(directory.path(), &["check-config"]);
    free_of(&Secrets::from([("the admin's secret", CLIENT_SECRET.to_owned())]), "check-config", &printed.stdout);
}

/// A request with a secret over TLS, whose library writes much at its most verbose level.
fn over_tls(url: &str, directory: &Path, secret: &str) {
    let mut command = Command::new("curl");
    command.args(["--disable", "--noproxy", "*", "--silent", "--max-time", "20", "--cacert", "certificate.pem"]);
    command.args(["--header", &format!("authorization: Bearer {secret}")]);
    command.args(["--cookie", &format!("auditbox_session={secret}")]);
    command.args(["--data", &json!({ "clientId": "x", "clientSecret": secret }).to_string()]);
    command.arg(format!("{url}/v1/auth/access_token?client_secret={secret}")).current_dir(directory);
    if CURL.is_met(runs("curl", &["--version"])) {
        let answer = command.output().unwrap();
        assert!(String::from_utf8_lossy(&answer.stdout).contains("invalid_credentials"), "{answer:?}");
    }
}

#[test]
fn debug_output_of_types_with_a_secret_hides_it() {
    let now = Timestamp::now();
    let name = CredentialName::parse("n").unwrap();
    let issued = Issued::generate(name, ActorType::User, Scopes::ALL, now, None).unwrap();
    let secret = issued.secret.reveal().to_owned();
    let token = api_token(&issued.credential.client_id, &issued.secret);
    let secrets = Secrets::from([("the secret", secret.clone()), ("the token", token.clone())]);
    let hash = (issued.secret.hash(), SecretHashes::from(issued.secret.hash()));
    for printed in [
        format!("{issued:?} {issued:#?}"),
        format!("{:?}", issued.credential),
        format!("{:?}", Secret::presented(secret.clone())),
        format!("{:?}", AccessToken { token: token.clone(), expires_in: 1 }),
        format!("{:?}", SessionToken { text: token.clone(), seconds: 1 }),
        format!("{hash:?}"),
    ] {
        free_of(&secrets, "Debug", printed.as_bytes());
        assert!(printed.contains('…'), "{printed}");
    }
}

#[test]
fn no_type_with_a_secret_derives_debug() {
    // A struct with a field that is named like a secret hides it by hand, or cannot be printed.
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut directories = vec![source];
    let mut seen = 0;
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let Ok(text) = fs::read_to_string(&path) else { continue };
            for item in text.split("#[derive(").skip(1) {
                let (derived, rest) = item.split_once(")]").unwrap();
                let body = rest.split_once("struct ").map_or("", |(_, rest)| rest.split('}').next().unwrap());
                let is_secret = ["token: String", "secret: String", "password: String", "key: Vec<u8>", "key: [u8"]
                    .iter()
                    .any(|field| body.contains(field));
                seen += 1;
                assert!(!is_secret || !derived.contains("Debug"), "{}: {body}", path.display());
            }
        }
    }
    assert!(seen > 100, "the source files were not found");
}

#[test]
fn a_record_of_the_server_log_is_one_line_with_any_client_data() {
    for format in ["text", "json"] {
        let server = Server::start_with(&[("AUDITBOX_LOG_LEVEL", EVERYTHING), ("AUDITBOX_LOG_FORMAT", format)]);
        let odd = "x\u{1b}[2J\u{85}\u{2028}é";
        server.post("/v1/credentials", &json!({ "name": "a\u{2028}\u{202e}b", "scopes": ["read"] }).to_string());
        server.post(
            "/v1/audit-log",
            &json!({ "identifier": format!("a\n{odd}"), "action": "\r\nFORGED", "resourceType": odd }).to_string(),
        );
        for path in [
            "/v1/%0aFORGED%0d%0a",
            "/v1/%1b%5b2J",
            "/audit-logs/%0aFORGED",
            "/v1/audit-log?x=%0aFORGED",
            "/v1/audit-log/%0aFORGED%C2%85",
        ] {
            server.get(path);
            let lines = ["user-agent: a\x1b[31m\tFORGED", "x-forwarded-for: \x1b[2J", "accept: text/html\x1b"];
            crate::raw::try_send(&server, [&*crate::raw::head(&server, &format!("GET {path}"), &lines)]);
        }
        // A body that is not a login, and a login whose id contains terminal control characters.
        server.request("POST", "/v1/auth/access_token", &[], format!("{{\"clientId\":\"\nFORGED{odd}\"").as_bytes());
        let log = server.log();
        assert!(log.contains("FORGED"), "{log}");
        // The server may be writing the last line.
        let (log, _) = log.rsplit_once('\n').unwrap();
        for line in log.split('\n').filter(|line| !line.is_empty()) {
            let is_record = match format {
                "json" => {
                    serde_json::from_str::<serde_json::Value>(line).is_ok_and(|record| record["timestamp"].is_string())
                }
                _ => line.len() > 20 && line.as_bytes()[4] == b'-' && line.as_bytes()[10] == b'T',
            };
            assert!(is_record, "{format}: {line:?}");
            assert!(!line.contains(|char: char| char.is_control() && char != '\t'), "{format}: {line:?}");
        }
    }
}
