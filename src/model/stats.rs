//! Counting: how many events match, the most common values of fields among them, and how they spread over time.

use crate::model::{
    error::ParameterError,
    field::Field,
    query::{Control, Query},
    timestamp::Timestamp,
    zone::{Interval, Zone},
};

/// Values of one field that are listed, most common first. A menu of more helps nobody; those that the filter names are
/// listed besides.
pub const FACET_VALUES_MAX: usize = 100;
/// Buckets of a histogram: more bars than a screen has columns say nothing.
pub const BUCKETS_MAX: usize = 2_000;
/// Buckets that `histogram=auto` aims at, at most.
const AUTO_BUCKETS_MAX: usize = 120;

/// Every parameter of counting that a list does not have.
pub const STATS_CONTROLS: &[Control] = &[
    Control {
        name: "facets",
        summary: "Fields whose most common values are counted; may be repeated, or a comma list",
    },
    Control {
        name: "histogram",
        summary: "auto, or the width of the buckets: 1m, 5m, 15m, 1h, 3h, 12h, 1d, 1w, 1mo, 1y, 10y, 100y; they end at to, else now",
    },
    Control {
        name: "tz",
        summary: "The time zone whose days the buckets follow: UTC (the default), Europe/Berlin, +02:00",
    },
];

/// What is to be counted.
#[derive(Debug, Clone)]
pub struct StatsQuery {
    /// Which events. Its order, limit and cursor do not matter.
    pub query: Query,
    /// The fields whose values are counted, each once.
    pub facets: Vec<Field>,
    /// How to spread the events over time, if at all.
    pub histogram: Option<HistogramQuery>,
}

/// How events are to be spread over time.
#[derive(Debug, Clone)]
pub struct HistogramQuery {
    /// The width of the buckets; `None` lets the range of time decide.
    pub interval: Option<Interval>,
    /// Where days begin.
    pub zone: Zone,
    /// Where the buckets end if the filter has no end.
    pub now: Timestamp,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Events that match.
    pub count: u64,
    /// One for each field that was asked for, in that order.
    pub facets: Vec<Facet>,
    /// The histogram, if one was asked for.
    pub histogram: Option<Histogram>,
}

/// The values of one field among the events that match, the field's own clauses set aside: what a menu needs to offer
/// what could be chosen besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facet {
    /// The field.
    pub field: Field,
    /// The most common values, most common first, equals as the log first saw them; then those that the filter names, if they are not
    /// among them, with their counts, which may be 0.
    pub values: Vec<FacetValue>,
    /// Different values in all.
    pub distinct: u64,
}

/// A value and how many events have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetValue {
    /// The value.
    pub value: String,
    /// Events.
    pub count: u64,
}

/// Events over time. Each event that matches is counted once: in a bucket, in `before`, or in `after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// The width of the buckets.
    pub interval: Interval,
    /// Whose days they follow.
    pub zone: Zone,
    /// In order, without gaps; none where there is no event to begin with and the filter has no beginning.
    pub buckets: Vec<Bucket>,
    /// The last instant that the buckets count: the filter's end, or now.
    pub through: Timestamp,
    /// Events before the first bucket: a few that are so old that the others would share one bar.
    pub before: u64,
    /// Events after `through`: their time had not come yet.
    pub after: u64,
}

/// One bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Its first instant.
    pub start: Timestamp,
    /// The first instant after it.
    pub end: Timestamp,
    /// Events in it that succeeded.
    pub success: u64,
    /// Events in it that failed.
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
                    "{} from {first} to {last} makes more than {BUCKETS_MAX} buckets: ask for wider ones, or set from and to",
                    interval.name()
                );
                ParameterError::new("histogram", message)
            })?;
            return Ok((interval, bounds));
        }
        self.fitting_bounds(first, last)
            .ok_or_else(|| ParameterError::new("histogram", "the range of time is not of this calendar"))
    }

    /// The narrowest interval that covers a range in few buckets, and their bounds.
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
