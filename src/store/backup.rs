//! A copy of the file, made while a server writes to it.
//!
//! What is in the log never changes, so it is copied in slices, each on a snapshot of its own that is gone a moment later;
//! only what came meanwhile, and the little that does change (settings, credentials), is copied on one last snapshot, and
//! the copy is the log as it was then. A reader that held one snapshot for the whole copy, as SQLite's own two ways do
//! (`VACUUM INTO`, or its backup interface in one step), would keep the write-ahead log from being begun anew: it would
//! grow by all that is written meanwhile, and past its bound hold up the writer. In steps, that interface begins anew with
//! each commit and never ends beside a busy server.
//!
//! The copy comes under another name, is synced, looked through as `doctor` does, and only then given its own name: a
//! crash leaves a file whose name says that it is a part.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, Transaction, params, params_from_iter, types::Value};

use crate::{
    index,
    model::field::FIELDS,
    store::{
        OpenError, Progress, Report, doctor, event,
        open::{self, APPLICATION_ID, FORMAT, SCHEMA},
        reindex,
    },
};

/// Rows copied on one snapshot.
const SLICE_ROWS: i64 = 5_000;
/// Bytes copied on one snapshot: a few long events are a slice too.
const SLICE_BYTES: usize = 16 * 1024 * 1024;
/// Events that may be left for the last snapshot, and how often the others are gone after before it is taken anyway.
const REST_EVENTS: i64 = 20_000;
const ROUNDS_MAX: u32 = 5;
/// Pages of the copy that are kept in memory, in KiB.
const CACHE_KIB: i64 = 128 * 1024;

/// Why there is no backup, or nothing was put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is a file of that name.
    #[error("{} is there already; --force replaces it", .0.display())]
    Exists(PathBuf),
    /// It would be its own copy.
    #[error("{} is the file itself", .0.display())]
    Same(PathBuf),
    /// Events were taken out while it was copied.
    #[error("events were removed from the file while it was copied; run it again")]
    Changed,
    /// The file could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file could not be read, or the copy not written.
    #[error("the copy could not be made: {0}; `auditbox doctor` looks whether the file is damaged")]
    Sqlite(#[from] rusqlite::Error),
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// A backup that was made.
pub struct Backup {
    /// Where it is. One that is not sound does not get the name that was asked for.
    pub path: PathBuf,
    /// What a look through it found.
    pub report: Report,
}

/// Copies the file at `path` to `destination`, beside whatever server has it open.
pub fn backup(path: &Path, destination: &Path, replace: bool, progress: &dyn Progress) -> Result<Backup, BackupError> {
    open::check_readable(path)?;
    if is_same(path, destination) {
        return Err(BackupError::Same(destination.to_owned()));
    }
    may_replace(destination, replace)?;
    let part = beside(destination, "part");
    begin(&part)?;
    let copied = copy(path, &part, progress).and_then(|()| sync(&part));
    if let Err(error) = copied {
        // What is there of it is of no use; that it could not be copied is what matters.
        drop(fs::remove_file(&part));
        return Err(error);
    }
    let report = doctor::examine(&part, progress)?;
    if !report.findings.is_empty() {
        let unsound = beside(destination, "unsound");
        place(&part, &unsound)?;
        return Ok(Backup { path: unsound, report });
    }
    may_replace(destination, replace)?;
    place(&part, destination)?;
    Ok(Backup { path: destination.to_owned(), report })
}

fn copy(path: &Path, part: &Path, progress: &dyn Progress) -> Result<(), BackupError> {
    let mut from = open::reading(path)?;
    let mut copy = Copy { to: create(part)? };
    for _ in 0..ROUNDS_MAX {
        copy.catch_up(&mut from, progress)?;
        if event::last_seq(&from)? - event::last_seq(&copy.to)? < REST_EVENTS {
            break;
        }
    }
    let last = from.transaction()?;
    while copy.slice(&last)? > 0 {}
    copy.small(&last)?;
    let count = |connection: &Connection| -> rusqlite::Result<i64> {
        connection.query_row("SELECT count(*) FROM event", [], |row| row.get(0))
    };
    if count(&last)? != count(&copy.to)? {
        return Err(BackupError::Changed);
    }
    drop(last);
    copy.to.pragma_update(None, "application_id", APPLICATION_ID)?;
    copy.to.pragma_update(None, "user_version", FORMAT)?;
    copy.to.close().map_err(|(_, error)| error.into())
}

/// An empty file with the tables of this format. Nothing of it is synced before it is whole.
fn create(part: &Path) -> Result<Connection, BackupError> {
    let to = Connection::open(part)?;
    to.pragma_update(None, "journal_mode", "OFF")?;
    to.pragma_update(None, "synchronous", "OFF")?;
    to.pragma_update(None, "cache_size", -CACHE_KIB)?;
    to.execute_batch(SCHEMA)?;
    to.set_prepared_statement_cache_capacity(64);
    Ok(to)
}

/// The tables whose rows come in the order of one number and never change: the table, its columns, the first of which is
/// that number, and whether it is a place in the index.
const TABLES: &[(&str, &str, bool)] = &[
    ("event", "seq, timestamp, entity, blueprint, filled, body, checksum", false),
    ("dictionary", "number, created_at, ratio, bytes, checksum", false),
    ("chunk_time", "place, times", true),
    ("chunk_posting", "place, terms", true),
    ("chunk_key", "place, keys", true),
];
const CHUNK: (&str, &str, bool) = ("chunk", "number, events, first, last, first_times, key_blocks, identifiers", false);

struct Copy {
    to: Connection,
}

impl Copy {
    /// Copies what there is, a slice at a time.
    fn catch_up(&mut self, from: &mut Connection, progress: &dyn Progress) -> Result<(), BackupError> {
        let total = event::last_seq(from)?;
        loop {
            let transaction = from.transaction()?;
            if self.slice(&transaction)? == 0 {
                return Ok(());
            }
            drop(transaction);
            progress.advance("copying events", event::last_seq(&self.to)?.min(total), total);
            if event::last_seq(&self.to)? >= total {
                return Ok(());
            }
        }
    }

    /// Copies some rows of every table; returns how many.
    fn slice(&mut self, from: &Transaction<'_>) -> Result<usize, BackupError> {
        let transaction = self.to.transaction()?;
        // A chunk's rows may come in any order until it is sealed; after that, there are no more.
        let places = index::first_place(reindex::next_chunk(from)?);
        let mut copied = 0;
        for (table, columns, is_place) in TABLES {
            copied += rows(from, &transaction, table, columns, if *is_place { places } else { i64::MAX })?;
        }
        for spec in FIELDS {
            copied += values(from, &transaction, spec.field.code())?;
        }
        if copied == 0 {
            // After everything that they stand for.
            let (table, columns, _) = CHUNK;
            copied += rows(from, &transaction, table, columns, i64::MAX)?;
        }
        transaction.commit()?;
        Ok(copied)
    }

    /// Copies what may change, whole.
    fn small(&mut self, from: &Transaction<'_>) -> Result<(), BackupError> {
        let transaction = self.to.transaction()?;
        for (table, columns) in [
            ("setting", "name, value"),
            (
                "credential",
                "client_id, name, actor_type, scopes, secret_hash, created_at, expires_at, disabled_at, revoked_at",
            ),
        ] {
            let mut statement = from.prepare(&format!("SELECT {columns} FROM {table}"))?;
            let count = statement.column_count();
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                insert(&transaction, table, columns, (0..count).map(|column| row.get(column)))?;
            }
        }
        Ok(transaction.commit()?)
    }
}

fn rows(from: &Connection, to: &Connection, table: &str, columns: &str, below: i64) -> rusqlite::Result<usize> {
    let key = columns.split(',').next().unwrap_or_default();
    let after: i64 =
        to.prepare_cached(&format!("SELECT coalesce(max({key}), -1) FROM {table}"))?.query_row([], |row| row.get(0))?;
    let sql = format!("SELECT {columns} FROM {table} WHERE {key} > ?1 AND {key} < ?2 ORDER BY {key} LIMIT ?3");
    let mut statement = from.prepare_cached(&sql)?;
    let count = statement.column_count();
    let mut found = statement.query(params![after, below, SLICE_ROWS])?;
    let (mut copied, mut bytes) = (0, 0);
    while let Some(row) = found.next()? {
        insert(
            to,
            table,
            columns,
            (0..count).map(|column| {
                let value: Value = row.get(column)?;
                if let Value::Blob(blob) = &value {
                    bytes += blob.len();
                }
                Ok(value)
            }),
        )?;
        copied += 1;
        if bytes >= SLICE_BYTES {
            break;
        }
    }
    Ok(copied)
}

/// The same for the values of one field of the dictionary.
fn values(from: &Connection, to: &Connection, field: u8) -> rusqlite::Result<usize> {
    let after: i64 = to
        .prepare_cached("SELECT coalesce(max(ordinal), -1) FROM term WHERE field = ?1")?
        .query_row([field], |row| row.get(0))?;
    let mut statement = from.prepare_cached(
        "SELECT field, ordinal, value FROM term WHERE field = ?1 AND ordinal > ?2 ORDER BY ordinal LIMIT ?3",
    )?;
    let mut rows = statement.query(params![field, after, SLICE_ROWS])?;
    let mut copied = 0;
    while let Some(row) = rows.next()? {
        insert(to, "term", "field, ordinal, value", (0..3).map(|column| row.get(column)))?;
        copied += 1;
    }
    Ok(copied)
}

fn insert(
    to: &Connection,
    table: &str,
    columns: &str,
    values: impl Iterator<Item = rusqlite::Result<Value>>,
) -> rusqlite::Result<()> {
    let values = values.collect::<rusqlite::Result<Vec<Value>>>()?;
    let places = vec!["?"; values.len()].join(", ");
    let sql = format!("INSERT INTO {table} ({columns}) VALUES ({places})");
    to.prepare_cached(&sql)?.execute(params_from_iter(values)).map(drop)
}

/// `name.suffix`, in the same directory: renaming stays within one file system.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes an empty file that is its owner's alone: it will hold the key that signs tokens.
pub(super) fn begin(part: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Io { path: part.to_owned(), source };
    match fs::remove_file(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(part).map(drop).map_err(failed)
}

pub(super) fn sync(path: &Path) -> Result<(), BackupError> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|source| BackupError::Io { path: path.to_owned(), source })
}

/// Gives a file its name, and syncs the directory that it is in.
pub(super) fn place(part: &Path, name: &Path) -> Result<(), BackupError> {
    fs::rename(part, name).map_err(|source| BackupError::Io { path: name.to_owned(), source })?;
    let directory = name.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync(directory)
}

pub(super) fn may_replace(path: &Path, replace: bool) -> Result<(), BackupError> {
    if !replace && path.exists() {
        return Err(BackupError::Exists(path.to_owned()));
    }
    Ok(())
}

pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
