//! Comparing text without regard to case, in every script.

use std::borrow::Cow;

/// Removes all differences of case: two texts are equal without regard to case if their folded forms are equal.
///
/// This is Unicode's full case folding (The Unicode Standard, section 3.13, `toCasefold`). Unlike lower case, it makes σ and
/// final ς the same letter, and ß the same as SS. It does not depend on neighboring characters, so a part of a text folds as
/// it does within the text.
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Cow::Borrowed(text);
        }
        return Cow::Owned(text.to_ascii_lowercase());
    }
    let mut folded = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            // Its upper case would be I, the capital of i. It folds to itself.
            'ı' => folded.push(char),
            // Lower case first, for letters that fold from it (ẞ). Then upper case, for letters with several small forms (ς) or
            // with a capital of several letters (ß). Then lower case again.
            _ => folded.extend(char.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)),
        }
    }
    Cow::Owned(folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_folded_as_unicode_says() {
        // From CaseFolding.txt, statuses C and F.
        for (text, folded) in [
            ("Audit Log", "audit log"),
            ("ΟΔΟΣ", "οδοσ"),
            ("οδος", "οδοσ"),
            ("Straße", "strasse"),
            ("STRAẞE", "strasse"),
            ("\u{fb01}n", "fin"),
            ("İ", "i\u{307}"),
            ("ı", "ı"),
            ("\u{212a}\u{17f}", "ks"),
            ("\u{1e9e}\u{149}\u{390}\u{3b0}", "ss\u{2bc}n\u{3b9}\u{308}\u{301}\u{3c5}\u{308}\u{301}"),
            ("\u{1f80}\u{345}", "\u{1f00}\u{3b9}\u{3b9}"),
            ("日本 é 🦀", "日本 é 🦀"),
        ] {
            assert_eq!(fold(text), folded, "{text}");
        }
    }

    #[test]
    fn every_form_of_a_character_folds_to_the_same_text() {
        for char in (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(|char| *char != 'ı') {
            let text = char.to_string();
            let folded = fold(&text).into_owned();
            assert_eq!(fold(&folded), folded, "{char}");
            assert_eq!(fold(&text.to_lowercase()), folded, "{char}");
            assert_eq!(fold(&text.to_uppercase()), folded, "{char}");
        }
    }

    #[test]
    fn a_part_folds_as_it_does_within_the_whole() {
        let (before, after) = ("ΟΔΟ", "Σ");
        assert_eq!(fold(&format!("{before}{after}")), format!("{}{}", fold(before), fold(after)));
    }
}
