//! Escapes and shortens text that is shown to people: characters that are invisible, or that a terminal obeys.
//!
//! Events, file names and arguments come from outside. A terminal obeys control characters in them, some even as single bytes
//! above 127 (C1). Bidirectional controls change the order in which a text is shown. Zero-width characters make two different
//! texts look alike.

use std::{borrow::Cow, fmt::Write};

/// Whether a character must be escaped before it is shown: a control character, a line separator, or an invisible one.
pub fn is_hidden(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}') || is_ignorable(char)
}

/// Whether a character has Unicode's property `Default_Ignorable_Code_Point` (DerivedCoreProperties.txt, version 17), as all
/// bidirectional controls and zero-width characters have, or is an interlinear annotation.
const fn is_ignorable(char: char) -> bool {
    matches!(
        char,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The text with hidden characters escaped, as in `\u{1b}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, is_hidden, |out, char| out.extend(char.escape_unicode()))
}

/// The text with hidden characters escaped, except line breaks: for text whose author breaks it into lines.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escape(text, |char| char != '\n' && is_hidden(char), |out, char| out.extend(char.escape_unicode()))
}

/// The text with hidden characters escaped, except the escape character: for records whose formatter adds colors.
pub fn printable_record(text: &str) -> Cow<'_, str> {
    escape(text, |char| char != '\u{1b}' && is_hidden(char), |out, char| out.extend(char.escape_unicode()))
}

/// A JSON text with hidden characters as JSON escapes, as in `\u001b`, so that its value stays the same. Hidden characters can
/// only occur in strings, except line breaks and tabs between values, which become spaces.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    escape(json, is_hidden, |out, char| match char {
        '\n' | '\r' | '\t' => out.push(' '),
        _ => {
            for unit in char.encode_utf16(&mut [0; 2]) {
                // Writing to a string in memory cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    })
}

/// The beginning of a text, followed by an ellipsis if the text has more than `chars_max` characters.
pub fn shortened(text: &str, chars_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool, write: impl Fn(&mut String, char)) -> Cow<'_, str> {
    let Some(first) = text.find(&is_escaped) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..first]);
    for char in text[first..].chars() {
        if is_escaped(char) {
            write(&mut out, char);
        } else {
            out.push(char);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[2J\u{9b}31m\u{7f}\u{85}\u{2028}\u{202e}b\u{2066}\u{200d}\u{feff}\u{e0041}\u{fe0f}c";

    #[test]
    fn hidden_characters_are_escaped() {
        let shown = printable(HOSTILE);
        assert!(!shown.contains(is_hidden), "{shown:?}");
        assert!(shown.starts_with(r"a\u{1b}[2J\u{9b}31m\u{7f}\u{85}\u{2028}\u{202e}b"), "{shown}");
        assert_eq!(printable("a\tb\nc"), r"a\u{9}b\u{a}c");
        assert_eq!(printable_lines("a\tb\nc"), "a\\u{9}b\nc");
        for plain in ["", "abc", "é 日本 🦀 العربية", "e\u{301}", "a\\u{1b}b"] {
            assert!(matches!(printable(plain), Cow::Borrowed(text) if text == plain));
        }
    }

    #[test]
    fn a_long_text_is_shortened_to_whole_characters() {
        for (text, expected) in [("", ""), ("éé", "éé"), ("ééé", "éé…"), ("日本語x", "日本…")] {
            assert_eq!(shortened(text, 2), expected);
        }
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({ HOSTILE: [HOSTILE, { "k\r\n": "\u{10ffff}\u{e0001}" }] });
        for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap().replace('\n', "\r\n\t")] {
            let shown = printable_json(&json);
            assert!(!shown.contains(is_hidden), "{shown:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }
}
