//! The right of one query to use a connection, and the limits of that query.
//!
//! Dropping a lease gives its seat to the next query in the queue. Each later part of a query (more bodies of a long
//! list, the next page of an export) takes another lease, so no client holds one while it reads.

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
    /// The positions of its events.
    pub(in crate::store) found: Hits,
    /// The first bodies, up to the requested size.
    pub(in crate::store) first: Slice,
    /// The number of all matching events, if the query asks for it.
    pub(in crate::store) count: Option<u64>,
}

/// A part of a list.
#[derive(Default)]
pub struct Slice {
    /// The events, in the order of the list, each with its position. For a damaged event, what is still known of it.
    pub events: Vec<(Position, Result<String, Damaged>)>,
    /// The number of positions of the list that this part covers. Larger than the number of events if retention has
    /// dropped some of them.
    pub positions: usize,
}

impl Slice {
    /// The undamaged events.
    pub fn bodies(&self) -> impl Iterator<Item = &str> {
        self.events.iter().filter_map(|(_, event)| event.as_deref().ok())
    }

    /// The damaged events.
    pub fn damaged(&self) -> impl Iterator<Item = &Damaged> {
        self.events.iter().filter_map(|(_, event)| event.as_ref().err())
    }
}

/// A connection for a second thread, with its seat.
struct SecondConnection {
    connection: r2d2::PooledConnection<SqliteConnectionManager>,
    /// Dropped after the connection is back in the pool.
    _seat: Option<Seat>,
}

impl Deref for SecondConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Reader {
    /// Waits until a query by `holder` may use a connection. Cancel-safe.
    pub async fn lease(&self, holder: &ClientId) -> Result<Lease, ReadError> {
        let seat = self.seats.take(holder).await.ok_or(ReadError::Overloaded)?;
        Ok(Lease::new(self.clone(), Some(seat)))
    }

    /// A lease without limits, for a command.
    pub fn unbounded(&self) -> Lease {
        Lease::new(self.clone(), None)
    }
}

impl Lease {
    fn new(reader: Reader, seat: Option<Seat>) -> Self {
        Self { reader, seat, cancel: Cancel::never() }
    }

    /// Limits what may be read with this lease.
    pub fn bounded(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    /// Counts the matching events, their most common values, and their distribution over time, all in one snapshot.
    pub fn stats(&self, query: &StatsQuery) -> Result<Stats, ReadError> {
        let counted = self.reader.watched(&self.cancel, |connection, watch| {
            let (snapshot, second) = self.reader.index.watched_by_two(connection, self.second_connection(), watch)?;
            Ok(snapshot.stats(query, second)??)
        });
        counted.map_err(|error| error.of(&query.query))
    }

    /// The event with this identifier.
    pub fn by_identifier(&self, identifier: &str) -> Result<Option<String>, ReadError> {
        Ok(self.arrival_and_event(identifier)?.map(|(_, event)| event))
    }

    /// The event with this identifier, after its number in the order of arrival.
    pub fn arrival_and_event(&self, identifier: &str) -> Result<Option<(i64, String)>, ReadError> {
        self.reader.watched(&self.cancel, |connection, watch| {
            let snapshot = self.reader.index.watched(connection, watch)?;
            let Some(seq) = snapshot.find_identifier(identifier)? else {
                return Ok(None);
            };
            let position = Position::of_arrival(seq);
            let found = self.fetch(connection, &[position], 1)?.events.pop();
            found.map(|(_, event)| Ok((seq, event.map_err(ReadError::Damaged)?))).transpose()
        })
    }

    /// The expired events at `now`, by rule and type. Nothing is deleted. Each chunk is read in another snapshot: this
    /// reads many bodies, and the write-ahead log grows while a snapshot is open.
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

    /// Where following by this query begins: at its cursor, or after the newest event. Rejects a cursor from a history
    /// that the log does not have.
    pub fn beginning(&self, query: &Query) -> Result<Cursor, ReadError> {
        let newest = self.reader.in_transaction(|connection, _| Ok(row::last_seq(connection)?))?;
        self.reader.epochs.check(query, newest)?;
        Ok(self.cursor_at(query.after.map_or(Position::of_arrival(newest), |cursor| cursor.position)))
    }

    /// Every credential, revoked ones included.
    pub fn credentials(&self) -> Result<Vec<Credential>, ReadError> {
        self.reader.credentials()
    }

    /// Runs a query, and fetches the bodies of its first events up to `bytes_max`, all in one snapshot. Rejects a
    /// cursor from a history that the log does not have.
    pub(in crate::store) fn page(&self, query: &Query, bytes_max: usize) -> Result<FirstPage, ReadError> {
        let page = self.reader.watched(&self.cancel, |connection, watch| {
            let second = query.count.then(|| self.second_connection()).flatten();
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

    /// Fetches the bodies of the events at `positions` up to `bytes_max`, and at least one.
    pub(in crate::store) fn slice(&self, positions: &[Position], bytes_max: usize) -> Result<Slice, ReadError> {
        self.reader.in_transaction(|connection, _| self.fetch(connection, positions, bytes_max))
    }

    /// A connection for a second thread, if one is free, no other query waits for it, and the share of the credential
    /// permits it.
    fn second_connection(&self) -> Option<SecondConnection> {
        let seat = match &self.seat {
            Some(seat) => Some(self.reader.seats.try_another(seat)?),
            None => None,
        };
        Some(SecondConnection { connection: self.reader.pool.try_get()?, _seat: seat })
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
            slice.events.extend(found.map(|event| (*position, event.map_err(|damaged| report(damaged, position)))));
        }
        Ok(slice)
    }
}

/// Reports a damaged event in the server log, and adds its time from the index, which is more reliable than its row.
fn report(damaged: Damaged, position: &Position) -> Damaged {
    let from_index = Some(position.timestamp).filter(|timestamp| timestamp.micros() != 0);
    let damaged = Damaged { timestamp: from_index.or(damaged.timestamp), ..damaged };
    let Damaged { seq, message, identifier, .. } = &damaged;
    tracing::error!(seq, identifier, message, "a query matched a damaged event, which was left out of the response");
    damaged
}
