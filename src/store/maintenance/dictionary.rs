//! Decides when to train a dictionary for the blocks of events, and chooses the events to train on.
//!
//! Events of one log are similar. A dictionary gives the compressor in advance what it would learn from the first
//! hundred events. The first dictionary is trained when there are a few thousand events, and another when blocks of
//! eight events would be a tenth longer than the current one promised. Blocks keep their dictionary: each is read with
//! the one that its frame names.

use rusqlite::Connection;

use crate::store::event::{
    block::BlockText,
    block_rows::BlockReader,
    codec::{self, BodyCodec},
    row,
    zstd_dictionary::{self, Trained},
};

/// Number of events before the first training.
pub(in crate::store) const FIRST_EVENTS: i64 = 2_048;
/// Maximum number of events to train on.
const SAMPLES_MAX: i64 = 4_096;
/// Consecutive events of a sample, about as many as in a block.
const SAMPLE_BLOCK_EVENTS: usize = 8;
const SAMPLE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// One block in this many is set aside, to measure the dictionary on events that it was not trained on.
const HELD_OUT: usize = 8;
/// A new dictionary must save this much to be worth its space.
const BETTER: f64 = 0.95;
/// Blocks may become this much longer than promised before another dictionary is trained.
const DRIFT: f64 = 1.1;
/// Maximum number of dictionaries in a file, so that the number takes one byte in each frame.
const NUMBER_MAX: u32 = 100;

/// Trains a dictionary on the newest `events` events, if blocks have become longer than promised or if `due`. `None` if
/// it would save next to nothing; `tolerated` then becomes the current ratio, so that training, which takes a second,
/// waits until blocks have become longer still.
pub(in crate::store) fn improve(
    connection: &Connection,
    bodies: &BodyCodec,
    events: i64,
    is_due: bool,
    tolerated: &mut f64,
) -> rusqlite::Result<Option<Trained>> {
    let samples = sample(connection, bodies, events)?;
    let texts: Vec<String> = samples.iter().map(|block| BlockText::of(block).into_text()).collect();
    let bytes = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
    let present = share(texts.iter().map(|text| bodies.encode(text, false).len()).sum(), bytes(&texts));
    let latest = zstd_dictionary::latest(connection)?;
    let number = latest.map_or(1, |(number, _)| number + 1);
    let promised = latest.map_or(0.0, |(_, ratio)| ratio).max(*tolerated);
    if number > NUMBER_MAX || !(is_due || present > promised * DRIFT) {
        return Ok(None);
    }
    let held_out: Vec<String> = texts.into_iter().step_by(HELD_OUT).collect();
    let learnt = samples.into_iter().enumerate().filter(|(index, _)| index % HELD_OUT != 0);
    let learnt: Vec<String> = learnt.flat_map(|(_, block)| block).collect();
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

/// Bodies of the newest `events` events, in evenly spread blocks.
fn sample(connection: &Connection, bodies: &BodyCodec, events: i64) -> rusqlite::Result<Vec<Vec<String>>> {
    let newest = row::last_seq(connection)?;
    let block_events = i64::try_from(SAMPLE_BLOCK_EVENTS).unwrap_or(1);
    let step = (events / SAMPLES_MAX).max(1) * block_events;
    let mut reader = BlockReader::new(connection, bodies)?;
    let (mut samples, mut bytes) = (Vec::new(), 0);
    let mut last = newest;
    while last > (newest - events).max(0) && bytes < SAMPLE_BYTES_MAX {
        let mut block = Vec::with_capacity(SAMPLE_BLOCK_EVENTS);
        for seq in last - block_events + 1..=last {
            // Other code reports damaged events.
            if let Ok(body) = reader.body(seq)? {
                bytes += body.len();
                block.push(body.to_owned());
            }
        }
        samples.push(block);
        last -= step;
    }
    Ok(samples)
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of sample sizes")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}
