//! The place in a list where its next page begins: opaque to clients, versioned, bound to the query that made it.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::model::timestamp::Timestamp;

/// The place of an event in both orders: by event time, ties by arrival, and by arrival alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Event time.
    pub timestamp: Timestamp,
    /// Arrival: dense, from 1, in commit order.
    pub seq: i64,
}

/// What a cursor is good for: a digest of the query's filter, sort and order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// The digest of a query written out in full.
    pub fn of(query: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(query).into();
        let mut short = [0; 8];
        short.copy_from_slice(&digest[..8]);
        Self(short)
    }
}

const VERSION: u8 = 1;
const BYTES: usize = 25;

/// Writes the cursor that continues after `position`.
pub fn encode(position: Position, fingerprint: Fingerprint) -> String {
    let mut bytes = [VERSION; BYTES];
    bytes[1..9].copy_from_slice(&fingerprint.0);
    bytes[9..17].copy_from_slice(&position.timestamp.micros().to_be_bytes());
    bytes[17..].copy_from_slice(&position.seq.to_be_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a cursor made for the query of this fingerprint. The error says what is wrong with it.
pub fn decode(text: &str, fingerprint: Fingerprint) -> Result<Position, &'static str> {
    const UNREADABLE: &str = "is not a cursor of this server; begin again without it";
    // A cursor has one length; nothing longer is worth decoding.
    if text.len() > 2 * BYTES {
        return Err(UNREADABLE);
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| UNREADABLE)?;
    let Ok(bytes) = <[u8; BYTES]>::try_from(bytes) else {
        return Err(UNREADABLE);
    };
    if bytes[0] != VERSION {
        return Err("was made by another version of auditbox; begin again without it");
    }
    if bytes[1..9] != fingerprint.0 {
        return Err("belongs to a query with other filters or another order; begin again without it");
    }
    Ok(Position { timestamp: Timestamp::from_micros(number(&bytes[9..17])), seq: number(&bytes[17..]) })
}

fn number(bytes: &[u8]) -> i64 {
    bytes.iter().fold(0, |number, byte| (number << 8) | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_holds_its_place_and_its_query() {
        let query = Fingerprint::of("entity=a");
        let position = Position { timestamp: Timestamp::from_micros(-5), seq: i64::MAX };
        let text = encode(position, query);
        assert_eq!(decode(&text, query), Ok(position));
        assert!(decode(&text, Fingerprint::of("entity=b")).is_err());
        for bad in ["", "AA", "!", &text[1..], &format!("{text}A"), &text.replacen('A', "B", 1)] {
            assert!(decode(bad, query).is_err(), "{bad}");
        }
    }
}
