//! Full-text search: words and phrases, each of which may occur anywhere in the names of an event, in the verb of its action, or
//! in its message. `search_language` parses them.
//!
//! The index keeps a bounded number of words of a message. Every other searched value is kept as one text. A search text is
//! therefore compared in two forms: whole, within a name; and split into parts, within the words of a message. Case is folded
//! at each comparison ([`fold`]), so the form in which the index keeps words does not affect the result.

use std::collections::BTreeSet;

use crate::model::{
    field::{Field, fields},
    fold::{composed, fold},
    term_text::readable,
    verbs,
    words::{is_separator, words},
};

/// Maximum number of distinct words of one message that the index keeps. A message with this number of words may have more, so
/// it is read if the kept words do not decide. Existing files have indexes that were built with this number, so it must not
/// be increased.
pub const MESSAGE_WORDS_MAX: usize = 256;
/// Maximum number of bytes of a word that the index keeps.
const WORD_BYTES_MAX: usize = 1_024;

/// A word or a phrase of a search.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SearchText {
    /// The text, folded.
    pub text: String,
    /// The folded parts of the text, split as messages are. Each must occur in a word of the message. Empty for a text without a
    /// letter or digit, which no message contains.
    pub parts: Vec<String>,
    /// For a phrase whose parts do not decide: the text that a message with single spaces between its words must contain.
    sequence: Option<String>,
    /// Whether an event must not contain the text.
    pub negated: bool,
}

impl SearchText {
    /// A word. Its parts may occur in any order in a message.
    pub fn word(word: &str, negated: bool) -> Self {
        let parts: BTreeSet<_> = words(&composed(word)).map(|part| fold(part).into_owned()).collect();
        Self { text: fold(word).into_owned(), parts: parts.into_iter().collect(), sequence: None, negated }
    }

    /// A phrase. Its parts are consecutive words of a message. Without a space or another separator at an end, the phrase may
    /// end within a word there.
    pub fn phrase(phrase: &str, negated: bool) -> Self {
        let word = Self::word(phrase, negated);
        let phrase = composed(phrase);
        let ends = |is_separator: bool| if is_separator { " " } else { "" };
        let sequence = format!(
            "{}{}{}",
            ends(phrase.starts_with(is_separator)),
            words(&phrase).map(fold).collect::<Vec<_>>().join(" "),
            ends(phrase.ends_with(is_separator)),
        );
        let is_decided = word.parts.first().is_none_or(|part| *part == sequence);
        Self { sequence: (!is_decided).then_some(sequence), ..word }
    }

    /// Whether a message that has all parts must be read, because their order decides.
    pub const fn needs_order(&self) -> bool {
        self.sequence.is_some()
    }

    /// For a phrase whose order decides: the text that a message with single spaces between and around its words contains.
    pub fn sequence(&self) -> Option<&str> {
        self.sequence.as_deref()
    }

    /// Whether a value of a searched field other than [`Field::Word`] contains this text. A verb in the base form or the past
    /// tense is in the actions that mean it.
    pub fn is_in(&self, field: Field, value: &str) -> bool {
        self.is_in_key(value) || (field == Field::Action && verbs::says(readable(value), &self.text))
    }

    /// Whether a key contains this text.
    pub fn is_in_key(&self, value: &str) -> bool {
        fold(readable(value)).contains(&self.text)
    }

    /// Whether a message contains this text.
    pub fn is_in_message(&self, message: &str) -> bool {
        if self.parts.is_empty() {
            return false;
        }
        let message = composed(message);
        if let Some(sequence) = &self.sequence {
            let mut read = String::with_capacity(message.len() + 2);
            for word in words(&message) {
                read.push(' ');
                read.push_str(&fold(word));
            }
            read.push(' ');
            return read.contains(sequence);
        }
        let mut missing: Vec<_> = self.parts.iter().collect();
        for word in words(&message) {
            let word = fold(word);
            missing.retain(|part| !word.contains(part.as_str()));
            if missing.is_empty() {
                return true;
            }
        }
        false
    }

    /// The words of the text. A value that belongs to no field contains the text if it has these words in a row.
    pub fn words(&self) -> Vec<&str> {
        words(&self.text).collect()
    }
}

/// Whether an indexed word may be only the beginning of a word in the message.
pub fn may_be_cut(word: &str) -> bool {
    word.len() > WORD_BYTES_MAX - char::MAX_LEN_UTF8
}

/// Whether an indexed word contains a part of a search text.
pub fn holds_part(word: &str, part: &str) -> bool {
    fold(word).contains(part)
}

/// The searched fields, except message words.
pub fn searched_fields() -> impl Iterator<Item = Field> {
    fields().filter(|spec| spec.searched && spec.field != Field::Word).map(|spec| spec.field)
}

/// The words of a message that the index keeps: distinct, in lower case, and bounded in number and length.
pub fn message_words(text: &str) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    for word in words(&composed(text)) {
        let mut word = word.to_lowercase();
        word.truncate(word.floor_char_boundary(WORD_BYTES_MAX));
        kept.insert(word);
        if kept.len() == MESSAGE_WORDS_MAX {
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches one event as the index does.
    fn finds(text: &SearchText, values: &[(Field, &str)]) -> bool {
        let in_name = searched_fields()
            .any(|searched| values.iter().any(|(field, value)| *field == searched && text.is_in(*field, value)));
        let is_word =
            |part: &String| values.iter().any(|(field, value)| *field == Field::Word && holds_part(value, part));
        in_name || (!text.parts.is_empty() && text.parts.iter().all(is_word))
    }

    fn word(text: &str) -> SearchText {
        SearchText::word(text, false)
    }

    #[test]
    fn words_are_found_within_names_and_messages_in_any_case() {
        let event = [(Field::Entity, "Checkout-API"), (Field::Word, "timeout"), (Field::Word, "14100")];
        for search in ["checkout", "OUT-AP", "timeout", "out", "(#14100)", "api", "TIME"] {
            assert!(finds(&word(search), &event), "{search}");
        }
        for search in ["checkouts", "time2", "#", "timeout14100"] {
            assert!(!finds(&word(search), &event), "{search}");
        }
    }

    #[test]
    fn the_digest_of_a_long_value_is_not_searched() {
        let term = crate::model::term_text::term_text(Field::Entity.spec(), &"checkout ".repeat(200)).into_owned();
        assert!(finds(&word("checkout"), &[(Field::Entity, &term)]));
        assert!(!finds(&word("sha256"), &[(Field::Entity, &term)]));
    }

    #[test]
    fn only_searched_fields_are_searched() {
        assert!(!finds(&word("API"), &[(Field::Origin, "API")]));
        assert!(finds(&word("É"), &[(Field::Action, "é")]));
    }

    #[test]
    fn the_verb_of_an_action_is_found_in_the_form_that_pages_show() {
        for action in ["DELETE", "ledger.delete", "DeleteLedger"] {
            assert!(finds(&word("Deleted"), &[(Field::Action, action)]), "{action}");
            assert!(!finds(&word("ted"), &[(Field::Action, action)]), "{action}");
        }
        assert!(finds(&SearchText::phrase("deleted ledger", false), &[(Field::Action, "ledger.delete")]));
        assert!(finds(&word("rolled"), &[(Field::Action, "rollback")]));
        assert!(!finds(&word("deleted"), &[(Field::Entity, "delete")]));
    }

    #[test]
    fn kept_words_are_bounded() {
        let long = (0..1_000).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(message_words(&long).len(), MESSAGE_WORDS_MAX);
        assert!(message_words(&"é".repeat(5_000)).iter().all(|word| word.len() <= WORD_BYTES_MAX));
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
            let text = word(search);
            let read = text.is_in_message(message);
            let kept = message_words(message);
            let indexed =
                !text.parts.is_empty() && text.parts.iter().all(|part| kept.iter().any(|own| holds_part(own, part)));
            assert_eq!(read, indexed, "{search} in {message}");
            read
        };
        for search in ["OUT", "(#14100)", "οδος", "14100:timeout", "m\u{fc}ller", "MU\u{308}LLER"] {
            assert!(holds(search, "Timeout: pool #14100, ΟΔΟΣ, Mu\u{308}ller"), "{search}");
        }
        for search in ["pool14100", "#", "muller"] {
            assert!(!holds(search, "Timeout: pool #14100, Mu\u{308}ller"), "{search}");
        }
    }

    #[test]
    fn a_phrase_is_consecutive_words() {
        let message = "Timeout: connection pool #14100 of ΟΔΟΣ";
        for phrase in
            ["connection pool", "nection pool 14", "Pool: #14100", "timeout, CONNECTION", " pool ", "(pool)", "out"]
        {
            assert!(SearchText::phrase(phrase, false).is_in_message(message), "{phrase}");
        }
        for phrase in ["pool connection", "timeout pool", "connection pools", " out", "time ", "#", "connection  po ol"]
        {
            assert!(!SearchText::phrase(phrase, false).is_in_message(message), "{phrase}");
        }
        for (phrase, needs_order) in [("timeout", false), ("a b", true), ("timeout!", true), ("#", false), ("", false)]
        {
            assert_eq!(SearchText::phrase(phrase, false).needs_order(), needs_order, "{phrase}");
        }
    }
}
