//! The texts of a stored event, each with what the index does with it.
//!
//! One pass over the bytes, without a tree: preparing an event and deciding whether it matches a search both depend on its
//! speed.

use std::{borrow::Cow, ops::ControlFlow};

use crate::model::{
    event::{RECEIVED_AT, SERVER_KEYS},
    field::{Field, Object, TermStorage},
    json,
    mask::MASKED,
    search::SearchText,
    term_text::term_text,
    words::{self, WordCollector, WordNumbers},
};

/// What a text is for the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The value of a field.
    Field(Field),
    /// The message.
    Message,
    /// Any other value: its words are searched.
    Value,
}

/// The numbers of the words by which a stored event is found in addition to its fields and its message.
pub(super) fn word_numbers(body: &str) -> WordNumbers {
    let mut words = WordCollector::default();
    // If the pass ends early, the event has too many words.
    let _ = each_text(body, |place, text| {
        match place {
            Place::Value if text.is_plain => words.add_plain(text.raw),
            Place::Value => words.add(&text.decode()),
            Place::Field(_) | Place::Message => {}
        }
        if words.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    words.finish()
}

/// Whether a search text is in the message of a stored event, in one of its per-chunk values, or in a value without a field.
pub fn contains(body: &str, searched: &SearchText) -> bool {
    let words = searched.words();
    let found = each_text(body, |place, text| {
        let is_in = match place {
            Place::Field(field) => {
                field.is_searched_key() && searched.is_in_key(&term_text(field.spec(), &text.decode()))
            }
            Place::Message => searched.is_in_message(&text.decode()),
            Place::Value => words::has_sequence(&text.decode(), &words),
        };
        if is_in { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found.is_break()
}

/// A text as the body has it.
#[derive(Clone, Copy)]
pub(super) struct RawText<'b> {
    /// The content of a string without its quotes; or a number, `true` or `false`.
    pub(super) raw: &'b str,
    /// Whether it is ASCII without escapes.
    is_plain: bool,
}

impl<'b> RawText<'b> {
    pub(super) fn decode(self) -> Cow<'b, str> {
        if self.is_plain { Cow::Borrowed(self.raw) } else { json::unescape(self.raw.as_bytes()).unwrap_or_default() }
    }
}

/// Calls `each` with the texts of a stored event. The event time, what the server added to the event, and what it put in the
/// place of masked values are left out.
pub(super) fn each_text<'b>(
    body: &'b str,
    mut each: impl FnMut(Place, RawText<'b>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let bytes = body.as_bytes();
    let mut keys = Keys::default();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let begin = at;
        match byte {
            b'{' | b'[' => keys.open(byte == b'{'),
            b'}' | b']' => keys.close(),
            b'"' => {
                let (end, is_plain) = end_of_string(bytes, begin + 1);
                let text = RawText { raw: body.get(begin + 1..end).unwrap_or_default(), is_plain };
                at = end + 1;
                let after = skip_space(bytes, at);
                if bytes.get(after) != Some(&b':') {
                    if text.raw != MASKED || keys.place != Place::Value {
                        each(keys.place, text)?;
                    }
                } else if keys.read(text) == Member::Skipped {
                    at = json::end_of_value(bytes, skip_space(bytes, after + 1));
                } else {
                    at = after + 1;
                }
                continue;
            }
            b'-' | b'0'..=b'9' | b't' | b'f' => {
                at = json::end_of_value(bytes, begin);
                each(keys.place, RawText { raw: body.get(begin..at).unwrap_or_default(), is_plain: true })?;
                continue;
            }
            b'n' => {
                at = json::end_of_value(bytes, begin);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    ControlFlow::Continue(())
}

/// The index of the closing quote of the string whose content begins at `at`, and whether the content is ASCII without escapes.
/// Most strings are short, so this compares byte by byte.
fn end_of_string(bytes: &[u8], mut at: usize) -> (usize, bool) {
    let mut is_plain = true;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return (at, is_plain),
            b'\\' => {
                is_plain = false;
                at += 1;
            }
            _ => is_plain &= byte.is_ascii(),
        }
        at += 1;
    }
    (bytes.len(), false)
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// Whether the value of a key is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Member {
    Read,
    Skipped,
}

/// Where a pass over an event is.
struct Keys {
    /// The objects that the server reads, from the event inwards.
    open: Vec<Object>,
    /// The number of open objects and arrays within a value that the server does not read.
    unread: usize,
    /// The object that an object beginning here is, if the server reads it.
    next: Option<Object>,
    /// What the next text is.
    place: Place,
    /// Whether the keys of the server have begun.
    is_received: bool,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            open: Vec::with_capacity(4),
            unread: 0,
            next: Some(Object::Event),
            place: Place::Value,
            is_received: false,
        }
    }
}

impl Keys {
    fn open(&mut self, is_object: bool) {
        match self.next.take().filter(|_| is_object && self.unread == 0) {
            Some(object) => self.open.push(object),
            None => self.unread += 1,
        }
    }

    fn close(&mut self) {
        if self.unread > 0 {
            self.unread -= 1;
        } else {
            self.open.pop();
        }
    }

    /// Reads a key, which may be escaped.
    fn read(&mut self, key: RawText<'_>) -> Member {
        let (0, Some(object)) = (self.unread, self.open.last()) else {
            return Member::Read;
        };
        let key = key.decode();
        if *object == Object::Event {
            self.is_received |= key == RECEIVED_AT;
            if self.is_received && SERVER_KEYS.contains(&&*key) {
                return Member::Skipped;
            }
        }
        self.next = object.inner(&key);
        self.place = match (object, &*key) {
            (Object::Trigger, "at") => return Member::Skipped,
            (Object::Event, "message") => Place::Message,
            (object, key) => Field::at(*object, key).map_or(Place::Value, |spec| Place::Field(spec.field)),
        };
        Member::Read
    }
}

impl Field {
    /// Whether a search looks at the field's values in each chunk.
    fn is_searched_key(self) -> bool {
        self.spec().searched && self.spec().sharing == TermStorage::PerChunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(body: &str) -> Vec<(Place, String)> {
        let mut found = Vec::new();
        let _ = each_text(body, |place, text| {
            found.push((place, text.decode().into_owned()));
            ControlFlow::Continue(())
        });
        found
    }

    #[test]
    fn each_text_has_the_place_of_its_key() {
        let body = r#" { "identifier" : "i", "action":"A", "message":"m\n", "trigger":{"at":"2024-05-01T12:00:00Z","x":{"at":"t"},
            "by":{"name":"ada","orgId":7,"deep":{"name":"n"}}}, "c\u006fntext":{"entit\u0079":"e", "list":[1,{"entity":"in list"}]},
            "diff":{"before":null,"after":{"identifier":"d","k":[true,-1.5e3,"\u00e9\"x"]}}, "masked":"sender's",
            "entity":"other","receivedAt":"2024-05-01T12:00:01Z","masked":["/a"],"later":"z","password":"[masked]","maskedChanged":{"a":"b"} } "#;
        let expected = [
            (Place::Field(Field::Identifier), "i"),
            (Place::Field(Field::Action), "A"),
            (Place::Message, "m\n"),
            (Place::Value, "t"),
            (Place::Field(Field::Actor), "ada"),
            (Place::Value, "7"),
            (Place::Value, "n"),
            (Place::Field(Field::Entity), "e"),
            (Place::Value, "1"),
            (Place::Value, "in list"),
            (Place::Value, "d"),
            (Place::Value, "true"),
            (Place::Value, "-1.5e3"),
            (Place::Value, "é\"x"),
            (Place::Value, "sender's"),
            (Place::Value, "other"),
            (Place::Value, "z"),
        ];
        assert_eq!(texts(body), expected.map(|(place, text)| (place, text.to_owned())));
    }

    #[test]
    fn a_text_is_contained_in_values_as_whole_words_in_a_row() {
        let body = r#"{"identifier":"e-1","action":"DELETE","resourceType":"x","status":"SUCCESS","message":"a timeout",
            "context":{"runId":"run-abc","entity":"shop"},"request":{"userAgent":"curl/8.5"},
            "diff":{"before":{"replicas":3,"image":"shop:1.2"},"after":{"replicas":12,"note":"Zwei Stra\u00dfen"}},"receivedAt":"x"}"#;
        let holds = |search: &str| contains(body, &SearchText::phrase(search, false));
        for search in
            ["curl", "CURL 8", "3", "12", "shop:1.2", "1.2", "zwei strassen", "timeou", "un-ab", "E-1", "time"]
        {
            assert!(holds(search), "{search}");
        }
        for search in ["replicas", "zwei strasse", "cur", "2.1", "3 shop", "delete", "SUCCESS", "x", "#", "12 zwei"] {
            assert!(!holds(search), "{search}");
        }
    }
}
