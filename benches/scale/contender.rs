//! The measured operations of every system.

use crate::{
    queries::{Filter, Query},
    timing::{Effort, NamedTiming, Timings},
};

/// A loaded log.
pub(crate) trait Contender {
    /// The first hundred matches, newest first, with their bodies read; returns their number.
    fn list(&mut self, filter: &Filter) -> usize;
    /// The identifiers of the first hundred matches.
    fn identifiers(&mut self, filter: &Filter) -> Vec<String>;
    /// The number of matches.
    fn count(&mut self, filter: &Filter) -> u64;
    /// Count, six facets and a daily histogram.
    fn overview(&mut self, filter: &Filter);
}

/// Lists, each with every set of values.
pub(crate) fn lists(contender: &mut dyn Contender, queries: &[Query], effort: Effort) -> Timings {
    let ask = |query: &Query| {
        let timing = effort.measure(|time| {
            contender.list(&query.filters[time % query.filters.len()]);
        });
        NamedTiming::new(query.name, timing)
    };
    queries.iter().map(ask).collect()
}

/// Exact counts of the same queries.
pub(crate) fn counts(contender: &mut dyn Contender, queries: &[Query], effort: Effort) -> Timings {
    let ask = |query: &Query| {
        let timing = effort.measure(|time| {
            contender.count(&query.filters[time % query.filters.len()]);
        });
        NamedTiming::new(query.name, timing)
    };
    queries.iter().map(ask).collect()
}

/// Count, facets and histogram of everything, and of one event in a hundred.
pub(crate) fn overviews(contender: &mut dyn Contender, effort: Effort) -> Timings {
    [("everything", Filter::default()), ("one event in a hundred", crate::queries::one_percent())]
        .into_iter()
        .map(|(name, filter)| NamedTiming::new(name, effort.measure(|_| contender.overview(&filter))))
        .collect()
}

/// A system's answer to one query: the listed identifiers, in order, and the exact count.
#[derive(PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) identifiers: Vec<String>,
    pub(crate) count: u64,
}

/// The answers to each query with its first few sets of values.
pub(crate) fn answers(contender: &mut dyn Contender, queries: &[Query]) -> Vec<Answer> {
    /// Per query. A plain table may take seconds to count.
    const VALUES: usize = 3;
    let filters = queries.iter().flat_map(|query| &query.filters[..VALUES.min(query.filters.len())]);
    filters
        .map(|filter| Answer { identifiers: contender.identifiers(filter), count: contender.count(filter) })
        .collect()
}

/// The queries that two systems answered differently.
pub(crate) fn differences(queries: &[Query], one: &[Answer], other: &[Answer]) -> Vec<String> {
    let values = one.len() / queries.len();
    let pairs = one.iter().zip(other).enumerate().filter(|(_, (one, other))| one != other);
    let describe = |(place, (one, other)): (usize, (&Answer, &Answer))| {
        let name = queries[place / values].name;
        let (listed, others) = (one.identifiers.len(), other.identifiers.len());
        let order = if one.identifiers == other.identifiers { "the same" } else { "other" };
        format!("{name}: {order} events listed, {listed} and {others}; counts {} and {}", one.count, other.count)
    };
    pairs.map(describe).collect()
}

/// The identifier in an event's body.
pub(crate) fn identifier(body: &str) -> String {
    let event: serde_json::Value = serde_json::from_str(body).unwrap();
    event["identifier"].as_str().unwrap().to_owned()
}
