//! The expected content of a log, in memory: plain values and pure functions, without any of the server's code.

use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

use super::events::Sent;
use crate::properties::plain::{Plain, PlainQuery, micros};

/// The outcome of one event of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Stored,
    Duplicate,
    Conflict,
    /// Rejected, with the name of the field.
    Invalid(&'static str),
}

/// What the model knows of a stored event in addition to its queryable values.
#[derive(Debug)]
pub(super) struct Entry {
    /// A counter over the whole run: no two events share a value, not even in restored logs.
    pub(super) arrival: u64,
    /// The stored event, byte for byte.
    pub(super) text: String,
    pub(super) content: u64,
    /// When it was received, in microseconds since 1970.
    pub(super) received: i64,
}

/// One state of the log. A backup holds a copy.
#[derive(Clone, Default)]
pub(super) struct State {
    /// The events, in order of arrival.
    pub(super) events: Vec<Plain>,
    /// The other data of the same events.
    pub(super) entries: Vec<Rc<Entry>>,
    /// The content number of each identifier.
    contents: HashMap<String, u64>,
    /// Every event that ever arrived, in order, including those that retention dropped.
    pub(super) history: Vec<u64>,
    pub(super) dropped: u64,
    pub(super) credentials: Vec<Credential>,
}

/// The expected state of a credential.
#[derive(Debug, Clone)]
pub(super) struct Credential {
    pub(super) name: String,
    pub(super) client_id: String,
    pub(super) token: String,
    pub(super) scopes: Vec<&'static str>,
    pub(super) standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Active,
    Disabled,
    Revoked,
    /// The log does not contain it.
    Absent,
    /// It was revoked in a log that no longer exists.
    Unclear,
}

impl State {
    pub(super) fn content(&self, identifier: &str) -> Option<u64> {
        self.contents.get(identifier).copied()
    }

    /// The outcome of each event of a partial request.
    pub(super) fn fates(&self, request: &[Sent]) -> Vec<Fate> {
        let mut stored: HashMap<&str, u64> = HashMap::new();
        let decide = |sent: &'_ Sent, known: Option<u64>| match (sent.fault, known) {
            (Some(field), _) => Fate::Invalid(field),
            (None, None) => Fate::Stored,
            (None, Some(content)) if content == sent.content => Fate::Duplicate,
            (None, Some(_)) => Fate::Conflict,
        };
        let mut fates = Vec::new();
        for sent in request {
            let identifier = sent.identifier.as_deref();
            let known = identifier.and_then(|name| stored.get(name).copied().or_else(|| self.content(name)));
            let fate = decide(sent, known);
            if let (Fate::Stored, Some(identifier)) = (fate, identifier) {
                stored.insert(identifier, sent.content);
            }
            fates.push(fate);
        }
        fates
    }

    /// Adds an event as the server lists it. The caller has already compared it with what was sent.
    pub(super) fn push(&mut self, arrival: u64, text: &str, content: u64) {
        let plain = Plain::read(text);
        let received = micros(plain.event["receivedAt"].as_str().unwrap());
        let before = self.contents.insert(plain.identifier.clone(), content);
        assert_eq!(before, None, "{} arrived twice", plain.identifier);
        self.events.push(plain);
        self.entries.push(Rc::new(Entry { arrival, text: text.to_owned(), content, received }));
        self.history.push(arrival);
    }

    /// Drops the events whose own time and receipt are both before `cutoff`.
    pub(super) fn drop_past(&mut self, cutoff: i64) -> usize {
        let is_past = |place: usize| self.events[place].micros < cutoff && self.entries[place].received < cutoff;
        let past: BTreeSet<usize> = (0..self.events.len()).filter(|place| is_past(*place)).collect();
        let gone: Vec<_> = past.iter().map(|place| self.events[*place].identifier.clone()).collect();
        self.contents.retain(|identifier, _| !gone.contains(identifier));
        let mut place = 0..;
        self.events.retain(|_| !past.contains(&place.next().unwrap()));
        let mut place = 0..;
        self.entries.retain(|_| !past.contains(&place.next().unwrap()));
        self.dropped += past.len() as u64;
        past.len()
    }

    /// Keeps the first `arrived` events of the history.
    pub(super) fn truncate(&mut self, arrived: usize) {
        let cut: BTreeSet<u64> = self.history.split_off(arrived).into_iter().collect();
        let kept = self.entries.iter().take_while(|entry| !cut.contains(&entry.arrival)).count();
        for plain in self.events.split_off(kept) {
            self.contents.remove(&plain.identifier);
        }
        self.entries.truncate(kept);
    }

    /// The length of the common prefix of this state's history and another.
    pub(super) fn common(&self, history: &[u64]) -> usize {
        self.history.iter().zip(history).take_while(|(one, other)| one == other).count()
    }

    /// The indexes in `entries` of the matching events after the first `known` events of the history.
    pub(super) fn after(&self, plain_query: &PlainQuery, known: usize) -> Vec<usize> {
        let last = known.checked_sub(1).map_or(0, |place| self.history[place]);
        let first = self.entries.partition_point(|entry| entry.arrival <= last);
        let matching: BTreeSet<_> = plain_query.answer(&self.events[first..]).into_iter().collect();
        (first..self.events.len()).filter(|place| matching.contains(self.events[*place].identifier.as_str())).collect()
    }

    /// Makes this model wrong: removes an event.
    pub(super) fn lose(&mut self, place: usize) {
        let lost = self.events.remove(place);
        self.contents.remove(&lost.identifier);
        let entry = self.entries.remove(place);
        self.history.retain(|arrival| *arrival != entry.arrival);
    }

    /// Makes this model wrong: swaps two events.
    pub(super) fn swap(&mut self, place: usize) {
        self.events.swap(place, place + 1);
        self.entries.swap(place, place + 1);
    }

    /// Makes this model wrong: changes a byte of an event.
    pub(super) fn alter(&mut self, place: usize) {
        let Entry { arrival, content, received, ref text } = *self.entries[place];
        let text = text.replacen("\"action\":\"", "\"action\":\"X", 1);
        self.entries[place] = Rc::new(Entry { arrival, text, content, received });
    }

    /// The length of the history up to and including the event at this place in `entries`.
    pub(super) fn known_through(&self, place: usize) -> usize {
        let arrival = self.entries[place].arrival;
        self.history.iter().position(|other| *other == arrival).unwrap() + 1
    }
}

impl Credential {
    /// The status of a request by this credential that needs a scope.
    pub(super) fn status(&self, scope: &str, success: u16) -> u16 {
        match self.standing {
            Standing::Active if self.scopes.contains(&scope) => success,
            Standing::Active => 403,
            Standing::Disabled | Standing::Revoked | Standing::Absent | Standing::Unclear => 401,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::events::Maker, *};

    fn state(count: u64) -> State {
        let mut state = State::default();
        for number in 1..=count {
            let text = format!(
                r#"{{"identifier":"e{number}","action":"A","resourceType":"x","trigger":{{"at":"2024-05-0{number}T00:00:00Z"}},"receivedAt":"2024-05-0{number}T00:00:00Z"}}"#
            );
            state.push(number, &text, number);
        }
        state
    }

    #[test]
    fn the_outcome_of_an_event_depends_on_the_log_and_on_earlier_events_of_the_request() {
        let mut maker = Maker::new(1);
        let (new, mut known) = (maker.named_event(), maker.named_event());
        (known.identifier, known.content) = (Some("e1".to_owned()), 1);
        let (other, again, invalid) = (maker.changed(&new), maker.respelled(&new), maker.invalid());
        let conflict = maker.changed(&known);
        let field = invalid.fault.unwrap();
        let fates = state(2).fates(&[known, conflict, new, again, other, invalid]);
        let expected = [Fate::Duplicate, Fate::Conflict, Fate::Stored, Fate::Duplicate, Fate::Conflict];
        assert_eq!(fates[..5], expected);
        assert_eq!(fates[5], Fate::Invalid(field));
    }

    #[test]
    fn drops_and_truncation_keep_the_order_of_arrival() {
        let mut state = state(6);
        let copy = state.clone();
        assert_eq!(state.drop_past(micros("2024-05-03T00:00:00Z")), 2);
        assert_eq!((state.events.len(), state.history.len(), state.content("e2")), (4, 6, None));
        state.truncate(4);
        let left: Vec<_> = state.events.iter().map(|event| event.identifier.as_str()).collect();
        assert_eq!((left, state.common(&copy.history), state.content("e5")), (vec!["e3", "e4"], 4, None));
        assert_eq!(state.known_through(1), 4);
        state.push(9, &copy.entries[5].text.replace("e6", "e9"), 9);
        assert_eq!((copy.common(&state.history), state.common(&[1, 2, 9])), (4, 2));
    }
}
