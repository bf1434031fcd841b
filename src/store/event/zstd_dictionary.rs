//! Training of the dictionaries that bodies are compressed with.
//!
//! Events of one log are similar. A dictionary gives the compressor in advance what it would learn from the first
//! hundred events. The first dictionary is trained when there are a few thousand events, and another when bodies have
//! become a tenth longer than the current one promised. Bodies are never rewritten: each is read with the dictionary
//! that its frame names.
//!
//! Compressed one by one with a dictionary, real events take 0.18 of their length; in blocks of 16 they would take
//! 0.11. But then reading one event would decompress 16 (12 µs instead of 2), and writing one would wait for 15 others.
//! The file takes a third of the JSON either way, so each event is compressed on its own.

use std::io;

use rusqlite::{Connection, params};

use crate::{
    model::timestamp::Timestamp,
    store::event::{
        codec::{self, BodyCodec, Decoder},
        row,
    },
};

/// Real events take 260 bytes with 32 KiB, 232 with 110 KiB and 212 with 256 KiB. Each thread's memory grows with the
/// size.
const BYTES_MAX: usize = 112_640;
/// Number of events before the first training.
pub(in crate::store) const FIRST_EVENTS: i64 = 2_048;
/// Maximum number of events to train on.
const SAMPLES_MAX: i64 = 4_096;
const SAMPLE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// One sample in this many is set aside, to measure the dictionary on events that it was not trained on.
const HELD_OUT: usize = 8;
/// A new dictionary must save this much to be worth its space.
const BETTER: f64 = 0.95;
/// Bodies may become this much longer than promised before another dictionary is trained.
const DRIFT: f64 = 1.1;
/// Maximum number of dictionaries in a file, so that the number takes one byte in each frame.
const NUMBER_MAX: u32 = 100;

/// A dictionary that is worth using.
pub(in crate::store) struct Trained {
    pub(in crate::store) number: u32,
    pub(in crate::store) bytes: Vec<u8>,
    /// Stored bytes per byte of events that it was not trained on.
    pub(in crate::store) ratio: f64,
}

/// Trains a dictionary on the newest `events` events, if bodies have become longer than promised or if `due`. `None` if
/// it would save next to nothing; `tolerated` then becomes the current ratio, so that training, which takes a second,
/// waits until bodies have become longer still.
pub(in crate::store) fn improve(
    connection: &Connection,
    bodies: &BodyCodec,
    events: i64,
    is_due: bool,
    tolerated: &mut f64,
) -> rusqlite::Result<Option<Trained>> {
    let (samples, stored_bytes) = sample(connection, bodies, events)?;
    let bytes = |bodies: &[String]| bodies.iter().map(String::len).sum::<usize>();
    let present = share(stored_bytes, bytes(&samples));
    let latest = latest(connection)?;
    let number = latest.map_or(1, |(number, _)| number + 1);
    let promised = latest.map_or(0.0, |(_, ratio)| ratio).max(*tolerated);
    if number > NUMBER_MAX || !(is_due || present > promised * DRIFT) {
        return Ok(None);
    }
    let apart = |keep: bool| {
        let chosen = samples.iter().enumerate().filter(move |(index, _)| (index % HELD_OUT == 0) == keep);
        chosen.map(|(_, body)| body.clone()).collect::<Vec<_>>()
    };
    let (learnt, held_out) = (apart(false), apart(true));
    let trained = train(&learnt, number).and_then(|dictionary| {
        let length = codec::length_with(&dictionary, &held_out)?;
        Ok((share(length, bytes(&held_out)), dictionary))
    });
    match trained {
        Ok((ratio, bytes)) if ratio < present * BETTER => Ok(Some(Trained { number, bytes, ratio })),
        Ok(_) => {
            *tolerated = present;
            Ok(None)
        }
        Err(error) => {
            *tolerated = present;
            // Too few events, or too short ones. They stay uncompressed.
            tracing::debug!(%error, "no dictionary could be trained");
            Ok(None)
        }
    }
}

/// Trains on these bodies.
pub(in crate::store) fn train(samples: &[String], number: u32) -> io::Result<Vec<u8>> {
    let mut dictionary = zstd::dict::from_samples(samples, BYTES_MAX)?;
    // RFC 8878, section 5: the number follows the magic number. The trainer's own is random and four bytes long.
    if let Some(place) = dictionary.get_mut(4..8) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    Ok(dictionary)
}

/// Inserts a dictionary.
pub(in crate::store) fn insert(connection: &Connection, number: u32, bytes: &[u8], ratio: f64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO dictionary (number, created_at, ratio, bytes, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![number, Timestamp::now().micros(), ratio, bytes, checksum(number, bytes)])?;
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
fn latest(connection: &Connection) -> rusqlite::Result<Option<(u32, f64)>> {
    let mut statement =
        connection.prepare_cached("SELECT number, ratio FROM dictionary ORDER BY number DESC LIMIT 1")?;
    let mut rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.next().transpose()
}

/// Bodies of the newest `events` events, evenly spread, and their size in the file.
fn sample(connection: &Connection, bodies: &BodyCodec, events: i64) -> rusqlite::Result<(Vec<String>, usize)> {
    let newest = row::last_seq(connection)?;
    let step = (events / SAMPLES_MAX).max(1);
    let decoder = Decoder::new(connection, bodies);
    let mut statement = connection.prepare_cached("SELECT body FROM event WHERE seq = ?1")?;
    let (mut samples, mut stored_bytes, mut bytes) = (Vec::new(), 0, 0);
    let mut seq = newest;
    while seq > (newest - events).max(0) && bytes < SAMPLE_BYTES_MAX {
        let mut rows = statement.query([seq])?;
        if let Some(row) = rows.next()? {
            let stored = row.get_ref(0)?.as_blob()?;
            // Other code reports damaged events.
            if let Ok(body) = decoder.decode(stored) {
                bytes += body.len();
                stored_bytes += stored.len();
                samples.push(body.into_owned());
            }
        }
        seq -= step;
    }
    Ok((samples, stored_bytes))
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of sample sizes")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}
