//! Splits values into their parts, and pairs the elements of two arrays.

use std::{borrow::Cow, collections::HashMap};

use serde_json::value::RawValue;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::model::json::{self, Members};

/// Maximum number of elements of both arrays together for which the longest common subsequence is computed. Above it,
/// elements are compared by position.
const ELEMENTS_MAX: usize = 2_000;
/// The keys that may identify an element.
const IDENTIFIERS: [&str; 4] = ["identifier", "id", "key", "name"];

/// A value, split into its members or elements.
pub(super) enum DiffParts<'a> {
    Object(Vec<(String, &'a str)>),
    Array(Vec<&'a str>),
    Scalar,
}

impl<'a> DiffParts<'a> {
    pub(super) fn of(text: &'a str) -> Self {
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

/// An index with its element before and after.
type Pair<'a> = (String, Option<&'a str>, Option<&'a str>);

/// Pairs elements of two arrays, in order.
pub(super) fn arrays<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<Pair<'a>> {
    if before.len() + after.len() > ELEMENTS_MAX {
        let longest = before.len().max(after.len());
        let at = |side: &[&'a str], index: usize| side.get(index).copied();
        return (0..longest).map(|index| (index.to_string(), at(before, index), at(after, index))).collect();
    }
    identified(before, after).unwrap_or_else(|| common(before, after))
}

/// Pairs elements by identifier, if every element has one that is unique in its array.
fn identified<'a>(before: &[&'a str], after: &[&'a str]) -> Option<Vec<Pair<'a>>> {
    let (earlier, later) = (by_identifier(before)?, by_identifier(after)?);
    let later_by_id: HashMap<&str, &'a str> = later.iter().map(|(id, element)| (id.as_str(), *element)).collect();
    let before: HashMap<&str, &'a str> = earlier.iter().map(|(id, element)| (id.as_str(), *element)).collect();
    let mut pairs: Vec<Pair<'a>> = earlier
        .iter()
        .map(|(id, element)| (id.clone(), Some(*element), later_by_id.get(id.as_str()).copied()))
        .collect();
    let new = later.iter().filter(|(id, _)| !before.contains_key(id.as_str()));
    pairs.extend(new.map(|(id, element)| (id.clone(), None, Some(*element))));
    Some(pairs)
}

fn by_identifier<'a>(elements: &[&'a str]) -> Option<Vec<(String, &'a str)>> {
    let identifier = |element: &'a str| {
        let DiffParts::Object(members) = DiffParts::of(element) else {
            return None;
        };
        IDENTIFIERS.iter().find_map(|name| {
            let (_, value) = members.iter().find(|(key, _)| key == name)?;
            let value = serde_json::from_str(value).ok()?;
            json::text(value).map(Cow::into_owned)
        })
    };
    let named: Option<Vec<_>> = elements.iter().map(|element| Some((identifier(element)?, *element))).collect();
    let mut seen = std::collections::HashSet::new();
    named.filter(|elements| elements.iter().all(|(id, _)| seen.insert(id.clone())))
}

/// Pairs equal elements along the longest common subsequence, and the elements in between in order.
fn common<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<Pair<'a>> {
    let mut pairs = Vec::new();
    for operation in capture_diff_slices(Algorithm::Myers, before, after) {
        match operation {
            DiffOp::Equal { old_index, new_index, len } => pairs.extend((0..len).map(|step| {
                ((new_index + step).to_string(), Some(before[old_index + step]), Some(after[new_index + step]))
            })),
            DiffOp::Delete { old_index, old_len, .. } => {
                pairs.extend((old_index..old_index + old_len).map(|old| (old.to_string(), Some(before[old]), None)));
            }
            DiffOp::Insert { new_index, new_len, .. } => {
                pairs.extend((new_index..new_index + new_len).map(|new| (new.to_string(), None, Some(after[new]))));
            }
            DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                for step in 0..old_len.max(new_len) {
                    let old = (step < old_len).then(|| before[old_index + step]);
                    let new = (step < new_len).then(|| after[new_index + step]);
                    let index = if new.is_some() { new_index + step } else { old_index + step };
                    pairs.push((index.to_string(), old, new));
                }
            }
        }
    }
    pairs
}
