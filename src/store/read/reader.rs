//! A pool of read-only connections.
//!
//! Each call is one transaction, and returns its connection to the pool. A client that reads slowly holds neither a
//! connection nor a snapshot, so it does not prevent emptying the write-ahead log. Queries for events go through a
//! lease, which limits them (`lease.rs`); the server itself uses the other calls.
//!
//! Calls block on the disk. Async code must make them on a thread that may block.

use std::{collections::HashSet, path::Path, sync::Arc, time::Duration};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;

use crate::{
    index::{Index, PartialField, Watch},
    model::{
        cancel::Cancel,
        credential::{ClientId, Credential},
        cursor::{Cursor, Position},
        epoch::Epochs,
        field::Field,
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

/// How long a call without a lease waits for a connection. With a lease, a connection is free.
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
    /// If another process may write to the file: the number of drops when the index was read.
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
            // All connections are opened now and kept. Reads then work even if the system has no file descriptors left,
            // or the file was moved.
            .idle_timeout(None)
            .max_lifetime(None)
            .connection_timeout(CONNECTION_WAIT)
            .test_on_check_out(false)
            .build(manager)
            .map_err(|error| OpenError::Sqlite { path: path.to_owned(), message: error.to_string() })?;
        Ok(Self { pool, seats: Arc::new(Seats::new(connections)), index, bodies, epochs, open_reads, drops: None })
    }

    /// For a file to which another process may write, and whose index was read after this number of drops.
    pub(in crate::store) fn of_shared_file(self, drops: i64) -> Self {
        Self { drops: Some(drops), ..self }
    }

    /// Those of `fields` that some events do not have yet.
    pub fn partial(&self, fields: impl IntoIterator<Item = Field>) -> Vec<PartialField> {
        self.index.partial(fields)
    }

    /// The cursor of a position in this log.
    pub fn cursor_at(&self, position: Position) -> Cursor {
        self.epochs.cursor_at(position)
    }

    /// Every credential, revoked ones included.
    pub fn credentials(&self) -> Result<Vec<Credential>, ReadError> {
        self.in_transaction(|connection, _| Ok(credentials::all(connection)?))
    }

    /// A number that changes with every change to the credentials.
    pub fn credential_generation(&self) -> Result<i64, ReadError> {
        self.in_transaction(|connection, _| Ok(credentials::generation(connection)?))
    }

    /// The tickets that were revoked before they expired.
    pub fn spent_tickets(&self) -> Result<HashSet<TicketId>, ReadError> {
        self.in_transaction(|connection, _| Ok(revoked_tickets::all(connection)?))
    }

    /// When each credential was last used, as far as recorded.
    pub fn credential_uses(&self) -> Result<Vec<(ClientId, Timestamp)>, ReadError> {
        self.in_transaction(|connection, _| Ok(credentials::uses(connection)?))
    }

    /// The key that access tokens are signed with.
    pub fn access_token_key(&self) -> Result<Vec<u8>, ReadError> {
        self.in_transaction(|connection, _| Ok(credentials::access_token_key(connection)?))
    }

    /// Calls `read` with a connection in a transaction, and with the limits for snapshots on it.
    pub(in crate::store) fn watched<T>(
        &self,
        cancel: &Cancel,
        read: impl FnOnce(&Connection, Watch<'_>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        self.in_transaction(|connection, open| {
            let begun = |connection: &Connection| {
                open.renew();
                // If another process writes to the file: whether the index in memory is still that of the file.
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
