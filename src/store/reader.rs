//! Reading: a pool of connections that cannot write.
//!
//! One call is one transaction on one snapshot, and no connection outlives its call: a client that reads slowly holds
//! neither a connection nor a snapshot, so it cannot keep the write-ahead log from being copied back. Events never
//! change, so a list that is fetched in several calls is still the list of its first.
//!
//! Calls block on the disk: from async code, make them on a thread that may.

use std::{collections::HashSet, path::Path, sync::Arc, time::Duration};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;

use crate::{
    index::{Found, Index, Snapshot},
    model::{
        credential::{ClientId, Credential},
        cursor::Position,
        query::Query,
        retention::Rules,
        stats::{Stats, StatsQuery},
        ticket::TicketId,
        timestamp::Timestamp,
    },
    store::{
        OpenError, ReadError,
        body::Bodies,
        credential, dropped, event, open, retention, spent,
        stored::{Damaged, Fetch},
    },
};

/// How long a call waits for a connection before it says that there are too many questions.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);

/// A handle to the pool.
#[derive(Clone)]
pub struct Reader {
    pool: r2d2::Pool<SqliteConnectionManager>,
    index: Arc<Index>,
    bodies: Bodies,
    /// Of another process's file: how often something had been dropped when the index was read from it.
    drops: Option<i64>,
}

/// A page of a list: where its events are, and the bodies of the first of them.
pub struct Page {
    /// The page.
    pub found: Found,
    /// As many bodies as were asked for, from the front.
    pub first: Slice,
    /// How many events match in all, if the query asks.
    pub count: Option<u64>,
}

/// Some events of a page.
pub struct Slice {
    /// The events, in the page's order, each with its place; of one that is damaged, what is known.
    pub events: Vec<(Position, Result<String, Damaged>)>,
    /// How many positions of the page they account for. More than there are events where one is gone.
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

impl Reader {
    pub(super) fn open(path: &Path, connections: u32, index: Arc<Index>, bodies: Bodies) -> Result<Self, OpenError> {
        let manager = SqliteConnectionManager::file(path)
            .with_flags(open::read_only_flags())
            .with_init(|connection| open::read_only(connection));
        let pool = r2d2::Pool::builder()
            .max_size(connections)
            // All are made now and kept: where the system has no descriptor left, or the file is gone from its place, reading
            // goes on.
            .idle_timeout(None)
            .max_lifetime(None)
            .connection_timeout(CONNECTION_WAIT)
            .test_on_check_out(false)
            .build(manager)
            .map_err(|error| OpenError::Sqlite { path: path.to_owned(), message: error.to_string() })?;
        Ok(Self { pool, index, bodies, drops: None })
    }

    /// For a file that another process may write to, whose index was read when so much had been dropped.
    pub(super) fn beside(self, drops: i64) -> Self {
        Self { drops: Some(drops), ..self }
    }

    /// Runs a query, and fetches the bodies of its first events until they hold `bytes_max`, all on one snapshot.
    pub fn page(&self, query: &Query, bytes_max: usize) -> Result<Page, ReadError> {
        self.in_transaction(|connection| {
            let second = query.count.then(|| self.pool.try_get()).flatten();
            let (snapshot, second) = self.index.snapshot_for_two(connection, second)?;
            self.check_drops(connection)?;
            let found = snapshot.search(query)?;
            let count = query.count.then(|| snapshot.count(&query.filter, second)).transpose()?;
            let first = self.fetch(connection, &found.positions, bytes_max)?;
            Ok(Page { found, first, count })
        })
    }

    /// Counts the events that match, their most common values, and how they spread over time, all on one snapshot.
    pub fn stats(&self, query: &StatsQuery) -> Result<Stats, ReadError> {
        self.in_transaction(|connection| {
            let (snapshot, second) = self.index.snapshot_for_two(connection, self.pool.try_get())?;
            self.check_drops(connection)?;
            Ok(snapshot.stats(query, second)??)
        })
    }

    /// Fetches the bodies of the events at `positions` until they hold `bytes_max`; at least one.
    pub fn slice(&self, positions: &[Position], bytes_max: usize) -> Result<Slice, ReadError> {
        self.in_transaction(|connection| self.fetch(connection, positions, bytes_max))
    }

    /// The event with this identifier.
    pub fn by_identifier(&self, identifier: &str) -> Result<Option<String>, ReadError> {
        self.on_snapshot(|snapshot, connection| {
            let Some(seq) = snapshot.find_identifier(identifier)? else {
                return Ok(None);
            };
            let place = Position { timestamp: Timestamp::from_micros(0), seq };
            let found = self.fetch(connection, &[place], 1)?.events.pop();
            found.map(|(_, event)| event.map_err(ReadError::Damaged)).transpose()
        })
    }

    /// What of the log is past its time at `now`, by rule and type. Nothing is dropped.
    pub fn due(&self, rules: &Rules, now: Timestamp) -> Result<Vec<retention::Due>, ReadError> {
        self.on_snapshot(|snapshot, _| Ok(retention::due(snapshot, &rules.cutoffs(now))?))
    }

    /// The seq of the newest event.
    pub fn newest_seq(&self) -> Result<i64, ReadError> {
        self.in_transaction(|connection| Ok(event::last_seq(connection)?))
    }

    /// Every credential, revoked ones included.
    pub fn credentials(&self) -> Result<Vec<Credential>, ReadError> {
        self.in_transaction(|connection| Ok(credential::all(connection)?))
    }

    /// A number that moves with every change to the credentials.
    pub fn credential_generation(&self) -> Result<i64, ReadError> {
        self.in_transaction(|connection| Ok(credential::generation(connection)?))
    }

    /// The tickets that are spent before their time.
    pub fn spent_tickets(&self) -> Result<HashSet<TicketId>, ReadError> {
        self.in_transaction(|connection| Ok(spent::all(connection)?))
    }

    /// When each credential was last used, as far as it was noted.
    pub fn credential_uses(&self) -> Result<Vec<(ClientId, Timestamp)>, ReadError> {
        self.in_transaction(|connection| Ok(credential::uses(connection)?))
    }

    /// The key that access tokens are signed with.
    pub fn access_token_key(&self) -> Result<Vec<u8>, ReadError> {
        self.in_transaction(|connection| Ok(credential::access_token_key(connection)?))
    }

    fn on_snapshot<T>(
        &self,
        read: impl FnOnce(&Snapshot<'_>, &Connection) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        self.in_transaction(|connection| {
            let snapshot = self.index.snapshot(connection)?;
            self.check_drops(connection)?;
            read(&snapshot, connection)
        })
    }

    /// Of another process's file: whether the index that was read from it is still the file's.
    fn check_drops(&self, connection: &Connection) -> Result<(), ReadError> {
        match self.drops {
            Some(drops) if dropped::drops(connection)? != drops => Err(ReadError::Changed),
            _ => Ok(()),
        }
    }

    fn in_transaction<T>(&self, read: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let mut connection = self.pool.get()?;
        let transaction = connection.transaction()?;
        read(&transaction)
    }

    fn fetch(&self, connection: &Connection, positions: &[Position], bytes_max: usize) -> Result<Slice, ReadError> {
        let mut slice = Slice { events: Vec::new(), positions: 0 };
        let mut bytes = 0;
        let mut fetch = Fetch::new(connection, &self.bodies)?;
        for position in positions {
            if bytes >= bytes_max {
                break;
            }
            slice.positions += 1;
            let found = fetch.event(position.seq)?;
            bytes += found.iter().flatten().map(String::len).sum::<usize>();
            slice.events.extend(found.map(|event| (*position, event.map_err(|damaged| told(damaged, position)))));
        }
        Ok(slice)
    }
}

/// What is known of a damaged event, and a line in the program's log. The index knows its time where its row does not.
fn told(damaged: Damaged, position: &Position) -> Damaged {
    let from_index = Some(position.timestamp).filter(|timestamp| timestamp.micros() != 0);
    let damaged = Damaged { timestamp: from_index.or(damaged.timestamp), ..damaged };
    let Damaged { seq, message, identifier, .. } = &damaged;
    tracing::error!(seq, identifier, cause = message, "a damaged event was asked for, and was left out of the answer");
    damaged
}
