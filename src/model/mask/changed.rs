//! Which masked values differ between `diff.before` and `diff.after`. The values are compared before they are masked, because
//! afterwards all of them are equal. Elements of arrays are compared in the pairs in which a page shows them.

use std::ops::Range;

use serde_json::value::RawValue;

use crate::model::{
    align,
    event::{MASKED_CHANGED, MASKED_UNKNOWN},
    json::{self, Members},
    json_tree::{Kind, Member, Node},
    mask::{
        known::{Known, text_of},
        names::{MASKED, Mask},
        url,
        walk::{Edit, POINTER_BYTES_MAX, POINTERS_MAX, QUOTED, push_step},
    },
};

/// Maximum number of bytes of the elements of all arrays together that are paired.
const PAIRED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Maximum sum of the squares of the numbers of elements of the arrays that are paired: the cost of pairing them.
const PAIRING_COST_MAX: usize = 20_000_000;

/// What is known of the masked values of a diff. All pointers are relative to both sides. Within an array whose elements have
/// moved, they have the position in `after`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MaskedDiff {
    /// Pointers to the values that differ, or that only one side has. A value that only `before` has is left out if its position
    /// belongs to another value in `after`.
    pub changed: Vec<String>,
    /// Pointers to the values of which it is unknown, and to values that contain such values.
    pub unknown: Vec<String>,
}

/// Compares the masked values of an event's diff; `None` if no value of the diff is masked. `edits` are in order.
pub(super) fn compare(mask: &Mask, text: &str, edits: &[Edit]) -> Option<MaskedDiff> {
    let event = Members::read(text, usize::MAX).ok()?;
    let find = |members: &Members<'_>, key: &str| {
        let value = members.iter().find(|(name, _)| *name == key).map(|(_, value)| value.get());
        value.map(|value| place_of(value, text))
    };
    let diff = find(&event, "diff")?;
    let diff = Members::read(&text[diff], usize::MAX).ok()?;
    let places = ["before", "after"].map(|side| find(&diff, side));
    let is_masked = |place: &Range<usize>| !edits_in(edits, place).is_empty();
    if !places.iter().flatten().any(is_masked) {
        return None;
    }
    let claims = Claims::of(&event);
    let mut comparison = Comparison {
        mask,
        text,
        edits,
        claims,
        pointer: String::new(),
        is_exact: true,
        is_moved: false,
        found: MaskedDiff::default(),
        bytes_left: PAIRED_BYTES_MAX,
        cost_left: PAIRING_COST_MAX,
    };
    let sides = places.map(|place| place.map(|place| Node::read(&text[place])));
    match &sides {
        [Some(None), _] | [_, Some(None)] => comparison.found.unknown.push(String::new()),
        [before, after] => comparison.compare(before.iter().flatten().next(), after.iter().flatten().next()),
    }
    Some(comparison.found)
}

/// The edits within a place.
fn edits_in<'e>(edits: &'e [Edit], place: &Range<usize>) -> &'e [Edit] {
    let first = edits.partition_point(|edit| edit.place.start < place.start);
    let end = edits.partition_point(|edit| edit.place.start < place.end);
    &edits[first..end]
}

/// What the sender says of values that it has masked itself.
#[derive(Default)]
struct Claims {
    /// Pointers to the values that changed; `None` if the sender does not say.
    changed: Option<Vec<String>>,
    unknown: Vec<String>,
}

impl Claims {
    fn of(event: &Members<'_>) -> Self {
        let read = |key: &str| {
            let value: Option<&RawValue> = event.iter().find(|(name, _)| *name == key).map(|(_, value)| value);
            value.and_then(|value| serde_json::from_str(value.get()).ok())
        };
        Self { changed: read(MASKED_CHANGED), unknown: read(MASKED_UNKNOWN).unwrap_or_default() }
    }

    fn known(&self, pointer: &str) -> Known {
        let Some(changed) = &self.changed else {
            return Known::Unknown;
        };
        let is_enclosed = |outer: &String| {
            pointer.strip_prefix(outer.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if changed.iter().any(|changed| changed == pointer) {
            Known::Changed
        } else if changed.iter().chain(&self.unknown).any(is_enclosed) {
            Known::Unknown
        } else {
            Known::Same
        }
    }
}

/// A comparison in progress.
struct Comparison<'t> {
    mask: &'t Mask,
    text: &'t str,
    edits: &'t [Edit],
    claims: Claims,
    /// The pointer of the current values, or of an enclosing value if it is too long.
    pointer: String,
    is_exact: bool,
    /// Whether elements of an enclosing array have moved.
    is_moved: bool,
    found: MaskedDiff,
    bytes_left: usize,
    cost_left: usize,
}

/// How a value is masked.
enum Masking<'e> {
    Not,
    Whole,
    /// A part of a string is.
    Part(&'e Edit),
}

impl<'t> Comparison<'t> {
    /// Compares the masked values in two values. The depth of both trees is bounded, so this recursion is.
    fn compare(&mut self, before: Option<&Node<'t>>, after: Option<&Node<'t>>) {
        let (before, after) = match (before, after) {
            (Some(before), Some(after)) => (before, after),
            (Some(one), None) => return self.one_sided(one, false),
            (None, Some(one)) => return self.one_sided(one, true),
            (None, None) => return,
        };
        if !self.has_masked(before) && !self.has_masked(after) {
            return;
        }
        match (self.masking(before), self.masking(after)) {
            (Masking::Not, Masking::Not) => self.compare_parts(before, after),
            (Masking::Whole, Masking::Whole) => self.judge(before, after),
            (Masking::Whole, Masking::Not) => self.add(Known::of_secret_and_plain(before, after)),
            (Masking::Not, Masking::Whole) => self.add(Known::of_secret_and_plain(after, before)),
            (Masking::Part(one), Masking::Part(other)) => {
                let known = self.known_of_parts([before, after], [one, other]);
                self.add(known);
            }
            _ => self.add(Known::Changed),
        }
    }

    fn judge(&mut self, before: &Node<'t>, after: &Node<'t>) {
        let are_masked = before.text == QUOTED && after.text == QUOTED;
        self.add(if are_masked { self.claims.known(&self.pointer) } else { Known::of(before, after) });
    }

    /// What is known of the masked parts of two strings: the parameters of URLs, or the values of lines `Name: value`.
    fn known_of_parts(&self, nodes: [&Node<'t>; 2], edits: [&Edit; 2]) -> Known {
        let [one, other] = [0, 1].map(|side: usize| self.secrets_of(nodes[side], edits[side]));
        if one.len() != other.len() || one.iter().zip(&other).any(|((one, _), (other, _))| one != other) {
            return Known::Changed;
        }
        let are_masked = one.iter().chain(&other).all(|(_, value)| value == MASKED);
        if are_masked {
            return self.claims.known(&self.pointer);
        }
        Known::all(one.iter().zip(&other).map(|((_, one), (_, other))| Known::of_texts(one, other)))
    }

    /// The names and the values of the secrets in a string.
    fn secrets_of(&self, node: &Node<'t>, edit: &Edit) -> Vec<(String, String)> {
        let place = self.place(node);
        if edit.place != place {
            let [name, value] = [place.start + 1..edit.place.start, edit.place.clone()]
                .map(|part| json::unescape(self.text[part].as_bytes()).unwrap_or_default().into_owned());
            return vec![(name, value)];
        }
        let url = text_of(node).unwrap_or_default();
        let secrets = url::secrets(&url, self.mask);
        secrets.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn compare_parts(&mut self, before: &Node<'t>, after: &Node<'t>) {
        match (&before.kind, &after.kind) {
            (Kind::Array(earlier), Kind::Array(later)) => self.compare_arrays(earlier, later),
            (Kind::Object(earlier), Kind::Object(later)) => {
                if has_duplicate(earlier) || has_duplicate(later) {
                    self.add(Known::Unknown);
                    return;
                }
                let find = |members: &'_ [Member<'t>], key: &[u8]| {
                    members.binary_search_by(|(own, _)| own.as_ref().cmp(key)).ok()
                };
                for (key, value) in earlier {
                    let other = find(later, key).map(|place| &later[place].1);
                    self.at(&json::lossy(key), |inner| inner.compare(Some(value), other));
                }
                for (key, value) in later.iter().filter(|(key, _)| find(earlier, key).is_none()) {
                    self.at(&json::lossy(key), |inner| inner.compare(None, Some(value)));
                }
            }
            _ => {
                self.one_sided(before, false);
                self.one_sided(after, true);
            }
        }
    }

    fn compare_arrays(&mut self, before: &[Node<'t>], after: &[Node<'t>]) {
        let texts = [before, after].map(|side| side.iter().map(|node| self.masked_text(node)).collect::<Vec<_>>());
        let bytes = texts.iter().flatten().map(String::len).sum();
        let cost = (before.len() + after.len()).pow(2).min(PAIRING_COST_MAX);
        let left = self.bytes_left.checked_sub(bytes).zip(self.cost_left.checked_sub(cost));
        let Some((bytes_left, cost_left)) = left else {
            self.add(Known::Unknown);
            return;
        };
        (self.bytes_left, self.cost_left) = (bytes_left, cost_left);
        let [earlier, later] = texts.each_ref().map(|side| side.iter().map(String::as_str).collect::<Vec<_>>());
        let pairs: Vec<_> = align::arrays(&earlier, &later)
            .into_iter()
            .map(|pair| pair.sides.map(|side| side.map(|(index, _)| index)))
            .collect();
        let was_moved = self.is_moved;
        self.is_moved |= pairs.iter().any(|pair| matches!(pair, [Some(before), Some(after)] if before != after));
        for [earlier, later] in pairs {
            let index = later.or(earlier).unwrap_or_default().to_string();
            let (earlier, later) = (earlier.map(|index| &before[index]), later.map(|index| &after[index]));
            self.at(&index, |inner| inner.compare(earlier, later));
        }
        self.is_moved = was_moved;
    }

    /// Adds the masked values in a value that only one side has.
    fn one_sided(&mut self, node: &Node<'t>, is_after: bool) {
        if !self.has_masked(node) || (self.is_moved && !is_after) {
            return;
        }
        match (self.masking(node), &node.kind) {
            (Masking::Not, Kind::Array(elements)) => {
                for (index, element) in elements.iter().enumerate() {
                    self.at(&index.to_string(), |inner| inner.one_sided(element, is_after));
                }
            }
            (Masking::Not, Kind::Object(members)) => {
                for (key, value) in members {
                    self.at(&json::lossy(key), |inner| inner.one_sided(value, is_after));
                }
            }
            _ => self.add(Known::Changed),
        }
    }

    /// Does something at a member or an element. `step` is its key or index.
    fn at(&mut self, step: &str, then: impl FnOnce(&mut Self)) {
        let (outer, was_exact) = (self.pointer.len(), self.is_exact);
        if self.is_exact {
            push_step(&mut self.pointer, step);
            if self.pointer.len() > POINTER_BYTES_MAX {
                self.pointer.truncate(outer);
                self.is_exact = false;
            }
        }
        then(self);
        self.pointer.truncate(outer);
        self.is_exact = was_exact;
    }

    /// Records what is known at the current pointer.
    fn add(&mut self, known: Known) {
        let list = match known {
            Known::Same => return,
            Known::Changed if self.is_exact => &mut self.found.changed,
            Known::Changed | Known::Unknown => &mut self.found.unknown,
        };
        if list.len() < POINTERS_MAX {
            if !list.contains(&self.pointer) {
                list.push(self.pointer.clone());
            }
            return;
        }
        let unknown = &mut self.found.unknown;
        if unknown.last().is_none_or(|last| !last.is_empty()) {
            unknown.push(String::new());
        }
    }

    fn has_masked(&self, node: &Node<'t>) -> bool {
        !edits_in(self.edits, &self.place(node)).is_empty()
    }

    fn masking(&self, node: &Node<'t>) -> Masking<'t> {
        let place = self.place(node);
        match edits_in(self.edits, &place).first() {
            Some(edit) if edit.place == place && edit.new == QUOTED => Masking::Whole,
            Some(edit) if matches!(node.kind, Kind::Scalar) => Masking::Part(edit),
            _ => Masking::Not,
        }
    }

    /// A value in its stored form, without white space.
    fn masked_text(&self, node: &Node<'t>) -> String {
        let place = self.place(node);
        let (mut out, mut copied) = (String::with_capacity(node.text.len()), place.start);
        for edit in edits_in(self.edits, &place) {
            out.push_str(&self.text[copied..edit.place.start]);
            out.push_str(&edit.new);
            copied = edit.place.end;
        }
        out.push_str(&self.text[copied..place.end]);
        align::compact(&out)
    }

    /// Where a value is in the text.
    fn place(&self, node: &Node<'t>) -> Range<usize> {
        place_of(node.text, self.text)
    }
}

/// Where a part of a text is in it.
fn place_of(part: &str, text: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    start..start + part.len()
}

/// Whether two members have one key. Members are in the order of their keys.
fn has_duplicate(members: &[Member<'_>]) -> bool {
    members.windows(2).any(|pair| pair[0].0 == pair[1].0)
}

#[cfg(test)]
#[path = "changed_tests.rs"]
mod tests;
