//! A fast scan that finds out whether an event may contain a secret. For most events, it is the whole cost of masking.

use memchr::{memchr, memchr_iter, memmem};

use crate::model::mask::names::{Mask, without_number};

impl Mask {
    /// Whether a JSON text may contain a secret. There are no false negatives. A name is followed by the closing quote of a key
    /// or of the name in a list of names and values, by the colon of a line `Name: value`, or by the equals sign of a
    /// parameter. Only the text before each of these characters is checked, without regard to its meaning there.
    pub(super) fn may_touch(&self, text: &[u8]) -> bool {
        has_escaped_letter(text)
            || self.quote_may_touch(text)
            || memmem::find_iter(text, b": ").any(|at| self.may_end(&text[..at]))
            || memchr_iter(b'=', text).any(|at| self.may_end(&text[..at]))
    }

    fn quote_may_touch(&self, text: &[u8]) -> bool {
        let mut at = 0;
        while let Some(step) = memchr(b'"', text.get(at..).unwrap_or_default()) {
            let quote = at + step;
            // No name precedes a quote that opens right after this one.
            at = quote + if matches!(text.get(quote + 1..quote + 3), Some(b":\"" | b",\"")) { 3 } else { 1 };
            if self.may_end(&text[..quote]) {
                let is_key = text[quote + 1..].trim_ascii_start().first() == Some(&b':');
                // Otherwise the string can only be the name in a list of names and values, which needs a value.
                if is_key || memmem::find(text, b"alue\"").is_some() {
                    return true;
                }
            }
        }
        false
    }

    fn may_end(&self, text: &[u8]) -> bool {
        let ends = |text: &[u8]| self.is_likely(text) && self.ends_in_name(text);
        ends(text) || (text.last().is_some_and(u8::is_ascii_digit) && ends(without_number(text)))
    }
}

/// Whether a letter, a digit or a separator is escaped, so that a name may be spelled differently. Some writers always escape
/// `&`, `<` and `>`, which no name contains.
fn has_escaped_letter(text: &[u8]) -> bool {
    let mut at = 0;
    while let Some(step) = memchr(b'\\', text.get(at..).unwrap_or_default()) {
        at += step;
        let code = text.get(at + 1..at + 6).and_then(|code| code.strip_prefix(b"u00"));
        if code.is_some_and(|code| {
            matches!(code[0], b'2'..=b'7') && !matches!(code, b"26" | b"3c" | b"3e" | b"3C" | b"3E")
        }) {
            return true;
        }
        at += 2;
    }
    false
}
