//! Words that are copied from a page, where values are followed by punctuation, shortened, or shown with marks.

use std::borrow::Cow;

use crate::model::printable::is_hidden;

/// A word as an event has it, without what a page adds: the colon after an actor, the ellipsis of a shortened value, and codes in
/// place of hidden characters.
pub(super) fn as_stored(word: &str) -> Cow<'_, str> {
    let bare = [':', '…']
        .into_iter()
        .fold(word, |word, end| word.strip_suffix(end).filter(|bare| !bare.is_empty()).unwrap_or(word));
    let mut parts = bare.split("U+");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match hidden_of_code(part) {
            Some((char, digits)) => {
                text.push(char);
                text.push_str(&part[digits..]);
            }
            None => text.extend(["U+", part]),
        }
    }
    if text == bare { Cow::Borrowed(bare) } else { Cow::Owned(text) }
}

/// The hidden character whose code in hexadecimal a text begins with, and the number of digits: four, or more without zeros before
/// them.
fn hidden_of_code(text: &str) -> Option<(char, usize)> {
    (4..=6).rev().find_map(|digits| {
        let code = text.get(..digits).filter(|code| !(digits > 4 && code.starts_with('0')))?;
        let is_code = code.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'A'..=b'F'));
        let char = char::from_u32(u32::from_str_radix(code, 16).ok().filter(|_| is_code)?)?;
        (is_hidden(char) && char != '\0').then_some((char, digits))
    })
}
