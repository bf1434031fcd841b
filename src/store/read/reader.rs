//! Reading: a pool of connections that cannot write.
//!
//! One call is one transaction, and no connection outlives its call: a client that reads slowly holds neither a connection
//! nor a snapshot, so it cannot keep the write-ahead log from being emptied. Queries about events go through a [`Lease`],
//! which bounds them; the server itself uses the other calls.
//!
//! Calls block on the disk: from async code, make them on a thread that may.

use std::{collections::HashSet, path::Path, sync::Arc, time::Duration};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;

use crate::{
    index::{Index, Watch},
    model::{
        cancel::Cancel,
        credential::{ClientId, Credential},
        cursor::{Cursor, Position},
        epoch::Epochs,
        ticket_id::TicketId,
        timestamp::Timestamp,
    },
    store::{
        auth::{credentials, revoked_tickets},
        error::{OpenError, ReadError},
        event::{codec::BodyCodec, tombstones},
        file::{
            open,
            open_reads::{OpenRead, OpenReads},
        },
        read::seats::Seats,
    },
};

/// How long a call waits for a connection where it has no lease. One that has finds its connection free.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);

/// A handle to the pool.
#[derive(Clone)]
pub struct Reader {
    pub(in crate::store) pool: r2d2::Pool<SqliteConnectionManager>,
    pub(in crate::store) seats: Arc<Seats>,
    pub(in crate::store) index: Arc<Index>,
    pub(in crate::store) bodies: BodyCodec,
    pub(in crate::store) epochs: Arc<Epochs>,
    open_reads: OpenReads,
    /// Of another process's file: how often something had been dropped when the index was read from it.
    drops: Option<i64>,
}

impl Reader {
    pub(in crate::store) fn open(
        path: &Path,
        connections: u32,
        (index, bodies, epochs, open_reads): (Arc<Index>, BodyCodec, Arc<Epochs>, OpenReads),
    ) -> Result<Self, OpenError> {
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
        Ok(Self { pool, seats: Arc::new(Seats::new(connections)), index, bodies, epochs, open_reads, drops: None })
    }

    /// For a file that another process may write to, whose index was read when so much had been dropped.
    pub(in crate::store) fn of_shared_file(self, drops: i64) -> Self {
        Self { drops: Some(drops), ..self }
    }

    /// The cursor of a position in this log.
    pub fn cursor_at(&self, position: Position) -> Cursor {
        self.epochs.cursor_at(position)
    }

    /// Every credential, revoked ones included.
    pub fn credentials(&self) -> Result<Vec<Credential>, ReadError> {
        self.in_transaction(|connection, _| Ok(credentials::all(connection)?))
    }

    /// A number that moves with every change to the credentials.
    pub fn credential_generation(&self) -> Result<i64, ReadError> {
        self.in_transaction(|connection, _| Ok(credentials::generation(connection)?))
    }

    /// The tickets that are spent before their time.
    pub fn spent_tickets(&self) -> Result<HashSet<TicketId>, ReadError> {
        self.in_transaction(|connection, _| Ok(revoked_tickets::all(connection)?))
    }

    /// When each credential was last used, as far as it was noted.
    pub fn credential_uses(&self) -> Result<Vec<(ClientId, Timestamp)>, ReadError> {
        self.in_transaction(|connection, _| Ok(credentials::uses(connection)?))
    }

    /// The key that access tokens are signed with.
    pub fn access_token_key(&self) -> Result<Vec<u8>, ReadError> {
        self.in_transaction(|connection, _| Ok(credentials::access_token_key(connection)?))
    }

    /// Calls `read` with a connection in a transaction, and with what a query's snapshot on it is to be bounded by.
    pub(in crate::store) fn watched<T>(
        &self,
        cancel: &Cancel,
        read: impl FnOnce(&Connection, Watch<'_>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        self.in_transaction(|connection, open| {
            let begun = |connection: &Connection| {
                open.renew();
                // Of another process's file: whether the index that was read from it is still the file's.
                match self.drops {
                    Some(drops) if tombstones::drops(connection)? != drops => Err(crate::index::IndexError::Changed),
                    _ => Ok(()),
                }
            };
            read(connection, Watch { cancel, begun: &begun })
        })
    }

    pub(in crate::store) fn in_transaction<T>(
        &self,
        read: impl FnOnce(&Connection, &OpenRead) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let mut connection = self.pool.get()?;
        let open = self.open_reads.begin("a query");
        let transaction = connection.transaction()?;
        read(&transaction, &open)
    }
}
