//! The queries, in a form that every system understands: as a query string (and parsed from it), and as SQL.
//!
//! Values come from loaded events by a seeded choice, so every system gets the same ones, and no query is empty by
//! accident.

use form_urlencoded::Serializer;

use crate::{
    events::{Event, Maker},
    random::Random,
    world::{BLUEPRINTS, NETWORKS, RESOURCES},
};

/// A filterable property: the column of the plain tables, and the API's parameter.
pub(crate) const COLUMNS: [(&str, &str); 12] = [
    ("entity", "entity"),
    ("blueprint", "blueprint"),
    ("run", "run_id"),
    ("origin", "origin"),
    ("resource", "resources"),
    ("action", "action"),
    ("status", "status"),
    ("actor", "actor"),
    ("method", "method"),
    ("path", "path"),
    ("status_code", "status_code"),
    ("ip", "ip"),
];
/// The six columns whose values are counted.
pub(crate) const FACETS: [&str; 6] = ["resource", "action", "status", "origin", "method", "actor"];
/// Request parameters that are not part of a filter.
const OTHER_PARAMETERS: [&str; 3] = ["limit", "facets", "histogram"];
/// Events per list.
pub(crate) const LIMIT: usize = 100;

/// A predicate on one column.
#[derive(Debug, Clone)]
enum Test {
    In(Vec<String>),
    NotEqual(String),
    /// A status code with this first digit.
    Class(char),
    /// An address that starts with these two numbers.
    Network(String),
}

/// An AND of predicates.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter(Vec<(&'static str, Test)>);

/// One query, with the sets of values that it runs with in turn.
pub(crate) struct Query {
    pub(crate) name: &'static str,
    pub(crate) filters: Vec<Filter>,
}

impl Filter {
    fn and(mut self, column: &'static str, value: &str) -> Self {
        self.0.push((column, Test::In(vec![value.to_owned()])));
        self
    }

    fn and_test(mut self, column: &'static str, test: Test) -> Self {
        self.0.push((column, test));
        self
    }

    /// As parameters of the API.
    pub(crate) fn query_string(&self) -> String {
        let mut out = Serializer::new(String::new());
        for (column, test) in &self.0 {
            let parameter = parameter(column);
            match test {
                Test::In(values) => {
                    for value in values {
                        out.append_pair(parameter, value);
                    }
                }
                Test::NotEqual(value) => {
                    out.append_pair(&format!("not.{parameter}"), value);
                }
                Test::Class(digit) => {
                    out.append_pair(parameter, &format!("{digit}xx"));
                }
                Test::Network(start) => {
                    out.append_pair(parameter, &format!("{start}.0.0/16"));
                }
            }
        }
        out.finish()
    }

    /// Parses the output of `query_string`: the same predicates in the same order. Other parameters are ignored.
    pub(crate) fn parse(query: &str) -> Self {
        let mut tests: Vec<(&'static str, Test)> = Vec::new();
        for (parameter, value) in form_urlencoded::parse(query.as_bytes()) {
            if OTHER_PARAMETERS.contains(&&*parameter) {
                continue;
            }
            let (name, is_negated) = parameter.strip_prefix("not.").map_or((&*parameter, false), |name| (name, true));
            let column = COLUMNS.iter().find(|(_, known)| *known == name).unwrap().0;
            if is_negated {
                tests.push((column, Test::NotEqual(value.into_owned())));
            } else if let Some(digit) = value.strip_suffix("xx").filter(|_| column == "status_code") {
                tests.push((column, Test::Class(digit.parse().unwrap())));
            } else if let Some(start) = value.strip_suffix(".0.0/16").filter(|_| column == "ip") {
                tests.push((column, Test::Network(start.to_owned())));
            } else if let Some((_, Test::In(values))) = tests.last_mut().filter(|(last, _)| *last == column) {
                values.push(value.into_owned());
            } else {
                tests.push((column, Test::In(vec![value.into_owned()])));
            }
        }
        Self(tests)
    }

    /// As a WHERE clause with parameters named by `name`, and their values. A B-tree on the column can answer each
    /// predicate.
    pub(crate) fn sql(&self, name: fn(usize) -> String) -> (String, Vec<String>) {
        let mut values: Vec<String> = Vec::new();
        let mut bind = |value: &str| {
            values.push(value.to_owned());
            name(values.len())
        };
        let mut tests = Vec::new();
        for (column, test) in &self.0 {
            tests.push(match test {
                Test::In(values) => {
                    let names: Vec<_> = values.iter().map(|value| bind(value)).collect();
                    format!("{column} IN ({})", names.join(","))
                }
                Test::NotEqual(value) => format!("{column} <> {}", bind(value)),
                Test::Class(digit) => {
                    let next = char::from(*digit as u8 + 1);
                    format!("{column} >= {} AND {column} < {}", bind(&digit.to_string()), bind(&next.to_string()))
                }
                // '/' is the character after '.'.
                Test::Network(start) => {
                    let (first, after) = (format!("{start}."), format!("{start}/"));
                    format!("{column} >= {} AND {column} < {}", bind(&first), bind(&after))
                }
            });
        }
        let clause = if tests.is_empty() { String::new() } else { format!("WHERE {}", tests.join(" AND ")) };
        (clause, values)
    }
}

/// The API's name of a column.
pub(crate) fn parameter(column: &str) -> &'static str {
    COLUMNS.iter().find(|(name, _)| *name == column).unwrap().1
}

/// Words that are in the diff of one event each: commits.
pub(crate) fn words_in_diffs(maker: &Maker, count: usize) -> Vec<String> {
    const KEY: &str = "\"commit\":\"";
    const DIGITS: usize = 16;
    let (mut event, step) = (Event::default(), (maker.plan.size / (2 * count as u64)).max(1));
    let words = (0..maker.plan.size).step_by(step as usize).filter_map(|number| {
        maker.make(number, &mut event);
        let begin = event.body.find(KEY)? + KEY.len();
        event.body.get(begin..begin + DIGITS).map(str::to_owned)
    });
    words.take(count).collect()
}

/// The ten queries, each with `times` sets of values.
pub(crate) fn ten(maker: &Maker, times: usize) -> Vec<Query> {
    let mut random = Random::at(maker.plan.seed, u64::MAX);
    let mut event = Event::default();
    let mut query = |name, ask: fn(&Event, &mut Random) -> Filter| {
        let filters = (0..times).map(|_| {
            maker.make(random.below(maker.plan.size as usize) as u64, &mut event);
            ask(&event, &mut random)
        });
        Query { name, filters: filters.collect() }
    };
    vec![
        query("nothing", |_, _| Filter::default()),
        query("one entity", |event, _| Filter::default().and("entity", &event.entity)),
        query("one blueprint", |event, _| Filter::default().and("blueprint", event.blueprint)),
        query("blueprint AND status AND origin", |event, _| {
            let filter = Filter::default().and("blueprint", event.blueprint);
            filter.and("status", event.status).and("origin", event.origin)
        }),
        query("actor AND action AND 2 of 12 resource types", |event, random| {
            let filter = Filter::default().and("actor", &event.actor).and("action", event.action);
            filter.and_test("resource", Test::In(resources(random, 2)))
        }),
        query("ip AND status code", |event, _| {
            Filter::default().and("ip", &event.ip).and("status_code", event.status_code)
        }),
        query("four resource types AND FAILURE", |_, random| {
            let filter = Filter::default().and_test("resource", Test::In(resources(random, 4)));
            filter.and("status", "FAILURE")
        }),
        query("two common values whose AND is empty", |_, _| {
            Filter::default().and("action", "UPDATE").and("method", "GET")
        }),
        query("not.origin AND blueprint", |event, _| {
            let filter = Filter::default().and_test("origin", Test::NotEqual(event.origin.to_owned()));
            filter.and("blueprint", event.blueprint)
        }),
        query("4xx AND CIDR /16", |_, random| {
            let filter = Filter::default().and_test("status_code", Test::Class('4'));
            filter.and_test("ip", Test::Network(random.pick(NETWORKS).to_owned()))
        }),
    ]
}

/// One event in a hundred.
pub(crate) fn one_percent() -> Filter {
    Filter::default().and("blueprint", BLUEPRINTS[BLUEPRINTS.len() - 1].0)
}

/// The given number of different resource types.
fn resources(random: &mut Random, count: usize) -> Vec<String> {
    let first = random.below(RESOURCES.len());
    (0..count).map(|step| RESOURCES[(first + 5 * step) % RESOURCES.len()].0.to_owned()).collect()
}
