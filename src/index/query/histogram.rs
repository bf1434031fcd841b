//! The distribution of matching events over time.
//!
//! Senders choose event times, so a single event can be anywhere in the calendar. It must not make the histogram useless for the
//! others. Without an end in the filter, the buckets end now. Without a beginning, they skip a few events that are much older
//! than the rest. Events outside the buckets are counted separately.

use std::collections::HashMap;

use crate::{
    index::{
        error::Result,
        query::stats::Matches,
        snapshot::{Chunk, Snapshot},
    },
    model::{
        error::ParameterError,
        filter::{Filter, TimeRange},
        stats::{Bucket, Histogram, HistogramQuery},
        timestamp::Timestamp,
        zone::Interval,
    },
};

/// One event in this many, and one event in any case, may be skipped because it is old.
const OLD_SHARE: u64 = 20;
/// Old events are skipped only if the others would otherwise share less than one in this many parts of the range.
const CROWDED_SHARE: usize = 20;
/// Number of slices of the range that are counted to find old events.
const SLICES: usize = 240;
/// Minimum number of events for skipping any. Fewer events have no typical time.
const EVENTS_MIN: u64 = 10;
/// Maximum number of rounds. Each round except the last few narrows the range by [`CROWDED_SHARE`] or more: the
/// calendar has less than 20^8 minutes.
const ROUNDS_MAX: usize = 8;

const EARLIEST: Timestamp = Timestamp::from_micros(i64::MIN);
const LATEST: Timestamp = Timestamp::from_micros(i64::MAX);

impl Snapshot<'_> {
    /// Computes the histogram of the matching events. The inner error means that it would have too many buckets.
    pub(in crate::index) fn histogram(
        &self,
        query: &HistogramQuery,
        filter: &Filter,
        matches: &[Matches],
    ) -> Result<Result<Histogram, ParameterError>> {
        let chunks = self.chunks_by_arrival(false);
        let by_chunk: HashMap<u32, &Matches> = matches.iter().map(|found| (found.chunk, found)).collect();
        let matches = chunks.iter().filter_map(|chunk| Some((chunk, *by_chunk.get(&chunk.number)?))).collect();
        let events = Events { snapshot: self, matches };

        let range = events.range(query, filter)?;
        let (interval, bounds) = match range {
            Some((first, last)) => match query.bounds(first, last) {
                Ok(found) => found,
                Err(error) => return Ok(Err(error)),
            },
            None => (query.interval.unwrap_or(Interval::Day), Vec::new()),
        };
        let through = range.map_or_else(|| filter.time.to.unwrap_or(query.now), |(_, last)| last);
        let starts = &bounds[..bounds.len().saturating_sub(1)];
        let counts = events.spread(starts, through)?;
        let outside = |counts: Option<&[u64; 2]>| counts.map_or(0, |[all, _]| *all);
        let buckets = bounds.windows(2).zip(counts.iter().skip(1)).map(|(ends, [all, failed])| Bucket {
            start: ends[0],
            end: ends[1],
            success: all - failed,
            failure: *failed,
        });
        Ok(Ok(Histogram {
            interval,
            zone: query.zone.clone(),
            buckets: buckets.collect(),
            through,
            before: outside(counts.first()),
            after: outside(counts.last()),
        }))
    }
}

/// The matching events, chunk by chunk.
struct Events<'s> {
    snapshot: &'s Snapshot<'s>,
    matches: Vec<(&'s Chunk<'s>, &'s Matches)>,
}

impl Events<'_> {
    /// The first and the last instant that the buckets must cover; `None` if there is nothing to cover.
    fn range(&self, query: &HistogramQuery, filter: &Filter) -> Result<Option<(Timestamp, Timestamp)>> {
        let TimeRange { from, to } = filter.time;
        let asks_for_future = from.is_some_and(|from| from > query.now);
        let extent = match (from, to) {
            (Some(_), Some(_)) => None,
            (Some(_), None) if !asks_for_future => None,
            _ => self.extent()?,
        };
        let last = match to {
            Some(to) => Some(to),
            None if asks_for_future => extent.map(|(_, last)| last),
            None => Some(query.now),
        };
        let first = from.or(extent.map(|(first, _)| first));
        match first.zip(last).filter(|(first, last)| first <= last) {
            Some((first, last)) if from.is_none() => Ok(Some((self.begin(query, first, last)?, last))),
            range => Ok(range),
        }
    }

    /// The earliest and the latest time of the matching events.
    fn extent(&self) -> Result<Option<(Timestamp, Timestamp)>> {
        let mut whole: Option<(Timestamp, Timestamp)> = None;
        for (chunk, found) in &self.matches {
            self.snapshot.step()?;
            if let Some((first, last)) = self.snapshot.view(chunk).extent(&found.bits)? {
                let (earliest, latest) = whole.unwrap_or((first, last));
                whole = Some((earliest.min(first), latest.max(last)));
            }
        }
        Ok(whole)
    }

    /// The beginning of the buckets if the filter has none: at `first`, the earliest event, or after a few events that are so old
    /// that the others would be crowded together. If the width of the buckets is given, events are skipped only as long as there
    /// would be too many buckets.
    fn begin(&self, query: &HistogramQuery, first: Timestamp, last: Timestamp) -> Result<Timestamp> {
        let (mut begin, mut spare) = (first, None);
        for _ in 0..ROUNDS_MAX {
            if query.interval.is_some() && query.bounds(begin, last).is_ok() {
                break;
            }
            let starts = slices(begin, last);
            let counts = self.spread(&starts, last)?;
            let counts: Vec<u64> = counts.iter().skip(1).take(SLICES).map(|[all, _]| *all).collect();
            let left = spare.get_or_insert_with(|| spare_of(counts.iter().sum()));
            let mut old = 0;
            while let Some(count) = counts.get(old).filter(|count| **count <= *left) {
                *left -= count;
                old += 1;
            }
            let is_crowded = (SLICES - old) * CROWDED_SHARE <= SLICES;
            let skipped = match query.interval {
                None if !is_crowded && begin == first => 0,
                // Skipped events must not leave empty buckets at the beginning.
                None if !is_crowded => counts.iter().take_while(|count| **count == 0).count(),
                _ => old,
            };
            match starts.get(skipped) {
                Some(start) if skipped > 0 => begin = *start,
                _ => break,
            }
        }
        Ok(begin)
    }

    /// Counts all events and failed events in each of these ranges: before the first start, between neighboring starts, from the last
    /// start to `through`, and after that.
    fn spread(&self, starts: &[Timestamp], through: Timestamp) -> Result<Vec<[u64; 2]>> {
        let end = Timestamp::from_micros(through.micros().saturating_add(1));
        let bounds: Vec<_> = [&[EARLIEST], starts, &[end, LATEST]].concat();
        let mut counts = vec![[0; 2]; bounds.len() - 1];
        for (chunk, found) in &self.matches {
            self.snapshot.step()?;
            self.snapshot.view(chunk).spread([&found.bits, &found.failed], &bounds, &mut counts)?;
        }
        Ok(counts)
    }
}

/// The beginnings of slices of equal length that divide a range of time.
fn slices(first: Timestamp, last: Timestamp) -> Vec<Timestamp> {
    let parts = i64::try_from(SLICES).unwrap_or(i64::MAX);
    let length = last.micros().saturating_sub(first.micros()) / parts;
    (0..parts).map(|part| Timestamp::from_micros(first.micros() + part * length)).collect()
}

/// The number of old events that may be skipped, of this number in all.
fn spare_of(events: u64) -> u64 {
    if events < EVENTS_MIN { 0 } else { (events / OLD_SHARE).max(1) }
}
