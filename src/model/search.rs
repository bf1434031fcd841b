//! Full-text search: words, each of which may occur anywhere in the names of an event or in its message.
//!
//! The index keeps a bounded number of words of a message. Every other searched value is kept as one text. A search word is
//! therefore compared in two forms: whole, within a name; and split into parts, within the words of a message. Case is folded
//! at each comparison ([`fold`]), so the form in which the index keeps words does not affect the result.

use std::collections::BTreeSet;

use crate::model::{
    field::{FIELDS, Field},
    fold::fold,
    term_text::readable,
};

/// Maximum number of distinct words of one message that the index keeps. A message with this number of words may have more, so
/// it is read if the kept words do not decide. Existing files have indexes that were built with this number, so it must not
/// be increased.
pub const MESSAGE_WORDS_MAX: usize = 256;
/// Maximum number of bytes of a word that the index keeps.
const WORD_BYTES_MAX: usize = 1_024;
/// Maximum number of words in one search.
pub const SEARCH_WORDS_MAX: usize = 32;
/// Maximum number of bytes of one search.
pub const SEARCH_BYTES_MAX: usize = 1_024;

/// A search word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SearchWord {
    /// The word, folded.
    pub text: String,
    /// The folded parts of the word, split as messages are. Each must occur in a word of the message. Empty for a word without a
    /// letter or digit, which no word of a message contains.
    pub parts: Vec<String>,
}

impl SearchWord {
    /// Parses a search into words, which are separated by white space. The error describes what is wrong.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        if text.len() > SEARCH_BYTES_MAX {
            return Err(format!("is longer than {SEARCH_BYTES_MAX} bytes"));
        }
        let words: Vec<Self> = text.split_whitespace().map(Self::new).collect();
        match words.len() {
            0 => Err("must not be empty".to_owned()),
            1..=SEARCH_WORDS_MAX => Ok(words),
            _ => Err(format!("has more than {SEARCH_WORDS_MAX} words")),
        }
    }

    fn new(word: &str) -> Self {
        let parts: BTreeSet<_> = words(word).map(|part| fold(part).into_owned()).collect();
        Self { text: fold(word).into_owned(), parts: parts.into_iter().collect() }
    }

    /// Whether the value of a field other than [`Field::Word`] contains this word.
    pub fn is_in(&self, value: &str) -> bool {
        fold(readable(value)).contains(&self.text)
    }

    /// Whether a message contains this word.
    pub fn is_in_message(&self, message: &str) -> bool {
        let mut missing: Vec<_> = self.parts.iter().collect();
        for word in words(message) {
            let word = fold(word);
            missing.retain(|part| !word.contains(part.as_str()));
            if missing.is_empty() {
                return !self.parts.is_empty();
            }
        }
        false
    }
}

/// Whether an indexed word may be only the beginning of a word in the message.
pub fn may_be_cut(word: &str) -> bool {
    word.len() > WORD_BYTES_MAX - char::MAX_LEN_UTF8
}

/// Whether an indexed word contains a part of a search word.
pub fn holds_part(word: &str, part: &str) -> bool {
    fold(word).contains(part)
}

/// The searched fields, except message words.
pub fn searched_fields() -> impl Iterator<Item = Field> {
    FIELDS.iter().filter(|spec| spec.searched && spec.field != Field::Word).map(|spec| spec.field)
}

/// The words of a message that the index keeps: distinct, in lower case, and bounded in number and length.
pub fn message_words(text: &str) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    for word in words(text) {
        let mut word = word.to_lowercase();
        word.truncate(word.floor_char_boundary(WORD_BYTES_MAX));
        kept.insert(word);
        if kept.len() == MESSAGE_WORDS_MAX {
            break;
        }
    }
    kept
}

/// The words of a text: runs of letters and digits.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches one event as the index does.
    fn finds(search: &str, values: &[(Field, &str)]) -> bool {
        let in_name = |word: &SearchWord| {
            searched_fields()
                .any(|searched| values.iter().any(|(field, value)| *field == searched && word.is_in(value)))
        };
        let is_word =
            |part: &String| values.iter().any(|(field, value)| *field == Field::Word && holds_part(value, part));
        let words = SearchWord::parse_all(search).unwrap();
        words.iter().all(|word| in_name(word) || (!word.parts.is_empty() && word.parts.iter().all(is_word)))
    }

    #[test]
    fn words_are_found_within_names_and_messages_in_any_case() {
        let event = [(Field::Entity, "Checkout-API"), (Field::Word, "timeout"), (Field::Word, "14100")];
        for search in ["checkout", "OUT-AP", "timeout", "out", "(#14100)", "api TIME"] {
            assert!(finds(search, &event), "{search}");
        }
        for search in ["checkouts", "api time2", "#", "timeout14100"] {
            assert!(!finds(search, &event), "{search}");
        }
    }

    #[test]
    fn the_digest_of_a_long_value_is_not_searched() {
        let term = crate::model::term_text::term_text(Field::Entity.spec(), &"checkout ".repeat(200)).into_owned();
        assert!(finds("checkout", &[(Field::Entity, &term)]));
        assert!(!finds("sha256", &[(Field::Entity, &term)]));
    }

    #[test]
    fn only_searched_fields_are_searched() {
        assert!(!finds("API", &[(Field::Origin, "API")]));
        assert!(finds("É", &[(Field::Action, "é")]));
    }

    #[test]
    fn words_and_searches_are_bounded() {
        let long = (0..1_000).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(message_words(&long).len(), MESSAGE_WORDS_MAX);
        assert!(message_words(&"é".repeat(5_000)).iter().all(|word| word.len() <= WORD_BYTES_MAX));
        assert!(SearchWord::parse_all(&long).is_err());
        assert!(SearchWord::parse_all(&"a ".repeat(33)).is_err());
        assert!(SearchWord::parse_all(" ").is_err());
    }

    #[test]
    fn a_truncated_word_is_recognized() {
        for letter in ["x", "é", "日", "𐐀"] {
            for letters in [WORD_BYTES_MAX / letter.len() + 1, 5_000] {
                assert!(message_words(&letter.repeat(letters)).iter().all(|word| may_be_cut(word)), "{letter}");
            }
        }
        assert!(!may_be_cut(&"x".repeat(1_000)));
    }

    #[test]
    fn reading_a_message_finds_what_its_index_finds() {
        let holds = |search: &str, message: &str| {
            let words = SearchWord::parse_all(search).unwrap();
            let read = words.iter().all(|word| word.is_in_message(message));
            let kept = message_words(message);
            let indexed = words.iter().all(|word| {
                !word.parts.is_empty() && word.parts.iter().all(|part| kept.iter().any(|own| holds_part(own, part)))
            });
            assert_eq!(read, indexed, "{search} in {message}");
            read
        };
        assert!(holds("OUT (#14100) οδος", "Timeout: pool #14100, ΟΔΟΣ"));
        assert!(!holds("pool14100", "pool #14100"));
        assert!(!holds("#", "pool #14100"));
    }
}
