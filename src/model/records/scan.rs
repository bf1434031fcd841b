//! Finds the end of a JSON object that arrives in pieces, and checks its grammar on the way.
//!
//! The check ends a broken object early, so that little of what follows it is read as a part of it. Words (numbers and
//! literals) and escapes are left to the parser that reads the complete record.

use crate::model::json;

/// Maximum nesting. It is far above that of an event, whose parser names the field that is nested too deeply. It bounds
/// how many lines of a broken text can be taken for one object.
const NESTING_MAX: usize = 512;
/// Maximum number of bytes of a key that is compared with the known ones.
const KEY_BYTES_MAX: usize = 32;

/// The fault of a string with a line break.
const CUT_STRING: &str = "a string does not end on its line";

/// A scan of one object, from its opening brace.
pub(super) struct Scan<'a> {
    /// The keys of an envelope.
    envelopes: &'a [&'a str],
    /// For each open value, whether it is an object.
    open: Vec<bool>,
    state: State,
    /// The last key of the object itself, not of a value in it. Of a long key, the beginning.
    key: Vec<u8>,
    /// Whether the object has a key that only an event has.
    pub(super) is_event: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the object.
    Start,
    KeyOrEnd,
    Key,
    Colon,
    Value,
    ValueOrEnd,
    /// After a value.
    Next,
    String {
        is_key: bool,
    },
    Escape {
        is_key: bool,
    },
    Word,
}

/// What a scan has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// Nothing yet; more bytes are needed.
    More,
    /// The object ends here.
    End,
    /// An array begins here under one of the keys of an envelope.
    List(&'a str),
    /// The text is not JSON.
    Fault(&'static str),
}

impl<'a> Scan<'a> {
    /// A scan that reports arrays under these keys of the object.
    pub(super) const fn new(envelopes: &'a [&'a str]) -> Self {
        Self { envelopes, open: Vec::new(), state: State::Start, key: Vec::new(), is_event: false }
    }

    /// A scan that continues in an object after one of its values.
    pub(super) fn after_value(envelopes: &'a [&'a str]) -> Self {
        Self { open: vec![true], state: State::Next, ..Self::new(envelopes) }
    }

    /// Scans further bytes. Returns how many it has taken, and what it found at their end.
    pub(super) fn run(&mut self, bytes: &[u8]) -> (usize, Found<'a>) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if let State::String { is_key } = self.state {
                let end = memchr::memchr3(b'"', b'\\', b'\n', &bytes[at..]).map_or(bytes.len(), |step| at + step);
                self.keep_key(is_key, &bytes[at..end]);
                let Some(&last) = bytes.get(end) else { return (end, Found::More) };
                at = end + 1;
                self.state = match last {
                    b'"' if is_key => State::Colon,
                    b'"' => State::Next,
                    b'\\' => State::Escape { is_key },
                    _ => return (end, Found::Fault(CUT_STRING)),
                };
                self.keep_key(is_key && last == b'\\', b"\\");
                continue;
            }
            match self.step(byte) {
                Found::More => at += 1,
                // The byte after a word belongs to what follows it.
                found @ Found::Fault(_) => return (at, found),
                found => return (at + 1, found),
            }
        }
        (at, Found::More)
    }

    fn keep_key(&mut self, is_kept: bool, part: &[u8]) {
        if is_kept && self.open.len() == 1 && self.key.len() <= KEY_BYTES_MAX {
            self.key.extend_from_slice(part);
        }
    }

    /// Takes a byte outside of strings.
    fn step(&mut self, byte: u8) -> Found<'a> {
        if let State::Escape { is_key } = self.state {
            if byte == b'\n' {
                return Found::Fault(CUT_STRING);
            }
            self.keep_key(is_key, &[byte]);
            self.state = State::String { is_key };
            return Found::More;
        }
        if self.state == State::Word && !matches!(byte, b'+' | b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z') {
            self.state = State::Next;
        }
        match (self.state, byte) {
            (State::Word, _) | (_, b' ' | b'\t' | b'\r' | b'\n') => Found::More,
            (State::Start | State::Value | State::ValueOrEnd, b'{') => self.open(true),
            (State::Value | State::ValueOrEnd, b'[') => self.open(false),
            (State::KeyOrEnd | State::Key, b'"') => {
                if self.open.len() == 1 {
                    self.key.clear();
                }
                self.become_state(State::String { is_key: true })
            }
            (State::Value | State::ValueOrEnd, b'"') => self.become_state(State::String { is_key: false }),
            (State::Value | State::ValueOrEnd, b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z') => {
                self.become_state(State::Word)
            }
            (State::Colon, b':') => {
                self.is_event |= self.open.len() == 1 && matches!(&*self.key, b"action" | b"resourceType");
                self.become_state(State::Value)
            }
            (State::Next, b',') => {
                self.become_state(if self.open.last() == Some(&true) { State::Key } else { State::Value })
            }
            (State::KeyOrEnd | State::Next, b'}') if self.open.last() == Some(&true) => self.close(),
            (State::ValueOrEnd | State::Next, b']') if self.open.last() == Some(&false) => self.close(),
            (state, _) => Found::Fault(state.expected(self.open.last() == Some(&true))),
        }
    }

    const fn become_state(&mut self, state: State) -> Found<'a> {
        self.state = state;
        Found::More
    }

    fn open(&mut self, is_object: bool) -> Found<'a> {
        if self.open.len() == NESTING_MAX {
            return Found::Fault("nested too deeply");
        }
        let list = if self.open.len() == 1 { self.note_key(is_object) } else { None };
        self.open.push(is_object);
        self.state = if is_object { State::KeyOrEnd } else { State::ValueOrEnd };
        list.map_or(Found::More, Found::List)
    }

    /// The envelope's key whose value begins here, if it is an array.
    fn note_key(&self, is_object: bool) -> Option<&'a str> {
        let key = json::unescape(&self.key)?;
        self.envelopes.iter().copied().find(|name| *name == key && !is_object)
    }

    fn close(&mut self) -> Found<'a> {
        self.open.pop();
        self.state = State::Next;
        if self.open.is_empty() { Found::End } else { Found::More }
    }
}

impl State {
    const fn expected(self, is_object: bool) -> &'static str {
        match self {
            Self::Start => "an object must begin with {",
            Self::KeyOrEnd => "expected a key in quotes or }",
            Self::Key => "expected a key in quotes",
            Self::Colon => "expected a colon",
            Self::Value => "expected a value",
            Self::ValueOrEnd => "expected a value or ]",
            Self::Next if is_object => "expected a comma or }",
            Self::Next => "expected a comma or ]",
            Self::String { .. } | Self::Escape { .. } | Self::Word => "is not JSON",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::records::ENVELOPES;

    /// What a scan finds in a text that arrives in pieces, and where.
    fn scan(text: &str, piece: usize) -> (usize, Found<'static>) {
        let (mut scan, mut at) = (Scan::new(&ENVELOPES), 0);
        while at < text.len() {
            let end = text.len().min(at + piece);
            let (length, found) = scan.run(&text.as_bytes()[at..end]);
            at += length;
            if found != Found::More {
                return (at, found);
            }
        }
        (at, Found::More)
    }

    #[test]
    fn the_end_is_found_in_pieces_of_any_size() {
        for text in [
            "{}",
            " { } ",
            r#"{"a":1}"#,
            "{\"a\":[1,-2.5e+3,true,null,\"}\",{\"b\":[]}],\n \"c\\\"}\":{}}",
            r#"{"a":"\\","b":"\"}"}"#,
            r#"{"Records":{"a":[]},"x":{"items":[]}}"#,
        ] {
            for more in ["", "\n{", "]"] {
                let whole = format!("{text}{more}");
                for piece in 1..=whole.len() {
                    assert_eq!(scan(&whole, piece), (text.trim_end().len(), Found::End), "{whole}");
                }
            }
        }
    }

    #[test]
    fn a_list_is_found_under_the_keys_of_envelopes() {
        for key in ENVELOPES {
            let start = format!("{{\"a\":{{\"items\":[]}},\"{key}\": [");
            assert_eq!(scan(&format!("{start}{{}}]}}"), 3), (start.len(), Found::List(key)));
        }
        assert_eq!(scan(r#"{"\u0069tems":["#, 1).1, Found::List("items"));
        assert_eq!(scan(r#"{"item":[],"itemsitemsitemsitemsitemsitemsitemsitems":["#, 5).1, Found::More);
    }

    #[test]
    fn a_fault_is_found_where_it_is() {
        let deep = "[".repeat(NESTING_MAX + 1);
        for (text, at) in [
            ("x", 0),
            ("{{", 1),
            ("{\"a\"}", 4),
            ("{\"a\":}", 5),
            ("{\"a\":1,}", 7),
            ("{\"a\":[1,]}", 8),
            ("{\"a\":1 2}", 7),
            ("{\"a\":1]", 6),
            ("{\"a\":[1}", 7),
            ("{\"a\":\"b\n\"}", 7),
            ("{\"a\":\"b\"c\"}", 8),
            ("{\"a\":1\n{", 7),
            (&format!("{{\"a\":{deep}"), 5 + NESTING_MAX - 1),
        ] {
            for piece in 1..=text.len() {
                let (found_at, found) = scan(text, piece);
                assert!(matches!(found, Found::Fault(_)) && found_at == at, "{text:.20}: {found_at} {found:?}");
            }
        }
    }
}
