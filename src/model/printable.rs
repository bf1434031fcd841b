//! Escapes and shortens text that is shown to people: characters that are invisible, or that a terminal obeys.
//!
//! Events, file names and arguments come from outside. A terminal obeys control characters in them, some even as single bytes
//! above 127 (C1). Bidirectional controls change the order in which a text is shown. Zero-width characters make two different
//! texts look alike. All of them are shown as escapes or marks. The exceptions are characters that a script or an emoji needs.

use std::{borrow::Cow, fmt::Write};

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{
        BidiControl, CanonicalCombiningClass, DefaultIgnorableCodePoint, Emoji, EmojiModifier, ExtendedPictographic,
        Ideographic, JoiningType, Script,
    },
};

/// Whether a character may be hidden: a control character, a line separator, or an invisible one. [`pieces`] tells whether it
/// is hidden where it stands.
pub fn is_hidden(char: char) -> bool {
    char.is_control()
        || (char >= '\u{ad}'
            && (matches!(char, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}')
                || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(char)))
}

/// What a hidden character does, in words: `control`, `directional` or `invisible`.
pub fn kind_of_hidden(char: char) -> &'static str {
    if char.is_control() {
        "control"
    } else if CodePointSetData::new::<BidiControl>().contains(char) {
        "directional"
    } else {
        "invisible"
    }
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Text that is shown as it is.
    Text(&'t str),
    /// A character that must be shown in another way.
    Hidden(char),
}

/// Splits a text at its hidden characters. An invisible character is not hidden where a script or an emoji needs it: joiners
/// in Persian or Devanagari, and in emoji sequences; variation selectors after an emoji, a Han character or a Mongolian letter;
/// and the tags of a flag.
pub fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, end) = match hidden_in(text, text.len() - rest.len()) {
            Some((0, char)) => (Piece::Hidden(char), char.len_utf8()),
            Some((at, _)) => (Piece::Text(&rest[..at]), at),
            None if rest.is_empty() => return None,
            None => (Piece::Text(rest), rest.len()),
        };
        rest = &rest[end..];
        Some(piece)
    })
}

/// The first hidden character of a text after the byte `start`, and its distance from there.
fn hidden_in(text: &str, start: usize) -> Option<(usize, char)> {
    let rest = &text[start..];
    rest.char_indices().filter(|(_, char)| is_hidden(*char)).find(|(at, char)| {
        let at = start + at;
        !belongs(&text[..at], *char, &text[at + char.len_utf8()..])
    })
}

/// Whether an invisible character belongs to the text between these two parts.
fn belongs(before: &str, char: char, after: &str) -> bool {
    match char {
        '\u{200c}' => touches_virama(before, after) || is_cursive(before, after),
        '\u{200d}' => touches_virama(before, after) || is_cursive(before, after) || joins_emoji(before, after),
        '\u{fe0e}' | '\u{fe0f}' => varies_emoji(before, after),
        // Standardized variants, and variants of the Ideographic Variation Database.
        '\u{fe00}'..='\u{fe02}' | '\u{e0100}'..='\u{e01ef}' => {
            before.chars().next_back().is_some_and(|base| CodePointSetData::new::<Ideographic>().contains(base))
        }
        '\u{180b}'..='\u{180f}' => before
            .chars()
            .next_back()
            .is_some_and(|base| !is_hidden(base) && CodePointMapData::<Script>::new().get(base) == Script::Mongolian),
        '\u{e0020}'..='\u{e007f}' => is_in_flag(before, char, after),
        _ => false,
    }
}

/// Whether a joiner is next to a virama, as in Devanagari and Bengali (RFC 5892, appendix A.1).
fn touches_virama(before: &str, after: &str) -> bool {
    let is_virama = |char: Option<char>| {
        char.is_some_and(|char| {
            CodePointMapData::<CanonicalCombiningClass>::new().get(char) == CanonicalCombiningClass::Virama
        })
    };
    is_virama(before.chars().next_back()) || (!before.is_empty() && is_virama(after.chars().next()))
}

/// Whether a joiner is between letters of a cursive script, such as Arabic.
fn is_cursive(before: &str, after: &str) -> bool {
    use JoiningType as Type;
    let types = CodePointMapData::<Type>::new();
    let find = |chars: &mut dyn Iterator<Item = char>| {
        chars.map(|char| types.get(char)).take(MARKS_MAX).find(|joining| *joining != Type::Transparent)
    };
    let is_letter =
        |joining: Option<Type>| matches!(joining, Some(Type::DualJoining | Type::LeftJoining | Type::RightJoining));
    is_letter(find(&mut before.chars().rev())) && is_letter(find(&mut after.chars()))
}

/// Maximum number of marks after a letter that are skipped.
const MARKS_MAX: usize = 16;

/// Whether a joiner is between two emoji (UTS 51, ED-16).
fn joins_emoji(before: &str, after: &str) -> bool {
    let pictures = CodePointSetData::new::<ExtendedPictographic>();
    let is_picture = |char: char| pictures.contains(char) || CodePointSetData::new::<EmojiModifier>().contains(char);
    let mut before = before.chars().rev();
    let first = before.next().and_then(|char| if char == '\u{fe0f}' { before.next() } else { Some(char) });
    first.is_some_and(is_picture) && after.chars().next().is_some_and(|char| pictures.contains(char))
}

/// Whether a variation selector follows an emoji. Digits are emoji only as keycaps.
fn varies_emoji(before: &str, after: &str) -> bool {
    before.chars().next_back().is_some_and(|base| {
        CodePointSetData::new::<Emoji>().contains(base) && (!base.is_ascii() || after.starts_with('\u{20e3}'))
    })
}

/// Whether a tag is part of one of the flags that are made of tags: of England, Scotland and Wales.
fn is_in_flag(before: &str, tag: char, after: &str) -> bool {
    const FLAGS: [&str; 3] = ["gbeng\u{7f}", "gbsct\u{7f}", "gbwls\u{7f}"];
    let letter = |char: char| char::from_u32(u32::from(char).wrapping_sub(0xe_0000));
    let mut earlier: Vec<char> = Vec::new();
    for char in before.chars().rev().take(FLAGS[0].len()) {
        if char == '\u{1f3f4}' {
            let tags = earlier.into_iter().rev().chain([tag]).chain(after.chars());
            let tags: String = tags.take(FLAGS[0].len()).filter_map(letter).collect();
            return FLAGS.contains(&tags.as_str());
        }
        earlier.push(char);
    }
    false
}

/// The text with hidden characters escaped, as in `\u{1b}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, "", |out, char| out.extend(char.escape_unicode()))
}

/// The text with hidden characters escaped, except line breaks: for text whose author breaks it into lines.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escape(text, "\n", |out, char| out.extend(char.escape_unicode()))
}

/// The text with hidden characters escaped, except the escape character: for records whose formatter adds colors.
pub fn printable_record(text: &str) -> Cow<'_, str> {
    escape(text, "\u{1b}", |out, char| out.extend(char.escape_unicode()))
}

/// A JSON text with hidden characters as JSON escapes, as in `\u001b`, so that its value stays the same. Hidden characters can
/// only occur in strings, except line breaks and tabs between values, which become spaces.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    escape(json, "", |out, char| match char {
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

/// Replaces the hidden characters of a text, except those in `kept`.
fn escape<'t>(text: &'t str, kept: &str, write: impl Fn(&mut String, char)) -> Cow<'t, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Hidden(char) if kept.contains(char) => out.push(char),
            Piece::Hidden(char) => write(&mut out, char),
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
    fn characters_that_a_script_or_an_emoji_needs_are_not_hidden() {
        for text in [
            // Persian with zero-width non-joiners, with and without an effect on the shape; Hebrew; Arabic.
            "می\u{200c}خواهم خانه\u{200c}ها کار\u{200c}ها",
            "שָׁלוֹם عَرَبِيّ",
            // Devanagari, Bengali (ya-phalaa after ra) and Sinhala with joiners next to a virama.
            "क्\u{200d}ष क्\u{200c}ष র\u{200d}্য ශ්\u{200d}රී",
            // A family, a woman technologist with a skin tone, a couple with a heart, a rainbow flag, Scotland, a keycap.
            "👨\u{200d}👩\u{200d}👧 👩🏽\u{200d}💻 👩\u{200d}❤\u{fe0f}\u{200d}👨 🏳\u{fe0f}\u{200d}🌈 ❤\u{fe0f} 1\u{fe0f}\u{20e3}",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
            // A variant of a Han character, and a Mongolian letter with a variation selector.
            "葛\u{e0100}城 ᠠ\u{180b}",
        ] {
            assert_eq!(printable(text), text);
        }
        for (text, shown) in [
            ("pay\u{200c}load", r"pay\u{200c}load"),
            ("a\u{200d}b", r"a\u{200d}b"),
            ("👨\u{200d}", r"👨\u{200d}"),
            ("👨\u{200d}x", r"👨\u{200d}x"),
            ("ی\u{200c}", r"ی\u{200c}"),
            ("می\u{200c}\u{200c}خ", r"می\u{200c}\u{200c}خ"),
            ("\u{200c}्", r"\u{200c}्"),
            ("a\u{fe0f}1\u{fe0f}", r"a\u{fe0f}1\u{fe0f}"),
            ("❤\u{fe0f}\u{fe0f}", "❤\u{fe0f}\\u{fe0f}"),
            ("🏴\u{e0067}\u{e0062}\u{e007f}", r"🏴\u{e0067}\u{e0062}\u{e007f}"),
            ("abc\u{202e}\u{200f}\u{2066}\u{61c}\u{200b}\u{ad}", r"abc\u{202e}\u{200f}\u{2066}\u{61c}\u{200b}\u{ad}"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn hidden_characters_have_a_kind() {
        for (char, kind) in [('\u{1b}', "control"), ('\u{202e}', "directional"), ('\u{200b}', "invisible")] {
            assert_eq!(kind_of_hidden(char), kind);
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
