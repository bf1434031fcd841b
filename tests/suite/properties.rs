//! Any events, any queries: the results equal those of a plain filter over the same events. The tests compare lists,
//! counts, facets and histograms, with any division of the index into chunks.

mod events;
pub(crate) mod plain;
pub(crate) mod retention;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use auditbox::{model::timestamp::Timestamp, store::CHUNK_EVENTS};
use proptest::{
    collection::vec,
    prelude::*,
    sample::Index,
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::harness::Server;
use plain::{Bound, Encoding, Kind, PARAMETERS, Parameter, Plain, PlainQuery, PlainSearch, Term};

/// Events per request.
const BATCH_EVENTS: usize = 2_000;
/// Events per compared response: enough to see the order and the end of most lists.
const LIMIT: usize = 200;
/// Random queries for each set of events.
const QUERIES: u32 = 300;

#[test]
fn synthetic_and_odd_events_are_read_back_and_found_as_a_plain_filter_finds_them() {
    check(&events::synthetic(), CHUNK_EVENTS);
}

#[test]
fn chunks_of_the_index_make_no_difference() {
    // Most chunks are sealed, and some events are in none.
    for chunk_events in [64, 500] {
        check(&events::synthetic(), chunk_events);
    }
}

#[test]
fn real_events_are_read_back_and_found_as_a_plain_filter_finds_them() {
    if let Some(events) = events::real() {
        check(&events, 4_096);
    }
}

fn check(sent: &[String], chunk_events: u32) {
    // Masking has its own tests: here every byte comes back unchanged.
    // A count of a common word reads many events, which takes long in a debug build on a busy machine.
    let settings = [("AUDITBOX_MASK_ENABLED", "false"), ("AUDITBOX_LIMITS_QUERY_SECONDS", "3600")];
    let server = Server::start_chunked_with(chunk_events, &settings);
    for batch in sent.chunks(BATCH_EVENTS) {
        let answer = server.post("/v1/audit-log", &batch.join("\n"));
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert_eq!(answer.json()["accepted"], batch.len());
    }
    let events = read_back(&server, sent);
    ask(&server, &events, QUERIES);
}

/// Queries the values of every parameter, then runs this many random queries.
fn ask(server: &Server, events: &[Plain], queries: u32) {
    let pools = Pools::of(events);
    for parameter in PARAMETERS {
        for encoding in Encoding::ALL {
            for values in pools.handfuls(parameter).filter(|values| !values.is_empty()) {
                let term = Term { parameter, excludes: false, encoding: encoding_for(parameter, encoding), values };
                compare(server, events, &PlainQuery { terms: vec![term], ..everything() }).unwrap();
            }
        }
    }
    let config = Config { cases: queries, failure_persistence: None, ..Config::default() };
    let asked = TestRunner::new(config).run(&sketch(), |sketch| {
        compare(server, events, &sketch.plain_query(events, &pools)).map_err(TestCaseError::fail)
    });
    asked.unwrap_or_else(|failure| panic!("{failure}"));
}

pub(crate) fn everything() -> PlainQuery {
    PlainQuery { terms: Vec::new(), search: None, from: None, to: None, by_arrival: false, ascending: false }
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    audits: Vec<&'a RawValue>,
    next: Option<String>,
}

/// Lists everything, by arrival and in the default order, and compares it with what was sent. Returns it in order of
/// arrival.
fn read_back(server: &Server, sent: &[String]) -> Vec<Plain> {
    let (mut events, mut stored) = (Vec::new(), Vec::new());
    let mut query = "sort=received&order=asc&limit=5000".to_owned();
    loop {
        let answer = server.list(&query);
        let list: List<'_> = serde_json::from_str(&answer.text).unwrap();
        if list.audits.is_empty() {
            break;
        }
        stored.extend(list.audits.iter().map(|event| event.get().to_owned()));
        query = format!("sort=received&order=asc&limit=5000&cursor={}", list.next.unwrap());
    }
    assert_eq!(stored.len(), sent.len());
    for (sent, stored) in sent.iter().zip(&stored) {
        assert_kept(sent, stored);
        events.push(Plain::read(stored));
    }
    let newest_first = everything().answer(&events).into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(server.list("limit=100000&includes=identifier").identifiers(), newest_first);
    events
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Every byte of every sent value is stored, and only the server's keys are added.
pub(crate) fn assert_kept(sent: &str, stored: &str) {
    let [mut sent, mut stored] = [sent, stored].map(members);
    let triggers = [sent.remove("trigger"), stored.remove("trigger")];
    let [sent_trigger, stored_trigger] =
        triggers.map(|value| value.map_or_else(Members::new, |value| members(value.get())));
    let added = assert_members_kept(&sent, &stored);
    let expected = ["identifier", "orderedBy", "receivedAt", "receivedBy", "status"];
    assert!(added.iter().all(|key| expected.contains(key)), "{added:?}");
    assert!(added.contains(&"receivedAt") && added.contains(&"receivedBy"), "{added:?}");
    let added = assert_members_kept(&sent_trigger, &stored_trigger);
    assert!(added.iter().all(|key| ["at", "origin"].contains(key)), "{added:?}");
    if added.contains(&"at") {
        assert_eq!(stored_trigger["at"].get(), stored["receivedAt"].get());
    }
}

fn members(text: &str) -> Members<'_> {
    serde_json::from_str(text).unwrap()
}

/// Returns the added keys. A null at a key that the server reads counts as absent.
fn assert_members_kept<'a>(sent: &Members<'_>, stored: &'a Members<'_>) -> Vec<&'a str> {
    for (key, value) in sent.iter().filter(|(_, value)| value.get() != "null") {
        assert_eq!(stored.get(key).map(|value| value.get()), Some(value.get()), "{key}");
    }
    stored.keys().filter(|key| sent.get(*key).is_none_or(|value| value.get() == "null")).map(String::as_str).collect()
}

/// Runs the same query on the server and on the plain filter.
pub(crate) fn compare(server: &Server, events: &[Plain], plain_query: &PlainQuery) -> Result<(), String> {
    let expected = plain_query.answer(events);
    let query = plain_query.query();
    let answer = server.list(&format!("{query}&limit={LIMIT}&includes=identifier&count=true"));
    if answer.status != 200 {
        return Err(format!("{}\n{query}\n{plain_query:#?}", answer.text));
    }
    let found = answer.identifiers();
    let first = &expected[..expected.len().min(LIMIT)];
    if found != first {
        let other = found.iter().zip(first).find(|(found, expected)| found != *expected);
        let names = other.map_or_else(Vec::new, |(found, expected)| vec![found.as_str(), expected]);
        let of_one = events.iter().filter(|event| names.contains(&event.identifier.as_str()));
        let shown: Vec<_> = of_one.map(|event| event.event.to_string()).collect();
        return Err(format!("found {found:?}\nexpected {first:?}\n{shown:#?}\n{query}\n{plain_query:#?}"));
    }
    let follows = plain_query.by_arrival && plain_query.ascending;
    let more = answer.json()["next"].is_string();
    if more != (follows || expected.len() > LIMIT) {
        return Err(format!("{} in all, and yet next: {more}\n{query}", expected.len()));
    }
    if answer.json()["count"] != expected.len() {
        return Err(format!("{} instead of {}\n{query}\n{plain_query:#?}", answer.json()["count"], expected.len()));
    }
    compare_counts(server, events, plain_query)
}

/// The parameters with compared facets.
const FACETS: [&str; 5] = ["resources", "actor", "entity", "status", "path"];
/// Maximum number of values per facet.
const FACET_VALUES_MAX: usize = 100;

/// Compares the server's counts with plain ones.
fn compare_counts(server: &Server, events: &[Plain], plain_query: &PlainQuery) -> Result<(), String> {
    let query = plain_query.query();
    let path = format!("/v1/audit-log/stats?{query}&facets={}&histogram=auto&tz=Asia/Kolkata", FACETS.join(","));
    let answer = server.get(&path);
    let now = Timestamp::now().micros();
    let stats: Stats = serde_json::from_str(&answer.text).map_err(|error| format!("{error}: {}", answer.text))?;
    let times = plain_query.times(events);
    let wrong = |what: &str| Err(format!("{what}\n{}\n{query}\n{plain_query:#?}", answer.text));
    if stats.count != times.len() as u64 {
        return wrong("another count");
    }
    for parameter in PARAMETERS.iter().filter(|parameter| FACETS.contains(&parameter.name)) {
        let (expected, facet) = (plain_query.values(events, parameter), &stats.facets[parameter.name]);
        let listed: BTreeMap<_, _> =
            facet.values.iter().map(|value| (parameter.as_counted(&value.value), value.count)).collect();
        let common = &facet.values[..expected.len().min(FACET_VALUES_MAX)];
        let least = common.last().map_or(0, |value| value.count);
        let is_right = listed.len() == facet.values.len()
            && facet.distinct == expected.len() as u64
            && listed.iter().all(|(value, count)| {
                let named = || plain_query.named(events, parameter, value);
                expected.get(value).copied().unwrap_or_else(named) == *count
            })
            && common.is_sorted_by_key(|value| Reverse(value.count))
            && expected.iter().all(|(value, count)| *count <= least || listed.contains_key(value));
        if !is_right {
            return wrong(&format!("{}: {expected:?}", parameter.name));
        }
    }
    // Without an end, the buckets end now; without a beginning, they may omit a few old events.
    let through = plain_query.to.as_ref().map_or(now, |to| to.micros);
    let in_bucket = |bucket: &Bucket, failed: bool| {
        let within =
            |time: i64| plain::micros(&bucket.start) <= time && time < plain::micros(&bucket.end) && time <= through;
        times.iter().filter(|(time, status)| within(*time) && *status == failed).count() as u64
    };
    let Histogram { buckets, before, after } = stats.histogram;
    let start = buckets.first().map_or(i64::MIN, |bucket| plain::micros(&bucket.start));
    let count = |holds: &dyn Fn(i64) -> bool| times.iter().filter(|(time, _)| holds(*time)).count() as u64;
    let may_be_left_out = if plain_query.from.is_some() { 0 } else { (stats.count / 20).max(1) };
    let is_right = buckets.windows(2).all(|pair| pair[0].end == pair[1].start)
        && buckets.iter().map(|bucket| bucket.success + bucket.failure).sum::<u64>() + before + after == stats.count
        && before == count(&|time| time < start)
        && before <= may_be_left_out
        && after == count(&|time| time > through)
        // Years beyond 9999 cannot be parsed back.
        && buckets.iter().filter(|bucket| !bucket.end.starts_with('(') && bucket.end.len() == 25).all(|bucket| {
            in_bucket(bucket, false) == bucket.success && in_bucket(bucket, true) == bucket.failure
        });
    if is_right { Ok(()) } else { wrong("another histogram") }
}

#[derive(Deserialize)]
struct Stats {
    count: u64,
    facets: BTreeMap<String, Facet>,
    histogram: Histogram,
}

#[derive(Deserialize)]
struct Facet {
    values: Vec<Counted>,
    distinct: u64,
}

#[derive(Deserialize)]
struct Counted {
    value: String,
    count: u64,
}

#[derive(Deserialize)]
struct Histogram {
    buckets: Vec<Bucket>,
    before: u64,
    after: u64,
}

#[derive(Deserialize)]
struct Bucket {
    start: String,
    end: String,
    success: u64,
    failure: u64,
}

/// The distinct values that the events have for each parameter.
pub(crate) struct Pools(BTreeMap<&'static str, Vec<String>>);

impl Pools {
    pub(crate) fn of(events: &[Plain]) -> Self {
        let pool = |parameter: &'static Parameter| {
            let values: BTreeSet<_> = events.iter().flat_map(|event| parameter.values(&event.event)).collect();
            (parameter.name, values.into_iter().collect())
        };
        Self(PARAMETERS.iter().map(pool).collect())
    }

    fn of_parameter(&self, parameter: &Parameter) -> &[String] {
        &self.0[parameter.name]
    }

    /// Several groups of values from the whole pool.
    fn handfuls(&self, parameter: &'static Parameter) -> impl Iterator<Item = Vec<String>> {
        const HANDFULS: usize = 3;
        const VALUES: usize = 4;
        let pool = self.of_parameter(parameter);
        let step = pool.len().div_ceil(HANDFULS * VALUES).max(1);
        (0..HANDFULS).map(move |handful| {
            let picked = pool.iter().step_by(step).skip(handful).step_by(HANDFULS);
            let changes = (0_u8..).map(|n| n.wrapping_mul(7).wrapping_add(u8::try_from(handful).unwrap()));
            picked.zip(changes).filter_map(|(value, change)| vary(parameter.kind, value, change)).collect()
        })
    }
}

/// In a parameter that takes no list, a comma is part of the value.
fn encoding_for(parameter: &Parameter, encoding: Encoding) -> Encoding {
    match (parameter.kind, encoding) {
        (Kind::Choice(_), Encoding::Commas) => Encoding::Repeated,
        _ => encoding,
    }
}

/// A query in numbers, to be filled with values of the present events.
#[derive(Debug)]
pub(crate) struct Sketch {
    /// The event that most values are taken from, so that the terms match together.
    event: Index,
    terms: Vec<TermSketch>,
    search: Option<(Index, u8)>,
    from: Option<(Index, u8)>,
    to: Option<(Index, u8)>,
    by_arrival: bool,
    ascending: bool,
}

#[derive(Debug)]
struct TermSketch {
    parameter: Index,
    excludes: bool,
    encoding: Encoding,
    /// The source of each value, and its variation.
    values: Vec<(Option<Index>, u8)>,
}

pub(crate) fn sketch() -> impl Strategy<Value = Sketch> {
    let term = (
        any::<Index>(),
        prop::bool::weighted(0.2),
        prop::sample::select(&Encoding::ALL[..]),
        vec((prop::option::of(any::<Index>()), any::<u8>()), 1..4),
    )
        .prop_map(|(parameter, excludes, encoding, values)| TermSketch { parameter, excludes, encoding, values });
    let bound = || prop::option::weighted(0.25, (any::<Index>(), any::<u8>()));
    let order = (prop::bool::weighted(0.2), prop::bool::weighted(0.3));
    (any::<Index>(), vec(term, 0..3), bound(), bound(), bound(), order).prop_map(
        |(event, terms, search, from, to, (by_arrival, ascending))| Sketch {
            event,
            terms,
            search,
            from,
            to,
            by_arrival,
            ascending,
        },
    )
}

impl Sketch {
    pub(crate) fn plain_query(&self, events: &[Plain], pools: &Pools) -> PlainQuery {
        let event = self.event.get(events);
        let mut terms: Vec<Term> = Vec::new();
        for sketch in &self.terms {
            let term = sketch.term(event, pools);
            // Using the same parameter twice would merge two encodings.
            let twice = |other: &Term| other.parameter.name == term.parameter.name && other.excludes == term.excludes;
            if !term.values.is_empty() && !terms.iter().any(twice) {
                terms.push(term);
            }
        }
        let bound = |place: &Option<(Index, u8)>| place.map(|(index, spelling)| spell(index.get(events), spelling));
        let (from, to) = (bound(&self.from), bound(&self.to).map(Bound::up_to_its_end));
        // Such a range is rejected.
        let is_empty = from.as_ref().zip(to.as_ref()).is_some_and(|(from, to)| from.micros > to.micros);
        PlainQuery {
            terms,
            search: self.search.and_then(|(index, part)| search(index.get(events), part)),
            from: from.filter(|_| !is_empty),
            to,
            by_arrival: self.by_arrival,
            ascending: self.ascending,
        }
    }
}

impl TermSketch {
    fn term(&self, event: &Plain, pools: &Pools) -> Term {
        let parameter = self.parameter.get(PARAMETERS);
        let pool = pools.of_parameter(parameter);
        let own = parameter.values(&event.event);
        let value = |(from, change): &(Option<Index>, u8)| {
            let value = match from {
                None if !own.is_empty() => &own[usize::from(*change) % own.len()],
                None => pool.first()?,
                Some(_) if pool.is_empty() => return None,
                Some(index) => index.get(pool),
            };
            vary(parameter.kind, value, *change)
        };
        let values = self.values.iter().filter_map(value).collect();
        Term { parameter, excludes: self.excludes, encoding: encoding_for(parameter, self.encoding), values }
    }
}

/// Words that a search does not take literally: it skips them, or finds the actions and the failures that they mean.
const MEANT: &[&str] = &[
    "and",
    "or",
    "not",
    "in",
    "of",
    "on",
    "to",
    "tried",
    "failed",
    "failure",
    "read",
    "change",
    "send",
    "sent",
    "roll",
    "back",
    "create",
    "update",
    "ran",
    "built",
    "put",
    "set",
    "wrote",
    "synchronize",
];

/// A part of one of the event's names, of its message or of another value, in another case.
fn search(event: &Plain, part: u8) -> Option<PlainSearch> {
    let others = &event.other_words;
    if part.is_multiple_of(4) && !others.is_empty() {
        return whole_words(&others[usize::from(part / 4) % others.len()], part);
    }
    let sources = ["/identifier", "/message", "/context/entity", "/context/runId", "/trigger/by/name", "/request/path"];
    let sources: Vec<_> = sources.iter().filter_map(|source| event.event.pointer(source)?.as_str()).collect();
    let text: Vec<char> = sources[usize::from(part) % sources.len()].chars().collect();
    let length = 1 + usize::from(part / 7) % 12;
    let begin = usize::from(part) % text.len();
    spelled(text[begin..].iter().take(length).collect(), part)
}

/// One to three whole words of a text.
fn whole_words(text: &str, part: u8) -> Option<PlainSearch> {
    let words: Vec<_> = plain::words(text).collect();
    let begin = usize::from(part / 16).checked_rem(words.len())?;
    let words: Vec<_> = words[begin..].iter().take(1 + usize::from(part / 8) % 3).cloned().collect();
    spelled(words.join(" "), part)
}

/// A search for a text, in another case; `None` if it has another meaning.
fn spelled(text: String, part: u8) -> Option<PlainSearch> {
    let text = if part.is_multiple_of(2) { text.to_uppercase() } else { text };
    let is_meant = |word: String| MEANT.contains(&&*word) || word.ends_with("ed");
    if text.trim().is_empty() || plain::words(&text).any(is_meant) {
        return None;
    }
    let is_phrase = part.is_multiple_of(3) || text.contains(['"', '“', '”', '„', ':', '-']);
    Some(PlainSearch { text, is_phrase, excludes: is_phrase && part.is_multiple_of(5) })
}

/// A text that should match `value`; `None` if the result is not predictable.
fn vary(kind: Kind, value: &str, change: u8) -> Option<String> {
    let other = change.is_multiple_of(2);
    Some(match kind {
        Kind::Choice(words) => words.contains(&value).then(|| value.to_owned())?,
        Kind::IgnoreCase if other => value.to_ascii_uppercase(),
        Kind::IgnoreCase => value.to_ascii_lowercase(),
        Kind::Prefix => {
            let end = 1 + usize::from(change) % value.len();
            let end = (end..=value.len()).find(|end| value.is_char_boundary(*end))?;
            value[..end].to_owned()
        }
        Kind::StatusCode if other => format!("{}xx", &value[..1]),
        Kind::Address if other => match plain::bits(value) {
            // An address range in the family of the value.
            Some((_, 32)) if !value.contains(':') => format!("{value}/{}", change % 33),
            Some((_, 128)) => format!("{value}/{}", change % 129),
            // Text that looks like a range but is not one is rejected.
            _ => Some(value).filter(|value| !value.contains('/'))?.to_owned(),
        },
        Kind::Address if value.contains('/') => return None,
        Kind::Exact | Kind::StatusCode | Kind::Address => value.to_owned(),
    })
}

/// The time of `event` in one of its spellings.
fn spell(event: &Plain, spelling: u8) -> Bound {
    let at = event.event["trigger"]["at"].as_str().unwrap();
    // An unencoded plus arrives as a space.
    let text = if spelling.is_multiple_of(2) { at.to_owned() } else { at.replace('+', " ") };
    Bound { micros: plain::micros(at), text }
}
