//! Opens every connection to the file, and says what an error of opening means.

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::{
    index::IndexError,
    platform::permissions,
    store::{
        error::{self, OpenError},
        file::fault_injection,
    },
};

/// How long a connection waits while another process writes, such as a command that runs next to the server.
pub(in crate::store) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The page size of new files.
const PAGE_BYTES: u32 = 8 * 1024;
/// Pages that a connection keeps in memory, in KiB. The operating system caches the file too; this only saves system
/// calls.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
const READER_CACHE_KIB: i64 = 2 * 1024;

/// Opens a read-only connection outside any pool.
pub(in crate::store) fn reading(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, read_only_flags())?;
    read_only(&connection)?;
    Ok(connection)
}

/// Opens a writable connection to a file whose format was checked. The writer's checkpoints have one of their own.
pub(in crate::store) fn read_write(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| refused(path, &error))?;
    prepare_to_write(&connection).map_err(|error| refused(path, &error))?;
    Ok(connection)
}

/// Makes a connection read-only.
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

/// Creates an empty file if none exists. The file will hold who did what and the key that signs tokens, so only its
/// owner may read it, from the first byte. SQLite gives its other files (-wal, -shm) the permissions of this one.
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
    // Applies to new files. A block of events takes a third of a page of 4 KiB, and 16 % of the space in such pages stays
    // unused.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    // Readers never wait for the writer, and the writer never waits for readers.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Each commit syncs the WAL: an acknowledged event survives a loss of power, not only the end of the process.
    connection.pragma_update(None, "synchronous", fault_injection::synchronous("FULL"))?;
    // On macOS a plain fsync leaves the data in the disk's cache; F_FULLFSYNC flushes it. Other systems ignore both.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    // The writer decides when to copy the WAL into the database: after it has replied, not before.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // A WAL file that a burst has made large is truncated when SQLite next starts it from the beginning.
    connection.pragma_update(None, "journal_size_limit", 256 * 1024 * 1024)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // The schema of a file that someone gave us must not run functions with side effects.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// What an error of SQLite means for a file that was to be opened.
pub(in crate::store) fn refused(path: &Path, error: &rusqlite::Error) -> OpenError {
    match (error.sqlite_error_code(), error.sqlite_error()) {
        (Some(ErrorCode::NotADatabase), _) => OpenError::Foreign(path.to_owned()),
        (Some(ErrorCode::ReadOnly), _) => OpenError::ReadOnly(path.to_owned()),
        (Some(ErrorCode::DiskFull), _) => OpenError::Full(path.to_owned()),
        (_, Some(error)) if error::is_room_for_wal_index(error.extended_code) => OpenError::Full(path.to_owned()),
        _ => failed(path, &error.to_string()),
    }
}

/// What an error of the index means for a file that was to be opened.
pub(in crate::store) fn unusable(path: &Path, error: &IndexError) -> OpenError {
    match error {
        IndexError::Sqlite(error) => refused(path, error),
        IndexError::Damaged(_) | IndexError::Ended(_) | IndexError::Changed | IndexError::Refused(_) => {
            failed(path, &error.to_string())
        }
    }
}

/// What an error of the operating system means for a file that was to be opened.
pub(in crate::store) fn unavailable(path: &Path, error: &io::Error) -> OpenError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::Full(path.to_owned()),
        io::ErrorKind::PermissionDenied => OpenError::Denied(path.to_owned()),
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
    fn a_file_that_this_user_may_not_read_is_not_called_damaged() {
        let message = unavailable(Path::new("a.db"), &io::ErrorKind::PermissionDenied.into()).to_string();
        assert!(message.contains("this user may not read it") && !message.contains("make a copy"), "{message}");
    }

    #[test]
    fn a_connection_that_writes_flushes_the_disks_cache() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auditbox.db");
        make_private(&path).unwrap();
        let connection = read_write(&path).unwrap();
        for pragma in ["fullfsync", "checkpoint_fullfsync"] {
            assert!(connection.pragma_query_value(None, pragma, |row| row.get::<_, bool>(0)).unwrap(), "{pragma}");
        }
    }
}
