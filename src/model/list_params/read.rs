//! Parses parameters into [`ListParams`].

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use crate::model::{
    cursor,
    error::{ParameterError, ParameterErrors},
    field::{Field, FieldSpec, fields},
    filter::{Predicate, canonical},
    limits::QueryLimits,
    list_params::{
        ListParams, PagePosition, Preset, Range, Search, Selection,
        range::{RangeEnd, parse_instant},
    },
    query::{CONTROLS, Includes, Order, Query, Sort},
    search_language,
    stats::{HistogramQuery, STATS_CONTROLS},
    timestamp::Timestamp,
    zone::Zone,
};

/// The parameters that only a page has.
const PAGE: &[&str] = &["range", "at", "newer", "facets"];
/// The parameters that only a page's form sends. A URL with one of these is rewritten.
const FORM: &[&str] = &["from_time", "to_time", "kept", "fields"];
/// Prefix of the parameter that excludes the values of a field: `not.action=CREATE`.
const NOT: &str = "not.";
/// Prefix of the form's parameter with which a field's values are excluded: `mode.action=not`.
const MODE: &str = "mode.";

/// The parameters that only pages have.
pub(in crate::model) fn names_of_pages() -> impl Iterator<Item = &'static str> {
    PAGE.iter().chain(FORM).copied()
}

/// Which parameters are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    /// Those of a list.
    List,
    /// Those of a list and of counting.
    Stats,
    /// Those of a list, a page and its form. An empty value of any parameter is an empty form field.
    Page,
}

impl Accepts {
    fn accepts(self, plain: &str) -> bool {
        let is_page = self == Self::Page;
        let field = plain.strip_prefix(NOT).or_else(|| plain.strip_prefix(MODE).filter(|_| is_page)).unwrap_or(plain);
        Field::of_parameter(field).is_some()
            || CONTROLS.iter().any(|control| control.name == plain)
            || (self == Self::Stats && STATS_CONTROLS.iter().any(|control| control.name == plain))
            || (is_page && (PAGE.contains(&plain) || FORM.contains(&plain)))
    }
}

impl ListParams {
    /// Parses decoded parameters: the only place where their names, prefixes and lists are interpreted.
    pub fn parse<'a, I>(pairs: I, accepts: Accepts, limits: &QueryLimits, now: Timestamp) -> Self
    where
        I: IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    {
        let mut given = Given { values: HashMap::new(), accepts, tidy: true, problems: Vec::new() };
        for (name, value) in pairs {
            given.add(&name, value);
        }
        let zone = given.read("tz", Zone::parse).unwrap_or_else(Zone::utc);
        let mut params = Self { zone, ..Self::none(now) };
        if let Some(at) = given.read("at", parse_time) {
            (params.at, params.pinned) = (at, true);
        }
        params.read_range(&mut given);
        params.read_controls(&mut given, now);
        params.read_fields(&mut given, limits);
        Self { tidy: given.tidy, problems: given.problems, ..params }
    }

    /// Parses the parameters of a list into its query.
    pub fn parse_query<'a, I>(pairs: I, limits: &QueryLimits) -> Result<Query, ParameterErrors>
    where
        I: IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    {
        Ok(Self::parse(pairs, Accepts::List, limits, Timestamp::now()).valid()?.query(limits)?)
    }

    /// These parameters if there is no problem with any of them.
    pub fn valid(self) -> Result<Self, ParameterErrors> {
        if self.problems.is_empty() { Ok(self) } else { Err(ParameterErrors(self.problems)) }
    }

    fn read_range(&mut self, given: &mut Given<'_>) {
        let is_page = given.accepts == Accepts::Page;
        let [from, to] = [("from", RangeEnd::From), ("to", RangeEnd::To)].map(|(name, end)| {
            // The form of a page has separate fields for the date and the time.
            let time = if is_page { given.once(&format!("{name}_time")).unwrap_or_default() } else { String::new() };
            given.read(name, |text| parse_instant(text, &time, &self.zone, end))
        });
        self.range = Range::Between { from, to };
        if is_page && from.is_none() && to.is_none() {
            self.range = Range::Last(given.read("range", Preset::parse).unwrap_or(Preset::DEFAULT));
        }
        if let Some((from, to)) = from.zip(to).filter(|(from, to)| from > to) {
            given
                .problems
                .push(ParameterError::new("from", format!("is after to: no event is between {from} and {to}")));
        }
    }

    fn read_search(&mut self, given: &mut Given<'_>) {
        for name in ["q", "search"] {
            let mut rejected = None;
            let found = given.read(name, |text| match search_language::parse(text) {
                Ok(terms) => Ok(Search { text: text.to_owned(), terms }),
                Err(message) => {
                    rejected = Some(text.to_owned());
                    Err(message)
                }
            });
            self.rejected_search = self.rejected_search.take().or(rejected);
            // White space alone searches for nothing.
            match (&mut self.search, found.filter(|search| !search.terms.is_empty())) {
                (Some(search), Some(more)) => {
                    search.text = format!("{} {}", search.text, more.text);
                    search.terms.extend(more.terms);
                }
                (search, found) => *search = search.take().or(found),
            }
        }
    }

    fn read_limit(&mut self, given: &mut Given<'_>) {
        let (limit, per_page) = (given.read("limit", parse_limit), given.read("per_page", parse_limit));
        if limit.zip(per_page).is_some_and(|(limit, per_page)| limit != per_page) {
            given.problems.push(ParameterError::new("per_page", "differs from limit, which means the same"));
        }
        self.limit = limit.or(per_page);
        given.read("page", |text| match parse_limit(text) {
            Ok(1) => Ok(()),
            _ => Err("must be 1: for a later page, send the previous response's `next` as `cursor`"),
        });
    }

    fn read_controls(&mut self, given: &mut Given<'_>, now: Timestamp) {
        self.read_search(given);
        self.include_own = given.flag("include_own").unwrap_or_default();
        given.flag("include_deleted_entities");
        self.count = given.flag("count");
        self.highlight = given.flag("highlight");
        self.sort = given.choice("sort", [("time", Sort::Time), ("received", Sort::Received)]);
        self.order = given.choice("order", [("desc", Order::Descending), ("asc", Order::Ascending)]);
        self.read_limit(given);
        if let Some(includes) = given.values.get("includes") {
            let names = includes.values.iter().flat_map(|list| list.split(','));
            match Includes::parse(names) {
                Ok(includes) => self.includes = Some(includes),
                Err(message) => given.problems.push(ParameterError::new("includes", message)),
            }
        }
        for (name, position) in [("cursor", PagePosition::After as fn(_) -> _), ("newer", PagePosition::Before)] {
            if let Some(cursor) = given.read(name, |text| cursor::check(text).map(|()| text.to_owned())) {
                self.position = position(cursor);
            }
        }
        self.read_facets(given);
        self.histogram = given.read("histogram", |text| HistogramQuery::parse(text, self.zone.clone(), now));
    }

    fn read_facets(&mut self, given: &mut Given<'_>) {
        let names = given.values.get("facets").into_iter().flat_map(|given| &given.values);
        let specs: Option<Vec<_>> = names
            .flat_map(|list| list.split(','))
            .map(|name| Field::of_parameter(name.trim()).filter(|spec| spec.is_countable()))
            .collect();
        match specs {
            Some(specs) => {
                let mut seen = HashSet::new();
                self.facets = specs.iter().map(|spec| spec.field).filter(|field| seen.insert(*field)).collect();
            }
            None => {
                let countable = fields().filter(|spec| spec.is_countable()).filter_map(FieldSpec::name);
                let message = format!("must be of {}", countable.collect::<Vec<_>>().join(", "));
                given.problems.push(ParameterError::new("facets", message));
            }
        }
    }

    fn read_fields(&mut self, given: &mut Given<'_>, limits: &QueryLimits) {
        // The form was sent before its fields had arrived: the selection before it is kept.
        if let Some(kept) = given.once("kept").filter(|_| !given.values.contains_key("fields")) {
            for (name, value) in form_urlencoded::parse(kept.as_bytes()) {
                given.add(&name, Cow::Owned(value.into_owned()));
            }
        }
        let mut counts: HashMap<(Field, bool), usize> = HashMap::new();
        for (spec, parameter) in fields().flat_map(|spec| spec.parameters.iter().map(move |name| (spec, *name))) {
            let mode = given.values.get(&format!("{MODE}{parameter}"));
            let is_not = mode.is_some_and(|mode| mode.values.iter().any(|mode| mode == "not"));
            for (name, negated) in [(parameter.to_owned(), is_not), (format!("{NOT}{parameter}"), true)] {
                let Some(values) = given.values.remove(&name) else { continue };
                let (values, list) = values.split(spec);
                let count = counts.entry((spec.field, negated)).or_default();
                *count += values.len();
                if *count > limits.filter_values_max {
                    let message = format!("has more than {} values", limits.filter_values_max);
                    given.problems.push(ParameterError::new(name, message));
                } else {
                    self.read_values(given, spec, &name, negated, (values, list));
                }
            }
        }
    }

    fn read_values(
        &mut self,
        given: &mut Given<'_>,
        spec: &FieldSpec,
        name: &str,
        negated: bool,
        (values, list): (Vec<String>, Option<String>),
    ) {
        let mut selection = Selection { field: spec.field, negated, values: Vec::new(), list, predicates: Vec::new() };
        for value in values {
            match Predicate::parse(spec, &value) {
                Ok(predicate) => {
                    selection.values.push(canonical(spec, &value).to_owned());
                    selection.predicates.push(predicate);
                }
                Err(message) => {
                    selection.list = None;
                    given.problems.push(ParameterError::new(name, message));
                }
            }
        }
        let whole = selection.list.as_ref().and_then(|list| Predicate::parse(spec, list).ok());
        selection.predicates.extend(whole);
        if !selection.values.is_empty() {
            self.select(selection);
        }
    }
}

/// The values of one parameter.
#[derive(Default)]
struct Values<'a> {
    values: Vec<Cow<'a, str>>,
    /// Sent as `name[]`: each value is one element, with its commas.
    bracketed: bool,
}

impl Values<'_> {
    /// The single values, and the comma list that they were given as.
    ///
    /// A value that is given once, with commas and without brackets, is a comma list. It may also be a single value
    /// that contains commas, so the filter accepts both. A repeated or bracketed value is one value with its commas.
    fn split(self, spec: &FieldSpec) -> (Vec<String>, Option<String>) {
        if let ([list], true, false) = (self.values.as_slice(), spec.comma_list, self.bracketed)
            && list.contains(',')
        {
            let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
            // A list without parts is empty, like an empty value.
            return (parts.map(str::to_owned).collect(), Some(list.clone().into_owned()));
        }
        (self.values.into_iter().map(Cow::into_owned).collect(), None)
    }
}

/// The name of a parameter without the brackets of an element: `name[]`, `name[0]`.
pub fn plain_name(name: &str) -> &str {
    let is_index = |index: &&str| index.bytes().all(|byte| byte.is_ascii_digit());
    let element = name.strip_suffix(']').and_then(|name| name.rsplit_once('['));
    element.filter(|(_, index)| is_index(index)).map_or(name, |(plain, _)| plain)
}

/// Parameters by plain name.
struct Given<'a> {
    values: HashMap<String, Values<'a>>,
    accepts: Accepts,
    tidy: bool,
    problems: Vec<ParameterError>,
}

impl<'a> Given<'a> {
    fn add(&mut self, name: &str, value: Cow<'a, str>) {
        let plain = plain_name(name);
        if !self.accepts.accepts(plain) {
            self.problems.push(ParameterError::unknown(name));
            return;
        }
        let is_empty = match self.accepts {
            Accepts::Page => value.trim().is_empty(),
            // Generated clients send every parameter that they know. Port's clients expect an empty limit to be refused, and a
            // follower whose cursor got lost must not begin again without notice.
            Accepts::List | Accepts::Stats => value.is_empty() && !matches!(plain, "limit" | "per_page" | "cursor"),
        };
        self.tidy &= !is_empty && !plain.starts_with(MODE) && !FORM.contains(&plain);
        // A page's URL holds instants: they mean the same to the API and in every zone.
        self.tidy &= !matches!(plain, "from" | "to") || parse_time(&value).is_ok();
        if !is_empty {
            let values = self.values.entry(plain.to_owned()).or_default();
            values.bracketed |= plain.len() < name.len();
            values.values.push(value);
        }
    }

    fn once(&mut self, name: &str) -> Option<String> {
        self.read(name, |text| Ok::<_, String>(text.to_owned()))
    }

    /// The parsed value of a parameter that may be given once.
    fn read<T, E: Into<String>>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let parsed = match self.values.get(name)?.values.as_slice() {
            [value] => parse(value).map_err(Into::into),
            _ => Err("is given more than once".to_owned()),
        };
        parsed.map_err(|message| self.problems.push(ParameterError::new(name, message))).ok()
    }

    /// A boolean, which some clients write with a capital or as a digit.
    fn flag(&mut self, name: &str) -> Option<bool> {
        self.read(name, |text| match text {
            "1" => Ok(true),
            "0" => Ok(false),
            _ if text.eq_ignore_ascii_case("true") => Ok(true),
            _ if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err("must be true or false"),
        })
    }

    /// One of two words, in any case.
    fn choice<T>(&mut self, name: &str, [(first, one), (second, other)]: [(&str, T); 2]) -> Option<T> {
        self.read(name, |text| match text {
            _ if text.eq_ignore_ascii_case(first) => Ok(one),
            _ if text.eq_ignore_ascii_case(second) => Ok(other),
            _ => Err(format!("must be {first} or {second}")),
        })
    }
}

/// Parses an RFC 3339 time. An unencoded plus sign arrives as a space; no other space belongs in a time.
fn parse_time(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::parse(&text.replace(' ', "+"))
        .ok_or("is not an RFC 3339 time such as 2024-05-01T12:00:00Z or 2024-05-01T12:00:00+02:00")
}

/// Parses a whole number of at least 1. Digits may say any number: above the maximum, a limit is clamped. Generated clients also
/// write numbers as floating-point ones (`50.0`, `5e1`), which hold whole numbers up to 2^53.
fn parse_limit(text: &str) -> Result<usize, &'static str> {
    const INVALID: &str = "must be a whole number, at least 1";
    // A plus sign that was sent without encoding arrives as a space.
    let number = text.trim().replace(' ', "+");
    let number = number.strip_prefix('+').unwrap_or(&number);
    let is_decimal = number.starts_with(|first: char| first.is_ascii_digit())
        && number.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    let value = if number.bytes().all(|byte| byte.is_ascii_digit()) {
        number.parse::<u64>().unwrap_or(u64::MAX)
    } else {
        let float =
            number.parse::<f64>().ok().filter(|float| float.fract() == 0.0 && (0.0..=EXACT_MAX).contains(float));
        // The range makes the conversion exact.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number from 0 to 2^53")]
        float.map(|float| float as u64).ok_or(INVALID)?
    };
    match value {
        _ if !is_decimal => Err(INVALID),
        0 => Err("must be at least 1"),
        limit => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
    }
}

/// 2^53: up to here, a floating-point number is exactly the whole number that was written.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
