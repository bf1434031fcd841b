//! What arrived by each door and each route since the start, for the operator who asks whether a sender works.
//!
//! Names are those of the program and of the configuration, so the number of entries is bounded.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::{
    http::sample,
    model::{door::Door, mask::Mask, timestamp::Timestamp},
};

/// The seconds over which a rate is measured.
const WINDOW_SECONDS: i64 = 60;
/// The number of counters for them.
const WINDOW: usize = 60;
/// Maximum number of characters of a message.
const MESSAGE_CHARS_MAX: usize = 300;
/// Maximum number of characters of a sample.
const SAMPLE_CHARS_MAX: usize = 300;

/// The name under which the records of a route are counted.
pub(crate) fn name_of_route(route: &str) -> String {
    format!("in/{route}")
}

/// The name under which the records of a listener are counted.
pub(crate) fn name_of_listener(door: Door, listener: &str) -> String {
    format!("{}/{listener}", door.name())
}

/// The arrivals by each door and route.
#[derive(Debug)]
pub struct Activity(BTreeMap<String, Mutex<Entry>>);

/// The records of one request, or of one read of a listener.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    pub(crate) stored: u64,
    pub(crate) duplicates: u64,
    pub(crate) rejected: u64,
    /// Records that are stored, but in which the preset found nothing.
    pub(crate) unmapped: u64,
    pub(crate) problem: Option<Problem>,
}

/// What was wrong with a record or a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) message: String,
    /// The beginning of the record, without secrets.
    pub(crate) sample: Option<String>,
}

#[derive(Debug)]
struct Entry {
    state: ArrivalState,
    /// Records of each of the last seconds, by the second modulo their number.
    seconds: [(i64, u64); WINDOW],
}

impl Default for Entry {
    fn default() -> Self {
        Self { state: ArrivalState::default(), seconds: [(0, 0); WINDOW] }
    }
}

/// What arrived by one door.
#[derive(Debug, Clone, Default)]
pub(crate) struct ArrivalState {
    pub(crate) stored: u64,
    pub(crate) duplicates: u64,
    pub(crate) rejected: u64,
    pub(crate) unmapped: u64,
    /// Requests and connections that were refused as a whole.
    pub(crate) refused: u64,
    /// Datagrams that the system dropped.
    pub(crate) dropped: u64,
    /// When a record was last stored or found to be stored already.
    pub(crate) last: Option<Timestamp>,
    /// Records in the last minute.
    pub(crate) of_last_minute: u64,
    pub(crate) last_problem: Option<(Timestamp, Problem)>,
}

impl Problem {
    /// A problem of a request or a connection as a whole.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        let message = sample::without_tokens(&message.into()).into_owned();
        Self { message: shortened(message, MESSAGE_CHARS_MAX), sample: None }
    }

    /// A problem of a record, which is JSON.
    pub(crate) fn of_record(message: impl Into<String>, mask: &Mask, record: &str) -> Self {
        Self { sample: Some(shortened(sample::of_json(mask, record), SAMPLE_CHARS_MAX)), ..Self::new(message) }
    }

    /// A problem of a part of a body that cannot be read as a record.
    pub(crate) fn of_bytes(message: impl Into<String>, bytes: &[u8]) -> Self {
        let sample = sample::of_bytes(bytes).map(|shape| shortened(shape, SAMPLE_CHARS_MAX));
        Self { sample, ..Self::new(message) }
    }
}

/// A text of at most this number of characters, followed by an ellipsis if there are more.
fn shortened(mut text: String, chars_max: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(chars_max) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl Activity {
    /// Of doors and routes with these names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| (name, Mutex::default())).collect())
    }

    /// Notes the records that arrived.
    pub(crate) fn arrived(&self, name: &str, arrival: Arrival, now: Timestamp) {
        self.change(name, |Entry { state, seconds }| {
            let Arrival { stored, duplicates, rejected, unmapped, problem } = arrival;
            state.stored += stored;
            state.duplicates += duplicates;
            state.rejected += rejected;
            state.unmapped += unmapped;
            if stored + duplicates > 0 {
                state.last = Some(now);
            }
            if let Some(problem) = problem {
                state.last_problem = Some((now, problem));
            }
            let second = now.seconds();
            let slot = &mut seconds[usize::try_from(second.rem_euclid(WINDOW_SECONDS)).unwrap_or(0)];
            if slot.0 != second {
                *slot = (second, 0);
            }
            slot.1 += stored + duplicates + rejected;
        });
    }

    /// Notes a request or a connection that was refused as a whole.
    pub(crate) fn refused(&self, name: &str, message: impl Into<String>, now: Timestamp) {
        self.change(name, |Entry { state, .. }| {
            state.refused += 1;
            state.last_problem = Some((now, Problem::new(message)));
        });
    }

    /// Notes how many datagrams the system has dropped since the listener began.
    pub(crate) fn dropped(&self, name: &str, datagrams: u64) {
        self.change(name, |Entry { state, .. }| state.dropped += datagrams);
    }

    /// Every door and route with what arrived by it.
    pub(crate) fn all(&self, now: Timestamp) -> impl Iterator<Item = (&str, ArrivalState)> {
        let since = now.seconds() - WINDOW_SECONDS;
        self.0.iter().map(move |(name, entry)| {
            let Entry { state, seconds } = &*entry.lock();
            let recent = seconds.iter().filter(|(second, _)| *second > since && *second <= now.seconds());
            (&**name, ArrivalState { of_last_minute: recent.map(|(_, count)| count).sum(), ..state.clone() })
        })
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.0.get(name) {
            change(&mut entry.lock());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn state(activity: &Activity, now: i64) -> ArrivalState {
        activity.all(at(now)).next().unwrap().1
    }

    #[test]
    fn arrivals_add_up_and_the_rate_forgets_them_after_a_minute() {
        let activity = Activity::new(["otlp".to_owned()]);
        activity.arrived("otlp", Arrival { stored: 3, unmapped: 1, ..Arrival::default() }, at(1_000));
        activity.arrived("otlp", Arrival { duplicates: 2, ..Arrival::default() }, at(1_030));
        activity.arrived("another", Arrival { stored: 9, ..Arrival::default() }, at(1_030));
        let now = state(&activity, 1_030);
        assert_eq!((now.stored, now.duplicates, now.unmapped, now.of_last_minute), (3, 2, 1, 5));
        assert_eq!(now.last, Some(at(1_030)));
        assert_eq!(state(&activity, 1_059).of_last_minute, 5);
        assert_eq!(state(&activity, 1_060).of_last_minute, 2);
        assert_eq!(state(&activity, 1_090).of_last_minute, 0);
        activity.arrived("otlp", Arrival { stored: 1, ..Arrival::default() }, at(1_060));
        assert_eq!(state(&activity, 1_060).of_last_minute, 3, "the slot of second 1,000 is used again");
    }

    #[test]
    fn the_last_problem_is_kept_with_a_short_sample() {
        let activity = Activity::new(["hec".to_owned()]);
        let record = format!("{{\"a\":\"{}\"}}", "ü".repeat(1_000));
        let problem = Problem::of_record("not JSON", &Mask::default(), &record);
        assert_eq!(problem.sample.as_ref().unwrap().chars().count(), SAMPLE_CHARS_MAX + 1);
        activity.arrived("hec", Arrival { rejected: 1, problem: Some(problem), ..Arrival::default() }, at(1));
        activity.refused("hec", "no token", at(2));
        let now = state(&activity, 2);
        assert_eq!((now.rejected, now.refused, now.last), (1, 1, None));
        assert_eq!(now.last_problem, Some((at(2), Problem { message: "no token".to_owned(), sample: None })));
    }
}
