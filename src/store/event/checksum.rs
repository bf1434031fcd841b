//! The checksum of an event's row.
//!
//! The lower half is the CRC-32 of the event's bytes as served, followed by the row's other columns (seq, timestamp,
//! entity, blueprint, filled). It therefore covers the body, the dictionary that decompresses it, every column, and the
//! row's position. The upper half is a hash of the identifier only: an event whose body is unreadable can still be
//! recognized, so a sender's retry does not become a second event. The checksum detects accidents, not an attacker who
//! can write to the file.
//!
//! It takes 9 bytes per row. The frames of bodies have no checksum of their own, which saves 4.

use crate::index::value_hash;

/// The columns of a row next to its body, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Columns {
    pub(in crate::store) seq: i64,
    /// Microseconds.
    pub(in crate::store) timestamp: i64,
    pub(in crate::store) entity: Option<i64>,
    pub(in crate::store) blueprint: Option<i64>,
    pub(in crate::store) filled: i64,
}

/// What is known of an event before it has a row.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Content {
    body: u32,
    identifier: u32,
}

impl Content {
    /// For an event with this identifier and these bytes.
    pub(in crate::store) fn of(identifier: &str, body: &str) -> Self {
        Self { body: crc32fast::hash(body.as_bytes()), identifier: identifier_part(identifier) }
    }

    /// The checksum of the event's future row.
    pub(in crate::store) fn in_row(self, columns: &Columns) -> i64 {
        (i64::from(self.identifier) << u32::BITS) | i64::from(with_columns(self.body, columns))
    }
}

/// Whether a row with this checksum holds this body.
pub(in crate::store) fn is_sound(checksum: i64, columns: &Columns, body: &str) -> bool {
    checksum & i64::from(u32::MAX) == i64::from(with_columns(crc32fast::hash(body.as_bytes()), columns))
}

/// The part of a checksum that depends on the identifier.
pub(in crate::store) fn identifier_of(checksum: i64) -> u32 {
    u32::try_from((checksum >> u32::BITS) & i64::from(u32::MAX)).unwrap_or(0)
}

/// What [`identifier_of`] returns for an event with this identifier.
pub(in crate::store) fn identifier_part(identifier: &str) -> u32 {
    u32::try_from(value_hash(identifier) >> u32::BITS).unwrap_or(0)
}

fn with_columns(body: u32, columns: &Columns) -> u32 {
    let Columns { seq, timestamp, entity, blueprint, filled } = *columns;
    let mut hasher = crc32fast::Hasher::new_with_initial(body);
    // Ordinals are never negative, so no value equals a missing one.
    for number in [seq, timestamp, entity.unwrap_or(-1), blueprint.unwrap_or(-1), filled] {
        hasher.update(&number.to_le_bytes());
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_row_counts() {
        let row = Columns { seq: 7, timestamp: 1, entity: Some(3), blueprint: None, filled: 5 };
        let body = "{\"identifier\":\"e7\"}";
        let checksum = Content::of("e7", body).in_row(&row);
        assert!(is_sound(checksum, &row, body));
        assert!(!is_sound(checksum, &row, "{\"identifier\":\"e8\"}"));
        for other in [
            Columns { seq: 8, ..row },
            Columns { timestamp: 0, ..row },
            Columns { entity: None, ..row },
            Columns { entity: Some(4), ..row },
            Columns { blueprint: Some(0), ..row },
            Columns { filled: 4, ..row },
        ] {
            assert!(!is_sound(checksum, &other, body), "{other:?}");
        }
        for bit in 0..u32::BITS {
            assert!(!is_sound(checksum ^ (1 << bit), &row, body), "bit {bit}");
        }
        assert_eq!(identifier_of(checksum), identifier_part("e7"));
        assert_ne!(identifier_part("e7"), identifier_part("e8"));
    }
}
