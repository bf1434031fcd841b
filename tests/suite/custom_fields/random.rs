//! Any values in any events: after filling in with kills, the results equal those of a plain filter.
//!
//! The filter follows the documentation and uses none of auditbox's code.

use std::{net::IpAddr, thread, time::Duration};

use auditbox::store::{Policy, Quiet, Store};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{CHUNK_EVENTS, numbers, settle, start};
use crate::harness::{prepare_received, store_options};
use auditbox::model::{limits::EventLimits, timestamp::Timestamp};

const FIELDS: &[(&str, &str)] =
    &[("exact", "exact"), ("folded", "ignore-case"), ("prefix", "prefix"), ("amount", "number"), ("node", "network")];

/// Values as JSON texts.
const VALUES: &[&str] = &[
    "null",
    "\"\"",
    "{\"k\":1}",
    "[]",
    "[null,\"ab\"]",
    "true",
    "\"a\"",
    "\"A\"",
    "\"ab\"",
    "\"x,y\"",
    "\"\\u00e4\"",
    "\"A\\u0308\"",
    "\"[masked]\"",
    "\"a\\u0000\"",
    "1",
    "1.0",
    "10",
    "1e1",
    "-3",
    "2.50",
    "\"1\"",
    "\"01\"",
    "\"2.5\"",
    "\"12345678901234567890\"",
    "12345678901234567891",
    "\"10.0.0.1\"",
    "\"10.0.0.2:80\"",
    "\"::ffff:10.0.1.1\"",
    "\"2001:db8::1\"",
];

/// The text of a value, if it has one: see "Custom fields" in the guide.
fn text(json: &str) -> Option<String> {
    let found = match serde_json::from_str(json).unwrap() {
        serde_json::Value::String(text) => text,
        serde_json::Value::Array(items) => items.iter().find_map(|item| item.as_str())?.to_owned(),
        serde_json::Value::Number(_) | serde_json::Value::Bool(_) => json.to_owned(),
        _ => return None,
    };
    (!found.is_empty() && found != "[masked]" && !found.contains('\0')).then_some(found)
}

/// A number as a whole part, and a fraction of four digits.
fn number(text: &str) -> Option<(i128, i128)> {
    if text == "1e1" {
        return Some((10, 0));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let fraction = format!("{fraction:0<4}").parse().ok()?;
    Some((whole.parse().ok()?, fraction))
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_suffix(":80").unwrap_or(text);
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

fn fold(text: &str) -> String {
    text.to_lowercase().replace("a\u{308}", "\u{e4}")
}

/// The values of an event: the first is at the first pointer.
type Values = (usize, usize);

fn value(field: &str, (first, second): Values) -> Option<String> {
    let mut values = [first, second].into_iter().filter_map(|place| text(VALUES[place]));
    if field == "amount" { values.find(|value| number(value).is_some()) } else { values.next() }
}

fn matches(field: &str, wanted: &str, found: &str) -> bool {
    match field {
        "exact" => found == wanted,
        "folded" => fold(found) == fold(wanted),
        "prefix" => found.starts_with(wanted),
        "amount" => {
            let found = number(found).unwrap();
            match (wanted.strip_prefix(">="), wanted.strip_prefix('<'), wanted.split_once("..")) {
                (Some(from), ..) => found >= number(from).unwrap(),
                (_, Some(to), _) => found < number(to).unwrap(),
                (.., Some((from, to))) => (number(from).unwrap()..=number(to).unwrap()).contains(&found),
                _ => found == number(wanted).unwrap(),
            }
        }
        _ => match (address(found), wanted) {
            (Some(IpAddr::V4(address)), "10.0.0.0/24") => address.octets()[..3] == [10, 0, 0],
            (Some(found), wanted) if address(wanted).is_some() => Some(found) == address(wanted),
            _ => found == wanted,
        },
    }
}

fn texts(field: &str) -> Vec<&'static str> {
    match field {
        "amount" => vec![
            "1",
            "10.0",
            "-3",
            "2.5",
            ">=2.5",
            "<1",
            "1..10",
            "12345678901234567890",
            "12345678901234567891",
            ">=12345678901234567891",
        ],
        "node" => vec!["10.0.0.1", "10.0.0.0/24", "10.0.1.1", "2001:db8::1", "a", "true"],
        _ => vec!["a", "A", "ab", "\u{e4}", "a\u{308}", "1", "1.0", "10.0.0", "x,y", "true", "[masked]", "none"],
    }
}

fn stored(events: &[Values]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&store_options(&directory.path().join("auditbox.db"), CHUNK_EVENTS), &Quiet).unwrap();
    let event = |(place, (first, second)): (usize, &Values)| {
        let text = format!(
            "{{\"identifier\":\"e{place}\",\"action\":\"UPDATE\",\"resourceType\":\"entity\",\
             \"additionalData\":{{\"v\":{},\"w\":[{{\"k\":\"x\",\"v\":{}}}]}}}}",
            VALUES[*first], VALUES[*second]
        );
        prepare_received(&store, &text, Timestamp::now(), &EventLimits::default())
    };
    let prepared: Vec<_> = events.iter().enumerate().map(event).collect();
    for batch in prepared.chunks(500) {
        store.writer.wait_for_room();
        store.writer.append(batch.to_vec(), Policy::AllOrNothing).unwrap().wait().unwrap();
    }
    store.close().unwrap();
    directory
}

#[test]
fn answers_equal_those_of_a_plain_filter() {
    let pointers = "pointers = [\"/additionalData/v\", \"/additionalData/w/[k=x]/v\"]";
    let declaration = |(name, matching): &(&str, &str)| {
        format!("[[fields]]\nname = \"{name}\"\n{pointers}\nmatching = \"{matching}\"\n")
    };
    let fields: String = FIELDS.iter().map(declaration).collect();
    let values = (0..VALUES.len(), 0..VALUES.len());
    let strategy = (prop::collection::vec(values, 700..1_500), prop::collection::vec(0_u64..80, 3));
    let mut runner = TestRunner::new(Config { cases: 3, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&strategy, |(events, kills)| {
        let mut server = start(stored(&events), &[&fields]);
        for wait in kills {
            thread::sleep(Duration::from_millis(wait));
            server.kill();
            server.start_again();
        }
        settle(&server);
        for (field, _) in FIELDS {
            for wanted in texts(field) {
                let passes =
                    |place: &usize| value(field, events[*place]).is_some_and(|found| matches(field, wanted, &found));
                let (own, others): (Vec<_>, Vec<_>) = (0..events.len()).partition(|place| passes(place));
                let query = |name: &str| {
                    let query = form_urlencoded::Serializer::new(String::new()).append_pair(name, wanted).finish();
                    numbers(&server.list(&format!("{query}&limit=10000")))
                };
                prop_assert_eq!(query(&format!("{field}[]")), own, "{}={}", field, wanted);
                prop_assert_eq!(query(&format!("not.{field}[]")), others, "not.{}={}", field, wanted);
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
