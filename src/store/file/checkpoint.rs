//! Copying the write-ahead log back into the file (a checkpoint), without holding up writers.
//!
//! A checkpoint copies pages and syncs the file: tens of milliseconds in which the writer's thread could not commit. So a
//! second thread, with a connection of its own, copies while the writer goes on; SQLite lets the two work side by side.
//! What was written meanwhile is little, and the writer copies that itself, which empties the log: only when everything
//! in it has been copied does it begin again from its start.
//!
//! The log begins again only when no reader needs what is in it. The server's own queries hold a snapshot for a moment, and
//! [`OpenReads`] knows them; another program (a shell with a transaction open, `auditbox backup`) may hold one for hours,
//! and nothing can take it away. Meanwhile the log grows with every commit, so it is bounded ([`WalRoom`]): at the bound
//! nothing more is written until that program is done.
//!
//! A burst leaves a log file that is long and hardly used. Once little has been written for some seconds, the second thread
//! copies the log and the writer truncates the file, so that a small database does not keep a large log file. The writer
//! itself copies only what came in meanwhile, so that the next request waits for little.
//!
//! A crash at any point leaves the log as it was: pages copied already are copied again, with the same content.

use std::{
    fs, mem,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender, TryRecvError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::{Connection, config::DbConfig};

use crate::store::{
    error::OpenError,
    file::{fault_injection, location, open, open_reads::OpenReads},
};

/// Bytes written to the log before it is copied. Larger means less copying (a page that changes often is copied once) and
/// a larger log.
const BEGIN_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that the writer may copy itself. Where more was written meanwhile, the other thread goes once more.
const REST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Times that the other thread goes before the writer copies whatever is left.
const ROUNDS_MAX: u32 = 4;
/// A log longer than this is emptied even if that means waiting for readers, so that it cannot grow without bound.
const LOG_BYTES_LONG: u64 = 256 * 1024 * 1024;
/// How long the writer waits for readers. A query of the server holds a snapshot for less; another program may hold one for
/// hours.
const READERS_WAIT: Duration = Duration::from_millis(200);
/// A log file longer than this is truncated while little is written.
const QUIET_LOG_BYTES: u64 = 4 * 1024 * 1024;
/// Little is written while it is at most this many bytes in [`QUIET_AFTER`].
const QUIET_BYTES: usize = 1024 * 1024;
/// How long little must have been written before the log file is truncated. A file that has to grow again makes commits
/// slower, so this is longer than the pauses of a steady sender.
const QUIET_AFTER: Duration = Duration::from_secs(5);
/// What the server's own records may take of a log that is full for everyone else.
const RESERVE_BYTES: u64 = 64 * 1024 * 1024;
const PAGE_BYTES: i64 = 4096;

/// How long the log is, and may become. Shared by the writer's thread, which measures, and its handles, which ask.
#[derive(Clone)]
pub(in crate::store) struct WalRoom {
    bytes: Arc<AtomicU64>,
    bytes_max: u64,
}

impl WalRoom {
    /// How long the write-ahead log was when it was last measured.
    pub(in crate::store) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether more may be written; `reserved` for the server's own records, which alone may use the reserve.
    pub(in crate::store) fn is_there(&self, reserved: bool) -> bool {
        let reserve = if reserved { RESERVE_BYTES } else { 0 };
        self.bytes.load(Ordering::Relaxed) < self.bytes_max.saturating_add(reserve)
    }
}

/// What the writer knows of its log.
pub(in crate::store) struct Checkpoints {
    begin: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    copied: Receiver<rusqlite::Result<()>>,
    /// How often the other thread has gone since the log was last emptied; `None` while it is not going.
    going: Option<u32>,
    /// About how much was written since the other thread last began.
    log_bytes: usize,
    /// Since when little has been written, and how much since then.
    quiet: (Instant, usize),
    /// Whether the log file is to be truncated once it has been copied.
    is_truncating: bool,
    /// The log's own file.
    log: PathBuf,
    room: WalRoom,
    /// What this process reads.
    reads: OpenReads,
    /// The length from which the log is emptied even if that means waiting for readers.
    long_bytes: u64,
    /// [`BEGIN_BYTES`], but in rehearsals.
    begin_bytes: usize,
}

impl Checkpoints {
    /// Starts the other thread on the file at `path`.
    pub(in crate::store) fn start(path: &Path, wal_bytes_max: u64, reads: OpenReads) -> Result<Self, OpenError> {
        let connection = open::read_write(path)?;
        // The writer decides in what state the log is left.
        let configured = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        configured.map_err(|error| open::refused(path, &error))?;
        let begin_bytes = fault_injection::checkpoint_bytes(BEGIN_BYTES);
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
        // Emptied well before its bound, so that readers who hold it for a moment do not bring it there.
        let long_bytes = LOG_BYTES_LONG.min(wal_bytes_max / 2);
        Ok(Self {
            begin: Some(begin),
            thread: Some(thread),
            copied,
            going: None,
            log_bytes: 0,
            quiet: (Instant::now(), 0),
            is_truncating: false,
            log: location::companion(path, location::LOG),
            room: WalRoom { bytes: Arc::default(), bytes_max: wal_bytes_max },
            reads,
            long_bytes,
            begin_bytes,
        })
    }

    /// How long the log is, for those who want to write.
    pub(in crate::store) fn room(&self) -> WalRoom {
        self.room.clone()
    }

    /// Takes note of a commit of about so many bytes.
    pub(in crate::store) fn wrote(&mut self, bytes: usize) {
        self.log_bytes += bytes;
        self.quiet.1 += bytes;
        if self.quiet.1 > QUIET_BYTES {
            self.quiet = (Instant::now(), 0);
        }
    }

    /// Does what is due, on the writer's connection between two commits.
    pub(in crate::store) fn advance(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let was_full = !self.room.is_there(false);
        if !self.measure() {
            return self.make_room(connection, was_full);
        }
        // Taken: an error must not leave a thread that is done looking as if it were going.
        match self.going.take() {
            None if self.log_bytes >= self.begin_bytes => self.go(1),
            None if self.length() > QUIET_LOG_BYTES && self.is_quiet() => {
                self.is_truncating = true;
                self.go(1);
            }
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
    pub(in crate::store) fn finish(&mut self, connection: &Connection) -> rusqlite::Result<()> {
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
        let log_bytes = copy(connection, "PASSIVE")?.unsigned_abs();
        if mem::take(&mut self.is_truncating) && self.is_quiet() {
            // If a reader still needs the log, this is tried again after another quiet time.
            self.quiet = (Instant::now(), 0);
            truncate(connection, Duration::ZERO)?;
        } else if log_bytes > self.long_bytes {
            truncate(connection, READERS_WAIT)?;
            if self.measure() && self.length() > self.long_bytes {
                tracing::warn!(log_bytes, "the write-ahead log grows and cannot be emptied: {}", cause(&self.reads));
            }
        }
        Ok(())
    }

    /// Tries to empty a log that has come to its bound. Called again and again while it is there.
    fn make_room(&mut self, connection: &Connection, was_full: bool) -> rusqlite::Result<()> {
        // A query of this server is about to let the log be emptied; another program may keep it for hours.
        let wait = if self.reads.oldest().is_some() { READERS_WAIT } else { Duration::ZERO };
        truncate(connection, wait)?;
        if self.measure() {
            self.log_bytes = 0;
            if was_full {
                tracing::info!("the write-ahead log could be emptied: events are taken again");
            }
        } else if !was_full {
            tracing::error!(
                log_bytes = self.length(),
                "the write-ahead log is at its limit ([database] wal_bytes_max) and cannot be emptied: {}; no more events \
                 are taken until that ends",
                cause(&self.reads)
            );
        }
        Ok(())
    }

    /// Looks how long the log is. Whether there is room for more.
    fn measure(&mut self) -> bool {
        // One that is not there is empty.
        let bytes = fs::metadata(&self.log).map_or(0, |metadata| metadata.len());
        self.room.bytes.store(bytes, Ordering::Relaxed);
        self.room.is_there(false)
    }

    fn is_quiet(&self) -> bool {
        self.quiet.0.elapsed() >= QUIET_AFTER
    }

    fn length(&self) -> u64 {
        self.room.bytes.load(Ordering::Relaxed)
    }
}

/// Names the reader that keeps the log from being emptied.
fn cause(reads: &OpenReads) -> String {
    match reads.oldest() {
        Some((who, age)) if age >= READERS_WAIT => {
            format!("{who} of this server has been reading one state of the file for {} ms", age.as_millis())
        }
        _ => "another program holds a read transaction on the file open".to_owned(),
    }
}

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

/// How many frames the log has, by its index.
pub(in crate::store) fn frames_in_log(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1))
}

/// Copies the whole log into the database, without changing the log. False if a reader kept a part from being copied.
pub(in crate::store) fn copy_all(connection: &Connection) -> rusqlite::Result<bool> {
    let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (busy, pages, copied): (i64, i64, i64) = connection.query_row("PRAGMA wal_checkpoint(FULL)", [], columns)?;
    Ok(busy == 0 && pages == copied)
}

/// Copies the whole log into the file and empties it: for long work while nobody else writes.
pub(in crate::store) fn empty(connection: &Connection) -> rusqlite::Result<()> {
    copy(connection, "TRUNCATE").map(drop)
}

/// Copies what can be copied; returns the length of the log in bytes.
fn copy(connection: &Connection, mode: &str) -> rusqlite::Result<i64> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    connection.query_row(&sql, [], |row| row.get::<_, i64>(1)).map(|pages| pages * PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_of_this_server_is_named_where_it_is_the_cause() {
        let reads = OpenReads::default();
        assert!(cause(&reads).starts_with("another program"));
        let young = reads.begin("a query");
        let old = reads.begin("retention");
        thread::sleep(READERS_WAIT);
        let _youngest = reads.begin("a query");
        assert!(cause(&reads).contains(" of this server has been reading"), "{}", cause(&reads));
        young.renew();
        assert!(cause(&reads).starts_with("retention of this server"), "{}", cause(&reads));
        old.renew();
        assert!(cause(&reads).starts_with("another program"), "those that are exchanged in time hold nothing up");
    }
}
