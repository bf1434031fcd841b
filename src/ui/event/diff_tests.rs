//! Comparisons, and their bounds.

use serde_json::{Value, json, value::RawValue};

use super::*;

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

fn diff(before: &Value, after: &Value) -> Diff {
    let side = |value: &Value| Some(raw(value)).filter(|value| value.get() != "null");
    Diff::of(side(before).as_deref(), side(after).as_deref())
}

fn lines_of(diff: &Diff) -> Vec<String> {
    let text = |side: &Option<Shown>| side.as_ref().map_or_else(String::new, Shown::text);
    let line =
        |line: &DiffLine| format!("{} {}: {}>{}", line.change.word(), line.path, text(&line.before), text(&line.after));
    diff.lines.iter().map(line).collect()
}

#[test]
fn nested_fields_are_added_removed_and_changed() {
    let before = json!({ "a": 1, "deep": { "x": "old", "gone": true, "same": [1, 2] }, "list": ["a", "b", "c"] });
    let after = json!({ "a": 1, "deep": { "x": "new", "same": [1, 2], "more": null }, "list": ["a", "c", "d"] });
    let diff = diff(&before, &after);
    assert_eq!(
        lines_of(&diff),
        [
            "changed deep.x: old>new",
            "removed deep.gone: true>",
            "added deep.more: >null",
            "removed list[1]: b>",
            "added list[2]: >d",
        ]
    );
    let equal: Vec<_> = diff.equal.iter().map(|line| line.path.as_str()).collect();
    assert_eq!(equal, ["a", "deep.same", "list[0]", "list[1]"]);
}

#[test]
fn a_whole_object_that_comes_or_goes_is_taken_apart() {
    let object = json!({ "a": { "b": "x", "empty": {} }, "tags": ["p", "q"], "steps": [{ "run": 1 }] });
    let expected = ["a.b: >x", "a.empty: >{}", r#"tags: >["p","q"]"#, "steps[0].run: >1"];
    assert_eq!(lines_of(&diff(&Value::Null, &object)), expected.map(|line| format!("added {line}")));
    assert_eq!(diff(&object, &Value::Null).summary(), "4 removed");
    assert!(diff(&Value::Null, &Value::Null).lines.is_empty());
}

#[test]
fn a_value_that_is_not_an_object_is_one_field() {
    for (before, after, expected) in [
        (json!("on"), json!("off"), "changed (whole value): on>off"),
        (json!({ "a": 1 }), json!([1]), r#"changed (whole value): {"a":1}>[1]"#),
        (json!([{ "a": 1 }]), Value::Null, r#"removed (whole value): [{"a":1}]>"#),
        (Value::Null, json!(7), "added (whole value): >7"),
    ] {
        assert_eq!(lines_of(&diff(&before, &after)), [expected]);
    }
    let equal = diff(&json!([1, 2]), &json!([1, 2]));
    assert!(equal.lines.is_empty() && equal.equal_count() == 1);
    // A string that cannot be decoded is shown as stored.
    let sides = [r#""a\ud800""#, r#""a\ud801""#].map(|text| RawValue::from_string(text.to_owned()).unwrap());
    let shown = lines_of(&Diff::of(Some(&sides[0]), Some(&sides[1])));
    assert_eq!(shown, [r#"changed (whole value): "a\ud800">"a\ud801""#]);
}

#[test]
fn elements_are_known_by_their_identifiers() {
    let before = json!({ "rules": [{ "id": "a", "level": 1 }, { "id": "b", "level": 2 }] });
    let after = json!({ "rules": [{ "id": "b", "level": 3 }, { "id": "a", "level": 1 }, { "id": "c", "level": 1 }] });
    assert_eq!(
        lines_of(&diff(&before, &after)),
        ["changed rules[b].level: 2>3", "added rules[c].id: >c", "added rules[c].level: >1"]
    );
}

#[test]
fn numbers_keep_their_digits_and_white_space_means_nothing() {
    let sides = [r#"{ "n": 1.0, "big":9007199254740993, "s":"a  b" }"#, r#"{"n":1,"big":9007199254740992,"s":"a  b"}"#]
        .map(|text| RawValue::from_string(text.to_owned()).unwrap());
    let diff = Diff::of(Some(&sides[0]), Some(&sides[1]));
    assert_eq!(lines_of(&diff), ["changed n: 1.0>1", "changed big: 9007199254740993>9007199254740992"]);
    assert_eq!(diff.equal.len(), 1);
}

#[test]
fn the_words_that_changed_are_marked() {
    let diff = diff(
        &json!({ "text": "Deploys the api to staging every night" }),
        &json!({ "text": "Deploys the api to production every night" }),
    );
    let marked = |side: &Option<Shown>| -> Vec<String> {
        let pieces = side.iter().flat_map(|shown| &shown.pieces);
        pieces.filter(|piece| piece.is_marked).map(|piece| piece.text.clone()).collect()
    };
    assert_eq!(marked(&diff.lines[0].before), ["staging"]);
    assert_eq!(marked(&diff.lines[0].after), ["production"]);
    let links = super::Shown::pair(r#""https://example.com/a/api""#, r#""https://example.com/b/api""#, 999);
    assert_eq!(marked(&Some(links.1)), ["b"]);
    // If nearly everything is new, marks would only obscure it.
    assert_eq!(marked(&Some(super::Shown::pair(r#""one""#, r#""two""#, 999).0)), Vec::<String>::new());
}

#[test]
fn odd_keys_and_texts_cannot_be_mistaken() {
    let before = json!({ "a.b": { "": "", " x": " padded" }, "\"": "null" });
    assert_eq!(
        lines_of(&diff(&before, &Value::Null)),
        ["removed [\"a.b\"][\"\"]: \"\">", "removed [\"a.b\"][\" x\"]: \" padded\">", "removed [\"\\\"\"]: null>",]
    );
}

#[test]
fn large_events_stay_bounded() {
    let many = |value: u32| Value::Object((0..50_000).map(|n| (format!("k{n}"), json!(value))).collect());
    let compared = diff(&many(1), &many(2));
    assert_eq!((compared.lines.len(), compared.lines_left_out), (LINES_MAX, 49_000));
    assert_eq!(diff(&many(1), &json!({ "k0": 1 })).lines_left_out, 48_999);
    let equal = diff(&json!({ "deep": many(1), "x": 1 }), &json!({ "deep": many(1), "x": 2 }));
    assert_eq!(equal.equal_count(), 50_000);
    let long: Vec<_> = (0..5_000).map(|n| json!({ "n": n })).collect();
    assert!(diff(&json!({ "list": long }), &json!({ "list": long[1..] })).lines.len() <= LINES_MAX);
    let text = |n: usize| json!({ "text": "word ".repeat(n), "more": "x".repeat(n) });
    let texts = diff(&text(100_000), &text(100_001));
    let bytes: usize =
        texts.lines.iter().flat_map(|line| [&line.before, &line.after]).flatten().map(Shown::bytes).sum();
    assert!(bytes < 2 * SHOWN_BYTES_MAX, "{bytes}");
    assert!(texts.lines[0].before.as_ref().unwrap().chars_left_out > 0);
    // A key may have any length and appears on every line below it.
    let long_key = |value: u32| json!({ "k".repeat(100_000): { "a": many(value), "b": [[value, {}]] } });
    let paths = diff(&long_key(1), &long_key(2));
    assert_eq!(paths.lines.len(), LINES_MAX);
    assert!(paths.lines.iter().all(|line| line.path.len() < 512 && line.path.starts_with('…')));
}

#[test]
fn deep_nesting_is_compared_to_its_bottom() {
    let deep = |bottom: &str| (0..60).fold(json!(bottom), |inner, _| json!({ "in": [inner] }));
    let lines = lines_of(&diff(&deep("a"), &deep("b")));
    assert_eq!(lines.len(), 1);
    assert!(lines[0].ends_with(": a>b"));
}
