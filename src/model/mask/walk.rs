//! Finds the secrets of one JSON text and writes it without them.
//!
//! The text is grammatical JSON. It is walked once, with a stack of its own that is bounded: deeper texts are refused by
//! whoever reads events.

use std::{borrow::Cow, ops::Range};

use super::{MASKED, Mask, Masked, end_of_string, is_url_key};
use crate::model::{field::Object, json};

/// Levels of nesting: more than any event may have.
pub(crate) const DEPTH_MAX: usize = 128;
/// Pointers in one event, beside the one that stands for the rest.
const POINTERS_MAX: usize = 100;
/// Bytes of one pointer.
const POINTER_BYTES_MAX: usize = 256;

/// [`MASKED`] as a JSON string.
pub(super) const QUOTED: &str = "\"[masked]\"";

/// What is to stand in the place of a part of the text.
struct Edit {
    place: Range<usize>,
    new: Cow<'static, str>,
    pointer: Option<String>,
}

/// An object or an array that the walk is in.
struct Frame {
    /// The object's place in an event, where the server reads it.
    object: Option<Object>,
    is_array: bool,
    /// The content of the present member's key, without its quotes.
    key: Range<usize>,
    /// The present element's position.
    index: usize,
    /// Whether the next string is a key.
    awaits_key: bool,
    /// A member `name` of this object has a secret's name as its value.
    names_secret: bool,
    /// Where the member `value` of this object is, and its key. It ends at 0 while the walk is within it.
    value: Option<(Range<usize>, Range<usize>)>,
}

struct Walk<'m, 't> {
    mask: &'m Mask,
    text: &'t str,
    stack: Vec<Frame>,
    edits: Vec<Edit>,
}

/// The text without its secrets, if it has any and is not too deep.
pub(super) fn replace(mask: &Mask, text: &str) -> Option<Masked> {
    let mut walk = Walk { mask, text, stack: Vec::new(), edits: Vec::new() };
    walk.run()?;
    if walk.edits.is_empty() { None } else { Some(walk.write()) }
}

impl Walk<'_, '_> {
    /// `None` if the text is nested too deeply.
    fn run(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at = match byte {
                b' ' | b'\t' | b'\n' | b'\r' | b':' => at + 1,
                b',' => {
                    self.next();
                    at + 1
                }
                b'}' | b']' => {
                    self.stack.pop();
                    self.end_of_container(at + 1);
                    at + 1
                }
                b'"' if self.stack.last().is_some_and(|frame| frame.awaits_key) => self.key(at),
                _ => self.value(at)?,
            };
        }
        Some(())
    }

    fn next(&mut self) {
        if let Some(frame) = self.stack.last_mut() {
            frame.index += 1;
            frame.awaits_key = !frame.is_array;
        }
    }

    fn key(&mut self, at: usize) -> usize {
        let end = end_of_string(self.text.as_bytes(), at + 1);
        if let Some(frame) = self.stack.last_mut() {
            frame.key = at + 1..end;
            frame.awaits_key = false;
        }
        end + 1
    }

    /// A value begins at `at`; returns where the walk goes on: behind it, or within.
    fn value(&mut self, at: usize) -> Option<usize> {
        let opens = self.text.as_bytes()[at];
        if self.is_secret() {
            let end = end_of_value(self.text.as_bytes(), at);
            self.hide(at..end);
            return Some(end);
        }
        if matches!(opens, b'{' | b'[') {
            if self.stack.len() == DEPTH_MAX {
                return None;
            }
            self.note_value(at..0);
            self.enter(opens == b'[');
            return Some(at + 1);
        }
        let end = end_of_value(self.text.as_bytes(), at);
        self.note_value(at..end);
        if opens == b'"' {
            self.string(at..end);
        }
        Some(end)
    }

    fn enter(&mut self, is_array: bool) {
        let object = self.inner();
        let frame =
            Frame { object, is_array, key: 0..0, index: 0, awaits_key: !is_array, names_secret: false, value: None };
        self.stack.push(frame);
    }

    /// An object or array has ended before `end`; it may be a member `value`.
    fn end_of_container(&mut self, end: usize) {
        if let Some((value, _)) = self.stack.last_mut().and_then(|frame| frame.value.as_mut())
            && value.end == 0
        {
            value.end = end;
        }
    }

    /// Whether the present member's key is that of a secret, or the object says so in another member. What the server
    /// itself reads is not a secret by its name: an event is found by it.
    fn is_secret(&self) -> bool {
        let Some(frame) = self.stack.last().filter(|frame| !frame.is_array) else {
            return false;
        };
        let Some(key) = self.decoded(&frame.key) else {
            return false;
        };
        if frame.object.is_some_and(|object| object.reads(&key)) {
            return false;
        }
        self.mask.names_secret(key.as_bytes()) || (frame.names_secret && is_value_key(&key))
    }

    fn decoded(&self, range: &Range<usize>) -> Option<Cow<'_, str>> {
        json::unescape(&self.text.as_bytes()[range.clone()])
    }

    /// The place in an event of an object that begins here.
    fn inner(&self) -> Option<Object> {
        match self.stack.last() {
            None => Some(Object::Event),
            Some(frame) => frame.object?.inner(&self.decoded(&frame.key)?),
        }
    }

    /// Keeps where a member `value` is, in case its name comes after it.
    fn note_value(&mut self, place: Range<usize>) {
        let text = self.text.as_bytes();
        if let Some(frame) = self.stack.last_mut().filter(|frame| !frame.is_array && frame.value.is_none())
            && json::unescape(&text[frame.key.clone()]).is_some_and(|key| is_value_key(&key))
        {
            frame.value = Some((place, frame.key.clone()));
        }
    }

    /// A string that is no secret by its key: it may be the name of one, a line of a header, or a URL.
    fn string(&mut self, place: Range<usize>) {
        let content = place.start + 1..place.end - 1;
        let Some(frame) = self.stack.last() else {
            return;
        };
        if frame.is_array {
            self.line(content);
        } else if let Some(key) = self.decoded(&frame.key) {
            if is_url_key(key.as_bytes()) {
                self.url(place);
            } else if ["name", "key"].iter().any(|known| key.eq_ignore_ascii_case(known)) {
                self.name(&content);
            }
        }
    }

    /// An element `Name: value` of a list.
    fn line(&mut self, content: Range<usize>) {
        let text = &self.text[content.clone()];
        let Some(colon) = text.find(": ") else {
            return;
        };
        let is_token =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !is_token(&text[..colon]) || !self.mask.names_secret(&text.as_bytes()[..colon]) {
            return;
        }
        let value = &text[colon + 1..];
        let start = content.start + colon + 1 + (value.len() - value.trim_start_matches(' ').len());
        if start < content.end {
            let pointer = self.pointer(None);
            self.edits.push(Edit { place: start..content.end, new: Cow::Borrowed(MASKED), pointer });
        }
    }

    fn url(&mut self, place: Range<usize>) {
        let content = place.start + 1..place.end - 1;
        let masked = self.decoded(&content).and_then(|url| self.mask.query_of(&url));
        if let Some(url) = masked {
            let mut new = String::with_capacity(url.len() + 2);
            json::push_string(&mut new, &url);
            let pointer = self.pointer(None);
            self.edits.push(Edit { place, new: Cow::Owned(new), pointer });
        }
    }

    /// The name in an object of a name and a value.
    fn name(&mut self, content: &Range<usize>) {
        if !self.decoded(content).is_some_and(|name| self.mask.names_secret(name.as_bytes())) {
            return;
        }
        let Some(frame) = self.stack.last_mut() else {
            return;
        };
        frame.names_secret = true;
        if let Some((place, key)) = frame.value.take()
            && is_worth_hiding(&self.text[place.clone()])
        {
            let pointer = self.pointer(Some(&key));
            self.edits.push(Edit { place, new: Cow::Borrowed(QUOTED), pointer });
        }
    }

    fn hide(&mut self, place: Range<usize>) {
        if is_worth_hiding(&self.text[place.clone()]) {
            let pointer = self.pointer(None);
            self.edits.push(Edit { place, new: Cow::Borrowed(QUOTED), pointer });
        }
    }

    /// The pointer of the present value, or of the member `key` of the present object; `None` once there are enough.
    fn pointer(&self, key: Option<&Range<usize>>) -> Option<String> {
        if self.edits.len() > POINTERS_MAX {
            return None;
        }
        let mut pointer = String::new();
        let (last, outer) = self.stack.split_last()?;
        let steps = outer.iter().map(|frame| (frame, &frame.key)).chain([(last, key.unwrap_or(&last.key))]);
        for (frame, key) in steps {
            let before = pointer.len();
            if frame.is_array {
                pointer.push('/');
                pointer.push_str(&frame.index.to_string());
            } else if key.len() <= POINTER_BYTES_MAX {
                push_step(&mut pointer, &self.decoded(key)?);
            } else {
                return Some(pointer);
            }
            if pointer.len() > POINTER_BYTES_MAX {
                pointer.truncate(before);
                return Some(pointer);
            }
        }
        Some(pointer)
    }

    fn write(mut self) -> Masked {
        // A name may come after a value in which there are secrets already: the whole is replaced then, and counts once.
        self.edits.sort_by_key(|edit| (edit.place.start, std::cmp::Reverse(edit.place.end)));
        let (mut text, mut pointers) = (String::with_capacity(self.text.len() + 64), Vec::new());
        let (mut copied, mut is_cut) = (0, false);
        for edit in self.edits {
            if edit.place.start < copied {
                continue;
            }
            text.push_str(&self.text[copied..edit.place.start]);
            text.push_str(&edit.new);
            copied = edit.place.end;
            match edit.pointer {
                Some(pointer) if pointers.len() < POINTERS_MAX => {
                    if pointers.last() != Some(&pointer) {
                        pointers.push(pointer);
                    }
                }
                _ => is_cut = true,
            }
        }
        text.push_str(&self.text[copied..]);
        if is_cut {
            pointers.push(String::new());
        }
        Masked { text, pointers }
    }
}

/// Adds a key to a JSON pointer (RFC 6901 section 3).
pub(super) fn push_step(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
}

/// Nothing, yes, no and the empty string give no secret away, and say whether there is one.
pub(super) fn is_worth_hiding(value: &str) -> bool {
    !matches!(value, "null" | "true" | "false" | "\"\"")
}

fn is_value_key(key: &str) -> bool {
    matches!(key, "value" | "Value")
}

/// The place behind the value that begins at `at`.
pub(super) fn end_of_value(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at + 1),
            b'{' | b'[' => depth += 1,
            // The end of what the value lies in is its own end.
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            _ if depth == 0 => return end_of_word(bytes, at),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    at
}

/// The place behind a number, or behind `true`, `false` or `null`.
fn end_of_word(bytes: &[u8], at: usize) -> usize {
    let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
    bytes[at..].iter().position(is_end).map_or(bytes.len(), |length| at + length)
}
