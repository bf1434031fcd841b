//! Finding a page of a list.
//!
//! In order of time, chunks are searched from the end at which the page begins, ordered by their own newest (or oldest) event.
//! A heap of the page's size keeps the nearest events found. The page is complete when the heap is full and no remaining chunk
//! can have a nearer event. Events arrive late and chunks overlap in time, so the page is rarely complete after the first chunk,
//! and mostly after the second. In order of arrival, chunks do not overlap.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

use crate::{
    index::{
        error::Result,
        query::{candidates::Candidates, resolve::Resolved, view::View},
        snapshot::Snapshot,
    },
    model::{
        cursor::Position,
        filter::TimeRange,
        query::{Order, Query, Sort},
        timestamp::Timestamp,
    },
};

/// A page of a search.
#[derive(Debug, PartialEq, Eq)]
pub struct Hits {
    /// The positions of the events, in the query's order; at most the query's limit.
    pub positions: Vec<Position>,
    /// The position after which the search continues, if more events may follow: that of the page's last event, or one beyond it.
    pub next: Option<Position>,
    /// The seq of the newest event that the search could see.
    pub through_seq: i64,
}

/// Bounds of a search in addition to its query.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// The search skips events with a higher seq.
    pub through_seq: i64,
    /// When to stop even if the page is not full. Each search looks at one chunk or more, so that it makes progress.
    pub stop_at: Option<Instant>,
}

impl Reach {
    /// No bounds.
    pub const ALL: Self = Self { through_seq: i64::MAX, stop_at: None };

    fn is_over(&self) -> bool {
        self.stop_at.is_some_and(|stop_at| Instant::now() >= stop_at)
    }
}

impl Snapshot<'_> {
    /// Finds a page of events.
    pub fn search(&self, query: &Query, reach: Reach) -> Result<Hits> {
        let resolved = self.resolve(&query.filter)?;
        let (mut positions, stopped_at) = match query.sort {
            Sort::Time => self.by_time(query, reach, resolved)?,
            Sort::Received => self.by_arrival(query, reach, resolved)?,
        };
        let is_full = positions.len() > query.limit;
        positions.truncate(query.limit);
        let next = if is_full { positions.last().copied() } else { stopped_at };
        Ok(Hits { positions, next, through_seq: self.through_seq() })
    }

    /// The first events in order of time, one more than the page has; and the position at which the search stopped early, if it
    /// did.
    fn by_time(
        &self,
        query: &Query,
        reach: Reach,
        mut resolved: Resolved,
    ) -> Result<(Vec<Position>, Option<Position>)> {
        let newest_first = query.order == Order::Descending;
        let (range, after) = (range_after(query), query.after.map(|cursor| cursor.position));
        let mut nearest = Nearest { newest_first, wanted: query.limit + 1, heap: BinaryHeap::new() };
        let (mut stopped_at, mut has_looked, reader) = (None, false, self.text_reader());
        // The range includes the cursor's whole instant. The client has seen the first events of this instant.
        let is_passed = |position: Position| {
            position.seq > reach.through_seq
                || after.is_some_and(|after| if newest_first { position >= after } else { position <= after })
        };
        for chunk in self.chunks_by_time(&range, newest_first) {
            self.step()?;
            if nearest.is_complete_before(&chunk.extent) {
                break;
            }
            if chunk.first_seq > reach.through_seq {
                continue;
            }
            if has_looked && reach.is_over() {
                stopped_at = edge_of(&chunk.extent, &range, newest_first);
            }
            if stopped_at.is_some() {
                break;
            }
            has_looked = true;
            let mut view = self.view(&chunk);
            view.confine(&range)?;
            let found = resolved.matching(&view)?;
            if found.are_certain() {
                view.walk(&found.bits, newest_first, |position| is_passed(position) || nearest.offer(position))?;
                continue;
            }
            // Events are read one by one, and only where they can affect the page.
            for (position, place) in placed(&mut view, &found, newest_first, |place| place)? {
                if is_passed(place) {
                    continue;
                }
                if !nearest.wants(place) {
                    break;
                }
                self.step()?;
                if found.hold(position, place.seq, &reader)? {
                    nearest.offer(place);
                }
            }
        }
        let mut positions = nearest.into_positions();
        if let Some(edge) = stopped_at {
            // Skipped chunks may have events beyond the edge, between those found there.
            positions.retain(|position| if newest_first { *position > edge } else { *position < edge });
        }
        Ok((positions, stopped_at))
    }

    /// The first events in order of arrival, one more than the page has; and the position at which the search stopped early, if it
    /// did.
    fn by_arrival(
        &self,
        query: &Query,
        reach: Reach,
        mut resolved: Resolved,
    ) -> Result<(Vec<Position>, Option<Position>)> {
        let newest_first = query.order == Order::Descending;
        let after = query.after.map(|cursor| cursor.position.seq);
        let beyond = |seq: i64| after.is_none_or(|after| if newest_first { seq < after } else { seq > after });
        let (mut positions, mut has_looked, reader) = (Vec::new(), false, self.text_reader());
        for chunk in self.chunks_by_arrival(newest_first) {
            self.step()?;
            if positions.len() > query.limit {
                break;
            }
            let is_within = chunk.first_seq <= reach.through_seq && chunk.overlaps(&query.filter.time);
            if !is_within || !(beyond(chunk.first_seq) || beyond(chunk.last_seq)) {
                continue;
            }
            if has_looked && reach.is_over() {
                let seq = if newest_first { chunk.last_seq + 1 } else { chunk.first_seq - 1 };
                return Ok((positions, Some(Position { timestamp: Timestamp::from_micros(0), seq })));
            }
            has_looked = true;
            let mut view = self.view(&chunk);
            view.confine(&query.filter.time)?;
            let found = resolved.matching(&view)?;
            let places = placed(&mut view, &found, newest_first, |place| place.seq)?;
            let wanted = |place: &Position| beyond(place.seq) && place.seq <= reach.through_seq;
            for (position, place) in places.into_iter().filter(|(_, place)| wanted(place)) {
                if positions.len() > query.limit {
                    break;
                }
                self.step()?;
                if found.hold(position, place.seq, &reader)? {
                    positions.push(place);
                }
            }
        }
        Ok((positions, None))
    }
}

/// The position at which a search by time stops before a chunk with this extent. All events nearer to the beginning of the search
/// were looked at. `None` if stopping there would be no progress.
fn edge_of((first, last): &(Timestamp, Timestamp), range: &TimeRange, newest_first: bool) -> Option<Position> {
    let (edge, is_progress) = if newest_first {
        (Position { timestamp: *last, seq: i64::MAX }, range.to.is_none_or(|to| *last < to))
    } else {
        (Position { timestamp: *first, seq: i64::MIN }, range.from.is_none_or(|from| *first > from))
    };
    is_progress.then_some(edge)
}

/// The events of a set with their positions in the log, in ascending or descending order of a key of the position.
fn placed<K: Ord>(
    view: &mut View<'_>,
    found: &Candidates,
    descending: bool,
    key: impl Fn(Position) -> K,
) -> Result<Vec<(u16, Position)>> {
    let mut places: Vec<_> = found.bits.iter().zip(view.positions(&found.bits)?).collect();
    places.sort_unstable_by_key(|(_, place)| key(*place));
    if descending {
        places.reverse();
    }
    Ok(places)
}

/// The filter's range, limited at the cursor's instant, which the range still includes.
fn range_after(query: &Query) -> TimeRange {
    let mut range = query.filter.time;
    if let Some(after) = query.after.map(|cursor| cursor.position) {
        match query.order {
            Order::Descending => range.to = Some(range.to.map_or(after.timestamp, |to| to.min(after.timestamp))),
            Order::Ascending => range.from = Some(range.from.map_or(after.timestamp, |from| from.max(after.timestamp))),
        }
    }
    range
}

/// Keeps the events nearest to the end at which a page begins, up to a number.
struct Nearest {
    newest_first: bool,
    wanted: usize,
    /// The farthest event on top.
    heap: BinaryHeap<Reverse<Key>>,
}

/// A position, ordered by nearness: greater is nearer.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Newer(Position),
    Older(Reverse<Position>),
}

impl Nearest {
    fn key(&self, position: Position) -> Key {
        if self.newest_first { Key::Newer(position) } else { Key::Older(Reverse(position)) }
    }

    /// Whether a position is near enough to be kept. If not, no position farther away is.
    fn wants(&self, position: Position) -> bool {
        let is_full = self.heap.len() >= self.wanted;
        !is_full || self.heap.peek().is_some_and(|farthest| self.key(position) > farthest.0)
    }

    /// Keeps a position if it is near enough. If not, positions farther away need not be offered.
    fn offer(&mut self, position: Position) -> bool {
        let key = self.key(position);
        if self.heap.len() < self.wanted {
            self.heap.push(Reverse(key));
            return true;
        }
        let Some(mut farthest) = self.heap.peek_mut() else {
            return false;
        };
        let is_nearer = key > farthest.0;
        if is_nearer {
            *farthest = Reverse(key);
        }
        is_nearer
    }

    /// Whether no event in a chunk with this extent, nor in any later chunk, can be near enough.
    fn is_complete_before(&self, (first, last): &(Timestamp, Timestamp)) -> bool {
        let best = if self.newest_first {
            self.key(Position { timestamp: *last, seq: i64::MAX })
        } else {
            self.key(Position { timestamp: *first, seq: i64::MIN })
        };
        self.heap.len() >= self.wanted && self.heap.peek().is_some_and(|farthest| best < farthest.0)
    }

    /// The positions, nearest first.
    fn into_positions(self) -> Vec<Position> {
        let sorted = self.heap.into_sorted_vec().into_iter();
        sorted
            .map(|Reverse(key)| match key {
                Key::Newer(position) | Key::Older(Reverse(position)) => position,
            })
            .collect()
    }
}
