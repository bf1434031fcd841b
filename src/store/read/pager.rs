//! Reads all events of a query in order, one slice at a time.
//!
//! Between two slices a [`PageReader`] holds some thousand positions and nothing else: no lease, no snapshot. When it
//! has returned the events at these positions, it searches on from the last one. Events never change, so slices that
//! were read at different times still form one list. Events that arrive meanwhile are not in it, nor are those that
//! retention drops.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    index::{Hits, Reach},
    model::{cursor::Position, query::Query},
    store::{
        error::ReadError,
        read::lease::{Lease, Slice},
    },
};

/// Maximum number of positions in memory, at 16 bytes each.
const PAGE_EVENTS: usize = 4_096;
/// Maximum time of one search. Then other queries have their turn, and the client receives what was found.
const SEARCH_TIME: Duration = Duration::from_secs(1);

/// A query that is being read.
pub struct PageReader {
    /// Starts after the events that have been found.
    query: Query,
    /// Positions that were found and not returned yet.
    positions: VecDeque<Position>,
    /// The newest event that may be among them.
    through_seq: i64,
    /// Whether more may be found.
    more: bool,
    end: End,
}

/// Where reading ends.
enum End {
    /// At this last event of the page.
    At(Position),
    /// After this number of events.
    After(usize),
    /// Never.
    Never,
}

/// A list whose first events have been read.
pub struct Opened {
    /// Reads the rest.
    pub rest: PageReader,
    /// The first events, up to the requested size.
    pub first: Slice,
    /// The positions of the list's first and last event, if it has any.
    pub ends: Option<(Position, Position)>,
    /// Whether more events match than the query's limit.
    pub more: bool,
    /// The number of all matching events, if the query asks for it.
    pub count: Option<u64>,
    /// The newest event that existed when the list was made.
    pub through_seq: i64,
}

impl PageReader {
    /// Opens a list: finds where it begins and ends, and fetches the bodies of its first events up to `bytes_max`.
    pub fn list(lease: &Lease, mut query: Query, bytes_max: usize) -> Result<Opened, ReadError> {
        let page = lease.page(&query, bytes_max)?;
        let Hits { positions, next, through_seq } = page.found;
        let ends = positions.first().copied().zip(positions.last().copied());
        // Positions beyond these are found again by a later search.
        let held: VecDeque<_> = positions.iter().skip(page.first.positions).take(PAGE_EVENTS).copied().collect();
        query.after = held.back().map(|last| lease.cursor_at(*last)).or(query.after);
        let rest = Self {
            query,
            through_seq,
            more: page.first.positions + held.len() < positions.len(),
            end: ends.map_or(End::Never, |(_, last)| End::At(last)),
            positions: held,
        };
        Ok(Opened { rest, first: page.first, ends, more: next.is_some(), count: page.count, through_seq })
    }

    /// Every event that matches the query when it is first read, up to the limit of the query.
    pub fn all(query: Query) -> Self {
        Self { end: End::After(query.limit), ..Self::follow(query) }
    }

    /// Every event that matches a query in order of arrival, without end. After the newest event, [`Self::next`]
    /// continues once more have arrived.
    pub fn follow(query: Query) -> Self {
        Self { query, positions: VecDeque::new(), through_seq: i64::MAX, more: true, end: End::Never }
    }

    /// The next events, up to `bytes_max`; `None` at the end. Slices may be empty.
    pub fn next(&mut self, lease: &Lease, bytes_max: usize) -> Result<Option<Slice>, ReadError> {
        self.next_within(lease, bytes_max, SEARCH_TIME)
    }

    fn next_within(
        &mut self,
        lease: &Lease,
        bytes_max: usize,
        search_time: Duration,
    ) -> Result<Option<Slice>, ReadError> {
        if self.positions.is_empty() {
            if !self.more {
                return Ok(None);
            }
            self.search(lease, Instant::now() + search_time)?;
            if self.positions.is_empty() {
                return Ok(self.more.then(Slice::default));
            }
        }
        let slice = lease.slice(self.positions.make_contiguous(), bytes_max)?;
        self.positions.drain(..slice.positions);
        Ok(Some(slice))
    }

    /// Whether the next call of [`Self::next`] searches, unless it is at the end.
    pub fn is_between_pages(&self) -> bool {
        self.positions.is_empty()
    }

    /// Whether [`Self::next`] returns no more events.
    pub fn is_at_end(&self) -> bool {
        self.positions.is_empty() && !self.more
    }

    /// Makes [`Self::next`] search again after it has reached the end.
    pub fn look_again(&mut self) {
        self.more = true;
    }

    /// The query, which starts after the events that have been found.
    pub const fn query(&self) -> &Query {
        &self.query
    }

    /// The newest event that may be found. Known after the first call of [`Self::next`].
    pub const fn through_seq(&self) -> i64 {
        self.through_seq
    }

    fn search(&mut self, lease: &Lease, stop_at: Instant) -> Result<(), ReadError> {
        self.query.limit = match self.end {
            End::After(events) => events.min(PAGE_EVENTS),
            End::At(_) | End::Never => PAGE_EVENTS,
        };
        let reach = Reach { through_seq: self.through_seq, stop_at: Some(stop_at) };
        let Hits { mut positions, next, through_seq } = lease.search(&self.query, reach)?;
        self.more = next.is_some();
        match &mut self.end {
            End::At(last) => {
                let last = *last;
                positions.retain(|position| *position == last || self.query.precedes(*position, last));
                self.more = next.is_some_and(|next| self.query.precedes(next, last));
            }
            End::After(events) => {
                self.through_seq = self.through_seq.min(through_seq);
                *events -= positions.len();
                self.more &= *events > 0;
            }
            End::Never => {}
        }
        // At the end, continue after the newest event of the log, not after the last match.
        let position = next.unwrap_or(Position::of_arrival(through_seq));
        let is_ahead = || self.query.after.is_none_or(|after| position.seq > after.position.seq);
        if self.more || (matches!(self.end, End::Never) && is_ahead()) {
            self.query.after = Some(lease.cursor_at(position));
        }
        self.positions = positions.into();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, thread};

    use super::*;
    use crate::{
        model::{
            event::{EventDraft, Receipt, Sender},
            limits::{EventLimits, QueryLimits},
            list_params::ListParams,
            retention::{KeepBy, Rules},
            timestamp::Timestamp,
        },
        store::{
            Options, Quiet, Store,
            maintenance::retention::Retention,
            write::{append::Policy, queue::QueueLimits},
        },
    };

    const EVENTS: u64 = 6_000;
    const DAY: i64 = 86_400;

    fn open(path: &Path, retention: Option<Retention>) -> Store {
        let queue = QueueLimits { events_max: 100_000, bytes_max: usize::MAX };
        let options = Options {
            path: path.to_owned(),
            readers: 2,
            queue,
            chunk_events: 256,
            wal_bytes_max: u64::MAX,
            retention,
            fields: None,
        };
        Store::open(&options, &Quiet).unwrap()
    }

    /// Stores events with these numbers and ages in seconds; one in a hundred is of a rare kind.
    fn store(store: &Store, numbers: std::ops::Range<u64>, age: impl Fn(u64) -> i64) {
        let now = Timestamp::now();
        let event = |number: u64| {
            let (at, kind) = (now.plus_seconds(-age(number)), if number % 100 == 7 { "rare" } else { "usual" });
            let text = format!(
                r#"{{"identifier":"e{number}","action":"A","resourceType":"{kind}","trigger":{{"at":"{at}"}}}}"#
            );
            let draft = EventDraft::parse(&text, &EventLimits::default(), Sender::Client);
            store.writer.prepare(draft.unwrap().accept(&Receipt { at: now, by: "test" }))
        };
        for number in numbers.clone().step_by(1_000) {
            let batch = (number..(number + 1_000).min(numbers.end)).map(event).collect();
            store.writer.wait_for_room();
            store.writer.append(batch, Policy::AllOrNothing).unwrap().wait().unwrap();
        }
    }

    fn query(text: &str) -> Query {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        let limits = QueryLimits { list_default: 100_000, ..QueryLimits::default() };
        ListParams::parse_query(pairs.map(|(name, value)| (name.into(), value.into())), &limits).unwrap()
    }

    /// What a slice holds.
    fn seqs(slice: &Slice) -> Vec<i64> {
        slice.events.iter().map(|(position, _)| position.seq).collect()
    }

    /// Reads to the end, with `search_time` for each search; `meanwhile` is called once, in the middle.
    fn read(reader: &mut PageReader, lease: &Lease, search_time: Duration, meanwhile: impl FnOnce()) -> Vec<i64> {
        let (mut all, mut meanwhile) = (Vec::new(), Some(meanwhile));
        while let Some(slice) = reader.next_within(lease, 100_000, search_time).unwrap() {
            assert!(slice.positions <= PAGE_EVENTS && reader.positions.len() <= PAGE_EVENTS);
            all.extend(seqs(&slice));
            if let Some(meanwhile) = meanwhile.take_if(|_| all.len() > 1_000) {
                meanwhile();
            }
        }
        all
    }

    #[test]
    fn slices_form_one_list_while_searches_stop_and_events_arrive() {
        let directory = tempfile::tempdir().unwrap();
        let opened = open(&directory.path().join("file.db"), None);
        // Out of order, with many at the same instant, and some a day late, so that chunks overlap in time.
        let age = |number: u64| {
            let late = if number.is_multiple_of(11) { DAY } else { 0 };
            i64::try_from(EVENTS - number / 3 + number * 7_919 % 500).unwrap() + late
        };
        store(&opened, 0..EVENTS, age);
        let lease = opened.reader.unbounded();
        let mut next = EVENTS;
        for filter in ["", "&resources=rare", "&resources=none", "&to=2000-01-01T00:00:00Z"] {
            for sort in ["sort=time", "sort=time&order=asc", "sort=received", "sort=received&order=asc"] {
                let query = query(&format!("{sort}{filter}"));
                let mut arrive = || {
                    store(&opened, next..next + 100, |number| age(number % EVENTS));
                    next += 100;
                };
                for search_time in [Duration::ZERO, SEARCH_TIME] {
                    let mut all = PageReader::all(query.clone());
                    let found = read(&mut all, &lease, search_time, &mut arrive);
                    let whole = PageReader::list(&lease, query.clone(), usize::MAX).unwrap();
                    assert!(whole.rest.is_at_end() && !whole.more);
                    let mut expected = seqs(&whole.first);
                    expected.retain(|seq| *seq <= all.through_seq());
                    assert_eq!(found, expected, "{sort}{filter}");
                    assert!(found.is_empty() == (filter.contains("none") || filter.contains("to=")));
                }
            }
        }
        lists_end_where_they_said(&opened, &lease);
        drop(lease);
        opened.close().unwrap();
    }

    fn lists_end_where_they_said(opened: &Store, lease: &Lease) {
        let sorts = ["sort=time", "sort=time&order=asc", "sort=received", "sort=received&order=asc"];
        for (turn, sort) in (0..).zip(sorts) {
            let query = query(&format!("{sort}&limit=5500"));
            let expected = seqs(&PageReader::list(lease, query.clone(), usize::MAX).unwrap().first);
            let mut list = PageReader::list(lease, query, 10_000).unwrap();
            let first = seqs(&list.first);
            assert!(first.len() < 1_000 && list.more);
            let late = 1_000_000 + turn * 500;
            store(opened, late..late + 100, |number| i64::try_from(number * 7_919 % EVENTS).unwrap());
            let search_time = if turn % 2 == 0 { Duration::ZERO } else { SEARCH_TIME };
            let rest = read(&mut list.rest, lease, search_time, || ());
            assert_eq!([first, rest].concat(), expected, "{sort}");
        }
    }

    #[test]
    fn events_dropped_meanwhile_are_missing_from_the_list() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file.db");
        let opened = open(&path, None);
        // Every second event expired long ago.
        let age = |number: u64| if number.is_multiple_of(2) { 60 * DAY } else { DAY } - i64::try_from(number).unwrap();
        store(&opened, 0..2 * EVENTS, age);
        let lease = opened.reader.unbounded();
        let lists = ["sort=time", "sort=time&order=asc", "sort=received&order=asc"].map(|sort| {
            let list = PageReader::list(&lease, query(sort), 10_000).unwrap();
            assert!(list.first.events.len() < 1_000);
            (sort, list)
        });
        drop(lease);
        opened.close().unwrap();
        let rules = Rules::parse(30, []).unwrap().keep_by(KeepBy::EventTime);
        let opened = open(&path, Some(Retention { rules, ..Retention::default() }));
        let lease = opened.reader.unbounded();
        let left = || seqs(&PageReader::list(&lease, query("include_own=false"), usize::MAX).unwrap().first);
        while left().len() > usize::try_from(EVENTS).unwrap() {
            thread::sleep(Duration::from_millis(20));
        }
        for (sort, mut list) in lists {
            let first = seqs(&list.first);
            let kept: Vec<_> = seqs(&PageReader::list(&lease, query(sort), usize::MAX).unwrap().first);
            let rest = read(&mut list.rest, &lease, SEARCH_TIME, || ());
            let expected: Vec<_> = kept.into_iter().filter(|seq| !first.contains(seq)).collect();
            assert_eq!(rest, expected, "{sort}");
        }
        drop(lease);
        opened.close().unwrap();
    }
}
