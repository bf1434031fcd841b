//! Decimal numbers of any length, compared by value: a number of 30 digits keeps all of them.

use std::{
    cmp::Ordering,
    fmt::{self, Write},
};

/// Maximum number of significant digits. Longer texts are not numbers here.
const DIGITS_MAX: usize = 100;
/// Maximum of the exponent's absolute value.
const EXPONENT_MAX: i32 = 10_000;
/// Maximum number of zeros that replace an exponent.
const ZEROS_MAX: i32 = 21;

/// A decimal number: 0.`digits` · 10^`exponent`, with the sign.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decimal {
    is_negative: bool,
    exponent: i32,
    /// Without zeros at either end; empty for 0.
    digits: String,
}

impl Decimal {
    /// Parses a number as JSON writes it, also with a plus sign or zeros before it; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (is_negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        let are_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0');
        let leading = i32::try_from(all.len() - significant.len()).ok()?;
        let digits = significant.trim_end_matches('0');
        if digits.is_empty() {
            return Some(Self { is_negative: false, exponent: 0, digits: String::new() });
        }
        let exponent = exponent.checked_add(i32::try_from(whole.len()).ok()? - leading)?;
        let is_bounded = digits.len() <= DIGITS_MAX && exponent.abs() <= EXPONENT_MAX;
        is_bounded.then(|| Self { is_negative, exponent, digits: digits.to_owned() })
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            // Without zeros at the end, the order of texts is the order of fractions.
            (false, false) => self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits)),
        }
    }
}

fn parse_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.strip_prefix('+').unwrap_or(text).parse().ok().filter(|_| is_number)
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The one text of all spellings of a number: `403` for `403.0` and `4.03e2`.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.digits.is_empty() {
            return f.write_char('0');
        }
        if self.is_negative {
            f.write_char('-')?;
        }
        let length = i32::try_from(self.digits.len()).unwrap_or(i32::MAX);
        let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
        match self.exponent {
            small if small <= 0 && -small <= ZEROS_MAX => write!(f, "0.{}{}", zeros(-small), self.digits),
            large if large >= length && large - length <= ZEROS_MAX => {
                write!(f, "{}{}", self.digits, zeros(large - length))
            }
            within if within > 0 && within < length => {
                let (whole, fraction) = self.digits.split_at(usize::try_from(within).unwrap_or(0));
                write!(f, "{whole}.{fraction}")
            }
            other => {
                let (first, rest) = self.digits.split_at(1);
                let point = if rest.is_empty() { "" } else { "." };
                write!(f, "{first}{point}{rest}e{}", other - 1)
            }
        }
    }
}

/// An end of a range, and whether the range includes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bound {
    at: Decimal,
    is_included: bool,
}

/// A range of numbers. A missing end is open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumberRange {
    from: Option<Bound>,
    to: Option<Bound>,
}

impl NumberRange {
    /// Parses a number (`403`) or a range: `>=400`, `<1e6`, `400..499` with both ends included, `400..` or `..499`. `None`
    /// for any other text, and for a range whose end is below its beginning.
    pub fn parse(text: &str) -> Option<Self> {
        let bound = |text: &str, is_included| Some(Bound { at: Decimal::parse(text.trim())?, is_included });
        let text = text.trim();
        for (sign, is_from, is_included) in
            [(">=", true, true), ("<=", false, true), (">", true, false), ("<", false, false)]
        {
            if let Some(number) = text.strip_prefix(sign) {
                let bound = Some(bound(number, is_included)?);
                return Some(if is_from { Self { from: bound, to: None } } else { Self { from: None, to: bound } });
            }
        }
        let Some((from, to)) = text.split_once("..") else {
            let own = bound(text, true)?;
            return Some(Self { from: Some(own.clone()), to: Some(own) });
        };
        let end = |text: &str| if text.trim().is_empty() { Some(None) } else { bound(text, true).map(Some) };
        let range = Self { from: end(from)?, to: end(to)? };
        match (&range.from, &range.to) {
            (None, None) => None,
            (Some(from), Some(to)) if from.at > to.at => None,
            _ => Some(range),
        }
    }

    /// Whether a text is a number in the range.
    pub fn holds(&self, text: &str) -> bool {
        let Some(number) = Decimal::parse(text) else { return false };
        let passes = |bound: &Bound, order: Ordering| match number.cmp(&bound.at) {
            Ordering::Equal => bound.is_included,
            found => found == order,
        };
        self.from.as_ref().is_none_or(|from| passes(from, Ordering::Greater))
            && self.to.as_ref().is_none_or(|to| passes(to, Ordering::Less))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        let ascending = [
            "-1e30",
            "-1000.5",
            "-1",
            "-0.5",
            "-0.05",
            "0",
            "1e-300",
            "0.05",
            "0.5",
            "1",
            "1.5",
            "9",
            "10",
            "99.9",
            "403",
            "12345678901234567890.1",
            "12345678901234567890.2",
            "1e30",
        ];
        let numbers: Vec<_> = ascending.iter().map(|text| Decimal::parse(text).unwrap()).collect();
        for (place, one) in numbers.iter().enumerate() {
            for (other_place, other) in numbers.iter().enumerate() {
                assert_eq!(one.cmp(other), place.cmp(&other_place), "{one} {other}");
            }
            assert_eq!(Decimal::parse(&one.to_string()).as_ref(), Some(one));
        }
    }

    #[test]
    fn a_number_has_one_text() {
        for (texts, one) in [
            (["403", "403.0", "4.03e2", "+0403", "403000E-3"], "403"),
            (["0", "-0", "0.0", "0e9", "000"], "0"),
            (["-0.5", "-.5e0", "-5e-1", "-0.50", "-50E-2"], "-0.5"),
            (["1e30", "1.0e+30", "10e29", "1E30", "0.1e31"], "1e30"),
        ] {
            for text in texts.into_iter().filter(|text| !text.starts_with("-.")) {
                assert_eq!(Decimal::parse(text).map(|number| number.to_string()).as_deref(), Some(one), "{text}");
            }
        }
        let long = "9".repeat(DIGITS_MAX + 1);
        for text in ["", "-", "e1", "1e", "1.", ".5", "0x10", "1_000", "NaN", "Infinity", " 1", "1e99999", &long] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ranges_hold_numbers_only() {
        for (range, held, others) in [
            ("403", vec!["403", "403.0"], vec!["404", "4030"]),
            (">=400", vec!["400", "1e3"], vec!["399.999", "-400"]),
            ("> 400", vec!["400.1"], vec!["400", "3"]),
            ("<=-1", vec!["-1", "-2"], vec!["0", "1"]),
            ("400..499", vec!["400", "499"], vec!["399", "499.5"]),
            ("..0", vec!["0", "-7"], vec!["0.1"]),
            ("-5..", vec!["-5", "0"], vec!["-5.1"]),
        ] {
            let range = NumberRange::parse(range).unwrap();
            assert!(held.iter().all(|text| range.holds(text)), "{range:?}");
            assert!(others.iter().chain(&["", "x", "4xx"]).all(|text| !range.holds(text)), "{range:?}");
        }
        for text in ["", "..", "4xx", "5..4", ">", "1...2", ">=a"] {
            assert_eq!(NumberRange::parse(text), None, "{text}");
        }
    }
}
