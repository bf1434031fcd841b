//! Where the texts of a search are in a stored event.

use std::ops::{ControlFlow, Range};

use icu_normalizer::properties::CanonicalCombiningClassMap;

use super::texts::{Place, RawText, each_text};
use crate::model::{
    field::Field,
    filter::{Clause, SearchTerm, canonical},
    fold::fold,
    json,
    search::SearchText,
    words::words,
};

/// Maximum number of ranges that are reported for one event.
const RANGES_MAX: usize = 100;
/// Longer texts are not looked at.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// A text of an event, and the parts of it that a search asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Highlight {
    /// The JSON pointer (RFC 6901) to the text.
    pub pointer: String,
    /// The parts, in Unicode code points of the text, the end excluded: ascending, without overlaps.
    pub ranges: Vec<Range<usize>>,
}

/// Where the terms of a search are in a stored event, as far as the event was found by them. Excluding terms are nowhere.
pub fn highlights(body: &str, search: &[SearchTerm]) -> Vec<Highlight> {
    let (mut found, mut left) = (Vec::new(), RANGES_MAX);
    // What is found until the limit counts.
    let _ = each_text(body, |place, raw| {
        let text = raw.decode();
        if text.len() <= TEXT_BYTES_MAX {
            let mut ranges = ranges_in(&text, place, search);
            ranges.truncate(left);
            left -= ranges.len();
            if !ranges.is_empty() {
                let in_chars = |at: usize| text.get(..at).map_or(0, |before| before.chars().count());
                let ranges = ranges.iter().map(|range| in_chars(range.start)..in_chars(range.end)).collect();
                found.push((raw, ranges));
            }
        }
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    with_pointers(body, found)
}

/// The ranges of a text's bytes that the terms ask for: ascending, without overlaps.
fn ranges_in(text: &str, place: Place, search: &[SearchTerm]) -> Vec<Range<usize>> {
    let folded = Folded::new(text);
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for term in search {
        match term {
            SearchTerm::Text(searched) if !searched.negated => folded.add_ranges(searched, place, &mut ranges),
            SearchTerm::Field(clause) if !clause.negated && asks_for(clause, place, text) => ranges.push(0..text.len()),
            SearchTerm::Text(_) | SearchTerm::Field(_) => {}
        }
    }
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| (range.start, range.end));
    ranges.dedup_by(|next, former| {
        let overlaps = next.start < former.end;
        former.end = if overlaps { former.end.max(next.end) } else { former.end };
        overlaps
    });
    ranges
}

/// Whether a clause asks for this value of its field.
fn asks_for(clause: &Clause, place: Place, value: &str) -> bool {
    let value = canonical(clause.field.spec(), value);
    place == Place::Field(clause.field) && clause.predicates.iter().any(|predicate| predicate.matches(value))
}

/// A folded text, with the places in the original that its bytes come from.
struct Folded {
    text: String,
    /// For each byte of the folded text, the bytes of the letter in the original.
    letters: Vec<Range<usize>>,
}

impl Folded {
    fn new(text: &str) -> Self {
        let (mut own, mut letters) = (String::with_capacity(text.len()), Vec::with_capacity(text.len()));
        let classes = CanonicalCombiningClassMap::new();
        let mut starts =
            text.char_indices().filter(|(_, char)| classes.get_u8(*char) == 0).map(|(at, _)| at).peekable();
        while let Some(start) = starts.next() {
            let end = starts.peek().copied().unwrap_or(text.len());
            own.push_str(&fold(&text[start..end]));
            letters.resize(own.len(), start..end);
        }
        let folded = fold(text);
        if *folded != *own {
            // Letters that are composed in another way: all of the text stands for each of them.
            letters = vec![0..text.len(); folded.len()];
            own = folded.into_owned();
        }
        Self { text: own, letters }
    }

    /// Adds the ranges in the original by which a text is found in a place.
    fn add_ranges(&self, searched: &SearchText, place: Place, ranges: &mut Vec<Range<usize>>) {
        let before = ranges.len();
        match place {
            Place::Field(field) if !field.spec().searched => {}
            Place::Field(field) => {
                self.add_occurrences(&searched.text, ranges);
                if ranges.len() == before && field == Field::Action && searched.is_in(field, &self.text) {
                    ranges.extend(self.original(0..self.text.len()));
                }
            }
            Place::Message if !searched.is_in_message(&self.text) => {}
            Place::Message => match searched.sequence() {
                Some(sequence) => self.add_words(sequence, ranges),
                None => searched.parts.iter().for_each(|part| self.add_occurrences(part, ranges)),
            },
            Place::Value => {
                let wanted = searched.words();
                if !wanted.is_empty() {
                    self.add_words(&format!(" {} ", wanted.join(" ")), ranges);
                }
            }
        }
    }

    fn add_occurrences(&self, wanted: &str, ranges: &mut Vec<Range<usize>>) {
        let found = self.text.match_indices(wanted).take(RANGES_MAX);
        ranges.extend(found.filter_map(|(at, wanted)| self.original(at..at + wanted.len())));
    }

    /// Adds the ranges in which words with single spaces between and around them have a text.
    fn add_words(&self, wanted: &str, ranges: &mut Vec<Range<usize>>) {
        let (mut joined, mut places) = (" ".to_owned(), vec![0]);
        for word in words(&self.text) {
            // The word is a part of the text.
            let begin = word.as_ptr().addr() - self.text.as_ptr().addr();
            joined.push_str(word);
            joined.push(' ');
            places.extend(begin..=begin + word.len());
        }
        // Two matches may share the space between them.
        let (before, after) = (usize::from(wanted.starts_with(' ')), usize::from(wanted.ends_with(' ')));
        let mut from = 0;
        for _ in 0..RANGES_MAX {
            let Some(found) = joined.get(from..).and_then(|rest| rest.find(wanted)) else {
                break;
            };
            let (begin, end) = (from + found + before, from + found + wanted.len() - after);
            let (first, last) = (places.get(begin), end.checked_sub(1).and_then(|last| places.get(last)));
            ranges.extend(first.zip(last).and_then(|(first, last)| self.original(*first..last + 1)));
            from = end;
        }
    }

    /// The part of the original that a range of the folded text comes from.
    fn original(&self, range: Range<usize>) -> Option<Range<usize>> {
        let (first, last) = (self.letters.get(range.start)?, self.letters.get(range.end.checked_sub(1)?)?);
        Some(first.start..last.end)
    }
}

/// Adds the pointer to each text, in one pass over the event.
fn with_pointers(body: &str, found: Vec<(RawText<'_>, Vec<Range<usize>>)>) -> Vec<Highlight> {
    let bytes = body.as_bytes();
    let (mut path, mut at, mut highlights): (Vec<Step<'_>>, usize, Vec<Highlight>) = (Vec::new(), 0, Vec::new());
    for (text, ranges) in found {
        // The text is a part of the body.
        let wanted = text.raw.as_ptr().addr() - body.as_ptr().addr();
        while at < wanted {
            match bytes[at] {
                b'{' => path.push(Step::Key("")),
                b'[' => path.push(Step::Index(0)),
                b'}' | b']' => drop(path.pop()),
                b',' => {
                    if let Some(Step::Index(index)) = path.last_mut() {
                        *index += 1;
                    }
                }
                b'"' if at + 1 == wanted => {}
                b'"' => {
                    let end = json::end_of_string(bytes, at + 1);
                    // In an object, the last text before a value is its key.
                    if let Some(Step::Key(key)) = path.last_mut() {
                        *key = body.get(at + 1..end).unwrap_or_default();
                    }
                    at = end;
                }
                _ => {}
            }
            at += 1;
        }
        highlights.push(Highlight { pointer: path.iter().map(Step::to_token).collect(), ranges });
        at = wanted + text.raw.len();
        at += usize::from(bytes.get(at) == Some(&b'"'));
    }
    highlights
}

/// A step of a pointer.
enum Step<'b> {
    /// To the member of an object with this key, still escaped.
    Key(&'b str),
    /// To the element of an array at this index.
    Index(usize),
}

impl Step<'_> {
    /// The step with the slash before it.
    fn to_token(&self) -> String {
        match self {
            Self::Key(key) => {
                let key = json::unescape(key.as_bytes()).unwrap_or_default();
                format!("/{}", key.replace('~', "~0").replace('/', "~1"))
            }
            Self::Index(index) => format!("/{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::search_language;

    fn of(body: &str, search: &str) -> Vec<(String, Vec<(usize, usize)>)> {
        let pairs = |ranges: Vec<Range<usize>>| ranges.into_iter().map(|range| (range.start, range.end)).collect();
        let found = highlights(body, &search_language::parse(search).unwrap());
        found.into_iter().map(|one| (one.pointer, pairs(one.ranges))).collect()
    }

    #[test]
    fn each_match_has_its_pointer_and_its_ranges() {
        let body = r#"{"identifier":"e-1","action":"ledger.delete","status":"FAILURE","message":"Pool timeout: pool #14 closed",
            "context":{"entity":"M\u00fcller Mu\u0308ller","runId":"run-pool-7"},
            "diff":{"before":{"a/b~c":["x",{"Images":"Shop:1.2, shop 1.2"}]},"after":{"n":-14,"on":true}},
            "additionalData":{"note":"İ Straße shop"},"receivedAt":"pool"}"#;
        for (search, expected) in [
            ("timeout", vec![("/message", vec![(5, 12)])]),
            ("pool", vec![("/message", vec![(0, 4), (14, 18)]), ("/context/runId", vec![(4, 8)])]),
            ("\"pool: 14\"", vec![("/message", vec![(14, 22)])]),
            ("\"ool 1\"", vec![("/message", vec![(15, 21)])]),
            ("14", vec![("/message", vec![(20, 22)]), ("/diff/after/n", vec![(1, 3)])]),
            ("shop:1.2", vec![("/diff/before/a~1b~0c/1/Images", vec![(0, 8), (10, 18)])]),
            ("m\u{fc}ller", vec![("/context/entity", vec![(0, 6), (7, 14)])]),
            ("strasse", vec![("/additionalData/note", vec![(2, 8)])]),
            ("deleted status:failure", vec![("/action", vec![(0, 13)]), ("/status", vec![(0, 7)])]),
            ("\"e-1\" -pool true", vec![("/identifier", vec![(0, 3)]), ("/diff/after/on", vec![(0, 4)])]),
            ("nothing FAILURE", vec![]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(pointer, ranges)| (pointer.to_owned(), ranges)).collect();
            assert_eq!(of(body, search), expected, "{search}");
        }
    }

    #[test]
    fn ranges_are_bounded() {
        let body = format!(r#"{{"message":"{}","x":"a"}}"#, "a ".repeat(1_000));
        assert_eq!(of(&body, "a")[0].1.len(), RANGES_MAX);
        assert!(of(&body, "a").len() == 1);
    }
}
