//! Writes JSON directly into a string, because ten million events are not worth ten million trees.
//!
//! Keys are literals of this program and are written without escaping. The caller closes what it opens.

use std::fmt::{Display, Write};

/// An object being written.
#[derive(Debug)]
pub(super) struct EventWriter(String);

impl EventWriter {
    /// Opens the outermost object.
    pub(super) fn new(bytes: usize) -> Self {
        let mut out = String::with_capacity(bytes);
        out.push('{');
        Self(out)
    }

    /// Closes the outermost object.
    pub(super) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    /// Opens an object under `key`.
    pub(super) fn open(&mut self, key: &str) {
        self.key(key);
        self.0.push('{');
    }

    /// Closes it.
    pub(super) fn close(&mut self) {
        self.0.push('}');
    }

    /// Writes a string, escaped.
    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        self.quoted(text);
    }

    /// Writes a string that is the concatenation of `parts`, escaped.
    pub(super) fn joined(&mut self, key: &str, parts: &[&str]) {
        self.key(key);
        self.0.push('"');
        for part in parts {
            self.escaped(part);
        }
        self.0.push('"');
    }

    /// Writes an array of strings, escaped.
    pub(super) fn texts<'a>(&mut self, key: &str, texts: impl Iterator<Item = &'a str>) {
        self.key(key);
        self.0.push('[');
        for text in texts {
            self.separate();
            self.quoted(text);
        }
        self.0.push(']');
    }

    /// Writes a string that needs no escaping: a time, an address, an identifier made of digits.
    pub(super) fn plain(&mut self, key: &str, value: impl Display) {
        self.key(key);
        // Writing to a string cannot fail.
        let _ = write!(self.0, "\"{value}\"");
    }

    /// Writes a number, `true`, `false` or `null`.
    pub(super) fn literal(&mut self, key: &str, value: impl Display) {
        self.key(key);
        let _ = write!(self.0, "{value}");
    }

    fn key(&mut self, key: &str) {
        self.separate();
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
    }

    /// Separates a member from the previous one.
    fn separate(&mut self) {
        if !self.0.ends_with(['{', '[']) {
            self.0.push(',');
        }
    }

    fn quoted(&mut self, text: &str) {
        self.0.push('"');
        self.escaped(text);
        self.0.push('"');
    }

    /// RFC 8259, section 7: quotation mark, reverse solidus and control characters must be escaped.
    fn escaped(&mut self, text: &str) {
        let mut written = 0;
        for (at, byte) in text.bytes().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.0.push_str(&text[written..at]);
            written = at + 1;
            match byte {
                b'"' => self.0.push_str("\\\""),
                b'\\' => self.0.push_str("\\\\"),
                b'\n' => self.0.push_str("\\n"),
                _ => {
                    let _ = write!(self.0, "\\u{byte:04x}");
                }
            }
        }
        self.0.push_str(&text[written..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let hostile = "a \"quote\", a \\, a\nline, a\ttab, \u{1} and ünï→";
        let mut json = EventWriter::new(0);
        json.text("text", hostile);
        json.open("inner");
        json.texts("none", std::iter::empty());
        json.texts("some", ["{", "["].into_iter());
        json.close();
        json.joined("joined", &["a", "\"", "b"]);
        json.literal("number", 1.5);
        json.plain("plain", 7);
        let read: serde_json::Value = serde_json::from_str(&json.finish()).unwrap();
        let expected = serde_json::json!({ "text": hostile, "inner": { "none": [], "some": ["{", "["] }, "joined": "a\"b", "number": 1.5, "plain": "7" });
        assert_eq!(read, expected);
    }
}
