//! The chart of events over time. Each bar links to the list of its time range. A table has the same numbers.
//!
//! The drawing uses units that the page stretches: each bar has a slot of width [`SLOT`], and the highest bar is
//! [`HEIGHT`] units high.

use crate::{
    model::{
        list_params::{ListParams, Range},
        stats::{Bucket, Histogram},
        timestamp::Timestamp,
    },
    ui::formatted_time::{self, FormattedTime, grouped},
};

/// Width of the slot of a bar.
const SLOT: usize = 20;
/// Width of a bar.
const BAR: usize = 16;
/// Height of the highest bar.
const HEIGHT: u64 = 1_000;
/// Minimum height of a part of a bar that counts at least one event, so that it is visible.
const HEIGHT_MIN: u64 = 25;
/// Height of the hatch pattern that marks failures.
const HATCH: u64 = 60;
/// Maximum number of time labels below the bars.
const TICKS: usize = 4;

/// The chart.
#[derive(Debug)]
pub(in crate::ui) struct Chart {
    pub(in crate::ui) bars: Vec<HistogramBar>,
    /// Width in units.
    pub(in crate::ui) width: usize,
    /// Height of the drawing in units.
    pub(in crate::ui) height: u64,
    /// The width of a bar.
    pub(in crate::ui) bar: usize,
    /// The width of a bar's slot.
    pub(in crate::ui) slot: usize,
    /// The count of the highest bar.
    pub(in crate::ui) top: String,
    /// The time labels below the bars.
    pub(in crate::ui) ticks: Vec<String>,
    /// The time range of one bar, in words.
    pub(in crate::ui) step: String,
    pub(in crate::ui) success: String,
    pub(in crate::ui) failure: String,
}

/// One bar.
#[derive(Debug)]
pub(in crate::ui) struct HistogramBar {
    pub(in crate::ui) slot_x: usize,
    pub(in crate::ui) x: usize,
    pub(in crate::ui) success_y: u64,
    pub(in crate::ui) success_height: u64,
    pub(in crate::ui) failure_y: u64,
    pub(in crate::ui) failure_height: u64,
    /// Whether the failed part is too thin for the hatch pattern.
    pub(in crate::ui) is_thin: bool,
    pub(in crate::ui) span: String,
    pub(in crate::ui) success: String,
    pub(in crate::ui) failure: String,
    /// The URL of the list of this bar's events.
    pub(in crate::ui) href: String,
    /// Whether the bar counts no events.
    pub(in crate::ui) is_empty: bool,
}

/// A link to events before or after the chart.
#[derive(Debug)]
pub(in crate::ui) struct Outside {
    /// For example "3 events after now".
    pub(in crate::ui) text: String,
    pub(in crate::ui) href: String,
}

impl Outside {
    /// The events before the first bar and those after the last, where there are any.
    pub(in crate::ui) fn of(histogram: &Histogram, params: &ListParams) -> Vec<Self> {
        let Histogram { before, after, through, buckets, .. } = histogram;
        let link = |count: u64, side: &str, range: Range| Self {
            text: format!("{} {} {side}", grouped(count), if count == 1 { "event" } else { "events" }),
            href: params.within(range).href(),
        };
        let mut outside = Vec::new();
        if let Some(first) = buckets.first().filter(|_| *before > 0) {
            let FormattedTime { date, clock, .. } = FormattedTime::new(first.start, &params.zone, *through);
            let to = Some(Timestamp::from_micros(first.start.micros() - 1));
            outside.push(link(*before, &format!("before {date} {clock}"), Range::Between { from: None, to }));
        }
        if *after > 0 {
            let from = Some(Timestamp::from_micros(through.micros() + 1));
            outside.push(link(*after, "after now", Range::Between { from, to: None }));
        }
        outside
    }
}

impl Chart {
    /// Draws a histogram; `None` if all buckets are empty.
    pub(in crate::ui) fn new(histogram: &Histogram, params: &ListParams) -> Option<Self> {
        let buckets = &histogram.buckets;
        if buckets.iter().all(|bucket| bucket.success + bucket.failure == 0) {
            return None;
        }
        let most = buckets.iter().map(|bucket| bucket.success + bucket.failure).max()?.max(1);
        let draw = |(index, bucket): (usize, &Bucket)| bar(params, index, bucket, most, histogram.through);
        let total = |part: fn(&Bucket) -> u64| grouped(buckets.iter().map(part).sum());
        Some(Self {
            bars: buckets.iter().enumerate().map(draw).collect(),
            width: buckets.len() * SLOT,
            height: HEIGHT,
            bar: BAR,
            slot: SLOT,
            top: grouped(most),
            ticks: ticks(histogram),
            step: step(histogram.interval.name()),
            success: total(|bucket| bucket.success),
            failure: total(|bucket| bucket.failure),
        })
    }
}

/// One bar. It links to exactly the events that it counts, so the last bar ends at `through`.
fn bar(params: &ListParams, index: usize, bucket: &Bucket, most: u64, through: Timestamp) -> HistogramBar {
    let scaled = |count: u64| {
        let exact = u128::from(count) * u128::from(HEIGHT) / u128::from(most);
        if count == 0 { 0 } else { u64::try_from(exact).unwrap_or(HEIGHT).max(HEIGHT_MIN) }
    };
    let failure_height = scaled(bucket.failure);
    // The minimum height of a part does not make the bar higher than the drawing.
    let success_height = scaled(bucket.success).min(HEIGHT - failure_height);
    let last = Timestamp::from_micros(bucket.end.micros() - 1).min(through);
    HistogramBar {
        slot_x: index * SLOT,
        x: index * SLOT + (SLOT - BAR) / 2,
        success_y: HEIGHT - success_height,
        success_height,
        failure_y: HEIGHT - success_height - failure_height,
        failure_height,
        is_thin: failure_height < HATCH,
        span: formatted_time::span(bucket.start, bucket.end, &params.zone),
        success: grouped(bucket.success),
        failure: grouped(bucket.failure),
        href: params.within(Range::Between { from: Some(bucket.start), to: Some(last) }).href(),
        is_empty: bucket.success + bucket.failure == 0,
    }
}

fn ticks(histogram: &Histogram) -> Vec<String> {
    let buckets = &histogram.buckets;
    let format = match histogram.interval.name() {
        // A bar may begin at any hour.
        "1m" | "5m" | "15m" | "1h" | "3h" | "12h" => "%a %d %b %H:%M",
        "1d" => "%a %d %b",
        _ => "%d %b %Y",
    };
    let places = (0..TICKS.min(buckets.len())).map(|tick| buckets[tick * buckets.len() / TICKS.min(buckets.len())]);
    let local = places.filter_map(|bucket| histogram.zone.local(bucket.start));
    local.map(|(local, _)| local.strftime(format).to_string()).collect()
}

/// The width of a bucket, in words.
fn step(interval: &str) -> String {
    let digits = interval.find(|char: char| !char.is_ascii_digit()).unwrap_or(interval.len());
    let (count, unit) = interval.split_at(digits);
    let unit = match unit {
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        _ => "year",
    };
    match count {
        "1" if unit == "hour" => "an hour".to_owned(),
        "1" => format!("a {unit}"),
        _ => format!("{count} {unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::zone::{Interval, Zone};

    fn histogram(counts: &[(u64, u64)]) -> Histogram {
        let at = |hour: i64| Timestamp::from_micros(hour * 3_600_000_000);
        let buckets = (0..).zip(counts).map(|(hour, &(success, failure))| Bucket {
            start: at(hour),
            end: at(hour + 1),
            success,
            failure,
        });
        let buckets: Vec<_> = buckets.collect();
        let through = at(i64::try_from(buckets.len()).unwrap());
        Histogram { interval: Interval::Hours(1), zone: Zone::utc(), buckets, through, before: 0, after: 0 }
    }

    #[test]
    fn bars_stack_within_the_drawing_and_the_smallest_can_be_seen() {
        let params = ListParams::none(Timestamp::from_micros(0));
        let chart = Chart::new(&histogram(&[(0, 0), (1_000_000, 1), (3, 500_000)]), &params).unwrap();
        assert_eq!(chart.top, "1,000,001");
        for bar in &chart.bars {
            assert_eq!(bar.failure_y + bar.failure_height, bar.success_y);
            assert_eq!(bar.success_y + bar.success_height, HEIGHT);
        }
        assert_eq!(chart.bars[0].success_height + chart.bars[0].failure_height, 0);
        assert_eq!(chart.bars[1].failure_height, HEIGHT_MIN);
        assert_eq!(chart.bars[2].success_height, HEIGHT_MIN);
        assert!(Chart::new(&histogram(&[]), &params).is_none() && Chart::new(&histogram(&[(0, 0)]), &params).is_none());
    }

    #[test]
    fn what_no_bar_counts_is_a_link_beside_them() {
        let params = ListParams::none(Timestamp::from_micros(0));
        let found = Histogram { before: 1_234, after: 1, ..histogram(&[(1, 0)]) };
        let links = Outside::of(&found, &params);
        let [before, after] = links.as_slice() else { panic!("{links:?}") };
        assert_eq!(before.text, "1,234 events before 1970-01-01 00:00:00");
        assert_eq!(before.href, "/audit-logs?to=1969-12-31T23%3A59%3A59.999999%2B00%3A00");
        assert_eq!(after.text, "1 event after now");
        assert_eq!(after.href, "/audit-logs?from=1970-01-01T01%3A00%3A00.000001%2B00%3A00");
        assert!(Outside::of(&histogram(&[(1, 0)]), &params).is_empty());
    }

    #[test]
    fn the_axis_names_the_hour_where_a_bar_may_begin_at_any() {
        let found = Histogram { interval: Interval::Hours(3), ..histogram(&[(1, 0); 4]) };
        assert_eq!(ticks(&found)[1], "Thu 01 Jan 01:00");
        let found = Histogram { interval: Interval::Day, ..histogram(&[(1, 0); 4]) };
        assert_eq!(ticks(&found)[0], "Thu 01 Jan");
    }

    #[test]
    fn a_bar_leads_to_its_own_time_and_keeps_the_filter() {
        let params =
            ListParams::none(Timestamp::from_micros(0)).with(crate::model::field::Field::Action, false, "A").unwrap();
        let chart = Chart::new(&histogram(&[(1, 0)]), &params).unwrap();
        assert_eq!(
            chart.bars[0].href,
            "/audit-logs?action=A&from=1970-01-01T00%3A00%3A00%2B00%3A00&to=1970-01-01T00%3A59%3A59.999999%2B00%3A00"
        );
        assert_eq!(chart.bars[0].span, "Thu 1970-01-01 00:00 – 01:00");
        assert_eq!(["1m", "15m", "1mo", "10y"].map(step), ["a minute", "15 minutes", "a month", "10 years"]);
    }
}
