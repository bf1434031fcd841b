//! The verbs of actions: what an action's words say in the base form and in the past tense.
//!
//! The pages make sentences of them (`app.deploy` is "deployed app"), and a search for a word of such a sentence finds its
//! events.

use std::borrow::Cow;

/// Verbs with a regular past tense.
const REGULAR: &str = "\
    add approve archive assign attach cancel change connect create delete deliver deploy destroy detach disable \
    disconnect download enable execute export grant import insert install invite invoke list move promote publish \
    rebase reject remove rename request restart restore revoke rotate scale start suspend switch trigger uninstall \
    unlock lock update upgrade upload view";
/// Other verbs: as an action names them, in the base form, and in the past tense.
const IRREGULAR: &[(&str, &str, &str)] = &[
    ("build", "build", "built"),
    ("deny", "deny", "denied"),
    ("get", "read", "read"),
    ("ingest", "send to", "sent to"),
    ("modify", "modify", "modified"),
    ("patch", "change", "changed"),
    ("put", "put", "put"),
    ("read", "read", "read"),
    ("rollback", "roll back", "rolled back"),
    ("run", "run", "ran"),
    ("send", "send", "sent"),
    ("set", "set", "set"),
    ("stop", "stop", "stopped"),
    ("sync", "synchronize", "synchronized"),
    ("transfer", "transfer", "transferred"),
    ("upsert", "create or update", "created or updated"),
    ("write", "write", "wrote"),
];

/// A known verb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verb {
    /// The base form: `roll back`.
    pub base: Cow<'static, str>,
    /// The past tense: `rolled back`.
    pub past: Cow<'static, str>,
}

impl Verb {
    /// The verb that an action names with this word, in lower case.
    pub fn of_word(word: &str) -> Option<Self> {
        if let Some(base) = REGULAR.split(' ').find(|known| *known == word) {
            let ending = if base.ends_with('e') { "d" } else { "ed" };
            return Some(Self { base: Cow::Borrowed(base), past: Cow::Owned(format!("{base}{ending}")) });
        }
        let found = IRREGULAR.iter().find(|(known, ..)| *known == word);
        found.map(|(_, base, past)| Self { base: Cow::Borrowed(base), past: Cow::Borrowed(past) })
    }

    /// The verb of an action with these words, and the other words. The verb is the last word or the first: `app.deploy`,
    /// `CreateAccessKey`.
    pub fn of_action(words: &[String]) -> Option<(Self, &[String])> {
        let ends = [words.split_last(), words.split_first()].into_iter().flatten();
        ends.into_iter().find_map(|(end, rest)| Some((Self::of_word(end)?, rest)))
    }
}

/// The words of a code, in lower case: `api_request`, `API-request` and `apiRequest` each have two.
pub fn words(code: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut was_lower = false;
    for char in code.chars() {
        if matches!(char, '_' | '.' | '-' | ':' | '/' | ' ') {
            words.push(std::mem::take(&mut word));
            was_lower = false;
            continue;
        }
        if char.is_uppercase() && was_lower {
            words.push(std::mem::take(&mut word));
        }
        was_lower = char.is_lowercase() || char.is_numeric();
        word.extend(char.to_lowercase());
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verb_of_an_action_is_its_last_word_or_its_first() {
        for (action, past, rest) in [
            ("UPDATE", "updated", ""),
            ("app.deploy", "deployed", "app"),
            ("CreateAccessKey", "created", "access key"),
            ("user.get", "read", "user"),
            ("rollback", "rolled back", ""),
        ] {
            let words = words(action);
            let (verb, others) = Verb::of_action(&words).unwrap();
            assert_eq!((&*verb.past, others.join(" ").as_str()), (past, rest), "{action}");
        }
        for action in ["TIMER_EXPIRED", "", "…"] {
            assert_eq!(Verb::of_action(&words(action)), None, "{action}");
        }
    }
}
