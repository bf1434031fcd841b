//! Texts that a sender writes in place of a value that it hides, such as `***` and `[REDACTED]`. Two of them
//! are equal although the values may differ, so it is unknown whether the value changed.

/// How much of a value its text hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redaction {
    /// The whole value: `***`, `[REDACTED]`.
    Whole,
    /// A part of it: `****1234`.
    Part,
}

/// Characters that replace hidden ones.
const SYMBOLS: [char; 14] = ['*', '•', '●', '∙', '·', '⬤', '█', '■', '▪', '＊', '#', '.', 'x', 'X'];
/// Those that a value hardly consists of.
const EVIDENT_SYMBOLS: [char; 10] = ['*', '•', '●', '∙', '⬤', '█', '■', '▪', '＊', 'X'];
/// The smallest number of such characters that hide a value.
const SYMBOLS_MIN: usize = 3;
/// The smallest number of such characters that hide a part of a value, if the name of the value is not that of a secret.
const EVIDENT_SYMBOLS_MIN: usize = 4;
/// Words that say that a value is hidden.
const WORDS: &str = "anonymised anonymized censored concealed confidential elided encrypted filtered hidden masked obfuscated \
                     obscured omitted private protected redacted removed sanitised sanitized scrubbed secret sensitive stripped \
                     suppressed undisclosed withheld";
/// Words that say so without brackets.
const PLAIN_WORDS: [&str; 3] = ["redacted", "REDACTED", "HIDDEN_DUE_TO_SECURITY_REASONS"];
/// Maximum number of words of such a text.
const WORDS_MAX: usize = 6;
/// Maximum number of bytes of such a text. A longer text is a value.
const BYTES_MAX: usize = 256;

/// How much of a secret its text hides; `None` if nothing.
pub(super) fn of_secret(text: &str) -> Option<Redaction> {
    let text = text.trim();
    if is_symbols(text, &SYMBOLS) || text == "…" || (text.len() <= BYTES_MAX && says_hidden(text)) {
        return Some(Redaction::Whole);
    }
    (text.contains('…') || has_run(text, &SYMBOLS, SYMBOLS_MIN)).then_some(Redaction::Part)
}

/// Whether a text hides a value or a part of it, under any name.
pub fn is_evident(text: &str) -> bool {
    let text = text.trim();
    if text.len() > BYTES_MAX {
        return false;
    }
    let is_enclosed = !text.starts_with(char::is_alphanumeric) && !text.ends_with(char::is_alphanumeric);
    is_symbols(text, &EVIDENT_SYMBOLS)
        || (text.len() > SYMBOLS_MIN && text.bytes().all(|byte| byte == b'x'))
        || PLAIN_WORDS.contains(&text)
        || (is_enclosed && says_hidden(text))
        || (!text.contains(char::is_whitespace) && has_run(text, &EVIDENT_SYMBOLS, EVIDENT_SYMBOLS_MIN))
}

/// Whether a text consists of at least three of one of these symbols, in groups or not.
fn is_symbols(text: &str, symbols: &[char]) -> bool {
    let Some(symbol) = text.chars().next().filter(|first| symbols.contains(first)) else {
        return false;
    };
    text.chars().all(|char| char == symbol || matches!(char, ' ' | '-'))
        && text.chars().filter(|char| *char == symbol).count() >= SYMBOLS_MIN
}

/// Whether a text has a number of equal symbols in a row.
fn has_run(text: &str, symbols: &[char], length: usize) -> bool {
    let mut run: Option<(char, usize)> = None;
    text.chars().any(|char| {
        run = symbols.contains(&char).then(|| match run {
            Some((symbol, count)) if symbol == char => (char, count + 1),
            _ => (char, 1),
        });
        run.is_some_and(|(_, count)| count >= length)
    })
}

/// Whether a few words of a text, with or without brackets, say that a value is hidden.
fn says_hidden(text: &str) -> bool {
    let words: Vec<_> = text.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let says = |word: &&str| WORDS.split(' ').any(|known| known == word.to_lowercase());
    words.len() <= WORDS_MAX && words.first().into_iter().chain(words.last()).any(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_senders_write_in_place_of_secrets_is_recognized() {
        for text in [
            "***",
            "********",
            "**** ****",
            "[REDACTED]",
            "[FILTERED]",
            "••••",
            "<redacted>",
            "xxxxx",
            "XXXX-XXXX-XXXX",
            "(hidden)",
            "(sensitive value)",
            "<secret>",
            "[redacted by proxy]",
            "*** REDACTED ***",
            "__MASKED__",
            "{{removed}}",
            "redacted",
            "HIDDEN_DUE_TO_SECURITY_REASONS",
            "[masked]",
            "████",
        ] {
            assert_eq!(of_secret(text), Some(Redaction::Whole), "{text}");
            assert!(is_evident(text), "{text}");
        }
        for text in ["...", "…", "####", "hidden", "filtered", "sensitive value"] {
            assert_eq!(of_secret(text), Some(Redaction::Whole), "{text}");
            assert!(!is_evident(text), "{text}");
        }
        for text in ["****1234", "sk-live-…3f2a", "ghp_xxxx", "AKIA....7"] {
            assert_eq!(of_secret(text), Some(Redaction::Part), "{text}");
        }
        assert!(is_evident("****1234") && is_evident("4111-****-****-1111"));
    }

    #[test]
    fn values_are_no_redactions() {
        for text in ["", "*", "**", "x", "hunter2", "s3cr3t!", "correct horse battery staple", "a.b.c", "null", "é"] {
            assert_eq!(of_secret(text), None, "{text}");
            assert!(!is_evident(text), "{text}");
        }
        for text in [
            "*",
            "**/*.rs",
            "hidden",
            "filtered",
            "private",
            "**bold** text",
            "arn:aws:s3:::*",
            "xxx",
            "…",
            "/* secret of the code */ x",
            "**** heading ****s",
            "#####",
        ] {
            assert!(!is_evident(text), "{text}");
        }
    }
}
