//! Splits values into their parts, and pairs the elements of two arrays. The mask compares the two sides of a diff in the same
//! pairs in which a page shows them.

use std::{borrow::Cow, collections::HashMap};

use serde_json::value::RawValue;
use similar::{Algorithm, capture_diff_slices};

use crate::model::json::{self, Members};

/// Maximum number of elements of both arrays together for which the longest common subsequence is computed. Above it,
/// elements are compared by position.
const ELEMENTS_MAX: usize = 2_000;
/// The keys that may identify an element.
const IDENTIFIERS: [&str; 4] = ["identifier", "id", "key", "name"];

/// The text without white space between tokens, and with one spelling of each string.
pub(crate) fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('"') {
        out.extend(rest[..open].chars().filter(|char| !char.is_ascii_whitespace()));
        let end = json::end_of_string(rest.as_bytes(), open + 1).min(rest.len());
        let content = &rest[open + 1..end];
        // A string with a lone surrogate keeps its spelling.
        match content.contains('\\').then(|| serde_json::from_str::<String>(&rest[open..=end])) {
            Some(Ok(decoded)) => json::push_string(&mut out, &decoded),
            _ => out.extend(["\"", content, "\""]),
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    out.extend(rest.chars().filter(|char| !char.is_ascii_whitespace()));
    out
}

/// A value, split into its members or elements.
pub(crate) enum DiffParts<'a> {
    Object(Vec<(String, &'a str)>),
    Array(Vec<&'a str>),
    Scalar,
}

impl<'a> DiffParts<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        match text.as_bytes().first() {
            // An object with a duplicate key is ambiguous, so it is shown whole.
            Some(b'{') => Members::read(text, usize::MAX).map_or(Self::Scalar, |members| {
                Self::Object(members.into_iter().map(|(key, value)| (key.into_owned(), value.get())).collect())
            }),
            Some(b'[') => serde_json::from_str::<Vec<&RawValue>>(text)
                .map_or(Self::Scalar, |elements| Self::Array(elements.into_iter().map(RawValue::get).collect())),
            _ => Self::Scalar,
        }
    }
}

/// An element of two arrays.
pub(crate) struct Pair<'a> {
    /// The identifier or the index that the page shows.
    pub(crate) label: String,
    /// The element before and after, each with its index.
    pub(crate) sides: [Option<(usize, &'a str)>; 2],
}

impl<'a> Pair<'a> {
    fn at(before: Option<(usize, &'a str)>, after: Option<(usize, &'a str)>) -> Self {
        let index = after.or(before).map_or(0, |(index, _)| index);
        Self { label: index.to_string(), sides: [before, after] }
    }
}

/// Pairs elements of two arrays, in order.
pub(crate) fn arrays<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<Pair<'a>> {
    if before.len() + after.len() > ELEMENTS_MAX {
        let longest = before.len().max(after.len());
        return (0..longest).map(|index| Pair::at(element(before, index), element(after, index))).collect();
    }
    identified(before, after).unwrap_or_else(|| common(before, after))
}

fn element<'a>(side: &[&'a str], index: usize) -> Option<(usize, &'a str)> {
    side.get(index).map(|element| (index, *element))
}

/// Pairs elements by identifier, if every element has one that is unique in its array.
fn identified<'a>(before: &[&'a str], after: &[&'a str]) -> Option<Vec<Pair<'a>>> {
    let (earlier, later) = (identifiers(before)?, identifiers(after)?);
    let index = |identifiers: &[String]| -> HashMap<String, usize> {
        identifiers.iter().enumerate().map(|(index, id)| (id.clone(), index)).collect()
    };
    let (earlier_by_id, later_by_id) = (index(&earlier), index(&later));
    let old = earlier.into_iter().enumerate().map(|(index, id)| {
        let after = later_by_id.get(&id).and_then(|index| element(after, *index));
        Pair { sides: [element(before, index), after], label: id }
    });
    let mut pairs: Vec<_> = old.collect();
    let new = later.into_iter().enumerate().filter(|(_, id)| !earlier_by_id.contains_key(id));
    pairs.extend(new.map(|(index, id)| Pair { label: id, sides: [None, element(after, index)] }));
    Some(pairs)
}

fn identifiers(elements: &[&str]) -> Option<Vec<String>> {
    let identifier = |element: &&str| {
        let DiffParts::Object(members) = DiffParts::of(element) else {
            return None;
        };
        IDENTIFIERS.iter().find_map(|name| {
            let (_, value) = members.iter().find(|(key, _)| key == name)?;
            let value = serde_json::from_str(value).ok()?;
            json::scalar_text(value).map(Cow::into_owned)
        })
    };
    let identifiers: Vec<_> = elements.iter().map(identifier).collect::<Option<_>>()?;
    let mut seen = std::collections::HashSet::new();
    identifiers.iter().all(|id| seen.insert(id.clone())).then_some(identifiers)
}

/// Pairs equal elements along the longest common subsequence, and the elements in between in order.
fn common<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<Pair<'a>> {
    let mut pairs = Vec::new();
    for operation in capture_diff_slices(Algorithm::Myers, before, after) {
        let (old, new) = (operation.old_range(), operation.new_range());
        for step in 0..old.len().max(new.len()) {
            let old = old.clone().nth(step).and_then(|index| element(before, index));
            let new = new.clone().nth(step).and_then(|index| element(after, index));
            pairs.push(Pair::at(old, new));
        }
    }
    pairs
}
