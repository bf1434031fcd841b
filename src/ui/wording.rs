//! Text for people: readable codes and shortened values.

use crate::model::verbs::words;

/// A readable form of a code: `environment_group` becomes "Environment group".
pub(super) fn readable(code: &str) -> String {
    // `AWS::S3::Bucket` is already a name.
    if code.contains("::") {
        return code.to_owned();
    }
    let text = words(code).join(" ");
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => code.to_owned(),
    }
}

/// Maximum number of characters of a name in a title or a chip.
pub(super) const NAME_CHARS: usize = 60;

/// The first `chars_max` characters of a text, and an ellipsis if there are more.
pub(super) fn truncated(text: &str, chars_max: usize) -> String {
    let mut chars = text.chars();
    let shown: String = chars.by_ref().take(chars_max).collect();
    if chars.next().is_some() { format!("{shown}…") } else { shown }
}

/// The parts of a text whose first `chars_max` characters are shown, with an ellipsis if there are more.
pub(super) fn all_truncated(parts: Vec<String>, chars_max: usize) -> Vec<String> {
    let (mut left, mut shown) = (chars_max, Vec::with_capacity(parts.len()));
    for part in parts {
        let chars = part.chars().count();
        if chars > left {
            shown.push(truncated(&part, left));
            break;
        }
        left -= chars;
        shown.push(part);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_readable_and_what_is_no_code_stays() {
        for (code, text) in [
            ("environment_group", "Environment group"),
            ("apiRequest", "Api request"),
            ("AWS::S3::Bucket", "AWS::S3::Bucket"),
            ("__", "__"),
            ("", ""),
        ] {
            assert_eq!(readable(code), text);
        }
    }

    #[test]
    fn a_text_in_parts_is_cut_as_a_whole() {
        let cut = |parts: &[&str]| all_truncated(parts.iter().map(|part| (*part).to_owned()).collect(), 4).join("|");
        for (parts, expected) in
            [(&["ab", "cd"][..], "ab|cd"), (&["ab", "cde", "f"], "ab|cd…"), (&["abcd", "e"], "abcd|…"), (&[], "")]
        {
            assert_eq!(cut(parts), expected);
        }
    }
}
