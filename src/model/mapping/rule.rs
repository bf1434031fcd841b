//! How one key of the event gets its value: alternatives, each with a source and steps.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::model::{
    json_pointer::Pointer,
    json_walk::{Node, Slots, scalar, text_of},
    mapping::{glob::GlobMap, verb},
};

/// The alternatives for one key, in order of preference.
#[derive(Debug, Clone)]
pub(super) struct Rule(pub(super) Vec<Alternative>);

/// A value with fallbacks, and what is done with the first that is there.
#[derive(Debug, Clone, Default)]
pub(super) struct Alternative {
    pub(super) sources: Vec<Source>,
    /// For a value that is JSON in a string: the part of it that counts.
    pub(super) json: Option<Inner>,
    pub(super) split: Option<Split>,
    pub(super) verb: bool,
    pub(super) map: Option<GlobMap>,
    /// The text if the steps yield nothing.
    pub(super) otherwise: Option<String>,
}

/// Where a value comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Constant(String),
    /// A value of the record.
    Slot(usize),
    /// Texts and values of the record in a row. It yields nothing if one of the values does.
    Template(Vec<Piece>),
}

/// A part of a template.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Text(String),
    Slot(usize),
}

/// A value that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Text(Cow<'a, str>),
    /// A JSON value as written, for keys that take any value.
    Json(Cow<'a, str>),
}

/// A value that was found, and where.
pub(super) struct Choice<'a> {
    pub(super) found: Found<'a>,
    /// `None` for the text of `else`.
    pub(super) source: Option<&'a Source>,
}

impl Alternative {
    /// The value, if there is one. `takes_json` says whether the key takes any JSON value.
    pub(super) fn choose<'a>(&'a self, slots: &Slots<'a>, takes_json: bool) -> Option<Choice<'a>> {
        let first = self.sources.iter().find_map(|source| Some((source, self.read(source, slots, takes_json)?)));
        let chosen = first.and_then(|(source, found)| Some(Choice { found: self.apply(found)?, source: Some(source) }));
        let otherwise = || {
            let text = self.otherwise.as_deref()?;
            Some(Choice { found: Found::Text(Cow::Borrowed(text)), source: None })
        };
        chosen.or_else(otherwise)
    }

    fn read<'a>(&'a self, source: &'a Source, slots: &Slots<'a>, takes_json: bool) -> Option<Found<'a>> {
        match source {
            Source::Constant(text) => Some(Found::Text(Cow::Borrowed(text))),
            Source::Template(pieces) => {
                let texts = pieces.iter().map(|piece| match piece {
                    Piece::Text(text) => Some(Cow::Borrowed(text.as_str())),
                    Piece::Slot(slot) => scalar(slots[*slot]?),
                });
                texts.collect::<Option<String>>().map(|text| Found::Text(Cow::Owned(text)))
            }
            Source::Slot(slot) => {
                let value = slots[*slot]?;
                match &self.json {
                    Some(inner) => inner.read(value, takes_json),
                    None => read(value, takes_json),
                }
            }
        }
    }

    fn apply<'a>(&'a self, found: Found<'a>) -> Option<Found<'a>> {
        let Found::Text(mut text) = found else { return Some(found) };
        if let Some(split) = &self.split {
            text = split.take(text)?;
        }
        if self.verb {
            text = Cow::Borrowed(verb::kind(&text)?);
        }
        if let Some(map) = &self.map {
            text = map.get(text)?;
        }
        Some(text).filter(|text| !text.is_empty()).map(Found::Text)
    }
}

impl Source {
    /// The values of the record that the source uses.
    pub(super) fn slots(&self) -> impl Iterator<Item = usize> {
        let (own, pieces) = match self {
            Self::Constant(_) => (None, &[][..]),
            Self::Slot(slot) => (Some(*slot), &[][..]),
            Self::Template(pieces) => (None, &pieces[..]),
        };
        own.into_iter().chain(pieces.iter().filter_map(|piece| match piece {
            Piece::Slot(slot) => Some(*slot),
            Piece::Text(_) => None,
        }))
    }
}

fn read(value: &str, takes_json: bool) -> Option<Found<'_>> {
    if takes_json {
        return Some(Found::Json(Cow::Borrowed(value))).filter(|_| value != "null");
    }
    scalar(value).map(Found::Text)
}

/// A part of a JSON text.
#[derive(Debug, Clone)]
pub(super) struct Inner {
    /// A tree with one pointer; empty for the whole value.
    tree: Node,
}

impl Inner {
    /// The value at the pointer; without one, the whole value.
    pub(super) fn new(pointer: Option<&Pointer>) -> Self {
        let mut tree = Node::default();
        if let Some(pointer) = pointer {
            tree.slot(pointer, 0);
        }
        Self { tree }
    }

    /// Reads a string that holds JSON. Any other value is used directly.
    fn read<'a>(&self, value: &'a str, takes_json: bool) -> Option<Found<'a>> {
        let Some(content) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
            return self.part(value).and_then(|part| read(part, takes_json));
        };
        let text = text_of(content);
        let raw: &RawValue = serde_json::from_str(&text).ok()?;
        let found = self.part(raw.get()).and_then(|part| read(part, takes_json))?;
        Some(match found {
            Found::Text(text) => Found::Text(Cow::Owned(text.into_owned())),
            Found::Json(text) => Found::Json(Cow::Owned(text.into_owned())),
        })
    }

    fn part<'a>(&self, value: &'a str) -> Option<&'a str> {
        if !self.tree.has_children() {
            return Some(value);
        }
        let mut slots = [None];
        self.tree.fill(value, &mut slots);
        slots[0]
    }
}

/// Splits a text at a separator and takes a part.
#[derive(Debug, Clone)]
pub(super) struct Split {
    pub(super) separator: String,
    pub(super) take: Take,
}

/// The parts of a split text that are taken. Numbers count from 0; negative ones from the end, where -1 is the last part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// One part.
    One(i64),
    /// The parts from one number up to, but not including, another.
    Range(Option<i64>, Option<i64>),
}

impl Split {
    fn take<'a>(&self, text: Cow<'a, str>) -> Option<Cow<'a, str>> {
        match text {
            Cow::Borrowed(text) => self.part(text).map(Cow::Borrowed),
            Cow::Owned(text) => self.part(&text).map(|part| Cow::Owned(part.to_owned())),
        }
    }

    fn part<'t>(&self, text: &'t str) -> Option<&'t str> {
        // Where each part begins and ends.
        let (mut bounds, mut start) = (Vec::new(), 0);
        for (at, separator) in text.match_indices(&self.separator) {
            bounds.push((start, at));
            start = at + separator.len();
        }
        bounds.push((start, text.len()));
        let count = bounds.len();
        let index = |number: i64| {
            let from_end = usize::try_from(number.unsigned_abs()).ok()?;
            if number < 0 { count.checked_sub(from_end) } else { Some(from_end) }
        };
        let (first, end) = match self.take {
            Take::One(number) => (index(number)?, index(number)?.checked_add(1)?),
            Take::Range(first, end) => (first.map_or(Some(0), index)?, end.map_or(Some(count), index)?.min(count)),
        };
        let (from, to) = (bounds.get(first)?.0, bounds.get(end.checked_sub(1)?)?.1);
        text.get(from..to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, separator: &str, take: Take) -> Option<String> {
        let split = Split { separator: separator.to_owned(), take };
        split.take(Cow::Borrowed(text)).map(Cow::into_owned)
    }

    #[test]
    fn parts_are_counted_from_both_ends() {
        let range = |first, end| Take::Range(first, end);
        for (take, expected) in [
            (Take::One(0), Some("a")),
            (Take::One(-1), Some("d")),
            (Take::One(3), Some("d")),
            (Take::One(4), None),
            (Take::One(-5), None),
            (range(None, Some(-1)), Some("a.b.c")),
            (range(Some(1), None), Some("b.c.d")),
            (range(Some(-2), None), Some("c.d")),
            (range(Some(1), Some(9)), Some("b.c.d")),
            (range(Some(2), Some(1)), None),
            (range(Some(4), None), None),
            (Take::One(i64::MIN), None),
            (Take::One(i64::MAX), None),
        ] {
            assert_eq!(split("a.b.c.d", ".", take).as_deref(), expected, "{take:?}");
        }
        assert_eq!(split("s3.amazonaws.com", ".amazonaws.com", Take::One(0)).as_deref(), Some("s3"));
        assert_eq!(split("plain", ".", range(None, Some(-1))), None);
    }

    #[test]
    fn json_in_a_string_is_read() {
        let alternative = |pointer: Option<&str>| Alternative {
            sources: vec![Source::Slot(0)],
            json: Some(Inner::new(pointer.map(|text| Pointer::parse(text).unwrap()).as_ref())),
            ..Alternative::default()
        };
        let choose = |pointer: Option<&str>, value: &str, takes_json: bool| {
            let alternative = alternative(pointer);
            let choice = alternative.choose(&[Some(value)], takes_json);
            choice.map(|choice| match choice.found {
                Found::Text(text) | Found::Json(text) => text.into_owned(),
            })
        };
        assert_eq!(choose(Some("/a/b"), r#""{\"a\":{\"b\":\"x\"}}""#, false).as_deref(), Some("x"));
        assert_eq!(choose(Some("/a/b"), r#"{"a":{"b":1}}"#, false).as_deref(), Some("1"));
        assert_eq!(choose(None, r#""{\"a\": 1}""#, true).as_deref(), Some(r#"{"a": 1}"#));
        assert_eq!(choose(None, r#""7""#, false).as_deref(), Some("7"));
        assert_eq!(choose(None, r#""not JSON""#, false), None);
        assert_eq!(choose(Some("/a"), r#""[1]""#, false), None);
    }
}
