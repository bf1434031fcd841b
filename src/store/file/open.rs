//! The one door to the file: how every connection is made.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::{
    index::{IdentifierProbe, IndexError, TermWriter},
    model::{credential::CredentialChange, event::Event, self_audit, timestamp::Timestamp},
    platform::{permissions, sync},
    store::{
        CHUNK_EVENTS, Progress, Quiet,
        auth::credentials,
        error::{self, ChangeError, OpenError},
        event::{codec::BodyCodec, epoch, prepared::Prepared, row},
        file::{fault_injection, location, lock::Lock},
        maintenance::{migrate, retention},
    },
};

/// "abox": how a file says that it is auditbox's.
pub(in crate::store) const APPLICATION_ID: i64 = 0x6162_6f78;
/// The format that `schema.sql` describes.
pub(in crate::store) const FORMAT: i64 = 3;
pub(in crate::store) const SCHEMA: &str = include_str!("../../../schema.sql");
/// How every SQLite file begins (<https://www.sqlite.org/fileformat.html>, 1.3).
const MAGIC: &[u8] = b"SQLite format 3\0";
/// How long a connection waits for another process (a command beside the server) to finish writing.
pub(in crate::store) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages that a connection keeps in memory, in KiB. The operating system caches the file; this only saves asking it.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
const READER_CACHE_KIB: i64 = 2 * 1024;

/// Opens the file to write: makes it if there is none, migrates it if it is older, refuses it if it is newer or not ours.
pub(in crate::store) fn writable(
    path: &Path,
    chunk_events: u32,
    progress: &dyn Progress,
) -> Result<Connection, OpenError> {
    make_private(path).map_err(|error| unavailable(path, &error))?;
    known_format(path)?;
    let mut connection = beside_writer(path)?;
    migrate::migrate(&mut connection, path, chunk_events, progress)?;
    sync::sync_created_by_sqlite(path).map_err(|error| unavailable(path, &error))?;
    Ok(connection)
}

/// Opens a connection that cannot write, outside any pool.
pub(in crate::store) fn reading(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, read_only_flags())?;
    read_only(&connection)?;
    Ok(connection)
}

/// Opens a connection that may write to a file that is known to be good: the writer's checkpoints have one of their own.
pub(in crate::store) fn beside_writer(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| refused(path, &error))?;
    prepare_to_write(&connection).map_err(|error| refused(path, &error))?;
    Ok(connection)
}

/// Opens a connection that cannot write.
pub(in crate::store) fn read_only(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// The flags that go with [`read_only`].
pub(in crate::store) fn read_only_flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// The real path of the database at `given`, if it is one of auditbox's in the present format.
pub(in crate::store) fn check_readable(given: &Path) -> Result<PathBuf, OpenError> {
    let real = location::resolve(given)?;
    let path = &real;
    if !path.exists() {
        return Err(OpenError::Missing(given.to_owned()));
    }
    match known_format(path)? {
        FORMAT => match reading(path).and_then(|connection| migrate::is_complete(&connection)) {
            Ok(true) => Ok(real),
            Ok(false) => Err(OpenError::Older { path: path.to_owned(), found: 1, known: FORMAT }),
            Err(error) => Err(refused(path, &error)),
        },
        found @ 1.. => Err(OpenError::Older { path: path.to_owned(), found, known: FORMAT }),
        _ => Err(OpenError::Foreign(path.to_owned())),
    }
}

/// The format of a file that this program may open to write; 0 if it is empty. Nothing is written to find it out: setting
/// up a connection that writes would already change another program's file.
pub(in crate::store) fn known_format(path: &Path) -> Result<i64, OpenError> {
    if !may_be_a_database(path).map_err(|error| unavailable(path, &error))? {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    let look = || {
        let connection = Connection::open_with_flags(path, read_only_flags())?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok((format_of(&connection)?, is_empty(&connection)?))
    };
    match look().map_err(|error| refused(path, &error))? {
        ((APPLICATION_ID, found), _) if found > FORMAT => Err(newer(path, found)),
        ((APPLICATION_ID, found), _) => Ok(found),
        ((0, 0), true) => Ok(0),
        _ => Err(OpenError::Foreign(path.to_owned())),
    }
}

/// Whether a file is empty or begins as SQLite's do. SQLite itself takes one that is too short for a database, or begins
/// with zeros, for an empty one, and would write over it. To be called before the process has a connection to the file:
/// closing it here would drop that connection's locks.
fn may_be_a_database(path: &Path) -> io::Result<bool> {
    let mut head = Vec::with_capacity(MAGIC.len());
    File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok(head.is_empty() || head == MAGIC)
}

/// Changes a credential from outside a server, in a transaction of its own, beside a running server if there is one: the
/// server notices the credentials' new generation. The record of the change is written with it.
pub fn change_credential_directly(
    path: &Path,
    change: &CredentialChange,
    record: Event,
) -> Result<Result<(), ChangeError>, OpenError> {
    let path = &location::resolve(path)?;
    if path.exists() {
        // A migration takes long, and needs the lock.
        check_readable(path)?;
    }
    let mut connection = beside_or_alone(path)?;
    let write = || -> rusqlite::Result<Result<(), ChangeError>> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let outcome = credentials::change(&transaction, change)?;
        if outcome.is_ok() {
            append(&transaction, record)?;
            transaction.commit()?;
        }
        Ok(outcome)
    };
    write().or_else(|error| match error::classify(&error.into()) {
        error::WriteFailure::Passing(passing) => Ok(Err(passing.into())),
        error::WriteFailure::Final => Err(failed(path, "the change could not be written")),
    })
}

/// Believes the clock, from outside a server and beside a running one, which notices within a minute. The record of it is
/// written with it.
pub fn trust_clock(path: &Path, now: Timestamp) -> Result<(), OpenError> {
    let path = &check_readable(path)?;
    let mut connection = beside_or_alone(path)?;
    let mut write = || -> rusqlite::Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let record = self_audit::clock_event(retention::believed(&transaction)?)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.to_string().into()))?;
        retention::believe(&transaction, now)?;
        append(&transaction, record)?;
        transaction.commit()
    };
    write().map_err(|error| refused(path, &error))
}

/// Opens the file for one change. If no server has it open, this begins an epoch, as a server does when it starts: the file
/// may have been replaced with an older copy since the last one stopped. The lock is released before the change, so that it
/// does not keep a server from starting; the connection that it protects is closed before it.
fn beside_or_alone(path: &Path) -> Result<Connection, OpenError> {
    match Lock::take(path) {
        Ok(_lock) => {
            let mut connection = writable(path, CHUNK_EVENTS, &Quiet)?;
            epoch::begin(&mut connection).map_err(|error| refused(path, &error))?;
        }
        Err(OpenError::InUse(_)) => {}
        Err(error) => return Err(error),
    }
    writable(path, CHUNK_EVENTS, &Quiet)
}

/// Appends auditbox's own record of what is done in the same transaction.
pub(in crate::store) fn append(transaction: &Connection, record: Event) -> rusqlite::Result<()> {
    let probe = IdentifierProbe::new(&record.identifier);
    let record = Prepared::new(record, &BodyCodec::load(transaction)?, probe);
    let seq = row::last_seq(transaction)? + 1;
    row::insert(transaction, &mut TermWriter::default(), seq, &record).map(drop)
}

/// The log holds who did what and the key that signs tokens: it is its owner's alone from the first byte. SQLite gives
/// its other files (-wal, -shm) the permissions of this one.
pub(in crate::store) fn make_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    match permissions::create_private(&mut options).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn prepare_to_write(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Readers never wait for the writer, nor it for them.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // One sync of the log at each commit: what is acknowledged survives loss of power, not only of the process.
    connection.pragma_update(None, "synchronous", fault_injection::synchronous("FULL"))?;
    // On macOS a plain fsync leaves the data in the disk's cache; F_FULLFSYNC flushes it. Other systems ignore both.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    // The writer decides when to copy the log back into the file: after it has answered, not before.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // A log that a burst made large gives its room back at the next restart of it.
    connection.pragma_update(None, "journal_size_limit", 256 * 1024 * 1024)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // Whatever stands in a file somebody handed us runs no functions with side effects.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

pub(in crate::store) fn format_of(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get(0));
    Ok((number("application_id")?, number("user_version")?))
}

pub(in crate::store) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

pub(in crate::store) fn newer(path: &Path, found: i64) -> OpenError {
    OpenError::Newer { path: path.to_owned(), found, known: FORMAT }
}

pub(in crate::store) fn refused(path: &Path, error: &rusqlite::Error) -> OpenError {
    match (error.sqlite_error_code(), error.sqlite_error()) {
        (Some(ErrorCode::NotADatabase), _) => OpenError::Foreign(path.to_owned()),
        (Some(ErrorCode::ReadOnly), _) => OpenError::ReadOnly(path.to_owned()),
        (Some(ErrorCode::DiskFull), _) => OpenError::Full(path.to_owned()),
        (_, Some(error)) if error::is_room_for_log_index(error.extended_code) => OpenError::Full(path.to_owned()),
        _ => failed(path, &error.to_string()),
    }
}

/// What it means that a part of the file cannot be used.
pub(in crate::store) fn unusable(path: &Path, error: &IndexError) -> OpenError {
    match error {
        IndexError::Sqlite(error) => refused(path, error),
        IndexError::Damaged(_) | IndexError::Ended(_) | IndexError::Changed | IndexError::Refused(_) => {
            failed(path, &error.to_string())
        }
    }
}

/// What it means that the system refuses the file.
pub(in crate::store) fn unavailable(path: &Path, error: &io::Error) -> OpenError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::Full(path.to_owned()),
        io::ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly(path.to_owned()),
        _ => failed(path, &error.to_string()),
    }
}

pub(in crate::store) fn failed(path: &Path, message: &str) -> OpenError {
    OpenError::Sqlite { path: PathBuf::from(path), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_writes_flushes_the_disks_cache() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auditbox.db");
        drop(writable(&path, CHUNK_EVENTS, &Quiet).unwrap());
        let connection = beside_writer(&path).unwrap();
        for pragma in ["fullfsync", "checkpoint_fullfsync"] {
            assert!(connection.pragma_query_value(None, pragma, |row| row.get::<_, bool>(0)).unwrap(), "{pragma}");
        }
    }
}
