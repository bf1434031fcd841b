//! When events were received, read from their bodies.
//!
//! Only the body of an event says when it was received, and reading a body costs some microseconds. So all bodies of a
//! sealed chunk are read once, when many of its events have expired by their event times. The chunk's oldest and newest
//! receipt are remembered while the process runs. They decide every chunk except those whose receipts are on both sides
//! of the limit.

use std::collections::{BTreeSet, HashMap};

use rusqlite::Connection;

use crate::{
    index::{IndexError, ReceiptRange, Receipts},
    model::{event, timestamp::Timestamp},
    store::event::{codec::BodyCodec, stored::Fetch},
};

/// The oldest and the newest receipt of sealed chunks.
#[derive(Default)]
pub(in crate::store) struct ReceiptRanges(HashMap<u32, ReceiptRange>);

impl ReceiptRanges {
    /// Forgets chunks that no longer exist.
    pub(in crate::store) fn retain(&mut self, chunks: &[u32]) {
        let chunks: BTreeSet<_> = chunks.iter().collect();
        self.0.retain(|chunk, _| chunks.contains(chunk));
    }
}

/// Reads receipts on one snapshot.
pub(in crate::store) struct ReceiptReader<'c> {
    fetch: Fetch<'c>,
    ranges: &'c mut ReceiptRanges,
}

impl<'c> ReceiptReader<'c> {
    pub(in crate::store) fn new(
        connection: &'c Connection,
        bodies: &'c BodyCodec,
        ranges: &'c mut ReceiptRanges,
    ) -> rusqlite::Result<Self> {
        Ok(Self { fetch: Fetch::new(connection, bodies)?, ranges })
    }
}

impl Receipts for ReceiptReader<'_> {
    fn read(&mut self, seqs: &[i64]) -> Result<Vec<Option<Timestamp>>, IndexError> {
        let mut receipts = vec![None; seqs.len()];
        // In the order of the file.
        let mut numbers: Vec<usize> = (0..seqs.len()).collect();
        numbers.sort_unstable_by_key(|number| seqs[*number]);
        for number in numbers {
            // The receipt of a damaged event is unknown.
            let body = self.fetch.event(seqs[number])?.and_then(Result::ok);
            receipts[number] = body.and_then(|body| event::received_at(&body));
        }
        Ok(receipts)
    }

    fn range_of(&self, chunk: u32) -> Option<ReceiptRange> {
        self.ranges.0.get(&chunk).copied()
    }

    fn keep_range(&mut self, chunk: u32, range: ReceiptRange) {
        self.ranges.0.insert(chunk, range);
    }
}
