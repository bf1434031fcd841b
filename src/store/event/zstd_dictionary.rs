//! The dictionaries that bodies are compressed with: their rows, and training on given bodies.
//!
//! `maintenance/dictionary.rs` decides when to train one, and on which events.

use std::io;

use rusqlite::{Connection, params};

use crate::model::timestamp::Timestamp;

/// Real events take 260 bytes with 32 KiB, 232 with 110 KiB and 212 with 256 KiB. Each thread's memory grows with the
/// size.
const BYTES_MAX: usize = 112_640;

/// A dictionary that is worth using.
pub(in crate::store) struct Trained {
    pub(in crate::store) number: u32,
    pub(in crate::store) bytes: Vec<u8>,
    /// Stored bytes per byte of events that it was not trained on.
    pub(in crate::store) ratio: f64,
}

/// Trains on these bodies.
pub(in crate::store) fn train(samples: &[String], number: u32) -> io::Result<Vec<u8>> {
    let mut dictionary = zstd::dict::from_samples(samples, BYTES_MAX)?;
    // RFC 8878, section 5: the number follows the magic number. The trainer's own is random and four bytes long.
    if let Some(id) = dictionary.get_mut(4..8) {
        id.copy_from_slice(&number.to_le_bytes());
    }
    Ok(dictionary)
}

/// Inserts a dictionary.
pub(in crate::store) fn insert(connection: &Connection, trained: &Trained) -> rusqlite::Result<()> {
    let Trained { number, bytes, ratio } = trained;
    connection
        .prepare_cached(
            "INSERT INTO dictionary (number, created_at, ratio, bytes, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![number, Timestamp::now().micros(), ratio, bytes, checksum(*number, bytes)])?;
    Ok(())
}

/// The checksum of a dictionary: the CRC-32 of its number and its bytes.
pub(in crate::store) fn checksum(number: u32, bytes: &[u8]) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(bytes);
    i64::from(hasher.finalize())
}

/// The number of the latest dictionary, and the ratio that it promised.
pub(in crate::store) fn latest(connection: &Connection) -> rusqlite::Result<Option<(u32, f64)>> {
    let mut statement =
        connection.prepare_cached("SELECT number, ratio FROM dictionary ORDER BY number DESC LIMIT 1")?;
    let mut rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.next().transpose()
}
