//! Decides when to train a dictionary for the bodies of events, and chooses the events to train on.
//!
//! Events of one log are similar. A dictionary gives the compressor in advance what it would learn from the first
//! hundred events. The first dictionary is trained when there are a few thousand events, and another when bodies have
//! become a tenth longer than the current one promised. Bodies are never rewritten: each is read with the dictionary
//! that its frame names.
//!
//! Compressed one by one with a dictionary, real events take 0.18 of their length; in blocks of 16 they would take
//! 0.11. But then reading one event would decompress 16 (12 µs instead of 2), and writing one would wait for 15 others.
//! The file takes a third of the JSON either way, so each event is compressed on its own.

use rusqlite::Connection;

use crate::store::event::{
    codec::{self, BodyCodec, Decoder},
    row,
    zstd_dictionary::{self, Trained},
};

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
    let latest = zstd_dictionary::latest(connection)?;
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
    let trained = zstd_dictionary::train(&learnt, number).and_then(|dictionary| {
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
