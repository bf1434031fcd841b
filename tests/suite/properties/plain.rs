//! What a query should answer, worked out the plain way: every event as a JSON value, one test after another.
//!
//! Written from the API's documentation and on nothing of auditbox, so that a mistake is not made twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// An event as it is listed. Where it stands among the others is the order of arrival.
#[derive(Debug, Clone)]
pub struct Plain {
    pub identifier: String,
    /// The time by which it is ordered.
    pub micros: i64,
    pub received_micros: i64,
    pub event: Value,
}

/// How far after its receipt the time of an event may lie that is ordered by it.
const FUTURE_MICROS_MAX: i64 = 24 * 60 * 60 * 1_000_000;

impl Plain {
    pub fn new(event: Value) -> Self {
        let identifier = event["identifier"].as_str().unwrap().to_owned();
        let at = micros(event["trigger"]["at"].as_str().unwrap());
        let received_micros = micros(event["receivedAt"].as_str().unwrap());
        Self { identifier, micros: ordered_at(at, received_micros), received_micros, event }
    }
}

/// The time by which an event is ordered.
pub fn ordered_at(at: i64, received: i64) -> i64 {
    if at > received + FUTURE_MICROS_MAX { received } else { at }
}

/// An RFC 3339 time as microseconds since 1970, finer digits cut off.
pub fn micros(text: &str) -> i64 {
    let nanos = OffsetDateTime::parse(text, &Rfc3339).unwrap().unix_timestamp_nanos();
    i64::try_from(nanos.div_euclid(1_000)).unwrap()
}

/// How a parameter's text is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Exact,
    IgnoreCase,
    Prefix,
    StatusCode,
    Address,
    /// One of few words, so that a comma list of them is no word.
    Choice(&'static [&'static str]),
}

/// A query parameter: where its values stand in an event, how they are compared, whether commas may separate several.
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
    parameter("origin", &["/trigger/origin"], Kind::Exact, true),
    parameter("InstallationId", &["/context/integrationId"], Kind::Exact, false),
    parameter("resources", &["/resourceType"], Kind::IgnoreCase, true),
    parameter("action", &["/action"], Kind::Exact, false),
    parameter("status", &["/status"], Kind::Choice(&["SUCCESS", "FAILURE"]), false),
    parameter("actionType", &["/context/actionType"], Kind::Choice(&["automation", "self-service"]), false),
    parameter("actor", &["/trigger/by/userId", "/trigger/by/name", "/trigger/by/email"], Kind::Exact, false),
    parameter("actor_type", &["/trigger/by/type"], Kind::Exact, true),
    parameter("method", &["/request/method"], Kind::IgnoreCase, true),
    parameter("path", &["/request/path"], Kind::Prefix, false),
    parameter("status_code", &["/request/statusCode"], Kind::StatusCode, true),
    parameter("ip", &["/request/ip"], Kind::Address, true),
];

impl Parameter {
    /// What an event has for this parameter.
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

    fn matches(&self, text: &str, value: &str) -> bool {
        match self.kind {
            Kind::Exact | Kind::Choice(_) => text == value,
            Kind::IgnoreCase => text.to_lowercase() == value.to_lowercase(),
            Kind::Prefix => value.starts_with(text),
            Kind::StatusCode => match text.as_bytes() {
                [class, b'x' | b'X', b'x' | b'X'] => *class == value.as_bytes()[0],
                _ => text == value,
            },
            Kind::Address => same_network(text, value),
        }
    }
}

/// Whether the address `value` is, or is in, the address or range `text`. What is neither is compared as it is.
fn same_network(text: &str, value: &str) -> bool {
    let range = text.split_once('/').and_then(|(network, length)| Some((bits(network)?, length.parse().ok()?)));
    let range = range.or_else(|| bits(text).map(|address| (address, address.1)));
    match (range, bits(value)) {
        (Some(((network, width), length)), Some((value, value_width))) => {
            // Shifting by all 128 bits is not defined; no bit of the address counts then.
            let significant = |bits: u128| bits.checked_shr(width - length).unwrap_or(0);
            width == value_width && significant(network) == significant(value)
        }
        (Some(_), None) => false,
        (None, _) => text == value,
    }
}

/// An address as a number, and how many bits wide it is. An IPv4 address written as an IPv6 one is itself.
pub fn bits(text: &str) -> Option<(u128, u32)> {
    match text.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(address) => Some((u32::from(address).into(), 32)),
        IpAddr::V6(address) => Some((address.into(), 128)),
    }
}

/// How several values of one parameter are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `k=a`, and no other value.
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

/// One parameter of a question, with its values.
#[derive(Debug)]
pub struct Term {
    pub parameter: &'static Parameter,
    pub excludes: bool,
    pub encoding: Encoding,
    pub values: Vec<String>,
}

impl Term {
    /// What is sent: the parameter's name, and each text that stands behind it.
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

    /// A comma list that stands alone means the whole or any of its parts; anything else means itself.
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

/// A bound of the event time: as it is sent, and what it means.
#[derive(Debug)]
pub struct Bound {
    pub text: String,
    pub micros: i64,
}

/// Where a search looks, the message apart.
const SEARCHED: &[&str] = &[
    "/identifier",
    "/context/entity",
    "/context/blueprint",
    "/context/runId",
    "/resourceType",
    "/action",
    "/trigger/by/userId",
    "/trigger/by/name",
    "/trigger/by/email",
    "/request/path",
];

/// Runs of letters and digits, in lower case.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Whether every word of a search is in a name of the event, or in its message.
fn is_found(search: &str, event: &Value) -> bool {
    let names: Vec<_> =
        SEARCHED.iter().filter_map(|source| event.pointer(source)?.as_str()).map(str::to_lowercase).collect();
    let message: Vec<_> = words(event["message"].as_str().unwrap_or_default()).collect();
    search.split_whitespace().all(|word| {
        let mut parts = words(word).peekable();
        let in_message = parts.peek().is_some() && parts.all(|part| message.iter().any(|word| word.contains(&part)));
        in_message || names.iter().any(|name| name.contains(&word.to_lowercase()))
    })
}

/// A whole question.
#[derive(Debug)]
pub struct Question {
    pub terms: Vec<Term>,
    pub search: Option<String>,
    pub from: Option<Bound>,
    pub to: Option<Bound>,
    pub by_arrival: bool,
    pub ascending: bool,
}

impl Question {
    /// The query string, apart from `limit` and `includes`.
    pub fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, texts) in self.terms.iter().map(Term::sent) {
            for text in texts {
                query.append_pair(&name, &text);
            }
        }
        if let Some(search) = &self.search {
            query.append_pair("q", search);
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

    /// The identifiers of all the events that answer it, in order.
    pub fn answer<'p>(&self, events: &'p [Plain]) -> Vec<&'p str> {
        let mut found: Vec<_> = events.iter().enumerate().filter(|(_, event)| self.holds(event, None)).collect();
        found.sort_by_key(|(arrival, event)| (if self.by_arrival { 0 } else { event.micros }, *arrival));
        if !self.ascending {
            found.reverse();
        }
        found.into_iter().map(|(_, event)| event.identifier.as_str()).collect()
    }

    /// How many of the events that answer it have each value of a parameter, its own terms set aside.
    pub fn values(&self, events: &[Plain], parameter: &Parameter) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for event in events.iter().filter(|event| self.holds(event, Some(parameter.name))) {
            for value in parameter.values(&event.event).into_iter().collect::<BTreeSet<_>>() {
                *counts.entry(value).or_default() += 1;
            }
        }
        counts
    }

    /// The times of the events that answer it, and whether each failed.
    pub fn times(&self, events: &[Plain]) -> Vec<(i64, bool)> {
        let found = events.iter().filter(|event| self.holds(event, None));
        found.map(|event| (event.micros, event.event["status"] == "FAILURE")).collect()
    }

    /// With the terms on one parameter set aside, if one is named.
    fn holds(&self, plain: &Plain, aside: Option<&str>) -> bool {
        self.from.as_ref().is_none_or(|from| from.micros <= plain.micros)
            && self.to.as_ref().is_none_or(|to| plain.micros <= to.micros)
            && self.search.as_ref().is_none_or(|search| is_found(search, &plain.event))
            && self.terms.iter().all(|term| aside == Some(term.parameter.name) || term.holds(&plain.event))
    }
}
