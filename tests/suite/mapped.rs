//! Records of other systems on their way into the log: `import --format`.

use std::{fs, path::Path};

use auditbox::model::{
    mapping::{Mapping, UNMAPPED},
    mask::Mask,
};
use serde_json::{Value, json, value::RawValue};

use crate::{
    cli::{bad, counts, directory, err, good, out, piped},
    formats::{FILES, formats},
    harness::run,
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
