//! What `auditbox import` reads: every form of every event that comes out of auditbox or that a client may send, and what
//! counts as the same event without an identifier.

use std::{fs, path::Path, process::Output};

use serde_json::{Value, json};

use crate::{
    cli::{bad, counts, directory, err, event, events, good, gzip, identifiers, ndjson, out, piped},
    harness::{Server, run},
};

fn utf16(text: &str, is_big: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if is_big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

/// Imports these bytes as a file into a new log.
fn import(bytes: &[u8], more: &[&str]) -> (tempfile::TempDir, Output) {
    let directory = directory();
    fs::write(directory.path().join("in"), bytes).unwrap();
    let output = run(directory.path(), &[&["import", "in"], more].concat());
    (directory, output)
}

#[test]
fn every_form_of_records_is_imported() {
    let all = events("e", 3);
    let (text, array) = (ndjson(&all), Value::from(all.clone()));
    let pretty: String = all.iter().map(|event| serde_json::to_string_pretty(event).unwrap()).collect();
    let envelope = |key: &str| json!({ "ok": true, key: all, "next": null }).to_string();
    let marked = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let forms: Vec<(&str, Vec<u8>)> = vec![
        ("several lines", pretty.clone().into_bytes()),
        ("concatenated", all.iter().map(Value::to_string).collect::<String>().into_bytes()),
        ("a list response", envelope("audits").into_bytes()),
        ("two list responses", format!("{0}\n{0}", envelope("audits")).into_bytes()),
        ("a pretty list response", serde_json::to_vec_pretty(&json!({ "audits": all })).unwrap()),
        ("Records", envelope("Records").into_bytes()),
        ("items", envelope("items").into_bytes()),
        ("events", envelope("events").into_bytes()),
        ("value", envelope("value").into_bytes()),
        ("an array in several lines", serde_json::to_vec_pretty(&array).unwrap()),
        ("a mark and CRLF", marked.clone().into_bytes()),
        ("UTF-16 LE", utf16(&marked, false)),
        ("UTF-16 BE", utf16(&marked, true)),
        ("UTF-16 without a mark", utf16(&pretty, false)),
        ("gzip of UTF-16", gzip(&utf16(&marked, true))),
        ("zstd of an array", zstd::encode_all(array.to_string().as_bytes(), 1).unwrap()),
        // A skippable frame comes first, as parallel compressors write it.
        (
            "zstd after a frame",
            [b"\x50\x2a\x4d\x18\x01\0\0\0x", &*zstd::encode_all(text.as_bytes(), 1).unwrap()].concat(),
        ),
        ("lines that end in commas", text.replace('\n', ",\n").into_bytes()),
        ("a text sequence", all.iter().map(|event| format!("\u{1e}{event}\n")).collect::<String>().into_bytes()),
    ];
    for (name, bytes) in forms {
        let (directory, output) = import(&bytes, &[]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", err(&output));
        let (stored, _, bad) = counts(out(&output));
        assert_eq!((stored, bad), (3, 0), "{name}");
        let found = identifiers(&good(directory.path(), &["query", "--json", "--order", "asc"]));
        assert_eq!(found, ["e0", "e1", "e2"], "{name}");
    }
}

#[test]
fn a_broken_record_of_any_form_costs_only_itself() {
    let [one, two] = [0, 1].map(|number| serde_json::to_string_pretty(&event(&format!("e{number}"))).unwrap());
    let broken = one.replace("\"action\":", "\"action\"");
    for (text, place) in [
        (format!("{one}\n{broken}\n{two}\n"), "line 15: not JSON: expected a colon"),
        (format!("[{},{},{}]", event("e0"), "{\"a\" 1}", event("e1")), "line 1, record 2: not JSON: expected a colon"),
        (format!("{}\n{{\"action\":\"A\n{}\n", event("e0"), event("e1")), "line 2: not JSON: a string does not end"),
        (format!("[{},{}", event("e0"), event("e1")), "line 1: the text is cut off: the list that begins here"),
    ] {
        let (_, stopped) = import(text.as_bytes(), &[]);
        assert_eq!(stopped.status.code(), Some(1));
        assert!(err(&stopped).contains(&format!("in: {place}")), "{}", err(&stopped));
        let (directory, output) = import(text.as_bytes(), &["--skip-bad"]);
        assert_eq!((output.status.code(), counts(out(&output))), (Some(0), (2, 0, 1)), "{}", err(&output));
        assert!(err(&output).contains(&format!("in: {place}")), "{}", err(&output));
        assert_eq!(identifiers(&good(directory.path(), &["query", "--json", "--order", "asc"])), ["e0", "e1"]);
    }
}

#[test]
fn a_foreign_format_is_named() {
    for (name, text) in [
        (
            "a Kubernetes EventList",
            r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"kind":"Event","verb":"get"}]}"#,
        ),
        ("a Kubernetes audit event", r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"1","verb":"get"}"#),
        (
            "an AWS CloudTrail record",
            r#"{"Records":[{"eventVersion":"1.05","eventSource":"s3.amazonaws.com","eventName":"X"}]}"#,
        ),
        ("a GitHub audit log entry", r#"[{"action":"org.add_member","actor":"cat","created_at":1621305118553}]"#),
        ("an Okta System Log event", r#"{"eventType":"user.session.start","published":"2024-05-01T12:00:00Z"}"#),
        ("an OTLP log export", r#"{"resourceLogs":[]}"#),
        ("a CloudEvent", r#"{"specversion":"1.0","id":"1","source":"s","type":"t"}"#),
        ("a journald record", r#"{"__REALTIME_TIMESTAMP":"1714564800000000","MESSAGE":"x"}"#),
        ("a syslog message", "<134>1 2024-05-01T12:00:00Z host app - - - x\n"),
        ("a stream of server-sent events", "retry: 1000\nid: x\n\nid: y\ndata: {}\n\n"),
    ] {
        for more in [&[][..], &["--skip-bad"]] {
            let (_, output) = import(text.as_bytes(), more);
            assert_eq!((output.status.code(), counts(out(&output)).0), (Some(1), 0), "{text}");
            assert!(err(&output).contains(&format!("this is {name}, which import does not read")), "{}", err(&output));
        }
    }
    // An error of one of auditbox's own events names the field.
    let (_, output) = import(br#"{"action":"A","resourceType":"x","created_at":1,"actor":"x","status":"ODD"}"#, &[]);
    assert!(err(&output).contains("line 1: status: "), "{}", err(&output));
}

#[test]
fn a_file_of_which_nothing_is_in_the_log_fails() {
    for text in ["{}\n{}\n", "nonsense", "{\"trigger\":{\"origin\":\"auditbox\"}}\n{}", "[{}]"] {
        let (_, output) = import(text.as_bytes(), &["--skip-bad"]);
        assert_eq!(output.status.code(), Some(1), "{text}: {}", out(&output));
        assert!(err(&output).contains("stored or known"), "{}", err(&output));
    }
    for text in ["", "\n \r\n", "\u{feff}", "[]", r#"{"ok":true,"audits":[],"next":null}"#] {
        let (_, output) = import(text.as_bytes(), &[]);
        assert_eq!((output.status.code(), counts(out(&output))), (Some(0), (0, 0, 0)), "{text:?}: {}", err(&output));
    }
    // auditbox's own records are skipped on purpose.
    let own = "{\"trigger\":{\"origin\":\"auditbox\"}}\n".repeat(3);
    let (_, output) = import(own.as_bytes(), &[]);
    assert_eq!((output.status.code(), counts(out(&output))), (Some(0), (0, 0, 0)), "{}", err(&output));
    assert!(out(&output).contains("3 own records of auditbox skipped"), "{}", out(&output));
    // Each file counts alone.
    let directory = directory();
    fs::write(directory.path().join("good"), ndjson(&events("e", 2))).unwrap();
    fs::write(directory.path().join("bad"), "{}").unwrap();
    for files in [["good", "bad"], ["bad", "good"]] {
        let said = bad(directory.path(), &[&["import", "--skip-bad"], &files[..]].concat(), 1);
        assert!(said.contains("auditbox: bad: its only record was not stored or known"), "{said}");
    }
    assert_eq!(good(directory.path(), &["import", "good"]).split(' ').next(), Some("0"));
}

/// An event without the keys that the server has set: they follow all others.
fn sent(line: &str) -> &str {
    line.split(",\"receivedAt\":").next().unwrap()
}

/// A server with events of every kind, and its exports.
fn exported() -> (Server, String, String) {
    let server = Server::start();
    let bodies = [
        r#"{"identifier":"plain","action":"A","resourceType":"x"}"#.to_owned(),
        "{\"action\":\"A\", \"resourceType\":\"x\",\"more\":[1.0,\n9007199254740993,\"\\u00e9\"],\"diff\":{\"before\":null,\"after\":{\"password\":\"secret-1\"}}}".to_owned(),
        event("timed").to_string(),
        r#"{"identifier":"far","action":"A","resourceType":"x","trigger":{"at":"2999-01-01T00:00:00Z"}}"#.to_owned(),
    ];
    for body in bodies {
        assert_eq!(server.post("/v1/audit-log", &body).status, 201, "{body}");
    }
    let list = server.list("sort=received&order=asc&include_own=true").text;
    let export = good(server.directory(), &["export", "--sort", "received", "--order", "asc", "--include-own"]);
    assert!(export.contains("[masked]") && !export.contains("secret-1"));
    (server, list, export)
}

#[test]
fn what_comes_out_goes_back_in() {
    let (server, list, export) = exported();
    let own = export.lines().filter(|line| line.contains("\"origin\":\"auditbox\"")).count();
    let expected: Vec<_> = export.lines().filter(|line| !line.contains("\"origin\":\"auditbox\"")).map(sent).collect();
    assert!(own > 0 && expected.len() == 4);
    let query = good(server.directory(), &["query", "--json", "--sort", "received", "--order", "asc"]);
    for text in [&export, &list, &query] {
        let (directory, output) = import(text.as_bytes(), &[]);
        assert_eq!((output.status.code(), counts(out(&output))), (Some(0), (4, 0, 0)), "{}", err(&output));
        let has_own = text.contains("\"origin\":\"auditbox\"");
        assert_eq!(out(&output).contains("of auditbox skipped"), has_own, "{}", out(&output));
        assert!(err(&output).contains("--keep-received keeps it"), "{}", err(&output));
        let again = good(directory.path(), &["export", "--sort", "received", "--order", "asc"]);
        assert_eq!(again.lines().map(sent).collect::<Vec<_>>(), expected);
        assert!(again.lines().all(|line| line.contains("\"receivedBy\":\"import\"")));
        assert_eq!(counts(&good(directory.path(), &["import", "in"])), (0, 4, 0));
    }
}

#[test]
fn the_response_with_one_event_is_imported() {
    let (server, ..) = exported();
    for identifier in ["plain", "timed"] {
        let text = server.get(&format!("/v1/events/{identifier}")).text;
        assert!(text.contains("\"audit\":{"), "{text}");
        let (directory, output) = import(text.as_bytes(), &[]);
        assert_eq!((output.status.code(), counts(out(&output))), (Some(0), (1, 0, 0)), "{}", err(&output));
        assert_eq!(identifiers(&good(directory.path(), &["query", "--json"])), [identifier]);
    }
}

#[test]
fn an_object_within_a_broken_record_is_not_stored() {
    let broken = format!("{{\"action\":\"A\",\"resourceType\": ,\"additionalData\":\n{}\n}}\n", event("phx"));
    let (directory, output) = import(format!("{broken}{}\n", event("e0")).as_bytes(), &["--skip-bad"]);
    assert_eq!((output.status.code(), counts(out(&output))), (Some(0), (1, 0, 1)), "{}", err(&output));
    assert_eq!(identifiers(&good(directory.path(), &["query", "--json"])), ["e0"]);
}

#[test]
fn a_lone_surrogate_in_utf_16_costs_its_record() {
    for unit in [0xd83d_u16, 0xde00] {
        for is_big in [false, true] {
            let mut bytes = utf16(&format!("\u{feff}{}\n", event("e0")), is_big);
            let broken = event("e1").to_string().replace("e1", "e1\u{1}");
            let mut units: Vec<u16> = broken.encode_utf16().collect();
            *units.iter_mut().find(|unit| **unit == 1).unwrap() = unit;
            bytes.extend(units.iter().flat_map(|unit| if is_big { unit.to_be_bytes() } else { unit.to_le_bytes() }));
            bytes.extend(utf16(&format!("\n{}\n", event("e2")), is_big));
            let (directory, output) = import(&bytes, &["--skip-bad"]);
            assert_eq!((output.status.code(), counts(out(&output))), (Some(0), (2, 0, 1)), "{}", err(&output));
            assert!(
                err(&output).contains("in: line 2: not UTF-16: half a character (a lone surrogate)"),
                "{}",
                err(&output)
            );
            assert_eq!(identifiers(&good(directory.path(), &["query", "--json", "--order", "asc"])), ["e0", "e2"]);
        }
    }
}

#[test]
fn the_name_of_a_source_is_not_empty() {
    let directory = directory();
    fs::write(directory.path().join("in"), "{}").unwrap();
    assert!(bad(directory.path(), &["import", "in", "--source", ""], 2).contains("--source"));
}

#[test]
fn the_lines_before_the_cut_of_a_compressed_file_are_stored() {
    let whole = gzip(ndjson(&events("e", 40)).as_bytes());
    let (_, output) = import(&whole[..whole.len() - 9], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    assert!(counts(out(&output)).0 >= 30, "{}", out(&output));
    assert!(err(&output).contains("in: the gzip stream is cut off"), "{}", err(&output));
    let (_, output) = import(&[whole, vec![0; 600]].concat(), &[]);
    assert_eq!((output.status.code(), counts(out(&output))), (Some(0), (40, 0, 0)), "{}", err(&output));
}

#[test]
fn what_a_server_has_recorded_is_kept_as_claims() {
    let (_server, _, export) = exported();
    let (directory, output) = import(export.as_bytes(), &["--keep-received"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(!err(&output).contains("--keep-received"), "{}", err(&output));
    let original: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let printed = good(directory.path(), &["query", "--json"]);
    for event in printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let before = original.iter().find(|before| before["identifier"] == event["identifier"]).unwrap();
        assert_eq!(event["receivedBy"], "import");
        for key in ["receivedAt", "receivedBy", "masked", "orderedBy"] {
            assert_eq!(event["imported"][key], before[key], "{key}");
        }
    }
    // The claims do not make another event of it.
    assert_eq!(counts(&good(directory.path(), &["import", "in"])), (0, 4, 0));
    assert_eq!(counts(&good(directory.path(), &["import", "in", "--keep-received"])), (0, 4, 0));
    let (directory, _) = import(export.as_bytes(), &[]);
    assert_eq!(counts(&good(directory.path(), &["import", "in", "--keep-received"])), (0, 4, 0));
    let moved = export.replace("\"action\":\"A\"", "\"action\":\"B\"");
    fs::write(directory.path().join("in"), moved).unwrap();
    assert_eq!(counts(out(&run(directory.path(), &["import", "in", "--keep-received", "--skip-bad"]))), (0, 1, 3));
}

#[test]
fn one_page_of_a_list_is_reported_as_such() {
    let server = Server::start();
    server.store(&events("e", 3));
    let (_, output) = import(server.list("limit=2").text.as_bytes(), &[]);
    assert_eq!(counts(out(&output)), (2, 0, 0));
    assert!(err(&output).contains("in: this is one page of a list, and more follow it"), "{}", err(&output));
    let (_, output) = import(server.list("").text.as_bytes(), &[]);
    assert!(!err(&output).contains("page"), "{}", err(&output));
}

/// Lines without identifiers, the first of which names them.
fn lines(first: &str, more: usize) -> String {
    let line = |name: &str| format!("{{\"action\":\"READ\",\"resourceType\":\"x\",\"message\":\"{name}\"}}\n");
    line(first) + &(0..more).map(|number| line(&format!("line {}", number / 2))).collect::<String>()
}

fn imported(directory: &Path, arguments: &[&str]) -> (u64, u64, u64) {
    counts(&good(directory, &[&["import"], arguments].concat()))
}

#[test]
fn a_rotated_compressed_or_grown_file_adds_only_what_is_new() {
    let directory = directory();
    let (path, write) =
        (directory.path(), |name: &str, bytes: &[u8]| fs::write(directory.path().join(name), bytes).unwrap());
    write("audit.log", lines("monday", 6).as_bytes());
    assert_eq!(imported(path, &["audit.log"]), (7, 0, 0));
    assert_eq!(imported(path, &["audit.log", "./audit.log"]), (0, 14, 0));
    // It grows, and is rotated: another file has its name.
    write("audit.log.1", lines("monday", 8).as_bytes());
    write("audit.log", lines("tuesday", 6).as_bytes());
    assert_eq!(imported(path, &["audit.log.1"]), (2, 7, 0));
    assert_eq!(imported(path, &["audit.log"]), (7, 0, 0));
    for (name, bytes) in [
        ("audit.log.2.gz", gzip(lines("monday", 8).as_bytes())),
        ("audit.log.gz", gzip(lines("monday", 8).as_bytes())),
        ("audit.log-20240501.zst", zstd::encode_all(lines("monday", 8).as_bytes(), 1).unwrap()),
        ("audit.log.2024-05-02", lines("tuesday", 6).into_bytes()),
    ] {
        write(name, &bytes);
        assert_eq!(imported(path, &[name]).0, 0, "{name}");
    }
    // A broken line that is repaired in its place is the only new one.
    let broken = lines("wednesday", 4).replacen("\"line 0\"", "\"line 0", 1);
    write("repaired.log", broken.as_bytes());
    assert_eq!(imported(path, &["--skip-bad", "repaired.log"]), (4, 0, 1));
    write("repaired.log", lines("wednesday", 4).as_bytes());
    assert_eq!(imported(path, &["repaired.log"]), (1, 4, 0));
}

#[test]
fn files_that_begin_with_the_same_record_are_reported_if_they_differ() {
    let directory = directory();
    let write = |name: &str, bodies: &[&str]| {
        let line = |body: &&str| format!("{{\"action\":\"{body}\",\"resourceType\":\"x\"}}\n");
        fs::write(directory.path().join(name), bodies.iter().map(line).collect::<String>()).unwrap();
    };
    let import = |arguments: &[&str]| {
        let output = run(directory.path(), &[&["import"], arguments].concat());
        assert!(output.status.success(), "{}", err(&output));
        (counts(out(&output)), err(&output).to_owned())
    };
    write("audit.log.1", &["START", "a", "b", "TICK"]);
    write("audit.log", &["START", "c"]);
    // In one import, the files can be compared.
    let (counted, said) = import(&["audit.log.1", "audit.log"]);
    assert_eq!(counted, (5, 1, 0));
    assert!(said.starts_with("Warning: audit.log: 1 record without an identifier counts as known"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    // In a later import, equal records after new ones show it.
    write("audit.log", &["START", "c", "d", "TICK"]);
    let (counted, said) = import(&["audit.log"]);
    assert_eq!(counted, (1, 3, 0));
    assert!(said.contains("Warning: audit.log: 3 records") && said.contains("--source"), "{said}");
    let (counted, said) = import(&["audit.log", "--source", "tuesday"]);
    assert_eq!((counted, &*said), ((4, 0, 0), ""));
    // A file that has grown or that is imported again is no other file.
    write("other.log", &["START", "a", "a"]);
    assert_eq!(import(&["other.log"]), ((3, 0, 0), String::new()));
    write("other.log.1", &["START", "a", "a", "a", "b"]);
    assert_eq!(import(&["other.log", "other.log.1", "./other.log"]), ((2, 9, 0), String::new()));
}

#[test]
fn sources_do_not_swallow_each_others_events() {
    let (directory, text) = (directory(), lines("start", 4));
    let path = directory.path();
    for host in ["a", "b"] {
        fs::create_dir(path.join(host)).unwrap();
        fs::write(path.join(host).join("audit.log"), &text).unwrap();
    }
    assert_eq!(imported(path, &["a/audit.log"]), (5, 0, 0));
    assert_eq!(imported(path, &["b/audit.log"]), (5, 0, 0));
    assert_eq!(imported(path, &["a/../b/audit.log", "a/audit.log"]), (0, 10, 0));
    // Standard input has no name, so each import is a source of its own, which it says.
    for _ in 0..2 {
        let output = piped(path, &["import", "-"], text.as_bytes());
        assert_eq!(counts(out(&output)), (5, 0, 0), "{}", err(&output));
        assert!(err(&output).contains("5 events had no identifier") && err(&output).contains("--source"));
    }
    let named = |name: &str| piped(path, &["import", "-", "--source", name], text.as_bytes());
    assert_eq!(counts(out(&named("a"))), (5, 0, 0));
    assert_eq!(counts(out(&named("a"))), (0, 5, 0));
    assert_eq!(err(&named("a")), "");
    assert_eq!(counts(out(&named("b"))), (5, 0, 0));
    assert_eq!(imported(path, &["a/audit.log", "--source", "b"]), (0, 5, 0));
}

#[test]
fn a_server_gets_the_same_events_as_the_file() {
    let server = Server::start();
    let text = lines("start", 4) + &ndjson(&events("e", 2));
    fs::write(server.directory().join("audit.log"), &text).unwrap();
    fs::write(server.directory().join("audit.log.1"), &text).unwrap();
    let by_url = ["--url", &server.url, "--token", &server.token];
    let import = |name| imported(server.directory(), &[&[name], &by_url[..]].concat());
    assert_eq!(import("audit.log"), (7, 0, 0));
    assert_eq!(import("audit.log.1"), (0, 7, 0));
    // An export changes nothing in the log that it comes from.
    let mine = good(server.directory(), &["export", "--include-own"]);
    fs::write(server.directory().join("mine.ndjson"), &mine).unwrap();
    assert_eq!(import("mine.ndjson"), (0, 7, 0));
}
