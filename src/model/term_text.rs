//! The text under which the index keeps a value.
//!
//! The index keeps short values whole. A longer one becomes its beginning, a mark, and the SHA-256 of the whole: two values
//! have the same term only if they are equal, so an exact filter finds a value of any length. A value that happens to end like
//! a shortened one is shortened too, so no value can pose as another.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::model::{
    field::{Field, FieldSpec, Matching},
    fold::fold,
};

/// Between the beginning of a shortened value and the digest.
const MARK: &str = "…sha256:";
/// The number of bytes of a SHA-256 digest in hexadecimal.
const DIGEST_BYTES: usize = 64;
/// The number of bytes that follow the beginning of a shortened value.
pub const END_BYTES: usize = MARK.len() + DIGEST_BYTES;

/// The text under which the index keeps `value` of this field: at most `bytes_max` bytes of its [`FieldSpec`]. Identifiers are always
/// whole, because their limit is a limit of events.
pub fn term_text<'v>(spec: &FieldSpec, value: &'v str) -> Cow<'v, str> {
    if spec.field == Field::Identifier || (value.len() <= spec.bytes_max && beginning(value).is_none()) {
        return Cow::Borrowed(value);
    }
    let kept = &value[..value.floor_char_boundary(spec.bytes_max - END_BYTES)];
    Cow::Owned(format!("{kept}{MARK}{}", digest(spec.matching, value)))
}

/// The term that a query means by `text`: the shortened form of a long text. A text that is a shortened form already, as facets
/// show it, stays.
pub fn asked<'v>(spec: &FieldSpec, text: &'v str) -> Cow<'v, str> {
    if beginning(text).is_some() { Cow::Borrowed(text) } else { term_text(spec, text) }
}

/// The beginning of the value whose shortened form `term` is; `None` if `term` is a whole value.
pub fn beginning(term: &str) -> Option<&str> {
    Some(split(term)?.0)
}

/// The part of a term that is text of the value: all of it, or the beginning of a shortened value.
pub fn readable(term: &str) -> &str {
    beginning(term).unwrap_or(term)
}

/// Whether `term` is the shortened form of `value`.
pub fn is_of(term: &str, matching: Matching, value: &str) -> bool {
    split(term).is_some_and(|(_, found)| found == digest(matching, value))
}

/// Splits a shortened value into the beginning and the digest.
fn split(term: &str) -> Option<(&str, &str)> {
    let (front, digest) = term.split_at_checked(term.len().checked_sub(DIGEST_BYTES)?)?;
    let is_digest = digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    Some((front.strip_suffix(MARK).filter(|_| is_digest)?, digest))
}

/// Values that are compared without regard to case have the same digest.
fn digest(matching: Matching, value: &str) -> String {
    let value = if matching == Matching::IgnoreCase { fold(value) } else { Cow::Borrowed(value) };
    let digest = Sha256::digest(value.as_bytes());
    let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.map(|nibble| char::from(b"0123456789abcdef"[usize::from(nibble)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::field::FIELDS;

    #[test]
    fn short_values_stay_and_long_ones_become_a_beginning_and_a_digest() {
        let spec = Field::Entity.spec();
        assert_eq!(term_text(spec, &"x".repeat(1_024)), "x".repeat(1_024));
        let long = term_text(spec, &"x".repeat(1_025)).into_owned();
        assert_eq!(long.len(), 1_024);
        assert_eq!(beginning(&long), Some(&*"x".repeat(1_024 - END_BYTES)));
        // Of `printf x%.0s {1..1025} | sha256sum`.
        assert!(long.ends_with(&format!("{MARK}{}", digest(Matching::Exact, &"x".repeat(1_025)))), "{long}");
        assert_eq!(digest(Matching::Exact, "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        for spec in FIELDS.iter().filter(|spec| spec.field != Field::Identifier) {
            let value = "é".repeat(spec.bytes_max);
            let term = term_text(spec, &value);
            assert!(term.len() <= spec.bytes_max && is_of(&term, spec.matching, &value), "{}", spec.label);
            assert!(!is_of(&term, spec.matching, &value[2..]), "{}", spec.label);
        }
    }

    #[test]
    fn no_value_can_pose_as_the_shortened_form_of_another() {
        let spec = Field::Entity.spec();
        let long = "x".repeat(2_000);
        let posing = term_text(spec, &long).into_owned();
        let own = term_text(spec, &posing);
        assert_ne!(own, posing);
        assert!(is_of(&own, spec.matching, &posing) && !is_of(&own, spec.matching, &long));
        assert_eq!((asked(spec, &long), asked(spec, &posing)), (Cow::Borrowed(&*posing), Cow::Borrowed(&*posing)));
        assert_eq!(term_text(Field::Identifier.spec(), &posing), posing);
    }

    #[test]
    fn long_values_that_differ_only_in_case_have_one_digest_where_case_does_not_count() {
        let [lower, upper] = ["ä".repeat(200), "Ä".repeat(200)];
        let spec = Field::ResourceType.spec();
        assert!(is_of(&term_text(spec, &upper), spec.matching, &lower));
        let spec = Field::Entity.spec();
        assert!(!is_of(&term_text(spec, &"Ä".repeat(600)), spec.matching, &"ä".repeat(600)));
    }
}
