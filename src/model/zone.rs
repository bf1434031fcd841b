//! Time zones and their calendars: where days, weeks and months begin.
//!
//! The IANA time zone database is compiled into the program, so the operating system does not need to have one.

use std::fmt;

use jiff::{
    ToSpan,
    civil::{DateTime, time},
    tz::{AmbiguousOffset, Offset, TimeZone},
};

use crate::model::timestamp::Timestamp;

/// A time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), rules: TimeZone::UTC }
    }

    /// Parses a name of the IANA database (`Europe/Berlin`) or an offset (`+02:00`). The error describes the expected
    /// text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const UNKNOWN: &str = "is not a time zone such as UTC, Europe/Berlin or +02:00";
        // A plus sign that was sent without encoding arrives as a space. No zone name begins with one.
        let text = text.replacen(' ', "+", usize::from(text.starts_with(' ')));
        let rules = match text.as_bytes() {
            [b'+' | b'-', ..] => parse_offset(&text).map(TimeZone::fixed).ok_or(UNKNOWN)?,
            _ => TimeZone::get(&text).map_err(|_| UNKNOWN)?,
        };
        // The spelling of the database, if the zone has a name there.
        let name = rules.iana_name().map_or_else(|| text.clone(), str::to_owned);
        Ok(Self { name, rules })
    }

    /// The zone's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The local date and time and the offset from UTC in seconds; `None` for an instant outside the calendar.
    pub fn local(&self, at: Timestamp) -> Option<(DateTime, i32)> {
        let instant = jiff::Timestamp::from_microsecond(at.micros()).ok()?;
        let offset = self.rules.to_offset(instant);
        Some((offset.to_datetime(instant), offset.seconds()))
    }

    /// Formats an instant as RFC 3339 with this zone's offset, to the second: `2024-05-01T00:00:00+02:00`. If RFC 3339 cannot
    /// represent the local year, the result is in UTC; if not that year either, it is the nearest representable instant.
    pub fn format(&self, at: Timestamp) -> String {
        let at = at.nameable();
        let Some((local, seconds)) = self.local(at).filter(|(local, _)| local.year() >= 0) else {
            return at.to_string();
        };
        let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs() / 60);
        format!("{}{sign}{:02}:{:02}", local.strftime("%Y-%m-%dT%H:%M:%S"), minutes / 60, minutes % 60)
    }

    /// The instant at which a clock in this zone shows `local`. If it never does, because clocks go forward, the length of the gap is
    /// added. If it does so twice, the result is the first instant.
    pub fn instant(&self, local: DateTime) -> Option<Timestamp> {
        let instant = self.rules.to_ambiguous_zoned_datetime(local).compatible().ok()?.timestamp();
        Some(Timestamp::from_micros(instant.as_microsecond()))
    }

    /// The first and the last instant at which a clock in this zone shows `local`. If it never does, because clocks go forward, both
    /// are the instant at which they do. The instants may lie outside the years 0000 to 9999.
    pub fn instants(&self, local: DateTime) -> Option<(Timestamp, Timestamp)> {
        let since_1970 = local.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
        let micros = i64::try_from(since_1970.as_micros()).ok()?;
        let at = |offset: Offset| Timestamp::from_micros(micros - i64::from(offset.seconds()) * 1_000_000);
        match self.rules.to_ambiguous_zoned_datetime(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => Some((at(offset), at(offset))),
            AmbiguousOffset::Fold { before, after } => Some((at(before), at(after))),
            AmbiguousOffset::Gap { after, .. } => {
                // With the later offset, the result is before the change.
                let before_change = jiff::Timestamp::from_microsecond(at(after).micros()).ok()?;
                let change = self.rules.following(before_change).next()?.timestamp();
                let change = Timestamp::from_micros(change.as_microsecond());
                Some((change, change))
            }
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Parses an offset such as `+02:00`, `-0330` or `+2`.
fn parse_offset(text: &str) -> Option<Offset> {
    let (sign, digits) = text.split_at(1);
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "0"),
    };
    let number = |text: &str, max: i32| {
        let plain = !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i32>().ok().filter(|number| plain && *number <= max)
    };
    let seconds = number(hours, 23)? * 3_600 + number(minutes, 59)? * 60;
    Offset::from_seconds(if sign == "-" { -seconds } else { seconds }).ok()
}

/// The width of a histogram's buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interval {
    /// Minutes, aligned with the hour.
    Minutes(i32),
    /// Hours, aligned with the day.
    Hours(i32),
    /// Days from midnight to midnight.
    Day,
    /// Weeks from Monday to Monday (ISO 8601).
    Week,
    /// Months from the first day to the next first day.
    Month,
    /// Years, aligned with the year 0.
    Years(i32),
}

impl Interval {
    /// Every interval with its name, narrowest first.
    pub const ALL: &[(&str, Self)] = &[
        ("1m", Self::Minutes(1)),
        ("5m", Self::Minutes(5)),
        ("15m", Self::Minutes(15)),
        ("1h", Self::Hours(1)),
        ("3h", Self::Hours(3)),
        ("12h", Self::Hours(12)),
        ("1d", Self::Day),
        ("1w", Self::Week),
        ("1mo", Self::Month),
        ("1y", Self::Years(1)),
        ("10y", Self::Years(10)),
        ("100y", Self::Years(100)),
    ];

    /// The interval with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, interval)| *interval)
    }

    /// The name of the interval.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// The beginnings of the buckets that cover `first` to `last`, both included, and the end of the last bucket: one
    /// more instant than there are buckets. `None` if more than `buckets_max` would be needed.
    pub fn bounds(self, zone: &Zone, first: Timestamp, last: Timestamp, buckets_max: usize) -> Option<Vec<Timestamp>> {
        // The library's calendar ends a day before that of the texts. Later instants fall into its last bucket.
        let first = Timestamp::from_micros(first.micros().min(jiff::Timestamp::MAX.as_second() * 1_000_000));
        let (mut local, offset_seconds) = zone.local(first)?;
        local = self.begin(local)?;
        let mut bounds = Vec::new();
        match self.seconds() {
            // These buckets have the same length even when clocks change, so they are counted in elapsed time.
            Some(seconds) => {
                let begin = jiff::Timestamp::from_second(
                    Offset::from_seconds(offset_seconds).ok()?.to_timestamp(local).ok()?.as_second(),
                )
                .ok()?;
                let mut at = Timestamp::from_micros(begin.as_microsecond());
                while at <= last && bounds.len() <= buckets_max {
                    bounds.push(at);
                    at = at.plus_seconds(seconds);
                }
                bounds.push(at);
            }
            None => {
                let mut at = zone.instant(local)?;
                while at <= last && bounds.len() <= buckets_max {
                    bounds.push(at);
                    // The calendar ends with the year 9999. A bucket that reaches its end has no upper bound.
                    let next = self.next(local).and_then(|next| Some((next, zone.instant(next)?)));
                    let Some((next, instant)) = next else {
                        at = Timestamp::from_micros(i64::MAX);
                        break;
                    };
                    (local, at) = (next, instant);
                }
                bounds.push(at);
            }
        }
        (bounds.len() <= buckets_max + 1).then_some(bounds)
    }

    /// The length in seconds, if all buckets have the same length.
    const fn seconds(self) -> Option<i64> {
        match self {
            Self::Minutes(minutes) => Some(60 * minutes as i64),
            Self::Hours(1) => Some(3_600),
            _ => None,
        }
    }

    /// The beginning of the bucket that contains `local`.
    fn begin(self, local: DateTime) -> Option<DateTime> {
        let (date, hour, minute) = (local.date(), local.hour(), local.minute());
        let floor = |value: i8, step: i32| i8::try_from(i32::from(value) / step * step).ok();
        Some(match self {
            Self::Minutes(step) => date.to_datetime(time(hour, floor(minute, step)?, 0, 0)),
            Self::Hours(step) => date.to_datetime(time(floor(hour, step)?, 0, 0, 0)),
            Self::Day => date.to_datetime(time(0, 0, 0, 0)),
            Self::Week => {
                let since_monday = i32::from(date.weekday().to_monday_zero_offset());
                date.checked_sub(since_monday.days()).unwrap_or(date).to_datetime(time(0, 0, 0, 0))
            }
            Self::Month => date.first_of_month().to_datetime(time(0, 0, 0, 0)),
            Self::Years(step) => {
                let year = i16::try_from(i32::from(date.year()).div_euclid(step) * step).ok()?;
                jiff::civil::Date::new(year, 1, 1).ok()?.to_datetime(time(0, 0, 0, 0))
            }
        })
    }

    /// The beginning of the bucket after the one that begins at `local`.
    fn next(self, local: DateTime) -> Option<DateTime> {
        let span = match self {
            Self::Minutes(step) => step.minutes(),
            Self::Hours(step) => step.hours(),
            Self::Day => 1.day(),
            Self::Week => 1.week(),
            Self::Month => 1.month(),
            Self::Years(step) => step.years(),
        };
        local.checked_add(span).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn texts(bounds: &[Timestamp]) -> Vec<String> {
        bounds.iter().map(|bound| bound.to_string().replace(":00.000000Z", "")).collect()
    }

    #[test]
    fn zones_are_names_or_offsets() {
        for (text, seconds) in
            [("UTC", 0), ("Europe/Berlin", 7_200), ("+05:30", 19_800), ("-3", -10_800), (" 0200", 7_200)]
        {
            assert_eq!(Zone::parse(text).unwrap().local(at("2024-07-01T00:00:00Z")).unwrap().1, seconds, "{text}");
        }
        for text in ["", "Mars/Olympus", "+", "+24:00", "+1:60", "+1x", "--1", "../UTC", "+5\u{52a}=", "-1é2"] {
            assert!(Zone::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_that_no_clock_shows_is_the_instant_at_which_clocks_go_forward() {
        for (zone, local, first, last) in [
            ("Europe/Berlin", "2026-03-29T02:00", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),
            ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),
            ("Europe/Berlin", "2026-03-29T03:00", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),
            ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
            ("America/New_York", "2026-03-08T02:59", "2026-03-08T07:00:00Z", "2026-03-08T07:00:00Z"),
            ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"),
            ("UTC", "9999-12-31T23:59", "9999-12-31T23:59:00Z", "9999-12-31T23:59:00Z"),
        ] {
            let instants = Zone::parse(zone).unwrap().instants(local.parse().unwrap());
            assert_eq!(instants, Some((at(first), at(last))), "{zone} {local}");
        }
    }

    #[test]
    fn days_begin_at_midnight_even_when_clocks_change() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let bounds = Interval::Day.bounds(&berlin, at("2024-03-30T12:00:00Z"), at("2024-04-01T12:00:00Z"), 10).unwrap();
        assert_eq!(texts(&bounds), ["2024-03-29T23:00", "2024-03-30T23:00", "2024-03-31T22:00", "2024-04-01T22:00"]);
        let hours =
            Interval::Hours(1).bounds(&berlin, at("2024-10-27T00:30:00Z"), at("2024-10-27T01:30:00Z"), 10).unwrap();
        assert_eq!(texts(&hours), ["2024-10-27T00:00", "2024-10-27T01:00", "2024-10-27T02:00"]);
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let bounds = |interval: Interval| {
            texts(&interval.bounds(&Zone::utc(), at("2024-02-29T10:00:00Z"), at("2024-03-01T00:00:00Z"), 10).unwrap())
        };
        assert_eq!(bounds(Interval::Week), ["2024-02-26T00:00", "2024-03-04T00:00"]);
        assert_eq!(bounds(Interval::Month), ["2024-02-01T00:00", "2024-03-01T00:00", "2024-04-01T00:00"]);
        assert_eq!(bounds(Interval::Years(10)), ["2020-01-01T00:00", "2030-01-01T00:00"]);
    }

    #[test]
    fn the_whole_calendar_can_be_covered_and_the_number_of_buckets_is_bounded() {
        let (first, last) = (at("0000-01-01T00:00:00Z"), at("9999-12-31T23:59:59.999999Z"));
        for zone in ["UTC", "+14:00", "-12:00"].map(|text| Zone::parse(text).unwrap()) {
            let bounds = Interval::Years(100).bounds(&zone, first, last, 120).unwrap();
            assert!(bounds[0] <= first && bounds.last().is_some_and(|end| *end > last), "{zone}");
            assert!(bounds.is_sorted());
            assert_eq!(Interval::Day.bounds(&zone, first, last, 2_000), None);
        }
    }

    #[test]
    fn names_are_read_back() {
        for (name, interval) in Interval::ALL {
            assert_eq!(Interval::parse(name), Some(*interval));
            assert_eq!(interval.name(), *name);
        }
        assert_eq!(Interval::parse("2h"), None);
    }

    #[test]
    fn the_last_day_of_the_calendar_has_a_bucket() {
        let last = Timestamp::parse("9999-12-31T23:59:59.999999Z").unwrap();
        for zone in ["UTC", "+14:00", "-12:00"] {
            for (name, interval) in Interval::ALL {
                let bounds = interval.bounds(&Zone::parse(zone).unwrap(), last, last, 1_000_000);
                let bounds = bounds.unwrap_or_else(|| panic!("{zone} {name}"));
                assert!(bounds.len() >= 2 && bounds[0] <= last && last < bounds[bounds.len() - 1], "{zone} {name}");
            }
        }
    }
}
