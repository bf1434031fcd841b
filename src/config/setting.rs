//! The types that a setting can have: how each is read from TOML and from an environment variable, and how it is printed.

use std::{collections::BTreeMap, net::SocketAddr, ops::RangeInclusive, path::PathBuf};

use ipnet::IpNet;
use toml::Value;

use crate::model::{door::Door, networks::parse_network, retention::KeepBy, self_audit::Record};

/// The range of a number whose row names none.
pub(super) const ANY_NUMBER: RangeInclusive<u64> = 0..=u64::MAX;

/// A type that a setting can have.
pub(super) trait Setting: Sized {
    /// Turns the text of an environment variable into a TOML value. `None` if only the file can set such a setting.
    const FROM_VARIABLE: Option<fn(&str) -> Value> = Some(|text| Value::from(text));

    /// Reads a value; `range` applies to numbers. The error follows the key's name in a sentence.
    fn read(value: &Value, range: &RangeInclusive<u64>) -> Result<Self, String>;

    /// The value in the form that a file has.
    fn to_toml(&self) -> Value;
}

macro_rules! numbers {
    ($($number:ty),+) => {
        $(impl Setting for $number {
            const FROM_VARIABLE: Option<fn(&str) -> Value> =
                Some(|text| text.trim().parse().map_or_else(|_| Value::from(text), Value::Integer));

            fn read(value: &Value, range: &RangeInclusive<u64>) -> Result<Self, String> {
                let number = number(value, range)?;
                let out_of_range = || format!("must be between {} and {}, not {number}", range.start(), range.end());
                number.try_into().ok().filter(|_| range.contains(&number)).ok_or_else(out_of_range)
            }

            fn to_toml(&self) -> Value {
                integer(*self)
            }
        })+
    };
}

numbers!(u32, u64, usize, i64);

/// A setting written as one string.
trait Text: Sized {
    fn parse(text: &str) -> Result<Self, String>;
    fn print(&self) -> String;
}

impl<T: Text> Setting for T {
    fn read(value: &Value, _range: &RangeInclusive<u64>) -> Result<Self, String> {
        T::parse(value.as_str().ok_or_else(|| wrong_type("a string in quotes", value))?)
    }

    fn to_toml(&self) -> Value {
        self.print().into()
    }
}

impl<T: Text> Setting for Vec<T> {
    const FROM_VARIABLE: Option<fn(&str) -> Value> =
        Some(|text| text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect::<Vec<_>>().into());

    fn read(value: &Value, _range: &RangeInclusive<u64>) -> Result<Self, String> {
        let texts: Option<Vec<_>> = value.as_array().and_then(|items| items.iter().map(Value::as_str).collect());
        texts.ok_or_else(|| wrong_type("a list of strings", value))?.into_iter().map(T::parse).collect()
    }

    fn to_toml(&self) -> Value {
        self.iter().map(T::print).collect::<Vec<_>>().into()
    }
}

macro_rules! texts {
    ($($type:ty: $parse:expr, $print:expr;)+) => {
        $(impl Text for $type {
            fn parse(text: &str) -> Result<Self, String> {
                $parse(text)
            }

            fn print(&self) -> String {
                $print(self)
            }
        })+
    };
}

texts! {
    String: |text: &str| Ok(text.to_owned()), String::clone;
    PathBuf: |text: &str| Ok(text.into()), |path: &PathBuf| path.display().to_string();
    // A path that may be absent: empty in the file.
    Option<PathBuf>:
        |text: &str| Ok(Some(text.into()).filter(|_| !text.is_empty())),
        |path: &Option<PathBuf>| path.as_ref().map(Text::print).unwrap_or_default();
    SocketAddr: address, SocketAddr::to_string;
    IpNet: parse_network, IpNet::to_string;
    Door: |text| word(&Door::ALL, Door::name, text), |word: &Door| word.name().to_owned();
    Record: |text| word(&Record::ALL, Record::name, text), |word: &Record| word.name().to_owned();
    KeepBy: |text| word(&KeepBy::ALL, KeepBy::name, text), |word: &KeepBy| word.name().to_owned();
    LogFormat: |text| word(&LogFormat::ALL, LogFormat::name, text), |word: &LogFormat| word.name().to_owned();
}

/// The format of the server log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for log collectors.
    Json,
}

impl LogFormat {
    /// All formats, in the order in which errors list them.
    const ALL: [Self; 2] = [Self::Text, Self::Json];

    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl Setting for bool {
    const FROM_VARIABLE: Option<fn(&str) -> Value> =
        Some(|text| text.trim().parse().map_or_else(|_| Value::from(text), Value::Boolean));

    fn read(value: &Value, _range: &RangeInclusive<u64>) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| wrong_type("true or false", value))
    }

    fn to_toml(&self) -> Value {
        (*self).into()
    }
}

/// Numbers by keys that the operator chooses. A variable's name could not spell such a key.
impl Setting for BTreeMap<String, u64> {
    const FROM_VARIABLE: Option<fn(&str) -> Value> = None;

    fn read(value: &Value, range: &RangeInclusive<u64>) -> Result<Self, String> {
        let invalid = || wrong_type("keys with whole numbers that are not negative", value);
        let entries = value.as_table().ok_or_else(invalid)?.iter();
        entries.map(|(key, value)| Ok((key.clone(), number(value, range).map_err(|_| invalid())?))).collect()
    }

    fn to_toml(&self) -> Value {
        Value::Table(self.iter().map(|(key, number)| (key.clone(), integer(*number))).collect())
    }
}

/// Texts by keys that the operator chooses.
impl Setting for BTreeMap<String, String> {
    const FROM_VARIABLE: Option<fn(&str) -> Value> = None;

    fn read(value: &Value, _range: &RangeInclusive<u64>) -> Result<Self, String> {
        let invalid = || wrong_type("keys with strings", value);
        let entries = value.as_table().ok_or_else(invalid)?.iter();
        entries.map(|(key, value)| Ok((key.clone(), value.as_str().ok_or_else(invalid)?.to_owned()))).collect()
    }

    fn to_toml(&self) -> Value {
        Value::Table(self.iter().map(|(key, text)| (key.clone(), Value::from(text.clone()))).collect())
    }
}

fn number(value: &Value, range: &RangeInclusive<u64>) -> Result<u64, String> {
    value.as_integer().and_then(|number| u64::try_from(number).ok()).ok_or_else(|| {
        if *range == ANY_NUMBER {
            return wrong_type("a whole number that is not negative", value);
        }
        wrong_type(&format!("a whole number between {} and {}", range.start(), range.end()), value)
    })
}

fn integer(number: impl TryInto<i64>) -> Value {
    Value::Integer(number.try_into().unwrap_or(i64::MAX))
}

fn wrong_type(expected: &str, value: &Value) -> String {
    format!("must be {expected}, not `{value}`")
}

/// The one of `words` with the name `text`.
fn word<T: Copy>(words: &[T], name: fn(T) -> &'static str, text: &str) -> Result<T, String> {
    words.iter().copied().find(|word| name(*word) == text).ok_or_else(|| {
        let names: Vec<_> = words.iter().map(|word| name(*word)).collect();
        format!("must be one of {}, not `{text}`", names.join(", "))
    })
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let example = "must be an address and a port such as 127.0.0.1:8686 or [::]:8686";
    text.trim().parse().map_err(|_| format!("{example}, not `{text}`"))
}
