//! Replaces the file with a backup.
//!
//! Before anything is changed, the backup is copied (with its write-ahead log, if it has one), migrated if it is older,
//! and checked for damage. The copy then takes over the access facts of the file that it replaces (`replaced.rs`), and
//! begins an epoch, so that a client that follows the log notices the change.
//!
//! The replaced file is never deleted. The two files exchange their names in one step, and the replaced file gets a
//! name at which no file was. A crash leaves one of the two in place, complete. There are two exceptions, in which a
//! crash at one moment leaves neither in place, but all files under other names: the file system cannot exchange names,
//! or the replaced file cannot be read and has a write-ahead log.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, TransactionBehavior};
use serde_json::json;

use crate::{
    model::{error::FieldError, self_audit, timestamp::Timestamp},
    platform::{
        file::{self, FileState},
        permissions,
    },
    store::{
        admin::{
            backup::{self, BackupError},
            doctor::{self, Report},
            offline,
            replaced::{Access, AccessFacts, Replaced},
        },
        error::OpenError,
        event::{chunks::CHUNK_EVENTS, epoch, row},
        file::{
            checkpoint,
            companions::{self, JOURNALS},
            format, location,
            lock::Lock,
            open,
            progress::Progress,
        },
        maintenance::migrate,
    },
};

/// Options of a restore.
#[derive(Debug, Clone, Copy, Default)]
pub struct RestoreOptions {
    /// Replace an existing file.
    pub replace: bool,
    /// Accept credentials as they are in the backup, even those revoked since.
    pub revive: bool,
}

/// The result of a restore.
pub struct Restored {
    /// The result of checking the backup. If it has findings, nothing was replaced.
    pub report: Report,
    /// The new path of the replaced file.
    pub aside: Option<PathBuf>,
    /// The access facts that were taken over; `None` if there was no readable file to replace.
    pub access: Option<Access>,
    /// The last seq that the backup and the replaced file have in common, if known, and the last seq of the replaced
    /// file.
    pub undone: Option<(i64, i64)>,
}

/// Replaces the file at `path` with the backup `source`. No server may have either of them open.
pub fn restore(
    path: &Path,
    source: &Path,
    options: RestoreOptions,
    progress: &dyn Progress,
) -> Result<Restored, BackupError> {
    let lock = Lock::take(path)?;
    let database = lock.path().to_owned();
    backup::require_file(source)?;
    backup::keep_apart(source, path)?;
    backup::may_replace(&database, options.replace)?;
    read_replaced(&database, options.revive)?;
    let time: String = Timestamp::now().to_string().chars().filter(char::is_ascii_digit).take(14).collect();
    let aside = companions::free_name(&location::companion(&database, &format!(".before-{time}")));
    let part = location::companion(&database, ".part");
    backup::begin(&part)?;
    let made = make(&database, &part, source, (&aside, options.revive), progress);
    if !made.as_ref().is_ok_and(|restored| restored.report.findings.is_empty()) {
        drop(companions::remove_part(&part));
        return made;
    }
    let restored = made?;
    if restored.access.is_some() {
        copy_wal(&database);
    }
    rename_journals(&database, &aside)?;
    let aside = put_in_place(&part, &database, &aside)?.then_some(aside);
    Ok(Restored { aside, ..restored })
}

/// Creates the restored file at `part`.
fn make(
    database: &Path,
    part: &Path,
    source: &Path,
    (aside, revive): (&Path, bool),
    progress: &dyn Progress,
) -> Result<Restored, BackupError> {
    progress.advance("copying the backup", 0, 0);
    copy_unused(source, part)?;
    let mut connection = open_backup(part, progress).map_err(|error| match error {
        // The error is about the backup, so name its path.
        OpenError::Foreign(_) => OpenError::Foreign(source.to_owned()),
        OpenError::Newer { found, known, .. } => OpenError::Newer { path: source.to_owned(), found, known },
        error => error,
    })?;
    checkpoint::empty(&connection)?;
    let report = doctor::examine(part, progress)?;
    if !report.findings.is_empty() {
        return Ok(Restored { report, aside: None, access: None, undone: None });
    }
    // As late as possible, since commands that change credentials may run meanwhile.
    let replaced = read_replaced(database, revive)?;
    let facts = match &replaced {
        Replaced::Read(facts) => Some(facts.as_ref()),
        Replaced::Absent | Replaced::Unreadable(_) => None,
    };
    let (access, shared) = take_over(&mut connection, facts, revive, aside)?;
    checkpoint::empty(&connection)?;
    drop(connection);
    backup::sync(part)?;
    let undone = facts.and_then(|facts| Some((shared?, facts.last_seq?)));
    Ok(Restored { report, aside: None, access, undone })
}

/// Opens the copy of a backup, and migrates it. An empty file is rejected, although a server would create a log in it.
fn open_backup(part: &Path, progress: &dyn Progress) -> Result<Connection, OpenError> {
    if format::known_format(part)? == 0 {
        return Err(OpenError::Foreign(part.to_owned()));
    }
    migrate::open(part, CHUNK_EVENTS, progress)
}

/// Reads the file that is to be replaced. An unreadable file is an error, unless the operator gives up its revocations.
fn read_replaced(database: &Path, revive: bool) -> Result<Replaced, BackupError> {
    match Replaced::read(database) {
        Replaced::Unreadable(why) if !revive => Err(BackupError::Unreadable { path: database.to_owned(), why }),
        replaced => Ok(replaced),
    }
}

/// Copies the backup with its journals, as SQLite would read them. Rejects a backup that is in use.
fn copy_unused(source: &Path, part: &Path) -> Result<(), BackupError> {
    // SQLite looks for the journals next to the file, not next to a link to it.
    let resolved = location::real_path(source).map_err(BackupError::io(source))?;
    let mut locks = Vec::new();
    for path in [source, resolved.as_path()] {
        if location::companion(path, ".lock").exists() {
            match Lock::take(path) {
                Err(OpenError::InUse(_)) if locks.is_empty() => {
                    return Err(BackupError::SourceInUse(source.to_owned()));
                }
                lock => locks.extend(lock),
            }
        }
    }
    let before = states(&resolved);
    for suffix in [""].iter().chain(&JOURNALS) {
        let (from, to) = (location::companion(&resolved, suffix), location::companion(part, suffix));
        let mut from_file = match fs::File::open(&from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !suffix.is_empty() => continue,
            opened => opened.map_err(BackupError::io(&from))?,
        };
        // Write into the existing private file, which keeps its permissions.
        let mut options = fs::OpenOptions::new();
        let made = permissions::create_private(options.write(true).create(true).truncate(true)).open(&to);
        made.and_then(|mut to| io::copy(&mut from_file, &mut to)).map_err(BackupError::io(&to))?;
    }
    if states(&resolved) == before { Ok(()) } else { Err(BackupError::SourceInUse(source.to_owned())) }
}

/// The state of a database and its journals. Each write changes it.
fn states(path: &Path) -> Vec<Option<FileState>> {
    [""].iter().chain(&JOURNALS).map(|suffix| file::state(&location::companion(path, suffix))).collect()
}

/// Takes over the access facts, begins an epoch, and stores audit records of both, in one transaction.
fn take_over(
    connection: &mut Connection,
    facts: Option<&AccessFacts>,
    revive: bool,
    aside: &Path,
) -> Result<(Option<Access>, Option<i64>), BackupError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let newest = row::last_seq(&transaction)?;
    let (shared, access) = match facts {
        None => {
            epoch::begin_in(&transaction)?;
            (None, None)
        }
        Some(facts) => (
            epoch::take_place_of(&transaction, &facts.epochs, facts.last_seq.unwrap_or(i64::MAX))?,
            Some(facts.apply(&transaction, revive)?),
        ),
    };
    let replaced = facts.map(|facts| {
        json!({
            "file": aside.file_name().map(|name| name.to_string_lossy()),
            "newestSeq": facts.last_seq,
            "sharedThroughSeq": shared,
        })
    });
    let details = json!({
        "newestSeq": newest,
        "replaced": replaced,
        "credentials": access.as_ref().map(Access::to_json),
        "ticketsKept": access.as_ref().map(|access| access.tickets),
    });
    let unwritable =
        |error: FieldError| BackupError::Sqlite(rusqlite::Error::ToSqlConversionFailure(error.to_string().into()));
    let mut records = vec![self_audit::restore_event(&details).map_err(unwritable)?];
    if let Some(access) = &access {
        records.extend(access.records().map_err(unwritable)?);
    }
    for record in records {
        offline::append(&transaction, record)?;
    }
    transaction.commit()?;
    Ok((access, shared))
}

/// Copies the write-ahead log of the file that is to be replaced into it, so that it is one file. If that fails, both
/// are renamed.
fn copy_wal(database: &Path) {
    if let Ok(connection) = open::read_write(database) {
        drop(checkpoint::empty(&connection));
    }
}

/// Renames the journals of the file that is to be replaced, so that SQLite does not apply them to the restored file.
/// Unless that file cannot be read, they are empty by now.
fn rename_journals(database: &Path, aside: &Path) -> Result<(), BackupError> {
    for suffix in JOURNALS {
        let (own, other) = (location::companion(database, suffix), location::companion(aside, suffix));
        if fs::metadata(&own).is_ok_and(|journal| journal.len() > 0) {
            fs::rename(&own, &other).map_err(BackupError::io(&own))?;
        }
    }
    backup::sync_name(database)?;
    for suffix in JOURNALS.into_iter().chain(["-shm"]) {
        let left = location::companion(database, suffix);
        companions::remove(&left).map_err(BackupError::io(&left))?;
    }
    Ok(())
}

/// Renames `part` to the path of the database, and the database, if it exists, to the free path `aside`; returns
/// whether it existed. Both happen in one step, so that a crash leaves one of the files in place. If the file system
/// cannot exchange names, a crash at one moment leaves both files under other names.
fn put_in_place(part: &Path, database: &Path, aside: &Path) -> Result<bool, BackupError> {
    let exists = fs::symlink_metadata(database).is_ok();
    if exists {
        fs::rename(part, aside).map_err(BackupError::io(part))?;
        if file::exchange(aside, database).is_ok() {
            backup::sync_name(database)?;
            return Ok(true);
        }
        fs::rename(aside, part).map_err(BackupError::io(part))?;
        fs::rename(database, aside).map_err(BackupError::io(database))?;
    }
    backup::rename_and_sync(part, database)?;
    Ok(exists)
}
