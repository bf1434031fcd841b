//! Every form in which records are written, and what a broken one costs.

use std::io::{self, Read};

use proptest::prelude::*;

use super::*;
use crate::model::batch;

/// A text that arrives in pieces of `piece` bytes.
struct Pieces<'a> {
    text: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.piece.min(self.text.len()).min(buffer.len());
        buffer[..length].copy_from_slice(&self.text[..length]);
        self.text = &self.text[length..];
        Ok(length)
    }
}

fn read_in(text: &[u8], bytes_max: usize, piece: usize) -> Vec<Record<'static>> {
    Records::new(Pieces { text, piece }, bytes_max).map(Result::unwrap).collect()
}

/// The records of a text, which are the same however it arrives: each with its place, `bad` for a broken one.
fn read(text: &str, bytes_max: usize) -> Vec<String> {
    let found = read_in(text.as_bytes(), bytes_max, text.len().max(1));
    for piece in [1, 2, 7] {
        assert_eq!(read_in(text.as_bytes(), bytes_max, piece), found, "{text:?}");
    }
    let shown = |record: Record<'_>| format!("{} {}", record.place, record.text.unwrap_or_else(|_| "bad".to_owned()));
    found.into_iter().map(|record| shown(record).trim_start_matches("line ").to_owned()).collect()
}

/// The records without their places.
fn texts(text: &str) -> Vec<String> {
    let start = |record: &str| record.find('{').or_else(|| record.find("bad")).unwrap_or(0);
    read(text, 1_000).into_iter().map(|record| record[start(&record)..].to_owned()).collect()
}

#[test]
fn every_form_holds_the_same_records() {
    let (one, two) = (r#"{"a":"[{,"}"#, r#"{"b":[1,{"c":2}]}"#);
    for form in [
        "A\nB\n",
        "A\nB",
        "AB",
        "\u{feff}A\r\n\r\nB\r\n",
        "\u{feff}A\n\u{feff}B",
        "\u{1e}A\n\u{1e}B\n",
        "A,\nB,\n",
        "[A,B]",
        " [\n  A,\n  B\n]\n",
        "[A]\n[B]",
        "[]A[]B",
        r#"{"ok":true,"audits":[A,B],"next":null}"#,
        r#"{"audits":[A],"next":"x"}{"audits":[B],"next":null}"#,
        r#"[{"audits":[A]},{"audits":[B]}]"#,
        r#"{"Records":[A,B]}"#,
        r#"{"kind":{"items":[C]},"items":[A,B],"x":{"a":[]}}"#,
        r#"{"events":[],"value":[A,B]}"#,
        r#"{"records":[A],"items":[B]}"#,
    ] {
        let text = form.replace('A', one).replace('B', two).replace('C', "{}");
        assert_eq!(texts(&text), [one, two], "{form}");
    }
    let pretty = "{\n  \"a\": [\n    {\n      \"b\": 1\n    }\n  ]\n}";
    assert_eq!(read(&format!("{pretty}\n{pretty}\n"), 99), [format!("1 {pretty}"), format!("8 {pretty}")]);
    for nothing in ["", " \r\n", "[]", "[ ]\n", r#"{"ok":true,"audits":[],"next":null}"#, "\u{feff}"] {
        assert_eq!(read(nothing, 99), [""; 0], "{nothing:?}");
    }
}

#[test]
fn an_event_may_have_the_keys_of_an_envelope() {
    for event in [
        r#"{"action":"A","resourceType":"x","items":[{"a":1}]}"#,
        r#"{"items":[{"a":1}],"action":"A"}"#,
        r#"{"value":"[","events":{"a":[1]},"audits":null}"#,
    ] {
        assert_eq!(read(event, 999), [format!("1 {event}")]);
    }
    // An envelope within an envelope is a record.
    assert_eq!(texts(r#"{"items":[{"events":[{}]}]}"#), [r#"{"events":[{}]}"#]);
}

#[test]
fn records_are_named_by_their_line_and_their_number_on_it() {
    assert_eq!(read("{}\n\n {\"a\":1} {\"b\":2}\n{}", 99), ["1 {}", "3 {\"a\":1}", "3, record 2 {\"b\":2}", "4 {}"]);
    assert_eq!(read("[{},{}]", 99), ["1 {}", "1, record 2 {}"]);
    assert_eq!(read("{\"ok\":true,\n\"audits\":[{},\n{}]}", 99), ["2 {}", "3 {}"]);
    assert_eq!(read("{\"audits\":[{},{}]}", 99), ["1 {}", "1, record 2 {}"]);
}

#[test]
fn a_broken_record_costs_only_itself() {
    for (text, found) in [
        ("{\"a\":1}\nnot json\n{\"b\":2}", vec!["{\"a\":1}", "bad", "{\"b\":2}"]),
        ("{\"a\":tru3}\n{\"b\":2}", vec!["{\"a\":tru3}", "{\"b\":2}"]),
        ("{\"a\":1 2}\n{\"b\":2}", vec!["bad", "{\"b\":2}"]),
        ("{\"a\":\"x\n{\"b\":2}", vec!["bad", "{\"b\":2}"]),
        ("{\"a\":\"x\"y\"}\n{\"b\":2}", vec!["bad", "{\"b\":2}"]),
        ("{\"a\":{\"b\":1,\n{\"c\":2}\n{\"d\":3}", vec!["bad", "{\"c\":2}", "{\"d\":3}"]),
        ("{\"a\":\n{\"c\":2}\n{\"d\":3}", vec!["bad", "{\"c\":2}", "{\"d\":3}"]),
        ("{\"a\":[1,\n{\"c\":2}\n{\"d\":3}", vec!["bad", "{\"c\":2}", "{\"d\":3}"]),
        ("{\"a\":1}}\n{\"b\":2}", vec!["{\"a\":1}", "bad", "{\"b\":2}"]),
        ("{\"a\":1}\n{\"b\":", vec!["{\"a\":1}", "bad"]),
        ("{\"a\":1} trailing\n{\"b\":2}", vec!["{\"a\":1}", "bad", "{\"b\":2}"]),
        // Over several lines: the next record begins in the same column.
        ("{\n  \"a\" 1,\n  \"b\": {\n  }\n}\n{\n  \"c\": 2\n}", vec!["bad", "{\n  \"c\": 2\n}"]),
        (
            "[\n  {\n    \"a\" 1,\n    \"b\": [\n      {}\n    ]\n  },\n  {\"c\":2}\n]\n{}",
            vec!["bad", "{\"c\":2}", "{}"],
        ),
        ("[\n  {\"c\":2},\n  {\"a\":\n]\n{}", vec!["{\"c\":2}", "bad", "{}"]),
        // In one line: brackets show where it ends.
        ("[{\"a\":1},{\"b\" 2},{\"c\":3}]", vec!["{\"a\":1}", "bad", "{\"c\":3}"]),
        ("[{\"a\":1},oops,{\"c\":3}]{}", vec!["{\"a\":1}", "bad", "{\"c\":3}", "{}"]),
        ("{\"audits\":[{\"a\":1},{\"b\" 2},{\"c\":3}],\"next\":null}\n{}", vec!["{\"a\":1}", "bad", "{\"c\":3}", "{}"]),
        ("[[1]]\n[1,2]\n{}", vec!["bad", "bad", "{}"]),
        // What is cut off is missed.
        ("[{\"a\":1}", vec!["{\"a\":1}", "bad"]),
        ("[{\"a\":1},", vec!["{\"a\":1}", "bad"]),
        ("{\"audits\":[{\"a\":1}]", vec!["{\"a\":1}", "bad"]),
        ("{\"audits\":[{\"a\":1}],\"next\"", vec!["{\"a\":1}", "bad"]),
        ("{\"audits\":[{\"a\":1}] x}\n{}", vec!["{\"a\":1}", "bad", "{}"]),
    ] {
        assert_eq!(texts(text), found, "{text}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let first = |text: &[u8]| read_in(text, 20, 9).remove(0).text.unwrap_err();
    for (text, message) in [
        (&b"not json\n"[..], "not JSON: expected an object"),
        (b"{\"a\" 1}", "not JSON: expected a colon"),
        (b"{\"a\":\"\xff\"}", "not UTF-8 at byte 6"),
        (b"{\"a\":\"0123456789012345\"}", "larger than 20 bytes"),
        (b"{\"a\":", "not JSON: the text is cut off within this record"),
        (b"[", "not JSON: expected an object"),
    ] {
        assert_eq!(first(text).message, message);
    }
    assert_eq!(first(b"<134>1 x\nmore").start, "<134>1 x");
    let list = read_in(b"\n[{}", 20, 9).pop().unwrap();
    assert_eq!(list.text.unwrap_err().message, "the text is cut off: the list that begins here does not end");
    assert_eq!(list.place, Place { line: 2, on_line: 1 });
}

#[test]
fn a_record_that_is_too_long_is_passed_over_and_an_envelope_may_have_any_length() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(50));
    assert_eq!(read(&format!("{long}\n{{}}"), 20), ["1 bad", "2 {}"]);
    assert_eq!(read(&format!("[{long},{{}}]"), 20), ["1 bad", "1, record 2 {}"]);
    assert_eq!(read(&format!("{long}x\n{{}}"), 20), ["1 bad", "1, record 2 bad", "2 {}"]);
    let many = vec!["{}"; 500].join(",");
    assert_eq!(read(&format!("{{\"items\":[{many}],\"next\":\"{}\"}}{{\"b\":1}}", "x".repeat(99)), 20).len(), 501);
    // Too long for an event, and no envelope.
    let event = format!("{{\"action\":\"A\",\"items\":[{many}]}}");
    assert_eq!(read(&format!("{event}\n{{}}"), 20), ["1 bad", "2 {}"]);
}

#[test]
fn what_follows_a_list_is_kept() {
    let text = br#"{"ok":true,"audits":[{}],"next":null,"count":7}"#;
    let mut records = Records::new(&text[..], 99);
    assert_eq!(records.by_ref().count(), 1);
    assert_eq!(records.tail(), br#","next":null,"count":7}"#);
}

#[test]
fn records_of_foreign_envelopes_are_one_bad_record() {
    let list = r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"kind":"Event"}]}"#;
    assert_eq!(read(list, 999), [format!("1 {list}")]);
    assert_eq!(read_in(br#"{"Records":[{"eventSource":"s"}]}"#, 999, 9)[0].envelope, Some("Records"));
}

proptest! {
    #[test]
    fn sound_lines_survive_among_broken_ones(lines in prop::collection::vec("[a-z{}\\[\\]\":,0 ]{0,12}", 0..12)) {
        // Where a value may follow on the next line, that line may be a part of the broken record.
        let closed = |line: &String| line.clone() + if line.trim_end().ends_with([':', ',', '[', '"']) { "x" } else { "" };
        let lines: Vec<_> = lines.iter().map(closed).collect();
        let numbered = |number| format!("{{\"n\":{number}}}");
        let text: Vec<_> = lines.iter().enumerate().map(|(number, line)| format!("{line}\n{}\n", numbered(number))).collect();
        let found: Vec<_> = read_in(text.concat().as_bytes(), 1_000, 5).into_iter().filter_map(|record| record.text.ok()).collect();
        for number in 0..lines.len() {
            prop_assert!(found.contains(&numbered(number)), "{} of {:?}", number, text);
        }
    }

    #[test]
    fn any_bytes_are_read_to_their_end(bytes in prop::collection::vec(any::<u8>(), 0..200), max in 1_usize..50) {
        prop_assert!(read_in(&bytes, max, 3).len() <= bytes.len() + 1);
    }
}

/// How records are written one after another.
#[derive(Debug, Clone, Copy)]
struct Layout {
    is_pretty: bool,
    /// What precedes all records, what separates two, and what follows all.
    around: [&'static str; 3],
    indent: &'static str,
}

const LAYOUTS: [Layout; 6] = [
    Layout { is_pretty: false, around: ["", "\n", "\n"], indent: "" },
    Layout { is_pretty: true, around: ["", "\n", "\n"], indent: "" },
    Layout { is_pretty: false, around: ["", ",\n", ",\n"], indent: "" },
    Layout { is_pretty: false, around: ["[\n", ",\n", "\n]\n"], indent: "" },
    Layout { is_pretty: false, around: ["[\n", ",\n", "\n]"], indent: "  " },
    Layout { is_pretty: true, around: ["[\n", ",\n", "\n]\n"], indent: "  " },
];

impl Layout {
    /// The records as a text. A number says how many thousandths of the record remain; no comma follows such a record.
    fn write(self, records: &[(String, Option<usize>)]) -> Vec<u8> {
        let mut text = self.around[0].as_bytes().to_vec();
        for (index, (record, cut)) in records.iter().enumerate() {
            let record = format!("{}{}", self.indent, record.replace('\n', &format!("\n{}", self.indent)));
            let is_last = index + 1 == records.len();
            let after = self.around[if is_last { 2 } else { 1 }];
            match cut {
                Some(thousandths) => {
                    let length = record.len() - self.indent.len();
                    let kept = self.indent.len() + 1 + (length - 2) * thousandths / 1_000;
                    text.extend_from_slice(&record.as_bytes()[..kept]);
                    text.extend_from_slice(after.trim_start_matches(',').as_bytes());
                }
                None => text.extend_from_slice(format!("{record}{after}").as_bytes()),
            }
        }
        text
    }
}

fn trees() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        any::<u8>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "[a-c{}\\[\\]\":,\n\\\\é]{0,5}".prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn of_truncated_records_nothing_is_found_and_every_whole_one_is(
        trees in prop::collection::vec((trees(), prop::option::of(0_usize..1_000)), 1..8),
        layout in prop::sample::select(&LAYOUTS[..]),
    ) {
        let written = |(number, (tree, cut)): (usize, (serde_json::Value, Option<usize>))| {
            let record = serde_json::json!({ "k": number, "t": tree });
            let text = if layout.is_pretty { serde_json::to_string_pretty(&record) } else { serde_json::to_string(&record) };
            (text.unwrap(), cut)
        };
        let records: Vec<_> = trees.into_iter().enumerate().map(written).collect();
        let text = layout.write(&records);
        let compact = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap().to_string();
        let whole: Vec<_> = records.iter().filter(|(_, cut)| cut.is_none()).map(|(record, _)| compact(record)).collect();
        let shown = String::from_utf8_lossy(&text).into_owned();
        let found = read_in(&text, 10_000, 3);
        let read: Vec<_> = found.iter().filter_map(|record| record.text.as_deref().ok().map(compact)).collect();
        prop_assert_eq!(&read, &whole, "{}", shown);
        prop_assert!(found.len() >= records.len(), "{}", shown);
        if layout.around[0].is_empty() && !layout.around[1].starts_with(',') {
            let pieces = batch::split(&text, 1_000, batch::AfterError::Resume).unwrap();
            let read: Vec<_> = pieces.iter().flatten().map(|raw| compact(raw.get())).collect();
            prop_assert_eq!(&read, &whole, "body {}", shown);
        }
    }
}
