//! Counting what matches, by walking every event.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::model::{
    error::ParameterError,
    field::Field,
    filter::Filter,
    stats::{Bucket, FACET_VALUES_MAX, Facet, FacetValue, Histogram, HistogramQuery, Stats, StatsQuery},
    timestamp::Timestamp,
    values,
};

/// Counts on the connection's present snapshot. The inner error is a histogram that cannot be made.
pub fn stats(connection: &Connection, query: &StatsQuery) -> rusqlite::Result<Result<Stats, ParameterError>> {
    let filter = &query.query.filter;
    let mut tallies: Vec<_> = query.facets.iter().map(|field| Tally::new(*field, filter)).collect();
    let (mut count, mut times) = (0, Vec::new());
    let mut statement = connection.prepare_cached("SELECT timestamp, fields FROM event")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let timestamp = Timestamp::from_micros(row.get(0)?);
        if !filter.time.holds(timestamp) {
            continue;
        }
        let values = row.get_ref(1)?.as_blob()?;
        tallies.iter_mut().for_each(|tally| tally.add(values));
        if filter.matches(values) {
            count += 1;
            let failed = values::iterate(values).any(|value| value == (Field::Status, "FAILURE"));
            times.push((timestamp, failed));
        }
    }
    let facets = tallies.into_iter().map(|tally| tally.facet(filter)).collect();
    let histogram = match query.histogram.as_ref().map(|asked| histogram(asked, filter, &times)) {
        Some(Err(error)) => return Ok(Err(error)),
        Some(Ok(histogram)) => Some(histogram),
        None => None,
    };
    Ok(Ok(Stats { count, facets, histogram }))
}

struct Tally {
    field: Field,
    filter: Filter,
    counts: HashMap<String, u64>,
}

impl Tally {
    fn new(field: Field, filter: &Filter) -> Self {
        let mut filter = filter.clone();
        filter.clauses.retain(|clause| clause.field != field);
        Self { field, filter, counts: HashMap::new() }
    }

    fn add(&mut self, encoded: &[u8]) {
        if self.filter.matches(encoded) {
            let mut own: Vec<_> = values::iterate(encoded).filter(|(field, _)| *field == self.field).collect();
            own.sort_unstable();
            own.dedup();
            for (_, value) in own {
                *self.counts.entry(value.to_owned()).or_default() += 1;
            }
        }
    }

    fn facet(self, filter: &Filter) -> Facet {
        let distinct = self.counts.len() as u64;
        let mut values: Vec<_> = self.counts.into_iter().map(|(value, count)| FacetValue { value, count }).collect();
        values.sort_unstable_by(|one, other| other.count.cmp(&one.count).then_with(|| one.value.cmp(&other.value)));
        let mut kept: Vec<_> = values.drain(..values.len().min(FACET_VALUES_MAX)).collect();
        for value in filter.named_values(self.field) {
            if !kept.iter().any(|known| known.value == value) {
                let count = values.iter().find(|known| known.value == value).map_or(0, |known| known.count);
                kept.push(FacetValue { value: value.to_owned(), count });
            }
        }
        Facet { field: self.field, values: kept, distinct }
    }
}

fn histogram(
    asked: &HistogramQuery,
    filter: &Filter,
    times: &[(Timestamp, bool)],
) -> Result<Histogram, ParameterError> {
    let first = filter.time.from.or_else(|| times.iter().map(|(time, _)| *time).min());
    let last = filter.time.to.or_else(|| times.iter().map(|(time, _)| *time).max());
    let (interval, bounds) = match (first, last) {
        (Some(first), Some(last)) if first <= last => asked.bounds(first, last)?,
        _ => (asked.interval.unwrap_or(crate::model::zone::Interval::Day), Vec::new()),
    };
    let mut buckets: Vec<_> =
        bounds.windows(2).map(|pair| Bucket { start: pair[0], end: pair[1], success: 0, failure: 0 }).collect();
    for (time, failed) in times {
        let place = bounds.partition_point(|bound| bound <= time);
        if let Some(bucket) = place.checked_sub(1).and_then(|place| buckets.get_mut(place)) {
            *if *failed { &mut bucket.failure } else { &mut bucket.success } += 1;
        }
    }
    Ok(Histogram { interval, zone: asked.zone.clone(), buckets })
}
