//! The beginning of what a sender sent, for the operator who looks for the cause of a problem, without secrets.
//!
//! A sample of JSON is masked like a stored event. Other text has no keys by which a secret could be recognized: a line such as
//! `login alice hunter2` may hold one anywhere. So a sample of other text is its shape alone. Each run of letters becomes `a` and
//! each run of digits `0`; punctuation and white space stay. The shape shows whether the text is XML, CEF, form data or a cut
//! JSON, but none of its words.
//!
//! auditbox's own tokens are replaced everywhere: in values under any key, and in messages.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::model::{
    json,
    mask::{MASK_DEPTH_MAX, MASKED, Mask},
    token::API_TOKEN_PREFIX,
};

/// Maximum number of bytes of which a shape is made.
const SHAPED_BYTES_MAX: usize = 4 * 1024;

/// A sample of a JSON text. JSON that the mask does not read, because it is nested too deeply, counts as text, and so does a
/// string, which is a line of a text format.
pub(super) fn of_json(mask: &Mask, text: &str) -> String {
    let is_read = text.trim_start().starts_with(['{', '['])
        && serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| json::check_depth(raw, MASK_DEPTH_MAX).is_ok());
    if !is_read {
        return shape(text);
    }
    let masked = mask.apply(text);
    without_tokens(masked.as_ref().map_or(text, |masked| &masked.text)).into_owned()
}

/// A sample of text that may be no JSON; `None` if it is not text.
pub(super) fn of_bytes(bytes: &[u8]) -> Option<String> {
    let start = &bytes[..bytes.len().min(SHAPED_BYTES_MAX)];
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // The cut may be within a character.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&start[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let text = text.trim();
    (!text.is_empty()).then(|| shape(text))
}

/// The shape of a text.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    let kinds = text[..text.floor_char_boundary(SHAPED_BYTES_MAX)].chars().map(|char| match char {
        _ if char.is_ascii_digit() => '0',
        _ if char.is_ascii() && !char.is_ascii_alphabetic() => char,
        _ => 'a',
    });
    for kind in kinds {
        if !(matches!(kind, 'a' | '0') && shape.ends_with(kind)) {
            shape.push(kind);
        }
    }
    shape
}

/// A text with every token of this server replaced.
pub(super) fn without_tokens(text: &str) -> Cow<'_, str> {
    if !text.contains(API_TOKEN_PREFIX) {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split(API_TOKEN_PREFIX);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(MASKED);
        let is_of_token = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.' | '=' | '%');
        out.push_str(part.trim_start_matches(is_of_token));
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_json_are_masked_and_tokens_under_any_key() {
        let record = r#"{"password":"hunter2","note":"see /in/github/abx_dG9rZW4.x-1, please","n":[{"token":"t0p"}]}"#;
        assert_eq!(
            of_json(&Mask::default(), record),
            r#"{"password":"[masked]","note":"see /in/github/[masked], please","n":[{"token":"[masked]"}]}"#
        );
    }

    #[test]
    fn text_is_shown_as_its_shape() {
        for (text, shape) in [
            (r#""203.0.113.7 - - \"GET /x?token=s3cret HTTP/1.1\"""#, r#""0.0.0.0 - - \"a /a?a=a0a a/0.0\"""#),
            ("login alice hunter2", "a a a0"),
            ("{\"password\": hunter2", "{\"a\": a0"),
            ("<event id=\"7\">pass wörd</event>", "<a a=\"0\">a a</a>"),
        ] {
            assert_eq!(of_json(&Mask::default(), text), shape);
            assert_eq!(of_bytes(text.as_bytes()).as_deref(), Some(shape));
        }
        let deep = format!("{}{{\"password\":\"hunter2\"}}{}", "[".repeat(200), "]".repeat(200));
        assert!(!of_json(&Mask::default(), &deep).contains("hunter"));
        assert_eq!(of_bytes(b"\n "), None);
        assert_eq!(of_bytes(b"\x0a\x8a\xffsecret"), None);
        assert_eq!(of_bytes("é".repeat(3_000).as_bytes()).as_deref(), Some("a"), "a character is cut");
    }

    proptest::proptest! {
        #[test]
        fn no_word_of_a_text_is_in_its_shape(words in "[a-z0-9 ]{0,40}", more in "\\PC{0,40}") {
            let sample = of_bytes(format!("{more} hunter2 {words}").as_bytes()).unwrap_or_default();
            proptest::prop_assert!(!sample.contains("hunter"), "{}", sample);
        }
    }
}
