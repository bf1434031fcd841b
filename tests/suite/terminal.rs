//! Output of the command line: hostile text that a terminal would obey, closed pipes, full disks.

use std::{
    fs::{self, File},
    io::{self, Read, pipe},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Instant,
};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    cli::COMMANDS,
    damage,
    harness::{CLIENT_ID, CLIENT_SECRET, SOON, Server, eventually, exchange, program, run},
};

/// Characters that a terminal obeys or that a reader does not see: ESC, C1, DEL, bidirectional controls, zero-width
/// characters, a line break.
const HOSTILE: &str = "a\u{1b}[2J\u{9b}31m\u{7f}\u{202e}b\u{2066}\u{200b}\u{feff}\nauditbox: FORGED";

/// Nothing in `text` controls a terminal, and no line is forged.
fn is_harmless(what: &str, text: &str) {
    let is_hidden = |char: char| {
        (char.is_control() && char != '\n')
            || matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    assert!(!text.contains(is_hidden), "{what}: {text:?}");
    assert!(!text.lines().any(|line| line.starts_with("auditbox: FORGED")), "{what}: {text}");
}

fn both(output: &Output) -> String {
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap() + std::str::from_utf8(&output.stderr).unwrap()
}

fn event(identifier: &str) -> Value {
    json!({ "identifier": identifier, "action": "CREATE", "resourceType": "x", "trigger": { "at": "2024-05-01T12:00:00Z" } })
}

/// The two ends of a pseudo-terminal: the terminal's, and the program's.
pub(crate) fn terminal() -> (OwnedFd, OwnedFd) {
    let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&own).unwrap();
    unlockpt(&own).unwrap();
    let other = ioctl_tiocgptpeer(&own, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    (own, other)
}

/// The output of a command on a terminal.
fn on_terminal(directory: &Path, arguments: &[&str]) -> String {
    let (own, other) = terminal();
    let mut command = program(directory);
    let mut child = command.args(arguments).stdin(Stdio::null()).stdout(other).stderr(Stdio::null()).spawn().unwrap();
    drop(command);
    let (mut written, mut buffer, mut own) = (Vec::new(), [0; 4096], File::from(own));
    // Reading fails after the last program has closed its end.
    while let Ok(length) = own.read(&mut buffer) {
        if length == 0 {
            break;
        }
        written.extend_from_slice(&buffer[..length]);
    }
    assert!(child.wait().unwrap().success());
    String::from_utf8(written).unwrap().replace("\r\n", "\n")
}

#[test]
fn events_do_not_control_the_terminal() {
    let server = Server::start();
    let mut sent = event("e1");
    sent["action"] = HOSTILE.into();
    sent["context"] = json!({ "entity": HOSTILE });
    sent[HOSTILE] = json!({ "k\u{85}": [HOSTILE] });
    server.store(&[sent.clone()]);
    // Earlier versions accepted such names.
    let name = "n\u{202e}\u{200b}b";
    assert_eq!(server.post("/v1/credentials", &json!({ "name": "old", "scopes": ["read"] }).to_string()).status, 201);
    let file = rusqlite::Connection::open(server.database()).unwrap();
    assert_eq!(file.execute("UPDATE credential SET name = ?1 WHERE name = 'old'", [name]).unwrap(), 1);
    drop(file);
    for arguments in [&["query"][..], &["credential", "list"], &["credential", "disable", name]] {
        let output = run(server.directory(), arguments);
        assert!(output.status.success(), "{output:?}");
        is_harmless(arguments[0], &both(&output));
        assert!(both(&output).contains(r"\u{202e}"), "{output:?}");
    }
    // JSON is for programs, so it contains the stored bytes; a person sees the same value.
    let stored = server.get("/v1/audit-log/e1").json()["audit"].to_string();
    let piped = run(server.directory(), &["query", "--json", "--identifier", "e1"]);
    assert_eq!(std::str::from_utf8(&piped.stdout).unwrap(), format!("{stored}\n"));
    assert!(stored.contains('\u{9b}') && stored.contains('\u{202e}'));
    let shown = on_terminal(server.directory(), &["query", "--json", "--identifier", "e1"]);
    is_harmless("query --json on a terminal", &shown);
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), serde_json::from_str::<Value>(&stored).unwrap());
    is_harmless("query on a terminal", &on_terminal(server.directory(), &["query", "--identifier", "e1"]));
}

#[test]
fn damaged_and_rejected_events_do_not_control_the_terminal() {
    let server = Server::start();
    server.store(&[event(HOSTILE), event("sound")]);
    // The error names a duplicate key.
    let key = serde_json::to_string(HOSTILE).unwrap();
    let bad = format!("{{\"action\":\"A\",\"resourceType\":\"x\",\"context\":{{{key}:1,{key}:2}}}}\n");
    fs::write(server.directory().join("in.ndjson"), &bad).unwrap();
    for more in [&["import", "in.ndjson"][..], &["import", "--skip-bad", "in.ndjson"]] {
        let arguments = [more, &["--url", &server.url, "--token", &server.token]].concat();
        let said = both(&run(server.directory(), &arguments));
        is_harmless("import", &said);
        assert!(said.contains("line 1: context.a\\u{1b}[2J"), "{said}");
    }
    let connection = damage::sql(&server.database());
    let damaged = "UPDATE event SET timestamp = timestamp + 1 WHERE timestamp = 1714564800000000";
    assert_eq!(connection.execute(damaged, []).unwrap(), 2);
    damage::close(connection);
    for arguments in [&["doctor"][..], &["query"], &["query", "--json"], &["backup", "copy.db"]] {
        let output = run(server.directory(), arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        is_harmless(arguments[0], &both(&output));
    }
    let said = both(&run(server.directory(), &["doctor"]));
    assert!(said.contains("event ") && said.contains(r"(a\u{1b}[2J"), "{said}");
    let said = both(&run(server.directory(), &["query", "--url", &server.url, "--token", &server.token]));
    is_harmless("query --url", &said);
    assert!(said.contains("damaged, left out: "), "{said}");
}

#[test]
fn arguments_file_names_and_configurations_do_not_control_the_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let toml = format!("[server]\nlisten = \"{}", HOSTILE.replace('\n', " "));
    fs::write(directory.path().join("bad.toml"), toml).unwrap();
    fs::write(directory.path().join("good.toml"), "").unwrap();
    for (arguments, code, named) in [
        (&["import", HOSTILE][..], 1, r"a\u{1b}[2J\u{9b}31m"),
        (&["--config", HOSTILE, "check-config"], 1, r"a\u{1b}[2J"),
        (&["--config", "bad.toml", "check-config"], 1, "at line 2, column"),
        (&["query", "--entity", "x", "--limit", HOSTILE], 2, "limit"),
        (&[HOSTILE], 2, r"a\u{1b}[2J\u{9b}31m"),
        (&["query", HOSTILE], 2, r"a\u{1b}[2J\u{9b}31m"),
        (&["query", "--limit=1", "--no\u{1b}[2J\u{202e}"], 2, r"--no\u{1b}[2J\u{202e}"),
        (&["credential", "create", "--name", "x", "--scope", HOSTILE], 2, r"a\u{1b}[2J"),
        (&["credential", "disable", HOSTILE], 1, "there is no"),
        (&["demo", "--events", HOSTILE], 2, r"a\u{1b}[2J"),
        (&["healthcheck", "--url", HOSTILE], 2, r"a\u{1b}[2J"),
        (&["restore", "--force", HOSTILE], 1, r"a\u{1b}[2J"),
        (&["man", HOSTILE], 2, r"a\u{1b}[2J"),
        (&["completions", HOSTILE], 2, r"a\u{1b}[2J"),
    ] {
        let output = run(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        let said = both(&output);
        is_harmless(arguments[0], &said);
        assert!(said.contains(named), "{arguments:?}: {said}");
    }
    let mut command = program(directory.path());
    let output = command.args(["check-config"]).env("AUDITBOX_DATABASE_PATH", HOSTILE).output().unwrap();
    is_harmless("check-config", &both(&output));
}

#[test]
fn the_server_log_does_not_control_the_terminal_in_any_format() {
    let server = Server::start();
    server.store(&[event(HOSTILE)]);
    let (_, directory) = server.stop();
    // The log names a damaged event.
    let connection = damage::sql(&directory.path().join("auditbox.db"));
    let damaged = "UPDATE event SET timestamp = timestamp + 1 WHERE timestamp = 1714564800000000";
    assert_eq!(connection.execute(damaged, []).unwrap(), 1);
    damage::close(connection);
    for (format, is_colored) in [("json", false), ("text", false), ("text", true)] {
        let (own, other) = terminal();
        let log = directory.path().join("log");
        let mut command = program(directory.path());
        command.env("AUDITBOX_LOG_FORMAT", format).env("AUDITBOX_LOG_LEVEL", "trace").env_remove("NO_COLOR");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        if is_colored {
            command.stderr(other);
            let (mut to, mut own) = (File::create(&log).unwrap(), File::from(own));
            std::thread::spawn(move || drop(io::copy(&mut own, &mut to)));
        } else {
            command.stderr(File::create(&log).unwrap());
        }
        let mut server = Running(command.spawn().unwrap());
        drop(command);
        let url = server.url();
        let login = json!({ "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET }).to_string();
        let answer = exchange(&url, 0, "POST", "/v1/auth/access_token", &[], login.as_bytes()).unwrap();
        let bearer = format!("Bearer {}", answer.json()["accessToken"].as_str().unwrap());
        let headers = [("authorization", &*bearer), ("user-agent", "a\u{9b}b")];
        let name = percent_encoding::utf8_percent_encode(HOSTILE, percent_encoding::NON_ALPHANUMERIC).to_string();
        for path in ["/v1/audit-log", &format!("/v1/audit-log?{name}={name}"), &format!("/v1/{name}")] {
            exchange(&url, 0, "GET", path, &headers, b"").unwrap();
        }
        let text = eventually("a line about the damaged event", || {
            let text = fs::read_to_string(&log).unwrap();
            (text.contains("a query matched a damaged event") && text.ends_with('\n')).then_some(text)
        });
        let text = text.replace("\r\n", "\n");
        assert!(text.contains("FORGED"), "{text}");
        assert_eq!(text.contains('\u{1b}'), is_colored, "{text}");
        is_harmless(format, &without_colors(&text));
    }
}

/// The text without the sequences that set a color.
fn without_colors(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        let (color, rest) = part.split_once('m').unwrap();
        assert!(color.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'), "{part:?}");
        plain.push_str(rest);
    }
    plain
}

/// A process that is killed when dropped.
struct Running(Child);

impl Running {
    /// The URL that a server prints.
    fn url(&mut self) -> String {
        let mut lines = io::BufRead::lines(io::BufReader::new(self.0.stdout.take().unwrap()));
        let url = lines.by_ref().map_while(Result::ok).find_map(|line| line.split(" at ").nth(1).map(str::to_owned));
        std::thread::spawn(move || lines.for_each(drop));
        url.unwrap()
    }

    fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < SOON, "the program does not end");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// How a command's output is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// The reader closes the pipe before the command starts.
    Closed,
    /// The reader closes the pipe while the command runs, as in `| true`.
    Left,
    /// The disk is full.
    Full,
}

/// Runs a command whose output is lost. Returns its exit code and its standard error.
fn lose(command: &mut Command, lost: Lost) -> (i32, String) {
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let mut reader = None;
    if lost == Lost::Full {
        command.stdout(File::options().write(true).open("/dev/full").unwrap());
    } else {
        let (read, write) = pipe().unwrap();
        command.stdout(write);
        reader = Some(read).filter(|_| lost == Lost::Left);
    }
    let mut child = Running(command.spawn().unwrap());
    drop(reader);
    // This process has the other end of the pipe too.
    command.stdout(Stdio::null());
    let mut said = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let status = child.end();
    assert!(!said.contains("panicked"), "{lost:?} {command:?}: {said}");
    (status.code().unwrap_or_else(|| panic!("{command:?}: {status}")), said)
}

/// A directory with a log and the files that the commands need.
fn prepared() -> TempDir {
    let server = Server::start_with(&[("AUDITBOX_RETENTION_KEEP_DAYS", "3000")]);
    server.store(&(0..300).map(|number| event(&format!("e{number}"))).collect::<Vec<_>>());
    let (_, directory) = server.stop();
    fs::write(directory.path().join("in.ndjson"), event("i").to_string()).unwrap();
    // The last administrator cannot be disabled.
    let second = ["credential", "create", "--name", "second", "--scope", "admin"];
    assert!(run(directory.path(), &second).status.success());
    assert!(run(directory.path(), &["backup", "backup.db"]).status.success());
    directory
}

/// Commands that finish their work even if their output is lost. URL is the address of a server, and TOKEN a token for it.
const COMPLETING: &[&[&str]] = &[
    &["--help"],
    &["--version"],
    &["query", "--help"],
    &["import", "in.ndjson"],
    &["query"],
    &["query", "--json", "--limit", "300"],
    &["export"],
    &["export", "--format", "csv"],
    &["stats"],
    &["event", "e1"],
    &["credential", "--help"],
    &["credential", "list"],
    &["credential", "disable", "test-admin"],
    &["credential", "enable", "test-admin"],
    &["credential", "retire-secrets", "second"],
    &["credential", "allow-ip", "second", "any"],
    &["preset", "list"],
    &["preset", "show", "okta"],
    &["preset", "test"],
    &["check-config"],
    &["healthcheck", "--url", "URL"],
    &["doors", "--url", "URL", "--token", "TOKEN"],
    &["doctor"],
    &["retention"],
    &["reindex"],
    &["backup", "--force", "other.db"],
    &["restore", "--force", "backup.db"],
    &["completions", "bash"],
    &["man", "query"],
];
/// Commands whose output cannot be repeated: a lost secret is made invalid, or nobody has it. `revoke` needs a new credential each
/// time.
const ONCE: &[&[&str]] =
    &[&["credential", "create"], &["credential", "add-secret"], &["credential", "revoke"], &["login-link"]];
/// Commands that run a server.
const SERVING: &[&[&str]] = &[&[], &["serve"], &["demo", "--events", "10"]];
/// Commands that print until their output has no reader.
const ENDLESS: &[&[&str]] = &[&["tail"]];
/// Commands that run until they are stopped, and print nothing to standard output.
const SILENT: &[&[&str]] = &[&["follow"]];

#[test]
fn every_command_of_the_help_is_tested_with_a_lost_output() {
    let tested = || COMPLETING.iter().chain(ONCE).chain(SERVING).chain(ENDLESS).chain(SILENT);
    for command in COMMANDS {
        assert!(tested().any(|arguments| arguments.starts_with(command)), "{command:?}");
    }
}

#[test]
fn every_command_ends_cleanly_although_its_output_is_lost() {
    let directory = prepared();
    let (server, names) = (Server::start(), std::cell::Cell::new(0));
    let says_full = |said: &str| said.contains("auditbox: cannot write to standard output: No space left on device");
    for round in 0..3 {
        for arguments in COMPLETING {
            for (lost, expected) in [(Lost::Closed, 0), (Lost::Left, 0), (Lost::Full, 1)] {
                let mut command = program(directory.path());
                command.args(arguments.iter().map(|text| match *text {
                    "URL" => &server.url,
                    "TOKEN" => &server.token,
                    text => text,
                }));
                command.env("AUDITBOX_RETENTION_KEEP_DAYS", "3000");
                let (code, said) = lose(&mut command, lost);
                assert_eq!(code, expected, "{round} {lost:?} {arguments:?}: {said}");
                assert_eq!(says_full(&said), lost == Lost::Full, "{lost:?} {arguments:?}: {said}");
            }
        }
        for (lost, is_certain) in [(Lost::Closed, true), (Lost::Left, false), (Lost::Full, true)] {
            names.set(names.get() + 1);
            let name = format!("lost-{}", names.get());
            let mut command = program(directory.path());
            let (code, said) = lose(command.args(["credential", "create", "--name", &name, "--scope", "read"]), lost);
            let list = run(directory.path(), &["credential", "list"]);
            let list = String::from_utf8(list.stdout).unwrap();
            let row =
                list.lines().find(|row| row.trim_start().starts_with(&name)).unwrap_or_else(|| panic!("{list} {said}"));
            assert_eq!(row.contains("revoked"), code == 1, "{lost:?}: {row}");
            assert!(code == 1 || (code == 0 && !is_certain), "{lost:?}: {said}");
            assert!(code == 0 || said.contains("so it was revoked."), "{lost:?}: {said}");
            let (code, said) = lose(program(directory.path()).args(["credential", "add-secret", "second"]), lost);
            assert!(code == 1 || (code == 0 && !is_certain), "{lost:?}: {said}");
            assert!(code == 0 || said.contains("could not be shown"), "{lost:?}: {said}");
            let (code, said) = lose(program(directory.path()).args(["login-link", "--credential", "test-admin"]), lost);
            assert!(code == 1 || (code == 0 && !is_certain), "{lost:?}: {said}");
            assert!(code == 0 || said.contains("so it was made invalid"), "{lost:?}: {said}");
            let name = format!("gone-{}", names.get());
            let create = ["credential", "create", "--name", &name, "--scope", "read"];
            assert!(run(directory.path(), &create).status.success());
            let (code, said) = lose(program(directory.path()).args(["credential", "revoke", &name]), lost);
            assert_eq!((code, says_full(&said)), (i32::from(lost == Lost::Full), lost == Lost::Full), "{said}");
            let list = String::from_utf8(run(directory.path(), &["credential", "list"]).stdout).unwrap();
            assert!(list.lines().any(|row| row.contains(&name) && row.contains("revoked")), "{list}");
        }
    }
    let database = rusqlite::Connection::open(directory.path().join("auditbox.db")).unwrap();
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(count("SELECT count(*) FROM setting WHERE name LIKE 'spent:%'") >= 2);
}

/// A first start without a chosen credential.
fn first_start(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = program(directory);
    command.args(arguments).env_remove("AUDITBOX_ADMIN_CLIENT_ID").env_remove("AUDITBOX_ADMIN_CLIENT_SECRET");
    command
}

#[test]
fn a_first_start_whose_secret_is_lost_revokes_it_and_ends() {
    for arguments in SERVING {
        for lost in [Lost::Closed, Lost::Full] {
            let directory = tempfile::tempdir().unwrap();
            let (code, said) = lose(&mut first_start(directory.path(), arguments), lost);
            assert_eq!(code, 1, "{lost:?} {arguments:?}: {said}");
            assert!(said.contains("cannot write to standard output"), "{said}");
            assert!(said.contains("\"admin\" could not be shown, so it was revoked."), "{said}");
            assert!(said.contains("auditbox credential create --name"), "{said}");
            if arguments.first() != Some(&"demo") {
                let list = run(directory.path(), &["credential", "list"]);
                assert!(String::from_utf8(list.stdout).unwrap().contains("revoked"));
                let records = run(directory.path(), &["query", "--json", "--origin", "auditbox"]);
                assert!(String::from_utf8(records.stdout).unwrap().contains("credential.revoke"));
            }
        }
    }
}

#[test]
fn a_server_whose_output_is_lost_continues_to_serve() {
    let server = Server::start();
    let (_, directory) = server.stop();
    for lost in [Lost::Closed, Lost::Full] {
        let mut command = program(directory.path());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        command.env("AUDITBOX_SERVER_LISTEN", &address).stdin(Stdio::null()).stderr(Stdio::null());
        match lost {
            Lost::Full => command.stdout(File::options().write(true).open("/dev/full").unwrap()),
            // The server log is lost too.
            _ => command.stdout(pipe().unwrap().1).stderr(pipe().unwrap().1).env("AUDITBOX_LOG_LEVEL", "trace"),
        };
        let child = Running(command.spawn().unwrap());
        for path in ["/healthz", "/v1/audit-log", "/healthz"] {
            eventually("an answer", || exchange(&format!("http://{address}"), 0, "GET", path, &[], b"").ok());
        }
        drop(child);
    }
}

#[test]
fn the_version_names_the_commit_and_sqlite_and_completions_and_man_work() {
    let directory = tempfile::tempdir().unwrap();
    // Neither needs a readable configuration, and neither shows the environment.
    let printed = |arguments: &[&str]| {
        let mut command = program(directory.path());
        command.env("AUDITBOX_CONFIG", "nowhere.toml").env("AUDITBOX_URL", "in-the-environment");
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("in-the-environment") && !text.contains("nowhere.toml"), "{arguments:?}: {text}");
        text
    };
    let commit = option_env!("AUDITBOX_COMMIT").unwrap_or("unknown");
    let (package, sqlite) = (env!("CARGO_PKG_VERSION"), rusqlite::version());
    for flag in ["--version", "-V"] {
        assert_eq!(printed(&[flag]), format!("auditbox {package} (commit {commit}, SQLite {sqlite})\n"));
    }
    for (shell, part) in [("bash", "complete -F"), ("zsh", "#compdef auditbox"), ("fish", "complete -c auditbox")] {
        let script = printed(&["completions", shell]);
        assert!(script.contains(part) && script.contains("--status-code") && script.contains("login-link"), "{script}");
    }
    let page = printed(&["man"]);
    assert!(page.contains(".TH auditbox 1") && page.contains("healthcheck"), "{page}");
    let page = printed(&["man", "credential", "create"]);
    assert!(page.contains("auditbox\\-credential\\-create") && page.contains("expires"), "{page}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
