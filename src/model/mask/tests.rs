//! Tests: which values are masked, and that no other byte changes.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::model::{field::Object, json_tree::Node, limits::JSON_DEPTH_MAX};

fn masked(text: &str) -> (String, Vec<String>) {
    let masked = Mask::default().apply(text).unwrap_or_else(|| panic!("nothing is masked in {text}"));
    (masked.text, masked.pointers)
}

fn pointers(text: &str) -> Vec<String> {
    Mask::default().apply(text).map(|masked| masked.pointers).unwrap_or_default()
}

#[test]
fn the_last_words_of_a_key_tell_a_secret() {
    let mask = Mask::default();
    for secret in [
        "password",
        "PASSWORD",
        "Password",
        "dbPassword",
        "db_password",
        "DB-PASSWORD",
        "DBPassword",
        "spring.datasource.password",
        "password2",
        "password_2",
        "new password",
        "apiKey",
        "api_key",
        "api-key",
        "APIKey",
        "apikey",
        "X-Api-Key",
        "userAPIKey",
        "githubToken",
        "GITHUB_TOKEN",
        "clientSecret",
        "Authorization",
        "proxy-authorization",
        "Set-Cookie",
        "aws_secret_access_key",
        "secretAccessKey",
        "passwordConfirmation",
        "token",
        "öToken",
    ] {
        assert!(mask.names_secret(secret.as_bytes()), "{secret}");
    }
    for other in [
        "",
        "t",
        "en",
        "passwordChangedAt",
        "secretName",
        "tokenCount",
        "max_tokens",
        "accessKeyId",
        "keyboard",
        "betoken",
        "topsecret",
        "key",
        "monkey",
        "authorizationUrl",
        "cookieless",
        "tökén",
        "Enter your passwords",
        "2",
        "pass-word-----",
        "token______",
        "otpauth",
        "hotpot",
        "spwd",
        "_",
        "22",
    ] {
        assert!(!mask.names_secret(other.as_bytes()), "{other}");
    }
}

#[test]
fn a_secret_is_replaced_wherever_its_key_stands_and_nothing_else_is() {
    let text = concat!(
        r#"{ "action" :"UPDATE","n":1.0,"password":"a","diff":{"before":{"dbPassword" : 1.50e3,"x":[1,{"token":["a",{"b":"}"}]}]},"#,
        r#" "after":null},"additionalData":{"secret":{"a":"\"}"},"big":9007199254740993,"pass\u0077ord":"é","a/b~c":{"jwt":"x"}}}"#
    );
    let expected = concat!(
        r#"{ "action" :"UPDATE","n":1.0,"password":"[masked]","diff":{"before":{"dbPassword" : "[masked]","x":[1,{"token":"[masked]"}]},"#,
        r#" "after":null},"additionalData":{"secret":"[masked]","big":9007199254740993,"pass\u0077ord":"[masked]","a/b~c":{"jwt":"[masked]"}}}"#
    );
    let (out, places) = masked(text);
    assert_eq!(out, expected);
    assert_eq!(
        places,
        [
            "/password",
            "/diff/before/dbPassword",
            "/diff/before/x/1/token",
            "/additionalData/secret",
            "/additionalData/password",
            "/additionalData/a~1b~0c/jwt",
        ]
    );
    let (original, out): (Value, Value) = (serde_json::from_str(text).unwrap(), serde_json::from_str(&out).unwrap());
    for place in places {
        assert!(original.pointer(&place).is_some(), "{place}");
        assert_eq!(out.pointer(&place), Some(&MASKED.into()), "{place}");
    }
    // Masking the result again changes nothing, and reports the same places.
    assert_eq!(masked(expected).0, expected);
}

#[test]
fn values_that_reveal_nothing_stay() {
    for text in [
        r#"{"hasPassword":true,"token":null,"secret":"","isSecret":false}"#,
        r#"{"additionalData":["token","password",{"name":"token"},{"value":"x"},{"name":"x","value":"token"}]}"#,
        r#"{"message":"password: x","context":{"entity":"token: x"},"resourceType":"secret","action":"secret.token"}"#,
        r#"{"request":{"path":"/secret/token?status_code=4xx&q=password&token=&a"}}"#,
        r#"{"a":["Content-Type: x","Enter your password: x","Authorization:","token"],"b":"Authorization: x"}"#,
        "{}",
        r#""token""#,
    ] {
        assert_eq!(pointers(text), [""; 0], "{text}");
    }
}

#[test]
fn lists_of_headers_and_queries_are_read_as_such() {
    let headers = r#"{"request":{"headers":[{"name":"Authorization","value":"Bearer x"},{"value":["a"],"key":"X-Api-Key"},{"name":"Accept","value":"x"}],
        "rawHeaders":["Accept: x","Set-Cookie:  a=\"b\"; c","api_key: x"],"path":"/a/b;c?x=1\u0026access_token=abc&csrf-token=d%26e#token=f"}}"#;
    let expected = r#"{"request":{"headers":[{"name":"Authorization","value":"[masked]"},{"value":"[masked]","key":"X-Api-Key"},{"name":"Accept","value":"x"}],
        "rawHeaders":["Accept: x","Set-Cookie:  [masked]","api_key: [masked]"],"path":"/a/b;c?x=1&access_token=[masked]&csrf-token=[masked]#token=[masked]"}}"#;
    let (out, places) = masked(headers);
    assert_eq!(out, expected);
    let list =
        ["/request/headers/0/value", "/request/headers/1/value", "/request/rawHeaders/1", "/request/rawHeaders/2"];
    assert_eq!(places, [&list[..], &["/request/path"]].concat());
    let (out, _) = masked(r#"{"a":{"Referer":"https://h/x?token=y","query":"a=b&api_key=z","uri":"/?q"}}"#);
    assert_eq!(out, r#"{"a":{"Referer":"https://h/x?token=[masked]","query":"a=b&api_key=[masked]","uri":"/?q"}}"#);
}

#[test]
fn a_value_before_its_name_hides_what_was_found_in_it() {
    let text = r#"{"a":{"value":{"x":1,"token":"t","l":[{"secret":1}]},"z":2,"name":"password"}}"#;
    assert_eq!(
        masked(text),
        (r#"{"a":{"value":"[masked]","z":2,"name":"password"}}"#.to_owned(), vec!["/a/value".to_owned()])
    );
}

#[test]
fn what_the_server_reads_is_not_masked_by_its_name() {
    let mask = Mask::parse(["action", "email", "by", "before", "statusCode", "origin", "message", "ip"]).unwrap();
    let text = r#"{"action":"A","message":"m","trigger":{"origin":"o","by":{"email":"e"}},"request":{"ip":"i","statusCode":200},"diff":{"before":{}}}"#;
    assert!(mask.apply(text).is_none());
    let out = mask.apply(r#"{"action":"A","context":{"email":"e"},"diff":{"before":{"action":1}}}"#).unwrap().text;
    assert_eq!(out, r#"{"action":"A","context":{"email":"[masked]"},"diff":{"before":{"action":"[masked]"}}}"#);
    assert!(Object::Request.reads("path") && Object::Event.reads("status") && !Object::Diff.reads("x"));
}

#[test]
fn pointers_are_bounded() {
    let many: Vec<_> = (0..250).map(|n| format!(r#"{{"token":{n}}}"#)).collect();
    let text = format!("[{}]", many.join(","));
    let (out, places) = masked(&text);
    assert_eq!(out.matches(MASKED).count(), 250);
    assert_eq!((places.len(), &*places[99], &*places[100]), (101, "/99/token", ""));
    assert_eq!(pointers(&format!("[{}]", many[..100].join(","))).len(), 100);
    let long = "k".repeat(300);
    assert_eq!(pointers(&format!(r#"{{"a":{{"{long}":{{"token":1}}}}}}"#)), ["/a"]);
    let long = "k/".repeat(100);
    assert_eq!(pointers(&format!(r#"{{"a":{{"{long}":{{"token":1}}}}}}"#)), ["/a"]);
}

#[test]
fn depth_is_no_recursion_and_what_no_event_may_be_is_left_alone() {
    const { assert!(walk::DEPTH_MAX > JSON_DEPTH_MAX) };
    let deep = |levels: usize| format!("{}{{\"token\":1}}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(pointers(&deep(100)).len(), 1);
    assert!(Mask::default().apply(&deep(100_000)).is_none());
    let deepest = deep(100_000);
    assert_eq!(Mask::default().hide(&deepest), deepest.replace("\"token\":1", "\"token\":\"[masked]\""));
    // Values inside a secret are not read.
    let (out, _) = masked(&format!(r#"{{"token":{}}}"#, deep(100_000)));
    assert_eq!(out, r#"{"token":"[masked]"}"#);
}

#[test]
fn no_parameter_of_the_api_is_taken_for_a_secret() {
    let mask = Mask::default();
    let fields = crate::model::field::FIELDS.iter().flat_map(|spec| spec.parameters.iter().copied());
    let controls = crate::model::query::CONTROLS.iter().map(|control| control.name);
    for name in fields.chain(controls) {
        assert!(!mask.names_secret(name.as_bytes()), "{name}");
    }
}

/// A JSON value and its spelling: `odd` decides on spaces and escapes.
#[derive(Debug, Clone)]
enum Tree {
    Word(&'static str),
    Text(String, u8),
    List(Vec<Tree>, u8),
    Members(Vec<(String, Tree)>, u8),
}

const KEYS: &[&str] = &[
    "token",
    "dbPassword",
    "api-key",
    "name",
    "key",
    "value",
    "a",
    "context",
    "request",
    "diff",
    "before",
    "path",
    "headers",
    "tokenCount",
    "é",
    "x\"y",
    "authorization",
    "query",
    "",
    "trigger",
    "by",
    "email",
    "secret2",
];
const TEXTS: &[&str] = &[
    "",
    "x",
    "token",
    "X-Api-Key",
    "Authorization: Bearer x",
    "a: b",
    "/p?token=x&a=b",
    "\\\"",
    "é\n",
    "password",
    "[masked]",
];

fn tree() -> impl Strategy<Value = Tree> {
    let word = prop::sample::select(vec!["null", "true", "false", "1.0", "-9007199254740993", "1E400", "0"])
        .prop_map(Tree::Word);
    let text =
        (prop::sample::select(TEXTS.to_vec()), any::<u8>()).prop_map(|(text, odd)| Tree::Text(text.to_owned(), odd));
    prop_oneof![word, text].prop_recursive(6, 60, 6, |inner| {
        let key = prop::sample::select(KEYS.to_vec()).prop_map(str::to_owned);
        let members = prop::collection::vec((key, inner.clone()), 0..6).prop_map(|mut members| {
            let mut seen = std::collections::HashSet::new();
            members.retain(|(key, _)| seen.insert(key.clone()));
            members
        });
        prop_oneof![
            (prop::collection::vec(inner, 0..5), any::<u8>()).prop_map(|(items, odd)| Tree::List(items, odd)),
            (members, any::<u8>()).prop_map(|(members, odd)| Tree::Members(members, odd)),
        ]
    })
}

fn quoted(text: &str, odd: u8) -> String {
    if odd.is_multiple_of(5) {
        // Every character as an escape.
        let units = text.encode_utf16().fold(String::new(), |units, unit| units + &format!("\\u{unit:04x}"));
        return format!("\"{units}\"");
    }
    serde_json::to_string(text).unwrap()
}

fn space(odd: u8) -> &'static str {
    ["", " ", "\n", "", "\t "][usize::from(odd) % 5]
}

impl Tree {
    /// Writes the value. With `hides`, it is masked according to a simple implementation of the rules.
    fn write(&self, hides: bool, object: Option<Object>, key: Option<&str>, in_list: bool) -> String {
        match self {
            Self::Word(word) => (*word).to_owned(),
            Self::Text(text, odd) => match hides.then(|| plainly(text, key, in_list, *odd)).flatten() {
                Some(masked) => masked,
                None => quoted(text, *odd),
            },
            Self::List(items, odd) => {
                let items: Vec<_> = items.iter().map(|item| item.write(hides, None, None, true)).collect();
                format!("[{}{}]", space(*odd), items.join(&format!("{},", space(odd / 5))))
            }
            Self::Members(members, odd) => {
                let secret_name = |(key, value): &(String, Self)| {
                    let Self::Text(text, _) = value else { return false };
                    ["name", "key"].contains(&&**key) && is_named(text)
                };
                let is_named_so = members.iter().any(secret_name);
                let written = members.iter().map(|(key, value)| {
                    let is_secret = (is_named(key) || (is_named_so && key == "value"))
                        && !object.is_some_and(|object| object.reads(key));
                    let inner = object.and_then(|object| object.inner(key));
                    let text = value.write(hides, inner, Some(key), false);
                    let is_nothing = matches!(value, Self::Word("null" | "true" | "false")) || text == "\"\"";
                    let text = if hides && is_secret && !is_nothing { "\"[masked]\"".to_owned() } else { text };
                    format!("{}{}:{}{text}", quoted(key, *odd), space(*odd), space(odd / 5))
                });
                format!("{{{}{}}}", space(odd / 7), written.collect::<Vec<_>>().join(&format!("{},", space(odd / 3))))
            }
        }
    }
}

/// Whether a key is one of the names of secrets that this test uses.
fn is_named(key: &str) -> bool {
    ["token", "dbPassword", "api-key", "X-Api-Key", "authorization", "secret2", "password"].contains(&key)
}

fn plainly(text: &str, key: Option<&str>, in_list: bool, odd: u8) -> Option<String> {
    if in_list && text == "Authorization: Bearer x" && !odd.is_multiple_of(5) {
        return Some("\"Authorization: [masked]\"".to_owned());
    }
    let is_url = matches!(key, Some("path" | "query")) && text == "/p?token=x&a=b";
    is_url.then(|| "\"/p?token=[masked]&a=b\"".to_owned())
}

#[test]
fn a_key_with_a_lone_surrogate_is_read_like_any_other() {
    let event = r#"{"additionalData":{"\ud800_password":"hide","a\udc00":{"token":"hide"}}}"#;
    let (text, pointers) = masked(event);
    assert_eq!(text, event.replace("hide", MASKED));
    assert_eq!(pointers, ["/additionalData/\u{fffd}_password", "/additionalData/a\u{fffd}/token"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_event_is_masked_as_the_rules_say_and_no_other_byte_changes(tree in tree()) {
        let root = matches!(tree, Tree::Members(..)).then_some(Object::Event);
        let (text, expected) = (tree.write(false, root, None, false), tree.write(true, root, None, false));
        let masked = Mask::default().apply(&text);
        prop_assert_eq!(masked.as_ref().map_or(&*text, |masked| &masked.text), &*expected, "{}", text);
        // 1E400 is grammatical, but too large for this reader.
        let read = |text: &str| serde_json::from_str::<Value>(&text.replace("1E400", "1E4")).unwrap();
        let (before, after) = (read(&text), read(&expected));
        for pointer in masked.into_iter().flat_map(|masked| masked.pointers) {
            prop_assert!(before.pointer(&pointer).is_some(), "{}", pointer);
            prop_assert!(after.pointer(&pointer).unwrap().as_str().unwrap().contains(MASKED), "{}", pointer);
        }
    }

    #[test]
    fn any_event_is_the_same_under_every_mask(tree in tree(), one in 0..4usize, other in 0..4usize) {
        let text = tree.write(false, None, None, false);
        let names: [&[&str]; 4] = [&[], &["token", "secret"], &["password", "api_key", "authorization"], NAMES];
        let masked = |index: usize| {
            let mask = names[index].iter().fold(Mask::off(), |mask, name| mask.with(name));
            mask.apply(&text).map_or_else(|| (text.clone(), Vec::new()), |masked| (masked.text, masked.pointers))
        };
        let (stored, sent) = (masked(one), masked(other));
        let side = |(text, pointers): &(String, Vec<String>)| {
            let [one, other] = [&stored.0, text].map(|text| Node::read(text).unwrap());
            same_but_for_masks(
                &MaskedTree { tree: &one, pointers: &stored.1 },
                &MaskedTree { tree: &other, pointers },
            )
        };
        prop_assert!(side(&sent), "{} and {}", stored.0, sent.0);
        // With another element in the outermost list or object, it is a different event.
        if let Some(last) = sent.0.trim_end().strip_suffix([']', '}']).filter(|_| sent.0.len() > 2) {
            let close = &sent.0[last.len()..];
            let more = if close.starts_with(']') { ",0" } else { ",\"more\":0" };
            let is_empty = last.trim_end().ends_with(['[', '{']);
            let more = if is_empty { &more[1..] } else { more };
            prop_assert!(!side(&(format!("{last}{more}{close}"), sent.1.clone())), "{}", sent.0);
        }
    }
}
