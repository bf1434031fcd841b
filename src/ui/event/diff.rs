//! Compares two JSON values field by field. A value that is not an object is one field.
//!
//! Values are compared as text, ignoring white space between tokens and the spelling of strings, so `1.0` and `1`
//! differ and no number loses digits. Masked values are equal as text; the event records which of them changed
//! (`masked`). Whether a value changed that the sender hides itself (`***`) is unknown. Objects are compared by key. Arrays are compared by identifier if every element has one, otherwise by
//! their longest common subsequence. The work is bounded: at most [`LINES_MAX`] lines, and parts that are too large to
//! align are compared by position.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::{
    model::{
        align::{self, DiffParts, Pair, compact},
        json,
    },
    ui::event::{
        lookalike,
        masked::{HIDDEN_BY_SENDER, MaskedChange, MaskedValues, Pointers, holds_redaction},
        value::Shown,
    },
};

/// Maximum number of lines of a comparison. Further ones are only counted.
const LINES_MAX: usize = 1_000;
/// Maximum number of equal fields that can be unfolded.
const EQUAL_MAX: usize = 300;
/// Maximum number of bytes of all values together. Above it, each is truncated to a few words.
const SHOWN_BYTES_MAX: usize = 192 * 1024;

/// The name of a value that is neither an object nor in one.
const WHOLE: &str = "(whole value)";

/// The change of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ui) enum DiffChange {
    Added,
    Removed,
    Changed,
    /// It is hidden, and was not recorded whether it changed.
    Unknown,
    Equal,
}

impl DiffChange {
    /// The word that the page shows.
    pub(in crate::ui) const fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Unknown => "unknown",
            Self::Equal => "unchanged",
        }
    }
}

/// One field.
#[derive(Debug)]
pub(in crate::ui) struct DiffLine {
    /// `properties.labels[2]`
    pub(in crate::ui) path: String,
    pub(in crate::ui) change: DiffChange,
    pub(in crate::ui) before: Option<Shown>,
    pub(in crate::ui) after: Option<Shown>,
    /// What the values do not show: whether a hidden value changed, or in what two values differ that look alike.
    pub(in crate::ui) note: &'static str,
}

/// A comparison.
#[derive(Debug, Default)]
pub(in crate::ui) struct Diff {
    /// The fields that differ, in order.
    pub(in crate::ui) lines: Vec<DiffLine>,
    /// The number of fields that differ and are not listed.
    pub(in crate::ui) lines_left_out: usize,
    /// The equal fields.
    pub(in crate::ui) equal: Vec<DiffLine>,
    /// The number of equal fields that are not listed.
    pub(in crate::ui) equal_left_out: usize,
    masked: MaskedValues,
    shown_bytes: usize,
}

/// A value in the two texts: its path on the page and its pointers.
#[derive(Default)]
struct Place {
    path: String,
    pointers: Pointers,
}

impl Diff {
    /// Compares before with after; either may be absent.
    pub(in crate::ui) fn of(before: Option<&RawValue>, after: Option<&RawValue>, masked: MaskedValues) -> Self {
        let mut diff = Self { masked, ..Self::default() };
        let compact = |side: Option<&RawValue>| side.map(|side| compact(side.get()));
        let (before, after) = (compact(before), compact(after));
        let (before, after) = (before.as_deref(), after.as_deref());
        let are_objects = [before, after].into_iter().flatten().all(|side| side.starts_with('{'));
        let place = Place::default();
        let are_split = before.zip(after).is_some_and(|(before, after)| before == after && diff.hides(&place, before));
        if are_objects || are_split {
            diff.compare(&place, before, after);
        } else {
            diff.whole(&place, before, after);
        }
        diff
    }

    /// Compares values of which one is not an object, as one field.
    fn whole(&mut self, place: &Place, before: Option<&str>, after: Option<&str>) {
        let (change, shown) = match (before, after) {
            (Some(before), Some(after)) if before == after => return self.equal("", before, ""),
            (Some(before), Some(after)) => {
                let note = lookalike::note(before, after);
                let (shown_before, shown_after) = Shown::pair(before, after, self.room());
                return self.push(place, DiffChange::Changed, [Some(shown_before), Some(shown_after)], note);
            }
            (Some(before), None) => (DiffChange::Removed, [Some(Shown::alone(before, self.room())), None]),
            (None, Some(after)) => (DiffChange::Added, [None, Some(Shown::alone(after, self.room()))]),
            (None, None) => return,
        };
        self.push(place, change, shown, "");
    }

    /// Adds a value as fields of its own, as if it were new, and returns their number.
    pub(super) fn add_fields(&mut self, path: &str, value: &RawValue) -> usize {
        let before = self.lines.len();
        let place = Place { path: bounded(path.to_owned()), pointers: Pointers::default() };
        self.compare(&place, None, Some(&compact(value.get())));
        self.lines.len() - before
    }

    /// A summary in words.
    pub(in crate::ui) fn summary(&self) -> String {
        let count = |change: DiffChange| self.lines.iter().filter(|line| line.change == change).count();
        let mut counts: Vec<_> = [DiffChange::Changed, DiffChange::Added, DiffChange::Removed, DiffChange::Unknown]
            .into_iter()
            .map(|change| (count(change), change.word()))
            .collect();
        counts.push((self.equal_count(), DiffChange::Equal.word()));
        counts.retain(|(count, _)| *count > 0);
        let summary = counts.iter().map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ");
        let is_least = count(DiffChange::Unknown) > 0 && count(DiffChange::Changed) > 0;
        if is_least { format!("at least {summary}") } else { summary }
    }

    /// The number of equal fields, listed or not.
    pub(in crate::ui) fn equal_count(&self) -> usize {
        self.equal.len() + self.equal_left_out
    }

    fn compare(&mut self, place: &Place, before: Option<&str>, after: Option<&str>) {
        // Further differences are counted without being split.
        if self.lines.len() >= LINES_MAX && before != after {
            self.lines_left_out += 1;
            return;
        }
        match (before, after) {
            (Some(before), Some(after)) if before == after && !self.hides(place, before) => {
                self.equal(&place.path, before, "");
            }
            (Some(before), Some(after)) => self.compare_both(place, before, after),
            (Some(side), None) => self.one_sided(place, side, DiffChange::Removed),
            (None, Some(side)) => self.one_sided(place, side, DiffChange::Added),
            (None, None) => {}
        }
    }

    fn compare_both(&mut self, place: &Place, before: &str, after: &str) {
        match (DiffParts::of(before), DiffParts::of(after)) {
            (DiffParts::Object(earlier), DiffParts::Object(later)) if !(earlier.is_empty() && later.is_empty()) => {
                self.compare_objects(place, &earlier, &later);
            }
            (DiffParts::Array(earlier), DiffParts::Array(later)) if !(earlier.is_empty() && later.is_empty()) => {
                for pair in align::arrays(&earlier, &later) {
                    let inner = self.element(place, &pair);
                    let [before, after] = pair.sides.map(|side| side.map(|(_, element)| element));
                    self.compare(&inner, before, after);
                }
            }
            _ if before == after => self.compare_hidden(place, before),
            _ => {
                let (earlier, later) = Shown::pair(before, after, self.room());
                let (earlier, later) = (self.shown(place, 0, before, earlier), self.shown(place, 1, after, later));
                self.push(place, DiffChange::Changed, [Some(earlier), Some(later)], self.note(place, before, after));
            }
        }
    }

    /// Whether a value that is equal on both sides as stored may be another one.
    fn hides(&self, place: &Place, value: &str) -> bool {
        self.masked.may_touch(&place.pointers) || holds_redaction(value)
    }

    /// A value that is equal on both sides as stored. If it is hidden, it may have changed.
    fn compare_hidden(&mut self, place: &Place, value: &str) {
        let is_masked = [0, 1].iter().all(|side| self.masked.holds(&place.pointers, *side, value));
        let (kind, note) = match is_masked.then(|| self.masked.change(&place.pointers)) {
            Some(change @ MaskedChange::Unchanged) => return self.equal(&place.path, value, change.note()),
            Some(change @ MaskedChange::Changed) => (DiffChange::Changed, change.note()),
            Some(change @ MaskedChange::Unknown) => (DiffChange::Unknown, change.note()),
            None if holds_redaction(value) => (DiffChange::Unknown, HIDDEN_BY_SENDER),
            None => return self.equal(&place.path, value, ""),
        };
        let sides = [0, 1].map(|side| Some(self.shown(place, side, value, Shown::alone(value, self.room() / 2))));
        self.push(place, kind, sides, note);
    }

    /// What two values that differ do not show.
    fn note(&self, place: &Place, before: &str, after: &str) -> &'static str {
        let are_masked = self.masked.holds(&place.pointers, 0, before) && self.masked.holds(&place.pointers, 1, after);
        if are_masked { self.masked.change(&place.pointers).note_of_part() } else { lookalike::note(before, after) }
    }

    fn compare_objects(&mut self, place: &Place, before: &[(String, &str)], after: &[(String, &str)]) {
        let later: HashMap<&str, &str> = after.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let earlier: HashMap<&str, &str> = before.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        for (key, value) in before {
            self.compare(&self.member(place, key), Some(value), later.get(key.as_str()).copied());
        }
        for (key, value) in after.iter().filter(|(key, _)| !earlier.contains_key(key.as_str())) {
            self.compare(&self.member(place, key), None, Some(value));
        }
    }

    /// A value that only one side has. Objects and arrays of them are split into their fields.
    fn one_sided(&mut self, place: &Place, side: &str, change: DiffChange) {
        let is_added = change == DiffChange::Added;
        let pick = |value| if is_added { (None, Some(value)) } else { (Some(value), None) };
        match DiffParts::of(side) {
            DiffParts::Object(members) if !members.is_empty() => {
                for (key, value) in &members {
                    let (before, after) = pick(*value);
                    self.compare(&self.member(place, key), before, after);
                }
            }
            DiffParts::Array(elements) if elements.iter().any(|element| element.starts_with(['{', '['])) => {
                for pair in align::arrays(&elements, &[]) {
                    let inner = self.element(place, &pair);
                    let (before, after) = pick(pair.sides[0].map_or("", |(_, element)| element));
                    self.compare(&inner, before, after);
                }
            }
            _ => {
                let shown = self.shown(place, usize::from(is_added), side, Shown::alone(side, self.room()));
                let sides = if is_added { [None, Some(shown)] } else { [Some(shown), None] };
                self.push(place, change, sides, "");
            }
        }
    }

    fn equal(&mut self, path: &str, value: &str, note: &'static str) {
        if let DiffParts::Object(members) = DiffParts::of(value)
            && !members.is_empty()
            && self.equal.len() < EQUAL_MAX
        {
            for (key, value) in &members {
                self.equal(&bounded(join(path, key)), value, note);
            }
            return;
        }
        if self.equal.len() >= EQUAL_MAX {
            self.equal_left_out += 1;
            return;
        }
        let shown = Shown::alone(value, self.room());
        let shown = if note.is_empty() { shown } else { shown.masked() };
        self.shown_bytes += path.len() + shown.bytes();
        let path = if path.is_empty() { WHOLE } else { path }.to_owned();
        self.equal.push(DiffLine { path, change: DiffChange::Equal, before: None, after: Some(shown), note });
    }

    /// A value of one side, which is told apart if it is masked.
    fn shown(&self, place: &Place, side: usize, value: &str, shown: Shown) -> Shown {
        if self.masked.holds(&place.pointers, side, value) { shown.masked() } else { shown }
    }

    fn push(&mut self, place: &Place, change: DiffChange, sides: [Option<Shown>; 2], note: &'static str) {
        self.shown_bytes += place.path.len() + sides.iter().flatten().map(Shown::bytes).sum::<usize>();
        let path = if place.path.is_empty() { WHOLE } else { &place.path }.to_owned();
        let [before, after] = sides;
        self.lines.push(DiffLine { path, change, before, after, note });
    }

    fn member(&self, place: &Place, key: &str) -> Place {
        let pointers = if self.masked.are_none() { Pointers::default() } else { place.pointers.member(key) };
        Place { path: bounded(join(&place.path, key)), pointers }
    }

    fn element(&self, place: &Place, pair: &Pair<'_>) -> Place {
        let index = |side: usize| pair.sides[side].or(pair.sides[1 - side]).map_or(0, |(index, _)| index);
        let is_untracked = self.masked.are_none();
        let pointers = if is_untracked { Pointers::default() } else { place.pointers.element([index(0), index(1)]) };
        Place { path: bounded(format!("{}[{}]", place.path, pair.label)), pointers }
    }

    fn room(&self) -> usize {
        SHOWN_BYTES_MAX.saturating_sub(self.shown_bytes)
    }
}

/// Maximum number of bytes of a path. Its end is shown. Every line has a path, and a key may be as long as an event.
const PATH_BYTES_MAX: usize = 256;

fn bounded(path: String) -> String {
    match path.len().checked_sub(PATH_BYTES_MAX) {
        None | Some(0) => path,
        Some(beyond) => format!("…{}", &path[path.ceil_char_boundary(beyond)..]),
    }
}

/// The path of a member. A key that could be read as several keys is quoted.
pub(super) fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && !key.contains(['.', '[', ']', '"', ' ']);
    match (path.is_empty(), plain) {
        (true, true) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
        (_, false) => {
            let mut quoted = format!("{path}[");
            json::push_string(&mut quoted, key);
            quoted + "]"
        }
    }
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
