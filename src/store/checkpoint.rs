//! Copying the write-ahead log back into the file (a checkpoint), without holding up writers.
//!
//! A checkpoint copies pages and syncs the file: tens of milliseconds in which the writer's thread could not commit. So a
//! second thread, with a connection of its own, copies while the writer goes on; SQLite lets the two work side by side.
//! What was written meanwhile is little, and the writer copies that itself, which empties the log: only when everything
//! in it has been copied does it begin again from its start.
//!
//! The log begins again only where nobody reads what is in it. The server's own readers hold a snapshot for one slice; a
//! program beside it (a shell with a transaction open, `auditbox backup`) may hold one for hours, and nothing can take
//! it away. Meanwhile the log grows with every commit, so it is bounded ([`LogRoom`]): at the bound nothing more is written
//! until that program is done.
//!
//! A crash at any point leaves the log as it was: pages copied already are copied again, with the same content.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender, TryRecvError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, config::DbConfig};

use crate::store::{OpenError, open, place, rehearsal};

/// Bytes written to the log before it is copied. Larger means less copying (a page that changes often is copied once) and
/// a larger log.
const BEGIN_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that the writer may copy itself. Where more was written meanwhile, the other thread goes once more.
const REST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Times that the other thread goes before the writer copies whatever is left.
const ROUNDS_MAX: u32 = 4;
/// A log longer than this is emptied even if that means waiting for readers, so that it cannot grow without bound.
const LOG_BYTES_LONG: i64 = 256 * 1024 * 1024;
/// How long that is waited for: the server's own readers take less, and for another program's there is no telling.
const READERS_WAIT: Duration = Duration::from_millis(200);
/// What the server's own records may take of a log that is full for everyone else.
const RESERVE_BYTES: u64 = 64 * 1024 * 1024;
const PAGE_BYTES: i64 = 4096;

/// How long the log is, and may become. Shared by the writer's thread, which measures, and its handles, which ask.
#[derive(Clone)]
pub(super) struct LogRoom {
    bytes: Arc<AtomicU64>,
    bytes_max: u64,
}

impl LogRoom {
    /// How long the write-ahead log was when it was last measured.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether more may be written; `reserved` for the server's own records, which alone may use the reserve.
    pub(super) fn is_there(&self, reserved: bool) -> bool {
        let reserve = if reserved { RESERVE_BYTES } else { 0 };
        self.bytes.load(Ordering::Relaxed) < self.bytes_max.saturating_add(reserve)
    }
}

/// What the writer knows of its log.
pub(super) struct Checkpoints {
    begin: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    copied: Receiver<rusqlite::Result<()>>,
    /// How often the other thread has gone since the log was last emptied; `None` while it is not going.
    going: Option<u32>,
    /// About how much was written since the other thread last began.
    log_bytes: usize,
    /// The log's own file.
    log: PathBuf,
    room: LogRoom,
    /// [`BEGIN_BYTES`], but in rehearsals.
    begin_bytes: usize,
}

impl Checkpoints {
    /// Starts the other thread on the file at `path`.
    pub(super) fn start(path: &Path, log_bytes_max: u64) -> Result<Self, OpenError> {
        let connection = open::beside_writer(path)?;
        // The writer decides in what state the log is left.
        let configured = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        configured.map_err(|error| open::refused(path, &error))?;
        let begin_bytes = rehearsal::checkpoint_bytes(BEGIN_BYTES);
        let (begin, orders) = mpsc::sync_channel::<()>(1);
        let (finished, copied) = mpsc::sync_channel(1);
        let copying = move || {
            while orders.recv().is_ok() {
                if finished.send(copy(&connection, "PASSIVE").map(drop)).is_err() {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("checkpoint".to_owned()).spawn(copying).map_err(OpenError::Thread)?;
        // Beside the file itself, where the path is a link to it.
        let log = place::log_of(&fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()));
        let room = LogRoom { bytes: Arc::default(), bytes_max: log_bytes_max };
        Ok(Self { begin: Some(begin), thread: Some(thread), copied, going: None, log_bytes: 0, log, room, begin_bytes })
    }

    /// How long the log is, for those who want to write.
    pub(super) fn room(&self) -> LogRoom {
        self.room.clone()
    }

    /// Takes note of a commit of about so many bytes.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.log_bytes += bytes;
    }

    /// Does what is due, on the writer's connection between two commits.
    pub(super) fn advance(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if !self.measure() {
            return self.make_room(connection);
        }
        // Taken: an error must not leave a thread that is done looking as if it were going.
        match self.going.take() {
            None if self.log_bytes >= self.begin_bytes => self.go(1),
            None => {}
            Some(rounds) => match self.copied.try_recv() {
                Err(TryRecvError::Empty) => self.going = Some(rounds),
                Ok(Ok(())) if self.log_bytes > REST_BYTES_MAX && rounds < ROUNDS_MAX => self.go(rounds + 1),
                Ok(Err(error)) => return Err(error),
                // Where the other thread is gone, the writer manages alone.
                Ok(Ok(())) | Err(TryRecvError::Disconnected) => self.empty(connection)?,
            },
        }
        Ok(())
    }

    /// Copies everything, for a file that is whole by itself, and closes the other connection.
    pub(super) fn finish(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        drop(self.begin.take());
        // A thread that broke down has closed its connection too.
        let _ = self.thread.take().map(JoinHandle::join);
        copy(connection, "TRUNCATE").map(drop)
    }

    fn go(&mut self, round: u32) {
        // A thread that is gone is noticed when its answer is asked for.
        let _ = self.begin.as_ref().map(|begin| begin.send(()));
        self.going = Some(round);
        self.log_bytes = 0;
    }

    fn empty(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.log_bytes = 0;
        let log_bytes = copy(connection, "PASSIVE")?;
        if log_bytes > LOG_BYTES_LONG {
            truncate(connection, READERS_WAIT)?;
            if self.measure() && self.length() > LOG_BYTES_LONG.unsigned_abs() {
                tracing::warn!(log_bytes, "{HELD}");
            }
        }
        Ok(())
    }

    /// Tries to empty a log that has come to its bound. Called again and again while it is there.
    fn make_room(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        truncate(connection, Duration::ZERO)?;
        if self.measure() {
            self.log_bytes = 0;
            tracing::info!("the write-ahead log could be emptied: events are taken again");
        }
        Ok(())
    }

    /// Looks how long the log is. Whether there is room for more. Says so in the program's log when there no longer is.
    fn measure(&mut self) -> bool {
        let was_full = !self.room.is_there(false);
        // One that is not there is empty.
        let bytes = fs::metadata(&self.log).map_or(0, |metadata| metadata.len());
        self.room.bytes.store(bytes, Ordering::Relaxed);
        let has_room = self.room.is_there(false);
        if !was_full && !has_room {
            tracing::error!(log_bytes = bytes, "no more events are taken until it ends: {HELD}");
        }
        has_room
    }

    fn length(&self) -> u64 {
        self.room.bytes.load(Ordering::Relaxed)
    }
}

/// What keeps a log long.
const HELD: &str =
    "the write-ahead log grows and cannot be emptied: another program holds a read transaction on the file open";

/// Empties the log where no reader needs it any more, waiting so long for one that does.
fn truncate(connection: &Connection, wait: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(wait)?;
    let copied = copy(connection, "TRUNCATE");
    connection.busy_timeout(open::BUSY_TIMEOUT)?;
    match copied {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(()),
        copied => copied.map(drop),
    }
}

/// Copies the whole log into the file and empties it: for long work while nobody else writes.
pub(super) fn empty(connection: &Connection) -> rusqlite::Result<()> {
    copy(connection, "TRUNCATE").map(drop)
}

/// Copies what can be copied; returns the length of the log in bytes.
fn copy(connection: &Connection, mode: &str) -> rusqlite::Result<i64> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    connection.query_row(&sql, [], |row| row.get::<_, i64>(1)).map(|pages| pages * PAGE_BYTES)
}
