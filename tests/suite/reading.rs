//! The commands that read events: `query`, `tail`, `export`, `stats` and `event`, on the file and on a server.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use auditbox::model::timestamp::Timestamp;
use serde_json::{Value, json};

use crate::{
    cli::{bad, directory, err, event, events, good, identifiers, ndjson, out, piped},
    harness::{SOON, Server, program, run},
    terminal::terminal,
};

/// The flags for a server.
fn by_url(server: &Server) -> [&str; 4] {
    ["--url", &server.url, "--token", &server.token]
}

/// An event at a time.
fn at(identifier: &str, time: &str) -> Value {
    let mut event = event(identifier);
    event["trigger"]["at"] = time.into();
    event
}

#[test]
fn json_has_every_event_and_a_limited_list_ends_with_its_cursor() {
    // More than one request to the server returns.
    let server = Server::start_with(&[("AUDITBOX_LIMITS_LIST_MAX", "400"), ("AUDITBOX_LIMITS_LIST_DEFAULT", "300")]);
    server.store(&events("e", 1_250));
    for more in [&[][..], &by_url(&server)] {
        let query = |flags: &[&str]| run(server.directory(), &[&["query", "--json"], flags, more].concat());
        let all = query(&[]);
        assert_eq!((all.status.code(), err(&all)), (Some(0), ""));
        assert_eq!(out(&all).lines().count(), 1_250);
        assert_eq!(identifiers(out(&query(&["--sort", "received", "--order", "asc"])))[1_249], "e1249");
        // The pages of a list are the list.
        let (mut pages, mut cursor) = (String::new(), Vec::new());
        loop {
            let page =
                query(&[&["--limit", "500"], &cursor.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat());
            pages.push_str(out(&page));
            let Some(next) = err(&page).strip_prefix("next cursor: ") else { break };
            cursor = vec!["--cursor".to_owned(), next.trim_end().to_owned()];
        }
        assert_eq!(pages, out(&all));
        let counted = query(&["--count", "--limit", "2"]);
        assert!(err(&counted).starts_with("1,250 events match\nnext cursor: "), "{}", err(&counted));
        let table = run(server.directory(), &[&["query"], more].concat());
        let notices = "100 of 1,250; use --limit N or --json for more\nnext cursor: ";
        assert!(err(&table).starts_with(notices), "{}", err(&table));
        let whole = run(server.directory(), &[&["query", "--limit", "1250"], more].concat());
        assert_eq!((out(&whole).lines().count(), err(&whole)), (1_251, "1,250 events\n"));
    }
}

#[test]
fn a_reader_that_has_enough_ends_a_long_list() {
    let server = Server::start();
    server.store(&events("e", 3_000));
    for more in [&[][..], &by_url(&server)] {
        let mut command = program(server.directory());
        let mut child =
            command.args(["query", "--json"]).args(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        drop(lines);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), err(&output)), (Some(0), ""));
    }
}

#[test]
fn invalid_values_exit_with_2_also_with_a_server() {
    let server = Server::start();
    server.store(&events("e", 2));
    for arguments in [
        &["query", "--limit", "none"][..],
        &["query", "--from", "soon"],
        &["query", "--from", "2024-13-01"],
        &["query", "--from", "2024-05-01", "--tz", "Nowhere"],
        &["query", "--count", "maybe"],
        &["query", "--status", "BROKEN"],
        &["query", "--status-code", "teapot"],
        &["query", "--includes", "nothing"],
        &["query", "--cursor", "x"],
        &["query", "--json", "--order", "up"],
        &["tail", "--status", "BROKEN"],
        &["tail", "--cursor", "x"],
        &["tail", "--limit", "1"],
        &["export", "--format", "xml"],
        &["export", "--format", "csv", "--includes", "diff"],
        &["export", "--from", "soon"],
        &["stats", "--facets", "identifier"],
        &["stats", "--histogram", "2h"],
        &["event"],
        &["event", "e1", "--includes", "nothing"],
    ] {
        for more in [&[][..], &by_url(&server)] {
            let message = bad(server.directory(), &[arguments, more].concat(), 2);
            assert!(!message.is_empty());
            // The error names the flag.
            let flag = arguments.iter().rfind(|text| text.starts_with("--")).unwrap_or(&"ID");
            assert!(message.contains(flag.trim_start_matches('-')), "{arguments:?}: {message}");
        }
    }
    // What only the server can know.
    let list = server.list("limit=1").json();
    let cursor = list["next"].as_str().unwrap();
    let other = ["query", "--entity", "e1", "--cursor", cursor];
    assert!(bad(server.directory(), &[&other, &by_url(&server)[..]].concat(), 2).contains("cursor"));
    assert!(bad(server.directory(), &other, 2).contains("cursor"));
}

#[test]
fn times_are_relative_dates_or_in_a_zone() {
    let server = Server::start();
    let ago = |seconds: i64| Timestamp::now().plus_seconds(-seconds).to_string();
    server.store(&[
        at("hour", &ago(3_600)),
        at("days", &ago(3 * 86_400)),
        at("eve", "2024-04-30T22:30:00Z"),
        at("day", "2024-05-01T12:00:00Z"),
        at("second", "2024-05-01T12:00:59.5Z"),
        at("night", "2024-05-01T22:30:00Z"),
    ]);
    for more in [&[][..], &by_url(&server)] {
        let found = |flags: &[&str]| {
            identifiers(&good(server.directory(), &[&["query", "--json", "--order", "asc"], flags, more].concat()))
        };
        assert_eq!(found(&["--from", "24h"]), ["hour"]);
        assert_eq!(found(&["--from", "7d"]), ["days", "hour"]);
        assert_eq!(found(&["--from", "7d", "--to", "1d"]), ["days"]);
        assert_eq!(found(&["--from", "2024-05-01", "--to", "2024-05-01"]), ["day", "second", "night"]);
        let berlin = ["--from", "2024-05-01", "--to", "2024-05-01", "--tz", "Europe/Berlin"];
        assert_eq!(found(&berlin), ["eve", "day", "second"]);
        assert_eq!(
            found(&["--from", "2024-05-01T14:00", "--to", "2024-05-01T14:00", "--tz", "+02:00"]),
            ["day", "second"]
        );
        assert_eq!(found(&["--to", "2024-05-01T12:00:59Z", "--from", "2024-05-01T12:00:59Z"]), ["second"]);
        let table =
            good(server.directory(), &[&["query", "--identifier", "day", "--tz", "Europe/Berlin"], more].concat());
        assert!(table.contains("2024-05-01T14:00:00+02:00"), "{table}");
    }
}

/// The output of a command on a terminal of this many columns.
fn on_terminal(directory: &Path, arguments: &[&str], columns: u16, variables: &[(&str, &str)]) -> String {
    let (own, other) = terminal();
    let size = rustix::termios::Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&other, size).unwrap();
    let mut command = program(directory);
    command.env_remove("NO_COLOR").env("TERM", "xterm").envs(variables.iter().copied());
    let mut child = command.args(arguments).stdin(Stdio::null()).stdout(other).stderr(Stdio::null()).spawn().unwrap();
    drop(command);
    let (mut text, mut own) = (Vec::new(), File::from(own));
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = own.read(&mut buffer) {
        text.extend_from_slice(&buffer[..length]);
    }
    assert!(child.wait().unwrap().success());
    String::from_utf8(text).unwrap().replace("\r\n", "\n")
}

#[test]
fn a_table_has_one_line_per_event_on_a_terminal_of_any_width() {
    let directory = directory();
    let long = |number: usize| {
        json!({
            "identifier": format!("e{number}"), "action": "organization.member.add", "resourceType": "organization_member",
            "status": if number == 1 { "FAILURE" } else { "SUCCESS" },
            "trigger": { "at": "2024-05-01T12:00:00.123456+02:00", "by": { "email": "a.very.long.name@an.example.com" } },
            "context": { "entity": "an-entity-with-a-long-name", "blueprint": "日本語日本語" },
        })
    };
    let text = ndjson(&(0..3).map(long).collect::<Vec<_>>());
    assert!(piped(directory.path(), &["import", "-"], text.as_bytes()).status.success());
    for columns in [80, 100, 132, 40] {
        let shown = on_terminal(directory.path(), &["query"], columns, &[("NO_COLOR", "1")]);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines.len(), 4, "{shown}");
        for line in &lines {
            let width: usize = line.chars().map(|char| if char as u32 > 0x3000 { 2 } else { 1 }).sum();
            assert!(width <= usize::from(columns), "{columns}: {line}");
        }
        assert!(lines[1..4].iter().all(|line| line.starts_with("2024-05-01T10:00:00Z  ")), "{shown}");
        // No event has a request.
        assert!(!lines[0].contains("REQUEST") && lines[0].starts_with("TIME "), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
    let colored = on_terminal(directory.path(), &["query"], 80, &[]);
    let red: Vec<_> =
        colored.lines().filter(|line| line.starts_with("\u{1b}[31m") && line.ends_with("\u{1b}[0m")).collect();
    assert_eq!((red.len(), colored.matches('\u{1b}').count()), (1, 2), "{colored:?}");
    assert!(red[0].contains("FAILURE"), "{colored:?}");
    for plain in [("NO_COLOR", "yes"), ("TERM", "dumb")] {
        assert!(!on_terminal(directory.path(), &["query"], 80, &[plain]).contains('\u{1b}'));
    }
    // In a file nothing is cut off, and nothing is colored.
    let whole = good(directory.path(), &["query"]);
    assert!(whole.contains("a.very.long.name@an.example.com") && whole.contains("2024-05-01T12:00:00.123456+02:00"));
    assert!(!whole.contains('\u{1b}'));
}

#[test]
fn a_time_of_receipt_is_whole_and_counts_fit_a_terminal() {
    let directory = directory();
    let sent = |number: usize| {
        let mut event = event(&format!("e{number}"));
        event["message"] = "a long message that needs most of a line on a terminal of eighty columns".into();
        event["diff"] = json!({ "before": { "key": "a long value ".repeat(9) }, "after": null });
        event["context"] = json!({ "entity": "an-entity-with-a-long-name-".repeat(5) });
        event["status"] = "FAILURE".into();
        event
    };
    let text = ndjson(&(0..20).map(sent).collect::<Vec<_>>());
    assert!(piped(directory.path(), &["import", "-"], text.as_bytes()).status.success());
    let plain = &[("NO_COLOR", "1")];
    let shown = on_terminal(directory.path(), &["query", "--includes", "trigger,diff,message,receivedAt"], 80, plain);
    for line in shown.lines().skip(1) {
        let time = line.split_whitespace().last().unwrap();
        assert!(time.len() == 20 && Timestamp::parse(time).is_some(), "{shown}");
    }
    for flags in
        [&["--includes", "trigger,diff,message,receivedAt"][..], &["--facets", "entity"], &["--histogram", "1d"]]
    {
        let command = if flags[0] == "--includes" { "query" } else { "stats" };
        let shown = on_terminal(directory.path(), &[&[command], flags].concat(), 80, plain);
        assert!(shown.lines().count() > 2 && shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }
    let whole = good(directory.path(), &["stats", "--facets", "entity"]);
    assert!(whole.contains(&"an-entity-with-a-long-name-".repeat(5)), "{whole}");
}

#[test]
fn one_long_cell_does_not_make_every_row_of_a_pipe_long() {
    let directory = directory();
    let mut sent = events("e", 100);
    sent[50]["context"] = json!({ "entity": "x".repeat(10_000) });
    sent[50]["request"] = json!({ "method": "GET", "path": "/last" });
    assert!(piped(directory.path(), &["import", "-"], ndjson(&sent).as_bytes()).status.success());
    let table = good(directory.path(), &["query"]);
    assert!(table.contains(&("x".repeat(10_000) + "  GET /last")), "nothing is cut off");
    assert!(table.len() < 40_000, "{}", table.len());
}

#[test]
fn a_cursor_of_a_duration_is_printed_with_the_times_that_continue_it() {
    let server = Server::start();
    let now = Timestamp::now();
    let sent = |number: i64| at(&format!("e{number}"), &now.plus_seconds(-60 - number).to_string());
    server.store(&(0..5).map(sent).collect::<Vec<_>>());
    for more in [&[][..], &by_url(&server)] {
        let query =
            |flags: &[&str]| run(server.directory(), &[&["query", "--json", "--limit", "3"], flags, more].concat());
        let first = query(&["--from", "24h", "--to", "1s"]);
        let said = err(&first);
        let flags: Vec<_> = said.lines().nth(1).unwrap().split_once("continue with: ").unwrap().1.split(' ').collect();
        let next = query(&flags);
        assert_eq!(
            (next.status.code(), identifiers(out(&next))),
            (Some(0), vec!["e3".to_owned(), "e4".to_owned()]),
            "{said}"
        );
        // Without a duration, the cursor is enough.
        assert_eq!(err(&query(&[])).lines().count(), 1);
    }
}

#[test]
fn values_with_a_hyphen_are_values() {
    let directory = directory();
    assert!(piped(directory.path(), &["import", "-"], event("e0").to_string().as_bytes()).status.success());
    for (arguments, says) in [
        (&["query", "--limit", "-1"][..], "--limit: "),
        (&["query", "--from", "-soon"], "--from: is not a duration"),
        (&["query", "--status-code", "-1"], "--status-code: "),
    ] {
        assert!(bad(directory.path(), arguments, 2).contains(says), "{}", bad(directory.path(), arguments, 2));
    }
    let dated = ["query", "--from", "-36500d", "--to", "-24h", "--tz", "UTC"];
    assert!(err(&run(directory.path(), &dated)).starts_with("1 event\n"), "{}", err(&run(directory.path(), &dated)));
}

#[test]
fn an_invalid_url_is_a_usage_error_and_an_empty_variable_is_none() {
    let directory = directory();
    assert!(piped(directory.path(), &["import", "-"], ndjson(&events("e", 2)).as_bytes()).status.success());
    for url in ["", "ftp://x", "http://", "127.0.0.1:9200", "http://x?a=b", "http://x/path?a", "http://x/#a", "x y"] {
        for command in [&["query"][..], &["tail"], &["import", "-"]] {
            let message = bad(directory.path(), &[command, &["--token", "t", "--url", url]].concat(), 2);
            assert!(message.contains("--url") && message.contains("http://127.0.0.1:8686"), "{url}: {message}");
        }
        assert!(bad(directory.path(), &["healthcheck", "--url", url], 2).contains("--url"), "{url}");
    }
    let output = program(directory.path()).args(["query", "--json"]).env("AUDITBOX_URL", "").output().unwrap();
    assert_eq!((output.status.code(), out(&output).lines().count()), (Some(0), 2), "{}", err(&output));
}

#[test]
fn errors_speak_of_durations_and_flags() {
    let server = Server::start();
    server.store(&[at("old", "2001-05-01T12:00:00Z"), event("new")]);
    for more in [&[][..], &by_url(&server)] {
        for time in ["24", "0h", "1mo"] {
            let message = bad(server.directory(), &[&["query", "--from", time], more].concat(), 2);
            assert!(message.contains("--from: ") && message.contains("24h or 7d"), "{message}");
        }
        let message =
            bad(server.directory(), &[&["stats", "--histogram", "1h", "--from", "2001-05-01"], more].concat(), 2);
        assert!(message.starts_with("auditbox: --histogram: "), "{message}");
    }
}

#[test]
fn the_columns_are_the_included_keys() {
    let directory = directory();
    let mut sent = event("e1");
    sent["diff"] = json!({ "before": null, "after": { "a": 1 } });
    assert!(piped(directory.path(), &["import", "-"], sent.to_string().as_bytes()).status.success());
    let header = |flags: &[&str]| {
        let table = good(directory.path(), &[&["query"], flags].concat());
        table.lines().next().unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(header(&["--includes", "identifier,diff"]), ["IDENTIFIER", "DIFF"]);
    assert_eq!(header(&["--includes", "action", "--includes", "trigger"]), ["ACTION", "TIME", "WHO", "ORIGIN"]);
    // No event has a message.
    assert_eq!(header(&["--includes", "message,receivedBy"]), ["RECEIVEDBY"]);
    assert_eq!(header(&[]), ["TIME", "STATUS", "WHO", "ACTION", "RESOURCE", "ENTITY"]);
    let table = good(directory.path(), &["query", "--includes", "diff"]);
    assert!(table.contains(r#"{"before":null,"after":{"a":1}}"#), "{table}");
}

#[test]
fn one_event_is_printed_by_its_identifier() {
    let server = Server::start();
    for identifier in ["e1", "stats", "export", "stream", "a/b?c#d e", "--json"] {
        server.store(&[event(identifier)]);
        let stored = server.list(&format!(
            "identifier={}",
            percent_encoding::utf8_percent_encode(identifier, percent_encoding::NON_ALPHANUMERIC)
        ));
        let expected = stored.json()["audits"][0].to_string();
        for more in [&[][..], &by_url(&server)] {
            let printed = good(server.directory(), &[&["event", identifier], more].concat());
            assert_eq!(printed, format!("{expected}\n"));
        }
    }
    for more in [&[][..], &by_url(&server)] {
        assert!(
            bad(server.directory(), &[&["event", "nothing"], more].concat(), 1)
                .contains("there is no event \"nothing\"")
        );
        let part = good(server.directory(), &[&["event", "e1", "--includes", "action"], more].concat());
        assert_eq!(part, "{\"action\":\"CREATE\"}\n");
    }
}

#[test]
fn an_export_is_that_of_the_api() {
    let server = Server::start();
    server.store(&events("e", 300));
    for (format, flags, query) in [
        ("ndjson", &[][..], ""),
        ("ndjson", &["--includes", "identifier", "--limit", "20"], "&includes=identifier&limit=20"),
        ("csv", &[], ""),
        ("csv", &["--entity", "e7", "--from", "2024-01-01"], "&entity=e7"),
    ] {
        let expected = server.get(&format!("/v1/audit-log/export?format={format}{query}")).text;
        for more in [&[][..], &by_url(&server)] {
            let command = [&["export", "--format", format], flags, more].concat();
            assert_eq!(good(server.directory(), &command), expected, "{command:?}");
        }
    }
}

#[test]
fn counts_are_those_of_the_api() {
    let server = Server::start();
    let made = |number: usize| {
        let mut event = at(&format!("e{number}"), &format!("2024-05-{:02}T23:30:00Z", number % 3 + 1));
        event["status"] = (if number.is_multiple_of(4) { "FAILURE" } else { "SUCCESS" }).into();
        event
    };
    server.store(&(0..24).map(made).collect::<Vec<_>>());
    for (flags, query) in [
        (&[][..], "facets=action,resources,actor,status"),
        (&["--facets", "entity", "--status", "FAILURE"], "facets=entity&status=FAILURE"),
        (
            &["--histogram", "1d", "--tz", "Europe/Berlin", "--from", "2024-05-01", "--to", "2024-05-05"],
            "histogram=1d&tz=Europe/Berlin&from=2024-04-30T22:00:00Z&to=2024-05-05T21:59:59.999999Z",
        ),
    ] {
        let expected = server.get(&format!("/v1/audit-log/stats?{query}")).json();
        for more in [&[][..], &by_url(&server)] {
            let printed = good(server.directory(), &[&["stats", "--json"], flags, more].concat());
            assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), expected, "{flags:?}");
            let text = good(server.directory(), &[&["stats"], flags, more].concat());
            assert!(text.starts_with(&format!("{} events\n", expected["count"])), "{text}");
        }
    }
    let text = good(server.directory(), &["stats"]);
    assert!(text.contains("\nstatus, 2 distinct\n            18  SUCCESS\n             6  FAILURE\n"), "{text}");
    let text = good(server.directory(), &["stats", "--histogram", "1d", "--from", "2024-05-01", "--to", "2024-05-04"]);
    assert!(text.contains("2024-05-01T00:00:00+00:00            8  ######"), "{text}");
    assert!(text.contains(" 2 failed"), "{text}");
}

/// A command whose lines are received as it prints them. It is killed when dropped.
pub(crate) struct Following {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Following {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    pub(crate) fn next(&self) -> String {
        self.lines.recv_timeout(SOON).unwrap()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The cursor after the newest event.
fn end(server: &Server) -> String {
    server.list("sort=received&order=asc&limit=10000").json()["next"].as_str().unwrap().to_owned()
}

#[test]
fn a_tail_continues_across_restarts_without_a_gap() {
    let mut server = Server::start_with(&[("AUDITBOX_SERVER_LISTEN", &free_address())]);
    server.store(&events("old", 3));
    let token = server.credential("follower", &["read"]);
    let mut command = program(server.directory());
    let cursor = end(&server);
    command.args(["tail", "--json", "--cursor", &cursor, "--url", &server.url, "--token", &token]);
    let tail = Following::start(&mut command);
    for round in 0..3 {
        for number in 0..20 {
            server.store(&[event(&format!("r{round}-{number}"))]);
        }
        if round < 2 {
            server.kill();
            server.start_again();
        }
    }
    let expected: Vec<_> = (0..3).flat_map(|round| (0..20).map(move |number| format!("r{round}-{number}"))).collect();
    let found: Vec<_> = expected.iter().flat_map(|_| identifiers(&tail.next())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_tail_says_once_that_it_has_lost_the_connection_and_ends_with_its_cursor() {
    let mut server = Server::start_with(&[("AUDITBOX_SERVER_LISTEN", &free_address())]);
    server.store(&events("old", 3));
    let token = server.credential("follower", &["read"]);
    let cursor = end(&server);
    let by_url = ["--url", &server.url.clone(), "--token", &token];
    let mut command = program(server.directory());
    command.args(["tail", "--json", "--cursor", &cursor]).args(by_url);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    server.store(&events("a", 1));
    assert_eq!(identifiers(&lines.next().unwrap().unwrap()), ["a0"]);
    server.kill();
    let lost = said.next().unwrap().unwrap();
    assert!(lost.starts_with("lost the connection (") && lost.ends_with("); connecting again"), "{lost}");
    assert!(!lost.contains('?'), "{lost}");
    server.start_again();
    assert_eq!(said.next().unwrap().unwrap(), "connected again");
    server.store(&events("b", 1));
    assert_eq!(identifiers(&lines.next().unwrap().unwrap()), ["b0"]);
    server.store(&events("c", 1));
    assert_eq!(identifiers(&lines.next().unwrap().unwrap()), ["c0"]);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let ended = said.next().unwrap().unwrap();
    let cursor = ended.strip_prefix("next cursor: ").unwrap();
    server.store(&events("d", 1));
    let mut command = program(server.directory());
    let tail = Following::start(command.args(["tail", "--json", "--cursor", cursor]).args(by_url));
    let mut next = identifiers(&tail.next());
    // The cursor of an event is kept after the event is printed.
    if next == ["c0"] {
        next = identifiers(&tail.next());
    }
    assert_eq!(next, ["d0"]);
}

/// An address at which nothing listens.
fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_tail_filters_and_prints_rows() {
    let server = Server::start();
    server.store(&events("old", 3));
    let cursor =
        server.list("sort=received&order=asc&entity=new2&limit=10").json()["next"].as_str().unwrap().to_owned();
    let mut command = program(server.directory());
    command.args(["tail", "--entity", "new2", "--cursor", &cursor]).args(by_url(&server));
    let tail = Following::start(&mut command);
    let in_zone = Following::start(command.args(["--tz", "Europe/Berlin"]));
    server.store(&events("new", 3));
    for tail in [&tail, &in_zone] {
        assert!(tail.next().starts_with("TIME  "));
    }
    for (tail, time) in [(tail, "2024-05-01T12:00:00Z"), (in_zone, "2024-05-01T14:00:00+02:00")] {
        let row = tail.next();
        let words: Vec<_> = row.split_whitespace().collect();
        assert_eq!(words, [time, "SUCCESS", "ada", "CREATE", "entity", "new2"]);
    }
    // A server that cannot be reached, and one that refuses, end it at once.
    assert!(
        bad(server.directory(), &["tail", "--url", "http://127.0.0.1:9", "--token", "x"], 1).contains("127.0.0.1:9")
    );
    assert!(bad(server.directory(), &["tail", "--url", &server.url, "--token", "x"], 1).contains("401"));
}

#[test]
fn a_tail_follows_the_file() {
    let directory = directory();
    let import = |prefix: &str| {
        let output = piped(directory.path(), &["import", "-"], ndjson(&events(prefix, 3)).as_bytes());
        assert!(output.status.success(), "{}", err(&output));
    };
    import("old");
    let query = run(directory.path(), &["query", "--json", "--sort", "received", "--order", "asc"]);
    let cursor = err(&query).strip_prefix("next cursor: ").unwrap().trim_end().to_owned();
    import("between");
    let tail = Following::start(program(directory.path()).args(["tail", "--json", "--cursor", &cursor]));
    let three = |prefix: &str| {
        let found: Vec<_> = (0..3).flat_map(|_| identifiers(&tail.next())).collect();
        assert_eq!(found, (0..3).map(|number| format!("{prefix}{number}")).collect::<Vec<_>>());
    };
    three("between");
    import("new");
    three("new");
}

#[test]
fn credentials_are_printed_as_json() {
    let directory = directory();
    let create = ["credential", "create", "--name", "ci", "--scope", "ingest,read", "--expires", "90d", "--json"];
    let created: Value = serde_json::from_str(&good(directory.path(), &create)).unwrap();
    assert_eq!((&created["name"], &created["scopes"]), (&json!("ci"), &json!(["ingest", "read"])));
    assert!(created["apiToken"].as_str().unwrap().starts_with("abx_") && created["clientSecret"].is_string());
    let listed = good(directory.path(), &["credential", "list", "--json"]);
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["clientId"], &listed[0]["state"]), (&created["clientId"], &json!("active")));
    assert!(listed[0].get("clientSecret").is_none() && listed[0]["expiresAt"].is_string());
    // The table has one line for each, with whole times and client ids.
    let long =
        ["credential", "create", "--name", &"n".repeat(90), "--scope", "ingest,read,admin,metrics", "--expires", "90d"];
    good(directory.path(), &long);
    let table = on_terminal(directory.path(), &["credential", "list"], 80, &[]);
    assert_eq!(table.lines().count(), 3, "{table}");
    for (line, listed) in table.lines().skip(1).zip(good(directory.path(), &["credential", "list", "--json"]).lines()) {
        let listed: Value = serde_json::from_str(listed).unwrap();
        assert!(line.chars().count() <= 80, "{line}");
        for key in ["clientId", "expiresAt"] {
            assert!(line.contains(listed[key].as_str().unwrap()), "{line}");
        }
    }
}
