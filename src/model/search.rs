//! What people type into a search box: words, each found anywhere in the names of an event or in its message.
//!
//! A message is taken apart into words when an event comes in; everything else is searched as it stands. So a search word
//! is looked for in two forms: whole, within a name; and taken apart in the same way, within the words of a message.

use std::collections::BTreeSet;

use crate::model::field::{FIELDS, Field};

/// Different words of one message that can be found. What follows is text for people.
const MESSAGE_WORDS_MAX: usize = 256;
/// Bytes of one word that are kept; the rest of a longer one is cut off.
const WORD_BYTES_MAX: usize = 1_024;
/// Words in one search.
pub const SEARCH_WORDS_MAX: usize = 32;
/// Bytes of one search.
pub const SEARCH_BYTES_MAX: usize = 1_024;

/// One word of a search.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SearchWord {
    /// The word in lower case.
    pub text: String,
    /// The same, taken apart as messages are: each must be within some word of the message. Empty for one that holds no
    /// letter and no digit, which no message word can.
    pub parts: Vec<String>,
}

impl SearchWord {
    /// The words of a search, separated by white space. The error says what is wrong with it.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        if text.len() > SEARCH_BYTES_MAX {
            return Err(format!("is longer than {SEARCH_BYTES_MAX} bytes"));
        }
        let words: Vec<Self> = text
            .split_whitespace()
            .map(|word| Self { text: word.to_lowercase(), parts: message_words(word).into_iter().collect() })
            .collect();
        match words.len() {
            0 => Err("must not be empty".to_owned()),
            1..=SEARCH_WORDS_MAX => Ok(words),
            _ => Err(format!("has more than {SEARCH_WORDS_MAX} words")),
        }
    }

    /// Whether `value` of a field other than [`Field::Word`] holds this word.
    pub fn is_in(&self, value: &str) -> bool {
        value.to_lowercase().contains(&self.text)
    }
}

/// The fields that a search looks into, message words apart.
pub fn searched_fields() -> impl Iterator<Item = Field> {
    FIELDS.iter().filter(|spec| spec.searched && spec.field != Field::Word).map(|spec| spec.field)
}

/// The different words of a text: runs of letters and digits, in lower case.
pub fn message_words(text: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for word in text.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = word.to_lowercase();
        words.insert(word[..word.floor_char_boundary(WORD_BYTES_MAX)].to_owned());
        if words.len() == MESSAGE_WORDS_MAX {
            break;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the index does it, on one event.
    fn finds(search: &str, values: &[(Field, &str)]) -> bool {
        let in_name = |word: &SearchWord| {
            searched_fields()
                .any(|searched| values.iter().any(|(field, value)| *field == searched && word.is_in(value)))
        };
        let is_word = |part: &String| values.iter().any(|(field, value)| *field == Field::Word && value.contains(part));
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
    fn fields_that_are_not_searched_are_not() {
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
}
