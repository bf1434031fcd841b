//! The query for counts: the number of matching events, their most common values, and their distribution over time.

use crate::model::{
    error::ParameterError,
    field::Field,
    query::{Control, Query},
    timestamp::Timestamp,
    zone::{Interval, Zone},
};

/// Maximum number of values that a facet lists, not counting those that the filter names. A longer menu would not help.
pub const FACET_VALUES_MAX: usize = 100;
/// Maximum number of buckets of a histogram. A screen has no room for more bars.
pub const BUCKETS_MAX: usize = 2_000;
/// Maximum number of buckets with `histogram=auto`.
const AUTO_BUCKETS_MAX: usize = 120;

/// The parameters of a count that a list does not have.
pub const STATS_CONTROLS: &[Control] = &[
    Control {
        name: "facets",
        summary: "Fields whose most common values are counted; may be repeated, or a comma list",
    },
    Control {
        name: "histogram",
        summary: "auto, or the width of the buckets: 1m, 5m, 15m, 1h, 3h, 12h, 1d, 1w, 1mo, 1y, 10y, 100y; they end at to, else now",
    },
];

/// A parsed query for counts.
#[derive(Debug, Clone)]
pub struct StatsQuery {
    /// Selects the events. Its order, limit and cursor have no effect.
    pub query: Query,
    /// The fields whose values are counted, each once.
    pub facets: Vec<Field>,
    /// The requested histogram.
    pub histogram: Option<HistogramQuery>,
}

/// A requested histogram.
#[derive(Debug, Clone)]
pub struct HistogramQuery {
    /// The width of the buckets; `None` if the range of time decides.
    pub interval: Option<Interval>,
    /// The time zone, which decides where days begin.
    pub zone: Zone,
    /// The end of the buckets if the filter has none.
    pub now: Timestamp,
}

/// The result of a query for counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// The number of matching events.
    pub count: u64,
    /// One facet for each requested field, in the same order.
    pub facets: Vec<Facet>,
    /// The histogram, if requested.
    pub histogram: Option<Histogram>,
}

/// The values of one field among the events that match all clauses except those on the field itself. A menu can thus offer values
/// that the filter does not select yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facet {
    /// The field.
    pub field: Field,
    /// The most common values, most common first. Values with equal counts are in the order in which the log first saw them. After
    /// them, further values that the filter names, whose counts may be 0.
    pub values: Vec<FacetValue>,
    /// The number of distinct values.
    pub distinct: u64,
}

/// A value, and the number of events that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetValue {
    /// The value.
    pub value: String,
    /// The number of events.
    pub count: u64,
}

/// The distribution of events over time. Each matching event is counted once: in a bucket, in `before`, or in `after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// The width of the buckets.
    pub interval: Interval,
    /// The time zone whose days the buckets follow.
    pub zone: Zone,
    /// The buckets in order, without gaps. Empty if no event matches and the filter has no beginning.
    pub buckets: Vec<Bucket>,
    /// The last instant that the buckets cover: the end of the filter's range, or now.
    pub through: Timestamp,
    /// The number of events before the first bucket: a few that are so old that the others would share one bar.
    pub before: u64,
    /// The number of events after `through`, which have a time in the future.
    pub after: u64,
}

/// A bucket of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// The first instant of the bucket.
    pub start: Timestamp,
    /// The first instant after the bucket.
    pub end: Timestamp,
    /// The number of events that succeeded.
    pub success: u64,
    /// The number of events that failed.
    pub failure: u64,
}

impl HistogramQuery {
    /// Parses the `histogram` parameter. Without an end of the range, the buckets end at `now`.
    pub fn parse(width: &str, zone: Zone, now: Timestamp) -> Result<Self, String> {
        let interval = match width {
            "auto" => None,
            _ => Some(Interval::parse(width).ok_or_else(|| {
                let names: Vec<_> = Interval::ALL.iter().map(|(name, _)| *name).collect();
                format!("must be auto or of {}", names.join(", "))
            })?),
        };
        Ok(Self { interval, zone, now })
    }

    /// The interval, and where its buckets begin and the last one ends, to cover `first` to `last`, both included. The
    /// interval is the one that was asked for, else the narrowest that fits.
    pub fn bounds(&self, first: Timestamp, last: Timestamp) -> Result<(Interval, Vec<Timestamp>), ParameterError> {
        if let Some(interval) = self.interval {
            let bounds = interval.bounds(&self.zone, first, last, BUCKETS_MAX).ok_or_else(|| {
                let message = format!(
                    "{} from {first} to {last} makes more than {BUCKETS_MAX} buckets: use wider ones, or set from and to",
                    interval.name()
                );
                ParameterError::new("histogram", message)
            })?;
            return Ok((interval, bounds));
        }
        self.fitting_bounds(first, last)
            .ok_or_else(|| ParameterError::new("histogram", "the range of time is outside the calendar"))
    }

    /// The narrowest interval with which few buckets cover a range, and the bounds of these buckets.
    pub fn fitting_bounds(&self, first: Timestamp, last: Timestamp) -> Option<(Interval, Vec<Timestamp>)> {
        Interval::ALL
            .iter()
            .find_map(|(_, interval)| Some((*interval, interval.bounds(&self.zone, first, last, AUTO_BUCKETS_MAX)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(width: &str) -> HistogramQuery {
        HistogramQuery::parse(width, Zone::utc(), Timestamp::from_micros(0)).unwrap()
    }

    #[test]
    fn buckets_follow_the_range() {
        let histogram = parse("auto");
        let at = |text: &str| Timestamp::parse(text).unwrap();
        for (first, width) in
            [("2024-05-01T23:00:00Z", "1m"), ("2024-04-25T00:00:00Z", "3h"), ("2024-02-01T00:00:00Z", "1d")]
        {
            let (interval, bounds) = histogram.bounds(at(first), at("2024-05-02T00:00:00Z")).unwrap();
            assert_eq!(interval.name(), width);
            assert!(bounds.len() > 50);
        }
        let minutes = parse("1m");
        assert!(minutes.bounds(at("2024-01-01T00:00:00Z"), at("2024-05-02T00:00:00Z")).is_err());
    }
}
