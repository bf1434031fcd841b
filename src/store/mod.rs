//! The database file: one writer thread, and a pool of read-only connections.
//!
//! [`Store::open`] opens a file. A [`Writer`] and a [`Reader`] are cheap handles of different types. No connection,
//! transaction or type of rusqlite leaves this layer, and everything that waits for the disk is in it.
//!
//! | directory | holds |
//! |---|---|
//! | `event` | the stored form of events: rows, blocks of bodies, compression, checksums, deleted ranges |
//! | `auth` | the rows of credentials and of revoked tickets |
//! | `file` | connections, the lock, checkpoints, companion files |
//! | `write` | the writer's thread, its queue, and the jobs that it commits |
//! | `maintenance` | sealing, migrations, rebuilding indexes, declared fields, retention |
//! | `read` | queries, and reading long lists in slices |
//! | `admin` | commands of the operator: backup, restore, doctor, changes without a server |
//!
//! Each directory uses those above it in this table, and never one below. Errors, which all of them return, are in
//! `error`.

mod admin;
mod auth;
mod error;
mod event;
mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod maintenance;
mod read;
mod write;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use admin::backup::{Backup, BackupError, backup};
pub use admin::doctor::{Finding, Remedy, Report, examine};
pub use admin::duplicates::Duplicate;
pub use admin::offline::{change_credential_directly, trust_clock};
pub use admin::replaced::{Access, Difference};
pub use admin::restore::{RestoreOptions, Restored, restore};
pub use error::{AppendError, ChangeError, CloseError, Conflict, OpenError, ReadError, WriteError};
pub use event::chunks::CHUNK_EVENTS;
pub use event::prepared::Prepared;
pub use event::stored::Damaged;
pub use file::location::{lock_file, not_a_regular_file};
pub use file::lock::Lock;
pub use file::progress::{Progress, Quiet};
pub use maintenance::retention::{Due, EVERY as RETENTION_EVERY, Retention};
pub use read::actor_names::ActorNames;
pub use read::lease::{Lease, Slice};
pub use read::pager::{Opened, PageReader};
pub use read::reader::Reader;
pub use write::append::{Outcome, Policy};
pub use write::job::Pending;
pub use write::metrics::{Durations, StoreMetrics};
pub use write::notify::Arrivals;
pub use write::preparer::Preparer;
pub use write::queue::QueueLimits;
pub use write::writer::Writer;

pub use crate::index::PartialField;

use rusqlite::{Connection, TransactionBehavior};

use crate::{
    index::{Index, IndexError, SharedChunk, TermWriter, sealed_chunks},
    model::{credential::Credential, field::FieldDefinition},
};
use auth::credentials;
use event::{chunks, codec::BodyCodec, epoch, fields, row, tombstones};
use file::{
    checkpoint::Checkpoints, format, identity::PathIdentity, location, open, open_reads::OpenReads, wal_rewrite,
};
use maintenance::{fields as filling, migrate, reindex, retention, sealer, sql_index};
use read::texts::StoredTexts;
use write::{
    replay::{self, Terms},
    thread::{self, WriterParts},
};

/// Maximum number of events without an index that a read-only command loads into memory. A server leaves fewer.
const READ_UNSEALED_MAX: i64 = 12 * CHUNK_EVENTS as i64;
/// Number of full chunks that are sealed while the server runs. If there are more, as after a migration, the others are
/// sealed before the server starts.
const UNSEALED_AT_START: u32 = 2;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The SQLite file. It is created if it does not exist.
    pub path: PathBuf,
    /// Number of connections for queries.
    pub readers: u32,
    /// Limits on what waits to be written.
    pub queue: QueueLimits,
    /// Events per chunk of the index in a new file, 64 to 65,536: [`CHUNK_EVENTS`] except in tests. An existing file
    /// keeps its own number.
    pub chunk_events: u32,
    /// Size of the write-ahead log (WAL), in bytes, at which writes are rejected. The WAL only reaches it while another program
    /// keeps a read transaction open.
    pub wal_bytes_max: u64,
    /// Which events expire. `None` for commands, which delete nothing.
    pub retention: Option<Retention>,
    /// The fields that the operator has declared. `None` for commands: the file keeps its fields.
    pub fields: Option<Vec<FieldDefinition>>,
}

/// An open file, and the lock that keeps other servers from it.
pub struct Store {
    /// Writes.
    pub writer: Writer,
    /// Reads for clients.
    pub reader: Reader,
    /// Reads for the server itself, on a connection that no query can take.
    pub own_reader: Reader,
    thread: thread::Thread,
    sealer: sealer::Sealer,
    retention: Option<retention::RetentionThread>,
    fields: Option<filling::FieldThread>,
    _lock: Lock,
}

impl Store {
    /// Opens the file, creates or migrates it if needed, and starts its writer.
    pub fn open(options: &Options, progress: &dyn Progress) -> Result<Self, OpenError> {
        let lock = Lock::take_or_create(&options.path)?;
        let path = &lock.path().to_owned();
        for exposure in location::exposures(path) {
            tracing::warn!("{exposure}");
        }
        let mut connection = migrate::open(path, options.chunk_events, progress)?;
        wal_rewrite::rewrite(&mut connection, path)?;
        let failed = |error: IndexError| open::unusable(path, &error);
        retention::delete_leftovers(&mut connection).map_err(failed)?;
        let declared = match &options.fields {
            Some(configured) => filling::reconcile(&mut connection, configured),
            None => fields::all(&connection),
        };
        let declared = declared.and_then(|rows| fields::declare(&rows).map(|()| rows)).map_err(failed)?;
        let epochs = Arc::new(epoch::begin(&mut connection).map_err(|error| failed(error.into()))?);
        let bodies = BodyCodec::load(&connection).map_err(|error| failed(error.into()))?;
        let mut terms = TermWriter::default();
        reindex::complete(path, &mut connection, &mut terms, &bodies, UNSEALED_AT_START, progress).map_err(failed)?;
        let index = Arc::new(index_of(&connection, &bodies).map_err(failed)?);
        fields::cover_index(&index, &declared);
        let full = load_newest(path, &mut connection, &index, &bodies, &mut terms, progress).map_err(failed)?;
        let newest_receipt = retention::prepare(&connection, &bodies, options.retention.as_ref());
        let newest_receipt = newest_receipt.map_err(|error| failed(error.into()))?;
        let reads = OpenReads::default();
        let shared = || (Arc::clone(&index), bodies.clone(), Arc::clone(&epochs), reads.clone());
        let reader = |connections| Reader::open(path, connections, shared());
        let (reader, own_reader) = (reader(options.readers)?, reader(1)?);
        let checkpoints = Checkpoints::start(path, options.wal_bytes_max, reads.clone())?;
        let database = lock.database().ok_or_else(|| OpenError::Missing(path.clone()))?;
        let identity = PathIdentity::of(path, database).map_err(|error| open::unavailable(path, &error))?;
        let (mut sealer_orders, received) = sealer::orders(Arc::clone(&index), bodies.clone());
        sealer_orders.published(full);
        let on_published = Box::new(move |full| sealer_orders.published(full));
        let parts =
            WriterParts { connection, identity, checkpoints, index: Arc::clone(&index), terms, bodies, on_published };
        let (writer, thread) = thread::prepare(path, parts, options.queue);
        let sealer = sealer::start(path, writer.clone(), received)?;
        let thread = thread.start()?;
        let fields = options.fields.as_ref().map(|_| declared);
        let fields = filling::start(path, writer.clone(), Arc::clone(&index), fields, reads.clone())?;
        let retention = options.retention.as_ref();
        let retention = retention::start(path, writer.clone(), index, retention, newest_receipt, reads)?;
        Ok(Self { writer, reader, own_reader, thread, sealer, retention, fields, _lock: lock })
    }

    /// Writes what is queued, then closes the file. If the writer has ended early, the error says where acknowledged
    /// events are.
    pub fn close(self) -> Result<(), CloseError> {
        // SQLite deletes the WAL when the last connection closes, and only a writable connection can do that.
        drop((self.reader, self.own_reader));
        if let Some(retention) = self.retention {
            retention.finish();
        }
        if let Some(fields) = self.fields {
            fields.finish();
        }
        let finished = self.thread.finish();
        self.sealer.finish();
        finished
    }
}

/// Opens an existing file read-only. A server may have it open.
pub fn open_for_reading(path: &Path) -> Result<Reader, OpenError> {
    let path = &format::check_readable(path)?;
    let load = || -> Result<_, IndexError> {
        let mut connection = open::reading(path)?;
        // One snapshot, so that no chunk is sealed between reading the sealed chunks and reading the events after them.
        let transaction = connection.transaction()?;
        let bodies = BodyCodec::load(&transaction)?;
        let declared = fields::all(&transaction)?;
        fields::declare(&declared)?;
        let index = index_of(&transaction, &bodies)?;
        fields::cover_index(&index, &declared);
        let (epochs, drops) = (epoch::load(&transaction)?, tombstones::drops(&transaction)?);
        let unsealed = row::last_seq(&transaction)? - index.through_seq();
        if unsealed > READ_UNSEALED_MAX {
            let message = format!("{unsealed} events have no index: start the server on it, or run `auditbox reindex`");
            return Err(IndexError::Damaged(message));
        }
        replay::extend(&transaction, &index, &bodies, Terms::Known(TermWriter::default()), &Quiet)?;
        Ok((bodies, index, epochs, drops))
    };
    let (bodies, index, epochs, drops) = load().map_err(|error| open::failed(path, &error.to_string()))?;
    let shared = (Arc::new(index), bodies, Arc::new(epochs), OpenReads::default());
    Ok(Reader::open(path, 1, shared)?.of_shared_file(drops))
}

/// Declares the fields of an existing file to this process, so that parameters can name them. A server may have the file
/// open.
pub fn declare_fields(path: &Path) -> Result<(), OpenError> {
    let path = &format::check_readable(path)?;
    let declare = || fields::declare(&fields::all(&open::reading(path)?)?);
    declare().map_err(|error| open::unusable(path, &error))
}

/// Every credential of an existing file. A server may have the file open.
pub fn credentials(path: &Path) -> Result<Vec<Credential>, OpenError> {
    let path = &format::check_readable(path)?;
    open::reading(path)
        .and_then(|connection| credentials::all(&connection))
        .map_err(|error| open::refused(path, &error))
}

/// The key of an existing file with which access tokens are signed. A server may have the file open.
pub fn access_token_key(path: &Path) -> Result<Vec<u8>, OpenError> {
    let path = &format::check_readable(path)?;
    open::reading(path)
        .and_then(|connection| credentials::access_token_key(&connection))
        .map_err(|error| open::refused(path, &error))
}

/// Rebuilds the index of a file from its events. Parts that cannot be rebuilt stay as they are. No server may have the
/// file open.
pub fn reindex(path: &Path, progress: &dyn Progress) -> Result<(), OpenError> {
    format::check_readable(path)?;
    let lock = Lock::take(path)?;
    let path = lock.path();
    let rebuild = |mut connection| -> Result<(), IndexError> {
        retention::delete_leftovers(&mut connection)?;
        sql_index::repair(&connection, progress)?;
        let bodies = BodyCodec::load(&connection)?;
        fields::declare(&fields::all(&connection)?)?;
        reindex::rebuild(path, &mut connection, &bodies, progress)?;
        Ok(fields::cover_all(&connection)?)
    };
    let mut connection = migrate::open(path, CHUNK_EVENTS, progress)?;
    wal_rewrite::rewrite(&mut connection, path)?;
    rebuild(connection).map_err(|error| open::unusable(path, &error))
}

/// The version of the built-in SQLite.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// The index of a file, with its sealed chunks only.
fn index_of(connection: &Connection, bodies: &BodyCodec) -> Result<Index, IndexError> {
    let chunk_events = chunks::chunk_events(connection)?;
    let sealed = sealed_chunks(connection, chunk_events)?;
    tombstones::check(connection, chunk_events, &sealed)?;
    Ok(Index::new(chunk_events, sealed, Box::new(StoredTexts::new(bodies.clone()))))
}

/// Adds the events that are in no sealed chunk to the index. One transaction adds the terms that they need. Events are
/// read on another connection, because a transaction that has read a damaged page cannot commit.
fn load_newest(
    path: &Path,
    connection: &mut Connection,
    index: &Index,
    bodies: &BodyCodec,
    terms: &mut TermWriter,
    progress: &dyn Progress,
) -> Result<Vec<SharedChunk>, IndexError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let full = replay::extend(&open::reading(path)?, index, bodies, Terms::Added(terms, &transaction), progress)?;
    transaction.commit()?;
    terms.committed();
    Ok(full)
}
