//! Instants with microsecond precision, as the file and the API have them.

use std::fmt;

use time::{
    OffsetDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

/// RFC 3339 in UTC, always with six fractional digits: such texts sort like the instants.
const UTC_MICROS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z in microseconds since 1970.
const FIRST_MICROS: i64 = -62_167_219_200_000_000;
const LAST_MICROS: i64 = 253_402_300_799_999_999;

/// The units of a time that is a number: the numbers below which a time is in this unit, its microseconds as a fraction
/// (numerator, denominator), and its name. Times from 1973 to 5138 are read in the unit in which they were written.
const EPOCH_UNITS: [(f64, (i128, i128), &str); 4] = [
    (1e11, (1_000_000, 1), "seconds"),
    (1e14, (1_000, 1), "milliseconds"),
    (1e17, (1, 1), "microseconds"),
    (1e20, (1, 1_000), "nanoseconds"),
];

/// An instant: microseconds since 1970-01-01T00:00:00Z. Finer digits are truncated, so that an instant never moves past
/// a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The system clock's current instant.
    pub fn now() -> Self {
        Self::from_instant(OffsetDateTime::now_utc())
    }

    /// Reads an RFC 3339 `date-time` with any offset; `None` if `text` is invalid, or if the instant lies outside the
    /// years 0000 to 9999 in UTC, where no such text can represent it.
    pub fn parse(text: &str) -> Option<Self> {
        let instant = OffsetDateTime::parse(text, &Rfc3339).ok().map(Self::from_instant)?;
        (FIRST_MICROS..=LAST_MICROS).contains(&instant.0).then_some(instant)
    }

    /// Reads a number, with or without a fraction, as a time since 1970-01-01T00:00:00Z. The magnitude decides the unit, whose
    /// name is returned too; `None` if `text` is not a number, or if the instant lies outside the years 0000 to 9999.
    pub fn from_epoch(text: &str) -> Option<(Self, &'static str)> {
        let number: f64 = text.parse().ok()?;
        let (_, (times, per), unit) = EPOCH_UNITS.into_iter().find(|(below, ..)| number.abs() < *below)?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        // Billionths of the unit: nine digits of the fraction, which are exact.
        let billionths = match (whole.parse::<i128>(), format!("{fraction:0<9.9}").parse::<i128>()) {
            (Ok(whole), Ok(fraction)) if !text.contains(['-', 'e', 'E']) => whole * 1_000_000_000 + fraction,
            // An exponent or a sign.
            #[expect(clippy::cast_possible_truncation, reason = "below 10 to the 29th")]
            _ => (number * 1e9) as i128,
        };
        let micros = i64::try_from((billionths * times).div_euclid(per * 1_000_000_000)).ok()?;
        (FIRST_MICROS..=LAST_MICROS).contains(&micros).then_some((Self(micros), unit))
    }

    /// The instant `micros` microseconds after 1970-01-01T00:00:00Z.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The instant `seconds` seconds after 1970-01-01T00:00:00Z.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(0).plus_seconds(seconds)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// This instant moved by `seconds`, which may be negative.
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// This instant, or the nearest one that a text can represent.
    pub fn nameable(self) -> Self {
        Self(self.0.clamp(FIRST_MICROS, LAST_MICROS))
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, as in JWTs.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    fn from_instant(instant: OffsetDateTime) -> Self {
        let micros = instant.unix_timestamp_nanos().div_euclid(1_000);
        // Years -1 to 10000 span less than 2^59 microseconds.
        Self(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

/// Whether two RFC 3339 texts mean the same instant, to the nanosecond.
pub fn is_same_instant(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    one.is_some() && one == other
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000);
        let text = instant.ok().and_then(|instant| instant.format(UTC_MICROS).ok());
        // An instant outside the four-digit years can only come from a damaged file.
        f.write_str(text.as_deref().unwrap_or("(out of range)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_fractions_name_the_same_instant() {
        let utc = Timestamp::parse("2024-02-29T22:59:59.1234567Z").unwrap();
        assert_eq!(utc, Timestamp::parse("2024-03-01T00:59:59.123456+02:00").unwrap());
        assert_eq!(utc.to_string(), "2024-02-29T22:59:59.123456Z");
    }

    #[test]
    fn the_magnitude_of_a_number_decides_its_unit() {
        for (text, expected, unit) in [
            ("1714564800", "2024-05-01T12:00:00.000000Z", "seconds"),
            ("1714564800.123456789", "2024-05-01T12:00:00.123456Z", "seconds"),
            ("1.7145648e9", "2024-05-01T12:00:00.000000Z", "seconds"),
            ("1.7145648005e9", "2024-05-01T12:00:00.500000Z", "seconds"),
            ("1714564800123", "2024-05-01T12:00:00.123000Z", "milliseconds"),
            ("1714564800123.5", "2024-05-01T12:00:00.123500Z", "milliseconds"),
            ("1714564800123456", "2024-05-01T12:00:00.123456Z", "microseconds"),
            ("1714564800123456789", "2024-05-01T12:00:00.123456Z", "nanoseconds"),
            ("0", "1970-01-01T00:00:00.000000Z", "seconds"),
            ("-1.5", "1969-12-31T23:59:58.500000Z", "seconds"),
        ] {
            let (at, found) = Timestamp::from_epoch(text).unwrap();
            assert_eq!((at.to_string().as_str(), found), (expected, unit), "{text}");
        }
        for text in ["", "now", "NaN", "inf", "1e30", "-1e20", "2024-05-01", "1714564800s", "1e999"] {
            assert_eq!(Timestamp::from_epoch(text), None, "{text}");
        }
    }

    #[test]
    fn texts_of_the_same_instant_are_compared_to_the_nanosecond() {
        let same = |other: &str| is_same_instant("2024-05-01T12:00:00Z", other);
        for text in ["2024-05-01T12:00:00.000Z", "2024-05-01t14:00:00+02:00", "2024-05-01T12:00:00-00:00"] {
            assert!(same(text), "{text}");
        }
        assert!(!same("2024-05-01T12:00:00.000000001Z") && !same("yesterday") && !is_same_instant("x", "x"));
    }

    #[test]
    fn fractions_before_1970_are_cut_towards_the_past() {
        assert_eq!(Timestamp::parse("1969-12-31T23:59:59.9999999Z").unwrap().micros(), -1);
    }

    #[test]
    fn the_first_and_the_last_instant_are_those_that_utc_can_name() {
        for text in ["0000-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
        }
        for text in ["0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "9999-12-31T23:59:59-23:59"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn other_texts_than_date_times_are_rejected() {
        for text in ["", "now", "2024-02-30T00:00:00Z", "2024-02-29", "2024-02-29T00:00:00", "1709164800"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
