//! Counting: how many events match, the most common values of fields among them, and how they spread over time.

use std::borrow::Cow;

use crate::model::{
    error::ParameterError,
    field::{FIELDS, Field, FieldSpec},
    limits::QueryLimits,
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

impl StatsQuery {
    /// Parses decoded query parameters: those of a list, and [`STATS_CONTROLS`]. A histogram without an end ends at `now`.
    pub fn parse<'a, I>(pairs: I, limits: &QueryLimits, now: Timestamp) -> Result<Self, ParameterError>
    where
        I: IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    {
        let (own, others): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| {
            STATS_CONTROLS.iter().any(|control| control.name == name.strip_suffix("[]").unwrap_or(name))
        });
        let query = Query::parse(others, limits)?;
        let mut facets = Vec::new();
        let (mut width, mut zone) = (None, None);
        for (name, value) in &own {
            let slot = match name.strip_suffix("[]").unwrap_or(name) {
                "facets" => {
                    parse_facets(value, &mut facets)?;
                    continue;
                }
                "histogram" => &mut width,
                _ => &mut zone,
            };
            if slot.replace(value.as_ref()).is_some() {
                return Err(ParameterError::new(name.as_ref(), "is given more than once"));
            }
        }
        let zone = zone.map_or_else(|| Ok(Zone::utc()), Zone::parse);
        let zone = zone.map_err(|message| ParameterError::new("tz", message))?;
        let histogram = match width {
            None => None,
            Some("auto") => Some(HistogramQuery { interval: None, zone, now }),
            Some(width) => Some(HistogramQuery { interval: Some(parse_interval(width)?), zone, now }),
        };
        Ok(Self { query, facets, histogram })
    }
}

fn parse_facets(list: &str, facets: &mut Vec<Field>) -> Result<(), ParameterError> {
    for name in list.split(',').map(str::trim) {
        let spec = Field::of_parameter(name).filter(|spec| spec.is_countable()).ok_or_else(|| {
            let names: Vec<_> = FIELDS.iter().filter(|spec| spec.is_countable()).filter_map(FieldSpec::name).collect();
            ParameterError::new("facets", format!("must be of {}", names.join(", ")))
        })?;
        if !facets.contains(&spec.field) {
            facets.push(spec.field);
        }
    }
    Ok(())
}

fn parse_interval(name: &str) -> Result<Interval, ParameterError> {
    Interval::parse(name).ok_or_else(|| {
        let names: Vec<_> = Interval::ALL.iter().map(|(name, _)| *name).collect();
        ParameterError::new("histogram", format!("must be auto or of {}", names.join(", ")))
    })
}

impl HistogramQuery {
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

    fn parse(pairs: &[(&'static str, &'static str)]) -> Result<StatsQuery, ParameterError> {
        let pairs = pairs.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value)));
        StatsQuery::parse(pairs, &QueryLimits::default(), Timestamp::from_micros(0))
    }

    #[test]
    fn facets_are_countable_fields_and_each_counts_once() {
        let query = parse(&[("facets", "action,resource_type"), ("facets[]", "action"), ("entity", "api")]).unwrap();
        assert_eq!(query.facets, [Field::Action, Field::ResourceType]);
        assert!(query.query.filter.clauses.iter().any(|clause| clause.field == Field::Entity && !clause.negated));
        for name in ["identifier", "run_id", "", "q", "nonsense"] {
            assert_eq!(parse(&[("facets", name)]).unwrap_err().parameter, "facets", "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (name, value) in [("histogram", "2h"), ("tz", "Nowhere"), ("nonsense", "1"), ("limit", "0")] {
            assert_eq!(parse(&[(name, value)]).unwrap_err().parameter, name);
        }
        assert_eq!(parse(&[("tz", "UTC"), ("tz", "UTC")]).unwrap_err().message, "is given more than once");
    }

    #[test]
    fn buckets_follow_the_range() {
        let histogram = parse(&[("histogram", "auto")]).unwrap().histogram.unwrap();
        let at = |text: &str| Timestamp::parse(text).unwrap();
        for (first, width) in
            [("2024-05-01T23:00:00Z", "1m"), ("2024-04-25T00:00:00Z", "3h"), ("2024-02-01T00:00:00Z", "1d")]
        {
            let (interval, bounds) = histogram.bounds(at(first), at("2024-05-02T00:00:00Z")).unwrap();
            assert_eq!(interval.name(), width);
            assert!(bounds.len() > 50);
        }
        let minutes = parse(&[("histogram", "1m")]).unwrap().histogram.unwrap();
        assert!(minutes.bounds(at("2024-01-01T00:00:00Z"), at("2024-05-02T00:00:00Z")).is_err());
    }
}
