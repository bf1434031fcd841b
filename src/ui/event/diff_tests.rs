//! Comparisons, and their bounds.

use serde_json::{Value, json, value::RawValue};

use super::*;
use crate::ui::event_view::EventView;

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

fn diff(before: &Value, after: &Value) -> Diff {
    let side = |value: &Value| Some(raw(value)).filter(|value| value.get() != "null");
    Diff::of(side(before).as_deref(), side(after).as_deref(), MaskedValues::default())
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
            r#"changed deep.x: "old">"new""#,
            "removed deep.gone: true>",
            "added deep.more: >null",
            r#"removed list[1]: "b">"#,
            r#"added list[2]: >"d""#,
        ]
    );
    let equal: Vec<_> = diff.equal.iter().map(|line| line.path.as_str()).collect();
    assert_eq!(equal, ["a", "deep.same", "list[0]", "list[1]"]);
}

#[test]
fn a_whole_object_that_comes_or_goes_is_taken_apart() {
    let object = json!({ "a": { "b": "x", "empty": {} }, "tags": ["p", "q"], "steps": [{ "run": 1 }] });
    let expected = [r#"a.b: >"x""#, "a.empty: >{}", r#"tags: >["p","q"]"#, "steps[0].run: >1"];
    assert_eq!(lines_of(&diff(&Value::Null, &object)), expected.map(|line| format!("added {line}")));
    assert_eq!(diff(&object, &Value::Null).summary(), "4 removed");
    assert!(diff(&Value::Null, &Value::Null).lines.is_empty());
}

#[test]
fn a_value_that_is_not_an_object_is_one_field() {
    for (before, after, expected) in [
        (json!("on"), json!("off"), r#"changed (whole value): "on">"off""#),
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
    let shown = lines_of(&Diff::of(Some(&sides[0]), Some(&sides[1]), MaskedValues::default()));
    assert_eq!(shown, [r#"changed (whole value): "a\ud800">"a\ud801""#]);
}

#[test]
fn elements_are_known_by_their_identifiers() {
    let before = json!({ "rules": [{ "id": "a", "level": 1 }, { "id": "b", "level": 2 }] });
    let after = json!({ "rules": [{ "id": "b", "level": 3 }, { "id": "a", "level": 1 }, { "id": "c", "level": 1 }] });
    assert_eq!(
        lines_of(&diff(&before, &after)),
        ["changed rules[b].level: 2>3", r#"added rules[c].id: >"c""#, "added rules[c].level: >1"]
    );
}

#[test]
fn numbers_keep_their_digits_and_white_space_means_nothing() {
    let sides = [r#"{ "n": 1.0, "big":9007199254740993, "s":"a  b" }"#, r#"{"n":1,"big":9007199254740992,"s":"a  b"}"#]
        .map(|text| RawValue::from_string(text.to_owned()).unwrap());
    let diff = Diff::of(Some(&sides[0]), Some(&sides[1]), MaskedValues::default());
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
        [r#"removed ["a.b"][""]: "">"#, r#"removed ["a.b"][" x"]: " padded">"#, r#"removed ["\""]: "null">"#,]
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
    assert!(lines[0].ends_with(r#": "a">"b""#));
}

#[test]
fn a_number_and_a_string_of_its_digits_differ_visibly() {
    assert_eq!(
        lines_of(&diff(&json!({ "n": 1, "s": "null" }), &json!({ "n": "1", "s": null }))),
        [r#"changed n: 1>"1""#, r#"changed s: "null">null"#,]
    );
}

#[test]
fn a_string_is_its_value_in_any_spelling() {
    let sides = [r#"{"a":"\u00e9","b":"\ud800","c":"/"}"#, r#"{"a":"é","b":"\ud801","c":"\/"}"#]
        .map(|text| RawValue::from_string(text.to_owned()).unwrap());
    let diff = Diff::of(Some(&sides[0]), Some(&sides[1]), MaskedValues::default());
    assert_eq!(lines_of(&diff), [r#"changed b: "\ud800">"\ud801""#]);
}

/// The lines and the equal fields of a stored event, with their notes.
fn noted(event: &Value) -> Vec<String> {
    let event = EventView::read(&event.to_string());
    let diff = Diff::of(event.before.as_deref(), event.after.as_deref(), MaskedValues::of(&event));
    let line = |line: &DiffLine| format!("{} {}: {}", line.change.word(), line.path, line.note);
    diff.lines.iter().chain(&diff.equal).map(line).collect()
}

#[test]
fn a_masked_value_is_changed_unchanged_or_unknown_but_never_just_equal() {
    let side =
        |host: &str| json!({ "password": "[masked]", "host": host, "keys": [{ "name": "k", "token": "[masked]" }] });
    let mut event = json!({
        "diff": { "before": side("a"), "after": side("b") }, "receivedAt": "2024-05-01T12:00:00Z",
        "masked": ["/diff/before/password", "/diff/before/keys/0/token", "/diff/after/password", "/diff/after/keys/0/token"],
    });
    let host = "changed host: ";
    let unknown = [
        "unknown password: unknown whether it changed (masked)",
        "unknown keys[k].token: unknown whether it changed (masked)",
    ];
    assert_eq!(noted(&event), [unknown[0], host, unknown[1], "unchanged keys[k].name: "]);
    event["maskedChanged"] = json!(["/password"]);
    let token = "unchanged keys[k].token: unchanged (masked)";
    assert_eq!(noted(&event), ["changed password: changed (masked)", host, "unchanged keys[k].name: ", token]);
    event["maskedChanged"] = json!([]);
    let password = "unchanged password: unchanged (masked)";
    assert_eq!(noted(&event), [host, password, "unchanged keys[k].name: ", token]);
    // An enclosing pointer: it is unknown which values in it changed.
    event["maskedUnknown"] = json!(["/keys"]);
    assert_eq!(noted(&event), [host, unknown[1], password, "unchanged keys[k].name: "]);
    (event["maskedUnknown"], event["maskedChanged"]) = (json!([""]), json!(["/password"]));
    assert_eq!(noted(&event), ["changed password: changed (masked)", host, unknown[1], "unchanged keys[k].name: "]);
    // The key of a sender is not the server's.
    let text = json!({ "maskedChanged": [], "diff": event["diff"], "receivedAt": event["receivedAt"], "masked": event["masked"] });
    assert_eq!(noted(&text)[0], unknown[0]);
    // Without a list of masked places, `[masked]` is what the sender wrote, and hides a value too.
    event.as_object_mut().unwrap().remove("masked");
    assert_eq!(noted(&event)[0], "unknown password: unknown whether it changed (hidden by the sender)");
}

#[test]
fn a_masked_value_that_moved_has_its_position_in_after() {
    let element = |id: &str| json!({ "id": id, "token": "[masked]" });
    let mut event = json!({
        "diff": { "before": { "l": [element("a"), element("b")] }, "after": { "l": [element("b")] } }, "receivedAt": "2024-05-01T12:00:00Z",
        "masked": ["/diff/before/l/0/token", "/diff/before/l/1/token", "/diff/after/l/0/token"], "maskedChanged": ["/l/0/token"],
    });
    let removed = ["removed l[a].id: ", "removed l[a].token: "];
    let id = "unchanged l[b].id: ";
    assert_eq!(noted(&event), [removed[0], removed[1], "changed l[b].token: changed (masked)", id]);
    event["maskedChanged"] = json!([]);
    assert_eq!(noted(&event), [removed[0], removed[1], id, "unchanged l[b].token: unchanged (masked)"]);
    event.as_object_mut().unwrap().remove("maskedChanged");
    assert_eq!(noted(&event)[2], "unknown l[b].token: unknown whether it changed (masked)");
}

#[test]
fn a_value_that_the_sender_hides_is_unknown() {
    for hidden in ["***", "[REDACTED]", "<hidden>", "••••", "xxxxx"] {
        let side = json!({ "pin": hidden, "list": [{ "id": 1, "key": hidden }], "n": 1 });
        let event = json!({ "diff": { "before": side, "after": side } });
        let unknown = "unknown whether it changed (hidden by the sender)";
        let [pin, key] = ["pin", "list[1].key"].map(|path| format!("unknown {path}: {unknown}"));
        assert_eq!(noted(&event), [&pin, &key, "unchanged list[1].id: ", "unchanged n: "], "{hidden}");
    }
    let event = json!({ "diff": { "before": { "pin": "***" }, "after": { "pin": null } } });
    assert_eq!(noted(&event), ["changed pin: "]);
    let event = json!({ "diff": { "before": "***", "after": "***" } });
    assert_eq!(noted(&event), ["unknown (whole value): unknown whether it changed (hidden by the sender)"]);
}

#[test]
fn the_masked_part_of_a_value_that_changed_is_told_apart() {
    let url = |number: u32| json!({ "url": format!("/p?token=[masked]&x={number}") });
    let mut event = json!({
        "diff": { "before": url(1), "after": url(2) }, "receivedAt": "2024-05-01T12:00:00Z",
        "masked": ["/diff/before/url", "/diff/after/url"], "maskedChanged": [],
    });
    assert_eq!(noted(&event), ["changed url: the masked part is unchanged"]);
    event["maskedChanged"] = json!(["/url"]);
    assert_eq!(noted(&event), ["changed url: the masked part changed"]);
    event["maskedUnknown"] = json!(["/url"]);
    event["maskedChanged"] = json!([]);
    assert_eq!(noted(&event), ["changed url: unknown whether the masked part changed"]);
}

#[test]
fn values_that_look_alike_say_in_what_they_differ() {
    let event = json!({ "diff": { "before": { "a": "M\u{fc}ller", "b": "x y" }, "after": { "a": "Mu\u{308}ller", "b": "x\u{a0}y" } } });
    assert_eq!(
        noted(&event),
        ["changed a: differs only in Unicode normalization", "changed b: differs only in the kind of space"]
    );
    let event = json!({ "diff": { "before": "x y", "after": "x\u{a0}y" } });
    assert_eq!(noted(&event), ["changed (whole value): differs only in the kind of space"]);
}
