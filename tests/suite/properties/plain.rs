//! The expected result of a query, computed in the plain way: every event as a JSON value, one comparison after
//! another.
//!
//! It follows the API's documentation and uses none of auditbox's code, so that a mistake is not made twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde_json::{Value, value::RawValue};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// An event as the server lists it. Its index is its order of arrival.
#[derive(Debug, Clone)]
pub struct Plain {
    pub identifier: String,
    /// The time that determines its order.
    pub micros: i64,
    pub received_micros: i64,
    pub event: Value,
    /// The words of each value that has no filter of its own, with a space around each.
    pub other_words: Vec<String>,
}

/// Maximum time after its receipt by which an event is still ordered by its own time.
const FUTURE_MICROS_MAX: i64 = 24 * 60 * 60 * 1_000_000;

impl Plain {
    /// An event as the server has returned it.
    pub fn read(stored: &str) -> Self {
        let event: Value = serde_json::from_str(stored).unwrap();
        let identifier = event["identifier"].as_str().unwrap().to_owned();
        let at = micros(event["trigger"]["at"].as_str().unwrap());
        let received_micros = micros(event["receivedAt"].as_str().unwrap());
        let mut texts = Vec::new();
        add_texts(serde_json::from_str(stored).unwrap(), "", &mut texts);
        let other_words = texts.iter().map(|text| in_a_row(text)).filter(|words| words.len() > 1).collect();
        Self { identifier, micros: ordered_at(at, received_micros), received_micros, event, other_words }
    }
}

/// The time that determines the order of an event.
pub fn ordered_at(at: i64, received: i64) -> i64 {
    if at > received + FUTURE_MICROS_MAX { received } else { at }
}

/// An RFC 3339 time in microseconds since 1970; finer digits are truncated.
pub fn micros(text: &str) -> i64 {
    let nanos = OffsetDateTime::parse(text, &Rfc3339).unwrap().unix_timestamp_nanos();
    i64::try_from(nanos.div_euclid(1_000)).unwrap()
}

/// How the text of a parameter is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Exact,
    IgnoreCase,
    Prefix,
    StatusCode,
    Address,
    /// One of a few words, so that a comma list of them is not itself a value.
    Choice(&'static [&'static str]),
}

/// A query parameter: where its values are in an event, how they are compared, and whether commas may separate several.
#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub sources: &'static [&'static str],
    pub kind: Kind,
    pub comma_list: bool,
}

const fn parameter(name: &'static str, sources: &'static [&'static str], kind: Kind, comma_list: bool) -> Parameter {
    Parameter { name, sources, kind, comma_list }
}

/// Port's parameters first, then auditbox's own.
pub const PARAMETERS: &[Parameter] = &[
    parameter("identifier", &["/identifier"], Kind::Exact, false),
    parameter("entity", &["/context/entity"], Kind::Exact, false),
    parameter("blueprint", &["/context/blueprint"], Kind::Exact, false),
    parameter("run_id", &["/context/runId"], Kind::Exact, false),
    parameter("webhookId", &["/context/webhookId"], Kind::Exact, false),
    parameter("webhookEventId", &["/context/webhookEventId"], Kind::Exact, false),
    parameter("origin", &["/trigger/origin"], Kind::IgnoreCase, true),
    parameter("InstallationId", &["/context/integrationId"], Kind::Exact, false),
    parameter("resources", &["/resourceType"], Kind::IgnoreCase, true),
    parameter("action", &["/action"], Kind::IgnoreCase, false),
    parameter("status", &["/status"], Kind::Choice(&["SUCCESS", "FAILURE"]), false),
    parameter("actionType", &["/context/actionType"], Kind::Choice(&["automation", "self-service"]), false),
    parameter("actor", &["/trigger/by/userId", "/trigger/by/email", "/trigger/by/name"], Kind::IgnoreCase, false),
    parameter("actor_type", &["/trigger/by/type"], Kind::Exact, true),
    parameter("method", &["/request/method"], Kind::IgnoreCase, true),
    parameter("path", &["/request/path"], Kind::Prefix, false),
    parameter("status_code", &["/request/statusCode"], Kind::StatusCode, true),
    parameter("ip", &["/request/ip"], Kind::Address, true),
];

impl Parameter {
    /// The values of an event for this parameter.
    pub fn values(&self, event: &Value) -> Vec<String> {
        let found = self.sources.iter().filter_map(|source| event.pointer(source));
        found
            .filter_map(|value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            })
            .collect()
    }

    /// The values that an event adds to a facet. An actor adds one, whatever the number of their names.
    fn counted(&self, event: &Value) -> BTreeSet<String> {
        let values = self.values(event).into_iter();
        let values: Vec<_> = if self.name == "actor" { values.take(1).collect() } else { values.collect() };
        values.into_iter().map(|value| self.as_counted(&value)).collect()
    }

    /// What two values have in common that count as one.
    pub fn as_counted(&self, value: &str) -> String {
        if self.kind == Kind::IgnoreCase { fold(value) } else { value.to_owned() }
    }

    fn matches(&self, text: &str, value: &str) -> bool {
        match self.kind {
            Kind::Exact | Kind::Choice(_) => text == value,
            Kind::IgnoreCase => fold(text) == fold(value),
            Kind::Prefix => value.starts_with(text),
            Kind::StatusCode => match text.as_bytes() {
                [class, b'x' | b'X', b'x' | b'X'] => *class == value.as_bytes()[0],
                _ => text == value,
            },
            Kind::Address => same_network(text, value),
        }
    }
}

/// Whether the address `value` equals, or is in, the address or range `text`. Other text is compared literally.
fn same_network(text: &str, value: &str) -> bool {
    let range = text.split_once('/').and_then(|(network, length)| Some((bits(network)?, length.parse().ok()?)));
    let range = range.or_else(|| bits(text).map(|address| (address, address.1)));
    let Some(((network, width), length)) = range else {
        return text == value;
    };
    // Shifting by all 128 bits is undefined; then no bit of the address matters.
    let significant = |bits: u128| bits.checked_shr(width - length).unwrap_or(0);
    addresses(value)
        .into_iter()
        .any(|(address, own_width)| width == own_width && significant(network) == significant(address))
}

/// The addresses in a list, with or without ports.
fn addresses(value: &str) -> Vec<(u128, u32)> {
    let one = |text: &str| {
        let before_port = || text.rsplit_once(':').and_then(|(address, _)| bits(address.trim_matches(['[', ']'])));
        bits(text.trim_matches('.')).or_else(before_port)
    };
    value.split([',', ' ']).filter_map(one).collect()
}

/// A text without its case, and in the composed form.
pub fn fold(text: &str) -> String {
    let composed = icu_normalizer::ComposingNormalizerBorrowed::new_nfc();
    composed.normalize(&composed.normalize(text).to_lowercase()).into_owned()
}

/// An address as a number, and its width in bits. An IPv4 address written as IPv6 counts as IPv4.
pub fn bits(text: &str) -> Option<(u128, u32)> {
    match text.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(address) => Some((u32::from(address).into(), 32)),
        IpAddr::V6(address) => Some((address.into(), 128)),
    }
}

/// The encoding of several values of one parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `k=a`, with a single value.
    Scalar,
    /// `k=a&k=b`
    Repeated,
    /// `k%5B%5D=a&k%5B%5D=b`
    Bracketed,
    /// `k=a%2Cb`
    Commas,
}

impl Encoding {
    pub const ALL: [Self; 4] = [Self::Scalar, Self::Repeated, Self::Bracketed, Self::Commas];
}

/// One parameter of a query, with its values.
#[derive(Debug)]
pub struct Term {
    pub parameter: &'static Parameter,
    pub excludes: bool,
    pub encoding: Encoding,
    pub values: Vec<String>,
}

impl Term {
    /// The name of the parameter as sent, and each text after it.
    fn sent(&self) -> (String, Vec<String>) {
        let sign = if self.excludes { "not." } else { "" };
        let brackets = if self.encoding == Encoding::Bracketed { "[]" } else { "" };
        let texts = match self.encoding {
            Encoding::Scalar => self.values[..1].to_vec(),
            Encoding::Commas => vec![self.values.join(",")],
            Encoding::Repeated | Encoding::Bracketed => self.values.clone(),
        };
        (format!("{sign}{}{brackets}", self.parameter.name), texts)
    }

    /// The meaning of the sent texts: a single comma list means the whole or any of its parts; any other text means
    /// itself.
    fn meant(&self) -> Vec<String> {
        let (_, mut texts) = self.sent();
        if let ([only], true, false) = (&*texts, self.parameter.comma_list, self.encoding == Encoding::Bracketed) {
            let parts: Vec<_> = only.split(',').map(|part| part.trim().to_owned()).collect();
            texts.extend(parts.into_iter().filter(|part| !part.is_empty()));
        }
        texts
    }

    fn holds(&self, event: &Value) -> bool {
        let (values, texts) = (self.parameter.values(event), self.meant());
        let found = values.iter().any(|value| texts.iter().any(|text| self.parameter.matches(text, value)));
        found != self.excludes
    }
}

/// A bound of the event time: its text, and its meaning.
#[derive(Debug)]
pub struct Bound {
    pub text: String,
    pub micros: i64,
}

impl Bound {
    /// This bound as the end of a range: a time covers all of its last digit.
    pub fn up_to_its_end(self) -> Self {
        let digits = self
            .text
            .split_once('.')
            .map_or(0, |(_, fraction)| fraction.bytes().take_while(u8::is_ascii_digit).count());
        let width = 10_i64.pow(6_u32.saturating_sub(u32::try_from(digits).unwrap()));
        Self { micros: self.micros.div_euclid(width) * width + width - 1, ..self }
    }
}

/// The values in whose text a search looks, in addition to the message.
const SEARCHED: &[&str] = &[
    "/identifier",
    "/context/entity",
    "/context/blueprint",
    "/context/runId",
    "/context/webhookId",
    "/context/webhookEventId",
    "/context/integrationId",
    "/resourceType",
    "/action",
    "/trigger/by/userId",
    "/trigger/by/name",
    "/trigger/by/email",
    "/request/path",
    "/request/ip",
];

/// Other values that are not searched for words: the time, and what the server adds to an event.
const UNSEARCHED: &[&str] = &["/message", "/trigger/at", "/receivedAt", "/receivedBy", "/orderedBy"];

/// Words that a search skips next to others.
const JOINING: &[&str] = &["in", "of", "on", "to"];

/// Runs of letters and digits, folded.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    let folded = fold(text);
    let words = folded.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Adds the texts of all values that have no filter of their own. Numbers are texts as they are written.
fn add_texts(value: &RawValue, pointer: &str, texts: &mut Vec<String>) {
    let mut sources = PARAMETERS.iter().flat_map(|parameter| parameter.sources).chain(UNSEARCHED);
    if sources.any(|source| *source == pointer) {
        return;
    }
    match value.get().as_bytes()[0] {
        b'n' => {}
        b'"' => texts.push(serde_json::from_str(value.get()).unwrap()),
        b'[' => {
            let values: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap();
            // No value with a filter is in a list.
            for value in values {
                add_texts(value, "/-", texts);
            }
        }
        b'{' => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(value.get()).unwrap();
            for (key, value) in members {
                let key = key.replace('~', "~0").replace('/', "~1");
                add_texts(value, &format!("{pointer}/{key}"), texts);
            }
        }
        _ => texts.push(value.get().to_owned()),
    }
}

/// The words of a text, with a space around each.
fn in_a_row(text: &str) -> String {
    words(text).fold(" ".to_owned(), |words, word| words + &word + " ")
}

/// A search for words, or for or without one phrase.
#[derive(Debug)]
pub struct PlainSearch {
    pub text: String,
    pub is_phrase: bool,
    pub excludes: bool,
}

impl PlainSearch {
    /// The text of `q`.
    fn sent(&self) -> String {
        let sign = if self.excludes { "-" } else { "" };
        if !self.is_phrase {
            return self.text.clone();
        }
        let escaped: String = self
            .text
            .chars()
            .flat_map(|char| [Some('\\').filter(|_| "\"\\“”„".contains(char)), Some(char)])
            .flatten()
            .collect();
        format!("{sign}\"{escaped}\"")
    }

    fn holds(&self, plain: &Plain) -> bool {
        let event = &plain.event;
        let names: Vec<_> = SEARCHED.iter().filter_map(|source| event.pointer(source)?.as_str()).map(fold).collect();
        let message: Vec<_> = words(event["message"].as_str().unwrap_or_default()).collect();
        let in_values = |text: &str| {
            let wanted = in_a_row(text);
            wanted.len() > 1 && plain.other_words.iter().any(|own| own.contains(&wanted))
        };
        let in_names = |text: &str| names.iter().any(|name| name.contains(&fold(text))) || in_values(text);
        if self.is_phrase {
            let mut read = words(&self.text).collect::<Vec<_>>().join(" ");
            let has_words = !read.is_empty();
            let is_separator = |char: Option<char>| char.is_some_and(|char| !char.is_alphanumeric());
            if is_separator(self.text.chars().next()) {
                read.insert(0, ' ');
            }
            if is_separator(self.text.chars().next_back()) {
                read.push(' ');
            }
            let in_message = has_words && format!(" {} ", message.join(" ")).contains(&read);
            return (in_message || in_names(&self.text)) != self.excludes;
        }
        let joins = |word: &&str| *word == "AND" || JOINING.contains(&word.to_ascii_lowercase().as_str());
        let (joining, others): (Vec<_>, Vec<_>) = self.text.split_whitespace().partition(joins);
        let wanted = if others.is_empty() { joining } else { others };
        wanted.into_iter().all(|word| {
            let mut parts = words(word).peekable();
            let in_message =
                parts.peek().is_some() && parts.all(|part| message.iter().any(|word| word.contains(&part)));
            in_message || in_names(word)
        })
    }
}

/// A complete query.
#[derive(Debug)]
pub struct PlainQuery {
    pub terms: Vec<Term>,
    pub search: Option<PlainSearch>,
    pub from: Option<Bound>,
    pub to: Option<Bound>,
    pub by_arrival: bool,
    pub ascending: bool,
}

impl PlainQuery {
    /// The query string, apart from `limit` and `includes`.
    pub fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, texts) in self.terms.iter().map(Term::sent) {
            for text in texts {
                query.append_pair(&name, &text);
            }
        }
        if let Some(search) = &self.search {
            query.append_pair("q", &search.sent());
        }
        for (name, bound) in [("from", &self.from), ("to", &self.to)] {
            if let Some(bound) = bound {
                query.append_pair(name, &bound.text);
            }
        }
        query.append_pair("sort", if self.by_arrival { "received" } else { "time" });
        query.append_pair("order", if self.ascending { "asc" } else { "desc" });
        query.finish()
    }

    /// The identifiers of all matching events, in order.
    pub fn answer<'p>(&self, events: &'p [Plain]) -> Vec<&'p str> {
        let mut found: Vec<_> = events.iter().enumerate().filter(|(_, event)| self.holds(event, None)).collect();
        found.sort_by_key(|(arrival, event)| (if self.by_arrival { 0 } else { event.micros }, *arrival));
        if !self.ascending {
            found.reverse();
        }
        found.into_iter().map(|(_, event)| event.identifier.as_str()).collect()
    }

    /// The number of matching events for each value of a parameter, ignoring the query's own terms on it.
    pub fn values(&self, events: &[Plain], parameter: &Parameter) -> BTreeMap<String, u64> {
        let matching: Vec<_> = events.iter().filter(|event| self.holds(event, Some(parameter.name))).collect();
        let counted = matching.iter().flat_map(|event| parameter.counted(&event.event));
        let mut counts: BTreeMap<_, _> = counted.map(|value| (value, 0)).collect();
        for event in matching {
            let values: BTreeSet<_> =
                parameter.values(&event.event).iter().map(|value| parameter.as_counted(value)).collect();
            for value in values {
                counts.entry(value).and_modify(|count| *count += 1);
            }
        }
        counts
    }

    /// The number of matching events that a filter by this value finds, ignoring the query's own terms on the parameter. 0 if the
    /// query does not name the value, so that no facet may list it.
    pub fn named(&self, events: &[Plain], parameter: &Parameter, value: &str) -> u64 {
        let is_named = |term: &Term| {
            let named = term.values.iter().any(|named| parameter.as_counted(named) == value);
            term.parameter.name == parameter.name && named
        };
        if !self.terms.iter().any(is_named) {
            return 0;
        }
        let has = |event: &Value| parameter.values(event).iter().any(|own| parameter.as_counted(own) == value);
        events.iter().filter(|event| self.holds(event, Some(parameter.name)) && has(&event.event)).count() as u64
    }

    /// The times of the matching events, and whether each failed.
    pub fn times(&self, events: &[Plain]) -> Vec<(i64, bool)> {
        let found = events.iter().filter(|event| self.holds(event, None));
        found.map(|event| (event.micros, event.event["status"] == "FAILURE")).collect()
    }

    /// Whether an event matches, ignoring the terms on one parameter if one is named.
    fn holds(&self, plain: &Plain, aside: Option<&str>) -> bool {
        self.from.as_ref().is_none_or(|from| from.micros <= plain.micros)
            && self.to.as_ref().is_none_or(|to| plain.micros <= to.micros)
            && self.terms.iter().all(|term| aside == Some(term.parameter.name) || term.holds(&plain.event))
            && self.search.as_ref().is_none_or(|search| search.holds(plain))
    }
}
