//! Masked values that changed, that are unchanged, and those of which this is unknown.

use crate::model::mask::Mask;

use super::MaskedDiff;

fn compared(before: &str, after: &str) -> MaskedDiff {
    with(before, after, "")
}

/// Compares the sides of an event with further members.
fn with(before: &str, after: &str, further: &str) -> MaskedDiff {
    let text = format!(r#"{{"action":"A","diff":{{"before":{before},"after":{after}}},"token":"t"{further}}}"#);
    Mask::default().apply(&text).unwrap().diff.unwrap_or_else(|| panic!("nothing is masked: {text}"))
}

fn check(before: &str, after: &str, changed: &[&str], unknown: &[&str]) {
    let found = compared(before, after);
    assert_eq!((found.changed, found.unknown), (owned(changed), owned(unknown)), "{before} {after}");
}

fn owned(pointers: &[&str]) -> Vec<String> {
    pointers.iter().map(|pointer| (*pointer).to_owned()).collect()
}

#[test]
fn values_are_compared_as_json_before_they_are_masked() {
    for (before, after, changed) in [
        (r#"{"password":"a"}"#, r#"{"password":"b"}"#, &["/password"][..]),
        (r#"{"password":"a"}"#, r#"{"password":"a"}"#, &[]),
        (r#"{"password":"\u00e9"}"#, r#"{ "password" : "é" }"#, &[]),
        (r#"{"password":1}"#, r#"{"password":"1"}"#, &["/password"]),
        (r#"{"password":1.0}"#, r#"{"password":1}"#, &["/password"]),
        (r#"{"password":"\ud800"}"#, r#"{"password":"\ud801"}"#, &["/password"]),
        (r#"{"secret":{"a":1,"b":[1, 2]}}"#, r#"{"secret":{"b":[1,2],"a":1}}"#, &[]),
        (r#"{"secret":{"a":1,"b":[1,2]}}"#, r#"{"secret":{"b":[2,1],"a":1}}"#, &["/secret"]),
        (r#"{"secret":{"a":"1,2"}}"#, r#"{"secret":{"a":"1","2":""}}"#, &["/secret"]),
        (
            r#"{"a":[{"dbPassword":"x","~/":{"token":1}}]}"#,
            r#"{"a":[{"dbPassword":"x","~/":{"token":2}}]}"#,
            &["/a/0/~0~1/token"],
        ),
        (r#"{"password":null}"#, r#"{"password":"b"}"#, &["/password"]),
        (r#"{"password":true}"#, r#"{"password":"b"}"#, &["/password"]),
        ("null", r#"{"password":"b"}"#, &["/password"]),
        ("[1]", r#"{"password":"b"}"#, &["/password"]),
        (r#"{"password":"b"}"#, "{}", &["/password"]),
        (r#"["Cookie: a","Cookie: b"]"#, r#"["Cookie: a","Cookie: c"]"#, &["/1"]),
    ] {
        check(before, after, changed, &[]);
    }
    let text = r#"{"diff":{"before":{"a":1},"after":{"a":2}},"token":"t"}"#;
    assert_eq!(Mask::default().apply(text).unwrap().diff, None);
}

#[test]
fn what_the_sender_hid_is_unknown() {
    for hidden in
        ["***", "*****", "[REDACTED]", "[FILTERED]", "••••", "<redacted>", "xxxxx", "(hidden)", "[masked]", "****1234"]
    {
        let side = format!(r#"{{"password":"{hidden}","token":"t"}}"#);
        check(&side, &side, &[], &["/password"]);
        check(&side, &side.replace("\"t\"", "\"u\""), &["/token"], &["/password"]);
        // Within a secret, one changed part decides.
        let nested = format!(r#"{{"secret":{{"a":"{hidden}","b":1}}}}"#);
        check(&nested, &nested, &[], &["/secret"]);
        check(&nested, &nested.replace(":1", ":2"), &["/secret"], &[]);
        check(&nested, r#"{"secret":{"a":null,"b":1}}"#, &["/secret"], &[]);
    }
    // On one side only: what it hides may be the value of the other side.
    check(r#"{"password":"***"}"#, r#"{"password":"hunter2"}"#, &[], &["/password"]);
    check(r#"{"password":"hunter2"}"#, r#"{"password":"[REDACTED]"}"#, &[], &["/password"]);
    check(r#"{"password":"***"}"#, r#"{"password":"[REDACTED]"}"#, &[], &["/password"]);
    check(r#"{"password":"***"}"#, r#"{"password":12}"#, &[], &["/password"]);
    check(r#"{"password":"***"}"#, r#"{"password":true}"#, &[], &["/password"]);
    // It hides a value, and what is shown of one differs.
    check(r#"{"password":null}"#, r#"{"password":"***"}"#, &["/password"], &[]);
    check(r#"{"password":"***"}"#, "{}", &["/password"], &[]);
    check(r#"{"password":"****1234"}"#, r#"{"password":"****5678"}"#, &["/password"], &[]);
    check(r#"{"url":"/p?token=***&x=1"}"#, r#"{"url":"/p?token=***&x=2"}"#, &[], &["/url"]);
}

#[test]
fn only_the_masked_part_of_a_text_counts() {
    for (before, after, changed) in [
        ("/p?token=a&x=1", "/p?token=b&x=1", true),
        ("/p?token=a&x=1", "/p?token=a&x=2", false),
        ("/p?token=a&x=1", "/q?x=1&token=a#top", false),
        ("/p?token=a&pwd=b", "/p?token=a&pwd=c", true),
        ("/p?token=a", "/p?token=a&pwd=c", true),
        ("/p?token=a", "/p", true),
        ("/p?token=a", r"/p\u003ftoken=a&x=1", false),
    ] {
        let [before, after] = [before, after].map(|url| format!(r#"{{"url":"{url}"}}"#));
        check(&before, &after, if changed { &["/url"] } else { &[] }, &[]);
    }
    check(r#"["Cookie: a","x"]"#, r#"["Cookie: a","y"]"#, &[], &[]);
}

#[test]
fn elements_are_compared_as_the_page_pairs_them() {
    let variables = |entries: &[(&str, &str)]| {
        let entries: Vec<_> =
            entries.iter().map(|(name, value)| format!(r#"{{"name":"{name}_TOKEN","value":"{value}"}}"#)).collect();
        format!(r#"{{"env":[{}]}}"#, entries.join(","))
    };
    let before = variables(&[("A", "1"), ("B", "2"), ("C", "3")]);
    // An element is inserted; the elements are reordered; one of them changes.
    check(&before, &variables(&[("N", "9"), ("A", "1"), ("B", "2"), ("C", "3")]), &["/env/0/value"], &[]);
    check(&before, &variables(&[("C", "3"), ("A", "1"), ("B", "2")]), &[], &[]);
    check(&before, &variables(&[("C", "3"), ("A", "5"), ("B", "2")]), &["/env/1/value"], &[]);
    // The position of an element that was removed belongs to another one.
    check(&before, &variables(&[("B", "2"), ("C", "4")]), &["/env/1/value"], &[]);
    check(&before, &variables(&[("A", "1"), ("B", "2")]), &["/env/2/value"], &[]);
    // Without identifiers: by what is equal apart from masked values.
    let users = |users: &[(&str, &str)]| {
        let users: Vec<_> =
            users.iter().map(|(mail, pass)| format!(r#"{{"mail":"{mail}", "password":"{pass}"}}"#)).collect();
        format!("[{}]", users.join(", "))
    };
    let before = users(&[("a@x", "1"), ("b@x", "2")]);
    check(&before, &users(&[("n@x", "9"), ("a@x", "1"), ("b@x", "3")]), &["/0/password", "/2/password"], &[]);
}

#[test]
fn a_claim_counts_for_values_that_are_masked_already() {
    let side = r#"{"a":{"password":"[masked]"},"url":"/p?token=[masked]","token":"[masked]","pwd":"x"}"#;
    let claim = r#","maskedChanged":["/a/password","/pwd"],"maskedUnknown":["/token"]"#;
    let found = with(side, side, claim);
    assert_eq!((found.changed, found.unknown), (owned(&["/a/password"]), owned(&["/token"])));
    let found = with(side, side, r#","maskedChanged":[]"#);
    assert_eq!((found.changed, found.unknown), (owned(&[]), owned(&[])));
    let found = with(side, side, r#","maskedUnknown":[]"#);
    assert_eq!(found.unknown, owned(&["/a/password", "/token", "/url"]));
    // Other values are compared.
    let found = with(side, &side.replace("\"x\"", "\"y\""), r#","maskedChanged":["/token"]"#);
    assert_eq!(found.changed, owned(&["/pwd", "/token"]));
    let hidden = side.replace("[masked]", "***");
    assert_eq!(with(&hidden, &hidden, claim).unknown, owned(&["/a/password", "/token", "/url"]));
}

#[test]
fn many_values_are_compared_and_the_lists_are_bounded() {
    let many = |count: usize, value: u32| {
        let elements: Vec<_> = (0..count).map(|number| format!(r#"{{"id":{number},"token":{value}}}"#)).collect();
        format!("[{}]", elements.join(","))
    };
    let found = compared(&many(80, 1), &many(80, 2));
    assert_eq!((found.changed.len(), found.unknown.len()), (80, 0));
    let found = compared(&many(300, 1), &many(300, 1));
    assert_eq!(found, MaskedDiff::default());
    let found = compared(&many(300, 1), &many(300, 2));
    assert_eq!((found.changed.len(), found.unknown), (100, owned(&[""])));
    let hidden = many(300, 1).replace(":1}", ":\"***\"}");
    let found = compared(&hidden, &hidden);
    assert_eq!((found.changed.len(), found.unknown.len(), found.unknown.last().unwrap().as_str()), (0, 101, ""));
}

#[test]
fn what_is_too_costly_or_ambiguous_is_unknown() {
    // A key that appears twice.
    check(r#"{"password":1,"password":2}"#, r#"{"password":1}"#, &[], &[""]);
    // A pointer that is too long.
    let long = |value: u32| format!(r#"{{"a":{{"{}":{{"token":{value}}}}}}}"#, "k".repeat(300));
    check(&long(1), &long(1), &[], &[]);
    check(&long(1), &long(2), &[], &["/a"]);
    // Values that are nested too deeply.
    let deep = |bottom: u32| format!(r#"{{"token":{}{bottom}{}}}"#, "[".repeat(500), "]".repeat(500));
    check(&deep(1), &deep(2), &[], &[""]);
    // Long arrays whose elements have no identifiers.
    let arrays = |value: u32| {
        let array = format!("[{}]", vec![format!(r#"{{"token":{value}}}"#); 900].join(","));
        format!("[{}]", vec![array; 8].join(","))
    };
    let found = compared(&arrays(1), &arrays(1));
    assert!(found.changed.is_empty() && found.unknown.contains(&"/7".to_owned()), "{found:?}");
}
