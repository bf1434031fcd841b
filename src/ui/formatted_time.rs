//! Times for people: absolute with the zone, and relative to now.

use crate::model::{timestamp::Timestamp, zone::Zone};

/// A formatted instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FormattedTime {
    /// RFC 3339 in UTC.
    pub(super) machine: String,
    /// `2024-05-01`
    pub(super) date: String,
    /// `12:30:05`
    pub(super) clock: String,
    /// `.123456` without trailing zeros; empty for a whole second.
    pub(super) fraction: String,
    /// `UTC` or `+02:00`
    pub(super) offset: String,
    /// `3 hours ago`
    pub(super) ago: String,
}

impl FormattedTime {
    pub(super) fn new(at: Timestamp, zone: &Zone, now: Timestamp) -> Self {
        let machine = at.to_string();
        let Some((local, seconds)) = zone.local(at) else {
            return Self { date: machine.clone(), machine, ..Self::default() };
        };
        let micros = at.micros().rem_euclid(1_000_000);
        let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
        Self {
            machine,
            date: local.strftime("%Y-%m-%d").to_string(),
            clock: local.strftime("%H:%M:%S").to_string(),
            fraction: fraction.trim_end_matches('0').to_owned(),
            offset: if zone == &Zone::utc() { "UTC".to_owned() } else { offset(seconds) },
            ago: ago(at, now),
        }
    }

    /// The same instant in UTC, if another zone is shown.
    pub(super) fn utc(&self) -> Option<String> {
        let (date, time) = self.machine.trim_end_matches('Z').split_once('T').filter(|_| self.offset != "UTC")?;
        let time = time.trim_end_matches('0').trim_end_matches('.');
        // Only zeros of the fraction are removed.
        let time = if time.len() < 8 { &self.machine[11..19] } else { time };
        Some(format!("{date} {time} UTC"))
    }

    /// Date, time and zone on one line.
    pub(super) fn full(&self) -> String {
        format!("{} {}{} {}", self.date, self.clock, self.fraction, self.offset)
    }
}

/// The shortest exact text for a time range. `end` is the first instant after the range.
pub(super) fn span(start: Timestamp, end: Timestamp, zone: &Zone) -> String {
    let (Some((first, _)), Some((after, _)), Some((last, _))) =
        (zone.local(start), zone.local(end), zone.local(Timestamp::from_micros(end.micros() - 1)))
    else {
        return format!("{start} – {end}");
    };
    let is_midnight = |local: jiff::civil::DateTime| local.time() == jiff::civil::Time::midnight();
    if is_midnight(first) && is_midnight(after) {
        let (first, last) = (first.strftime("%a %Y-%m-%d"), last.strftime("%a %Y-%m-%d"));
        return if first.to_string() == last.to_string() { first.to_string() } else { format!("{first} – {last}") };
    }
    let clock = if first.second() == 0 && after.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    let begin = first.strftime(&format!("%a %Y-%m-%d {clock}")).to_string();
    let end = if first.date() == last.date() { clock.to_owned() } else { format!("%a %Y-%m-%d {clock}") };
    let end = if first.date() == last.date() && is_midnight(after) {
        "24:00".to_owned()
    } else {
        after.strftime(&end).to_string()
    };
    format!("{begin} – {end}")
}

/// The distance between two instants, in the largest unit that fits.
pub(super) fn length(seconds: i64) -> String {
    const UNITS: [(i64, &str); 6] = [
        (365 * 86_400, "year"),
        (30 * 86_400, "month"),
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let seconds = seconds.abs();
    let (count, unit) = UNITS
        .into_iter()
        .map(|(length, unit)| (seconds / length, unit))
        .find(|(count, _)| *count > 0)
        .unwrap_or((0, "second"));
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    match now.seconds() - at.seconds() {
        0..=1 => "just now".to_owned(),
        past @ 2.. => format!("{} ago", length(past)),
        ahead => format!("{} ahead", length(ahead)),
    }
}

fn offset(seconds: i32) -> String {
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs() / 60);
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// A count with thousands separators.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn the_zone_is_always_said() {
        let now = at("2024-05-01T13:00:00Z");
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let shown = |text, zone: &Zone| FormattedTime::new(at(text), zone, now).full();
        assert_eq!(shown("2024-05-01T10:00:00.120Z", &berlin), "2024-05-01 12:00:00.12 +02:00");
        assert_eq!(shown("2024-05-01T10:00:00Z", &Zone::utc()), "2024-05-01 10:00:00 UTC");
        let beside = |text, zone: &Zone| FormattedTime::new(at(text), zone, now).utc();
        assert_eq!(beside("2024-05-01T00:30:00.120+02:00", &berlin), Some("2024-04-30 22:30:00.12 UTC".to_owned()));
        assert_eq!(beside("2024-05-01T10:00:00Z", &berlin), Some("2024-05-01 10:00:00 UTC".to_owned()));
        assert_eq!(beside("2024-05-01T10:00:00Z", &Zone::utc()), None);
    }

    #[test]
    fn how_long_ago_is_said_in_the_largest_unit() {
        for (text, expected) in [
            ("2024-05-01T13:00:00Z", "just now"),
            ("2024-05-01T12:59:00Z", "1 minute ago"),
            ("2024-04-29T13:00:00Z", "2 days ago"),
            ("2024-05-01T15:00:00Z", "2 hours ahead"),
        ] {
            assert_eq!(ago(at(text), at("2024-05-01T13:00:00Z")), expected);
        }
    }

    #[test]
    fn spans_are_named_by_days_where_they_are_days() {
        let zone = Zone::utc();
        for (start, end, expected) in [
            ("2024-05-01T00:00:00Z", "2024-05-02T00:00:00Z", "Wed 2024-05-01"),
            ("2024-05-01T00:00:00Z", "2024-05-03T00:00:00Z", "Wed 2024-05-01 – Thu 2024-05-02"),
            ("2024-05-01T21:00:00Z", "2024-05-02T00:00:00Z", "Wed 2024-05-01 21:00 – 24:00"),
            ("2024-05-01T21:00:00Z", "2024-05-01T22:30:00Z", "Wed 2024-05-01 21:00 – 22:30"),
            ("2024-05-01T21:00:05Z", "2024-05-02T01:00:00Z", "Wed 2024-05-01 21:00:05 – Thu 2024-05-02 01:00:00"),
        ] {
            assert_eq!(span(at(start), at(end), &zone), expected);
        }
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1_000, 12_345_678].map(grouped), ["0", "999", "1,000", "12,345,678"]);
    }
}
