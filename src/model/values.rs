//! The filterable values of one event, as parsing hands them to the writer.
//!
//! The encoding is that of the first file format: for each value, the field's code (one byte), the value's length in
//! bytes (two bytes, little-endian), and the value in UTF-8. A missing field has no entry; a field with several sources
//! may have several.

use crate::model::{field::Field, term_text::term_text, words::WordNumbers};

/// The values by which one event is found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    encoded: Vec<u8>,
    words: WordNumbers,
}

impl Values {
    /// Adds a value, or the shortened form of a long one. Both are far below the 65,535 bytes that the encoding can hold.
    pub fn push(&mut self, field: Field, value: &str) {
        let value = term_text(field.spec(), value);
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.encoded.push(field.code());
        self.encoded.extend_from_slice(&length.to_le_bytes());
        self.encoded.extend_from_slice(&value.as_bytes()[..usize::from(length)]);
    }

    /// The first value of `field`.
    pub fn first(&self, field: Field) -> Option<&str> {
        iterate(&self.encoded).find(|(found, _)| *found == field).map(|(_, value)| value)
    }

    /// The encoded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.encoded
    }

    /// Sets the words of the values that belong to no field.
    pub(super) fn set_words(&mut self, words: WordNumbers) {
        self.words = words;
    }

    /// The words of the values that belong to no field.
    pub fn words(&self) -> &WordNumbers {
        &self.words
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.encoded.len() + size_of_val(&*self.words)
    }
}

/// Iterates over encoded values. Stops at the first invalid byte, which only a damaged file can hold.
pub fn iterate(mut encoded: &[u8]) -> impl Iterator<Item = (Field, &str)> {
    std::iter::from_fn(move || {
        let (&[code, low, high], rest) = encoded.split_first_chunk::<3>()?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
        encoded = rest;
        Some((Field::from_code(code)?, std::str::from_utf8(value).ok()?))
    })
}
