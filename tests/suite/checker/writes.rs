//! Requests that write events, and reading back what they stored.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    events::Sent,
    model::Fate,
    run::{Checker, at_most_once},
};
use crate::{
    harness::{Answer, SOON, run as run_program},
    properties::assert_kept,
    wire::Connection,
};

/// Number of events that are remembered, to be sent again.
const REMEMBERED: usize = 200;

/// A request whose response may be lost.
pub(super) struct Flight {
    events: Vec<Sent>,
    status: Option<u16>,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    audits: Vec<&'a RawValue>,
    next: Option<String>,
    damaged: Option<&'a RawValue>,
}

pub(super) fn now_micros() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

impl Checker {
    /// Builds a request from new events, events that were sent before (in the same or another spelling), conflicts and
    /// invalid events.
    fn request(&mut self, faulty: bool) -> Vec<Sent> {
        let mut request: Vec<Sent> = Vec::new();
        for _ in 0..=self.maker.below(12) {
            let earlier = match self.maker.below(4) {
                0 => request.last().cloned(),
                _ if self.sent.is_empty() => None,
                _ => Some(self.sent[self.maker.below(self.sent.len())].clone()),
            };
            let earlier = earlier.filter(|sent| sent.identifier.is_some() && sent.fault.is_none());
            let event = match (self.maker.below(100), earlier) {
                (0..6, _) if faulty => self.maker.invalid(),
                (6..12, Some(earlier)) if faulty => self.maker.changed(&earlier),
                (12..20, Some(earlier)) => earlier,
                (20..26, Some(earlier)) if self.may("respell") => self.maker.respelled(&earlier),
                _ => self.maker.event(),
            };
            request.push(event);
        }
        request
    }

    /// Sends a request, in one of the accepted forms, until the server has room for it.
    fn send(&mut self, token: &str, path: &str, request: &[Sent]) -> Answer {
        let texts: Vec<_> = request.iter().map(|sent| sent.text.as_str()).collect();
        let body = match self.maker.below(3) {
            0 => format!("[{}]", texts.join(",")),
            1 => texts.join("\n"),
            _ => texts.concat(),
        };
        let begun = Instant::now();
        loop {
            let answer = self.server.request_as(token, "POST", path, &body);
            if answer.status != 503 || begun.elapsed() > SOON {
                return answer;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a request that is stored as a whole or not at all.
    pub(super) fn post(&mut self) {
        let faulty = self.maker.percent(25);
        let request = self.request(faulty);
        let (token, by) = (self.server.token.clone(), self.admin.clone());
        self.post_by(&token, &by, &request);
    }

    pub(super) fn post_by(&mut self, token: &str, by: &str, request: &[Sent]) {
        let fates = self.state.fates(request);
        let since = now_micros();
        let answer = self.send(token, "/v1/audit-log", request);
        let body = answer.json();
        let invalid = fates.iter().position(|fate| matches!(fate, Fate::Invalid(_)));
        let count = |wanted| fates.iter().filter(|fate| **fate == wanted).count();
        self.note(format!("{} events, {} new: {}", request.len(), count(Fate::Stored), answer.status));
        if let Some(place) = invalid {
            let detail = &body["details"][0];
            assert_eq!(answer.status, 422, "{}", answer.text);
            assert_eq!(
                (&detail["index"], fates[place]),
                (&Value::from(place), invalid_fate(detail)),
                "{}",
                answer.text
            );
        } else if count(Fate::Conflict) > 0 {
            assert_eq!(answer.refusal(), (409, "conflict".to_owned()), "{fates:?} {}", texts(request));
        } else {
            let expected = (count(Fate::Stored), count(Fate::Duplicate));
            assert!(matches!(answer.status, 200 | 201), "{} {}", answer.text, texts(request));
            let told = (number(&body["accepted"]), number(&body["duplicates"]));
            assert_eq!(told, expected, "accepted and duplicates: {} {}", answer.text, texts(request));
            assert_eq!(answer.status, if expected.0 > 0 { 201 } else { 200 }, "{}", answer.text);
            let given = body["identifiers"].as_array().unwrap();
            assert_eq!(given.len(), request.len(), "{}", answer.text);
            let named = request.iter().zip(given).map(|(sent, name)| named(sent, name)).collect::<Vec<_>>();
            self.absorb(stored(&named, &fates), by, since);
        }
        // The log contains nothing of a rejected request.
        if invalid.is_some() || count(Fate::Conflict) > 0 {
            self.absorb(Vec::new(), by, since);
        }
    }

    /// Sends a partial request: the valid events are stored.
    pub(super) fn post_partial(&mut self) {
        let request = self.request(true);
        let (fates, since) = (self.state.fates(&request), now_micros());
        let token = self.server.token.clone();
        let answer = self.send(&token, "/v1/audit-log?partial=true", &request);
        assert_eq!(answer.status, 200, "{}", answer.text);
        let body = answer.json();
        let results = body["results"].as_array().unwrap();
        assert_eq!(results.len(), request.len(), "{}", answer.text);
        let told: Vec<_> = results
            .iter()
            .map(|result| match result["status"].as_u64() {
                Some(201) => Fate::Stored,
                Some(200) => Fate::Duplicate,
                Some(409) => Fate::Conflict,
                _ => invalid_fate(result),
            })
            .collect();
        assert_eq!(told, fates, "{} {}", answer.text, texts(&request));
        let count = |wanted| fates.iter().filter(|fate| **fate == wanted).count();
        self.note(format!("{} events, {} new", request.len(), count(Fate::Stored)));
        assert_eq!(number(&body["accepted"]), count(Fate::Stored), "{}", answer.text);
        let named =
            request.iter().zip(results).map(|(sent, result)| named(sent, &result["identifier"])).collect::<Vec<_>>();
        let by = self.admin.clone();
        self.absorb(stored(&named, &fates), &by, since);
    }

    /// The events that have arrived since the last call, byte for byte.
    pub(super) fn arrived(&mut self) -> Vec<String> {
        const LIMIT: usize = 500;
        let mut texts = Vec::new();
        loop {
            let cursor = self.place.as_ref().map_or_else(String::new, |place| format!("&cursor={place}"));
            let answer = self.server.list(&format!("sort=received&order=asc&limit={LIMIT}{cursor}"));
            assert_eq!(answer.status, 200, "{}", answer.text);
            let page: Page<'_> = serde_json::from_str(&answer.text).unwrap();
            assert!(page.damaged.is_none(), "{}", answer.text);
            texts.extend(page.audits.iter().map(|event| event.get().to_owned()));
            let was_all = page.audits.len() < LIMIT;
            self.place = page.next;
            if was_all {
                return texts;
            }
        }
    }

    /// Reads back what was stored. It must be these events and no others, in this order.
    pub(super) fn absorb(&mut self, expected: Vec<Sent>, by: &str, since: i64) {
        let texts = self.arrived();
        let names: Vec<_> = texts.iter().map(|text| identifier(text)).collect();
        let wanted: Vec<_> =
            expected.iter().map(|sent| sent.identifier.clone().unwrap_or_else(|| "?".to_owned())).collect();
        assert_eq!(names.len(), wanted.len(), "arrived: {names:?}, expected: {wanted:?}");
        for (sent, text) in expected.into_iter().zip(&texts) {
            self.take_in(sent, text, by, since..=now_micros());
        }
    }

    /// Checks one stored event and adds it to the model.
    pub(super) fn take_in(&mut self, mut sent: Sent, text: &str, by: &str, received: std::ops::RangeInclusive<i64>) {
        let name = identifier(text);
        assert_eq!(*sent.identifier.get_or_insert_with(|| name.clone()), name, "returned in place of another event");
        assert_kept(&sent.text, text);
        self.arrivals += 1;
        self.state.push(self.arrivals, text, sent.content);
        let (event, entry) = (self.state.events.last().unwrap(), self.state.entries.last().unwrap());
        assert_eq!(event.event["receivedBy"], by, "{text}");
        assert!(received.contains(&entry.received), "received at {} instead of {received:?}: {text}", entry.received);
        // An event that was sent without an identifier cannot be sent again.
        if sent.text.contains("\"identifier\"") {
            let place = self.maker.below(REMEMBERED);
            if place < self.sent.len() { self.sent[place] = sent } else { self.sent.push(sent) }
        }
    }

    /// Runs several senders at once, until the server is killed or while a backup or reads run.
    pub(super) fn storm(&mut self) {
        let batches: Vec<Vec<Vec<Sent>>> = (0..3)
            .map(|_| {
                (0..=self.maker.below(4))
                    .map(|_| (0..=self.maker.below(15)).map(|_| self.maker.named_event()).collect())
                    .collect()
            })
            .collect();
        let (since, ending) = (now_micros(), self.maker.below(3));
        let pause = Duration::from_micros(self.maker.random.below(30_000));
        let backup = (ending == 1).then(|| self.new_backup());
        let (url, token) = (self.server.url.clone(), self.server.token.clone());
        let mut texts = Vec::new();
        let flights: Vec<Flight> = thread::scope(|scope| {
            let senders: Vec<_> =
                batches.into_iter().map(|batches| scope.spawn(|| fly(&url, &token, batches))).collect();
            match (ending, &backup) {
                (0, _) => {
                    thread::sleep(pause);
                    self.server.kill();
                }
                (_, Some(path)) => {
                    let made = run_program(self.server.directory(), &["backup", path]);
                    assert!(made.status.success(), "{made:?}");
                }
                _ => {
                    while senders.iter().any(|sender| !sender.is_finished()) {
                        texts.extend(self.arrived());
                    }
                }
            }
            senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
        });
        if ending == 0 {
            self.disconnect();
            self.server.start_again();
        }
        texts.extend(self.arrived());
        let at_least = self.state.history.len();
        let statuses: Vec<_> = flights.iter().map(|flight| flight.status).collect();
        self.settle(flights, &texts, since);
        self.note(format!(
            "{} ({pause:?}): {statuses:?}, {} arrived",
            ["kill", "backup", "reads"][ending],
            texts.len()
        ));
        if let Some(path) = backup {
            self.keep_backup(path, at_least);
        }
    }

    /// Checks that acknowledged requests are stored, that each other request is stored as a whole or not at all, and
    /// that nothing else is stored.
    fn settle(&mut self, flights: Vec<Flight>, texts: &[String], since: i64) {
        let places: HashMap<String, usize> = at_most_once(texts.iter().map(|text| identifier(text)));
        let mut sent = HashMap::new();
        for flight in flights {
            let names: Vec<_> = flight.events.iter().map(|event| event.identifier.clone().unwrap()).collect();
            let found: Vec<_> = names.iter().filter_map(|name| places.get(name).copied()).collect();
            let is_acknowledged = flight.status == Some(201);
            assert!(
                found.len() == names.len() || (found.is_empty() && !is_acknowledged),
                "of a request with the status {:?}, {} of {} events are stored: {names:?}",
                flight.status,
                found.len(),
                names.len()
            );
            assert!(
                found.windows(2).all(|pair| pair[0] + 1 == pair[1]),
                "other events arrived within a request: {names:?} at {found:?}"
            );
            sent.extend(names.into_iter().zip(flight.events));
        }
        let by = self.admin.clone();
        for text in texts {
            let event = sent.remove(&identifier(text)).unwrap_or_else(|| panic!("no request sent {text}"));
            self.take_in(event, text, &by, since..=now_micros());
        }
    }
}

/// Sends batches until one receives no response.
fn fly(url: &str, token: &str, batches: Vec<Vec<Sent>>) -> Vec<Flight> {
    let mut flights = Vec::new();
    let Ok(mut connection) = Connection::open(url) else { return flights };
    for events in batches {
        let body: Vec<_> = events.iter().map(|sent| sent.text.as_str()).collect();
        let reply = connection.request("POST", "/v1/audit-log", token, &body.join("\n"));
        let status = reply.ok().map(|reply| reply.status);
        flights.push(Flight { events, status });
        if status.is_none() {
            break;
        }
    }
    flights
}

/// The outcome that a rejection names.
fn invalid_fate(detail: &Value) -> Fate {
    // Few fields exist and a test is short, so a leak is harmless.
    Fate::Invalid(detail["field"].as_str().unwrap_or_default().to_owned().leak())
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn texts(request: &[Sent]) -> String {
    request.iter().map(|sent| format!("\n  {}", sent.text)).collect()
}

/// The event with the identifier in the response, which is the sender's own if it sent one.
fn named(sent: &Sent, name: &Value) -> Sent {
    let identifier = name.as_str().map(str::to_owned);
    if sent.fault.is_none() && sent.identifier.is_some() {
        assert_eq!(identifier, sent.identifier);
    }
    sent.clone().under(identifier)
}

fn stored(request: &[Sent], fates: &[Fate]) -> Vec<Sent> {
    request.iter().zip(fates).filter(|(_, fate)| **fate == Fate::Stored).map(|(sent, _)| sent.clone()).collect()
}

pub(super) fn identifier(text: &str) -> String {
    #[derive(Deserialize)]
    struct Named {
        identifier: String,
    }
    serde_json::from_str::<Named>(text).unwrap().identifier
}
