//! Records of other systems, mapped by the embedded presets; and the command `preset`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use auditbox::model::{
    event::{EventDraft, Receipt, Sender},
    limits::EventLimits,
    mapping::{MappedRecord, Mapping, UNMAPPED},
    mask::Mask,
    timestamp::Timestamp,
};
use serde_json::Value;

use crate::{harness::run, skip::FORMATS};

/// The files of native records, their presets, and pointers to the values that a time, an actor and an entity can come from.
pub(crate) const FILES: &[(&str, &str, [&[&str]; 3])] = &[
    ("cloudtrail.ndjson", "cloudtrail", [&["/eventTime"], &["/userIdentity"], &["/resources/0", "/requestParameters"]]),
    (
        "kubernetes.ndjson",
        "kubernetes",
        [
            &["/stageTimestamp", "/requestReceivedTimestamp"],
            &["/user/username"],
            &["/objectRef/name", "/objectRef/namespace"],
        ],
    ),
    ("okta.ndjson", "okta", [&["/published"], &["/actor"], &["/target/0"]]),
    (
        "github.ndjson",
        "github",
        [&["/created_at", "/@timestamp"], &["/actor"], &["/repo", "/user", "/org", "/business"]],
    ),
    ("caddy-access.log", "caddy", [&["/ts"], &["/user_id"], &[]]),
    ("cloudevent.json", "cloudevents", [&["/time"], &["/data/actor"], &["/subject"]]),
    ("otlp-logs.json", "otlp", [&["/logRecord/timeUnixNano"], &["/logRecord/attributes/0"], &[]]),
];

/// The directory of the files: in `shared/data` next to the project. Without it, the test is skipped.
pub(crate) fn formats() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/formats");
    let path = std::env::var_os("AUDITBOX_FORMATS").map_or(path, PathBuf::from);
    FORMATS.is_met(path.is_dir()).then_some(path)
}

/// Whether a record has a value at one of the pointers: not null, not empty, and not a text that stands for a hidden value.
fn has(record: &Value, pointers: &[&str]) -> bool {
    let is_there = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty() && text != "redacted",
        Value::Object(members) => !members.is_empty(),
        _ => true,
    };
    pointers.iter().any(|pointer| record.pointer(pointer).is_some_and(is_there))
}

#[test]
fn native_records_of_every_format_become_events_with_time_actor_and_entity() {
    let Some(directory) = formats() else { return };
    let mut total = 0;
    for (file, preset, sources) in FILES {
        let body = fs::read(directory.join(file)).unwrap();
        let mapping = Mapping::named(preset).unwrap();
        let (mut records, mut wanted, mut found) = (0, [0; 3], [0; 3]);
        for document in mapping.documents(&body) {
            for record in mapping.records(document.unwrap()).unwrap() {
                let mapped = mapping.map(&record, &EventLimits::default(), &Mask::default()).unwrap();
                let limits = MappedRecord::limits(&EventLimits::default());
                let draft = EventDraft::parse(mapped.event(), &limits, Sender::Client).unwrap();
                let event = draft.accept(&Receipt { at: Timestamp::now(), by: "test" });
                assert!(
                    event.body.contains(&format!("\"additionalData\":{}", record.source())),
                    "{file}: {}",
                    event.body
                );
                let sent: Value = serde_json::from_str(mapped.event()).unwrap();
                let stored: Value = serde_json::from_str(&event.body).unwrap();
                assert!(stored["action"].is_string() && stored["status"].is_string(), "{file}: {stored}");
                // One of the records is empty.
                assert_eq!(stored["resourceType"] == UNMAPPED, record.source() == "{}", "{file}: {stored}");
                let has_actor = ["userId", "name", "email"].iter().any(|key| sent["trigger"]["by"][key].is_string());
                let is_set = [sent["trigger"]["at"].is_string(), has_actor, sent["context"]["entity"].is_string()];
                for (place, pointers) in sources.iter().enumerate() {
                    if has(&sent["additionalData"], pointers) {
                        wanted[place] += 1;
                        found[place] += usize::from(is_set[place]);
                    }
                }
                records += 1;
            }
        }
        println!(
            "{preset}: {records} records; time {}/{}, actor {}/{}, entity {}/{}",
            found[0], wanted[0], found[1], wanted[1], found[2], wanted[2]
        );
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(found * 100 >= wanted * 95, "{file}: {found} of {wanted}");
        }
        total += records;
    }
    assert!(total >= 163, "{total}");
}

#[test]
fn a_preset_of_ones_own_is_tried_on_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let preset = "[presets.door]\ntitle = \"Doors\"\naction = { from = \"/what\", verb = true }\nresourceType = \"=door\"\ncontext.entity = \"/door\"\ntrigger.at = \"/when\"\n\n[[presets.door.tests]]\nrecord = '{\"what\":\"open\",\"door\":\"7\"}'\nevent.action = \"READ\"\nevent.resourceType = \"door\"\nevent.context.entity = \"7\"\n";
    write("auditbox.toml", preset);
    write(
        "doors.ndjson",
        "{\"what\":\"open\",\"door\":7,\"when\":1767323045,\"by\":{\"badge\":12}}\nbroken\n{\"x\":1}\n",
    );
    let command = |arguments: &[&str]| {
        let output = run(directory.path(), &[&["--config", "auditbox.toml", "preset"], arguments].concat());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, _) = command(&["list"]);
    assert!(
        code == Some(0) && out.contains("door@1") && out.contains("cloudtrail@1") && out.contains("Doors"),
        "{out}"
    );
    let (code, out, _) = command(&["test"]);
    assert!(code == Some(0) && out.contains("door: 1 tests passed") && out.lines().count() == 26, "{out}");
    let (code, out, _) = command(&["show", "door"]);
    assert!(code == Some(0) && out.contains("from = \"/what\""), "{out}");
    let (code, out, err) = command(&["test", "door", "doors.ndjson"]);
    for part in [
        "record 1",
        "\"action\": \"READ\"",
        "\"at\": \"2026-01-02T03:04:05.000000Z\"",
        "only in additionalData: /by/badge",
        "line 2, column 1: not JSON",
        "\"resourceType\": \"unmapped\"",
        "2 records: 1 unmapped, 0 with problems; 1 could not be read",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(code == Some(1) && err.contains("1 record could not be read"), "{err}");
    let (code, _, err) = command(&["show", "nothing"]);
    assert!(code == Some(2) && err.contains("is not a preset; the presets are auditbox, auditd-json"), "{err}");
}

#[test]
fn a_preset_whose_test_fails_keeps_the_server_from_starting() {
    let directory = tempfile::tempdir().unwrap();
    let preset = "[presets.door]\naction = \"/what\"\n\n[[presets.door.tests]]\nrecord = '{\"what\":\"OPEN\"}'\nevent.action = \"CLOSE\"\n";
    fs::write(directory.path().join("auditbox.toml"), preset).unwrap();
    let output = run(directory.path(), &["--config", "auditbox.toml", "serve"]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(
        err.contains("auditbox.toml:4: [presets.door] test 1 fails: action must be `CLOSE`, but is `OPEN`"),
        "{err}"
    );
}
