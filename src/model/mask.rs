//! Secrets that senders put into events by mistake: their values are replaced before anything is stored or indexed.
//!
//! A value is taken for a secret by its key alone, and a key by its last words: `password` stands for `dbPassword`,
//! `DB_PASSWORD` and `db-password`, and not for `passwordChangedAt` or `secretName`. In a compound the last word says what
//! the thing is; a rule of words anywhere in the key would take away `tokenCount` and `secretName`, which are what an audit
//! log is for, and a rule of whole keys would let `githubToken` through. Case and separators make no difference.
//!
//! The text is looked through once for strings that could be such keys ([`Mask::apply`]), which is all that most events
//! cost; only where one is found does `walk` find out what it stands for. Nothing is parsed into a tree, and every byte
//! that is not a secret's stays as it was sent.

mod query;
mod same;
mod walk;

use memchr::{memchr, memchr_iter, memchr2, memmem};

pub(crate) use same::{MaskedText, same_but_for_masks};

/// What stands in a secret's place.
pub const MASKED: &str = "[masked]";
/// Keys that hold secrets wherever they are met. Each is a last word, or several, so that `token` is `accessToken` too.
pub const NAMES: &[&str] = &[
    "password",
    "password_confirmation",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "secrets",
    "token",
    "authorization",
    "cookie",
    "api_key",
    "access_key",
    "secret_key",
    "private_key",
    "signing_key",
    "encryption_key",
    "credentials",
    "connection_string",
    "jwt",
    "otp",
];
/// Names at most: each is held against every key that ends as it does.
const NAMES_MAX: usize = 200;
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 64;
/// Separators in a row that are read over within a key.
const SEPARATORS_MAX: usize = 4;

/// Which keys' values are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// In lower case and without separators.
    names: Vec<Vec<u8>>,
    /// The hashes of the names' last two bytes, as a set of bits: most keys end otherwise and cost no more than this.
    ends: [u64; 16],
}

/// An event whose secrets were replaced.
#[derive(Debug)]
pub struct Masked {
    /// The event.
    pub text: String,
    /// Where: JSON pointers (RFC 6901) to what was replaced. Bounded: the pointer of what a secret lies in stands for one
    /// that would be long, and the empty one, which is the whole event, for all that there was no room for.
    pub pointers: Vec<String>,
}

impl Default for Mask {
    fn default() -> Self {
        NAMES.iter().fold(Self::off(), |mask, name| mask.with(name))
    }
}

impl Mask {
    /// One that replaces nothing.
    pub const fn off() -> Self {
        Self { names: Vec::new(), ends: [0; 16] }
    }

    /// Reads the names that an operator chose.
    pub fn parse<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, String> {
        let mut mask = Self::off();
        for name in names {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || is_separator(byte);
            if fold(name).len() < 2 || name.len() > NAME_BYTES_MAX || !name.bytes().all(fits) {
                let text =
                    format!("must list names of 2 to {NAME_BYTES_MAX} letters and digits of ASCII, not `{name}`");
                return Err(text);
            }
            mask = mask.with(name);
        }
        if mask.names.is_empty() || mask.names.len() > NAMES_MAX {
            return Err(format!("must list 1 to {NAMES_MAX} names; enabled = false masks nothing"));
        }
        Ok(mask)
    }

    /// The same, and `name` too.
    fn with(mut self, name: &str) -> Self {
        let name = fold(name);
        if let [.., before, last] = name[..] {
            let (word, bit) = place(before, last);
            self.ends[word] |= bit;
            self.names.push(name);
        }
        self
    }

    /// Replaces the secrets of one event, a JSON text; `None` if it has none. An event that is nested more deeply than any
    /// is allowed to be is left as it is, to be refused for that.
    pub fn apply(&self, text: &str) -> Option<Masked> {
        if self.names.is_empty() || !self.may_touch(text.as_bytes()) {
            return None;
        }
        walk::replace(self, text)
    }

    /// Replaces the secrets in the query of a path or a URL; `None` if it has none.
    pub fn query_of(&self, url: &str) -> Option<String> {
        query::replace_where(url, |name| self.names_secret(name))
    }

    /// Whether a key, decoded, is one whose value is a secret.
    pub fn names_secret(&self, key: &[u8]) -> bool {
        let is_name = |key: &[u8]| self.ends_in_name(key, |at| starts_word(key, at));
        // The second password of a form is `password2`.
        key.last().is_some_and(u8::is_ascii_alphanumeric) && (is_name(key) || is_name(without_number(key)))
    }

    /// Whether `key` ends in a name that begins where it `may`.
    fn ends_in_name(&self, key: &[u8], may: impl Fn(usize) -> bool) -> bool {
        let Some((last, at)) = letter_before(key, key.len()) else {
            return false;
        };
        let Some((before, _)) = letter_before(key, at) else {
            return false;
        };
        let (word, bit) = place(before, last);
        self.ends[word] & bit != 0 && self.names.iter().any(|name| beginning_of(name, key).is_some_and(&may))
    }

    /// Whether a JSON text could hold a secret: never says no where there is one. A name ends at the quote of a key or of the
    /// name in a list of names and values, at the colon of a line `Name: value`, or at the equals sign of a parameter; so
    /// what stands before each of these is all that is looked at, whatever they mean where they are.
    fn may_touch(&self, text: &[u8]) -> bool {
        has_escaped_letter(text)
            || self.quote_may_touch(text)
            || memmem::find_iter(text, b": ").any(|at| self.may_end(&text[..at]))
            || memchr_iter(b'=', text).any(|at| self.may_end(&text[..at]))
    }

    fn quote_may_touch(&self, text: &[u8]) -> bool {
        let mut at = 0;
        while let Some(step) = memchr(b'"', text.get(at..).unwrap_or_default()) {
            let quote = at + step;
            // What opens right after is preceded by no name.
            at = quote + if matches!(text.get(quote + 1..quote + 3), Some(b":\"" | b",\"")) { 3 } else { 1 };
            if self.may_end(&text[..quote]) {
                let is_key = text[quote + 1..].trim_ascii_start().first() == Some(&b':');
                // The name in a list of names and values is one only beside a value.
                if is_key || memmem::find(text, b"alue\"").is_some() {
                    return true;
                }
            }
        }
        false
    }

    fn may_end(&self, text: &[u8]) -> bool {
        let ends = |text: &[u8]| self.is_likely(text) && self.ends_in_name(text, |_| true);
        ends(text) || (text.last().is_some_and(u8::is_ascii_digit) && ends(without_number(text)))
    }

    /// Nearly always this tells that a text ends in no name, by its last two bytes.
    fn is_likely(&self, text: &[u8]) -> bool {
        let [.., before, last] = *text else {
            return false;
        };
        // The bit makes letters small, and leaves digits as they are.
        let (word, bit) = place(before | 0x20, last | 0x20);
        last.is_ascii_alphanumeric() && (is_separator(before) || self.ends[word] & bit != 0)
    }
}

/// A path without the value of the parameter of exactly this name; `None` if it has none.
pub fn without_parameter(url: &str, name: &str) -> Option<String> {
    query::replace_where(url, |decoded| decoded == name.as_bytes())
}

/// The keys whose values are read as URLs, or as the query of one.
fn is_url_key(key: &[u8]) -> bool {
    matches!(key.len(), 3 | 4 | 5 | 7)
        && ["path", "url", "uri", "query", "referer"].iter().any(|known| key.eq_ignore_ascii_case(known.as_bytes()))
}

/// The place of the closing quote of a string of a JSON text whose content begins at `start`.
fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(step) = memchr2(b'"', b'\\', text.get(at..).unwrap_or_default()) {
        at += step;
        if text[at] == b'"' {
            return at;
        }
        at += 2;
    }
    text.len()
}

/// Whether a letter, a digit or a separator is written as an escape, so that a name may not look like one. Some writers
/// escape `&`, `<` and `>`, always, which are in no name.
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

/// A name as it is compared.
fn fold(name: &str) -> Vec<u8> {
    name.bytes().filter(|byte| !is_separator(*byte)).map(|byte| byte.to_ascii_lowercase()).collect()
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'_' | b'-' | b'.' | b' ')
}

/// Where the bit of a name that ends in these two bytes is.
fn place(before: u8, last: u8) -> (usize, u64) {
    let hash = (usize::from(before) * 31 + usize::from(last)) % 1024;
    (hash / 64, 1 << (hash % 64))
}

/// The letter or digit before `end`, in lower case, and where it is. What stands between is read over, within bounds.
fn letter_before(key: &[u8], end: usize) -> Option<(u8, usize)> {
    let first = end.saturating_sub(SEPARATORS_MAX + 1);
    let at = key[first..end].iter().rposition(|byte| !is_separator(*byte))? + first;
    Some((key[at].to_ascii_lowercase(), at))
}

/// Where `name` begins, if `key` ends in it.
fn beginning_of(name: &[u8], key: &[u8]) -> Option<usize> {
    name.iter().rev().try_fold(key.len(), |end, expected| {
        letter_before(key, end).filter(|(found, _)| found == expected).map(|(_, at)| at)
    })
}

/// Whether a word begins at `at`: after what is no letter, or with a capital as in `dbPassword` and `DBPassword`.
fn starts_word(key: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| key[before]) else {
        return true;
    };
    let is_hump = || {
        key[at].is_ascii_uppercase()
            && (!before.is_ascii_uppercase() || key.get(at + 1).is_some_and(u8::is_ascii_lowercase))
    };
    (before.is_ascii() && !before.is_ascii_alphabetic()) || is_hump()
}

/// `password` of `password2` and of `password_2`.
fn without_number(key: &[u8]) -> &[u8] {
    let end = key.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |last| last + 1);
    match key[..end] {
        [ref before @ .., last] if end < key.len() && is_separator(last) => before,
        ref whole => whole,
    }
}

#[cfg(test)]
mod tests;
