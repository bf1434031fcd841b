//! Cursors: the position in a list at which the next page begins.
//!
//! A cursor is opaque to clients. It has a version, and is bound to its query and to an epoch of the log: a part of the log's
//! history (see `epoch`).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::model::{random, timestamp::Timestamp};

/// The position of an event in both orders: by event time, with ties by arrival, and by arrival alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Event time.
    pub timestamp: Timestamp,
    /// The number of the event in the order of arrival: dense, from 1, in commit order.
    pub seq: i64,
}

impl Position {
    /// The position of the event with this seq in the order of arrival, in which the event time does not count.
    pub const fn of_arrival(seq: i64) -> Self {
        Self { timestamp: Timestamp::from_micros(0), seq }
    }
}

/// The random id of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EpochId(i64);

impl EpochId {
    /// Makes a new id, of 64 random bits.
    pub fn generate() -> Result<Self, getrandom::Error> {
        random::bytes::<8>().map(|bytes| Self(i64::from_be_bytes(bytes)))
    }

    /// The id with this number.
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// The number to store.
    pub const fn number(self) -> i64 {
        self.0
    }
}

/// A position to continue after, and the epoch of the log in which the event there arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The position.
    pub position: Position,
    /// The epoch; `None` in a cursor of version 1, and for a file that has no epochs yet.
    pub epoch: Option<EpochId>,
}

/// The query that a cursor is valid for: a digest of its filter, sort and order.
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

/// The version whose cursors name no epoch, and its length in bytes.
const WITHOUT_EPOCH: (u8, usize) = (1, 25);
/// The version whose cursors end with an epoch.
const WITH_EPOCH: (u8, usize) = (2, 33);

/// Writes a cursor for the query of this fingerprint.
pub fn encode(cursor: Cursor, fingerprint: Fingerprint) -> String {
    let Cursor { position, epoch } = cursor;
    let (version, length) = if epoch.is_some() { WITH_EPOCH } else { WITHOUT_EPOCH };
    let mut bytes = Vec::with_capacity(length);
    bytes.push(version);
    bytes.extend(fingerprint.0);
    bytes.extend(position.timestamp.micros().to_be_bytes());
    bytes.extend(position.seq.to_be_bytes());
    bytes.extend(epoch.into_iter().flat_map(|epoch| epoch.number().to_be_bytes()));
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Checks that a text is a cursor, of whichever query. The error says what is wrong with it.
pub fn check(text: &str) -> Result<(), &'static str> {
    read(text).map(|_| ())
}

/// Reads a cursor made for the query of this fingerprint. The error says what is wrong with it.
pub fn decode(text: &str, fingerprint: Fingerprint) -> Result<Cursor, &'static str> {
    match read(text)? {
        (own, cursor) if own == fingerprint => Ok(cursor),
        _ => Err("belongs to a query with other filters or another order; begin again without it"),
    }
}

fn read(text: &str) -> Result<(Fingerprint, Cursor), &'static str> {
    const UNREADABLE: &str = "is not a cursor of this server; begin again without it";
    // A longer text is not a cursor, so it is not decoded.
    if text.len() > 2 * WITH_EPOCH.1 {
        return Err(UNREADABLE);
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| UNREADABLE)?;
    let has_epoch = match bytes.first().map(|version| (*version, bytes.len())) {
        Some(WITHOUT_EPOCH) => false,
        Some(WITH_EPOCH) => true,
        Some((_, length)) if length == WITHOUT_EPOCH.1 || length == WITH_EPOCH.1 => {
            return Err("was made by another version of auditbox; begin again without it");
        }
        _ => return Err(UNREADABLE),
    };
    let mut fingerprint = [0; 8];
    fingerprint.copy_from_slice(&bytes[1..9]);
    let cursor = Cursor {
        position: Position { timestamp: Timestamp::from_micros(number(&bytes[9..17])), seq: number(&bytes[17..25]) },
        epoch: has_epoch.then(|| EpochId::from_number(number(&bytes[25..]))),
    };
    Ok((Fingerprint(fingerprint), cursor))
}

fn number(bytes: &[u8]) -> i64 {
    bytes.iter().fold(0, |number, byte| (number << 8) | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_holds_its_position_its_epoch_and_its_query() {
        let query = Fingerprint::of("entity=a");
        let position = Position { timestamp: Timestamp::from_micros(-5), seq: i64::MAX };
        for epoch in [None, Some(EpochId::from_number(-7))] {
            let cursor = Cursor { position, epoch };
            let text = encode(cursor, query);
            assert_eq!(decode(&text, query), Ok(cursor));
            assert!(decode(&text, Fingerprint::of("entity=b")).is_err());
            for bad in ["", "AA", "!", &text[1..], &format!("{text}A"), &text.replacen('A', "B", 1)] {
                assert!(decode(bad, query).is_err(), "{bad}");
            }
        }
    }

    #[test]
    fn a_cursor_of_version_1_is_read() {
        let query = Fingerprint([7; 8]);
        let text =
            BASE64_URL_SAFE_NO_PAD.encode([&[1][..], &[7; 8], &5_i64.to_be_bytes(), &9_i64.to_be_bytes()].concat());
        let position = Position { timestamp: Timestamp::from_micros(5), seq: 9 };
        assert_eq!(decode(&text, query), Ok(Cursor { position, epoch: None }));
    }
}
