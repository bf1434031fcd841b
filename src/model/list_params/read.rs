//! Parses parameters into [`ListParams`].

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use crate::model::{
    error::{ParameterError, ParameterErrors},
    field::{FIELDS, Field, FieldSpec},
    filter::Predicate,
    limits::QueryLimits,
    list_params::{
        ListParams, PagePosition, Preset, Range, Search, Selection,
        range::{RangeEnd, parse_instant},
    },
    query::{CONTROLS, Includes, Order, Query, Sort},
    search::SearchWord,
    stats::{HistogramQuery, STATS_CONTROLS},
    timestamp::Timestamp,
    zone::Zone,
};

/// The parameters that only a page has.
const PAGE: &[&str] = &["range", "at", "newer", "facets", "tz"];
/// The parameters that only a page's form sends. A URL with one of these is rewritten.
const FORM: &[&str] = &["from_time", "to_time", "kept", "fields"];
/// Prefix of the parameter that excludes the values of a field: `not.action=CREATE`.
const NOT: &str = "not.";
/// Prefix of the form's parameter with which a field's values are excluded: `mode.action=not`.
const MODE: &str = "mode.";

/// Which parameters are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    /// Those of a list.
    List,
    /// Those of a list and of counting.
    Stats,
    /// Those of a list, a page and its form. An empty value means no filter: it is an empty form field.
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
        if given.accepts != Accepts::Page {
            let (from, to) = (given.read("from", parse_time), given.read("to", parse_time));
            self.range = Range::Between { from, to };
            return;
        }
        self.range = Range::Last(given.read("range", Preset::parse).unwrap_or(Preset::DEFAULT));
        let [from, to] = [("from", RangeEnd::From), ("to", RangeEnd::To)].map(|(name, end)| {
            let time = given.once(&format!("{name}_time")).unwrap_or_default();
            given.read(name, |text| parse_instant(text, &time, &self.zone, end))
        });
        if from.is_some() || to.is_some() {
            self.range = Range::Between { from, to };
        }
        if from.zip(to).is_some_and(|(from, to)| from > to) {
            given.problems.push(ParameterError::new("to", "is before from"));
        }
    }

    fn read_controls(&mut self, given: &mut Given<'_>, now: Timestamp) {
        for name in ["q", "search"] {
            let read = |text: &str| Ok(Search { words: SearchWord::parse_all(text)?, text: text.trim().to_owned() });
            let found = given.read::<_, String>(name, read);
            match (&mut self.search, found) {
                (Some(search), Some(more)) => {
                    search.text = format!("{} {}", search.text, more.text);
                    search.words.extend(more.words);
                }
                (search, found) => *search = search.take().or(found),
            }
        }
        self.include_own = given.flag("include_own").unwrap_or_default();
        given.flag("include_deleted_entities");
        self.count = given.flag("count");
        self.sort = given.choice("sort", [("time", Sort::Time), ("received", Sort::Received)]);
        self.order = given.choice("order", [("desc", Order::Descending), ("asc", Order::Ascending)]);
        self.limit = given.read("limit", parse_limit);
        if let Some(includes) = given.values.get("includes") {
            let names = includes.values.iter().flat_map(|list| list.split(','));
            match Includes::parse(names) {
                Ok(includes) => self.includes = Some(includes),
                Err(message) => given.problems.push(ParameterError::new("includes", message)),
            }
        }
        for (name, position) in [("cursor", PagePosition::After as fn(_) -> _), ("newer", PagePosition::Before)] {
            if let Some(cursor) = given.once(name) {
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
                let countable = FIELDS.iter().filter(|spec| spec.is_countable()).filter_map(FieldSpec::name);
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
        for (spec, parameter) in FIELDS.iter().flat_map(|spec| spec.parameters.iter().map(move |name| (spec, *name))) {
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
                    selection.values.push(value);
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
            let parts: Vec<_> = parts.map(str::to_owned).collect();
            // A list without parts is a value: a parameter that is sent as a filter must filter, or be rejected.
            if !parts.is_empty() {
                return (parts, Some(list.clone().into_owned()));
            }
        }
        (self.values.into_iter().map(Cow::into_owned).collect(), None)
    }
}

/// Parameters by name; `name[]` is `name`.
struct Given<'a> {
    values: HashMap<String, Values<'a>>,
    accepts: Accepts,
    tidy: bool,
    problems: Vec<ParameterError>,
}

impl<'a> Given<'a> {
    fn add(&mut self, name: &str, value: Cow<'a, str>) {
        let plain = name.strip_suffix("[]").unwrap_or(name);
        if !self.accepts.accepts(plain) {
            self.problems.push(ParameterError::unknown(name));
            return;
        }
        let is_empty = self.accepts == Accepts::Page && value.trim().is_empty();
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

    fn flag(&mut self, name: &str) -> Option<bool> {
        self.choice(name, [("true", true), ("false", false)])
    }

    fn choice<T>(&mut self, name: &str, [(first, one), (second, other)]: [(&str, T); 2]) -> Option<T> {
        self.read(name, |text| match text {
            _ if text == first => Ok(one),
            _ if text == second => Ok(other),
            _ => Err(format!("must be {first} or {second}")),
        })
    }
}

/// Parses an RFC 3339 time. An unencoded plus sign arrives as a space; no other space belongs in a time.
fn parse_time(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::parse(&text.replace(' ', "+"))
        .ok_or("is not an RFC 3339 time such as 2024-05-01T12:00:00Z or 2024-05-01T12:00:00+02:00")
}

/// A limit with more digits than a number can hold is above any maximum.
fn parse_limit(text: &str) -> Result<usize, &'static str> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("must be a whole number, at least 1");
    }
    match text.parse().unwrap_or(usize::MAX) {
        0 => Err("must be at least 1"),
        limit => Ok(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str, accepts: Accepts) -> ListParams {
        let now = Timestamp::parse("2024-05-02T10:00:00Z").unwrap();
        ListParams::parse(form_urlencoded::parse(query.as_bytes()), accepts, &QueryLimits::default(), now)
    }

    #[test]
    fn every_problem_is_reported_and_the_rest_applies() {
        for (query, parameter) in [
            ("status=BROKEN", "status"),
            ("from=soon", "from"),
            ("tz=Nowhere", "tz"),
            ("range=2h", "range"),
            ("nonsense=1", "nonsense"),
            ("order=up", "order"),
            ("facets=identifier", "facets"),
            ("q=a&q=b", "q"),
        ] {
            let params = parse(&format!("action=A&{query}"), Accepts::Page);
            assert_eq!(params.problems[0].parameter, parameter);
            assert_eq!(params.selection(Field::Action, false).unwrap().values, ["A"], "{query}");
        }
        let problems = parse("a=1&limit=0&status=BROKEN&b=2", Accepts::List).valid().unwrap_err().0;
        let names: Vec<_> = problems.iter().map(|problem| problem.parameter.as_str()).collect();
        assert_eq!(names, ["a", "b", "limit", "status"]);
    }

    #[test]
    fn a_page_understands_every_list_of_the_api_as_the_api_does() {
        for query in [
            "",
            "resources=a,b&resource_type=c",
            "origin=a,b",
            "origin=,&not.origin[]=a,b",
            "status_code=4xx,5xx&not.ip=10.0.0.0/8",
            "q=x&search=y z&include_own=true",
            "sort=received&order=asc&limit=5&includes=action",
            "from=2024-05-01T00:00:00 02:00&to=2024-05-02T00:00:00Z&origin=auditbox",
        ] {
            let limits = QueryLimits::default();
            let [list, page] = [Accepts::List, Accepts::Page].map(|accepts| parse(query, accepts).valid().unwrap());
            let page = if query.contains("from=") { page } else { page.within(Range::Last(Preset::All)) };
            assert_eq!(list.filter(), page.filter(), "{query}");
            let [list, page] = [list, page].map(|params| params.query(&limits).unwrap());
            assert_eq!((list.sort, list.order, list.limit), (page.sort, page.order, page.limit));
        }
    }

    #[test]
    fn a_form_adds_modes_and_the_selection_from_before_its_fields_arrived() {
        let actions = |query: &str| {
            let params = parse(query, Accepts::Page);
            assert!(params.problems.is_empty() && !params.tidy, "{query}");
            params
                .selections
                .iter()
                .map(|selection| (selection.negated, selection.values.join(" ")))
                .collect::<Vec<_>>()
        };
        assert_eq!(actions("action=A&action=&mode.action=not&mode.actor=is"), [(true, "A".to_owned())]);
        assert_eq!(actions("kept=action%3DA%26not.action%3DB"), [(false, "A".to_owned()), (true, "B".to_owned())]);
        assert_eq!(actions("kept=action%3DA&fields=shown"), []);
    }

    #[test]
    fn facets_are_countable_fields_and_each_counts_once() {
        let stats = |query: &str| parse(query, Accepts::Stats).valid().map(|params| params.facets);
        assert_eq!(
            stats("facets=action,resource_type&facets[]=action&entity=api").unwrap(),
            [Field::Action, Field::ResourceType]
        );
        for query in ["facets=identifier", "facets=run_id", "facets=", "facets=q", "facets=nonsense"] {
            assert_eq!(stats(query).unwrap_err().0[0].parameter, "facets", "{query}");
        }
        for (query, name) in [("histogram=2h", "histogram"), ("tz=Nowhere", "tz"), ("tz=UTC&tz=UTC", "tz")] {
            assert_eq!(stats(query).unwrap_err().0[0].parameter, name);
        }
        assert_eq!(parse("tz=UTC", Accepts::List).problems[0].parameter, "tz");
    }
}
