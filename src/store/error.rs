//! What can go wrong with the file, in words that say what to do.

use std::{io, path::PathBuf, time::Duration};

use crate::{
    index::IndexError,
    model::{cancel::Ended, credential::MAKE_ADMINISTRATOR, error::ParameterError, query::Query},
    store::{event::stored::Damaged, file::location},
};

/// The file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is open in another auditbox; stop that one first, or talk to it with --url", .0.display())]
    InUse(PathBuf),
    /// The database or its lock file could not be locked.
    #[error(
        "cannot lock {}: {source}; is its directory there and writable? (a network file system must support locks)",
        .path.display()
    )]
    Lock {
        /// Which file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The path cannot be followed.
    #[error("cannot reach {}: {source}; check the path, and that this user may enter its directories", .path.display())]
    Unreachable {
        /// The path.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The path leads to something that is not a regular file.
    #[error("{} is {kind}, and auditbox needs a regular file there: name another path, or remove it", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The file has other names, by which SQLite would look for other companion files.
    #[error(
        "{path} has {links} hard links, and a database must have one name: programs that open it by different names do not see \
         each other's writes and damage it. Find the other names with `find / -samefile {path}` and remove them, or work on \
         a copy made with `cp`", path = location::quoted(.path)
    )]
    Linked {
        /// The file.
        path: PathBuf,
        /// How many names it has.
        links: u64,
    },
    /// The file is mounted by itself, without its companion files.
    #[error(
        "{} is mounted by itself, so its write-ahead log would be kept apart from it and could be lost: mount its directory \
         instead", .0.display()
    )]
    Mounted(PathBuf),
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
        "the write-ahead log is as long as it may become ([database] wal_bytes_max), and a read transaction keeps it from \
         being emptied; send it again later; the server log says whose transaction it is"
    )]
    LogFull,
    /// The index cannot say whether the event is there already.
    #[error("the index is damaged, so that a duplicate could not be told: the operator has to run auditbox reindex")]
    IndexDamaged,
    /// The writer stopped, after an error of the disk or because the server is stopping.
    #[error("the server takes no more writes; send it again once it has been restarted")]
    Stopped,
}

/// The writer ended early. The message says where acknowledged events are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseError {
    /// The disk failed.
    #[error(
        "a disk error ended the writer. Acknowledged events are in {path} and {path}-wal: keep the two together, repair the \
         disk, and start again", path = .0.display()
    )]
    Disk(PathBuf),
    /// The files that hold events are in place.
    #[error("{what}. Acknowledged events are in {path} and {path}-wal, which are in place: start again", path = .path.display())]
    InPlace {
        /// Which files are not where they were.
        what: String,
        /// The database.
        path: PathBuf,
    },
    /// The write-ahead log was copied into the database.
    #[error("{what}. The write-ahead log was copied: every acknowledged event is in the database {}", .path.display())]
    Saved {
        /// Which files are not where they were.
        what: String,
        /// Where the database is now.
        path: PathBuf,
    },
    /// The database was deleted.
    #[error("{what}. The database was deleted: events that were not copied while the server ran are lost")]
    Deleted {
        /// Which files are not where they were.
        what: String,
    },
    /// The write-ahead log could not be copied into the database.
    #[error(
        "{what}. The write-ahead log could not be copied ({why}): {} may lack acknowledged events. Those that the server still \
         shows can be exported while it runs; put the files back before the next start, if they are still there", .path.display()
    )]
    Unsaved {
        /// Which files are not where they were.
        what: String,
        /// The database.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The writer's thread broke down.
    #[error("the writer broke down. Acknowledged events are in {path} and {path}-wal: keep the two together", path = .0.display())]
    Broken(PathBuf),
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
    /// Nobody could administer the log any more.
    #[error(
        "the credential {0:?} is the last usable administrator and cannot be disabled or revoked: make another first, on the \
         server with `{MAKE_ADMINISTRATOR}` or over the API with the scope admin"
    )]
    LastAdministrator(String),
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
    /// No connection was free in time.
    #[error(
        "the query waited too long for its turn: [database] readers is how many run at once, and one credential may have \
         half of them; send it again later"
    )]
    Overloaded,
    /// The query was stopped at its deadline.
    #[error(
        "the query was stopped after {}, which is as long as one may take ([limits] query_seconds); {advice}",
        seconds(*.within)
    )]
    TooLong {
        /// How long it had.
        within: Duration,
        /// How to make it shorter.
        advice: String,
    },
    /// The client was gone before the answer was there.
    #[error("the query was stopped: its client has closed the connection")]
    Abandoned,
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
    /// A running server has dropped events since the command opened the file.
    #[error("events were dropped while the file was read: run the command again")]
    Changed,
    /// SQLite refused.
    #[error("the file could not be read: {0}")]
    Sqlite(String),
}

impl ReadError {
    /// The error with what makes this query shorter, where it took too long.
    pub(super) fn of(self, query: &Query) -> Self {
        match self {
            Self::TooLong { within, .. } => Self::TooLong { within, advice: query.advice() },
            error => error,
        }
    }
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        1 => "1 second".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}

impl From<Ended> for ReadError {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Deadline(within) => Self::TooLong { within, advice: "send it again later".to_owned() },
            Ended::Cancelled => Self::Abandoned,
        }
    }
}

impl From<IndexError> for ReadError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Ended(ended) => ended.into(),
            IndexError::Changed => Self::Changed,
            IndexError::Refused(refused) => Self::Refused(refused),
            IndexError::Damaged(_) => Self::IndexDamaged(error.to_string()),
            IndexError::Sqlite(_) if error.is_damage() => Self::IndexDamaged(error.to_string()),
            IndexError::Sqlite(_) => Self::Sqlite(error.to_string()),
        }
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
pub(super) enum WriteFailure {
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

pub(super) fn classify(error: &IndexError) -> WriteFailure {
    use rusqlite::ErrorCode;
    let IndexError::Sqlite(error) = error else {
        return WriteFailure::Final;
    };
    if error.sqlite_error().is_some_and(|error| is_room_for_log_index(error.extended_code)) {
        return WriteFailure::Passing(WriteError::DiskFull);
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => WriteFailure::Passing(WriteError::DiskFull),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => WriteFailure::Passing(WriteError::Busy),
        _ => WriteFailure::Final,
    }
}
