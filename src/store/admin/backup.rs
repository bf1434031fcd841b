//! A copy of the file, made while a server writes to it.
//!
//! SQLite makes it (`VACUUM INTO`), on one snapshot: the copy is the log as it was when the copying began, whatever is
//! written or removed meanwhile. For as long as it takes, the write-ahead log cannot be begun anew and grows by what is
//! written; at its bound (`[database] wal_bytes_max`) nothing more is taken until the copy is done.
//!
//! The copy comes under another name, is synced, looked through as `doctor` does, and only then given its own name: a
//! crash leaves a file whose name says that it is a part.

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

/// How often the copy is looked at, to tell how far it is.
const LOOK: Duration = Duration::from_millis(200);

/// Why there is no backup, or nothing was put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is a file of that name.
    #[error("{} is there already; --force replaces it", .0.display())]
    Exists(PathBuf),
    /// The file belongs to the database.
    #[error("{} belongs to the database {}; name another file", .path.display(), .database.display())]
    Companion {
        /// The file that would be read or written.
        path: PathBuf,
        /// The database to which it belongs.
        database: PathBuf,
    },
    /// A path that leads to something other than a regular file.
    #[error("{} is {kind}: name a regular file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// There is a log next to a file that is to be replaced with one that it does not belong to.
    #[error(
        "{} holds changes to the file that is to be replaced: a program has that file open, or ended without closing it; \
         name another file",
        .0.display()
    )]
    HasLog(PathBuf),
    /// The source of a restore is in use.
    #[error(
        "{} is open in another auditbox, or changed while it was copied; make a backup of it with `auditbox backup`, and \
         restore that",
        .0.display()
    )]
    SourceInUse(PathBuf),
    /// The file that a restore replaces cannot be read.
    #[error(
        "{} cannot be read ({why}), so it is not known which credentials were revoked since the backup; restore with \
         --revive to accept every credential as the backup has it, then check them with `auditbox credential list`",
        .path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
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
    let path = &format::check_readable(path)?;
    let failed = |path: &Path, source| BackupError::Io { path: path.to_owned(), source };
    let resolved = location::real_path(destination).map_err(|error| failed(destination, error))?;
    keep_apart(destination, path)?;
    may_replace(&resolved, replace)?;
    let _lock = keep_out(&resolved)?;
    let part = location::companion(&resolved, ".part");
    begin(&part)?;
    let copied = copy(path, &part, progress).and_then(|()| sync(&part));
    let report = match copied.and_then(|()| Ok(doctor::examine(&part, progress)?)) {
        Ok(report) => report,
        Err(error) => {
            // An incomplete copy is of no use. Why it is incomplete matters more than whether it can be removed.
            drop(companions::remove_part(&part));
            return Err(error);
        }
    };
    // SQLite's own, which are empty.
    for suffix in ["-wal", "-shm"] {
        companions::remove(&location::companion(&part, suffix)).map_err(|error| failed(&part, error))?;
    }
    if !report.findings.is_empty() {
        let unsound = companions::free_name(&location::companion(&resolved, ".unsound"));
        place(&part, &unsound)?;
        return Ok(Backup { path: unsound, report });
    }
    may_replace(&resolved, replace)?;
    place(&part, &resolved)?;
    Ok(Backup { path: destination.to_owned(), report })
}

/// Refuses a file that belongs to the database.
pub(in crate::store) fn keep_apart(file: &Path, database: &Path) -> Result<(), BackupError> {
    match companions::shared(file, database) {
        None => Ok(()),
        Some(path) => Err(BackupError::Companion { path, database: database.to_owned() }),
    }
}

/// Refuses to replace a database that another program has open, or that is not complete without its log: the log would be
/// taken for that of the backup. The lock, if there is one, keeps servers from it meanwhile.
fn keep_out(destination: &Path) -> Result<Option<Lock>, BackupError> {
    let lock = location::companion(destination, ".lock").exists().then(|| Lock::take(destination)).transpose()?;
    for log in companions::LOGS.map(|suffix| location::companion(destination, suffix)) {
        if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            return Err(BackupError::HasLog(log));
        }
    }
    Ok(lock)
}

/// Copies on a thread of its own, and tells meanwhile how long the copy has become.
fn copy(path: &Path, part: &Path, progress: &dyn Progress) -> Result<(), BackupError> {
    let failed = |source| BackupError::Io { path: part.to_owned(), source };
    // Absolute: SQLite would take a name that begins with "file:" for an address.
    let absolute = path::absolute(part).map_err(failed)?;
    let name = absolute.to_str().ok_or_else(|| failed(io::Error::other("the name must be UTF-8")))?;
    // Without `query_only`, which would forbid writing to the copy too; the file itself is opened to be read.
    let from = Connection::open_with_flags(path, open::read_only_flags())?;
    from.busy_timeout(open::BUSY_TIMEOUT)?;
    let pragma = |name| from.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (pages, page_bytes) = (pragma("page_count")?, pragma("page_size")?.max(1));
    thread::scope(|scope| {
        let (finished, outcome) = mpsc::sync_channel(1);
        scope.spawn(move || finished.send(from.execute("VACUUM INTO ?1", [name])));
        loop {
            match outcome.recv_timeout(LOOK) {
                Ok(copied) => return Ok(copied.map(drop)?),
                Err(RecvTimeoutError::Disconnected) => return Err(failed(io::Error::other("copying broke off"))),
                Err(RecvTimeoutError::Timeout) => {
                    let bytes = fs::metadata(part).map_or(0, |file| file.len());
                    let copied = i64::try_from(bytes).unwrap_or(i64::MAX) / page_bytes;
                    progress.advance("copying pages", copied.min(pages), pages);
                }
            }
        }
    })
}

/// Makes an empty file that is its owner's alone: it will hold the key that signs tokens.
pub(in crate::store) fn begin(part: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Io { path: part.to_owned(), source };
    // With what a crash may have left of an earlier one, which SQLite would take for this one's.
    companions::remove_part(part).map_err(failed)?;
    let mut options = OpenOptions::new();
    permissions::create_private(options.write(true).create_new(true)).open(part).map(drop).map_err(failed)
}

pub(in crate::store) fn sync(path: &Path) -> Result<(), BackupError> {
    disk::sync_file(path).map_err(|source| BackupError::Io { path: path.to_owned(), source })
}

/// Gives a file its name, and syncs that name.
pub(in crate::store) fn place(part: &Path, name: &Path) -> Result<(), BackupError> {
    fs::rename(part, name).map_err(|source| BackupError::Io { path: name.to_owned(), source })?;
    sync_name(name)
}

/// Syncs the name of a file.
pub(in crate::store) fn sync_name(file: &Path) -> Result<(), BackupError> {
    disk::sync_name(file).map_err(|source| BackupError::Io { path: file.to_owned(), source })
}

/// Fails if a path leads to something other than a regular file: a directory, a named pipe, a device.
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
