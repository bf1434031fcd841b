//! Copying the write-ahead log back into the file (a checkpoint), without holding up writers.
//!
//! A checkpoint copies pages and syncs the file: tens of milliseconds in which the writer's thread could not commit. So a
//! second thread, with a connection of its own, copies while the writer goes on; SQLite lets the two work side by side.
//! What was written meanwhile is little, and the writer copies that itself, which empties the log: only when everything
//! in it has been copied does it begin again from its start.
//!
//! A crash at any point leaves the log as it was: pages copied already are copied again, with the same content.

use std::{
    path::Path,
    sync::mpsc::{self, Receiver, SyncSender, TryRecvError},
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, config::DbConfig};

use crate::store::{OpenError, open, rehearsal};

/// Bytes written to the log before it is copied. Larger means less copying (a page that changes often is copied once) and
/// a larger log.
const BEGIN_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that the writer may copy itself. Where more was written meanwhile, the other thread goes once more.
const REST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Times that the other thread goes before the writer copies whatever is left.
const ROUNDS_MAX: u32 = 4;
/// A log longer than this is emptied even if that means waiting for readers, so that it cannot grow without bound.
const LOG_BYTES_MAX: i64 = 256 * 1024 * 1024;
const PAGE_BYTES: i64 = 4096;

/// What the writer knows of its log.
pub(super) struct Checkpoints {
    begin: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    copied: Receiver<rusqlite::Result<()>>,
    /// How often the other thread has gone since the log was last emptied; `None` while it is not going.
    going: Option<u32>,
    /// About how much was written since the other thread last began.
    log_bytes: usize,
    /// [`BEGIN_BYTES`], but in rehearsals.
    begin_bytes: usize,
}

impl Checkpoints {
    /// Starts the other thread on the file at `path`.
    pub(super) fn start(path: &Path) -> Result<Self, OpenError> {
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
        Ok(Self { begin: Some(begin), thread: Some(thread), copied, going: None, log_bytes: 0, begin_bytes })
    }

    /// Takes note of a commit of about so many bytes.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.log_bytes += bytes;
    }

    /// Does what is due, on the writer's connection between two commits.
    pub(super) fn advance(&mut self, connection: &Connection) -> rusqlite::Result<()> {
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
        if log_bytes > LOG_BYTES_MAX {
            tracing::warn!(log_bytes, "the write-ahead log is long: waiting for readers to empty it");
            copy(connection, "TRUNCATE")?;
        }
        Ok(())
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
