//! A copy of the file, made while a server writes to it.
//!
//! SQLite makes it (`VACUUM INTO`), on one snapshot: the copy is the log as it was when the copying began, whatever is
//! written or removed meanwhile. For as long as it takes, the write-ahead log cannot be begun anew and grows by what is
//! written; at its bound (`[database] log_bytes_max`) nothing more is taken until the copy is done.
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
    platform::{file, permissions, sync as disk},
    store::{OpenError, Progress, Report, doctor, location, open},
};

/// How often the copy is looked at, to tell how far it is.
const LOOK: Duration = Duration::from_millis(200);

/// Why there is no backup, or nothing was put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is a file of that name.
    #[error("{} is there already; --force replaces it", .0.display())]
    Exists(PathBuf),
    /// Something else than a regular file is there.
    #[error("{} is {kind}: name a regular file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// It would be its own copy.
    #[error("{} is the file itself", .0.display())]
    Same(PathBuf),
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
    let path = &open::check_readable(path)?;
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
        drop(fs::remove_file(journal(&part)));
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

/// `name.suffix`, in the same directory: renaming stays within one file system.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn journal(part: &Path) -> PathBuf {
    let mut name = part.as_os_str().to_owned();
    name.push("-journal");
    PathBuf::from(name)
}

/// Makes an empty file that is its owner's alone: it will hold the key that signs tokens.
pub(super) fn begin(part: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Io { path: part.to_owned(), source };
    // With what a crash may have left beside it, which SQLite would take for this one's.
    for leftover in [journal(part), part.to_owned()] {
        match fs::remove_file(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    let mut options = OpenOptions::new();
    permissions::create_private(options.write(true).create_new(true)).open(part).map(drop).map_err(failed)
}

pub(super) fn sync(path: &Path) -> Result<(), BackupError> {
    disk::sync_file(path).map_err(|source| BackupError::Io { path: path.to_owned(), source })
}

/// Gives a file its name, and syncs that name.
pub(super) fn place(part: &Path, name: &Path) -> Result<(), BackupError> {
    let renamed = fs::rename(part, name).and_then(|()| disk::sync_name(name));
    renamed.map_err(|source| BackupError::Io { path: name.to_owned(), source })
}

/// Fails where a path leads to something else than a regular file: a directory, a named pipe, a device.
pub(super) fn require_file(path: &Path) -> Result<(), BackupError> {
    match location::not_a_regular_file(path) {
        Some(kind) => Err(BackupError::NotAFile { path: path.to_owned(), kind }),
        None => Ok(()),
    }
}

pub(super) fn may_replace(path: &Path, replace: bool) -> Result<(), BackupError> {
    require_file(path)?;
    if !replace && path.exists() {
        return Err(BackupError::Exists(path.to_owned()));
    }
    Ok(())
}

pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    matches!((file::canonicalize(one), file::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}
