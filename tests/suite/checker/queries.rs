//! Queries of every kind: the server's response must equal the model's.

use std::collections::{HashMap, HashSet};

use proptest::strategy::{Strategy, ValueTree};
use serde_json::Value;

use super::{events::ENTITIES, run::Checker, writes::identifier};
use crate::{
    pages,
    properties::{self, Pools, plain::PlainQuery},
};

/// Keys that are requested alone. None holds a number that a JSON reader would change.
const KEYS: [&str; 7] = ["identifier", "action", "status", "trigger", "context", "message", "receivedAt"];

/// A query that follows the log, including auditbox's own records.
const OWN: &str = "sort=received&order=asc&include_own=true&includes=identifier";

/// A follower of everything. The test compares its events with the log alone.
#[derive(Default)]
pub(super) struct OwnFollower {
    cursor: Option<String>,
    seen: Vec<String>,
    pub(super) step: u64,
    pub(super) may_begin_again: bool,
}

impl Checker {
    /// A random query over the present events.
    pub(super) fn plain_query(&mut self) -> PlainQuery {
        if self.state.events.is_empty() {
            return properties::everything();
        }
        // Queries may also name values that no event has any more.
        if self.pools.is_none() || self.maker.percent(10) {
            self.pools = Some(Pools::of(&self.state.events));
        }
        let sketch = properties::sketch().new_tree(&mut self.queries).unwrap().current();
        sketch.plain_query(&self.state.events, self.pools.as_ref().unwrap())
    }

    /// Queries a list with its count, then counts, facets and a histogram.
    pub(super) fn ask(&mut self) {
        let plain_query = self.plain_query();
        self.note(plain_query.query());
        properties::compare(&self.server, &self.state.events, &plain_query)
            .unwrap_or_else(|difference| panic!("{difference}"));
    }

    /// Reads a list in small pages to its end.
    pub(super) fn page(&mut self) {
        let plain_query = self.plain_query();
        let expected: Vec<_> = plain_query.answer(&self.state.events).into_iter().map(str::to_owned).collect();
        // Limits the number of pages.
        let limit = (expected.len() / 12).max(1) + self.maker.below(40);
        let query = format!("{}&limit={limit}", plain_query.query());
        self.note(query.clone());
        let follows = plain_query.by_arrival && plain_query.ascending;
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = self.server.list(&format!("{query}{cursor}"));
            let page = answer.identifiers();
            assert!(page.len() <= limit, "{}", page.len());
            let is_last = page.len() < limit;
            found.extend(page);
            let next = answer.json()["next"].as_str().map(str::to_owned);
            assert_eq!(answer.header("link").is_some(), next.is_some());
            match next {
                Some(next) if !(follows && is_last) => cursor = format!("&cursor={next}"),
                Some(_) => break,
                None => {
                    assert!(!follows, "a list by arrival has a next page");
                    break;
                }
            }
        }
        assert_eq!(found, expected, "{query}");
    }

    /// Reads events by identifier: an existing one, byte for byte, and a missing one.
    pub(super) fn by_identifier(&mut self) {
        if !self.state.events.is_empty() {
            let place = self.maker.below(self.state.events.len());
            let (event, entry) = (&self.state.events[place], &self.state.entries[place]);
            let answer = self.server.get(&format!("/v1/audit-log/{}", event.identifier));
            assert_eq!(answer.status, 200, "{}: {}", event.identifier, answer.text);
            assert!(answer.text.contains(&entry.text), "{} instead of {}", answer.text, entry.text);
        }
        let mut absent = self.sent.iter().filter_map(|sent| sent.identifier.clone());
        let absent = absent.rfind(|name| self.state.content(name).is_none());
        let absent = absent.unwrap_or_else(|| "nobody-sent-this".to_owned());
        let answer = self.server.get(&format!("/v1/audit-log/{absent}"));
        assert_eq!(answer.refusal(), (404, "not_found".to_owned()), "{absent}");
    }

    /// Requests only some keys of each event.
    pub(super) fn includes(&mut self) {
        let plain_query = self.plain_query();
        let keys: Vec<_> = KEYS.into_iter().filter(|_| self.maker.percent(40)).collect();
        let keys = if keys.is_empty() { vec!["identifier"] } else { keys };
        let asked: String = keys.iter().map(|key| format!("&includes={key}")).collect();
        let answer = self.server.list(&format!("{}&limit=50{asked}", plain_query.query()));
        assert_eq!(answer.status, 200, "{}", answer.text);
        let listed = answer.json();
        let listed = listed["audits"].as_array().unwrap();
        let expected = plain_query.answer(&self.state.events);
        assert_eq!(listed.len(), expected.len().min(50));
        let of = |name: &str| self.state.events.iter().find(|event| event.identifier == name).unwrap();
        for (event, name) in listed.iter().zip(expected) {
            let mut whole = of(name).event.clone();
            whole.as_object_mut().unwrap().retain(|key, _| keys.contains(&key.as_str()));
            assert_eq!(*event, whole, "{name}, {keys:?}");
        }
    }

    /// Exports all matching events.
    pub(super) fn export(&mut self) {
        let plain_query = self.plain_query();
        let is_table = self.maker.percent(40);
        let format = if is_table { "csv" } else { "ndjson" };
        self.note(format!("{format} {}", plain_query.query()));
        let answer = self.server.get(&format!("/v1/audit-log/export?format={format}&{}", plain_query.query()));
        assert_eq!(answer.status, 200, "{}", answer.text);
        let expected = plain_query.answer(&self.state.events);
        if is_table {
            let mut reader = csv::Reader::from_reader(answer.text.as_bytes());
            let column = reader.headers().unwrap().iter().position(|name| name == "identifier").unwrap();
            let found: Vec<_> = reader.records().map(|row| row.unwrap()[column].to_owned()).collect();
            assert_same(&found, &expected);
        } else {
            self.compare_lines(&answer.text, &expected);
        }
    }

    /// Compares the lines of an export with the stored events.
    fn compare_lines(&self, lines: &str, expected: &[&str]) {
        let found: Vec<_> = lines.lines().map(identifier).collect();
        assert_same(&found, expected);
        let stored: HashMap<_, _> = self
            .state
            .events
            .iter()
            .zip(&self.state.entries)
            .map(|(event, entry)| (&*event.identifier, entry))
            .collect();
        for (line, name) in lines.lines().zip(expected) {
            assert_eq!(line, stored[name].text, "{name}");
        }
    }

    /// Compares the count of events that a page shows.
    pub(super) fn html(&mut self) {
        let entity = self.maker.pick(&ENTITIES);
        let count = self.state.events.iter().filter(|event| event.event["context"]["entity"] == entity).count();
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("entity", entity).finish();
        let shown = pages::text(&pages::page(&self.server, &format!("/audit-logs?range=all&{query}")));
        let expected = match count {
            0 => return,
            1 => "1 event,".to_owned(),
            1_000.. => format!("{},{:03} events,", count / 1_000, count % 1_000),
            _ => format!(" {count} events,"),
        };
        assert!(shown.contains(&expected), "{expected} is not in {shown}");
    }

    /// Reads auditbox's own records: the records of drops count all dropped events, and a follower of all records
    /// misses none.
    pub(super) fn own_records(&mut self) {
        let answer = self.server.list("origin=auditbox&resources=audit_log&action=DELETE&limit=100000").json();
        let of = |record: &Value| record["additionalData"]["count"].as_u64().unwrap();
        let told: u64 = answer["audits"].as_array().unwrap().iter().map(of).sum();
        assert_eq!(told, self.state.dropped, "the records of drops do not count all dropped events");
        self.follow_own();
        let all = self.server.list(&format!("{OWN}&limit=100000")).identifiers();
        let is_there: HashSet<_> = all.iter().collect();
        let (seen, gone): (Vec<_>, Vec<_>) = self.own.seen.iter().cloned().partition(|name| is_there.contains(name));
        let lost: Vec<_> = gone.iter().filter(|name| !self.dropped.contains(*name)).collect();
        assert!(lost.is_empty(), "received, then gone without a record: {lost:?}");
        assert_same(&seen, &all[..seen.len()].iter().map(String::as_str).collect::<Vec<_>>());
    }

    fn follow_own(&mut self) {
        for _ in 0..2 {
            let cursor = self.own.cursor.as_ref().map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
            let answer = self.server.list(&format!("{OWN}&limit=100000{cursor}"));
            if answer.status == 200 {
                self.own.seen.extend(answer.identifiers());
                self.own.cursor = answer.json()["next"].as_str().map(str::to_owned);
                (self.own.step, self.own.may_begin_again) = (self.step, false);
                return;
            }
            assert!(answer.status == 422 && self.own.may_begin_again, "{}", answer.text);
            self.own = OwnFollower::default();
        }
        panic!("a follower is refused without a cursor");
    }

    /// Compares the whole log, in both orders, byte for byte.
    pub(super) fn compare_log(&mut self) {
        for by_arrival in [true, false] {
            let plain_query = PlainQuery { by_arrival, ascending: by_arrival, ..properties::everything() };
            let answer = self.server.get(&format!("/v1/audit-log/export?format=ndjson&{}", plain_query.query()));
            assert_eq!(answer.status, 200, "{}", answer.text);
            self.compare_lines(&answer.text, &plain_query.answer(&self.state.events));
        }
    }
}

/// Fails with the missing and the unexpected events.
fn assert_same(found: &[String], expected: &[&str]) {
    if found != expected {
        let [has, wants]: [HashSet<&str>; 2] =
            [found.iter().map(String::as_str).collect(), expected.iter().copied().collect()];
        let missing: Vec<_> = expected.iter().filter(|name| !has.contains(*name)).collect();
        let added: Vec<_> = found.iter().filter(|name| !wants.contains(name.as_str())).collect();
        let place = found.iter().zip(expected).position(|(one, other)| one != other);
        panic!(
            "{} instead of {}; missing: {missing:?}; unexpected: {added:?}; first difference at {place:?}",
            found.len(),
            expected.len()
        );
    }
}
