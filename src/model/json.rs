//! Reading JSON one level deep, with every value kept as the sender's bytes; and scanning JSON text.
//!
//! `serde_json`'s [`RawValue`] checks a value's grammar without interpreting it. It accepts three things that an audit
//! log must not: duplicate keys, unbounded nesting, and `\u` escapes of lone surrogates, which no reader could decode.
//! [`Members`] rejects the first, [`inspect`] the other two.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The members of a JSON object in the sender's order: decoded keys, raw values.
#[derive(Debug)]
pub struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads `text`, a JSON object of at most `keys_max` keys.
    pub fn read(text: &'a str, keys_max: usize) -> Result<Self, ObjectError> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let members = reader.deserialize_map(MembersVisitor { keys_max });
        let members = members.and_then(|members| reader.end().map(|()| members));
        let members = members.map_err(|error| ObjectError::Unreadable(without_position(&error)))?;
        match twice(&members.0) {
            Some(key) => Err(ObjectError::Twice(key.to_owned())),
            None => Ok(members),
        }
    }
}

impl<'a> Members<'a> {
    /// The members, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), *value))
    }
}

/// Why a text cannot be read as an object.
#[derive(Debug, PartialEq, Eq)]
pub enum ObjectError {
    /// A duplicate key. Readers would disagree on which one counts.
    Twice(String),
    /// Not an object, or too large.
    Unreadable(String),
}

impl<'a> IntoIterator for Members<'a> {
    type Item = (Cow<'a, str>, &'a RawValue);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// An error without the position. A position within one value would be misleading in a larger body, and the error has the field.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

struct MembersVisitor {
    keys_max: usize,
}

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(Cow<'de, str>, &RawValue)> = Vec::with_capacity(12);
        while let Some(Key(key)) = map.next_key()? {
            if members.len() == self.keys_max {
                return Err(de::Error::custom(format_args!("more than {} keys", self.keys_max)));
            }
            members.push((key, map.next_value()?));
        }
        Ok(Members(members))
    }
}

fn twice<'m>(members: &'m [(Cow<'_, str>, &RawValue)]) -> Option<&'m str> {
    // Comparing all pairs is fastest for the few keys of an ordinary event. A set bounds the time for a hostile one.
    if members.len() <= 16 {
        let keys = || members.iter().map(|(key, _)| key.as_ref());
        return keys()
            .enumerate()
            .find(|&(index, key)| keys().take(index).any(|earlier| earlier == key))
            .map(|(_, key)| key);
    }
    let mut seen = HashSet::with_capacity(members.len());
    members.iter().map(|(key, _)| key.as_ref()).find(|key| !seen.insert(*key))
}

/// A key, borrowed from the input unless it contains an escape.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor).map(Key)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Decodes a JSON string; `None` if the value has another type. [`inspect`] has already rejected lone surrogates.
pub fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::Deserializer::from_str(value.get()).deserialize_str(TextVisitor).ok()
}

/// Decodes the content of a JSON string without its quotes; `None` if it is invalid.
pub fn unescape(content: &[u8]) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'\\', content).is_none() {
        return std::str::from_utf8(content).ok().map(Cow::Borrowed);
    }
    let quoted = [b"\"", content, b"\""].concat();
    serde_json::from_slice::<String>(&quoted).ok().map(Cow::Owned)
}

/// Whether the value is `null`.
pub fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// Appends `text` to `out` as a JSON string.
pub fn push_string(out: &mut String, text: &str) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        // Writing to a string in memory cannot fail.
        out.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

/// Checks a grammatical JSON value for nesting deeper than `depth_max` (a scalar has depth 0) and for escapes of lone
/// surrogates. It does not recurse.
pub fn inspect(value: &RawValue, depth_max: usize) -> Result<(), String> {
    let bytes = value.get().as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > depth_max {
                    return Err("nested too deeply".to_owned());
                }
            }
            b'}' | b']' => depth -= 1,
            b'"' => at = inspect_string(bytes, at)?,
            _ => {}
        }
    }
    Ok(())
}

/// Scans a string whose opening quote precedes `at`; returns the index after the closing quote.
fn inspect_string(bytes: &[u8], mut at: usize) -> Result<usize, String> {
    while let Some(step) = memchr::memchr2(b'"', b'\\', &bytes[at..]) {
        at += step;
        if bytes[at] == b'"' {
            return Ok(at + 1);
        }
        at += match escaped_unit(bytes, at) {
            None => 2,
            Some(0xD800..=0xDBFF) if matches!(escaped_unit(bytes, at + 6), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => return Err("contains a lone surrogate escape".to_owned()),
            Some(_) => 6,
        };
    }
    Ok(bytes.len())
}

/// The UTF-16 code unit of the escape at `at`, if there is one.
fn escaped_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The index of the closing quote of the JSON string whose content begins at `start`.
pub(crate) fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(step) = memchr::memchr2(b'"', b'\\', text.get(at..).unwrap_or_default()) {
        at += step;
        if text[at] == b'"' {
            return at;
        }
        at += 2;
    }
    text.len()
}

/// The index after the value of a grammatical JSON text that begins at `at`.
pub(super) fn end_of_value(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at + 1),
            b'{' | b'[' => depth += 1,
            // The enclosing object or array ends, so the value has ended.
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            _ if depth == 0 => return end_of_word(bytes, at),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    at
}

/// The index after a number, `true`, `false` or `null`.
fn end_of_word(bytes: &[u8], at: usize) -> usize {
    let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
    bytes[at..].iter().position(is_end).map_or(bytes.len(), |length| at + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn members_keep_order_and_bytes() {
        let members: Vec<_> = Members::read(r#"{"b": 1.0, "\u0061":[ 2 ]}"#, 10).unwrap().into_iter().collect();
        assert_eq!(
            members.iter().map(|(key, value)| (key.as_ref(), value.get())).collect::<Vec<_>>(),
            [("b", "1.0"), ("a", "[ 2 ]")]
        );
    }

    #[test]
    fn a_duplicate_key_is_named() {
        let twice = |text: &str, key: &str| {
            assert_eq!(Members::read(text, 99).unwrap_err(), ObjectError::Twice(key.to_owned()));
        };
        twice(r#"{"a":1,"b":2,"\u0061":3}"#, "a");
        let many: String = (0..30).fold(String::new(), |keys, n| keys + &format!("\"k{n}\":0,"));
        twice(&format!("{{{many}\"k3\":0}}"), "k3");
    }

    #[test]
    fn lone_surrogates_are_found_everywhere() {
        for good in [r#""\ud83d\ude00""#, r#"["\\ud83d", "\"", {"\u00e9": "\\"}]"#] {
            assert_eq!(inspect(raw(good), 9), Ok(()), "{good}");
        }
        for bad in [r#""\ud83d""#, r#"{"a":["x\ude00"]}"#, r#"{"\ud83d\u0041":1}"#, r#""\ud83d\ud83d\ude00""#] {
            assert!(inspect(raw(bad), 9).is_err(), "{bad}");
        }
    }

    #[test]
    fn depth_is_counted_without_recursion() {
        assert_eq!(inspect(raw("[[\"[[[[\"]]"), 2), Ok(()));
        assert!(inspect(raw("[[[]]]"), 2).is_err());
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(inspect(raw(&deep), 64).is_err());
    }
}
