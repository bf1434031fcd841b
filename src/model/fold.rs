//! Comparing text without regard to case and to how accents are encoded, in every script.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

/// Removes all differences of case and of encoding: two texts look the same apart from case if their folded forms are equal.
///
/// Normalization Form C (Unicode Standard Annex 15) gives each accented letter one encoding: ü is one character,
/// however it was typed. Unicode's full case folding (The Unicode Standard, section 3.13, `toCasefold`), unlike lower
/// case, makes σ and final ς the same letter, and ß the same as SS. Folding may separate an accent, so the result is
/// normalized again. A letter does not fold differently because of the letters next to it, so a part of a text that
/// begins and ends with whole letters folds as it does within the text.
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Cow::Borrowed(text);
        }
        return Cow::Owned(text.to_ascii_lowercase());
    }
    let mut folded = String::with_capacity(text.len());
    for char in composed(text).chars() {
        match char {
            // Its upper case would be I, the capital of i. It folds to itself.
            'ı' => folded.push(char),
            // Lower case first, for letters that fold from it (ẞ). Then upper case, for letters with several small forms (ς) or
            // with a capital of several letters (ß). Then lower case again.
            _ => folded.extend(char.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)),
        }
    }
    match composed(&folded) {
        Cow::Borrowed(_) => Cow::Owned(folded),
        Cow::Owned(composed) => Cow::Owned(composed),
    }
}

/// The text in Normalization Form C.
pub fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { Cow::Borrowed(text) } else { ComposingNormalizerBorrowed::new_nfc().normalize(text) }
}

/// Maximum number of texts that [`beginnings_of`] returns. Reading the values that begin with a text costs little more than
/// finding the first one.
const BEGINNINGS_MAX: usize = 64;
/// Maximum number of characters of these texts. The index has only the beginning of a long value.
const BEGINNING_CHARS_MAX: usize = 16;

/// The characters outside ASCII whose folded forms begin with ASCII, with these forms. A test compares them with Unicode's data.
const FOLDED_TO_ASCII: &[(char, &str)] = &[
    ('ß', "ss"),
    ('İ', "i\u{307}"),
    ('ſ', "s"),
    ('\u{37e}', ";"),
    ('ẚ', "a\u{2be}"),
    ('ẞ', "ss"),
    ('\u{1fef}', "`"),
    ('\u{212a}', "k"),
    ('\u{fb00}', "ff"),
    ('\u{fb01}', "fi"),
    ('\u{fb02}', "fl"),
    ('\u{fb03}', "ffi"),
    ('\u{fb04}', "ffl"),
    ('\u{fb05}', "st"),
    ('\u{fb06}', "st"),
];

/// Texts, with one of which each text begins whose folded form is `folded`; `None` if they are unknown. They limit a search among
/// sorted values.
pub fn beginnings_of(folded: &str) -> Option<Vec<String>> {
    let mut found = vec![(String::new(), folded)];
    for _ in 0..BEGINNING_CHARS_MAX {
        let longer: Vec<_> = found.iter().flat_map(|(text, rest)| lengthened(text, rest)).collect();
        if longer.len() > BEGINNINGS_MAX {
            break;
        }
        found = longer;
    }
    let texts: Vec<_> = found.into_iter().map(|(text, _)| text).collect();
    (!texts.iter().any(String::is_empty)).then_some(texts)
}

/// The texts that are one character longer than `text`, if the folded form goes on with `rest`; each with what remains of it.
fn lengthened<'f>(text: &str, rest: &'f str) -> Vec<(String, &'f str)> {
    // Another character may be composed of several.
    let Some(first) = rest.chars().next().filter(char::is_ascii) else {
        return vec![(text.to_owned(), rest)];
    };
    let upper = first.to_ascii_uppercase();
    let cases = [Some(first), (upper != first).then_some(upper)].into_iter().flatten();
    let others = FOLDED_TO_ASCII.iter().filter_map(|(char, folded)| Some((*char, rest.strip_prefix(folded)?)));
    let all = cases.map(|char| (char, &rest[1..])).chain(others);
    all.map(|(char, rest)| (format!("{text}{char}"), rest)).collect()
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
            ("\u{1e9e}\u{149}\u{390}\u{3b0}", "ss\u{2bc}n\u{390}\u{3b0}"),
            ("\u{1f80}\u{345}", "\u{1f00}\u{3b9}\u{3b9}"),
            ("日本 é 🦀", "日本 é 🦀"),
            // One character, and a letter with a combining mark.
            ("Mu\u{308}ller", "m\u{fc}ller"),
            ("\u{c5}\u{212b}A\u{30a}", "\u{e5}\u{e5}\u{e5}"),
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
    #[test]
    fn the_characters_that_fold_to_ascii_are_complete() {
        let folds =
            |char: &char| !char.is_ascii() && fold(&char.to_string()).starts_with(|first: char| first.is_ascii());
        let found = (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(folds);
        let found: Vec<_> = found.map(|char| (char, fold(&char.to_string()).into_owned())).collect();
        let known: Vec<_> = FOLDED_TO_ASCII.iter().map(|(char, folded)| (*char, (*folded).to_owned())).collect();
        assert_eq!(found, known);
    }

    #[test]
    fn a_text_begins_as_its_folded_form_allows() {
        for (text, others) in [
            ("Ada.Lovelace@Example.org", &["ADA.LOVELACE@EXAMPLE.ORG", "ada.lovelace@example.org"][..]),
            ("Straße", &["STRASSE", "\u{17f}traße", "STRAẞE"]),
            ("fix", &["FIX", "\u{fb01}x"]),
            ("ffi", &["\u{fb03}", "\u{fb00}I", "F\u{fb01}"]),
            ("Jose\u{301}", &["jos\u{e9}", "JOS\u{c9}"]),
            ("12345678-1234-5678-abc", &["12345678-1234-5678-ABC"]),
            ("k", &["\u{212a}"]),
        ] {
            let folded = fold(text);
            let beginnings = beginnings_of(&folded).unwrap();
            assert!(beginnings.len() <= BEGINNINGS_MAX && beginnings.iter().all(|text| !text.is_empty()), "{text}");
            for other in others.iter().chain([&text]) {
                assert_eq!(fold(other), folded);
                assert!(beginnings.iter().any(|begin| other.starts_with(begin.as_str())), "{other}: {beginnings:?}");
            }
        }
        assert_eq!(beginnings_of("12345678-1234-5678").unwrap(), ["12345678-1234-56"]);
        for unknown in ["é", "日本", "\u{1e96}at", ""] {
            assert_eq!(beginnings_of(unknown), None);
        }
    }
}
