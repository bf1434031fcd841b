//! One query's use of the file: the right to a connection, and the bounds that it keeps to.
//!
//! A lease that is dropped gives its seat to the next in the queue. What a query needs beyond its first call (the bodies of
//! a long list, the next page of an export) takes a lease again each time, so no client holds one while it reads.

use std::ops::Deref;

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;

use crate::{
    index::{Hits, Reach},
    model::{
        cancel::Cancel,
        credential::{ClientId, Credential},
        cursor::{Cursor, Position},
        query::Query,
        retention::Rules,
        stats::{Stats, StatsQuery},
        timestamp::Timestamp,
    },
    store::{
        error::ReadError,
        event::{
            row,
            stored::{Damaged, Fetch},
        },
        maintenance::retention::{self, Due},
        read::{reader::Reader, seats::Seat},
    },
};

/// The right to one of the pool's connections.
pub struct Lease {
    reader: Reader,
    seat: Option<Seat>,
    cancel: Cancel,
}

/// The first part of a list.
pub(in crate::store) struct FirstPage {
    /// Where its events are.
    pub(in crate::store) found: Hits,
    /// As many bodies as were asked for, from the front.
    pub(in crate::store) first: Slice,
    /// How many events match in all, if the query asks.
    pub(in crate::store) count: Option<u64>,
}

/// Some events of a list.
#[derive(Default)]
pub struct Slice {
    /// The events, in the list's order, each with its place; of one that is damaged, what is known.
    pub events: Vec<(Position, Result<String, Damaged>)>,
    /// How many positions of the list they account for. More than there are events where one is gone.
    pub positions: usize,
}

impl Slice {
    /// The events that are sound.
    pub fn bodies(&self) -> impl Iterator<Item = &str> {
        self.events.iter().filter_map(|(_, event)| event.as_deref().ok())
    }

    /// Those that are not.
    pub fn damaged(&self) -> impl Iterator<Item = &Damaged> {
        self.events.iter().filter_map(|(_, event)| event.as_ref().err())
    }
}

/// A connection for a second thread, with its seat.
struct Another {
    connection: r2d2::PooledConnection<SqliteConnectionManager>,
    /// Dropped after the connection is back in the pool.
    _seat: Option<Seat>,
}

impl Deref for Another {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Reader {
    /// Waits until a query by `holder` may use a connection. May be given up at any time.
    pub async fn lease(&self, holder: &ClientId) -> Result<Lease, ReadError> {
        let seat = self.seats.take(holder).await.ok_or(ReadError::Overloaded)?;
        Ok(Lease::new(self.clone(), Some(seat)))
    }

    /// A lease for a command that is alone with the file.
    pub fn unbounded(&self) -> Lease {
        Lease::new(self.clone(), None)
    }
}

impl Lease {
    fn new(reader: Reader, seat: Option<Seat>) -> Self {
        Self { reader, seat, cancel: Cancel::never() }
    }

    /// Bounds what is read by it.
    pub fn bounded(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    /// Counts the events that match, their most common values, and how they spread over time, all of one moment.
    pub fn stats(&self, query: &StatsQuery) -> Result<Stats, ReadError> {
        let counted = self.reader.watched(&self.cancel, |connection, watch| {
            let (snapshot, second) = self.reader.index.watched_by_two(connection, self.another(), watch)?;
            Ok(snapshot.stats(query, second)??)
        });
        counted.map_err(|error| error.of(&query.query))
    }

    /// The event with this identifier.
    pub fn by_identifier(&self, identifier: &str) -> Result<Option<String>, ReadError> {
        self.reader.watched(&self.cancel, |connection, watch| {
            let snapshot = self.reader.index.watched(connection, watch)?;
            let Some(seq) = snapshot.find_identifier(identifier)? else {
                return Ok(None);
            };
            let place = Position::of_arrival(seq);
            let found = self.fetch(connection, &[place], 1)?.events.pop();
            found.map(|(_, event)| event.map_err(ReadError::Damaged)).transpose()
        })
    }

    /// The expired events at `now`, by rule and type. Nothing is deleted. Each chunk has another snapshot: receipts are read
    /// from bodies, and a snapshot that is held for long makes the write-ahead log grow.
    pub fn due(&self, rules: &Rules, now: Timestamp) -> Result<Vec<Due>, ReadError> {
        let cutoffs = rules.cutoffs(now);
        let mut sums = retention::DueSums::default();
        let index = &self.reader.index;
        let chunks =
            self.reader.watched(&self.cancel, |connection, watch| Ok(index.watched(connection, watch)?.chunks()))?;
        for number in chunks {
            self.reader.watched(&self.cancel, |connection, watch| {
                let mut ranges = retention::ReceiptRanges::default();
                let mut receipts = retention::ReceiptReader::new(connection, &self.reader.bodies, &mut ranges)?;
                Ok(sums.add(&index.watched(connection, watch)?, number, &cutoffs, &mut receipts)?)
            })?;
        }
        Ok(sums.dues(&cutoffs))
    }

    /// The cursor of a position in this log.
    pub fn cursor_at(&self, position: Position) -> Cursor {
        self.reader.cursor_at(position)
    }

    /// Where reading on by this query begins: at its cursor, or after the newest event. Refuses a cursor of a history that
    /// the log does not have.
    pub fn beginning(&self, query: &Query) -> Result<Cursor, ReadError> {
        let newest = self.reader.in_transaction(|connection, _| Ok(row::last_seq(connection)?))?;
        self.reader.epochs.check(query, newest)?;
        Ok(self.cursor_at(query.after.map_or(Position::of_arrival(newest), |cursor| cursor.position)))
    }

    /// Every credential, revoked ones included.
    pub fn credentials(&self) -> Result<Vec<Credential>, ReadError> {
        self.reader.credentials()
    }

    /// Runs a query, and fetches the bodies of its first events until they hold `bytes_max`, all of one moment.
    /// Refuses a cursor of a history that the log does not have.
    pub(in crate::store) fn page(&self, query: &Query, bytes_max: usize) -> Result<FirstPage, ReadError> {
        let page = self.reader.watched(&self.cancel, |connection, watch| {
            let second = query.count.then(|| self.another()).flatten();
            let (snapshot, second) = self.reader.index.watched_by_two(connection, second, watch)?;
            self.reader.epochs.check(query, snapshot.through_seq())?;
            let found = snapshot.search(query, Reach::ALL)?;
            let count = query.count.then(|| snapshot.count(&query.filter, second)).transpose()?;
            let first = self.fetch(connection, &found.positions, bytes_max)?;
            Ok(FirstPage { found, first, count })
        });
        page.map_err(|error| error.of(query))
    }

    /// Runs a query as far as `reach`.
    pub(in crate::store) fn search(&self, query: &Query, reach: Reach) -> Result<Hits, ReadError> {
        let found = self.reader.watched(&self.cancel, |connection, watch| {
            Ok(self.reader.index.watched(connection, watch)?.search(query, reach)?)
        });
        found.map_err(|error| error.of(query))
    }

    /// Fetches the bodies of the events at `positions` until they hold `bytes_max`; at least one.
    pub(in crate::store) fn slice(&self, positions: &[Position], bytes_max: usize) -> Result<Slice, ReadError> {
        self.reader.in_transaction(|connection, _| self.fetch(connection, positions, bytes_max))
    }

    /// A connection for a second thread, if one is free, no other query waits for it, and the holder's share allows it.
    fn another(&self) -> Option<Another> {
        let seat = match &self.seat {
            Some(seat) => Some(self.reader.seats.try_another(seat)?),
            None => None,
        };
        Some(Another { connection: self.reader.pool.try_get()?, _seat: seat })
    }

    fn fetch(&self, connection: &Connection, positions: &[Position], bytes_max: usize) -> Result<Slice, ReadError> {
        let (mut slice, mut bytes) = (Slice::default(), 0);
        let mut fetch = Fetch::new(connection, &self.reader.bodies)?;
        for position in positions {
            if bytes >= bytes_max {
                break;
            }
            self.cancel.check()?;
            slice.positions += 1;
            let found = fetch.event(position.seq)?;
            bytes += found.iter().flatten().map(String::len).sum::<usize>();
            slice.events.extend(found.map(|event| (*position, event.map_err(|damaged| told(damaged, position)))));
        }
        Ok(slice)
    }
}

/// What is known of a damaged event, and a line in the server log. The index knows its time where its row does not.
fn told(damaged: Damaged, position: &Position) -> Damaged {
    let from_index = Some(position.timestamp).filter(|timestamp| timestamp.micros() != 0);
    let damaged = Damaged { timestamp: from_index.or(damaged.timestamp), ..damaged };
    let Damaged { seq, message, identifier, .. } = &damaged;
    tracing::error!(seq, identifier, message, "a damaged event was asked for, and was left out of the answer");
    damaged
}
