//! How values become HTML. Values come from outside, so they are text, never markup; no character of them is invisible; and
//! none changes the order of the text around it.
//!
//! [`Visible`] escapes every value of every template. It shows a hidden character as text, such as `[U+202E]`, which also fits
//! into an attribute. Within the body of a page, a filter does more: [`filters::shown`] isolates the value (Unicode
//! bidirectional algorithm, UAX 9, section 6.1) and shows hidden characters as marks. In an attribute or a title, which have no
//! elements, [`filters::isolated`] does so with characters.

use std::fmt::{self, Write};

use askama::filters::{Escaper, Html};

use crate::model::printable::{Piece, kind_of_hidden, pieces};

/// The first letter of a script that is written from right to left. A text without characters from here on needs no isolation.
const FIRST_RTL: char = '\u{590}';

/// The characters that isolate the text between them, in the direction of its first letter.
const ISOLATE: (char, char) = ('\u{2068}', '\u{2069}');

/// Whether a character may be a letter of a script that is written from right to left (The Unicode Standard, the ranges with the
/// default classes R and AL).
fn is_rtl(char: char) -> bool {
    matches!(char, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// The escaper of all templates.
#[derive(Debug, Clone, Copy)]
pub(in crate::ui) struct Visible;

impl Escaper for Visible {
    fn write_escaped_str<W: Write>(&self, mut out: W, text: &str) -> fmt::Result {
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => Html.write_escaped_str(&mut out, text)?,
                Piece::Hidden('\n') => out.write_char('\n')?,
                Piece::Hidden(char) => write!(out, "[{}]", code(char))?,
            }
        }
        Ok(())
    }
}

/// `U+202E`
fn code(char: char) -> String {
    format!("U+{:04X}", u32::from(char))
}

/// Appends a value with marks in place of its hidden characters, except those in `kept`.
fn push_marked(out: &mut String, text: &str, kept: &[char]) -> fmt::Result {
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => Html.write_escaped_str(&mut *out, text)?,
            Piece::Hidden(char) if kept.contains(&char) => out.push(char),
            Piece::Hidden(char) => {
                let (code, kind) = (code(char), kind_of_hidden(char));
                write!(out, "<span class=\"mark\" title=\"{code}: {kind} character\">{code}</span>")?;
            }
        }
    }
    Ok(())
}

/// Appends a value as [`push_marked`] does, isolated if it may contain text from right to left.
fn push_isolated(out: &mut String, text: &str, kept: &[char]) -> fmt::Result {
    let is_isolated = text.contains(|char| char >= FIRST_RTL);
    if is_isolated {
        out.push_str("<bdi>");
    }
    push_marked(out, text, kept)?;
    if is_isolated {
        out.push_str("</bdi>");
    }
    Ok(())
}

/// The keys of the path of a field, such as `owner.team[0]`, each with the punctuation after it.
pub(in crate::ui) fn keys(path: &str) -> impl Iterator<Item = (&str, &str)> {
    const PUNCTUATION: [char; 4] = ['.', '[', ']', '"'];
    path.split_inclusive(PUNCTUATION).map(|key| key.split_at(key.trim_end_matches(PUNCTUATION).len()))
}

/// The filters of the templates.
pub(in crate::ui) mod filters {
    #![allow(unreachable_pub, clippy::inline_always, clippy::unused_self, reason = "the macro writes such code")]

    use std::fmt::Display;

    use askama::{
        Result, Values,
        filters::{Escaper, Html, Safe},
    };

    use super::{ISOLATE, Visible, is_rtl, keys, push_isolated, push_marked};

    /// A value on one line.
    #[askama::filter_fn]
    pub(in crate::ui) fn shown(value: impl Display, _: &dyn Values) -> Result<Safe<String>> {
        let mut out = String::new();
        push_isolated(&mut out, &value.to_string(), &[])?;
        Ok(Safe(out))
    }

    /// A value that may have several lines, in an element that keeps white space.
    #[askama::filter_fn]
    pub(in crate::ui) fn lines(value: impl Display, _: &dyn Values) -> Result<Safe<String>> {
        let mut out = String::new();
        push_isolated(&mut out, &value.to_string(), &['\n', '\t'])?;
        Ok(Safe(out))
    }

    /// A value in an attribute or a title.
    #[askama::filter_fn]
    pub(in crate::ui) fn isolated(value: impl Display, _: &dyn Values) -> Result<Safe<String>> {
        let (value, mut out) = (value.to_string(), String::new());
        let is_isolated = value.contains(is_rtl);
        out.extend(is_isolated.then_some(ISOLATE.0));
        Visible.write_escaped_str(&mut out, &value)?;
        out.extend(is_isolated.then_some(ISOLATE.1));
        Ok(Safe(out))
    }

    /// A part of a value, in an element that isolates the whole value and keeps white space.
    #[askama::filter_fn]
    pub(in crate::ui) fn part(value: impl Display, _: &dyn Values) -> Result<Safe<String>> {
        let mut out = String::new();
        push_marked(&mut out, &value.to_string(), &['\n', '\t'])?;
        Ok(Safe(out))
    }

    /// A value that a form sends back: every character stays.
    #[askama::filter_fn]
    pub(in crate::ui) fn exact(value: impl Display, _: &dyn Values) -> Result<Safe<String>> {
        let mut out = String::new();
        Html.write_escaped_str(&mut out, &value.to_string())?;
        Ok(Safe(out))
    }

    /// The path of a field, such as `owner.team[0]`. Each key is isolated, so the keys stay in order.
    #[askama::filter_fn]
    pub(in crate::ui) fn field_path(path: impl Display, _: &dyn Values) -> Result<Safe<String>> {
        let (path, mut out) = (path.to_string(), String::new());
        for (key, punctuation) in keys(&path) {
            push_isolated(&mut out, key, &[])?;
            push_marked(&mut out, punctuation, &[])?;
        }
        Ok(Safe(out))
    }

    /// A JSON text. Each string is isolated, so the tokens stay in order. The text has no hidden characters, except line breaks.
    #[askama::filter_fn]
    pub(in crate::ui) fn json_text(json: impl Display, _: &dyn Values) -> Result<Safe<String>> {
        let (json, mut out) = (json.to_string(), String::new());
        let mut rest = json.as_str();
        while let Some(open) = rest.find('"') {
            let end = crate::model::json::end_of_string(rest.as_bytes(), open + 1);
            let after = (end + 1).min(rest.len());
            push_marked(&mut out, &rest[..=open], &['\n'])?;
            push_isolated(&mut out, &rest[open + 1..end], &['\n'])?;
            push_marked(&mut out, &rest[end..after], &['\n'])?;
            rest = &rest[after..];
        }
        push_marked(&mut out, rest, &['\n'])?;
        Ok(Safe(out))
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::*;

    #[derive(Template)]
    #[template(
        source = "{{ text }}|{{ text|shown }}|{{ text|lines }}|{{ text|part }}|{{ text|exact }}|{{ text|field_path }}|{{ text|json_text }}|{{ text|isolated }}",
        ext = "html"
    )]
    struct Every<'t> {
        text: &'t str,
    }

    fn every(text: &str) -> [String; 8] {
        let html = Every { text }.render().unwrap();
        html.split('|').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()
    }

    #[test]
    fn a_plain_value_is_escaped_and_nothing_else() {
        assert_eq!(
            every("a<b\n"),
            [
                "a&#60;b\n",
                "a&#60;b<span class=\"mark\" title=\"U+000A: control character\">U+000A</span>",
                "a&#60;b\n",
                "a&#60;b\n",
                "a&#60;b\n",
                "a&#60;b<span class=\"mark\" title=\"U+000A: control character\">U+000A</span>",
                "a&#60;b\n",
                "a&#60;b\n"
            ]
        );
    }

    #[test]
    fn a_hidden_character_is_visible_and_text_from_right_to_left_is_isolated() {
        let mark = "<span class=\"mark\" title=\"U+202E: directional character\">U+202E</span>";
        let isolated = format!("<bdi>a{mark}b</bdi>");
        let [plain, value, lines, part, exact, path, json, attribute] = every("a\u{202e}b");
        assert_eq!((plain.as_str(), exact.as_str()), ("a[U+202E]b", "a\u{202e}b"));
        assert_eq!(attribute, plain);
        assert_eq!([&value, &lines, &path], [&isolated; 3]);
        assert_eq!([part, json], [format!("a{mark}b"), format!("a{mark}b")]);
        for text in ["שלום", "مرحبا می\u{200c}خواهم", "👨\u{200d}👩\u{200d}👧"] {
            let isolated = format!("<bdi>{text}</bdi>");
            let [plain, value, lines, part, exact, path, _, attribute] = every(text);
            let is_rtl = !text.starts_with('👨');
            assert_eq!(attribute, if is_rtl { format!("\u{2068}{text}\u{2069}") } else { text.to_owned() });
            assert_eq!([&plain, &part, &exact], [text; 3]);
            assert_eq!([&value, &lines, &path], [&isolated; 3]);
        }
    }

    #[test]
    fn keys_and_strings_stay_in_order() {
        assert_eq!(every("א.ב[0]")[5], "<bdi>א</bdi>.<bdi>ב</bdi>[0]");
        assert_eq!(
            every("{\"א\\\"\": [\"ב\", \"c\"")[6],
            "{&#34;<bdi>א\\&#34;</bdi>&#34;: [&#34;<bdi>ב</bdi>&#34;, &#34;c&#34;"
        );
    }
}
