//! Which masked values differ between `diff.before` and `diff.after`. The values are compared before they are masked, because
//! afterwards all of them are equal.

use std::{collections::HashMap, ops::Range};

use crate::model::{
    json_tree::{Kind, Node},
    mask::names::MASKED,
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
    Some(are_equal(&Node::read(one)?, &Node::read(other)?))
}

fn are_equal(one: &Node<'_>, other: &Node<'_>) -> bool {
    match (&one.kind, &other.kind) {
        (Kind::Scalar, Kind::Scalar) => one.is_same_scalar(other),
        (Kind::Array(one), Kind::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| are_equal(one, other))
        }
        (Kind::Object(one), Kind::Object(other)) => {
            let mut members = one.iter().zip(other);
            one.len() == other.len()
                && members.all(|((key, value), (other_key, other))| key == other_key && are_equal(value, other))
        }
        _ => false,
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
