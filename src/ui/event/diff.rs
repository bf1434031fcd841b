//! Compares two JSON objects field by field. Other values are one field.
//!
//! Values are compared as text, ignoring white space between tokens, so `1.0` and `1` differ and no number loses
//! digits. Objects are compared by key. Arrays are compared by identifier if every element has one, otherwise by their
//! longest common subsequence. The work is bounded: at most [`LINES_MAX`] lines, and parts that are too large to align
//! are compared by position.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::{
    model::json,
    ui::event::{
        align::{self, DiffParts},
        value::Shown,
    },
};

/// Maximum number of lines of a comparison. Further ones are only counted.
const LINES_MAX: usize = 1_000;
/// Maximum number of equal fields that can be unfolded.
const EQUAL_MAX: usize = 300;
/// Maximum number of bytes of all values together. Above it, each is truncated to a few words.
const SHOWN_BYTES_MAX: usize = 192 * 1024;

/// The change of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ui) enum DiffChange {
    Added,
    Removed,
    Changed,
    Equal,
}

impl DiffChange {
    /// The word that the page shows.
    pub(in crate::ui) const fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
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
    shown_bytes: usize,
}

impl Diff {
    /// Compares before with after; either may be absent.
    pub(in crate::ui) fn of(before: Option<&RawValue>, after: Option<&RawValue>) -> Self {
        let mut diff = Self::default();
        let compact = |side: Option<&RawValue>| side.map(|side| compact(side.get()));
        let (before, after) = (compact(before), compact(after));
        let (before, after) = (before.as_deref(), after.as_deref());
        if [before, after].into_iter().flatten().all(|side| side.starts_with('{')) {
            diff.compare("", before, after);
        } else {
            diff.whole(before, after);
        }
        diff
    }

    /// Compares values of which one is not an object, as one field.
    fn whole(&mut self, before: Option<&str>, after: Option<&str>) {
        const PATH: &str = "(whole value)";
        match (before, after) {
            (Some(before), Some(after)) if before == after => self.equal(PATH, before),
            (Some(before), Some(after)) => {
                let (before, after) = Shown::pair(before, after, self.room());
                self.push(PATH, DiffChange::Changed, Some(before), Some(after));
            }
            (side, None) => {
                let shown = side.map(|side| Shown::alone(side, self.room()));
                self.push(PATH, DiffChange::Removed, shown, None);
            }
            (None, side) => {
                let shown = side.map(|side| Shown::alone(side, self.room()));
                self.push(PATH, DiffChange::Added, None, shown);
            }
        }
    }

    /// A summary in words.
    pub(in crate::ui) fn summary(&self) -> String {
        let count = |change: DiffChange| self.lines.iter().filter(|line| line.change == change).count();
        let mut counts: Vec<_> = [DiffChange::Changed, DiffChange::Added, DiffChange::Removed]
            .into_iter()
            .map(|change| (count(change), change.word()))
            .collect();
        counts.push((self.equal_count(), DiffChange::Equal.word()));
        counts.retain(|(count, _)| *count > 0);
        counts.iter().map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
    }

    /// The number of equal fields, listed or not.
    pub(in crate::ui) fn equal_count(&self) -> usize {
        self.equal.len() + self.equal_left_out
    }

    fn compare(&mut self, path: &str, before: Option<&str>, after: Option<&str>) {
        // Further differences are counted without being split.
        if self.lines.len() >= LINES_MAX && before != after {
            self.lines_left_out += 1;
            return;
        }
        match (before, after) {
            (Some(before), Some(after)) if before == after => self.equal(path, before),
            (Some(before), Some(after)) => self.compare_both(path, before, after),
            (Some(side), None) => self.one_sided(path, side, DiffChange::Removed),
            (None, Some(side)) => self.one_sided(path, side, DiffChange::Added),
            (None, None) => {}
        }
    }

    fn compare_both(&mut self, path: &str, before: &str, after: &str) {
        match (DiffParts::of(before), DiffParts::of(after)) {
            (DiffParts::Object(before), DiffParts::Object(after)) => self.compare_objects(path, &before, &after),
            (DiffParts::Array(before), DiffParts::Array(after)) => {
                for (index, before, after) in align::arrays(&before, &after) {
                    self.compare(&bounded(format!("{path}[{index}]")), before, after);
                }
            }
            _ => {
                let (before, after) = Shown::pair(before, after, self.room());
                self.push(path, DiffChange::Changed, Some(before), Some(after));
            }
        }
    }

    fn compare_objects(&mut self, path: &str, before: &[(String, &str)], after: &[(String, &str)]) {
        let later: HashMap<&str, &str> = after.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let earlier: HashMap<&str, &str> = before.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        for (key, value) in before {
            self.compare(&bounded(join(path, key)), Some(value), later.get(key.as_str()).copied());
        }
        for (key, value) in after.iter().filter(|(key, _)| !earlier.contains_key(key.as_str())) {
            self.compare(&bounded(join(path, key)), None, Some(value));
        }
    }

    /// A value that only one side has. Objects and arrays of them are split into their fields.
    fn one_sided(&mut self, path: &str, side: &str, change: DiffChange) {
        let pick = |value| if change == DiffChange::Added { (None, Some(value)) } else { (Some(value), None) };
        match DiffParts::of(side) {
            DiffParts::Object(members) if !members.is_empty() => {
                for (key, value) in &members {
                    let (before, after) = pick(*value);
                    self.compare(&bounded(join(path, key)), before, after);
                }
            }
            DiffParts::Array(elements) if elements.iter().any(|element| element.starts_with(['{', '['])) => {
                for (index, element) in elements.iter().enumerate() {
                    let (before, after) = pick(*element);
                    self.compare(&bounded(format!("{path}[{index}]")), before, after);
                }
            }
            _ => {
                let (before, after) = pick(side);
                let room = self.room();
                let show = |side: Option<&str>| side.map(|side| Shown::alone(side, room));
                self.push(path, change, show(before), show(after));
            }
        }
    }

    fn equal(&mut self, path: &str, value: &str) {
        if let DiffParts::Object(members) = DiffParts::of(value)
            && !members.is_empty()
            && self.equal.len() < EQUAL_MAX
        {
            for (key, value) in &members {
                self.equal(&bounded(join(path, key)), value);
            }
            return;
        }
        if self.equal.len() >= EQUAL_MAX {
            self.equal_left_out += 1;
            return;
        }
        let shown = Shown::alone(value, self.room());
        self.shown_bytes += path.len() + shown.bytes();
        self.equal.push(DiffLine {
            path: path.to_owned(),
            change: DiffChange::Equal,
            before: None,
            after: Some(shown),
        });
    }

    fn push(&mut self, path: &str, change: DiffChange, before: Option<Shown>, after: Option<Shown>) {
        self.shown_bytes += path.len() + [&before, &after].into_iter().flatten().map(Shown::bytes).sum::<usize>();
        self.lines.push(DiffLine { path: path.to_owned(), change, before, after });
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
fn join(path: &str, key: &str) -> String {
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

/// The text without white space between tokens.
fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for char in text.chars() {
        if in_string {
            out.push(char);
            in_string = escaped || char != '"';
            escaped = !escaped && char == '\\';
        } else if !char.is_ascii_whitespace() {
            out.push(char);
            in_string = char == '"';
        }
    }
    out
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
