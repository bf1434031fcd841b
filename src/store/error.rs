//! What can go wrong with the file, in words that say what to do.

use std::{io, path::PathBuf};

use crate::{index::IndexError, model::error::ParameterError, store::Damaged};

/// The file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is open in another auditbox; stop that one first, or talk to it with --url", .0.display())]
    InUse(PathBuf),
    /// The lock file could not be made.
    #[error("cannot lock {}: {source}; is its directory there and writable?", .path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The writer's thread, or a reader's connection, could not be made.
    #[error("the system refuses another thread: {0}")]
    Thread(io::Error),
    /// There is no such file, and it was only to be read.
    #[error("there is no file {}; start the server once to make it, or name another with --config", .0.display())]
    Missing(PathBuf),
    /// Some other program's file.
    #[error("{} is not a file of auditbox; it was not touched: name another file", .0.display())]
    Foreign(PathBuf),
    /// A file of a later version.
    #[error("{} has format {found}, this auditbox knows up to {known}: use a newer auditbox", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// This program's.
        known: i64,
    },
    /// A file of an earlier version, which was only to be read.
    #[error(
        "{} has the older format {found}, this auditbox reads {known}: start the server on it once, which brings it up to \
         date (keep a copy)", .path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// This program's.
        known: i64,
    },
    /// There is no room to open it: the log beside it needs a few pages.
    #[error(
        "cannot open {}: the disk is full; nothing was changed: make room and start again", .0.display()
    )]
    Full(PathBuf),
    /// It, or where it lies, cannot be written to.
    #[error(
        "cannot open {}: it, or its directory, is read-only for this user; nothing was changed: make both writable and \
         start again", .0.display()
    )]
    ReadOnly(PathBuf),
    /// The file is damaged, or the disk refuses.
    #[error(
        "cannot open {}: {message}; the file was left as it is: keep a copy of it and of its -wal file before anything \
         else", .path.display()
    )]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's word.
        message: String,
    },
}

/// A write that did not happen, or of which it is not known whether it did. Sending it again is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// More is waiting than may wait.
    #[error("too much is waiting to be written; send it again")]
    QueueFull,
    /// Another process held the file too long.
    #[error("the file is busy; send it again")]
    Busy,
    /// No room.
    #[error("the disk is full; nothing was stored: make room and send it again")]
    DiskFull,
    /// The write-ahead log is as long as it may become.
    #[error(
        "another program holds a read transaction on the file open, so that the write-ahead log cannot be emptied, and it \
         is as long as it may become; send it again once that program is done"
    )]
    LogFull,
    /// The index cannot say whether the event is there already.
    #[error("the index is damaged, so that a duplicate could not be told: the operator has to run auditbox reindex")]
    IndexDamaged,
    /// The writer stopped, after an error of the disk or because the server is stopping.
    #[error("the server takes no more writes; send it again once it has been restarted")]
    Stopped,
}

/// Why events were not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// An event of the batch has the identifier of another event with other content.
    #[error("identifier {identifier:?} already stands for another event")]
    Conflict {
        /// Its position in the batch.
        index: usize,
        /// The identifier.
        identifier: String,
    },
    /// The write failed.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Why a credential was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The name is, or was, another's.
    #[error("the name {0:?} is taken; names are never given twice, so that the record stays clear")]
    NameTaken(String),
    /// The client id is another's.
    #[error("the client id {0:?} is taken")]
    ClientIdTaken(String),
    /// There is none.
    #[error("there is no credential {0:?}")]
    Unknown(String),
    /// It was revoked, which is for good.
    #[error("the credential {0:?} is revoked, which is for good: make a new one")]
    Revoked(String),
    /// The ticket was spent before.
    #[error("it was used before, and is good only once")]
    Spent,
    /// The write failed.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// A read that failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Every connection was in use for too long.
    #[error("too many questions at once; ask again")]
    Overloaded,
    /// An event's stored form is damaged.
    #[error(
        "event {} of the log is damaged: {}; `auditbox doctor` says more, and a backup may have it whole", .0.seq, .0.message
    )]
    Damaged(Damaged),
    /// The index cannot answer.
    #[error("{0}")]
    IndexDamaged(String),
    /// The answer cannot be made as asked, which only the events show.
    #[error(transparent)]
    Refused(#[from] ParameterError),
    /// A server beside has dropped events since the file was opened.
    #[error("events were dropped while the file was looked at: run the command again")]
    Changed,
    /// SQLite refused.
    #[error("the file could not be read: {0}")]
    Sqlite(String),
}

impl From<IndexError> for ReadError {
    fn from(error: IndexError) -> Self {
        if let IndexError::Refused(refused) = error {
            return Self::Refused(refused);
        }
        if error.is_damage() { Self::IndexDamaged(error.to_string()) } else { Self::Sqlite(error.to_string()) }
    }
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error.to_string())
    }
}

impl From<r2d2::Error> for ReadError {
    fn from(_: r2d2::Error) -> Self {
        Self::Overloaded
    }
}

/// What a failed statement means for the writer.
pub(super) enum Failure {
    /// Nothing was written; it may go better later.
    Passing(WriteError),
    /// What is on the disk can no longer be relied on.
    Final,
}

/// Whether an error says that there was no room for the log's index, the file `-shm`. It counts as an error of the disk with
/// SQLite, but that file only says where things are in the log: it is made anew at every start, and nothing is lost with it.
pub(super) const fn is_room_for_log_index(extended_code: i32) -> bool {
    extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
}

pub(super) fn classify(error: &IndexError) -> Failure {
    use rusqlite::ErrorCode;
    let IndexError::Sqlite(error) = error else {
        return Failure::Final;
    };
    if error.sqlite_error().is_some_and(|error| is_room_for_log_index(error.extended_code)) {
        return Failure::Passing(WriteError::DiskFull);
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Failure::Passing(WriteError::DiskFull),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Failure::Passing(WriteError::Busy),
        _ => Failure::Final,
    }
}
