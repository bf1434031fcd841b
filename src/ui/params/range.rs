//! Ranges of time as people choose them: the last days, or from one day to another, both included.

use jiff::{
    ToSpan,
    civil::{Date, DateTime, Time},
};

use crate::model::{filter::TimeRange, timestamp::Timestamp, zone::Zone};

/// A range that ends with the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ui) enum Preset {
    Hour,
    Day,
    Week,
    Month,
    All,
}

impl Preset {
    /// What is shown when nothing is asked for.
    pub(in crate::ui) const DEFAULT: Self = Self::Week;
    /// Every preset, shortest first.
    pub(in crate::ui) const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::All];

    /// Its name in a URL.
    pub(in crate::ui) const fn name(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::All => "all",
        }
    }

    /// What people read.
    pub(in crate::ui) const fn label(self) -> &'static str {
        match self {
            Self::Hour => "Last hour",
            Self::Day => "Last 24 hours",
            Self::Week => "Last 7 days",
            Self::Month => "Last 30 days",
            Self::All => "All time",
        }
    }

    const fn seconds(self) -> Option<i64> {
        match self {
            Self::Hour => Some(3_600),
            Self::Day => Some(24 * 3_600),
            Self::Week => Some(7 * 24 * 3_600),
            Self::Month => Some(30 * 24 * 3_600),
            Self::All => None,
        }
    }

    /// The preset of this name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }
}

/// A range of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ui) enum Range {
    /// Up to the present, and open beyond it: clocks that are ahead hide nothing.
    Last(Preset),
    /// From one instant to another, both included.
    Between { from: Option<Timestamp>, to: Option<Timestamp> },
}

impl Range {
    /// Its bounds, if the present is `now`.
    pub(in crate::ui) fn bounds(self, now: Timestamp) -> TimeRange {
        match self {
            Self::Last(preset) => {
                TimeRange { from: preset.seconds().map(|seconds| now.plus_seconds(-seconds)), to: None }
            }
            Self::Between { from, to } => TimeRange { from, to },
        }
    }
}

/// Which end of a range a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RangeEnd {
    From,
    To,
}

/// Reads an instant as a form or a person writes it: RFC 3339, or a date, or a date and a time in `zone`. What is given less
/// exactly than the clock runs means all of it: a range to a day holds that day.
pub(super) fn parse_instant(text: &str, time: &str, zone: &Zone, end: RangeEnd) -> Option<Timestamp> {
    if let Some(instant) = Timestamp::parse(&text.replace(' ', "+")) {
        return Some(instant);
    }
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, within)) => (date, within),
        None => (text, time),
    };
    let date: Date = date.parse().ok()?;
    let (first, after) = match time.matches(':').count() {
        0 if time.is_empty() => (date.to_datetime(Time::midnight()), 1.day()),
        1 => (date.to_datetime(time.parse().ok()?), 1.minute()),
        _ => (date.to_datetime(time.parse().ok()?), 1.second()),
    };
    match end {
        RangeEnd::From => zone.instant(first),
        // The last microsecond before what comes after.
        RangeEnd::To => Some(Timestamp::from_micros(zone.instant(first.checked_add(after).ok()?)?.micros() - 1)),
    }
}

/// RFC 3339 in `zone`, with as much of the fraction as there is.
pub(super) fn exact(zone: &Zone, at: Timestamp) -> String {
    let whole = zone.format(at);
    match at.micros().rem_euclid(1_000_000) {
        0 => whole,
        // Before the offset, which has six characters.
        micros if whole.len() == 25 => format!("{}.{micros:06}{}", &whole[..19], &whole[19..]),
        _ => at.to_string(),
    }
}

/// An end of a range as the fields of a form show it: a date, and a time where the range does not reach to the end of the
/// day.
pub(in crate::ui) fn to_fields(at: Timestamp, zone: &Zone, is_to: bool) -> (String, String) {
    let shown = if is_to { Timestamp::from_micros(at.micros() + 1) } else { at };
    let Some((local, _)) = zone.local(shown) else {
        return (String::new(), String::new());
    };
    let is_midnight = local.time() == Time::midnight();
    let local: DateTime = if is_to { zone.local(at).map_or(local, |(local, _)| local) } else { local };
    let time = if is_midnight { String::new() } else { local.strftime("%H:%M:%S").to_string() };
    (local.strftime("%Y-%m-%d").to_string(), time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_to_a_day_holds_that_day() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let parse = |text, time, end| parse_instant(text, time, &berlin, end).map(|at| exact(&berlin, at));
        assert_eq!(parse("2024-03-31", "", RangeEnd::From).as_deref(), Some("2024-03-31T00:00:00+01:00"));
        assert_eq!(parse("2024-03-31", "", RangeEnd::To).as_deref(), Some("2024-03-31T23:59:59.999999+02:00"));
        assert_eq!(parse("2024-05-01", "10:30", RangeEnd::To).as_deref(), Some("2024-05-01T10:30:59.999999+02:00"));
        assert_eq!(parse("2024-05-01T10:30:05", "", RangeEnd::From).as_deref(), Some("2024-05-01T10:30:05+02:00"));
        assert_eq!(parse("2024-05-01T10:30:05Z", "", RangeEnd::To).as_deref(), Some("2024-05-01T12:30:05+02:00"));
        assert_eq!(parse("2024-05-01T10:30:05 02:00", "", RangeEnd::To).as_deref(), Some("2024-05-01T10:30:05+02:00"));
        for text in ["yesterday", "2024-02-30", "2024-05-01T25:00", "9999-12-31"] {
            assert_eq!(parse(text, "", RangeEnd::To), None, "{text}");
        }
    }

    #[test]
    fn what_fields_show_is_read_back_as_the_same_range() {
        let zone = Zone::parse("+05:30").unwrap();
        for (text, time) in [("2024-05-01", ""), ("2024-05-01", "10:30:05"), ("2024-12-31", "23:59:58")] {
            for end in [RangeEnd::From, RangeEnd::To] {
                let instant = parse_instant(text, time, &zone, end).unwrap();
                assert_eq!(to_fields(instant, &zone, end == RangeEnd::To), (text.to_owned(), time.to_owned()));
            }
        }
    }
}
