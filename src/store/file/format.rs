//! How a file says that it is auditbox's, and which format it has.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension, types::FromSql};

use crate::store::{
    error::OpenError,
    file::{location, open},
};

/// "abox": the value of `PRAGMA application_id` in every file of auditbox.
pub(in crate::store) const APPLICATION_ID: i64 = 0x6162_6f78;
/// The format that `schema.sql` describes, as `PRAGMA user_version`.
pub(in crate::store) const FORMAT: i64 = 4;
/// The setting in which a migration records the last event that it has moved into a block.
pub(in crate::store) const MOVED_EVENTS: &str = "moved_events";
/// The names that a migration gives the tables of events of formats 1, 2 and 3.
pub(in crate::store) const EVENTS_OF_FORMATS: [&str; 3] = ["event_1", "event_2", "event_3"];
/// The setting that a migration of the index counts its chunks in.
pub(in crate::store) const OUTDATED_CHUNKS: &str = "outdated_chunks";
pub(in crate::store) const SCHEMA: &str = include_str!("../../../schema.sql");
/// How every SQLite file begins (<https://www.sqlite.org/fileformat.html>, 1.3).
const MAGIC: &[u8] = b"SQLite format 3\0";

/// The real path of the database at `given`, if it is a file of auditbox in the present format.
pub(in crate::store) fn check_readable(given: &Path) -> Result<PathBuf, OpenError> {
    let real = location::resolve(given)?;
    let path = &real;
    if !path.exists() {
        return Err(OpenError::Missing(given.to_owned()));
    }
    match known_format(path)? {
        FORMAT => match open::reading(path).and_then(|connection| unfinished(&connection)) {
            Ok(None) => Ok(real),
            Ok(Some(found)) => Err(older(path, found)),
            Err(error) => Err(open::refused(path, &error)),
        },
        found @ 1.. => Err(older(path, found)),
        _ => Err(OpenError::Foreign(path.to_owned())),
    }
}

/// The format of a file that this program may open to write; 0 if it is empty. This writes nothing: setting up a
/// writable connection would already change another program's file.
pub(in crate::store) fn known_format(path: &Path) -> Result<i64, OpenError> {
    if !may_be_a_database(path).map_err(|error| open::unavailable(path, &error))? {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    let look = || {
        let connection = Connection::open_with_flags(path, open::read_only_flags())?;
        connection.busy_timeout(open::BUSY_TIMEOUT)?;
        Ok((format_of(&connection)?, is_empty(&connection)?))
    };
    match look().map_err(|error| open::refused(path, &error))? {
        ((APPLICATION_ID, found), _) if found > FORMAT => Err(newer(path, found)),
        ((APPLICATION_ID, found), _) => Ok(found),
        ((0, 0), true) => Ok(0),
        _ => Err(OpenError::Foreign(path.to_owned())),
    }
}

/// Whether a file is empty or begins as SQLite's do. SQLite takes a file that is shorter than a header, or that begins
/// with zeros, for an empty database and would overwrite it. Call this before the process has a connection to the file:
/// closing the file here would release that connection's locks.
fn may_be_a_database(path: &Path) -> io::Result<bool> {
    let mut head = Vec::with_capacity(MAGIC.len());
    File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok(head.is_empty() || head == MAGIC)
}

/// The application id and the format of a file.
pub(in crate::store) fn format_of(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get(0));
    Ok((number("application_id")?, number("user_version")?))
}

pub(in crate::store) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

/// The last event that a migration has moved into a block; `None` if there is no such migration. Until its end, the file
/// has only a part of the events in the table `event`.
pub(in crate::store) fn moved_events(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    setting(connection, MOVED_EVENTS)
}

/// Whether the file has a table.
pub(in crate::store) fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";
    connection.query_row(sql, [name], |row| row.get(0))
}

/// The first chunk whose rows a migration from format 3 has not rebuilt yet; `None` if there is no such migration.
pub(in crate::store) fn outdated_chunks(connection: &Connection) -> rusqlite::Result<Option<u32>> {
    setting(connection, OUTDATED_CHUNKS)
}

fn setting<T: FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<Option<T>> {
    connection.query_row("SELECT value FROM setting WHERE name = ?1", [name], |row| row.get(0)).optional()
}

/// The format from which an unfinished migration started, if there is one.
fn unfinished(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    if moved_events(connection)?.is_some() {
        for (found, table) in (1..).zip(EVENTS_OF_FORMATS) {
            if has_table(connection, table)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(outdated_chunks(connection)?.map(|_| 3))
}

fn older(path: &Path, found: i64) -> OpenError {
    OpenError::Older { path: path.to_owned(), found, known: FORMAT }
}

pub(in crate::store) fn newer(path: &Path, found: i64) -> OpenError {
    OpenError::Newer { path: path.to_owned(), found, known: FORMAT }
}
