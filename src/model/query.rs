//! List queries: the parsed parameters of `GET /v1/audit-log`.

use std::{borrow::Cow, collections::HashMap};

use crate::model::{
    cursor::{self, Cursor, Fingerprint, Position},
    error::ParameterError,
    field::{Field, FieldSpec},
    filter::{Filter, Predicate},
    json::{self, Members},
    limits::{QueryLimits, STORED_KEYS_MAX},
    search::SearchWord,
    timestamp::Timestamp,
};

/// The key by which a list is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Event time, with ties by arrival. For people.
    Time,
    /// Arrival. For programs that follow the log and must not miss late events.
    Received,
}

/// The direction of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// A parsed list query.
#[derive(Debug, Clone)]
pub struct Query {
    /// Selects the events.
    pub filter: Filter,
    /// The key by which the events are ordered.
    pub sort: Sort,
    /// The direction of the order.
    pub order: Order,
    /// Maximum number of events.
    pub limit: usize,
    /// Whether the request had a larger limit.
    pub limit_clamped: bool,
    /// The keys to return of each event; `None` for all.
    pub includes: Option<Includes>,
    /// The position after which the page begins.
    pub after: Option<Cursor>,
    /// Whether to count all matching events.
    pub count: bool,
    fingerprint: Fingerprint,
}

/// A parameter other than the filters, as the API's documentation and the command line list it.
#[derive(Debug)]
pub struct Control {
    /// The name of the parameter.
    pub name: &'static str,
    /// What the parameter does.
    pub summary: &'static str,
}

/// Every parameter that is not a filter on a field.
pub const CONTROLS: &[Control] = &[
    Control { name: "q", summary: "Words, each of which must be in a name, identifier, path or the message" },
    Control { name: "search", summary: "The same as q" },
    Control { name: "from", summary: "Earliest event time, included: RFC 3339 with any offset" },
    Control { name: "to", summary: "Latest event time, included: RFC 3339 with any offset" },
    Control { name: "limit", summary: "How many events at most; above the maximum it is clamped" },
    Control { name: "includes", summary: "The only keys each event is returned with; may be repeated" },
    Control { name: "sort", summary: "time (event time, the default) or received (arrival)" },
    Control { name: "order", summary: "desc (newest first, the default) or asc" },
    Control {
        name: "cursor",
        summary: "Continue where the page that gave this cursor ended; 422 if the log was restored to before that",
    },
    Control { name: "count", summary: "true to include the number of matching events" },
    Control { name: "include_own", summary: "true to include auditbox's records of requests made to itself" },
    Control { name: "include_deleted_entities", summary: "Accepted; events of deleted entities are always included" },
    Control { name: "page", summary: "Accepted and ignored; use cursor" },
    Control { name: "per_page", summary: "Accepted and ignored; use limit" },
];

/// The keys that `includes` may name.
pub const INCLUDABLE: &[&str] = &[
    "action",
    "context",
    "diff",
    "identifier",
    "resourceType",
    "status",
    "trigger",
    "additionalData",
    "message",
    "request",
    "receivedAt",
    "receivedBy",
    "masked",
    "orderedBy",
];

/// The keys to return of each event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Includes(Vec<&'static str>);

impl Includes {
    /// The chosen keys of a stored event, as a JSON object. Values are copied without parsing. A body that cannot be read is
    /// returned unchanged, so that stored data is never hidden.
    pub fn project(&self, body: &str) -> String {
        let Ok(members) = Members::read(body, STORED_KEYS_MAX) else {
            return body.to_owned();
        };
        let mut out = String::with_capacity(body.len());
        out.push('{');
        for (key, value) in members {
            if self.0.contains(&key.as_ref()) {
                if out.len() > 1 {
                    out.push(',');
                }
                json::push_string(&mut out, &key);
                out.push(':');
                out.push_str(value.get());
            }
        }
        out.push('}');
        out
    }
}

impl Query {
    /// Parses decoded query parameters. The error names an unknown or invalid parameter.
    pub fn parse<'a, I>(pairs: I, limits: &QueryLimits) -> Result<Self, ParameterError>
    where
        I: IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    {
        let parameters = Parameters::collect(pairs)?;
        let mut filter = parse_filter(&parameters, limits)?;
        filter.time.from = parameters.once("from")?.map(|text| parse_time("from", text)).transpose()?;
        filter.time.to = parameters.once("to")?.map(|text| parse_time("to", text)).transpose()?;
        filter.search = parse_search(&parameters)?;
        parameters.flag("include_deleted_entities")?;
        if !parameters.flag("include_own")? {
            filter.hide_own_unless_asked_for();
        }
        filter.normalise();
        let sort = parameters.choice("sort", [("time", Sort::Time), ("received", Sort::Received)])?;
        let order = parameters.choice("order", [("desc", Order::Descending), ("asc", Order::Ascending)])?;
        let (limit, limit_clamped) = match parameters.once("limit")? {
            Some(text) => parse_limit(text, limits.list_max)?,
            None => (limits.list_default, false),
        };
        let includes = parse_includes(&parameters)?;
        // The fingerprint of the normal form, so that all spellings of a query share their cursors.
        let fingerprint = Fingerprint::of(&format!("{sort:?} {order:?} {filter:?}"));
        let after = parameters.once("cursor")?.map(|text| cursor::decode(text, fingerprint)).transpose();
        let after = after.map_err(|message| ParameterError::new("cursor", message))?;
        let count = parameters.flag("count")?;
        Ok(Self { filter, sort, order, limit, limit_clamped, includes, after, count, fingerprint })
    }

    /// Encodes a cursor for this query.
    pub fn cursor(&self, cursor: Cursor) -> String {
        cursor::encode(cursor, self.fingerprint)
    }

    /// Whether one position comes before another in this query's order.
    pub fn precedes(&self, place: Position, other: Position) -> bool {
        let order = match self.sort {
            Sort::Time => place.cmp(&other),
            Sort::Received => place.seq.cmp(&other.seq),
        };
        match self.order {
            Order::Ascending => order.is_lt(),
            Order::Descending => order.is_gt(),
        }
    }

    /// Advice on how to change this query so that it takes less time.
    pub fn advice(&self) -> String {
        let range = match (self.filter.time.from, self.filter.time.to) {
            (None, None) => "give a time range (from and to)",
            _ => "give a shorter time range (from and to)",
        };
        let words = if self.filter.search.is_empty() { "" } else { ", or search for fewer words (q)" };
        let count = if self.count { ", or leave out count" } else { "" };
        format!("{range}{words}{count}")
    }

    /// Whether this query follows the log. Such a query always has a next page, which may still be empty.
    pub fn follows(&self) -> bool {
        self.sort == Sort::Received && self.order == Order::Ascending
    }
}

/// The values of one parameter, and whether a comma in one may separate several.
#[derive(Default)]
struct Given<'a> {
    values: Vec<Cow<'a, str>>,
    /// Whether the name was `name[]`, with which each value is one element, even with commas.
    bracketed: bool,
}

/// Parameters by name, where `name[]` counts as `name`.
struct Parameters<'a>(HashMap<String, Given<'a>>);

impl<'a> Parameters<'a> {
    fn collect<I>(pairs: I) -> Result<Self, ParameterError>
    where
        I: IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    {
        let mut parameters: HashMap<String, Given<'a>> = HashMap::new();
        for (name, value) in pairs {
            let plain = name.strip_suffix("[]").unwrap_or(&name);
            let field = Field::of_parameter(plain.strip_prefix("not.").unwrap_or(plain));
            if field.is_none() && !CONTROLS.iter().any(|control| control.name == plain) {
                return Err(ParameterError::unknown(&name));
            }
            let given = parameters.entry(plain.to_owned()).or_default();
            given.bracketed |= plain.len() < name.len();
            given.values.push(value);
        }
        Ok(Self(parameters))
    }

    fn once(&self, name: &str) -> Result<Option<&str>, ParameterError> {
        match self.0.get(name).map(|given| given.values.as_slice()) {
            None => Ok(None),
            Some([value]) => Ok(Some(value)),
            Some(_) => Err(ParameterError::new(name, "is given more than once")),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, ParameterError> {
        match self.once(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ParameterError::new(name, "must be true or false")),
        }
    }

    /// One of two values. The first is the default.
    fn choice<T: Copy>(&self, name: &str, choices: [(&str, T); 2]) -> Result<T, ParameterError> {
        let [(first, default), (second, other)] = choices;
        match self.once(name)? {
            None => Ok(default),
            Some(text) if text == first => Ok(default),
            Some(text) if text == second => Ok(other),
            Some(_) => Err(ParameterError::new(name, format!("must be {first} or {second}"))),
        }
    }
}

fn parse_filter(parameters: &Parameters<'_>, limits: &QueryLimits) -> Result<Filter, ParameterError> {
    let mut filter = Filter::default();
    let mut counts: HashMap<(Field, bool), usize> = HashMap::new();
    for (name, given) in &parameters.0 {
        let excluded = name.strip_prefix("not.");
        let Some(spec) = Field::of_parameter(excluded.unwrap_or(name)) else {
            continue;
        };
        let Alternatives { mut values, whole } = Alternatives::of(spec, given);
        let count = counts.entry((spec.field, excluded.is_some())).or_default();
        *count += values.len();
        if *count > limits.filter_values_max {
            return Err(ParameterError::new(name, format!("has more than {} values", limits.filter_values_max)));
        }
        values.extend(whole);
        for value in values {
            let predicate = Predicate::parse(spec, value).map_err(|message| ParameterError::new(name, message))?;
            filter.add(spec.field, excluded.is_some(), predicate);
        }
    }
    Ok(filter)
}

fn parse_search(parameters: &Parameters<'_>) -> Result<Vec<SearchWord>, ParameterError> {
    let mut words = Vec::new();
    for name in ["q", "search"] {
        if let Some(text) = parameters.once(name)? {
            words.extend(SearchWord::parse_all(text).map_err(|message| ParameterError::new(name, message))?);
        }
    }
    Ok(words)
}

/// The values to compare with. A parameter that is given once, without brackets and with commas, is a comma list. Its whole text
/// may also be a value, so it matches the whole text or any of its parts. Repeated or bracketed parameters have one value
/// each, which may contain commas.
struct Alternatives<'g> {
    /// The values that count towards the limit.
    values: Vec<&'g str>,
    /// The whole text of a comma list.
    whole: Option<&'g str>,
}

impl<'g> Alternatives<'g> {
    fn of(spec: &FieldSpec, given: &'g Given<'_>) -> Self {
        if let ([only], true, false) = (given.values.as_slice(), spec.comma_list, given.bracketed) {
            let parts: Vec<_> = only.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
            // A list without parts is one value, because a filter must never be ignored.
            if only.contains(',') && !parts.is_empty() {
                // The whole text is left out if it cannot be a value of this field (4xx,5xx).
                let whole = Predicate::parse(spec, only).is_ok().then_some(only.as_ref());
                return Self { values: parts, whole };
            }
        }
        Self { values: given.values.iter().map(AsRef::as_ref).collect(), whole: None }
    }
}

/// Parses an instant. A plus sign that was sent without encoding arrives as a space. No other space belongs in a time.
fn parse_time(name: &str, text: &str) -> Result<Timestamp, ParameterError> {
    Timestamp::parse(&text.replace(' ', "+")).ok_or_else(|| {
        ParameterError::new(name, "is not an RFC 3339 time such as 2024-05-01T12:00:00Z or 2024-05-01T12:00:00+02:00")
    })
}

/// Parses a limit. A number with too many digits to represent is above any maximum.
fn parse_limit(text: &str, max: usize) -> Result<(usize, bool), ParameterError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<usize>() {
        Ok(limit @ 1..) if digits && limit <= max => Ok((limit, false)),
        Ok(0) => Err(ParameterError::new("limit", "must be at least 1")),
        _ if digits => Ok((max, true)),
        _ => Err(ParameterError::new("limit", "must be a whole number, at least 1")),
    }
}

fn parse_includes(parameters: &Parameters<'_>) -> Result<Option<Includes>, ParameterError> {
    let Some(given) = parameters.0.get("includes") else {
        return Ok(None);
    };
    let mut keys = Vec::new();
    for name in given.values.iter().flat_map(|value| value.split(',')) {
        let found = INCLUDABLE.iter().find(|key| key.eq_ignore_ascii_case(name.trim()));
        let key =
            found.ok_or_else(|| ParameterError::new("includes", format!("must be of {}", INCLUDABLE.join(", "))))?;
        keys.push(*key);
    }
    Ok(Some(Includes(keys)))
}
