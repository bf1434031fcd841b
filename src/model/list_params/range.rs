//! Time ranges as people choose them: the last days, or from one day to another, both included.

use jiff::{
    ToSpan,
    civil::{Date, DateTime, Time},
};

use crate::model::{filter::TimeRange, timestamp::Timestamp, zone::Zone};

/// A range that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// The last hour.
    Hour,
    /// The last 24 hours.
    Day,
    /// The last 7 days.
    Week,
    /// The last 30 days.
    Month,
    /// All time.
    All,
}

impl Preset {
    /// The range of a page whose URL names none.
    pub const DEFAULT: Self = Self::Week;
    /// Every preset, shortest first.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::All];

    /// The name in a URL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::All => "all",
        }
    }

    /// The label that people read.
    pub const fn label(self) -> &'static str {
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
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|preset| preset.name() == name);
        found.ok_or_else(|| format!("must be of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// A time range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// From some time before now, without an end: events from clocks that are ahead are included.
    Last(Preset),
    /// From one instant to another, both included.
    Between {
        /// The earliest event time; open if missing.
        from: Option<Timestamp>,
        /// The latest event time; open if missing.
        to: Option<Timestamp>,
    },
}

impl Range {
    /// The bounds at `now`.
    pub fn bounds(self, now: Timestamp) -> TimeRange {
        match self {
            Self::Last(preset) => {
                TimeRange { from: preset.seconds().map(|seconds| now.plus_seconds(-seconds)), to: None }
            }
            Self::Between { from, to } => TimeRange { from, to },
        }
    }
}

/// An end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RangeEnd {
    From,
    To,
}

/// Parses an instant as a form or a person writes it: RFC 3339, or a date, or a date and a time in `zone`. A range ends
/// with the end of the given day, minute or second.
pub(super) fn parse_instant(text: &str, time: &str, zone: &Zone, end: RangeEnd) -> Result<Timestamp, &'static str> {
    instant(text, time, zone, end).ok_or("is not a date such as 2024-05-01, nor a time such as 2024-05-01T12:00:00Z")
}

fn instant(text: &str, time: &str, zone: &Zone, end: RangeEnd) -> Option<Timestamp> {
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
        RangeEnd::To => Some(Timestamp::from_micros(zone.instant(first.checked_add(after).ok()?)?.micros() - 1)),
    }
}

/// RFC 3339 in `zone`, to the microsecond where it is not a whole second.
pub fn exact(zone: &Zone, at: Timestamp) -> String {
    let whole = zone.format(at);
    match at.micros().rem_euclid(1_000_000) {
        0 => whole,
        // Before the offset, which has six characters.
        micros if whole.len() == 25 => format!("{}.{micros:06}{}", &whole[..19], &whole[19..]),
        _ => at.to_string(),
    }
}

/// An end of a range as a form shows it: a date, and a time unless the range begins or ends with the day.
pub fn to_fields(at: Timestamp, zone: &Zone, is_to: bool) -> (String, String) {
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
        let parse = |text, time, end| parse_instant(text, time, &berlin, end).ok().map(|at| exact(&berlin, at));
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
    fn form_fields_parse_back_to_the_same_range() {
        let zone = Zone::parse("+05:30").unwrap();
        for (text, time) in [("2024-05-01", ""), ("2024-05-01", "10:30:05"), ("2024-12-31", "23:59:58")] {
            for end in [RangeEnd::From, RangeEnd::To] {
                let instant = parse_instant(text, time, &zone, end).unwrap();
                assert_eq!(to_fields(instant, &zone, end == RangeEnd::To), (text.to_owned(), time.to_owned()));
            }
        }
    }
}
