//! Reading the events of a query from front to back, a slice at a time.
//!
//! Between two slices a [`PageReader`] holds some thousand positions and nothing else: no lease, no snapshot. When it has
//! given these out it searches on from the last of them. Events never change, so slices that were read at different times
//! are still one list; what arrives meanwhile is left out of it, and what retention drops meanwhile is gone from it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    index::{Found, Reach},
    model::{cursor::Position, query::Query, timestamp::Timestamp},
    store::{Lease, ReadError, Slice},
};

/// Positions that are held at a time, at 16 bytes each.
const PAGE_EVENTS: usize = 4_096;
/// How long a search on goes without a pause: then others have their turn, and what was found goes out.
const SEARCH_TIME: Duration = Duration::from_secs(1);

/// A query that is being read.
pub struct PageReader {
    /// Begins after what has been found.
    query: Query,
    /// Found, and not given out yet.
    positions: VecDeque<Position>,
    /// The newest event that may be among them.
    through_seq: i64,
    /// Whether more may be found.
    more: bool,
    end: End,
}

/// Where reading ends.
enum End {
    /// At the last event of a page that is known: after it the next page begins.
    At(Position),
    /// After so many events.
    After(usize),
    /// Not by itself.
    Never,
}

/// A list whose first events have been read.
pub struct Opened {
    /// Reads the rest.
    pub rest: PageReader,
    /// The first events, as many as were asked for.
    pub first: Slice,
    /// Where the first and the last event of the list stand, if it has any.
    pub ends: Option<(Position, Position)>,
    /// Whether more events match than the query's limit.
    pub more: bool,
    /// How many events match in all, if the query asks.
    pub count: Option<u64>,
    /// The newest event that the list could have.
    pub through_seq: i64,
}

impl PageReader {
    /// Opens a list: finds where it begins and ends, and fetches the bodies of its first events until they hold
    /// `bytes_max`.
    pub fn list(lease: &Lease, mut query: Query, bytes_max: usize) -> Result<Opened, ReadError> {
        let page = lease.page(&query, bytes_max)?;
        let Found { positions, next, through_seq } = page.found;
        let ends = positions.first().copied().zip(positions.last().copied());
        // The others are found again when it is their turn.
        let held: VecDeque<_> = positions.iter().skip(page.first.positions).take(PAGE_EVENTS).copied().collect();
        query.after = held.back().copied().or(query.after);
        let rest = Self {
            query,
            through_seq,
            more: page.first.positions + held.len() < positions.len(),
            end: ends.map_or(End::Never, |(_, last)| End::At(last)),
            positions: held,
        };
        Ok(Opened { rest, first: page.first, ends, more: next.is_some(), count: page.count, through_seq })
    }

    /// Every event that a query matches when it is first read, up to the query's limit.
    pub fn all(query: Query) -> Self {
        Self { end: End::After(query.limit), ..Self::follow(query) }
    }

    /// Every event that a query by arrival matches, without end: where [`Self::next`] comes to it, it goes on there when
    /// more has arrived.
    pub fn follow(query: Query) -> Self {
        Self { query, positions: VecDeque::new(), through_seq: i64::MAX, more: true, end: End::Never }
    }

    /// The next events, until they hold `bytes_max`; `None` at the end. Slices may be empty.
    pub fn next(&mut self, lease: &Lease, bytes_max: usize) -> Result<Option<Slice>, ReadError> {
        if self.positions.is_empty() {
            if !self.more {
                return Ok(None);
            }
            self.search(lease)?;
            if self.positions.is_empty() {
                return Ok(self.more.then(Slice::default));
            }
        }
        let slice = lease.slice(self.positions.make_contiguous(), bytes_max)?;
        self.positions.drain(..slice.positions);
        Ok(Some(slice))
    }

    /// Whether [`Self::next`] has to search, if it is not at the end.
    pub fn is_between_pages(&self) -> bool {
        self.positions.is_empty()
    }

    /// Whether [`Self::next`] has nothing more.
    pub fn is_at_end(&self) -> bool {
        self.positions.is_empty() && !self.more
    }

    /// Has [`Self::next`] search again where it had come to the end.
    pub fn look_again(&mut self) {
        self.more = true;
    }

    /// The query, which begins after what has been found.
    pub const fn query(&self) -> &Query {
        &self.query
    }

    /// The newest event that may be found; known once something was read.
    pub const fn through_seq(&self) -> i64 {
        self.through_seq
    }

    fn search(&mut self, lease: &Lease) -> Result<(), ReadError> {
        self.query.limit = match self.end {
            End::After(events) => events.min(PAGE_EVENTS),
            End::At(_) | End::Never => PAGE_EVENTS,
        };
        let reach = Reach { through_seq: self.through_seq, stop_at: Some(Instant::now() + SEARCH_TIME) };
        let Found { mut positions, next, through_seq } = lease.search(&self.query, reach)?;
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
        // At the end the place is that of the log, not of the last event that matched.
        let place = next.unwrap_or(Position { timestamp: Timestamp::from_micros(0), seq: through_seq });
        if self.more || (matches!(self.end, End::Never) && self.query.after.is_none_or(|after| place.seq > after.seq)) {
            self.query.after = Some(place);
        }
        self.positions = positions.into();
        Ok(())
    }
}
