//! The file: one writer thread, a pool of read-only connections.
//!
//! [`Store::open`] is the only way in. A [`Writer`] and a [`Reader`] are cheap handles of different types; neither lets a
//! connection, a transaction or a type of rusqlite out. Everything that waits for the disk is here.

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
pub use admin::replaced::{Access, Difference};
pub use admin::restore::{RestoreOptions, Restored, restore};
pub use error::{AppendError, ChangeError, CloseError, OpenError, ReadError, WriteError};
pub use event::prepared::Prepared;
pub use event::stored::Damaged;
pub use file::location::not_a_regular_file;
pub use file::lock::Lock;
pub use file::open::{change_credential_directly, trust_clock};
pub use maintenance::retention::{Due, EVERY as RETENTION_EVERY, Retention};
pub use read::lease::{Lease, Slice};
pub use read::pager::{Opened, PageReader};
pub use read::reader::Reader;
pub use write::job::{Outcome, Pending, Policy, Writer};
pub use write::metrics::{Durations, StoreMetrics};
pub use write::notify::Arrivals;
pub use write::queue::QueueLimits;

use crate::{
    index::{Index, IndexError, SharedChunk, TermWriter, sealed_chunks},
    model::credential::Credential,
};
use auth::credentials;
use event::{codec::BodyCodec, epoch, row, tombstones};
use file::{checkpoint, identity, location, open, open_reads::OpenReads, wal_rewrite};
use maintenance::{reindex, retention, sql_index};
use read::messages::StoredMessages;
use write::{
    replay::{self, Terms},
    thread,
};

/// Events in a chunk of a new file's index: a position within it is then 16 bits.
pub const CHUNK_EVENTS: u32 = 65_536;
/// What may be set.
const CHUNK_EVENTS_RANGE: std::ops::RangeInclusive<u32> = 64..=CHUNK_EVENTS;
/// Events without an index that a command which only reads takes into memory: more than a server leaves behind.
const READ_UNSEALED_MAX: i64 = 12 * CHUNK_EVENTS as i64;
/// Full chunks that are sealed while the server runs. More, after a migration, are sealed before.
const UNSEALED_AT_START: u32 = 2;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The SQLite file; made if there is none.
    pub path: PathBuf,
    /// Connections that read at the same time.
    pub readers: u32,
    /// How much may wait to be written.
    pub queue: QueueLimits,
    /// Events in a chunk of the index, 64 to 65,536; a file that is there already keeps its own. [`CHUNK_EVENTS`] but in
    /// tests.
    pub chunk_events: u32,
    /// Bytes of the write-ahead log at which nothing more is taken; only a program that holds a read transaction open
    /// beside the server makes it grow so far.
    pub log_bytes_max: u64,
    /// What is dropped after a time; `None` for whoever is no server, and leaves that alone.
    pub retention: Option<Retention>,
}

/// Who is told how far something long has come.
pub trait Progress {
    /// `done` of `total` are done of what `what` names. A total of 0 is not known.
    fn advance(&self, what: &'static str, done: i64, total: i64);
}

/// Nobody is told.
pub struct Quiet;

impl Progress for Quiet {
    fn advance(&self, _: &'static str, _: i64, _: i64) {}
}

/// An open file, and the lock that keeps other servers from it.
pub struct Store {
    /// Writes.
    pub writer: Writer,
    /// Reads.
    pub reader: Reader,
    /// Reads for the server itself, on a connection that no question can take.
    pub own_reader: Reader,
    thread: thread::Thread,
    retainer: Option<retention::RetentionThread>,
    _lock: Lock,
}

impl Store {
    /// Opens the file, makes or migrates it where needed, and starts its writer.
    pub fn open(options: &Options, progress: &dyn Progress) -> Result<Self, OpenError> {
        let lock = Lock::take_or_create(&options.path)?;
        let path = &lock.path().to_owned();
        for exposure in location::exposures(path) {
            tracing::warn!("{exposure}");
        }
        let mut connection = open::writable(path, options.chunk_events, progress)?;
        wal_rewrite::log(&mut connection, path)?;
        let failed = |error: IndexError| open::unusable(path, &error);
        finish_dropping(&mut connection).map_err(failed)?;
        let epochs = Arc::new(epoch::begin(&mut connection).map_err(|error| failed(error.into()))?);
        let bodies = BodyCodec::load(&connection).map_err(|error| failed(error.into()))?;
        let mut terms = TermWriter::default();
        reindex::complete(path, &mut connection, &mut terms, &bodies, UNSEALED_AT_START, progress).map_err(failed)?;
        let index = Arc::new(index_of(&connection, &bodies).map_err(failed)?);
        let full = newest(path, &mut connection, &index, &bodies, &mut terms, progress).map_err(failed)?;
        let newest_receipt = retention::prepare(&connection, &bodies, options.retention.as_ref());
        let newest_receipt = newest_receipt.map_err(|error| failed(error.into()))?;
        let reads = OpenReads::default();
        let shared = || (Arc::clone(&index), bodies.clone(), Arc::clone(&epochs), reads.clone());
        let reader = |connections| Reader::open(path, connections, shared());
        let (reader, own_reader) = (reader(options.readers)?, reader(1)?);
        let checkpoints = checkpoint::Checkpoints::start(path, options.log_bytes_max, reads.clone())?;
        let database = lock.database().ok_or_else(|| OpenError::Missing(path.clone()))?;
        let place = identity::PathIdentity::of(path, database).map_err(|error| open::unavailable(path, &error))?;
        let parts =
            thread::WriterParts { connection, place, checkpoints, index: Arc::clone(&index), terms, bodies, full };
        let (writer, thread) = thread::start(path, parts, options.queue)?;
        let retention = options.retention.as_ref();
        let retainer = retention::start(path, writer.clone(), index, retention, newest_receipt, reads)?;
        Ok(Self { writer, reader, own_reader, thread, retainer, _lock: lock })
    }

    /// Finishes what was queued, then closes the file. An error says where acknowledged events are, if the writer has ended
    /// before.
    pub fn close(self) -> Result<(), CloseError> {
        // SQLite removes its log when the last connection closes, which only one that writes can do.
        drop((self.reader, self.own_reader));
        if let Some(retainer) = self.retainer {
            retainer.finish();
        }
        self.thread.finish()
    }
}

/// Opens an existing file for reading alone, beside whatever server may have it open.
pub fn open_for_reading(path: &Path) -> Result<Reader, OpenError> {
    let path = &open::check_readable(path)?;
    let load = || -> Result<_, IndexError> {
        let mut connection = open::reading(path)?;
        // One snapshot, so that no chunk is sealed between looking at the chunks and looking at what follows them.
        let transaction = connection.transaction()?;
        let bodies = BodyCodec::load(&transaction)?;
        let index = index_of(&transaction, &bodies)?;
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
    Ok(Reader::open(path, 1, shared)?.beside(drops))
}

/// Every credential of an existing file, beside whatever server may have it open.
pub fn credentials(path: &Path) -> Result<Vec<Credential>, OpenError> {
    let path = &open::check_readable(path)?;
    open::reading(path)
        .and_then(|connection| credentials::all(&connection))
        .map_err(|error| open::refused(path, &error))
}

/// Makes the index of a file anew from its events. What of it cannot be made is left as it is. No server may have the file
/// open.
pub fn reindex(path: &Path, progress: &dyn Progress) -> Result<(), OpenError> {
    open::check_readable(path)?;
    let lock = Lock::take(path)?;
    let path = lock.path();
    let rebuild = |mut connection| -> Result<(), IndexError> {
        finish_dropping(&mut connection)?;
        sql_index::mend(&connection, progress)?;
        let bodies = BodyCodec::load(&connection)?;
        reindex::renew(path, &mut connection, &bodies, progress)
    };
    let mut connection = open::writable(path, CHUNK_EVENTS, progress)?;
    wal_rewrite::log(&mut connection, path)?;
    rebuild(connection).map_err(|error| open::unusable(path, &error))
}

/// The version of the SQLite that is built in.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

fn index_of(connection: &rusqlite::Connection, bodies: &BodyCodec) -> Result<Index, IndexError> {
    let chunk_events = reindex::chunk_events(connection)?;
    let sealed = sealed_chunks(connection, chunk_events)?;
    tombstones::check(connection, chunk_events, &sealed)?;
    Ok(Index::new(chunk_events, sealed, Box::new(StoredMessages::new(bodies.clone()))))
}

/// Takes out what was dropped before a crash. From here on, what the connection deletes is overwritten in the file: an
/// event that is gone must not be read off its free pages.
fn finish_dropping(connection: &mut rusqlite::Connection) -> Result<(), IndexError> {
    connection.pragma_update(None, "secure_delete", true)?;
    let chunk_events = reindex::chunk_events(connection)?;
    Ok(tombstones::finish(connection, chunk_events)?)
}

/// Takes what is not sealed into the index, in one transaction: there may be many terms to add. Events are read on another
/// connection: a transaction that has met a damaged page cannot be committed.
fn newest(
    path: &Path,
    connection: &mut rusqlite::Connection,
    index: &Index,
    bodies: &BodyCodec,
    terms: &mut TermWriter,
    progress: &dyn Progress,
) -> Result<Vec<SharedChunk>, IndexError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let full = replay::extend(&open::reading(path)?, index, bodies, Terms::Added(terms, &transaction), progress)?;
    transaction.commit()?;
    Ok(full)
}
