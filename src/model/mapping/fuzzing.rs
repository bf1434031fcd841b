//! Feeds arbitrary records to every preset, and arbitrary presets to the compiler.
//!
//! For tests and fuzzers only.

#![allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a check that fails is what a fuzzer looks for")]

use std::sync::LazyLock;

use serde_json::value::RawValue;

use super::{EMBEDDED, MappedRecord, Mapping, Record};
use crate::model::{
    event::{EventDraft, Receipt, Sender},
    json::Members,
    limits::EventLimits,
    mask::Mask,
    timestamp::Timestamp,
};

static PRESETS: LazyLock<Vec<Mapping>> =
    LazyLock::new(|| EMBEDDED.iter().filter_map(|(name, _)| Mapping::named(name)).collect());

/// Maps the records of a text with every preset. Each record becomes an event that is accepted, and that holds the record.
pub fn map_records(bytes: &[u8]) {
    for mapping in PRESETS.iter() {
        for document in mapping.documents(bytes) {
            let Ok(document) = document else { continue };
            let records = mapping.records(document).unwrap_or_default();
            mapping.recognizes(document);
            for record in &records {
                map_record(record, mapping);
                for path in mapping.explain(record, &EventLimits::default()).unmapped {
                    assert!(path.is_empty() || path.starts_with('/'));
                }
            }
        }
    }
}

/// Maps a record. It becomes an event that is accepted, and that holds the record, unless it is larger than a record may be.
pub fn map_record(record: &Record<'_>, mapping: &Mapping) {
    let (limits, mask, source) = (EventLimits::default(), Mask::default(), record.source());
    let mapped = mapping.map(record, &limits, &mask);
    if source.len() > limits.event_bytes_max {
        assert!(mapped.is_err());
        return;
    }
    accept(&mapped.unwrap(), source);
    accept(&mapping.map_again(record, &limits, &mask).unwrap(), source);
}

fn accept(mapped: &MappedRecord, source: &str) {
    let limits = MappedRecord::limits(&EventLimits::default());
    let draft = EventDraft::parse(mapped.event(), &limits, Sender::Client);
    let draft = draft.unwrap_or_else(|error| panic!("{error}: {source}"));
    let event = draft.accept(&Receipt { at: Timestamp::from_micros(1_700_000_000_000_000), by: "sender" });
    let members = Members::read(&event.body, 1_000).unwrap();
    let (_, kept) = members.iter().find(|(key, _)| *key == "additionalData").unwrap();
    assert!(kept.get() == source || serde_json::from_str::<String>(kept.get()).is_ok_and(|text| text == source));
    assert!(serde_json::from_str::<&RawValue>(&mapped.provenance("door")).is_ok());
}

/// Compiles a text as a preset, and maps a record with it if it is one.
pub fn read_preset(text: &str) {
    if let Ok(mapping) = Mapping::parse("fuzzed", text) {
        let record = r#"{"a":{"b":["x",{"k":"v"}]},"time":1767323045,"n":1}"#;
        for record in mapping.records(record).unwrap_or_default() {
            accept(&mapping.map(&record, &EventLimits::default(), &Mask::default()).unwrap(), record.source());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pieces of records, which are joined in any order. Many are keys that presets look for.
    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "null",
        "true",
        "1e999",
        "-0",
        " ",
        "\n",
        "\u{feff}",
        "é",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "\"action\":",
        "\"Records\":[",
        "\"items\":[",
        "\"events\":[",
        "\"eventName\":\"X\"",
        "\"verb\":\"get\"",
        "\"user\":{\"username\":\"u\"}",
        "\"time\":",
        "\"ts\":1767323045.5",
        "\"status\":",
        "404",
        "\"resourceLogs\":[",
        "\"scopeLogs\":[",
        "\"logRecords\":[",
        "\"attributes\":[{\"key\":\"user.id\",\"value\":{\"stringValue\":\"x\"}}]",
        "\"parameters\":[{\"name\":\"OLD_VALUE\",\"value\":",
        "\"properties\":\"{\\\"id\\\":1}\"",
        "\"trigger\":{\"origin\":\"auditbox\"}",
        "\"diff\":{\"before\":",
        "\"2026-01-02T03:04:05Z\"",
        "203.0.113.7 - - [02/Jan/2026:03:04:05 +0000] \"GET / HTTP/1.1\" 200 6",
        "{\"a\":1}",
    ];

    /// Lines of presets.
    const LINES: &[&str] = &[
        "action = \"/a/b\"",
        "action = [\"/a/b/0\", \"=X\"]",
        "resourceType = \"{/n}-{/time}\"",
        "records = \"/a\"",
        "identifier = { from = \"/n\", split = \"x\", take = -1 }",
        "trigger.at = \"/time\"",
        "trigger.at = \"/n\"",
        "context.entity = \"/a/b/[k=v]/k\"",
        "diff.after = { from = \"/a\", json = \"/b\" }",
        "diff.before = \"/a\"",
        "status = { from = \"/n\", map = { \"1|*\" = \"FAILURE\" } }",
        "request.statusCode = \"/n\"",
        "zone = \"+02:00\"",
        "input = \"otlp\"",
        "input = \"combined\"",
        "version = 2",
        "[context]",
        "entity = \"/n\"",
        "[[tests]]",
        "record = \"{}\"",
        "= \"",
        "\"\"\"",
        "a.b.c = { d = [",
        "action = \"=\"",
    ];

    proptest! {
        #[test]
        fn any_record_becomes_an_event_or_is_no_json(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24),
            value in "[ -~]{0,12}|.{0,12}|-?[0-9]{0,20}(\\.[0-9]{0,9})?(e[0-9]{1,3})?",
        ) {
            map_records(&bytes);
            map_records(pieces.concat().as_bytes());
            let quoted = serde_json::to_string(&value).unwrap();
            // Every key of a preset with the same value, at one level and one level deeper.
            let keys = ["action", "type", "time", "ts", "@timestamp", "created_at", "uuid", "id", "identifier", "status", "verb", "event"];
            let members: Vec<_> = keys.iter().map(|key| format!("\"{key}\":{quoted}")).collect();
            let inner = format!("{{{}}}", members.join(","));
            map_records(inner.as_bytes());
            map_records(format!("{{\"request\":{inner},\"trigger\":{{\"origin\":{quoted},\"at\":{quoted},\"by\":{{\"name\":{quoted}}}}},\"event\":{inner}}}").as_bytes());
        }

        #[test]
        fn any_text_is_a_preset_or_an_error(
            text in ".{0,60}",
            lines in prop::collection::vec(prop::sample::select(LINES), 0..8),
            pointer in "[/~0-9a-c\\[\\]=]{0,12}",
        ) {
            read_preset(&text);
            read_preset(&lines.join("\n"));
            read_preset(&format!("action = '{pointer}'\nresourceType = {{ from = '{{{pointer}}}' }}"));
        }
    }
}
