//! Tests of the generator.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::model::{
    event::{EventDraft, Sender},
    limits::EventLimits,
};

const COUNT: usize = 5_000;
const SPAN_SECONDS: i64 = 30 * 86_400;

fn end() -> Timestamp {
    Timestamp::parse("2024-06-26T15:00:00Z").unwrap()
}

fn events() -> Vec<String> {
    Generator::new(42, COUNT as u64, end(), SPAN_SECONDS).collect()
}

fn values() -> Vec<Value> {
    events().iter().map(|event| serde_json::from_str(event).unwrap()).collect()
}

fn at(event: &Value) -> Timestamp {
    Timestamp::parse(event["trigger"]["at"].as_str().unwrap()).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let events = events();
    assert_eq!(events.len(), COUNT);
    assert_eq!(events, self::events());
    assert_ne!(events[..10], Generator::new(43, COUNT as u64, end(), SPAN_SECONDS).take(10).collect::<Vec<_>>());
}

#[test]
fn every_event_is_accepted_and_is_one_line() {
    for event in events() {
        assert!(!event.contains('\n'));
        EventDraft::parse(&event, &EventLimits::default(), Sender::Client)
            .unwrap_or_else(|error| panic!("{error:?}: {event}"));
    }
}

#[test]
fn counts_and_spans_of_any_size_are_kept() {
    for (count, span_seconds) in [(0, 60), (1, 0), (999, -5), (1_000, 1), (1_500, 3 * 86_400), (2_000, i64::MAX)] {
        let begin = clock::beginning(end(), span_seconds);
        let generator = Generator::new(1, count, end(), span_seconds);
        assert_eq!(generator.size_hint().1.unwrap() as u64, count);
        let events: Vec<_> = generator.collect();
        assert_eq!(events.len() as u64, count);
        for event in events {
            let at = at(&serde_json::from_str(&event).unwrap());
            assert!(at >= begin && at <= end(), "{event}");
        }
    }
}

#[test]
fn identifiers_are_unique() {
    let events = values();
    let identifiers: BTreeSet<_> = events.iter().map(|event| event["identifier"].as_str().unwrap()).collect();
    assert_eq!(identifiers.len(), COUNT);
}

#[test]
fn times_are_within_the_span_and_some_are_late() {
    let times: Vec<_> = values().iter().map(at).collect();
    assert!(times.iter().all(|at| *at >= end().plus_seconds(-SPAN_SECONDS) && *at <= end()));
    let late = times.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!((COUNT / 100..COUNT * 4 / 100).contains(&late), "{late}");
}

#[test]
fn some_events_fail_and_have_a_reason() {
    let events = values();
    let failed: Vec<_> = events.iter().filter(|event| event["status"] == "FAILURE").collect();
    assert!((COUNT * 2 / 100..COUNT * 6 / 100).contains(&failed.len()), "{}", failed.len());
    assert!(failed.iter().all(|event| !event["message"].as_str().unwrap().is_empty()));
}

#[test]
fn there_is_variety() {
    let events = values();
    let distinct =
        |read: fn(&Value) -> &Value| events.iter().map(|event| read(event).to_string()).collect::<BTreeSet<_>>().len();
    assert!(distinct(|event| &event["resourceType"]) >= 12);
    assert!(distinct(|event| &event["trigger"]["origin"]) >= 5);
    assert!(distinct(|event| &event["trigger"]["by"]["name"]) >= 35);
    assert!(distinct(|event| &event["request"]["ip"]) >= 50);
    let mean = self::events().iter().map(String::len).sum::<usize>() / COUNT;
    assert!((1_000..1_300).contains(&mean), "{mean}");
}

#[test]
fn changes_begin_where_the_one_before_ended() {
    let mut last: BTreeMap<(String, String), Value> = BTreeMap::new();
    let (mut followed, mut unchanged) = (0, 0);
    // The stories are not about things in the inventory. Below their minimum number of events there are no stories.
    for event in Generator::new(42, STORY_EVENTS_MIN - 1, end(), SPAN_SECONDS) {
        let mut event: Value = serde_json::from_str(&event).unwrap();
        let (before, after) = (event["diff"]["before"].take(), event["diff"]["after"].take());
        if event["resourceType"] == "run" || (before.is_null() && after.is_null()) {
            continue;
        }
        assert_eq!(before.is_null(), event["action"] == "CREATE");
        assert_eq!(after.is_null(), event["action"] == "DELETE");
        unchanged += usize::from(before["properties"] == after["properties"] && before["team"] == after["team"]);
        let any = if before.is_null() { &after } else { &before };
        let key = (any["blueprint"].to_string(), any["identifier"].to_string());
        if let Some(last) = last.insert(key, after) {
            assert_eq!(last, before);
            followed += 1;
        }
    }
    assert!(followed > 50 && unchanged == 0, "{followed} {unchanged}");
}

#[test]
fn the_stories_are_complete() {
    let events = values();
    let count = |test: &dyn Fn(&Value) -> bool| events.iter().filter(|event| test(event)).count();
    let burst = |event: &Value| event["request"]["ip"] == "192.0.2.66" && event["request"]["statusCode"] == 403;
    assert_eq!(count(&burst), 36);
    assert_eq!(count(&|event| event["action"] == "REVOKE"), 1);
    let scaled_down = |event: &&Value| event["additionalData"]["note"] == "save cost over the weekend (staging)";
    let at = events.iter().find(scaled_down).map(at).unwrap();
    assert_eq!(at.to_string(), "2024-06-21T18:47:00.000000Z");
}
