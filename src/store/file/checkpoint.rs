//! Checkpoints: copying the write-ahead log (WAL) into the database, without delaying writers.
//!
//! A checkpoint copies pages and syncs the database: tens of milliseconds in which the writer's thread could not
//! commit. So a second thread, with another connection, copies while the writer continues; SQLite permits this. Little
//! is written meanwhile. The writer copies the rest itself, which empties the WAL: SQLite starts the WAL from its
//! beginning only when all of it has been copied.
//!
//! SQLite also waits until no reader needs the WAL. The server's own queries hold a snapshot for a moment, and
//! [`OpenReads`] lists them. Another program (a shell with an open transaction, `auditbox backup`) may hold one for
//! hours, and nothing can end it. Meanwhile the WAL grows with every commit, so it has a limit ([`WalRoom`]), at which
//! nothing is written until that program ends its transaction.
//!
//! A burst leaves a large WAL file that is mostly unused. Once little has been written for some seconds, the second
//! thread copies the WAL and the writer truncates the file, so that a small database does not keep a large WAL file.
//! The writer copies only what was written meanwhile, so that the next request waits only briefly.
//!
//! A crash at any point leaves the WAL unchanged. Pages that were already copied are copied again, with the same
//! content.

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

/// Bytes written to the WAL before it is copied. A larger number means less copying (a page that changes often is
/// copied once) and a larger WAL.
const BEGIN_BYTES: usize = 64 * 1024 * 1024;
/// Maximum number of bytes that the writer copies itself. If more was written meanwhile, the second thread copies
/// again.
const REST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Maximum number of rounds of the second thread. After them the writer copies the rest, however large it is.
const ROUNDS_MAX: u32 = 4;
/// A WAL larger than this is emptied even if the writer has to wait for readers, so that it cannot grow without bound.
const WAL_BYTES_LONG: u64 = 256 * 1024 * 1024;
/// How long the writer waits for readers. The server's own queries hold a snapshot for a shorter time.
const READERS_WAIT: Duration = Duration::from_millis(200);
/// A WAL file larger than this is truncated while little is written.
const QUIET_WAL_BYTES: u64 = 4 * 1024 * 1024;
/// "Little" means at most this many bytes in [`QUIET_AFTER`].
const QUIET_BYTES: usize = 1024 * 1024;
/// How long little must have been written before the WAL file is truncated. Commits are slower while the file grows
/// again, so this is longer than the pauses of a steady sender.
const QUIET_AFTER: Duration = Duration::from_secs(5);
/// Bytes that the server's own records may use when the WAL is full for everyone else.
const RESERVE_BYTES: u64 = 64 * 1024 * 1024;
/// What a frame of the WAL has before its page (<https://sqlite.org/fileformat2.html#walformat>).
const FRAME_HEADER_BYTES: i64 = 24;

/// The size of the WAL, and its limit. The writer's thread measures it; the writer's handles read it.
#[derive(Clone)]
pub(in crate::store) struct WalRoom {
    bytes: Arc<AtomicU64>,
    bytes_max: u64,
}

impl WalRoom {
    /// The size of the WAL when it was last measured.
    pub(in crate::store) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether more may be written. `reserved` is for the server's own records, which alone may use the reserve.
    pub(in crate::store) fn is_there(&self, reserved: bool) -> bool {
        let reserve = if reserved { RESERVE_BYTES } else { 0 };
        self.bytes.load(Ordering::Relaxed) < self.bytes_max.saturating_add(reserve)
    }
}

/// The state of checkpoints, owned by the writer's thread.
pub(in crate::store) struct Checkpoints {
    begin: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    copied: Receiver<rusqlite::Result<()>>,
    /// The number of rounds of the second thread since the WAL was last emptied; `None` while it does not copy.
    round: Option<u32>,
    /// Bytes of one frame of the WAL.
    frame_bytes: usize,
    /// The number of frames in the WAL when they were last counted.
    frames: i64,
    /// The number of bytes written since the second thread last started to copy.
    wal_bytes: usize,
    /// Since when little has been written, and the bytes written since then.
    quiet: (Instant, usize),
    /// Whether to truncate the WAL file once it has been copied.
    is_truncating: bool,
    wal: PathBuf,
    room: WalRoom,
    /// The read transactions of this process.
    reads: OpenReads,
    /// The size above which the WAL is emptied even if the writer has to wait for readers.
    long_bytes: u64,
    /// [`BEGIN_BYTES`], except in tests of faults.
    begin_bytes: usize,
}

impl Checkpoints {
    /// Starts the second thread on the file at `path`.
    pub(in crate::store) fn start(path: &Path, wal_bytes_max: u64, reads: OpenReads) -> Result<Self, OpenError> {
        let connection = open::read_write(path)?;
        // The writer alone decides in which state the WAL is left.
        let configured = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        configured.map_err(|error| open::refused(path, &error))?;
        let frame_bytes = frame_bytes(&connection).map_err(|error| open::refused(path, &error))?;
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
        // Well below the limit, so that short reads do not make the WAL reach it.
        let long_bytes = WAL_BYTES_LONG.min(wal_bytes_max / 2);
        Ok(Self {
            begin: Some(begin),
            thread: Some(thread),
            copied,
            round: None,
            frame_bytes,
            frames: 0,
            wal_bytes: 0,
            quiet: (Instant::now(), 0),
            is_truncating: false,
            wal: location::companion(path, location::WAL),
            room: WalRoom { bytes: Arc::default(), bytes_max: wal_bytes_max },
            reads,
            long_bytes,
            begin_bytes,
        })
    }

    /// The size of the WAL and its limit, for the writer's handles.
    pub(in crate::store) fn room(&self) -> WalRoom {
        self.room.clone()
    }

    /// Counts what was written since the last time. The WAL may have started from its beginning in between. If it then
    /// has more frames than before, only the difference counts, and the next checkpoint begins a little later.
    fn count(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let frames = frames_in_wal(connection)?;
        // SQLite reports -1 while another process recovers the WAL.
        if frames < 0 {
            return Ok(());
        }
        let written = if frames < self.frames { frames } else { frames - self.frames };
        self.frames = frames;
        let bytes = usize::try_from(written).unwrap_or(0) * self.frame_bytes;
        self.wal_bytes += bytes;
        self.quiet.1 += bytes;
        if self.quiet.1 > QUIET_BYTES {
            self.quiet = (Instant::now(), 0);
        }
        Ok(())
    }

    /// Does the next part of a checkpoint that is due, on the writer's connection, between two commits.
    pub(in crate::store) fn advance(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.count(connection)?;
        let was_full = !self.room.is_there(false);
        if !self.measure() {
            return self.make_room(connection, was_full);
        }
        // Taken out of `self`, so that after an error a finished thread does not count as copying.
        match self.round.take() {
            None if self.wal_bytes >= self.begin_bytes => self.start_round(1),
            None if self.length() > QUIET_WAL_BYTES && self.is_quiet() => {
                self.is_truncating = true;
                self.start_round(1);
            }
            None => {}
            Some(round) => match self.copied.try_recv() {
                Err(TryRecvError::Empty) => self.round = Some(round),
                Ok(Ok(())) if self.wal_bytes > REST_BYTES_MAX && round < ROUNDS_MAX => self.start_round(round + 1),
                Ok(Err(error)) => return Err(error),
                // If the second thread has ended, the writer copies alone.
                Ok(Ok(())) | Err(TryRecvError::Disconnected) => self.empty(connection)?,
            },
        }
        Ok(())
    }

    /// Closes the second connection and copies everything, so that the database is complete without the WAL.
    pub(in crate::store) fn finish(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        drop(self.begin.take());
        // A thread that panicked has closed its connection too.
        let _ = self.thread.take().map(JoinHandle::join);
        copy(connection, "TRUNCATE").map(drop)
    }

    fn start_round(&mut self, round: u32) {
        // A thread that has ended is noticed when its result is received.
        let _ = self.begin.as_ref().map(|begin| begin.send(()));
        self.round = Some(round);
        self.wal_bytes = 0;
    }

    fn empty(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.wal_bytes = 0;
        let wal_bytes = usize::try_from(copy(connection, "PASSIVE")?).unwrap_or(0) * self.frame_bytes;
        if mem::take(&mut self.is_truncating) && self.is_quiet() {
            // If a reader still needs the WAL, this is repeated after the next quiet period.
            self.quiet = (Instant::now(), 0);
            truncate(connection, Duration::ZERO)?;
        } else if wal_bytes as u64 > self.long_bytes {
            truncate(connection, READERS_WAIT)?;
            if self.measure() && self.length() > self.long_bytes {
                tracing::warn!(wal_bytes, "the write-ahead log grows and cannot be emptied: {}", cause(&self.reads));
            }
        }
        Ok(())
    }

    /// Tries to empty a WAL that has reached its limit. Called again and again while it is at the limit.
    fn make_room(&mut self, connection: &Connection, was_full: bool) -> rusqlite::Result<()> {
        // Queries of this server end soon, so waiting is worthwhile. Another program may hold its transaction for
        // hours.
        let wait = if self.reads.oldest().is_some() { READERS_WAIT } else { Duration::ZERO };
        truncate(connection, wait)?;
        if self.measure() {
            self.wal_bytes = 0;
            if was_full {
                tracing::info!("the write-ahead log was emptied: events are accepted again");
            }
        } else if !was_full {
            tracing::error!(
                wal_bytes = self.length(),
                "the write-ahead log has reached its limit ([database] wal_bytes_max) and cannot be emptied: {}; no \
                 events are accepted until that ends",
                cause(&self.reads)
            );
        }
        Ok(())
    }

    /// Measures the WAL. Returns whether there is room for more.
    fn measure(&mut self) -> bool {
        // A missing file is an empty WAL.
        let bytes = fs::metadata(&self.wal).map_or(0, |metadata| metadata.len());
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

/// Names the reader that prevents emptying the WAL.
fn cause(reads: &OpenReads) -> String {
    match reads.oldest() {
        Some((who, age)) if age >= READERS_WAIT => {
            format!("{who} of this server has held a snapshot of the file for {} ms", age.as_millis())
        }
        _ => "another program holds a read transaction on the file open".to_owned(),
    }
}

/// Empties the WAL if no reader needs it. Waits at most `wait` for readers that do.
fn truncate(connection: &Connection, wait: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(wait)?;
    let copied = copy(connection, "TRUNCATE");
    connection.busy_timeout(open::BUSY_TIMEOUT)?;
    match copied {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(()),
        copied => copied.map(drop),
    }
}

/// The number of frames in the WAL, according to its index.
pub(in crate::store) fn frames_in_wal(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?.query_row([], |row| row.get(1))
}

/// Copies the whole WAL into the database, without changing the WAL. False if a reader prevented copying a part.
pub(in crate::store) fn copy_all(connection: &Connection) -> rusqlite::Result<bool> {
    let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (busy, pages, copied): (i64, i64, i64) = connection.query_row("PRAGMA wal_checkpoint(FULL)", [], columns)?;
    Ok(busy == 0 && pages == copied)
}

/// Copies the whole WAL into the database and empties it. For long work while no other connection writes.
pub(in crate::store) fn empty(connection: &Connection) -> rusqlite::Result<()> {
    copy(connection, "TRUNCATE").map(drop)
}

/// Copies as much as readers permit; returns the number of frames in the WAL.
fn copy(connection: &Connection, mode: &str) -> rusqlite::Result<i64> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    connection.query_row(&sql, [], |row| row.get(1))
}

fn frame_bytes(connection: &Connection) -> rusqlite::Result<usize> {
    let page_bytes: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    Ok(usize::try_from(page_bytes + FRAME_HEADER_BYTES).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_of_this_server_is_named_if_it_is_the_cause() {
        let reads = OpenReads::default();
        assert!(cause(&reads).starts_with("another program"));
        let young = reads.begin("a query");
        let old = reads.begin("retention");
        thread::sleep(READERS_WAIT);
        let _youngest = reads.begin("a query");
        assert!(cause(&reads).contains(" of this server has held a snapshot"), "{}", cause(&reads));
        young.renew();
        assert!(cause(&reads).starts_with("retention of this server"), "{}", cause(&reads));
        old.renew();
        assert!(cause(&reads).starts_with("another program"), "reads that are renewed in time are not the cause");
    }
}
