//! The promise of a 2xx response, tested with kills, power loss and failing disks.
//!
//! | module | what it shows |
//! |---|---|
//! | `crash` | SIGKILL at random and at chosen system calls: acknowledged events are there once, byte for byte |
//! | `power` | the same on a file system that loses unsynced data, and a check that it does detect losses |
//! | `disk` | full, read-only, failing, hanging and vanished disks, and few descriptors: clear errors, and reads
//! continue |
//! | `displaced` | files that are deleted, moved or replaced under a running server |
//!
//! The short forms run with the other tests. `AUDITBOX_KILLS` and `AUDITBOX_CUTS` set the number of kills and cuts,
//! `AUDITBOX_SEED` the random choices. A test that needs `strace`, `/dev/fuse` or the right to mount is skipped if that
//! is missing, or fails if `AUDITBOX_REQUIRE_STRACE`, `AUDITBOX_REQUIRE_FUSE` or `AUDITBOX_REQUIRE_MOUNT` is set.

#[cfg(target_os = "linux")]
mod crash;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(unix)]
mod displaced;
#[cfg(target_os = "linux")]
mod ledger;
#[cfg(target_os = "linux")]
mod medium;
#[cfg(target_os = "linux")]
mod mount;
#[cfg(target_os = "linux")]
mod power;
#[cfg(unix)]
mod subject;

use std::{env, path::Path};

use auditbox::store::{Options, QueueLimits, Quiet, Store};

use crate::skip::{STRACE, runs};

/// Small, so that a chunk is nearly always being sealed.
const CHUNK_EVENTS: u32 = 128;
/// A frequent checkpoint, so that kills and cuts hit it.
const CHECKPOINT_BYTES: (&str, &str) = ("AUDITBOX_REHEARSE_CHECKPOINT_BYTES", "1500000");

/// Pseudorandom numbers that follow from a seed (`SplitMix64`).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed in the environment, or this one.
    fn chosen(seed: u64) -> Self {
        Self(number("AUDITBOX_SEED", seed))
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    pub(super) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// A number in the environment, or the default.
fn number(name: &str, usual: u64) -> u64 {
    env::var(name).map_or(usual, |value| value.parse().unwrap())
}

/// Creates an empty file whose index has small chunks.
fn make_chunked(path: &Path) {
    let queue = QueueLimits { events_max: 1, bytes_max: 1 };
    let options = Options {
        path: path.to_owned(),
        readers: 1,
        queue,
        wal_bytes_max: u64::MAX,
        chunk_events: CHUNK_EVENTS,
        retention: None,
        fields: None,
    };
    Store::open(&options, &Quiet).unwrap().close().unwrap();
}

/// Whether `strace` is installed and may trace; if not, the test is skipped.
pub(super) fn can_trace() -> bool {
    STRACE.is_met(runs("strace", &["-o", "/dev/null", "true"]))
}
