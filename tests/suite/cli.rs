//! The command line: every command, what it prints, and its exit code.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    harness::{Server, eventually, program, run},
    platform::not_unicode,
    process::Process,
    skip::real_events,
};

/// Every command.
pub(crate) const COMMANDS: &[&[&str]] = &[
    &[],
    &["serve"],
    &["import"],
    &["follow"],
    &["query"],
    &["tail"],
    &["export"],
    &["stats"],
    &["event"],
    &["credential"],
    &["credential", "create"],
    &["credential", "list"],
    &["credential", "disable"],
    &["credential", "enable"],
    &["credential", "add-secret"],
    &["credential", "retire-secrets"],
    &["credential", "allow-ip"],
    &["credential", "revoke"],
    &["login-link"],
    &["preset"],
    &["preset", "list"],
    &["preset", "show"],
    &["preset", "test"],
    &["doors"],
    &["check-config"],
    &["healthcheck"],
    &["demo"],
    &["doctor"],
    &["retention"],
    &["reindex"],
    &["backup"],
    &["restore"],
    &["completions"],
    &["man"],
];

pub(crate) fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Runs a command that must succeed; returns its output.
pub(crate) fn good(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", err(&output));
    out(&output).to_owned()
}

/// Runs a command that must fail with `code`; returns its message.
pub(crate) fn bad(directory: &Path, arguments: &[&str], code: i32) -> String {
    let output = run(directory, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {} {}", out(&output), err(&output));
    assert!(!err(&output).contains("panicked"), "{}", err(&output));
    err(&output).to_owned()
}

/// Runs a command with this standard input.
pub(crate) fn piped(directory: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = program(directory);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

pub(crate) fn event(identifier: &str) -> Value {
    json!({
        "identifier": identifier, "action": "CREATE", "resourceType": "entity",
        "trigger": { "at": "2024-05-01T12:00:00Z", "by": { "name": "ada" } }, "context": { "entity": identifier },
    })
}

pub(crate) fn ndjson(events: &[Value]) -> String {
    events.iter().flat_map(|event| [event.to_string(), "\n".to_owned()]).collect()
}

pub(crate) fn events(prefix: &str, count: usize) -> Vec<Value> {
    (0..count).map(|number| event(&format!("{prefix}{number}"))).collect()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// `(stored, duplicates, bad lines)` of an import's summary.
pub(crate) fn counts(printed: &str) -> (u64, u64, u64) {
    let numbers: Vec<u64> = printed.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(printed.contains(" stored, ") && printed.contains(" duplicate"), "{printed}");
    (numbers[0], numbers[1], numbers[2])
}

/// The identifiers that `query --json` prints.
pub(crate) fn identifiers(printed: &str) -> Vec<String> {
    let read = |line: &str| serde_json::from_str::<Value>(line).unwrap()["identifier"].as_str().unwrap().to_owned();
    printed.lines().map(read).collect()
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let directory = directory();
    for command in COMMANDS {
        let printed = good(directory.path(), &[*command, &["--help"]].concat());
        assert!(printed.contains("Example"), "{command:?}: {printed}");
        let example = format!("auditbox {}", command.join(" "));
        assert!(printed.contains(example.trim_end()), "{command:?}: {printed}");
    }
    assert!(good(directory.path(), &["--version"]).starts_with("auditbox "));
    // Help creates no file.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn the_help_names_every_command_that_is_tested_here() {
    let directory = directory();
    let named = |help: &str| -> Vec<String> {
        let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        // A long summary continues on the next line, further to the right.
        let names = list.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
        names
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .filter(|name| name != "help")
            .collect()
    };
    let tested = |depth: usize, parent: &str| -> Vec<String> {
        let fits = |command: &&&[&str]| command.len() == depth && (depth == 1 || command[0] == parent);
        COMMANDS.iter().filter(fits).map(|command| command[depth - 1].to_owned()).collect()
    };
    assert_eq!(named(&good(directory.path(), &["--help"])), tested(1, ""));
    for group in ["credential", "preset"] {
        assert_eq!(named(&good(directory.path(), &[group, "--help"])), tested(2, group), "{group}");
    }
}

#[test]
fn a_usage_error_exits_with_2() {
    let directory = directory();
    for arguments in [
        &["--no-such-flag"][..],
        &["no-such-command"],
        &["serve", "--no-such-flag"],
        &["serve", "argument"],
        &["import"],
        &["follow"],
        &["query", "--no-such-flag"],
        &["query", "argument"],
        &["query", "--entity"],
        &["query", "--url", "http://127.0.0.1:9"],
        &["credential"],
        &["credential", "no-such-command"],
        &["credential", "create", "--name", "ci"],
        &["credential", "create", "--scope", "read"],
        &["credential", "create", "--name", "ci", "--scope", "write"],
        &["credential", "create", "--name", "import", "--scope", "read"],
        &["credential", "create", "--name", "ci", "--scope", "read", "--expires", "soon"],
        &["credential", "create", "--name", "ci", "--scope", "read", "--type", "robot"],
        &["credential", "disable"],
        &["demo", "--events", "0"],
        &["demo", "--events", "many"],
    ] {
        let message = bad(directory.path(), arguments, 2);
        assert!(!message.is_empty(), "{arguments:?}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn variables_that_are_not_unicode_are_harmless() {
    let directory = directory();
    let odd = &not_unicode();
    let output = program(directory.path()).arg("check-config").env("ODD", odd).env(odd, "odd").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    // One of auditbox's own must be UTF-8.
    let output = program(directory.path()).arg("check-config").env("AUDITBOX_SERVER_LISTEN", odd).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("AUDITBOX_SERVER_LISTEN"), "{}", err(&output));
}

#[test]
fn every_form_is_imported_and_a_second_import_adds_nothing() {
    let text = ndjson(&events("e", 1_200));
    let array = serde_json::to_string_pretty(&events("e", 1_200)).unwrap();
    let members = text.as_bytes().split_at(5_000);
    let forms = [
        ("plain.ndjson", text.clone().into_bytes()),
        ("unfinished.ndjson", text.trim_end().as_bytes().to_vec()),
        ("crlf.ndjson", text.replace('\n', "\r\n\r\n").into_bytes()),
        ("gzip", gzip(text.as_bytes())),
        ("gzip-members", [gzip(members.0), gzip(members.1)].concat()),
        ("zstd", zstd::encode_all(text.as_bytes(), 3).unwrap()),
        ("array.json", array.clone().into_bytes()),
        ("array.gz", gzip(array.as_bytes())),
    ];
    let last = "e1199";
    for (name, bytes) in forms {
        let directory = directory();
        fs::write(directory.path().join(name), bytes).unwrap();
        assert_eq!(counts(&good(directory.path(), &["import", name])), (1_200, 0, 0), "{name}");
        assert_eq!(counts(&good(directory.path(), &["import", name, name])), (0, 2_400, 0), "{name}");
        assert_eq!(identifiers(&good(directory.path(), &["query", "--json", "--entity", last])), [last], "{name}");
    }
}

#[test]
fn events_are_imported_from_standard_input() {
    let directory = directory();
    let text = ndjson(&events("e", 20));
    for (input, expected) in
        [(text.clone().into_bytes(), (20, 0, 0)), (gzip(text.as_bytes()), (0, 20, 0)), (Vec::new(), (0, 0, 0))]
    {
        let output = piped(directory.path(), &["import", "-"], &input);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        assert_eq!(counts(out(&output)), expected);
    }
}

#[test]
fn a_bad_line_stops_an_import_and_is_named() {
    let long = format!("{{\"action\":\"{}\"}}", "x".repeat(1_100_000));
    for (line, named) in [
        ("not json", "not JSON"),
        (r#"{"action":"READ"}"#, "resourceType: is required"),
        (
            r#"{"action":"READ","resourceType":"x","trigger":{"at":"yesterday"}}"#,
            "trigger.at: must be a time in RFC 3339",
        ),
        (r#"{"action":"READ","resourceType":"x","trigger":[]}"#, "trigger: must be an object"),
        ("[1]", "not JSON"),
        (&long, "1048576 bytes"),
        // The same identifier with other content.
        (r#"{"identifier":"e0","action":"READ","resourceType":"x"}"#, "identifier"),
    ] {
        let directory = directory();
        let text = format!("{}{line}\n{}", ndjson(&events("e", 3)), ndjson(&events("f", 2)));
        fs::write(directory.path().join("in.ndjson"), text).unwrap();
        let message = bad(directory.path(), &["import", "in.ndjson"], 1);
        assert!(message.contains("line 4") && message.contains(named) && message.contains("--skip-bad"), "{message}");
        let output = run(directory.path(), &["import", "--skip-bad", "in.ndjson"]);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        let (stored, duplicates, bad) = counts(out(&output));
        assert_eq!((stored + duplicates, bad), (5, 1), "{line:.80}");
        assert!(err(&output).contains("in.ndjson: line 4: ") && err(&output).contains(named), "{}", err(&output));
        let found = identifiers(&good(directory.path(), &["query", "--json", "--order", "asc"]));
        assert_eq!(found, ["e0", "e1", "e2", "f0", "f1"]);
    }
}

#[test]
fn invalid_utf_8_is_a_bad_line() {
    let directory = directory();
    let text = [b"{\"action\":\"\xff\"}\n".as_slice(), ndjson(&events("e", 1)).as_bytes()].concat();
    fs::write(directory.path().join("in.ndjson"), text).unwrap();
    let message = bad(directory.path(), &["import", "in.ndjson"], 1);
    assert!(message.contains("line 1: not UTF-8 at byte 11"), "{message}");
    assert_eq!(counts(&good(directory.path(), &["import", "--skip-bad", "in.ndjson"])), (1, 0, 1));
}

#[test]
fn a_truncated_file_is_an_error_and_its_complete_events_are_kept() {
    let array = serde_json::to_string(&events("e", 3)).unwrap();
    let text = ndjson(&events("e", 3_000));
    let cut = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() - 10);
        bytes
    };
    for (name, bytes) in [
        ("array", array.as_bytes()[..array.len() - 1].to_vec()),
        ("gzip", cut(gzip(text.as_bytes()))),
        ("zstd", cut(zstd::encode_all(text.as_bytes(), 3).unwrap())),
    ] {
        let directory = directory();
        fs::write(directory.path().join(name), bytes).unwrap();
        let output = run(directory.path(), &["import", name]);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", out(&output));
        assert!(err(&output).contains(&format!("auditbox: {name}: ")), "{}", err(&output));
        let found = identifiers(&good(directory.path(), &["query", "--json", "--limit", "5000"]));
        assert_eq!(counts(out(&output)).0, found.len() as u64, "{name}");
    }
}

#[test]
fn a_missing_file_is_an_error() {
    let directory = directory();
    let message = bad(directory.path(), &["import", "nowhere.ndjson"], 1);
    assert!(message.contains("nowhere.ndjson: No such file"), "{message}");
}

#[test]
fn events_without_identifiers_are_duplicates_the_second_time() {
    let directory = directory();
    // The same text at two places is two events; the same place in a second run is the same event.
    let line = r#"{"action":"READ","resourceType":"x"}"#;
    fs::write(directory.path().join("in.ndjson"), format!("{line}\n{line}\n")).unwrap();
    assert_eq!(counts(&good(directory.path(), &["import", "in.ndjson"])), (2, 0, 0));
    assert_eq!(counts(&good(directory.path(), &["import", "in.ndjson"])), (0, 2, 0));
}

#[test]
fn events_are_imported_into_a_running_server() {
    let server = Server::start();
    let token = server.credential("importer", &["ingest"]);
    fs::write(server.directory().join("in.ndjson"), ndjson(&events("e", 1_200))).unwrap();
    let arguments = ["import", "in.ndjson", "--url", &server.url, "--token", &token];
    assert_eq!(counts(&good(server.directory(), &arguments)), (1_200, 0, 0));
    assert_eq!(counts(&good(server.directory(), &arguments)), (0, 1_200, 0));
    let found = server.list("limit=1&entity=e1199").json();
    assert_eq!(found["audits"][0]["receivedBy"], "importer");
    fs::write(server.directory().join("bad.ndjson"), format!("{}{{}}\n{}", event("f0"), event("f1"))).unwrap();
    let arguments = ["import", "bad.ndjson", "--url", &server.url, "--token", &token];
    assert!(bad(server.directory(), &arguments, 1).contains("line 1, record 2: action: is required"));
    // An event that the server rejects is also named by its line.
    let other = json!({ "identifier": "e0", "action": "OTHER", "resourceType": "x" });
    fs::write(server.directory().join("bad.ndjson"), ndjson(&[event("g0"), other, event("g1")])).unwrap();
    let message = bad(server.directory(), &arguments, 1);
    assert!(message.contains("line 2: the identifier is already used by"), "{message}");
    let skipping = [&arguments[..], &["--skip-bad"]].concat();
    assert_eq!(counts(&good(server.directory(), &skipping)), (0, 2, 1));
}

#[test]
fn an_import_that_a_server_rejects_reports_the_reason() {
    let server = Server::start();
    let token = server.credential("reader", &["read"]);
    fs::write(server.directory().join("in.ndjson"), ndjson(&events("e", 1))).unwrap();
    let import =
        |url: &str, token: &str| bad(server.directory(), &["import", "in.ndjson", "--url", url, "--token", token], 1);
    assert!(
        import(&server.url, &token).contains("403 Forbidden: the credential \"reader\" does not have the scope ingest")
    );
    assert!(import(&server.url, "wrong").contains("401 Unauthorized"));
    assert!(import("http://127.0.0.1:9", &token).contains("http://127.0.0.1:9"));
    let message = bad(server.directory(), &["import", "in.ndjson", "--url", &server.url], 2);
    assert!(message.contains("--token"), "{message}");
}

#[test]
fn a_file_in_use_accepts_imports_only_by_url() {
    let server = Server::start();
    fs::write(server.directory().join("in.ndjson"), ndjson(&events("e", 1))).unwrap();
    let message = bad(server.directory(), &["import", "in.ndjson"], 1);
    assert!(message.contains("auditbox.db is open in another auditbox") && message.contains("--url"), "{message}");
    assert_eq!(server.list("").identifiers(), [] as [&str; 0]);
}

#[test]
fn a_server_starts_with_imported_events() {
    let directory = directory();
    assert!(piped(directory.path(), &["import", "-"], ndjson(&events("e", 3)).as_bytes()).status.success());
    let server = Server::start_in(directory, &[]);
    let found = server.list("order=asc");
    assert_eq!(found.identifiers(), ["e0", "e1", "e2"]);
    assert_eq!(found.json()["audits"][0]["receivedBy"], "import");
}

/// A file of 13,005 real events, which is not part of the repository.
#[test]
fn real_events_are_imported_once() {
    let Some(path) = real_events() else { return };
    let directory = directory();
    let path = path.to_str().unwrap();
    assert_eq!(counts(&good(directory.path(), &["import", path])), (13_005, 0, 0));
    assert_eq!(counts(&good(directory.path(), &["import", path])), (0, 13_005, 0));
    assert_eq!(good(directory.path(), &["query", "--json", "--limit", "20000"]).lines().count(), 13_005);
}

/// A server with events that differ in every filter.
fn server_to_ask() -> Server {
    let server = Server::start();
    let made = |number: u32| {
        json!({
            "identifier": format!("e{number}"),
            "action": if number.is_multiple_of(2) { "CREATE" } else { "UPDATE" },
            "resourceType": (["entity", "blueprint", "run"][number as usize % 3]),
            "status": if number.is_multiple_of(5) { "FAILURE" } else { "SUCCESS" },
            "trigger": {
                "at": format!("2024-05-{:02}T12:00:00Z", number + 1),
                "origin": if number.is_multiple_of(7) { "UI, new" } else { "API" },
                "by": { "name": "ada", "userId": "u1", "type": "user" },
            },
            "context": { "entity": format!("svc-{}", number % 4), "blueprint": "service", "runId": "r1" },
            "request": { "method": "GET", "path": "/api/v1/x", "statusCode": 400 + number, "ip": "10.0.0.7" },
        })
    };
    server.store(&(0..20).map(made).collect::<Vec<_>>());
    server
}

#[test]
fn a_query_returns_the_same_events_from_the_file_and_from_the_server() {
    let server = server_to_ask();
    for (flags, query) in [
        (&[][..], ""),
        (&["--entity", "svc-1"], "entity=svc-1"),
        (&["--entity", "svc-1", "--entity", "svc-2"], "entity=svc-1&entity=svc-2"),
        (&["--not-entity", "svc-1", "--status", "FAILURE"], "not.entity=svc-1&status=FAILURE"),
        (&["--resources", "entity,run", "--action", "CREATE"], "resources=entity,run&action=CREATE"),
        (&["--origin", "UI, new"], "origin=UI,%20new"),
        (
            &["--from", "2024-05-05T00:00:00Z", "--to", "2024-05-09T12:00:00+00:00"],
            "from=2024-05-05T00:00:00Z&to=2024-05-09T12:00:00%2B00:00",
        ),
        (&["--limit", "3", "--order", "asc"], "limit=3&order=asc"),
        (
            &["--sort", "received", "--run-id", "r1", "--blueprint", "service"],
            "sort=received&run_id=r1&blueprint=service",
        ),
        (&["--actor", "ada", "--actor-type", "user", "--method", "get"], "actor=ada&actor_type=user&method=get"),
        (&["--path", "/api/", "--status-code", "40x"], "path=/api/&status_code=40x"),
        (
            &["--path", "/api/", "--status-code", "4xx", "--ip", "10.0.0.0/8"],
            "path=/api/&status_code=4xx&ip=10.0.0.0/8",
        ),
        (&["--entity", "nothing"], "entity=nothing"),
        (&["--includes", "identifier", "--includes", "context"], "includes=identifier&includes=context"),
    ] {
        let answer = server.list(query);
        let from_file = run(server.directory(), &[&["query", "--json"], flags].concat());
        let by_url = [&["query", "--json", "--url", &server.url, "--token", &server.token], flags].concat();
        let by_url = run(server.directory(), &by_url);
        if answer.status != 200 {
            let message = answer.json()["message"].as_str().unwrap().to_owned();
            assert_eq!((from_file.status.code(), by_url.status.code()), (Some(2), Some(2)), "{flags:?}");
            assert_eq!(err(&from_file), err(&by_url), "{message}");
            continue;
        }
        let expected: Vec<_> = answer.json()["audits"].as_array().unwrap().iter().map(Value::to_string).collect();
        let lines = |output: &Output| out(output).lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines(&from_file), expected, "{flags:?}");
        assert_eq!(lines(&by_url), expected, "{flags:?}");
    }
}

#[test]
fn a_query_prints_a_table() {
    let server = server_to_ask();
    let file = good(server.directory(), &["query", "--identifier", "e6"]);
    let by_url =
        good(server.directory(), &["query", "--identifier", "e6", "--url", &server.url, "--token", &server.token]);
    assert_eq!(file, by_url);
    let words = |line: &str| {
        line.split("  ").map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let lines: Vec<_> = file.lines().collect();
    assert_eq!(words(lines[0]), ["TIME", "STATUS", "WHO", "ACTION", "RESOURCE", "ENTITY", "REQUEST"]);
    let row = ["2024-05-07T12:00:00Z", "SUCCESS", "ada", "CREATE", "entity", "svc-2 in service", "GET /api/v1/x 406"];
    assert_eq!(words(lines[1]), row);
    assert_eq!(lines.len(), 2);
    let expected = server.list("action=CREATE&count=true&limit=2").json()["count"].to_string();
    let counted = run(server.directory(), &["query", "--action", "CREATE", "--limit", "2"]);
    assert_eq!(err(&counted).lines().next().unwrap(), format!("2 of {expected}; use --limit N or --json for more"));
    // Standard output has only results.
    assert_eq!(out(&counted).lines().count(), 3);
    let none = run(server.directory(), &["query", "--entity", "nothing"]);
    assert_eq!((out(&none), err(&none)), ("", "0 events\n"));
}

#[test]
fn a_table_contains_no_terminal_control_characters() {
    let server = Server::start();
    server.store(&[json!({ "identifier": "e1", "action": "\u{1b}[2J\u{9b}31m\r\n\u{7}", "resourceType": "x" })]);
    let printed = good(server.directory(), &["query"]);
    assert!(printed.chars().all(|char| char == '\n' || !char.is_control()), "{printed:?}");
    assert_eq!(printed.lines().count(), 2, "{printed:?}");
}

#[test]
fn a_table_without_a_limit_shows_the_newest_hundred_and_says_so_and_json_has_all() {
    let directory = directory();
    assert!(piped(directory.path(), &["import", "-"], ndjson(&events("e", 1_150)).as_bytes()).status.success());
    let table = run(directory.path(), &["query"]);
    assert_eq!(out(&table).lines().count(), 101);
    assert_eq!(err(&table).lines().next(), Some("100 of 1,150; use --limit N or --json for more"));
    assert_eq!(good(directory.path(), &["query", "--json"]).lines().count(), 1_150);
    assert_eq!(good(directory.path(), &["query", "--json", "--limit", "200"]).lines().count(), 200);
}

#[test]
fn a_query_of_a_missing_file_does_not_create_it() {
    let directory = directory();
    for arguments in [&["query"][..], &["credential", "list"], &["credential", "disable", "ci"]] {
        let message = bad(directory.path(), arguments, 1);
        assert!(message.contains("there is no file auditbox.db"), "{message}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_query_whose_reader_closes_the_pipe_succeeds() {
    let directory = directory();
    assert!(piped(directory.path(), &["import", "-"], ndjson(&events("e", 2_000)).as_bytes()).status.success());
    for form in [&["query", "--limit", "2000", "--json"][..], &["query", "--limit", "2000"]] {
        let mut command = program(directory.path());
        let mut child = command.args(form).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let notice = if form.contains(&"--json") { "" } else { "2,000 events\n" };
        assert_eq!((output.status.code(), err(&output)), (Some(0), notice), "{form:?}");
    }
}

#[test]
fn credentials_are_created_listed_disabled_enabled_and_revoked() {
    let directory = directory();
    let create = ["credential", "create", "--name", "ci bot", "--scope", "ingest,read", "--expires", "90d"];
    let shown = good(directory.path(), &create);
    for label in ["name           ci bot", "client id", "client secret", "API token      abx_"] {
        assert!(shown.contains(label), "{shown}");
    }
    let value = |label| shown.lines().find_map(|line| line.trim().strip_prefix(label)).unwrap().trim();
    let (client_id, secret) = (value("client id"), value("client secret"));
    let state = || {
        let list = good(directory.path(), &["credential", "list"]);
        assert!(!list.contains(secret), "{list}");
        let row = list.lines().find(|line| line.contains("ci bot")).unwrap().to_owned();
        assert!(row.contains(client_id) && row.contains("service_account") && row.contains("ingest,read"), "{row}");
        ["active", "disabled", "revoked"].into_iter().find(|state| row.contains(state)).unwrap()
    };
    assert_eq!(state(), "active");
    assert!(good(directory.path(), &["credential", "disable", "ci bot"]).contains("ci bot is disabled"));
    assert_eq!(state(), "disabled");
    assert!(good(directory.path(), &["credential", "enable", client_id]).contains("ci bot is enabled"));
    assert_eq!(state(), "active");
    assert!(good(directory.path(), &["credential", "revoke", "ci bot"]).contains("ci bot is revoked"));
    assert_eq!(state(), "revoked");
    assert!(
        bad(directory.path(), &["credential", "enable", "ci bot"], 1).contains("is revoked, which cannot be undone")
    );
    assert!(
        bad(directory.path(), &["credential", "disable", "nobody"], 1).contains("there is no credential \"nobody\"")
    );
    assert!(bad(directory.path(), &create, 1).contains("the name \"ci bot\" is taken"));
}

#[test]
fn a_valid_configuration_is_printed_and_an_invalid_one_is_an_error() {
    let directory = directory();
    let file = directory.path().join("auditbox.toml");
    fs::write(&file, "[server]\nlisten = \"127.0.0.1:7\"\n[limits]\nlist_max = 20000\n").unwrap();
    let check = |name: &str| {
        let mut command = program(directory.path());
        command.env_remove("AUDITBOX_SERVER_LISTEN").args(["check-config", "--config", name]).output().unwrap()
    };
    let output = check("auditbox.toml");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    for part in ["listen = \"127.0.0.1:7\"", "list_max = 20000"] {
        assert!(out(&output).contains(part), "{part}: {}", out(&output));
    }
    // The output is a configuration file with the same effect, and a renamed key is read with a warning.
    fs::write(directory.path().join("printed.toml"), out(&output)).unwrap();
    let again = check("printed.toml");
    assert!(again.status.success() && again.stderr.is_empty() && again.stdout == output.stdout, "{again:?}");
    fs::write(directory.path().join("old.toml"), "[database]\nlog_bytes_max = 200_000_000\n").unwrap();
    let old = check("old.toml");
    assert!(old.status.success() && out(&old).contains("wal_bytes_max = 200000000\n"), "{old:?}");
    let warning = "auditbox: old.toml: [database] log_bytes_max is now called wal_bytes_max; rename it\n";
    assert_eq!(err(&old), warning);
    for (text, named) in [
        ("[server]\nlisen = \"x\"", "auditbox.toml: [server] lisen is not a key"),
        ("[sever]", "auditbox.toml: [sever] is not a section"),
        ("[limits]\nlist_max = 0", "auditbox.toml: [limits] list_max must be between 1"),
        ("[server", "auditbox.toml: "),
    ] {
        fs::write(&file, text).unwrap();
        // Every command rejects it, not only check-config.
        for command in [&["check-config"][..], &["serve"], &["query"], &["credential", "list"]] {
            let message = bad(directory.path(), &[command, &["--config", "auditbox.toml"]].concat(), 1);
            assert!(message.contains(named), "{command:?}: {message}");
        }
    }
    let message = bad(directory.path(), &["check-config", "--config", "nowhere.toml"], 1);
    assert!(message.contains("cannot read the configuration file nowhere.toml"), "{message}");
}

#[test]
fn a_variable_without_a_setting_is_rejected() {
    let directory = directory();
    for (name, value, named) in [
        ("AUDITBOX_SERVER_LISEN", "127.0.0.1:0", "AUDITBOX_SERVER_LISEN: [server] has no key for this variable"),
        ("AUDITBOX_SERVER_WORKERS", "many", "AUDITBOX_SERVER_WORKERS: [server] workers must be a whole number"),
        ("AUDITBOX_LIMITS_LIST_MAX", "0", "AUDITBOX_LIMITS_LIST_MAX: [limits] list_max must be between 1"),
    ] {
        let output = program(directory.path()).arg("check-config").env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(err(&output).contains(named), "{}", err(&output));
    }
    let output = program(directory.path()).arg("check-config").env("AUDITBOX_CONFIG", "nowhere.toml").output().unwrap();
    assert!(err(&output).contains("nowhere.toml"), "{}", err(&output));
}

#[test]
fn healthcheck_reports_a_healthy_server() {
    let mut server = Server::start();
    let healthcheck = |server: &Server| run(server.directory(), &["healthcheck", "--url", &server.url]);
    let output = healthcheck(&server);
    assert_eq!((output.status.code(), out(&output)), (Some(0), &*format!("{} is ready\n", server.url)));
    // Without --url: the configured address.
    let address = server.url.trim_start_matches("http://");
    let own = program(server.directory()).arg("healthcheck").env("AUDITBOX_SERVER_LISTEN", address).output().unwrap();
    assert_eq!(own.status.code(), Some(0), "{}", err(&own));
    server.kill();
    let output = healthcheck(&server);
    assert_eq!((output.status.code(), out(&output)), (Some(1), ""));
    assert!(err(&output).contains("does not answer"), "{}", err(&output));
}

#[test]
fn a_server_that_rejects_writes_is_unhealthy() {
    let server = Server::start();
    let database = rusqlite::Connection::open(server.database()).unwrap();
    let broken = "CREATE TRIGGER broken BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'broken'); END";
    database.execute_batch(broken).unwrap();
    assert_eq!(server.post("/v1/audit-log", &event("e1").to_string()).status, 503);
    let message = bad(server.directory(), &["healthcheck", "--url", &server.url], 1);
    assert!(message.contains("answered 503"), "{message}");
    // Reads continue, and the exit code reports the error.
    assert_eq!(server.list("").status, 200);
    let (status, _) = server.stop();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_demonstration_has_events_and_leaves_no_files() {
    let (directory, elsewhere) = (directory(), directory());
    let mut command = program(directory.path());
    command.args(["demo", "--events", "1500", "--seed", "7"]).env("TMPDIR", elsewhere.path());
    command.env_remove("AUDITBOX_ADMIN_CLIENT_ID").env_remove("AUDITBOX_ADMIN_CLIENT_SECRET");
    let mut demo = Process::start(&mut command);
    let url = demo.url();
    eventually("the credential", || demo.output().contains("?entity=hello").then_some(()));
    let output = demo.output();
    let token = output.lines().find_map(|line| line.trim().strip_prefix("API token")).unwrap().trim();
    let printed = good(directory.path(), &["query", "--json", "--limit", "2000", "--url", &url, "--token", token]);
    assert_eq!(printed.lines().count(), 1_500);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    assert!(demo.stop().success(), "{}", demo.log());
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
