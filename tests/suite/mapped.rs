//! Records of other systems on their way into the log: `import --format`, and `POST /v1/audit-log?format=`.

use std::{fs, path::Path};

use auditbox::model::{
    mapping::{Mapping, UNMAPPED},
    mask::Mask,
};
use serde_json::{Value, json, value::RawValue};

use crate::{
    cli::{bad, counts, directory, err, good, out, piped},
    formats::{FILES, formats},
    harness::{Answer, Server, run},
};

/// The member `additionalData` of an event, byte for byte.
fn record_of(event: &str) -> String {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Event<'a> {
        #[serde(borrow)]
        additional_data: &'a RawValue,
    }
    serde_json::from_str::<Event<'_>>(event).unwrap().additional_data.get().to_owned()
}

/// The different records of a file as events hold them: byte for byte, except masked values. Also the number of all records.
fn records_of(file: &Path, preset: &str) -> (Vec<String>, u64) {
    let (body, mapping, mask) = (fs::read(file).unwrap(), Mapping::named(preset).unwrap(), Mask::default());
    let documents = mapping.documents(&body);
    let records = documents.into_iter().flat_map(|document| mapping.records(document.unwrap()).unwrap());
    let masked = |source: &str| {
        let event = format!("{{\"additionalData\":{source}}}");
        record_of(&mask.apply(&event).map_or(event, |masked| masked.text))
    };
    let records: Vec<_> = records.map(|record| masked(record.source())).collect();
    let total = records.len() as u64;
    (distinct(records), total)
}

fn distinct(mut records: Vec<String>) -> Vec<String> {
    records.sort_unstable();
    records.dedup();
    records
}

/// Checks the events that the log has of a file.
fn check(events: &str, file: &Path, preset: &str, door: &str) {
    assert!(!events.is_empty(), "{preset}");
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(event["action"].is_string() && event["status"].is_string(), "{line}");
        assert_eq!(event["resourceType"] == UNMAPPED, record_of(line) == "{}", "{line}");
        let version = format!("{preset}@1");
        assert_eq!((&event["mapping"]["preset"], &event["mapping"]["door"]), (&json!(version), &json!(door)), "{line}");
    }
    let found = distinct(events.lines().map(record_of).collect());
    assert!(found == records_of(file, preset).0, "{preset}: the log has other records than the file");
}

fn imported(directory: &Path, arguments: &[&str]) -> (u64, u64, u64) {
    counts(&good(directory, &[&["import"], arguments].concat()))
}

#[test]
fn native_records_of_every_format_are_imported_by_name() {
    let Some(formats) = formats() else { return };
    for (file, preset, _) in FILES {
        let (directory, file) = (directory(), formats.join(file));
        let (records, total) = records_of(&file, preset);
        let arguments = ["--format", preset, file.to_str().unwrap()];
        let (stored, duplicates, bad) = imported(directory.path(), &arguments);
        assert_eq!((stored + duplicates, bad), (total, 0), "{preset}");
        assert!(stored >= records.len() as u64, "{preset}: {stored} of {}", records.len());
        check(&good(directory.path(), &["export"]), &file, preset, "import");
        assert_eq!(imported(directory.path(), &arguments), (0, total, 0), "{preset}");
    }
}

fn trail(identifier: &str, name: &str) -> Value {
    json!({
        "eventID": identifier, "eventSource": "s3.amazonaws.com", "eventName": name, "awsRegion": "us-east-1",
        "eventTime": "2026-01-02T03:04:05Z", "requestParameters": { "password": "hunter2" },
    })
}

const LINE: &str = r#"203.0.113.7 - ada [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 404 612"#;

#[test]
fn records_in_an_envelope_are_mapped_one_by_one() {
    let directory = directory();
    let records = [trail("a", "One"), trail("a", "Two"), trail("a", "One"), trail("b", "Three"), json!({ "x": [1.0] })];
    let [one, two, three, four, five] = records.map(|record| record.to_string());
    // A broken record costs no other, and the action of a record does not make an event of its envelope.
    let text = format!("{{\"action\":\"x\",\"Records\":[{one},{two},{{\"a\" 1}},\n{three},{four}]}}\n{five}\n");
    fs::write(directory.path().join("in"), text).unwrap();
    let said = bad(directory.path(), &["import", "--format", "cloudtrail", "in"], 1);
    assert!(said.contains("in: line 1, record 3: not JSON: expected a colon"), "{said}");
    let output = run(directory.path(), &["import", "--format", "cloudtrail", "--skip-bad", "in"]);
    let (stored, duplicates, bad) = counts(out(&output));
    assert_eq!((stored + duplicates, bad), (5, 1), "{}", err(&output));
    let events = good(directory.path(), &["export"]);
    let with = |part: &str| events.lines().filter(|line| line.contains(part)).count();
    assert_eq!(
        (events.lines().count(), with("\"eventName\":\"One\""), with("\"identifier\":\"a~")),
        (4, 1, 1),
        "{events}"
    );
    assert!(with("a hash of the record follows it") == 1 && with("hunter2") == 0 && with("[1.0]") == 1, "{events}");
    let arguments = ["--format", "cloudtrail", "--skip-bad", "in"];
    assert_eq!(imported(directory.path(), &arguments), (0, 5, 1));
}

#[test]
fn a_list_is_opened_only_where_the_preset_says_so() {
    let directory = directory();
    let preset = "[presets.shop]\naction = '=ORDER'\ncontext.entity = '/order'\nresourceType = '=order'\n";
    fs::write(directory.path().join("auditbox.toml"), preset).unwrap();
    fs::write(directory.path().join("in"), r#"{"order":7,"items":[{"sku":1},{"sku":2}]}"#).unwrap();
    let command = |more: &[&str]| good(directory.path(), &[&["--config", "auditbox.toml"], more].concat());
    assert_eq!(counts(&command(&["import", "--format", "shop", "in"])), (1, 0, 0));
    assert!(command(&["export"]).contains(r#""additionalData":{"order":7,"items":[{"sku":1},{"sku":2}]}"#));
}

#[test]
fn lines_of_text_are_records() {
    let directory = directory();
    let text = format!("{LINE}\n\nanything else\n{LINE}\r\n");
    fs::write(directory.path().join("access.log"), &text).unwrap();
    // Two equal lines are two events.
    assert_eq!(imported(directory.path(), &["--format", "combined", "access.log"]), (3, 0, 0));
    assert_eq!(imported(directory.path(), &["--format", "combined", "access.log"]), (0, 3, 0));
    fs::write(directory.path().join("access.log"), format!("{text}{LINE}\n")).unwrap();
    assert_eq!(imported(directory.path(), &["--format", "combined", "access.log"]), (1, 3, 0));
    let failures = good(directory.path(), &["query", "--json", "--status", "FAILURE"]);
    assert_eq!(failures.lines().count(), 3, "{failures}");
    let unmapped = good(directory.path(), &["query", "--json", "--resources", "unmapped"]);
    assert!(unmapped.contains(r#""additionalData":"anything else""#), "{unmapped}");
    let piped = piped(directory.path(), &["import", "--format", "combined", "-"], text.as_bytes());
    assert!(counts(out(&piped)) == (3, 0, 0) && err(&piped).contains("--source"), "{}", err(&piped));
}

#[test]
fn auto_recognizes_each_record_and_reports_the_formats() {
    let directory = directory();
    let kubernetes = json!({ "kind": "EventList", "items": [{ "kind": "Event", "verb": "get" }, { "verb": "list" }] });
    let resource = json!([{ "scopeLogs": [{ "logRecords": [{ "timeUnixNano": "1544712660300000000" }] }] }]);
    let known = [trail("a", "One"), kubernetes, json!({ "resourceLogs": resource }), trail("b", "Two")];
    let known: Vec<_> = known.iter().map(Value::to_string).collect();
    let text = format!("{}\n{LINE}\n", known.join("\n"));
    fs::write(directory.path().join("in"), &text).unwrap();
    let printed = good(directory.path(), &["import", "--format", "auto", "in"]);
    assert_eq!(counts(&printed), (6, 0, 0));
    assert!(printed.contains("recognized: cloudtrail 2, combined 1, kubernetes 2, otlp 1\n"), "{printed}");
    // What is recognized by nothing is reported with the choices.
    fs::write(directory.path().join("in"), format!("{{\"x\":1}}\nany words\n{{\"y\" 1}}\n{text}")).unwrap();
    let output = run(directory.path(), &["import", "--format", "auto", "--skip-bad", "in"]);
    assert_eq!(counts(out(&output)).2, 3, "{}", err(&output));
    for part in [
        "in: line 1: no preset recognizes this record; import it with --format and one of auditbox, auditd-json",
        "in: line 2: not JSON: expected an object; import it with --format and one of auditbox, auditd-json",
        "in: line 3: not JSON: expected a colon",
    ] {
        assert!(err(&output).contains(part), "{part}: {}", err(&output));
    }
}

#[test]
fn an_unknown_preset_is_refused_with_the_choices() {
    let said = bad(directory().path(), &["import", "--format", "cloudtrial", "in"], 1);
    assert!(said.contains("in: "), "{said}");
    let directory = directory();
    fs::write(directory.path().join("in"), "{}").unwrap();
    let said = bad(directory.path(), &["import", "--format", "cloudtrial", "in"], 2);
    assert!(
        said.contains("--format: \"cloudtrial\" is not a preset; use auto, or one of auditbox, auditd-json"),
        "{said}"
    );
    assert!(!directory.path().join("auditbox.db").exists());
}

#[test]
fn without_a_preset_the_error_names_the_one_to_use() {
    let directory = directory();
    for (text, preset) in [
        (json!({ "Records": [trail("a", "One")] }).to_string(), "cloudtrail"),
        (json!({ "resourceLogs": [] }).to_string(), "otlp"),
        (json!({ "remote_addr": "::1", "request_method": "GET", "status": 200 }).to_string(), "nginx-json"),
        (LINE.to_owned(), "combined"),
    ] {
        fs::write(directory.path().join("in"), text).unwrap();
        let said = bad(directory.path(), &["import", "in"], 1);
        assert!(said.contains(&format!(": use --format {preset} (")), "{said}");
    }
}

/// The numbers of stored, known and rejected records of a response.
fn outcome(answer: &Answer) -> (u64, u64, u64) {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(
        answer["results"].as_array().unwrap().len() as u64,
        ["accepted", "duplicates", "rejected"].iter().map(|key| answer[key].as_u64().unwrap()).sum::<u64>()
    );
    (answer["accepted"].as_u64().unwrap(), answer["duplicates"].as_u64().unwrap(), answer["rejected"].as_u64().unwrap())
}

#[test]
fn a_server_maps_native_records_of_every_format() {
    let Some(formats) = formats() else { return };
    for (file, preset, _) in FILES {
        let (server, file) = (Server::start(), formats.join(file));
        let (records, total) = records_of(&file, preset);
        let body = fs::read_to_string(&file).unwrap();
        let path = format!("/v1/audit-log?format={preset}&source=file");
        let (stored, duplicates, rejected) = outcome(&server.post(&path, &body));
        assert_eq!((stored + duplicates, rejected), (total, 0), "{preset}");
        assert!(stored >= records.len() as u64, "{preset}: {stored} of {}", records.len());
        check(&good(server.directory(), &["export"]), &file, preset, "api");
        assert_eq!(outcome(&server.post(&path, &body)), (0, total, 0), "{preset}");
    }
}

/// The identifier, the action and the record of each event.
fn facts(events: &str) -> Vec<String> {
    let fact = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        format!("{} {} {}", event["identifier"], event["action"], record_of(line))
    };
    distinct(events.lines().map(fact).collect())
}

#[test]
fn import_sends_native_records_to_a_server_that_maps_them() {
    let Some(formats) = formats() else { return };
    for (file, preset, _) in FILES {
        let (server, directory, file) = (Server::start(), directory(), formats.join(file));
        let total = records_of(&file, preset).1;
        let token = server.credential("importer", &["ingest"]);
        let local = ["--format", preset, file.to_str().unwrap()];
        let remote = [&local[..], &["--url", &server.url, "--token", &token]].concat();
        let (stored, duplicates, bad) = imported(directory.path(), &remote);
        assert_eq!((stored + duplicates, bad), (total, 0), "{preset}");
        assert_eq!(imported(directory.path(), &remote), (0, total, 0), "{preset}");
        let on_server = good(server.directory(), &["export"]);
        check(&on_server, &file, preset, "api");
        // A database file gets the same events.
        assert_eq!(imported(directory.path(), &local), (stored, duplicates, 0), "{preset}");
        assert!(facts(&on_server) == facts(&good(directory.path(), &["export"])), "{preset}");
    }
}

#[test]
fn a_server_gets_records_of_several_formats_in_one_import() {
    let server = Server::start();
    let (one, two) = (trail("a", "One"), trail("a", "Two"));
    let text = format!("{LINE}\n{one}\n{LINE}\n{{\"x\" 1}}\n{two}\n{LINE}\n{LINE}\n");
    fs::write(server.directory().join("in"), text).unwrap();
    let arguments = ["--format", "auto", "--skip-bad", "in", "--url", &server.url, "--token", &server.token];
    assert_eq!(imported(server.directory(), &arguments), (6, 0, 1));
    assert_eq!(imported(server.directory(), &arguments), (0, 6, 1));
    let events = good(server.directory(), &["export"]);
    let with = |part: &str| events.lines().filter(|line| line.contains(part)).count();
    assert_eq!((with("combined@1"), with("cloudtrail@1"), with("\"identifier\":\"a~")), (4, 2, 1), "{events}");
}

#[test]
fn a_bad_record_of_a_request_costs_no_other() {
    let server = Server::start();
    let (one, two) = (trail("a", "One"), trail("a", "Two"));
    let large = json!({ "eventName": "x".repeat(1024 * 1024) });
    let body = format!("{one}\n{{\"x\" 1}}\n{{\"Records\":[{two},{large},{one}]}}\n");
    let answer = server.post("/v1/audit-log?format=cloudtrail", &body);
    assert_eq!(outcome(&answer), (2, 1, 2));
    let results = answer.json()["results"].clone();
    let statuses: Vec<_> = (0..5).map(|index| results[index]["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 422, 201, 422, 200], "{results}");
    assert_eq!((&results[1]["line"], &results[0]["identifier"]), (&json!(2), &json!("a")), "{results}");
    assert!(results[2]["identifier"].as_str().unwrap().starts_with("a~"), "{results}");
    assert_eq!(results[3]["message"], "the record is larger than 1048576 bytes");
    let list = server.list("").text;
    assert!(list.contains(r#""mapping":{"preset":"cloudtrail@1","door":"api""#) && !list.contains("hunter2"), "{list}");
}

#[test]
fn records_without_identifiers_are_known_by_their_source_or_the_requests_key() {
    let server = Server::start();
    let post = |query: &str, body: &str| outcome(&server.post(&format!("/v1/audit-log?format=combined{query}"), body));
    let lines = format!("{LINE}\n{LINE}\n");
    assert_eq!(post("&source=web-1", &lines), (2, 0, 0));
    assert_eq!(post("&source=web-1", &format!("{lines}{LINE}")), (1, 2, 0));
    assert_eq!(post("&source=web-1&first=3&partial=true", &lines), (1, 1, 0));
    assert_eq!(post("&source=web-2", &lines), (2, 0, 0));
    // Without a source, nothing tells a record from an equal one.
    assert_eq!(post("", &lines), (2, 0, 0));
    assert_eq!(post("", &lines), (2, 0, 0));
    let authorization = format!("Bearer {}", server.token);
    let headers = [("authorization", &*authorization), ("idempotency-key", "k1")];
    for is_replayed in [false, true] {
        let answer = server.request("POST", "/v1/audit-log?format=combined", &headers, lines.as_bytes());
        assert_eq!(outcome(&answer), (2, 0, 0));
        assert_eq!(answer.header("idempotency-replayed").is_some(), is_replayed);
    }
    assert_eq!(server.list("").json()["audits"].as_array().unwrap().len(), 12);
}

#[test]
fn the_parameters_of_a_format_are_checked() {
    let server = Server::start();
    for (query, message) in [
        ("format=cloudtrial", "format: is not a preset; the presets are auditbox, auditd-json, auth0"),
        ("format=okta&partial=false", "partial: must be true or absent with format"),
        ("format=okta&source=", "source: must not be empty"),
        ("format=okta&first=2", "first: needs source"),
        ("format=okta&source=x&first=-1", "first: must be a whole number"),
        ("source=x", "source: needs format"),
        ("first=1", "first: needs format and source"),
    ] {
        let answer = server.post(&format!("/v1/audit-log?{query}"), "{}");
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{query}");
        assert!(answer.text.contains(message), "{query}: {}", answer.text);
    }
    // A request has at most 10,000 records, in whatever they are enclosed.
    let many = vec!["{}"; 10_001].join(",");
    let records = format!("{{\"Records\":[{many}]}}");
    let log_records = format!("{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{many}]}}]}}]}}");
    let lines = "x\n".repeat(10_001);
    for (format, body) in
        [("cloudtrail", &records), ("cloudtrail", &format!("[{many}]")), ("otlp", &log_records), ("combined", &lines)]
    {
        let answer = server.post(&format!("/v1/audit-log?format={format}"), body);
        assert_eq!(answer.status, 422, "{format}: {}", answer.text);
        assert!(answer.text.contains("more than 10000 events in one request"), "{}", answer.text);
    }
    assert_eq!(outcome(&server.post("/v1/audit-log?format=okta", "")), (0, 0, 0));
}

#[test]
fn a_preset_of_the_servers_configuration_maps_records() {
    let directory = directory();
    let preset = "[presets.shop]\naction = '=ORDER'\ncontext.entity = '/order'\nresourceType = '=order'\n";
    fs::write(directory.path().join("auditbox.toml"), preset).unwrap();
    let server = Server::start_in(directory, &[("AUDITBOX_CONFIG", "auditbox.toml")]);
    assert_eq!(outcome(&server.post("/v1/audit-log?format=shop", r#"{"order":7}{"order":8}"#)), (2, 0, 0));
    assert_eq!(server.list("entity=8").json()["audits"][0]["additionalData"], json!({ "order": 8 }));
}
