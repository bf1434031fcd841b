//! The names of secrets, and whether a key ends with one of them.

/// The text that replaces a secret.
pub const MASKED: &str = "[masked]";
/// The default names of secrets. Each is compared with the last word or words of a key, so `token` also covers `accessToken`.
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
/// The default exceptions: names of keys whose values stay, although the keys end with the name of a secret.
pub const KEEP: &[&str] = &["hashed_token"];
/// Maximum number of names. Each is compared with every key that has the same last two bytes.
const NAMES_MAX: usize = 200;
/// Maximum number of bytes of a name.
const NAME_BYTES_MAX: usize = 64;
/// Maximum number of consecutive separators that are skipped within a key.
const SEPARATORS_MAX: usize = 4;

/// Decides whether the value of a key is a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    secrets: Names,
    /// The exceptions.
    kept: Names,
}

impl Default for Mask {
    fn default() -> Self {
        let mask = NAMES.iter().fold(Self::off(), |mask, name| mask.with(name));
        Self { kept: KEEP.iter().fold(Names::none(), |names, name| names.with(name)), ..mask }
    }
}

impl Mask {
    /// A mask without names, which replaces nothing.
    pub const fn off() -> Self {
        Self { secrets: Names::none(), kept: Names::none() }
    }

    /// Whether the mask replaces nothing.
    pub(super) fn is_off(&self) -> bool {
        self.secrets.names.is_empty()
    }

    /// Parses the names that an operator chose.
    pub fn parse<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, String> {
        let secrets = Names::parse(names)?;
        if secrets.names.is_empty() {
            return Err(format!("must list 1 to {NAMES_MAX} names; enabled = false masks nothing"));
        }
        Ok(Self { secrets, kept: Names::none() })
    }

    /// Sets the names of keys whose values stay.
    pub fn keep<'n>(self, names: impl IntoIterator<Item = &'n str>) -> Result<Self, String> {
        Ok(Self { kept: Names::parse(names)?, ..self })
    }

    /// Adds a name.
    pub(super) fn with(self, name: &str) -> Self {
        Self { secrets: self.secrets.with(name), ..self }
    }

    /// Whether the value of a decoded key is a secret.
    pub fn names_secret(&self, key: &[u8]) -> bool {
        self.secrets.name(key) && !self.kept.name(key)
    }

    /// Whether `key` ends with the name of a secret, at any position.
    pub(super) fn ends_in_name(&self, key: &[u8]) -> bool {
        self.secrets.end(key, |_| true)
    }

    /// Whether a text may end with the name of a secret, by its last two bytes. This rejects nearly all texts that do not.
    pub(super) fn is_likely(&self, text: &[u8]) -> bool {
        self.secrets.may_end(text)
    }
}

/// A list of names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Names {
    /// The names, in lower case and without separators.
    names: Vec<Vec<u8>>,
    /// The hashes of the names' last two bytes, as a set of bits. For most keys this check is the only cost.
    ends: [u64; 16],
}

impl Names {
    const fn none() -> Self {
        Self { names: Vec::new(), ends: [0; 16] }
    }

    fn parse<'n>(list: impl IntoIterator<Item = &'n str>) -> Result<Self, String> {
        let mut names = Self::none();
        for name in list {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || is_separator(byte);
            if fold(name).len() < 2 || name.len() > NAME_BYTES_MAX || !name.bytes().all(fits) {
                let text =
                    format!("must list names of 2 to {NAME_BYTES_MAX} letters and digits of ASCII, not `{name}`");
                return Err(text);
            }
            names = names.with(name);
        }
        if names.names.len() > NAMES_MAX {
            return Err(format!("must list at most {NAMES_MAX} names"));
        }
        Ok(names)
    }

    fn with(mut self, name: &str) -> Self {
        let name = fold(name);
        if let [.., before, last] = name[..] {
            let (word, bit) = place(before, last);
            self.ends[word] |= bit;
            self.names.push(name);
        }
        self
    }

    /// Whether the last words of a decoded key are one of the names.
    fn name(&self, key: &[u8]) -> bool {
        let is_name = |key: &[u8]| self.end(key, |at| starts_word(key, at));
        // Forms name a repeated password `password2`.
        key.last().is_some_and(u8::is_ascii_alphanumeric) && (is_name(key) || is_name(without_number(key)))
    }

    /// Whether `key` ends with a name, at a position that `may` accepts.
    fn end(&self, key: &[u8], may: impl Fn(usize) -> bool) -> bool {
        let Some((last, at)) = letter_before(key, key.len()) else {
            return false;
        };
        let Some((before, _)) = letter_before(key, at) else {
            return false;
        };
        let (word, bit) = place(before, last);
        self.ends[word] & bit != 0 && self.names.iter().any(|name| beginning_of(name, key).is_some_and(&may))
    }

    /// Whether a text may end with a name, by its last two bytes.
    fn may_end(&self, text: &[u8]) -> bool {
        let [.., before, last] = *text else {
            return false;
        };
        // This bit makes letters lower case and does not change digits.
        let (word, bit) = place(before | 0x20, last | 0x20);
        last.is_ascii_alphanumeric() && (is_separator(before) || self.ends[word] & bit != 0)
    }
}

/// A name in the form that is compared.
fn fold(name: &str) -> Vec<u8> {
    name.bytes().filter(|byte| !is_separator(*byte)).map(|byte| byte.to_ascii_lowercase()).collect()
}

pub(super) fn is_separator(byte: u8) -> bool {
    matches!(byte, b'_' | b'-' | b'.' | b' ')
}

/// The word and the bit in the `ends` of [`Names`] for a name that ends with these two bytes.
fn place(before: u8, last: u8) -> (usize, u64) {
    let hash = (usize::from(before) * 31 + usize::from(last)) % 1024;
    (hash / 64, 1 << (hash % 64))
}

/// The letter or digit before `end`, in lower case, and its position. A bounded number of separators is skipped.
fn letter_before(key: &[u8], end: usize) -> Option<(u8, usize)> {
    let first = end.saturating_sub(SEPARATORS_MAX + 1);
    let at = key[first..end].iter().rposition(|byte| !is_separator(*byte))? + first;
    Some((key[at].to_ascii_lowercase(), at))
}

/// The position at which `name` begins, if `key` ends with it.
fn beginning_of(name: &[u8], key: &[u8]) -> Option<usize> {
    name.iter().rev().try_fold(key.len(), |end, expected| {
        letter_before(key, end).filter(|(found, _)| found == expected).map(|(_, at)| at)
    })
}

/// Whether a word begins at `at`: after an ASCII character other than a letter, or with a capital as in `dbPassword` and
/// `DBPassword`.
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

/// The key without a number at its end: `password` for `password2` and `password_2`.
pub(super) fn without_number(key: &[u8]) -> &[u8] {
    let end = key.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |last| last + 1);
    match key[..end] {
        [ref before @ .., last] if end < key.len() && is_separator(last) => before,
        ref whole => whole,
    }
}
