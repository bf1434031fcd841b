//! The filterable values of one event, as they go from parsing to the writer.
//!
//! The encoding was that of the file's first format: for each value the field's code (one byte), the value's length in bytes (two bytes,
//! little-endian), the value in UTF-8. A field that is absent has no entry; a field with several sources may have more
//! than one.

use crate::model::field::Field;

/// Encoded filterable values of one event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values(Vec<u8>);

impl Values {
    /// Adds a value. Values are bounded by the field table well below the 65,535 bytes that the encoding can hold; a
    /// longer one would be cut here rather than corrupt its neighbours.
    pub fn push(&mut self, field: Field, value: &str) {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.0.push(field.code());
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(&value.as_bytes()[..usize::from(length)]);
    }

    /// The first value of `field`.
    pub fn first(&self, field: Field) -> Option<&str> {
        iterate(&self.0).find(|(found, _)| *found == field).map(|(_, value)| value)
    }

    /// The encoded bytes, to be stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Walks encoded values. Stops at the first byte that is not of the encoding, which only a damaged file can hold.
pub fn iterate(mut encoded: &[u8]) -> impl Iterator<Item = (Field, &str)> {
    std::iter::from_fn(move || {
        let (&[code, low, high], rest) = encoded.split_first_chunk::<3>()?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
        encoded = rest;
        Some((Field::from_code(code)?, std::str::from_utf8(value).ok()?))
    })
}
