//! Reading JSON one level deep, with every value kept as the sender's bytes; and scanning JSON text.
//!
//! `serde_json`'s [`RawValue`] checks a value's grammar without interpreting it. It accepts three things that need care:
//! duplicate keys, which [`Members`] rejects; unbounded nesting, which [`check_depth`] rejects; and `\u` escapes of lone
//! surrogates. A string with a lone surrogate has no text: [`text`] returns none for it, and [`lossy_text`] replaces the
//! surrogate.

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
    // A lone surrogate is reported as the other half that is missing.
    if text.contains("hex escape") {
        return "a key contains a lone surrogate escape".to_owned();
    }
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

/// Decodes a JSON string; `None` if the value has another type, or if the string contains a lone surrogate.
pub fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::Deserializer::from_str(value.get()).deserialize_str(TextVisitor).ok()
}

/// The text by which a scalar is read: the content of a string; a number, `true` or `false` as written. `None` for `null`, for
/// an object or an array, and for a string that contains a lone surrogate.
pub fn scalar_text(value: &RawValue) -> Option<Cow<'_, str>> {
    match value.get().as_bytes().first()? {
        b'"' => text(value),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(value.get())),
    }
}

/// Like [`scalar_text`], with U+FFFD in place of each lone surrogate.
pub fn lossy_text(value: &RawValue) -> Option<Cow<'_, str>> {
    scalar_text(value).or_else(|| is_string(value).then(|| Cow::Owned(without_surrogates(value.get()))))
}

/// Decodes the content of a JSON string without its quotes, with U+FFFD in place of each lone surrogate.
pub fn unescape(content: &[u8]) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'\\', content).is_none() {
        return std::str::from_utf8(content).ok().map(Cow::Borrowed);
    }
    let quoted = String::from_utf8([b"\"", content, b"\""].concat()).ok()?;
    Some(Cow::Owned(serde_json::from_str::<String>(&quoted).unwrap_or_else(|_| without_surrogates(&quoted))))
}

/// The code points of a JSON string, quotes included, as UTF-8; lone surrogates are encoded like other code points
/// (generalized UTF-8). Two strings are equal if these bytes are.
pub(super) fn code_points(quoted: &str) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', quoted.as_bytes()).is_none() {
        return Cow::Borrowed(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().as_bytes());
    }
    let decoded = serde_json::Deserializer::from_str(quoted).deserialize_bytes(BytesVisitor);
    Cow::Owned(decoded.unwrap_or_default())
}

fn without_surrogates(quoted: &str) -> String {
    lossy(&code_points(quoted)).into_owned()
}

/// The text of [`code_points`], with U+FFFD in place of each lone surrogate.
pub(super) fn lossy(code_points: &[u8]) -> Cow<'_, str> {
    let mut rest = code_points;
    let mut out = String::new();
    loop {
        match std::str::from_utf8(rest) {
            Ok(text) if out.is_empty() => return Cow::Borrowed(text),
            Ok(text) => return Cow::Owned(out + text),
            Err(error) => {
                let (valid, surrogate) = rest.split_at(error.valid_up_to());
                out.push_str(std::str::from_utf8(valid).unwrap_or_default());
                out.push(char::REPLACEMENT_CHARACTER);
                rest = surrogate.get(SURROGATE_BYTES..).unwrap_or_default();
            }
        }
    }
}

/// The number of bytes of a surrogate in generalized UTF-8.
const SURROGATE_BYTES: usize = 3;

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(bytes.to_vec())
    }
}

/// Whether the value is a string.
pub fn is_string(value: &RawValue) -> bool {
    value.get().starts_with('"')
}

/// Whether the value is the empty string.
pub fn is_empty_string(value: &RawValue) -> bool {
    value.get() == "\"\""
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

/// Rejects a grammatical JSON value that is nested deeper than `depth_max` (a scalar has depth 0). It does not recurse.
pub fn check_depth(value: &RawValue, depth_max: usize) -> Result<(), String> {
    let bytes = value.get().as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
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
            b'"' => at = end_of_string(bytes, at) + 1,
            _ => {}
        }
    }
    Ok(())
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
    fn a_string_with_a_lone_surrogate_has_no_text_and_keeps_its_code_points() {
        for (string, lossy) in [
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""é\ude00x""#, "é\u{fffd}x"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
        ] {
            assert_eq!((text(raw(string)), lossy_text(raw(string)).as_deref()), (None, Some(lossy)), "{string}");
            assert_eq!(unescape(&string.as_bytes()[1..string.len() - 1]).as_deref(), Some(lossy), "{string}");
        }
        for (string, decoded) in [(r#""\ud83d\ude00""#, "😀"), (r#""\\ud83d\"""#, "\\ud83d\""), (r#""""#, "")] {
            assert_eq!(text(raw(string)).as_deref(), Some(decoded), "{string}");
            assert_eq!(*code_points(string), *decoded.as_bytes(), "{string}");
        }
        assert_eq!(code_points(r#""\uD800""#), code_points(r#""\ud800""#));
        assert_ne!(code_points(r#""\ud800""#), code_points(r#""\ud801""#));
        assert_ne!(code_points(r#""\ud800""#), code_points("\"\u{fffd}\""));
    }

    #[test]
    fn scalars_are_read_by_their_text() {
        for (value, expected) in [
            ("42", Some("42")),
            ("-0", Some("-0")),
            ("1.50e3", Some("1.50e3")),
            ("9007199254740993", Some("9007199254740993")),
            ("true", Some("true")),
            ("\"x\"", Some("x")),
            ("null", None),
            ("[]", None),
            ("{}", None),
        ] {
            assert_eq!(scalar_text(raw(value)).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn depth_is_counted_without_recursion() {
        assert_eq!(check_depth(raw("[[\"[[[[\\\"[\"]]"), 2), Ok(()));
        assert!(check_depth(raw("[[[]]]"), 2).is_err());
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(check_depth(raw(&deep), 64).is_err());
    }
}
