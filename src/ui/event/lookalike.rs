//! Names the difference of two values that look alike.

use crate::model::fold::composed;

/// How two different values differ, if it cannot be seen.
pub(super) fn note(before: &str, after: &str) -> &'static str {
    if before.is_ascii() && after.is_ascii() {
        return "";
    }
    let [one, other] = [before, after].map(composed);
    if one == other {
        return "differs only in Unicode normalization";
    }
    let [one, other] = [one, other].map(|text| text.replace(is_space, " "));
    match (one == other, composed(before) == before && composed(after) == after) {
        (true, true) => "differs only in the kind of space",
        (true, false) => "differs only in Unicode normalization and in the kind of space",
        (false, _) => "",
    }
}

/// Whether a character looks like a space and is not shown as a mark.
fn is_space(char: char) -> bool {
    char.is_whitespace() && !char.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_look_alike_have_a_note() {
        for (before, after, expected) in [
            ("\"M\u{fc}ller\"", "\"Mu\u{308}ller\"", "differs only in Unicode normalization"),
            ("\"\u{212b}\"", "\"\u{c5}\"", "differs only in Unicode normalization"),
            ("\"a b\"", "\"a\u{a0}b\"", "differs only in the kind of space"),
            ("\"a\u{2009}b\"", "\"a\u{3000}b\"", "differs only in the kind of space"),
            ("\"\u{fc} b\"", "\"u\u{308}\u{202f}b\"", "differs only in Unicode normalization and in the kind of space"),
            ("\"a b\"", "\"a  b\"", ""),
            ("\"a b\"", "\"a\u{a0}c\"", ""),
            ("\"\u{fc}\"", "\"u\"", ""),
            ("1", "\"1\"", ""),
        ] {
            assert_eq!(note(before, after), expected, "{before} {after}");
            assert_eq!(note(after, before), expected, "{after} {before}");
        }
    }
}
