//! Time ranges as people choose them: the last days, or from one day to another, both included.

use jiff::civil::{Date, DateTime, Time};

use crate::model::{duration, filter::TimeRange, timestamp::Timestamp, zone::Zone};

/// The number of digits from which on a number is a time since 1970, since March 1973.
const EPOCH_DIGITS_MIN: usize = 9;

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

/// Parses an instant: RFC 3339, or a date, or a date and a time, in `zone` if they have no offset. `time` is the time that a form
/// sends apart from the date. A range ends with the end of the given day, hour, minute, second or fraction of a second.
pub(super) fn parse_instant(text: &str, time: &str, zone: &Zone, end: RangeEnd) -> Result<Timestamp, String> {
    let (first, last) = covered(text.trim(), time, zone).ok_or_else(|| not_a_time(text.trim()))?;
    Ok(match end {
        RangeEnd::From => first,
        RangeEnd::To => last,
    })
}

/// What is wrong with a text that is not an instant.
fn not_a_time(text: &str) -> String {
    // A shorter number is rather a year or a date.
    let is_epoch = text.split('.').next().is_some_and(|whole| whole.len() >= EPOCH_DIGITS_MIN);
    if let Some((at, unit)) = Timestamp::from_epoch(text).filter(|_| is_epoch) {
        return format!("is a number, read as {unit} since 1970; send the time in RFC 3339: \"{at}\"");
    }
    if duration::parse_seconds(text).is_ok() {
        return "is a duration, which only the command line takes; send the time itself, such as 2024-05-01T12:00:00Z"
            .to_owned();
    }
    "is not a date such as 2024-05-01, nor a time such as 2024-05-01T12:00:00Z or 2024-05-01T12:00:00+02:00".to_owned()
}

/// The first and the last instant that a text means.
fn covered(text: &str, time: &str, zone: &Zone) -> Option<(Timestamp, Timestamp)> {
    // A plus sign that was sent without encoding arrives as a space.
    if let Some(instant) = Timestamp::parse(&text.replace(' ', "+")) {
        let width = text.split_once('.').map_or(1_000_000, |(_, fraction)| {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            fraction_width(digits)
        });
        let begin = instant.micros().div_euclid(width) * width;
        return Some((instant, Timestamp::from_micros(begin + width - 1)));
    }
    let (date, within) = text.split_at_checked(10)?;
    let is_date = date
        .bytes()
        .enumerate()
        .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    let date: Date = date.parse().ok().filter(|_| is_date)?;
    if within.is_empty() {
        return on(date, time.trim(), zone);
    }
    let within = within.strip_prefix(['T', 't', ' '])?;
    let (time, zone) = match (within.strip_suffix(['Z', 'z']), within.rfind(['+', '-', ' '])) {
        (Some(time), _) => (time, &Zone::utc()),
        (None, Some(at)) => (within[..at].trim_end(), &Zone::parse(&within[at..]).ok()?),
        (None, None) => (within, zone),
    };
    if time.is_empty() { None } else { on(date, time, zone) }
}

/// The first and the last instant of a time on a day.
fn on(date: Date, time: &str, zone: &Zone) -> Option<(Timestamp, Timestamp)> {
    let (first, last) = times(time)?;
    let ((first, _), (_, last)) = (zone.instants(date.to_datetime(first))?, zone.instants(date.to_datetime(last))?);
    // Of a day at an end of the calendar, a part may lie outside.
    let (within_first, within_last) = (first.nameable(), last.nameable());
    (within_first <= last && first <= within_last).then_some((within_first, within_last))
}

/// The first and the last time of day that a text means: all day, an hour (`10`), a minute, a second, or a fraction of one.
fn times(text: &str) -> Option<(Time, Time)> {
    if text.is_empty() {
        return Some((Time::midnight(), Time::new(23, 59, 59, 999_999_000).ok()?));
    }
    let (text, fraction) = text.split_once('.').map_or((text, None), |(text, fraction)| (text, Some(fraction)));
    let parts = text.split(':').map(|part| part.parse().ok().filter(|_| part.len() == 2 && !part.starts_with('+')));
    let parts: Vec<i8> = parts.collect::<Option<_>>()?;
    if parts.len() > 3 {
        return None;
    }
    let (micros, width): (i64, i64) = match fraction {
        None => (0, 1_000_000),
        Some(digits) if parts.len() == 3 && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let six: String = digits.chars().chain("000000".chars()).take(6).collect();
            (six.parse().ok()?, fraction_width(digits.len()))
        }
        Some(_) => return None,
    };
    let at = |minute: i8, second: i8, micros: i64| {
        let [minute, second] =
            [(1, minute), (2, second)].map(|(index, other)| parts.get(index).copied().unwrap_or(other));
        Time::new(*parts.first()?, minute, second, i32::try_from(micros * 1_000).ok()?).ok()
    };
    Some((at(0, 0, micros)?, at(59, 59, micros + width - 1)?))
}

/// The width in microseconds of a fraction of a second with this number of digits.
fn fraction_width(digits: usize) -> i64 {
    (digits..6).fold(1, |width, _| width * 10)
}

/// RFC 3339 in `zone`, to the microsecond where it is not a whole second.
pub fn exact(zone: &Zone, at: Timestamp) -> String {
    written(zone, at, at.micros().rem_euclid(1_000_000) != 0)
}

/// The end of a range in RFC 3339, to the microsecond: without it, the range would end with the end of the second.
pub fn exact_end(zone: &Zone, at: Timestamp) -> String {
    written(zone, at, true)
}

fn written(zone: &Zone, at: Timestamp, with_micros: bool) -> String {
    let whole = zone.format(at);
    let micros = at.micros().rem_euclid(1_000_000);
    match whole.len() {
        _ if !with_micros => whole,
        // Before the offset, which has six characters.
        25 => format!("{}.{micros:06}{}", &whole[..19], &whole[19..]),
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
        for text in [
            "yesterday",
            "",
            "2024-05",
            "2024-02-30",
            "2024-05-01T25:00",
            "2024-05-01T1:00",
            "2024-05-01T10:00.5",
            "2024-05-01T10:00:00.",
            "2024-05-01T10:00:00:00",
            "2024-05-01T+1:00",
            "2024-05-01X10:00",
            "2024-05-01Z",
            "2024-W18-3",
            "1714564800",
            "0000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-23:59",
        ] {
            assert_eq!(parse(text, "", RangeEnd::To), None, "{text}");
        }
    }

    #[test]
    fn a_less_precise_time_covers_all_of_it() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        for (text, first, last) in [
            ("2024-05-01", "2024-04-30T22:00:00.000000Z", "2024-05-01T21:59:59.999999Z"),
            ("2024-05-01T10", "2024-05-01T08:00:00.000000Z", "2024-05-01T08:59:59.999999Z"),
            ("2024-05-01T10Z", "2024-05-01T10:00:00.000000Z", "2024-05-01T10:59:59.999999Z"),
            ("2024-05-01T10:30", "2024-05-01T08:30:00.000000Z", "2024-05-01T08:30:59.999999Z"),
            ("2024-05-01T10:30Z", "2024-05-01T10:30:00.000000Z", "2024-05-01T10:30:59.999999Z"),
            ("2024-05-01 10:30 -02:00", "2024-05-01T12:30:00.000000Z", "2024-05-01T12:30:59.999999Z"),
            ("2024-05-01 10:30:05", "2024-05-01T08:30:05.000000Z", "2024-05-01T08:30:05.999999Z"),
            ("2024-05-01t10:30:05z", "2024-05-01T10:30:05.000000Z", "2024-05-01T10:30:05.999999Z"),
            ("2024-05-01 10:30:05Z", "2024-05-01T10:30:05.000000Z", "2024-05-01T10:30:05.999999Z"),
            ("2024-05-01T10:30:05 02:00", "2024-05-01T08:30:05.000000Z", "2024-05-01T08:30:05.999999Z"),
            ("2024-05-01T10:30:05+0200", "2024-05-01T08:30:05.000000Z", "2024-05-01T08:30:05.999999Z"),
            ("2024-05-01T10:30:05.5Z", "2024-05-01T10:30:05.500000Z", "2024-05-01T10:30:05.599999Z"),
            ("2024-05-01T10:30:05.511Z", "2024-05-01T10:30:05.511000Z", "2024-05-01T10:30:05.511999Z"),
            ("2024-05-01T10:30:05.511", "2024-05-01T08:30:05.511000Z", "2024-05-01T08:30:05.511999Z"),
            ("2024-05-01T10:30:05.123456789Z", "2024-05-01T10:30:05.123456Z", "2024-05-01T10:30:05.123456Z"),
            ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59.000000Z", "1969-12-31T23:59:59.999999Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000000Z", "9999-12-31T23:59:59.999999Z"),
            // Of the days at both ends of the calendar, a part has no name in UTC.
            ("9999-12-31", "9999-12-30T23:00:00.000000Z", "9999-12-31T22:59:59.999999Z"),
            ("9999-12-31T00:00-12:00", "9999-12-31T12:00:00.000000Z", "9999-12-31T12:00:59.999999Z"),
            ("0000-01-01", "0000-01-01T00:00:00.000000Z", "0000-01-01T23:06:31.999999Z"),
            // Clocks show this hour twice, and the hour in spring never.
            ("2024-10-27T02:30", "2024-10-27T00:30:00.000000Z", "2024-10-27T01:30:59.999999Z"),
            ("2024-10-27T01:59", "2024-10-26T23:59:00.000000Z", "2024-10-26T23:59:59.999999Z"),
            ("2024-03-31T02:30", "2024-03-31T01:00:00.000000Z", "2024-03-31T01:00:00.000000Z"),
            ("2024-03-31T02", "2024-03-31T01:00:00.000000Z", "2024-03-31T01:00:00.000000Z"),
            ("2024-03-31T03", "2024-03-31T01:00:00.000000Z", "2024-03-31T01:59:59.999999Z"),
        ] {
            let parse = |end| parse_instant(text, "", &berlin, end).unwrap().to_string();
            assert_eq!([parse(RangeEnd::From), parse(RangeEnd::To)], [first, last], "{text}");
        }
    }

    #[test]
    fn an_error_says_how_to_write_the_time() {
        for (text, expected) in [
            ("1714564800", "read as seconds since 1970; send the time in RFC 3339: \"2024-05-01T12:00:00.000000Z\""),
            (
                "1714564800123",
                "read as milliseconds since 1970; send the time in RFC 3339: \"2024-05-01T12:00:00.123000Z\"",
            ),
            ("1714564800.5", "\"2024-05-01T12:00:00.500000Z\""),
            ("24h", "is a duration, which only the command line takes"),
            ("1h 30m", "is a duration, which only the command line takes"),
            ("2024", "is not a date such as 2024-05-01"),
            ("20240501", "is not a date such as 2024-05-01"),
            ("yesterday", "is not a date such as 2024-05-01"),
        ] {
            let error = parse_instant(text, "", &Zone::utc(), RangeEnd::From).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn the_end_of_a_range_is_written_to_the_microsecond() {
        for zone in [Zone::utc(), Zone::parse("Europe/Berlin").unwrap()] {
            for micros in [0, 1, -1, 999_999, 1_714_564_800_000_000] {
                let at = Timestamp::from_micros(micros);
                assert_eq!(parse_instant(&exact_end(&zone, at), "", &zone, RangeEnd::To), Ok(at));
                assert_eq!(parse_instant(&exact(&zone, at), "", &zone, RangeEnd::From), Ok(at));
            }
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
