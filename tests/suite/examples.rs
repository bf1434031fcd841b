//! The senders and followers in `examples/` with a real server. Each event is stored once although responses get lost,
//! and each is followed once although the follower is killed. A language without an installed interpreter is skipped.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    harness::{Server, eventually},
    process::Process,
    skip::{CURL, GO, NODE, PYTHON, runs},
};

/// A language of the examples, with its interpreter installed.
struct Language {
    /// The arguments that run each program.
    send: Vec<String>,
    follow: Vec<String>,
    /// The directory of the built programs.
    _built: Option<TempDir>,
}

impl Language {
    fn interpreted(interpreter: &str, send: &str, follow: &str) -> Self {
        let command = |path: &str| vec![interpreter.to_owned(), example(path).display().to_string()];
        Self { send: command(send), follow: command(follow), _built: None }
    }

    fn curl() -> Option<Self> {
        let works = runs("curl", &["--version"]) && runs("sh", &["-c", ":"]);
        CURL.is_met(works).then(|| Self::interpreted("sh", "curl/send.sh", "curl/follow.sh"))
    }

    fn python() -> Option<Self> {
        PYTHON
            .is_met(runs("python3", &["--version"]))
            .then(|| Self::interpreted("python3", "python/send.py", "python/follow.py"))
    }

    fn node() -> Option<Self> {
        NODE.is_met(runs("node", &["--version"])).then(|| Self::interpreted("node", "node/send.mjs", "node/follow.mjs"))
    }

    fn go() -> Option<Self> {
        if !GO.is_met(runs("go", &["version"])) {
            return None;
        }
        let built = tempfile::tempdir().unwrap();
        let compile = |name: &str| {
            let program = built.path().join(name).display().to_string();
            let source = example(&format!("go/{name}.go")).display().to_string();
            let output = Command::new("go").args(["build", "-o", &program, &source]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            vec![program]
        };
        Some(Self { send: compile("send"), follow: compile("follow"), _built: Some(built) })
    }
}

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(path)
}

/// One of the example programs, with the environment that it needs to find a server.
fn command(program: &[String], url: &str, token: &str) -> Command {
    let mut command = Command::new(&program[0]);
    command.args(&program[1..]).env("AUDITBOX_URL", url).env("AUDITBOX_TOKEN", token).env("no_proxy", "127.0.0.1");
    command
}

/// Runs a sender with these lines as its input. Returns whether it succeeded, and its messages.
fn send(language: &Language, url: &str, token: &str, lines: &str) -> (bool, String) {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("events");
    fs::write(&input, lines).unwrap();
    let mut sender =
        Process::start_reading(&mut command(&language.send, url, token), File::open(input).unwrap().into());
    let is_sent = sender.end().success();
    (is_sent, sender.log())
}

fn event(identifier: &str) -> String {
    // The spaces, escapes and numbers must come back unchanged.
    format!(
        r#"{{ "identifier":"{identifier}", "action":"UPDATE", "resourceType":"entity", "additionalData":{{"n":1.0,"big":9007199254740993,"text":"a \\ \"b\" é"}} }}"#
    )
}

/// A proxy that passes on each request and its response, except that it loses the first responses: it closes the
/// connection instead.
fn lossy(server: &Server, lost: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    thread::spawn(move || {
        for (number, client) in listener.incoming().map_while(Result::ok).enumerate() {
            let address = address.clone();
            thread::spawn(move || pass_on(&client, &address, number < lost));
        }
    });
    url
}

/// Passes on the requests of a connection, and the responses unless they are lost. Ends when either side closes.
fn pass_on(client: &TcpStream, address: &str, is_lost: bool) {
    let Ok(server) = TcpStream::connect(address) else { return };
    let mut first = vec![0; 64 * 1024];
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::copy(&mut &*client, &mut &server);
            let _ = server.shutdown(Shutdown::Both);
        });
        // The event is stored before any byte of the response arrives here.
        let length = (&server).read(&mut first).unwrap_or(0);
        if !is_lost && (&mut &*client).write_all(&first[..length]).is_ok() {
            let _ = std::io::copy(&mut &server, &mut &*client);
        }
        let _ = client.shutdown(Shutdown::Both);
    });
}

/// A sender whose responses get lost sends its event again, and the event is stored once. A rejected event ends the
/// sender.
fn check_sender(language: Option<Language>, assigns_identifiers: bool) {
    let Some(language) = language else { return };
    let server = Server::start();
    let token = server.credential("sender", &["ingest"]);
    let url = lossy(&server, 2);
    let (sent, log) = send(&language, &url, &token, &format!("{}\n{}", event("a"), event("b")));
    assert!(sent, "{log}");
    assert!(log.contains("trying again"), "no answer was lost: {log}");
    assert_eq!(server.list("order=asc").identifiers(), ["a", "b"]);
    let text = server.get("/v1/audit-log/a").text;
    assert!(text.contains(r#"{"n":1.0,"big":9007199254740993,"text":"a \\ \"b\" é"}"#), "{text}");

    // An event without an identifier is also stored once.
    let bare = r#"{"action":"READ","resourceType":"bare"}"#;
    let (sent, log) = send(&language, &lossy(&server, 1), &token, bare);
    assert_eq!(sent, assigns_identifiers, "{log}");
    assert_eq!(server.list("resources=bare").identifiers().len(), usize::from(assigns_identifiers));

    let wrong = r#"{"identifier":"c","action":"READ"}"#;
    let (sent, log) = send(&language, &server.url, &token, &format!("{wrong}\n{}", event("d")));
    assert!(!sent && log.contains("422") && log.contains("resourceType"), "{log}");
    assert_eq!(server.list("resources=entity").identifiers().len(), 2);
}

/// The identifiers in a follower's output: each complete line is an event or a page of events.
fn identifiers(output: &str) -> Vec<String> {
    let whole = output.rfind('\n').map_or("", |end| &output[..end]);
    let lines =
        whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    lines
        .flat_map(|line| {
            line.get("audits").map_or_else(|| vec![line.clone()], |audits| audits.as_array().unwrap().clone())
        })
        .map(|event| event["identifier"].as_str().unwrap().to_owned())
        .collect()
}

/// A follower that is killed continues where it stopped. A follower whose cursor is ahead of the log reports that and
/// stops.
fn check_follower(language: Option<Language>) {
    let Some(language) = language else { return };
    let mut server = Server::start();
    let token = server.credential("follower", &["read"]);
    let directory = tempfile::tempdir().unwrap();
    let cursor = directory.path().join("cursor");
    let events = |range: Range<usize>| -> Vec<Value> {
        range.map(|n| json!({ "identifier": format!("e{n}"), "action": "READ", "resourceType": "x" })).collect()
    };
    let follow = |url: &str| {
        Process::start(
            command(&language.follow, url, &token).arg(&cursor).arg("resources=x").current_dir(directory.path()),
        )
    };
    server.store(&events(0..3));
    let first = follow(&server.url);
    eventually("the first events", || (identifiers(&first.output()).len() >= 3).then_some(()));
    server.store(&events(3..5));
    eventually("events that arrive while it waits", || (identifiers(&first.output()).len() >= 5).then_some(()));
    // A follower that is killed after it saved its cursor repeats nothing.
    let saved = eventually("a cursor after the last event", || {
        let saved = fs::read_to_string(&cursor).ok()?;
        let rest = server.get(&format!("/v1/audit-log?sort=received&order=asc&resources=x&cursor={}", saved.trim()));
        rest.identifiers().is_empty().then_some(saved)
    });
    assert_eq!(identifiers(&first.output()), ["e0", "e1", "e2", "e3", "e4"]);
    drop(first);
    server.store(&events(5..7));
    // The follower waits while the server is away.
    server.kill();
    let waiting = follow(&server.url);
    eventually("a message about the missing response", || waiting.log().contains("trying again").then_some(()));
    drop(waiting);
    server.start_again();
    let second = follow(&server.url);
    eventually("the events stored meanwhile", || (identifiers(&second.output()).len() >= 2).then_some(()));
    assert_eq!(identifiers(&second.output()), ["e5", "e6"]);
    // The follower saves the cursor just after it prints the page.
    eventually("the cursor after these events", || (fs::read_to_string(&cursor).unwrap() != saved).then_some(()));
    drop(second);

    // Another log, which ends before the cursor, as after a restore.
    let restored = Server::start();
    let token = restored.credential("follower", &["read"]);
    let mut third = Process::start(
        command(&language.follow, &restored.url, &token).arg(&cursor).arg("resources=x").current_dir(directory.path()),
    );
    assert!(!third.end().success());
    let log = third.log();
    assert!(log.contains("cursor") && log.contains("begin again"), "{log}");
    assert_eq!(third.output(), "");
}

#[test]
fn the_sender_in_curl_stores_each_event_once() {
    check_sender(Language::curl(), false);
}

#[test]
fn the_sender_in_python_stores_each_event_once() {
    check_sender(Language::python(), true);
}

#[test]
fn the_sender_in_node_stores_each_event_once() {
    check_sender(Language::node(), true);
}

#[test]
fn the_sender_in_go_stores_each_event_once() {
    check_sender(Language::go(), true);
}

#[test]
fn the_follower_in_curl_misses_and_repeats_nothing() {
    check_follower(Language::curl());
}

#[test]
fn the_follower_in_python_misses_and_repeats_nothing() {
    check_follower(Language::python());
}

#[test]
fn the_follower_in_node_misses_and_repeats_nothing() {
    check_follower(Language::node());
}

#[test]
fn the_follower_in_go_misses_and_repeats_nothing() {
    check_follower(Language::go());
}

#[test]
fn every_example_is_tested_and_described() {
    let (mut files, mut directories) = (BTreeSet::new(), vec![example("")]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                directories.push(entry);
            } else {
                files.insert(entry.strip_prefix(example("")).unwrap().display().to_string());
            }
        }
    }
    let described = fs::read_to_string(example("README.md")).unwrap();
    files.remove("README.md");
    assert_eq!(files.len(), 8);
    for file in files {
        assert!(described.contains(&file), "examples/README.md does not name {file}");
    }
}
