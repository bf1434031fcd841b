//! Counters of the store, and its state at one moment, for monitoring.
//!
//! Counting is an atomic addition and waits for nothing. Counters begin at 0 with the process.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::model::timestamp::Timestamp;

/// Upper bounds of the buckets of a commit's duration, in microseconds. An idle disk syncs in 0.2 ms, a busy one in 5
/// ms.
const COMMIT_BOUNDS_MICROS: [u64; 13] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000];

/// Counters of the store. Shared by its threads.
#[derive(Debug)]
pub(in crate::store) struct Counters {
    path: PathBuf,
    /// By bucket; the last is for longer ones.
    commits: [AtomicU64; COMMIT_BOUNDS_MICROS.len() + 1],
    commit_micros: AtomicU64,
    commit_errors: AtomicU64,
    sealed_chunks: AtomicU64,
    last_seal: AtomicU64,
    last_retention: AtomicU64,
    dropped_events: AtomicU64,
}

impl Counters {
    /// For the file at `path`.
    pub(in crate::store) fn new(path: PathBuf) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            path,
            commits: std::array::from_fn(|_| zero()),
            commit_micros: zero(),
            commit_errors: zero(),
            sealed_chunks: zero(),
            last_seal: zero(),
            last_retention: zero(),
            dropped_events: zero(),
        }
    }

    /// Counts a transaction that is on disk. `took` is the time since its work left the queue.
    pub(in crate::store) fn committed(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = COMMIT_BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        self.commits[bucket].fetch_add(1, Ordering::Relaxed);
        self.commit_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Counts a transaction that could not be committed.
    pub(in crate::store) fn failed(&self) {
        self.commit_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a chunk that was sealed just now.
    pub(in crate::store) fn sealed(&self) {
        self.sealed_chunks.fetch_add(1, Ordering::Relaxed);
        self.last_seal.store(now(), Ordering::Relaxed);
    }

    /// Counts events that retention dropped.
    pub(in crate::store) fn dropped(&self, events: usize) {
        self.dropped_events.fetch_add(events as u64, Ordering::Relaxed);
    }

    /// Remembers that retention reached the end of the log just now.
    pub(in crate::store) fn retention_round(&self) {
        self.last_retention.store(now(), Ordering::Relaxed);
    }

    /// The database.
    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }

    /// The values of the counters. Everything else in the metrics is left at 0.
    pub(in crate::store) fn read(&self) -> StoreMetrics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let time = |counter: &AtomicU64| Some(read(counter)).filter(|seconds| *seconds > 0);
        let mut count = 0;
        let mut buckets: Vec<_> = self
            .commits
            .iter()
            .zip(COMMIT_BOUNDS_MICROS.into_iter().chain([u64::MAX]))
            .map(|(bucket, bound)| {
                count += read(bucket);
                (bound, count)
            })
            .collect();
        buckets.pop();
        StoreMetrics {
            commits: Durations { buckets, count, sum_micros: read(&self.commit_micros) },
            commit_errors: read(&self.commit_errors),
            sealed_chunks: read(&self.sealed_chunks),
            last_seal: time(&self.last_seal),
            last_retention: time(&self.last_retention),
            dropped_events: read(&self.dropped_events),
            ..StoreMetrics::default()
        }
    }
}

/// Seconds since 1970, or 0 before.
fn now() -> u64 {
    u64::try_from(Timestamp::now().micros() / 1_000_000).unwrap_or(0)
}

/// A histogram of the time that commits took.
#[derive(Debug, Default)]
pub struct Durations {
    /// Each upper bound in microseconds, with the number of commits that took at most that.
    pub buckets: Vec<(u64, u64)>,
    /// Number of commits.
    pub count: u64,
    /// Total time of all commits in microseconds.
    pub sum_micros: u64,
}

/// The state of the store at one moment. Times are seconds since 1970, and absent before the first.
#[derive(Debug, Default)]
pub struct StoreMetrics {
    /// Whether writes are accepted.
    pub accepts_writes: bool,
    /// Events in the log, auditbox's own records included.
    pub events: u64,
    /// Events that wait to be written.
    pub queue_events: u64,
    /// Bytes of memory that those events hold.
    pub queue_bytes: u64,
    /// Commits since the start.
    pub commits: Durations,
    /// Transactions since the start that could not be committed.
    pub commit_errors: u64,
    /// Bytes of the file without its write-ahead log; absent if the file cannot be found.
    pub file_bytes: Option<u64>,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Full chunks in memory that wait to be sealed.
    pub unsealed_chunks: u64,
    /// Bytes of memory that those chunks hold.
    pub unsealed_bytes: u64,
    /// Chunks sealed since the start.
    pub sealed_chunks: u64,
    /// Time at which a chunk was last sealed.
    pub last_seal: Option<u64>,
    /// Time at which retention last reached the end of the log.
    pub last_retention: Option<u64>,
    /// Events dropped by retention since the start.
    pub dropped_events: u64,
    /// Each declared field, with the number of chunks that lack it.
    pub fields: Vec<(&'static str, u32)>,
}
