//! Which masked values differ between `diff.before` and `diff.after`. The values are compared before they are masked, because
//! afterwards all of them are equal.

use std::{collections::HashMap, ops::Range};

use crate::model::{
    json,
    mask::{names::MASKED, walk::DEPTH_MAX},
};

/// The two sides of a diff, as JSON pointers.
const SIDES: [&str; 2] = ["/diff/before", "/diff/after"];

/// The masked values of one event within its diff.
#[derive(Debug, Default)]
pub(super) struct MaskedDiff {
    /// The place of each masked value in the text, by its pointer relative to each side; `None` if the pointer is ambiguous.
    sides: [HashMap<String, Option<Range<usize>>>; 2],
    /// The pointers in the order of the text.
    order: Vec<String>,
    /// Pointers to enclosing values with masked values whose own pointers are unknown.
    unknown: Vec<String>,
}

impl MaskedDiff {
    /// Records a masked value with its pointer. An inexact pointer is that of an enclosing value.
    pub(super) fn add(&mut self, pointer: &str, is_exact: bool, place: Range<usize>) {
        let relative = SIDES.iter().enumerate().find_map(|(side, name)| {
            let pointer = pointer.strip_prefix(name)?;
            (pointer.is_empty() || pointer.starts_with('/')).then_some((side, pointer))
        });
        match relative {
            Some((side, pointer)) if is_exact => {
                self.order.push(pointer.to_owned());
                self.sides[side].entry(pointer.to_owned()).and_modify(|known| *known = None).or_insert(Some(place));
            }
            Some((_, pointer)) => self.unknown.push(pointer.to_owned()),
            // The place may be within the diff.
            None if !is_exact && matches!(pointer, "" | "/diff") => self.unknown.push(String::new()),
            None => {}
        }
    }

    /// The pointers to the values that differ, relative to both sides; `None` if the diff has no masked values. A value that only
    /// one side has differs. A pointer to an enclosing value means that it is unknown for the values in it that are not listed.
    pub(super) fn changed(mut self, text: &str) -> Option<Vec<String>> {
        if self.order.is_empty() && self.unknown.is_empty() {
            return None;
        }
        let is_complete = self.unknown.is_empty();
        let mut found = Vec::new();
        for pointer in std::mem::take(&mut self.order) {
            let is_same = match self.sides.each_ref().map(|side| side.get(&pointer)) {
                [Some(Some(before)), Some(Some(after))] => is_same(&text[before.clone()], &text[after.clone()]),
                [Some(Some(_)), None] | [None, Some(Some(_))] if is_complete => Some(false),
                _ => None,
            };
            match is_same {
                Some(true) => {}
                Some(false) => found.push(pointer),
                None => self.unknown.push(enclosing(&pointer).to_owned()),
            }
        }
        let mut changed = Vec::with_capacity(found.len() + 1);
        for pointer in found.into_iter().chain(self.unknown) {
            if !changed.contains(&pointer) {
                changed.push(pointer);
            }
        }
        Some(changed)
    }
}

/// The pointer to the value that contains the one at `pointer`.
fn enclosing(pointer: &str) -> &str {
    pointer.rfind('/').map_or("", |last| &pointer[..last])
}

/// Whether two JSON texts have the same value; `None` if that is unknown, because a sender has masked the values already, or
/// because they are nested too deeply.
fn is_same(one: &str, other: &str) -> Option<bool> {
    if one.contains(MASKED) && other.contains(MASKED) {
        return None;
    }
    if one == other {
        return Some(true);
    }
    Some(canonical(one)? == canonical(other)?)
}

/// The one spelling of a JSON value: without white space, members ordered by key, strings with only the necessary escapes. A
/// number is its text. `None` if the value is nested too deeply.
fn canonical(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut reader = Reader { text, at: 0 };
    reader.value(DEPTH_MAX, &mut out)?;
    Some(out)
}

/// Reads a grammatical JSON text.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    /// Reads one value and writes it to `out`.
    fn value(&mut self, depth: usize, out: &mut String) -> Option<()> {
        match self.peek() {
            Some(open @ (b'{' | b'[')) => {
                self.at += 1;
                let parts = self.parts(open, depth.checked_sub(1)?)?;
                out.push(char::from(open));
                out.push_str(&parts.join(","));
                out.push(if open == b'{' { '}' } else { ']' });
            }
            Some(b'"') => self.string(out),
            _ => {
                let end = json::end_of_value(self.text.as_bytes(), self.at).max(self.at + 1).min(self.text.len());
                out.push_str(&self.text[self.at..end]);
                self.at = end;
            }
        }
        Some(())
    }

    /// The members of an object in the order of their keys, or the elements of an array.
    fn parts(&mut self, open: u8, depth: usize) -> Option<Vec<String>> {
        let mut parts = Vec::new();
        while !matches!(self.peek(), None | Some(b'}' | b']')) {
            let mut part = String::new();
            if open == b'{' {
                self.string(&mut part);
                part.push(':');
            }
            self.value(depth, &mut part)?;
            parts.push(part);
        }
        self.at += 1;
        if open == b'{' {
            parts.sort_unstable();
        }
        Some(parts)
    }

    fn string(&mut self, out: &mut String) {
        // The text may end here only if it is not grammatical.
        let start = (self.at + 1).min(self.text.len());
        let end = json::end_of_string(self.text.as_bytes(), start).min(self.text.len());
        match json::unescape(&self.text.as_bytes()[start..end]) {
            Some(decoded) => json::push_string(out, &decoded),
            None => out.push_str(&self.text[self.at..end]),
        }
        self.at = end + 1;
    }

    /// The next byte that is neither white space nor a separator.
    fn peek(&mut self) -> Option<u8> {
        let is_between = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b':');
        let rest = self.text.as_bytes().get(self.at..)?;
        self.at += rest.iter().take_while(|byte| is_between(byte)).count();
        self.text.as_bytes().get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use crate::model::mask::Mask;

    fn changed(before: &str, after: &str) -> Option<Vec<String>> {
        let text = format!(r#"{{"action":"A","diff":{{"before":{before},"after":{after}}},"token":"t"}}"#);
        Mask::default().apply(&text).unwrap().changed
    }

    #[test]
    fn values_are_compared_as_json_before_they_are_masked() {
        for (before, after, pointers) in [
            (r#"{"password":"a"}"#, r#"{"password":"b"}"#, &["/password"][..]),
            (r#"{"password":"a"}"#, r#"{"password":"a"}"#, &[]),
            (r#"{"password":"\u00e9"}"#, r#"{ "password" : "é" }"#, &[]),
            (r#"{"password":1}"#, r#"{"password":"1"}"#, &["/password"]),
            (r#"{"password":1.0}"#, r#"{"password":1}"#, &["/password"]),
            (r#"{"secret":{"a":1,"b":[1, 2]}}"#, r#"{"secret":{"b":[1,2],"a":1}}"#, &[]),
            (r#"{"secret":{"a":1,"b":[1,2]}}"#, r#"{"secret":{"b":[2,1],"a":1}}"#, &["/secret"]),
            (r#"{"secret":{"a":"1,2"}}"#, r#"{"secret":{"a":"1","2":""}}"#, &["/secret"]),
            (
                r#"{"a":[{"dbPassword":"x","~/":{"token":1}}]}"#,
                r#"{"a":[{"dbPassword":"x","~/":{"token":2}}]}"#,
                &["/a/0/~0~1/token"],
            ),
            (r#"{"password":null}"#, r#"{"password":"b"}"#, &["/password"]),
            ("null", r#"{"password":"b"}"#, &["/password"]),
            (r#"{"password":"b"}"#, "{}", &["/password"]),
            (r#"{"url":"/p?token=a&x=1"}"#, r#"{"url":"/p?token=b&x=1"}"#, &["/url"]),
            (r#"["Cookie: a","Cookie: b"]"#, r#"["Cookie: a","Cookie: c"]"#, &["/1"]),
            (r#"{"l":[{"name":"token","value":"a"}]}"#, r#"{"l":[{"name":"token","value":"b"}]}"#, &["/l/0/value"]),
        ] {
            let expected: Vec<_> = pointers.iter().map(|pointer| (*pointer).to_owned()).collect();
            assert_eq!(changed(before, after), Some(expected), "{before} {after}");
        }
        assert_eq!(changed(r#"{"a":1}"#, r#"{"a":2}"#), None);
    }

    #[test]
    fn what_is_unknown_is_an_enclosing_pointer() {
        let equal = |pointers: &[&str], found: Option<Vec<String>>| {
            assert_eq!(found.unwrap(), pointers);
        };
        // The sender has masked the values already.
        equal(&[""], changed(r#"{"password":"[masked]"}"#, r#"{"password":"[masked]"}"#));
        equal(
            &["/a"],
            changed(r#"{"a":{"password":"[masked]"},"token":1}"#, r#"{"a":{"password":"[masked]"},"token":1}"#),
        );
        equal(
            &["/token", "/a"],
            changed(r#"{"a":{"password":"[masked]"},"token":1}"#, r#"{"a":{"password":"[masked]"},"token":2}"#),
        );
        // A key that appears twice.
        equal(&[""], changed(r#"{"password":1,"password":2}"#, r#"{"password":1}"#));
        // Too many values for exact pointers, and a pointer that is too long.
        let many = |value: u32| format!("[{}]", vec![format!(r#"{{"token":{value}}}"#); 80].join(","));
        let found = changed(&many(1), &many(2)).unwrap();
        assert!(found.contains(&"/0/token".to_owned()) && found.contains(&String::new()), "{found:?}");
        let long = |value: u32| format!(r#"{{"a":{{"{}":{{"token":{value}}}}}}}"#, "k".repeat(300));
        equal(&["/a"], changed(&long(1), &long(1)));
        // Values that are nested too deeply to be compared.
        let deep = |bottom: u32| format!(r#"{{"token":{}{bottom}{}}}"#, "[".repeat(500), "]".repeat(500));
        equal(&[""], changed(&deep(1), &deep(2)));
        equal(&[], changed(&deep(1), &deep(1)));
    }
}
