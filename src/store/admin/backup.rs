//! Makes a copy of the file, even while a server writes to it.
//!
//! SQLite makes the copy (`VACUUM INTO`) in one snapshot: it contains the audit log as of the start of the copy,
//! regardless of what is written or deleted meanwhile. During the copy, the write-ahead log cannot be emptied, and
//! grows with each write. At its limit (`[database] wal_bytes_max`) no events are accepted until the copy is complete.
//!
//! The copy is made under another name (`.part`), synced, checked as `doctor` does, and only then renamed. A crash
//! leaves a file whose name shows that it is incomplete.

use std::{
    fs::{self, OpenOptions},
    io,
    path::{self, Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use rusqlite::Connection;

use crate::{
    platform::{permissions, sync as disk},
    store::{
        admin::doctor::{self, Report},
        error::OpenError,
        file::{companions, format, location, lock::Lock, open, progress::Progress},
    },
};

/// How often progress is reported.
const REPORT_EVERY: Duration = Duration::from_millis(200);

/// A backup or a restore failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file of that name exists.
    #[error("{} is there already: use --force to replace it", .0.display())]
    Exists(PathBuf),
    /// The file belongs to the database.
    #[error("{} belongs to the database {}: use another path", .path.display(), .database.display())]
    Companion {
        /// The file that would be read or written.
        path: PathBuf,
        /// The database to which it belongs.
        database: PathBuf,
    },
    /// The path refers to something other than a regular file.
    #[error("{} is {kind}: use a regular file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there, in words.
        kind: &'static str,
    },
    /// A write-ahead log is next to the file that would be replaced. It does not belong to the new file.
    #[error(
        "{} contains changes to the file that would be replaced: a program has that file open, or ended without \
         closing it; use another path",
        .0.display()
    )]
    HasWal(PathBuf),
    /// The source of a restore is in use.
    #[error(
        "{} is open in another auditbox, or changed while it was copied: make a backup of it with `auditbox backup`, \
         and restore the backup",
        .0.display()
    )]
    SourceInUse(PathBuf),
    /// The file that a restore replaces cannot be read.
    #[error(
        "{} cannot be read ({why}), so it is unknown which credentials were revoked since the backup: restore with \
         --revive to accept every credential as it is in the backup, then check them with `auditbox credential list`",
        .path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The file could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file could not be read, or the copy could not be written.
    #[error("the copy could not be made: {0}; run `auditbox doctor` to check the file for damage")]
    Sqlite(#[from] rusqlite::Error),
    /// The operating system reported an error.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl BackupError {
    /// Makes an error of the operating system about this file.
    pub(in crate::store) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { path: path.to_owned(), source }
    }
}

/// A finished backup.
pub struct Backup {
    /// Its path. A damaged backup does not get the requested name.
    pub path: PathBuf,
    /// The result of checking it.
    pub report: Report,
}

/// Copies the file at `path` to `destination`. A server may have it open.
pub fn backup(path: &Path, destination: &Path, replace: bool, progress: &dyn Progress) -> Result<Backup, BackupError> {
    let path = &format::check_readable(path)?;
    let resolved = location::real_path(destination).map_err(BackupError::io(destination))?;
    keep_apart(destination, path)?;
    may_replace(&resolved, replace)?;
    let _lock = keep_out(&resolved)?;
    let part = location::companion(&resolved, ".part");
    begin(&part)?;
    let copied = copy(path, &part, progress).and_then(|()| sync(&part));
    let report = match copied.and_then(|()| Ok(doctor::examine(&part, progress)?)) {
        Ok(report) => report,
        Err(error) => {
            // An incomplete copy is useless. Report why it is incomplete, not whether it can be removed.
            drop(companions::remove_part(&part));
            return Err(error);
        }
    };
    // SQLite's own files, which are empty.
    for suffix in ["-wal", "-shm"] {
        companions::remove(&location::companion(&part, suffix)).map_err(BackupError::io(&part))?;
    }
    if !report.findings.is_empty() {
        let unsound = companions::free_name(&location::companion(&resolved, ".unsound"));
        rename_and_sync(&part, &unsound)?;
        return Ok(Backup { path: unsound, report });
    }
    may_replace(&resolved, replace)?;
    rename_and_sync(&part, &resolved)?;
    Ok(Backup { path: destination.to_owned(), report })
}

/// Rejects a file that belongs to the database.
pub(in crate::store) fn keep_apart(file: &Path, database: &Path) -> Result<(), BackupError> {
    match companions::shared(file, database) {
        None => Ok(()),
        Some(path) => Err(BackupError::Companion { path, database: database.to_owned() }),
    }
}

/// Rejects a destination that another program has open, or that is incomplete without its write-ahead log: SQLite would
/// apply that log to the backup. The returned lock, if a lock file exists, prevents a server from opening it meanwhile.
fn keep_out(destination: &Path) -> Result<Option<Lock>, BackupError> {
    let lock = location::companion(destination, ".lock").exists().then(|| Lock::take(destination)).transpose()?;
    for journal in companions::JOURNALS.map(|suffix| location::companion(destination, suffix)) {
        if fs::metadata(&journal).is_ok_and(|journal| journal.len() > 0) {
            return Err(BackupError::HasWal(journal));
        }
    }
    Ok(lock)
}

/// Copies on another thread, and reports the size of the copy meanwhile.
fn copy(path: &Path, part: &Path, progress: &dyn Progress) -> Result<(), BackupError> {
    // Absolute, because SQLite would read a name that begins with "file:" as a URI.
    let absolute = path::absolute(part).map_err(BackupError::io(part))?;
    let name = absolute.to_str().ok_or_else(|| BackupError::io(part)(io::Error::other("the name must be UTF-8")))?;
    // Without `query_only`, which would also forbid writing to the copy. The file itself is opened read-only.
    let from = Connection::open_with_flags(path, open::read_only_flags())?;
    from.busy_timeout(open::BUSY_TIMEOUT)?;
    let pragma = |name| from.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (pages, page_bytes) = (pragma("page_count")?, pragma("page_size")?.max(1));
    thread::scope(|scope| {
        let (finished, outcome) = mpsc::sync_channel(1);
        scope.spawn(move || finished.send(from.execute("VACUUM INTO ?1", [name])));
        loop {
            match outcome.recv_timeout(REPORT_EVERY) {
                Ok(copied) => return Ok(copied.map(drop)?),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(BackupError::io(part)(io::Error::other("the copying thread ended")));
                }
                Err(RecvTimeoutError::Timeout) => {
                    let bytes = fs::metadata(part).map_or(0, |file| file.len());
                    let copied = i64::try_from(bytes).unwrap_or(i64::MAX) / page_bytes;
                    progress.advance("copying pages", copied.min(pages), pages);
                }
            }
        }
    })
}

/// Creates an empty file that only its owner may read: it will contain the key that signs tokens.
pub(in crate::store) fn begin(part: &Path) -> Result<(), BackupError> {
    // Also remove what a crash may have left next to an earlier copy: SQLite would apply it to this one.
    companions::remove_part(part).map_err(BackupError::io(part))?;
    let mut options = OpenOptions::new();
    permissions::create_private(options.write(true).create_new(true))
        .open(part)
        .map(drop)
        .map_err(BackupError::io(part))
}

pub(in crate::store) fn sync(path: &Path) -> Result<(), BackupError> {
    disk::sync_file(path).map_err(BackupError::io(path))
}

/// Renames a file, and syncs its new name.
pub(in crate::store) fn rename_and_sync(part: &Path, name: &Path) -> Result<(), BackupError> {
    fs::rename(part, name).map_err(BackupError::io(name))?;
    sync_name(name)
}

/// Syncs the name of a file.
pub(in crate::store) fn sync_name(file: &Path) -> Result<(), BackupError> {
    disk::sync_name(file).map_err(BackupError::io(file))
}

/// Fails if a path refers to something other than a regular file: a directory, a named pipe, a device.
pub(in crate::store) fn require_file(path: &Path) -> Result<(), BackupError> {
    match location::not_a_regular_file(path) {
        Some(kind) => Err(BackupError::NotAFile { path: path.to_owned(), kind }),
        None => Ok(()),
    }
}

pub(in crate::store) fn may_replace(path: &Path, replace: bool) -> Result<(), BackupError> {
    require_file(path)?;
    if !replace && fs::symlink_metadata(path).is_ok() {
        return Err(BackupError::Exists(path.to_owned()));
    }
    Ok(())
}
