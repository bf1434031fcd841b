//! Errors of the store. Their messages reach users, and say what to do.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    index::IndexError,
    model::{cancel::Ended, credential::MAKE_ADMINISTRATOR, error::ParameterError, query::Query},
    store::event::stored::Damaged,
};

/// The file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another auditbox has the file open.
    #[error("{} is open in another auditbox: stop that one first, or use it with --url", .0.display())]
    InUse(PathBuf),
    /// The database or its lock file could not be locked.
    #[error(
        "cannot lock {}: {source}; check that its directory exists and is writable (a network file system must support \
         locks)",
        .path.display()
    )]
    Lock {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The path cannot be resolved.
    #[error("cannot reach {}: {source}; check the path, and that this user may enter its directories", .path.display())]
    Unreachable {
        /// The path.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The path leads to something that is not a regular file.
    #[error("{} is {kind}, and auditbox needs a regular file there: use another path, or remove it", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there, in words.
        kind: &'static str,
    },
    /// The file has other names, under which SQLite would look for other companion files.
    #[error(
        "{path} has {links} hard links, and a database must have one name: programs that open it by different names do \
         not see each other's writes and damage it. Find the other names with `find / -samefile {path}` and remove \
         them, or work on a copy made with `cp`",
        path = quoted(.path)
    )]
    Linked {
        /// The file.
        path: PathBuf,
        /// The number of its names.
        links: u64,
    },
    /// The file is mounted by itself, without its companion files.
    #[error(
        "{} is mounted by itself, so its write-ahead log would be in another place and could be lost: mount its \
         directory instead",
        .0.display()
    )]
    Mounted(PathBuf),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The file does not exist, and the command does not create it.
    #[error("there is no file {}: start the server once to create it, or name another with --config", .0.display())]
    Missing(PathBuf),
    /// The file belongs to another program.
    #[error("{} is not a file of auditbox, and was not changed: use another path", .0.display())]
    Foreign(PathBuf),
    /// The file is from a later version.
    #[error(
        "{} has format {found}, and this auditbox knows formats up to {known}: use a newer auditbox",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this program knows.
        known: i64,
    },
    /// The file is from an earlier version, and the command does not migrate it.
    #[error(
        "{} has the older format {found}, and this auditbox reads format {known}: make a copy, then start the server \
         on it once, which migrates it",
        .path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The format that this program reads.
        known: i64,
    },
    /// The disk has no room for the few pages of the write-ahead log that opening needs.
    #[error(
        "cannot open {}: the disk is full; nothing was changed: make room and start again", .0.display()
    )]
    Full(PathBuf),
    /// The file, or its directory, is read-only.
    #[error(
        "cannot open {}: it, or its directory, is read-only for this user; nothing was changed: make both writable and \
         start again", .0.display()
    )]
    ReadOnly(PathBuf),
    /// This user may not open the file.
    #[error(
        "cannot open {}: this user may not read it or its directory; nothing was changed: run auditbox as the user who owns \
         it, or have its owner permit it", .0.display()
    )]
    Denied(PathBuf),
    /// The file is damaged, or the disk failed.
    #[error(
        "cannot open {}: {message}; the file was not changed: make a copy of it and of its -wal file before anything \
         else",
        .path.display()
    )]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite reported.
        message: String,
    },
}

/// A write that failed, or whose outcome is unknown. Sending it again is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The queue is full.
    #[error("too many events are waiting to be written; send it again")]
    QueueFull,
    /// Another process locked the file for too long.
    #[error("the file is busy; send it again")]
    Busy,
    /// The disk is full.
    #[error("the disk is full and nothing was stored: make room and send it again")]
    DiskFull,
    /// The write-ahead log has reached its limit.
    #[error(
        "the write-ahead log has reached its limit ([database] wal_bytes_max), and a read transaction prevents \
         emptying it; send it again later; the server log names the reader"
    )]
    WalFull,
    /// The index is damaged where it would show whether the event is a duplicate.
    #[error(
        "the index is damaged, so it is unknown whether the event is a duplicate: the operator must run `auditbox \
         reindex`"
    )]
    IndexDamaged,
    /// The writer stopped, after an error of the disk or because the server is stopping.
    #[error("the server accepts no more writes; send it again once it has been restarted")]
    Stopped,
}

/// The writer ended early. The message says where acknowledged events are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseError {
    /// The disk failed.
    #[error(
        "a disk error ended the writer. Acknowledged events are in {path} and {path}-wal: keep the two together, \
         repair the disk, and start again",
        path = .0.display()
    )]
    Disk(PathBuf),
    /// The files that hold events are in place; another is not.
    #[error(
        "{what}. Acknowledged events are in {path} and {path}-wal, which are in place: start again",
        path = .path.display()
    )]
    InPlace {
        /// Which files are no longer in place.
        what: String,
        /// The database.
        path: PathBuf,
    },
    /// The write-ahead log was copied into the database.
    #[error("{what}. The write-ahead log was copied: every acknowledged event is in the database {}", .path.display())]
    Saved {
        /// Which files are no longer in place.
        what: String,
        /// The present path of the database.
        path: PathBuf,
    },
    /// The database was deleted.
    #[error("{what}. The database was deleted: events that were not copied while the server ran are lost")]
    Deleted {
        /// Which files are no longer in place.
        what: String,
    },
    /// The write-ahead log could not be copied into the database.
    #[error(
        "{what}. The write-ahead log could not be copied ({why}): {} may lack acknowledged events. Export the events \
         that the server still shows while it runs. If the files still exist, put them back before the next start",
        .path.display()
    )]
    Unsaved {
        /// Which files are no longer in place.
        what: String,
        /// The database.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The writer's thread panicked.
    #[error(
        "the writer crashed. Acknowledged events are in {path} and {path}-wal: keep the two together",
        path = .0.display()
    )]
    Broken(PathBuf),
}

/// An event of a batch whose identifier belongs to an event with other content: a stored one, or an earlier one of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The position of the event in the batch.
    pub index: usize,
    /// The identifier.
    pub identifier: String,
}

fn in_conflict(conflicts: &[Conflict]) -> String {
    match conflicts {
        [Conflict { identifier, .. }] => format!("identifier {identifier:?} belongs to another event"),
        [Conflict { identifier, .. }, more @ ..] => {
            format!("identifier {identifier:?} and {} more belong to other events", more.len())
        }
        [] => "an identifier belongs to another event".to_owned(),
    }
}

/// Why events were not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Events of the batch have the identifiers of other events, and other content.
    #[error("{}", in_conflict(.0))]
    Conflict(Vec<Conflict>),
    /// The write failed.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Why a credential was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Another credential has the name, or had it before it was revoked.
    #[error("the name {0:?} is taken; a name is never used again, so that audit records stay unambiguous")]
    NameTaken(String),
    /// Another credential has the client id.
    #[error("the client id {0:?} is taken")]
    ClientIdTaken(String),
    /// The credential does not exist.
    #[error("there is no credential {0:?}")]
    Unknown(String),
    /// The credential is revoked, which cannot be undone.
    #[error("the credential {0:?} is revoked, which cannot be undone: create a new one")]
    Revoked(String),
    /// After the change, no credential could administer the log.
    #[error(
        "the credential {0:?} is the last usable administrator and cannot be disabled or revoked: create another \
         first, on the server with `{MAKE_ADMINISTRATOR}` or over the API with the scope admin"
    )]
    LastAdministrator(String),
    /// The ticket was already used.
    #[error("it was used before, and is valid only once")]
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
        "the query waited too long for its turn: [database] readers limits the queries that run at once, and one \
         credential may use half of them; send it again later"
    )]
    Overloaded,
    /// The query was stopped at its deadline.
    #[error("the query was stopped at its time limit of {} ([limits] query_seconds); {advice}", seconds(*.within))]
    TooLong {
        /// The time limit.
        within: Duration,
        /// How to make the query shorter.
        advice: String,
    },
    /// The client disconnected before the query ended.
    #[error("the query was stopped: its client has closed the connection")]
    Abandoned,
    /// An event's stored form is damaged.
    #[error(
        "event {} of the log is damaged: {}; run `auditbox doctor` for details; a backup may contain the event \
         undamaged",
        .0.seq, .0.message
    )]
    Damaged(Damaged),
    /// The index is damaged where the query needs it.
    #[error("{0}")]
    IndexDamaged(String),
    /// The events show that the query cannot be answered as sent.
    #[error(transparent)]
    Refused(#[from] ParameterError),
    /// A running server has dropped events since the command opened the file.
    #[error("events were dropped while the file was read: run the command again")]
    Changed,
    /// SQLite failed.
    #[error("the file could not be read: {0}")]
    Sqlite(String),
}

impl ReadError {
    /// Adds advice for this query to the error, if the query took too long.
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
            Ended::Canceled => Self::Abandoned,
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
    /// Nothing was written, and a later attempt may succeed.
    Passing(WriteError),
    /// The content of the disk can no longer be relied on.
    Final,
}

/// Whether the disk had no room for the index of the write-ahead log (WAL), the file `-shm`. SQLite reports this as an
/// error of the disk. But that file only says where pages are in the WAL: every start rebuilds it, and nothing is lost
/// with it.
pub(super) const fn is_room_for_wal_index(extended_code: i32) -> bool {
    extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
}

/// What an error of a write means for the writer.
pub(super) fn classify(error: &IndexError) -> WriteFailure {
    use rusqlite::ErrorCode;
    let IndexError::Sqlite(error) = error else {
        return WriteFailure::Final;
    };
    if error.sqlite_error().is_some_and(|error| is_room_for_wal_index(error.extended_code)) {
        return WriteFailure::Passing(WriteError::DiskFull);
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => WriteFailure::Passing(WriteError::DiskFull),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => WriteFailure::Passing(WriteError::Busy),
        _ => WriteFailure::Final,
    }
}

/// A path, quoted for a shell if need be.
pub(in crate::store) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-".contains(char);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_where_a_shell_would_take_it_apart() {
        assert_eq!(quoted(Path::new("/var/lib/a-b_c.db")), "/var/lib/a-b_c.db");
        assert_eq!(quoted(Path::new("/it's a $HOME")), r"'/it'\''s a $HOME'");
    }
}
