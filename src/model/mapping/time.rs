//! Times in the notations that systems write.

use jiff::{civil::DateTime, fmt::rfc2822};

use crate::model::{timestamp::Timestamp, zone::Zone};

/// A time as RFC 3339; `None` if the text is not a time, or one that RFC 3339 cannot represent.
///
/// An RFC 3339 time is returned unchanged. Other notations become RFC 3339 in UTC:
///
/// - seconds, milliseconds, microseconds or nanoseconds since 1970, recognized by their magnitude; 0 means that the time is absent;
/// - ISO 8601 with a space instead of the `T`, or without an offset, which then is that of `zone`;
/// - the time of access logs (`02/Jan/2026:15:04:05 +0000`), of e-mails (RFC 5322), and of CEF (`Jan 02 2026 15:04:05.123 UTC`).
pub(super) fn rfc3339(text: &str, zone: &Zone) -> Option<String> {
    let text = text.trim();
    if Timestamp::parse(text).is_some() {
        return Some(text.to_owned());
    }
    let at = epoch(text).or_else(|| civil(text, zone)).or_else(|| with_offset(text)).or_else(|| cef(text, zone))?;
    let written = at.to_string();
    Timestamp::parse(&written).is_some().then_some(written)
}

/// A number since 1970. 0 means that the time is absent.
fn epoch(text: &str) -> Option<Timestamp> {
    Timestamp::from_epoch(text).map(|(at, _)| at).filter(|at| *at != Timestamp::from_micros(0))
}

/// A date and time without an offset.
fn civil(text: &str, zone: &Zone) -> Option<Timestamp> {
    let text = text.replace(',', ".");
    // The library reads a date alone as midnight.
    if !text.contains(':') {
        return None;
    }
    if let Some(text) = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT")) {
        return text.parse::<DateTime>().ok().and_then(|local| Zone::utc().instant(local));
    }
    // The library ignores an offset here.
    let is_local = text.get(10..).is_some_and(|time| !time.contains(['+', '-', 'Z', 'z', '[']));
    is_local.then(|| text.parse::<DateTime>().ok().and_then(|local| zone.instant(local)))?
}

/// A date and time with an offset.
fn with_offset(text: &str) -> Option<Timestamp> {
    // The offset may follow a space.
    let joined = text.strip_suffix(" UTC").unwrap_or(text).replace(',', ".").replace(" +", "+").replace(" -", "-");
    let iso = || joined.parse::<jiff::Timestamp>().ok();
    let access_log = || jiff::Timestamp::strptime("%d/%b/%Y:%H:%M:%S%.f %z", text).ok();
    let mail = || rfc2822::parse(text).ok().map(|at| at.timestamp());
    let instant = iso().or_else(access_log).or_else(mail)?;
    Some(Timestamp::from_micros(instant.as_microsecond()))
}

/// A time of CEF or LEEF: `MMM dd yyyy HH:mm:ss`, a fraction and UTC being optional.
fn cef(text: &str, zone: &Zone) -> Option<Timestamp> {
    let utc = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT"));
    let local = DateTime::strptime("%b %d %Y %H:%M:%S%.f", utc.unwrap_or(text)).ok()?;
    if utc.is_some() { Zone::utc().instant(local) } else { zone.instant(local) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_is_read() {
        let utc = Zone::utc();
        for (text, expected) in [
            ("2024-05-01T12:00:00+02:00", "2024-05-01T12:00:00+02:00"),
            ("1646861401", "2022-03-09T21:30:01.000000Z"),
            ("1646861401.5241024", "2022-03-09T21:30:01.524102Z"),
            ("1.6468614015e9", "2022-03-09T21:30:01.500000Z"),
            ("1646861401524", "2022-03-09T21:30:01.524000Z"),
            ("1646861401524.5", "2022-03-09T21:30:01.524500Z"),
            ("1646861401524102", "2022-03-09T21:30:01.524102Z"),
            ("1646861401524102999", "2022-03-09T21:30:01.524102Z"),
            ("-1", "1969-12-31T23:59:59.000000Z"),
            ("2022-03-22 14:21:53.225", "2022-03-22T14:21:53.225000Z"),
            ("2022-03-22 14:21:53,225", "2022-03-22T14:21:53.225000Z"),
            ("2025-10-15 18:41:19.605000000", "2025-10-15T18:41:19.605000Z"),
            ("2022-03-22T14:21:53", "2022-03-22T14:21:53.000000Z"),
            ("2022-03-22 14:21:53 UTC", "2022-03-22T14:21:53.000000Z"),
            ("2022-03-22 14:21:53 +0200", "2022-03-22T12:21:53.000000Z"),
            ("2022-03-22 14:21:53.5 +0000 UTC", "2022-03-22T14:21:53.500000Z"),
            ("2022-03-22T14:21:53+0200", "2022-03-22T12:21:53.000000Z"),
            ("2022-03-22 14:21:53Z", "2022-03-22 14:21:53Z"),
            ("02/Jan/2026:15:04:05 +0000", "2026-01-02T15:04:05.000000Z"),
            ("02/Jan/2026:15:04:05 -0730", "2026-01-02T22:34:05.000000Z"),
            ("Fri, 02 Jan 2026 15:04:05 +0100", "2026-01-02T14:04:05.000000Z"),
            ("Jan 02 2026 15:04:05", "2026-01-02T15:04:05.000000Z"),
            ("Jan 2 2026 15:04:05.123", "2026-01-02T15:04:05.123000Z"),
            ("Jan 02 2026 15:04:05.123 UTC", "2026-01-02T15:04:05.123000Z"),
            (" 1646861401 ", "2022-03-09T21:30:01.000000Z"),
        ] {
            assert_eq!(rfc3339(text, &utc).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_time_without_an_offset_is_in_the_zone_of_the_preset() {
        let zone = Zone::parse("Europe/Berlin").unwrap();
        for (text, expected) in [
            ("2022-07-22 14:21:53.225", "2022-07-22T12:21:53.225000Z"),
            ("2022-07-22 14:21:53 UTC", "2022-07-22T14:21:53.000000Z"),
            ("1646861401", "2022-03-09T21:30:01.000000Z"),
        ] {
            assert_eq!(rfc3339(text, &zone).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_not_times() {
        let utc = Zone::utc();
        for text in [
            "",
            "redacted",
            "0",
            "0.000",
            "2024-02-30 00:00:00",
            "2024-12-17 00:00:00000000",
            "2024-02-29",
            "99999999999999999999",
            "1e400",
            "1.2.3",
            "-",
            "0x10",
            "10000-01-01 00:00:00",
            "32/Jan/2026:15:04:05 +0000",
        ] {
            assert_eq!(rfc3339(text, &utc), None, "{text}");
        }
    }
}
