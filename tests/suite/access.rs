//! Permissions as one table: every route, tried with every kind of credential in every state.
//!
//! The test reads the routes from the files that list them, so a route without a row here fails it.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};

use crate::harness::{Answer, CLIENT_ID, CLIENT_SECRET, Server, eventually};

const NOT_A_LIMIT: (&str, &str) = ("AUDITBOX_AUTH_FAILED_LOGINS_MAX", "1000000");

/// What a route requires of its caller.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Needs {
    /// Nothing: it shows no data.
    Nothing,
    /// A credential with this scope.
    Scope(&'static str),
    /// A credential with this scope, in the address or a header. A session does not count, as the address has a secret.
    ScopeOfSecret(&'static str),
    /// A page of this server must send the request, signed in or not.
    OwnPage,
    /// A page of this server must send the request if the request carries a session.
    OwnPageForSession,
}

use Needs::{Nothing, OwnPage, OwnPageForSession, Scope, ScopeOfSecret};

/// A route, a request to it, and what it needs. Requests that could change something other than events fail after the
/// permission check: the test asks only who passes that check.
type Row = (&'static str, &'static str, &'static str, &'static str, Needs);

const TABLE: &[Row] = &[
    ("GET", "/v1/audit-log", "/v1/audit-log?limit=1", "", Scope("read")),
    ("POST", "/v1/audit-log", "/v1/audit-log", r#"{"action":"READ","resourceType":"access-table"}"#, Scope("ingest")),
    ("GET", "/v1/audit-log/stats", "/v1/audit-log/stats", "", Scope("read")),
    ("GET", "/v1/audit-log/export", "/v1/audit-log/export?format=csv&entity=none", "", Scope("read")),
    // A valid stream would not end.
    ("GET", "/v1/audit-log/stream", "/v1/audit-log/stream?no_such_parameter=1", "", Scope("read")),
    ("GET", "/v1/audit-log/{identifier:.+}", "/v1/audit-log/e1", "", Scope("read")),
    ("GET", "/v1/events/{identifier:.+}", "/v1/events/e1", "", Scope("read")),
    ("POST", "/v1/auth/access_token", "/v1/auth/access_token", "{}", Nothing),
    ("GET", "/v1/credentials", "/v1/credentials", "", Scope("admin")),
    ("POST", "/v1/credentials", "/v1/credentials", "{}", Scope("admin")),
    ("PATCH", "/v1/credentials/{client_id}", "/v1/credentials/nobody", r#"{"disabled":true}"#, Scope("admin")),
    ("DELETE", "/v1/credentials/{client_id}", "/v1/credentials/nobody", "", Scope("admin")),
    ("POST", "/v1/credentials/{client_id}/secrets", "/v1/credentials/nobody/secrets", "", Scope("admin")),
    ("DELETE", "/v1/credentials/{client_id}/secrets", "/v1/credentials/nobody/secrets", "", Scope("admin")),
    ("GET", "/v1/doors", "/v1/doors", "", Scope("admin")),
    ("GET", "/healthz", "/healthz", "", Nothing),
    ("GET", "/readyz", "/readyz", "", Nothing),
    ("GET", "/metrics", "/metrics", "", Scope("metrics")),
    ("GET", "/openapi.json", "/openapi.json", "", Nothing),
    ("GET", "/docs", "/docs", "", Nothing),
    ("GET", "/docs/{_:.*}", "/docs/index.html", "", Nothing),
    ("GET", "/", "/", "", Nothing),
    ("GET", "/audit-logs", "/audit-logs", "", Scope("read")),
    ("GET", "/security/audit-logs", "/security/audit-logs", "", Scope("read")),
    ("GET", "/audit-logs/{identifier:.+}", "/audit-logs/e1", "", Scope("read")),
    ("GET", "/credentials", "/credentials", "", Scope("admin")),
    ("POST", "/credentials", "/credentials", "name=&scope=read", Scope("admin")),
    ("GET", "/credentials/{client_id}", "/credentials/nobody?do=revoke", "", Scope("admin")),
    ("POST", "/credentials/{client_id}", "/credentials/nobody", "change=disable", Scope("admin")),
    ("GET", "/doors", "/doors", "", Scope("admin")),
    ("POST", "/doors", "/doors", "sender=none", Scope("admin")),
    ("GET", "/in/{route}", "/in/nowhere", "", Nothing),
    ("POST", "/in/{route}", "/in/nowhere", "[]", Scope("ingest")),
    ("POST", "/in/{route}/{secret}", "/in/nowhere/a-secret", "[]", ScopeOfSecret("ingest")),
    ("GET", "/sign-in", "/sign-in", "", Nothing),
    ("POST", "/sign-in", "/sign-in", "client_id=test-admin&client_secret=a-secret-for-tests-0123456789", OwnPage),
    ("GET", "/assets/{name}", "/assets/none.css", "", Nothing),
    // Last, because it ends the session that sends it.
    ("POST", "/sign-out", "/sign-out", "", OwnPageForSession),
];

/// The routes in a source file, with the methods of each.
fn routes_of(file: &str) -> BTreeSet<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    let text = fs::read_to_string(&path).unwrap();
    let text: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code: String = text.split("pub fn configure").nth(1).unwrap().split_whitespace().collect();
    let services: Vec<_> = code.split(".service(").skip(1).collect();
    assert!(!code.split(".service(").next().unwrap().contains("route"), "{file}: a route outside of a service");
    let mut found = BTreeSet::new();
    // Other tests send records to the doors, whose routes are in files of their own.
    for service in services.into_iter().filter(|service| !service.starts_with("protocols()")) {
        let quoted = || service.split('"').nth(1).unwrap().to_owned();
        let (path, methods) = if service.starts_with("web::redirect(") {
            (quoted(), vec!["GET".to_owned()])
        } else if service.starts_with("openapi::pages()") {
            ("/docs/{_:.*}".to_owned(), vec!["GET".to_owned()])
        } else if let Some((maker @ ("resource" | "get_and_head"), rest)) = service.split_once('(') {
            let path = if rest.starts_with("assets::ROUTE") { "/assets/{name}".to_owned() } else { quoted() };
            let own: &[&str] = if maker == "get_and_head" { &["GET", "HEAD"] } else { &[] };
            let routes = rest.split(".route(").skip(1).map(|route| route.split('(').next().unwrap().to_uppercase());
            (path, own.iter().map(|method| (*method).to_owned()).chain(routes).collect())
        } else {
            panic!("{file}: unknown service {service}");
        };
        assert!(!methods.is_empty(), "{file}: {path} has no method");
        found.extend(methods.into_iter().map(|method| (method, path.clone())));
    }
    found
}

fn routes() -> BTreeSet<(String, String)> {
    [routes_of("api/routes.rs"), routes_of("doors/routes.rs"), routes_of("ui/routes.rs")]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn every_route_has_a_row_and_every_row_a_route() {
    let routes = routes();
    let is_head = |(method, _): &&(String, String)| method == "HEAD";
    let rows: BTreeSet<_> =
        TABLE.iter().map(|(method, route, ..)| ((*method).to_owned(), (*route).to_owned())).collect();
    assert_eq!(rows.len(), TABLE.len(), "a duplicate row");
    let listed: BTreeSet<_> = routes.iter().filter(|route| !is_head(route)).cloned().collect();
    assert_eq!(listed, rows);
    for (_, route) in routes.iter().filter(is_head) {
        assert!(rows.contains(&("GET".to_owned(), route.clone())), "HEAD {route}");
    }
    // Only those files may create routes, and the doors.
    for entry in walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = fs::read_to_string(&entry).unwrap();
        if !entry.ends_with("routes.rs") && !text.contains("const PROTOCOL: Protocol = ") {
            for maker in [".route(", ".service(", "web::scope", "web::resource(path", "SwaggerUi::new", "Resource::new"]
            {
                let may = match maker {
                    "web::resource(path" => entry.ends_with("http/fallback.rs"),
                    "SwaggerUi::new" => entry.ends_with("api/openapi.rs"),
                    _ => false,
                };
                assert!(may || !text.contains(maker), "{}: {maker}", entry.display());
            }
            let configured = text.matches(".configure(").count();
            assert_eq!(configured, if entry.ends_with("server/startup.rs") { 3 } else { 0 }, "{}", entry.display());
        }
    }
}

fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn the_api_description_states_the_scopes_of_the_table() {
    let server = Server::start();
    let document = server.request("GET", "/openapi.json", &[], b"").json();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let row = TABLE.iter().find(|row| row.0.to_lowercase() == *method && plain(row.1) == plain(path));
            let security = match row.unwrap_or_else(|| panic!("{method} {path} is not in the table")).4 {
                ScopeOfSecret(scope) => {
                    json!(["bearer", "basic", "accessToken"].map(|scheme| json!({ scheme: [scope] })))
                }
                Scope("ingest") => {
                    json!(["bearer", "session", "basic", "accessToken"].map(|scheme| json!({ scheme: ["ingest"] })))
                }
                Scope(scope) => json!([{ "bearer": [scope] }, { "session": [scope] }]),
                _ => json!([]),
            };
            assert_eq!(operation["security"], security, "{method} {path}");
        }
    }
}

/// A route without the names of its parameters.
fn plain(route: &str) -> String {
    route.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
}

/// A client, with or without a valid credential.
struct Caller {
    what: String,
    header: Option<(&'static str, String)>,
    origin: Option<String>,
    is_session: bool,
    /// The scope of its credential; `None` if the server does not know the credential.
    scope: Option<&'static str>,
}

/// Creates a credential. Returns it with the three headers that can present it.
fn presented(
    server: &Server,
    name: &str,
    scope: &'static str,
    expires: Option<&str>,
) -> (Value, Vec<(&'static str, String)>) {
    let asked = json!({ "name": name, "scopes": [scope], "actorType": "user", "expires": expires });
    let made = server.post("/v1/credentials", &asked.to_string()).json()["credential"].clone();
    let text = |key: &str| made[key].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    let access = server.login(&text("clientId"), &text("clientSecret"));
    let cookie = session(server, &text("clientId"), &text("clientSecret"));
    let api = text("apiToken");
    (
        made,
        vec![
            ("authorization", format!("Bearer {api}")),
            ("authorization", format!("Bearer {access}")),
            ("cookie", cookie),
        ],
    )
}

fn session(server: &Server, client_id: &str, secret: &str) -> String {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("client_id", client_id), ("client_secret", secret)])
        .finish();
    let answer = server.request_once("POST", "/sign-in", &[("origin", &server.url)], form.as_bytes());
    assert_eq!(answer.status, 303, "{}", answer.text);
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

fn callers(server: &Server) -> Vec<Caller> {
    let own = Some(server.url.clone());
    let foreign = Some("https://evil.example".to_owned());
    let mut callers = vec![
        Caller { what: "nobody".to_owned(), header: None, origin: own.clone(), is_session: false, scope: None },
        Caller {
            what: "nobody elsewhere".to_owned(),
            header: None,
            origin: foreign.clone(),
            is_session: false,
            scope: None,
        },
    ];
    let wrong = api_token_of(CLIENT_ID, "not-the-secret-of-this-credential");
    for (name, value) in [
        ("authorization", "Bearer x.y.z".to_owned()),
        ("authorization", format!("Bearer {wrong}")),
        ("authorization", format!("Basic {CLIENT_ID}:{CLIENT_SECRET}")),
        ("authorization", format!("Bearer {}", session(server, CLIENT_ID, CLIENT_SECRET).split_once('=').unwrap().1)),
        ("cookie", "auditbox_session=x.y.z".to_owned()),
        ("cookie", format!("auditbox_session={}", server.token)),
    ] {
        callers.push(Caller {
            what: format!("wrong: {value}"),
            header: Some((name, value)),
            origin: own.clone(),
            is_session: false,
            scope: None,
        });
    }
    for state in ["right", "expired", "revoked", "disabled"] {
        for scope in ["ingest", "read", "admin", "metrics"] {
            let name = format!("{state}-{scope}");
            let (made, headers) = presented(server, &name, scope, (state == "expired").then_some("2s"));
            end(server, state, made["clientId"].as_str().unwrap());
            for (kind, (name, value)) in ["API token", "access token", "session"].into_iter().zip(headers) {
                let is_session = kind == "session";
                let scope = (state == "right").then_some(scope);
                let origins: &[_] = if is_session { &[&own, &foreign, &None] } else { &[&own, &foreign] };
                for origin in origins {
                    let value = if is_session && state == "right" {
                        // A separate session for each, because signing out ends it.
                        session(server, made["clientId"].as_str().unwrap(), made["clientSecret"].as_str().unwrap())
                    } else {
                        value.clone()
                    };
                    let what = format!("{state} {kind} of {scope:?} from {origin:?}");
                    callers.push(Caller {
                        what,
                        header: Some((name, value)),
                        origin: (*origin).clone(),
                        is_session,
                        scope,
                    });
                }
            }
        }
    }
    callers
}

fn api_token_of(client_id: &str, secret: &str) -> String {
    use auditbox::model::{
        credential::{ClientId, Secret},
        token::api_token,
    };
    api_token(&ClientId::parse(client_id).unwrap(), &Secret::presented(secret.to_owned()))
}

fn end(server: &Server, state: &str, client_id: &str) {
    let path = format!("/v1/credentials/{client_id}");
    let answer = match state {
        "revoked" => server.request_as(&server.token, "DELETE", &path, ""),
        "disabled" => server.request_as(&server.token, "PATCH", &path, r#"{"disabled":true}"#),
        _ => return,
    };
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// The expected status of a refusal; `None` if the caller must not be refused.
fn refusal(caller: &Caller, method: &str, needs: Needs, own: &str) -> Option<u16> {
    let is_safe = matches!(method, "GET" | "HEAD");
    let is_own = caller.origin.as_deref() == Some(own);
    let by_session = caller.is_session && caller.scope.is_some();
    match needs {
        Nothing => None,
        OwnPage => (caller.origin.is_some() && !is_own).then_some(403),
        OwnPageForSession => (by_session && !is_own).then_some(403),
        ScopeOfSecret(_) if caller.is_session => Some(401),
        Scope(_) | ScopeOfSecret(_) if caller.scope.is_none() => Some(401),
        Scope(_) if by_session && !is_safe && !is_own => Some(403),
        // Administrators may read the metrics.
        Scope("metrics") if caller.scope == Some("admin") => None,
        Scope(scope) | ScopeOfSecret(scope) => (caller.scope != Some(scope)).then_some(403),
    }
}

fn ask(server: &Server, caller: &Caller, method: &str, path: &str, body: &str) -> Answer {
    // A compressed response to HEAD would have a header but no body to decompress.
    let mut headers = vec![("accept-encoding", "identity")];
    headers.extend(caller.header.as_ref().map(|(name, value)| (*name, value.as_str())));
    headers.extend(caller.origin.as_deref().map(|origin| ("origin", origin)));
    server.request_once(method, path, &headers, body.as_bytes())
}

#[test]
fn each_caller_may_do_exactly_what_the_table_says() {
    let server = Server::start_with(&[NOT_A_LIMIT]);
    server.store(&[json!({ "identifier": "e1", "action": "READ", "resourceType": "x" })]);
    let callers = callers(&server);
    let state = |name: &str| {
        let all = server.get("/v1/credentials").json();
        let found = all["credentials"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
        found["state"].as_str().unwrap().to_owned()
    };
    eventually("the end of credentials", || (state("expired-admin") == "expired").then_some(()));
    let heads: BTreeSet<_> =
        routes().into_iter().filter(|(method, _)| method == "HEAD").map(|(_, route)| route).collect();
    for caller in &callers {
        for (method, route, path, body, needs) in TABLE {
            let methods: &[&str] =
                if *method == "GET" && heads.contains(*route) { &["GET", "HEAD"] } else { &[method] };
            for method in methods {
                let answer = ask(&server, caller, method, path, body);
                let what = format!("{}: {method} {path}: {} {}", caller.what, answer.status, answer.text);
                match refusal(caller, method, *needs, &server.url) {
                    Some(status) => assert_eq!(answer.status, status, "{what}"),
                    None => assert!(!matches!(answer.status, 401 | 403) && answer.status < 500, "{what}"),
                }
            }
        }
    }
    // Refused requests did nothing: events came only from callers that may send them.
    let stored = server.list("resources=access-table&includes=receivedBy").json();
    let senders: BTreeSet<_> = stored["audits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["receivedBy"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(senders, BTreeSet::from(["right-ingest".to_owned()]));
    let all = server.get("/v1/credentials").json();
    assert_eq!(all["credentials"].as_array().unwrap().len(), 1 + 16, "{all}");
}

#[test]
fn no_path_leads_out_of_the_served_files() {
    let server = Server::start();
    let hostile = [
        "/assets/../../Cargo.toml",
        "/assets/..%2f..%2f..%2fetc%2fpasswd",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..\\..\\auditbox.db",
        "/assets//etc/passwd",
        "/assets/auditbox.db",
        "/assets/%00",
        "/docs/../../etc/passwd",
        "/docs/..%2f..%2fetc%2fpasswd",
        "/docs/%2e%2e/auditbox.db",
        "/docs//etc/passwd",
        "/docs/%00",
        "/auditbox.db",
        "/../auditbox.db",
        "//etc/passwd",
        "/v1/../auditbox.db",
    ];
    for path in hostile {
        let line = crate::raw::head(&server, &format!("GET {path}"), &[]);
        let answer = crate::raw::send(&server, [&*line]);
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        assert!(
            !answer.body.contains("root:")
                && !answer.body.contains("SQLite format")
                && !answer.body.contains("[package]")
        );
    }
    // An identifier is a name. The server never treats it as a path.
    for identifier in ["../../etc/passwd", "..", "/etc/passwd", "a/../b", "\\\\host\\share", "%2e%2e", "C:"] {
        server.store(&[json!({ "identifier": identifier, "action": "A", "resourceType": "x" })]);
        let encoded: String = identifier.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = server.get(&format!("/v1/audit-log/{encoded}"));
        assert_eq!(
            (answer.status, &answer.json()["audit"]["identifier"]),
            (200, &json!(identifier)),
            "{}",
            answer.text
        );
    }
    for name in ["..", "../x", "%2e%2e%2fx", "a%00b"] {
        let answer = server.request_as(&server.token, "DELETE", &format!("/v1/credentials/{name}"), "");
        assert!(matches!(answer.status, 400 | 404 | 405 | 422), "{name}: {}", answer.status);
    }
}

#[test]
fn a_secret_is_compared_in_one_place_and_in_one_way() {
    // A login takes equally long for an unknown client and for a wrong secret because of the order of the work. The
    // test reads that order: a timing would measure the machine.
    let read = |file: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).unwrap();
    let gate = read("auth/authenticator.rs");
    let compare = gate.split("fn compare(").nth(1).unwrap().split("\n    }\n").next().unwrap();
    assert!(compare.contains("SecretHashes::of_nobody") && compare.contains("map_or(&nobody"), "{compare}");
    assert_eq!(compare.matches("include(secret)").count(), 1, "{compare}");
    for early in ["return", "?;", "if ", "&&", "match "] {
        assert!(!compare.contains(early), "{early} in {compare}");
    }
    for file in walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/auth")) {
        let text = fs::read_to_string(&file).unwrap();
        let compared = text.matches(".include(").count() + text.matches("secrets ==").count();
        assert_eq!(compared, usize::from(file.ends_with("authenticator.rs")), "{}", file.display());
    }
    let secret = read("model/credential/secret.rs");
    let include = secret.split("pub fn include(").nth(1).unwrap().split("\n    }\n").next().unwrap();
    // Every hash is compared, whichever matches.
    assert!(include.contains(".ct_eq(") && include.contains(".fold("), "{include}");
    assert!(["==", "any(", "||", "find("].iter().all(|early| !include.contains(early)), "{include}");
}
