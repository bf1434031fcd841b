//! Finds the secrets of one JSON text and replaces them.
//!
//! The text is grammatical JSON. It is read once, with an explicit and bounded stack. Texts that are nested more deeply are
//! rejected where events are read.

use std::{borrow::Cow, ops::Range};

use crate::model::{
    field::Object,
    json,
    mask::{
        changed::{self, MaskedDiff},
        digest,
        names::{MASKED, Mask},
        url::is_url_key,
    },
};

/// Maximum depth of nesting. No accepted event is nested more deeply.
pub(crate) const DEPTH_MAX: usize = 128;
/// Maximum number of pointers of one event, not counting the one that represents the rest.
pub(super) const POINTERS_MAX: usize = 100;
/// Maximum number of bytes of a pointer.
pub(super) const POINTER_BYTES_MAX: usize = 256;

/// [`MASKED`] as a JSON string.
pub(super) const QUOTED: &str = "\"[masked]\"";

/// A replacement of a part of the text.
pub(super) struct Edit {
    pub(super) place: Range<usize>,
    pub(super) new: Cow<'static, str>,
    /// The JSON pointer to the value, or to an enclosing one if that is too long.
    pointer: Option<String>,
}

/// An object or an array that contains the current position.
struct Frame {
    /// The object of an event that this is, if the server reads it.
    object: Option<Object>,
    is_array: bool,
    /// The content of the current member's key, without its quotes.
    key: Range<usize>,
    /// The index of the current element.
    index: usize,
    /// Whether the next string is a key.
    awaits_key: bool,
    /// The content of this object's member `name`, if it is the name of a secret.
    secret_name: Option<Range<usize>>,
    /// The value and the key of this object's member `value`. The range ends at 0 while the walk is inside the value.
    value: Option<(Range<usize>, Range<usize>)>,
}

struct Walk<'m, 't> {
    mask: &'m Mask,
    text: &'t str,
    depth_max: usize,
    stack: Vec<Frame>,
    edits: Vec<Edit>,
}

/// An event with its secrets replaced.
#[derive(Debug)]
pub struct Masked {
    /// The event, as JSON.
    pub text: String,
    /// JSON pointers (RFC 6901) to the replaced values. Their number and length are bounded: instead of a long pointer, the list
    /// has that of an enclosing value, and instead of further pointers the empty one, which means the whole event.
    pub pointers: Vec<String>,
    /// What is known of the replaced values in `diff.before` and `diff.after`; `None` if there are none.
    pub diff: Option<MaskedDiff>,
}

impl Mask {
    /// Replaces the secrets of one event, a JSON text; `None` if it has none. An event that is nested too deeply is not changed,
    /// because it will be rejected.
    pub fn apply(&self, text: &str) -> Option<Masked> {
        if self.is_off() || !self.may_touch(text.as_bytes()) {
            return None;
        }
        let mut walk = Walk { mask: self, text, depth_max: DEPTH_MAX, stack: Vec::new(), edits: Vec::new() };
        walk.run()?;
        if walk.edits.is_empty() { None } else { Some(walk.write()) }
    }

    /// A JSON text with its secrets replaced, however deeply it is nested.
    pub fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_off() || !self.may_touch(text.as_bytes()) {
            return Cow::Borrowed(text);
        }
        let mut walk = Walk { mask: self, text, depth_max: usize::MAX, stack: Vec::new(), edits: Vec::new() };
        // Without a maximum depth, the walk reaches the end.
        let _ = walk.run();
        Cow::Owned(walk.edited().0)
    }
}

impl Walk<'_, '_> {
    /// Finds all secrets; `None` if the text is nested too deeply.
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
        let end = json::end_of_string(self.text.as_bytes(), at + 1);
        if let Some(frame) = self.stack.last_mut() {
            frame.key = at + 1..end;
            frame.awaits_key = false;
        }
        end + 1
    }

    /// Handles the value that begins at `at`. Returns where the walk continues: after the value, or inside it.
    fn value(&mut self, at: usize) -> Option<usize> {
        let opens = self.text.as_bytes()[at];
        if let Some(name) = self.secret_name() {
            let end = json::end_of_value(self.text.as_bytes(), at);
            if self.is_hidden(&name, &(at..end)) {
                let pointer = self.pointer(None);
                self.edits.push(Edit { place: at..end, new: Cow::Borrowed(QUOTED), pointer });
            }
            return Some(end);
        }
        if matches!(opens, b'{' | b'[') {
            if self.stack.len() == self.depth_max {
                return None;
            }
            self.note_value(at..0);
            self.enter(opens == b'[');
            return Some(at + 1);
        }
        let end = json::end_of_value(self.text.as_bytes(), at);
        self.note_value(at..end);
        if opens == b'"' {
            self.string(at..end);
        }
        Some(end)
    }

    fn enter(&mut self, is_array: bool) {
        let object = self.inner();
        let frame =
            Frame { object, is_array, key: 0..0, index: 0, awaits_key: !is_array, secret_name: None, value: None };
        self.stack.push(frame);
    }

    /// Records that an object or array, which may be a member `value`, ended before `end`.
    fn end_of_container(&mut self, end: usize) {
        if let Some((value, _)) = self.stack.last_mut().and_then(|frame| frame.value.as_mut())
            && value.end == 0
        {
            value.end = end;
        }
    }

    /// The name by which the current member is a secret: its key, or another member of the object. Keys that the server reads are
    /// never secrets, because events are found by their values.
    fn secret_name(&self) -> Option<Range<usize>> {
        let frame = self.stack.last().filter(|frame| !frame.is_array)?;
        let key = self.decoded(&frame.key)?;
        if frame.object.is_some_and(|object| object.reads(&key)) {
            return None;
        }
        if self.mask.names_secret(key.as_bytes()) {
            return Some(frame.key.clone());
        }
        frame.secret_name.clone().filter(|_| is_value_key(&key))
    }

    /// Whether the value at `place`, with the name of a secret, is replaced.
    fn is_hidden(&self, name: &Range<usize>, place: &Range<usize>) -> bool {
        let value = &self.text[place.clone()];
        let stays = || {
            let content = value.strip_prefix('"').map(|_| place.start + 1..place.end - 1);
            let (name, content) = (self.decoded(name), content.and_then(|content| self.decoded(&content)));
            name.zip(content).is_some_and(|(name, content)| digest::stays(name.as_bytes(), &content))
        };
        is_worth_hiding(value) && !stays()
    }

    fn decoded(&self, range: &Range<usize>) -> Option<Cow<'_, str>> {
        json::unescape(&self.text.as_bytes()[range.clone()])
    }

    /// The object of an event that begins here, if the server reads it.
    fn inner(&self) -> Option<Object> {
        match self.stack.last() {
            None => Some(Object::Event),
            Some(frame) => frame.object?.inner(&self.decoded(&frame.key)?),
        }
    }

    /// Records where a member `value` is, because its name may come later.
    fn note_value(&mut self, place: Range<usize>) {
        let text = self.text.as_bytes();
        if let Some(frame) = self.stack.last_mut().filter(|frame| !frame.is_array && frame.value.is_none())
            && json::unescape(&text[frame.key.clone()]).is_some_and(|key| is_value_key(&key))
        {
            frame.value = Some((place, frame.key.clone()));
        }
    }

    /// Handles a string that is not a secret by its key: it may be the name of a secret, a header line, or a URL.
    fn string(&mut self, place: Range<usize>) {
        let content = place.start + 1..place.end - 1;
        let Some(frame) = self.stack.last() else {
            return;
        };
        if frame.is_array {
            self.line(content);
        } else if let Some(key) = self.decoded(&frame.key) {
            if is_url_key(&key) {
                self.url(place);
            } else if ["name", "key"].iter().any(|known| key.eq_ignore_ascii_case(known)) {
                self.name(&content);
            }
        }
    }

    /// Handles an element of a list that may have the form `Name: value`.
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
        if start < content.end && !digest::stays(&text.as_bytes()[..colon], &self.text[start..content.end]) {
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

    /// Handles the name in an object that has a name and a value.
    fn name(&mut self, content: &Range<usize>) {
        if !self.decoded(content).is_some_and(|name| self.mask.names_secret(name.as_bytes())) {
            return;
        }
        let Some(frame) = self.stack.last_mut() else {
            return;
        };
        frame.secret_name = Some(content.clone());
        if let Some((place, key)) = frame.value.take()
            && self.is_hidden(content, &place)
        {
            let pointer = self.pointer(Some(&key));
            self.edits.push(Edit { place, new: Cow::Borrowed(QUOTED), pointer });
        }
    }

    /// The pointer of the current value, or of the member `key` of the current object; `None` if there are enough pointers.
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
        let (text, pointers) = self.edited();
        Masked { text, pointers, diff: changed::compare(self.mask, self.text, &self.edits) }
    }

    /// The text with the edits applied, and the pointers to their places. Keeps the edits that were applied.
    fn edited(&mut self) -> (String, Vec<String>) {
        // A name may follow a value that already has replaced parts. Then the whole value is replaced and counts once.
        self.edits.sort_by_key(|edit| (edit.place.start, std::cmp::Reverse(edit.place.end)));
        let (mut text, mut pointers) = (String::with_capacity(self.text.len() + 64), Vec::new());
        let (mut copied, mut is_cut) = (0, false);
        self.edits.retain_mut(|edit| {
            if edit.place.start < copied {
                return false;
            }
            text.push_str(&self.text[copied..edit.place.start]);
            text.push_str(&edit.new);
            copied = edit.place.end;
            let pointer = edit.pointer.take().unwrap_or_default();
            if pointers.len() == POINTERS_MAX || pointer.is_empty() {
                is_cut = true;
            } else if pointers.last() != Some(&pointer) {
                pointers.push(pointer);
            }
            true
        });
        text.push_str(&self.text[copied..]);
        if is_cut {
            pointers.push(String::new());
        }
        (text, pointers)
    }
}

/// Adds a key to a JSON pointer (RFC 6901 section 3).
pub(super) fn push_step(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
}

/// Whether a value can be a secret. `null`, the booleans and the empty string stay: they show only whether there is a secret.
pub(super) fn is_worth_hiding(value: &str) -> bool {
    !matches!(value, "null" | "true" | "false" | "\"\"")
}

fn is_value_key(key: &str) -> bool {
    matches!(key, "value" | "Value")
}
