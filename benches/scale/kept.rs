//! Loaded files that outlive a run: loading ten million events takes long, asking them again should not.
//!
//! `loaded.json` beside the files says what is in them. It is written after the load that it speaks of, so that a load
//! that was broken off is never taken for a whole one.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::{events::Plan, load::Load, report::BaselineLoad};

/// What the files hold.
#[derive(Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) plan: Plan,
    /// Events that were sent to auditbox, those that were added to measure growth among them, whether or not they
    /// arrived: the number of the next. 0 before the file was loaded.
    #[serde(alias = "stored")]
    pub(crate) sent: u64,
    /// Of these, not in the file: runs that were adding them were broken off.
    #[serde(default)]
    pub(crate) missing: u64,
    /// Of JSON in auditbox's file; unknown while events are added, and thus for ever when that was broken off.
    pub(crate) raw_bytes: Option<u64>,
    pub(crate) first_load: Option<Load>,
    pub(crate) load: Option<Load>,
    pub(crate) baselines: BTreeMap<String, BaselineLoad>,
}

impl Loaded {
    /// Events in auditbox's file.
    pub(crate) fn stored(&self) -> u64 {
        self.sent - self.missing
    }
}

/// The directory of the files, and what they hold.
pub(crate) struct Kept {
    directory: PathBuf,
    pub(crate) loaded: Loaded,
    /// Removed at the end, where nothing is to be kept.
    _temporary: Option<TempDir>,
}

impl Kept {
    /// What is in `directory`, or the plan of what is to be; without a directory, in one that does not outlive this.
    pub(crate) fn open(directory: Option<&Path>, seed: u64, size: u64) -> Self {
        let temporary = directory.is_none().then(|| tempfile::tempdir().unwrap());
        let directory = temporary.as_ref().map_or_else(|| directory.unwrap().to_owned(), |made| made.path().to_owned());
        fs::create_dir_all(&directory).unwrap();
        // PostgreSQL's user must be able to reach its part of it.
        fs::set_permissions(&directory, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let directory = directory.canonicalize().unwrap();
        let loaded = fs::read_to_string(directory.join("loaded.json"));
        let loaded: Loaded = match loaded {
            Ok(text) => serde_json::from_str(&text).unwrap(),
            Err(_) => Loaded {
                plan: Plan::ending_now(seed, size),
                sent: 0,
                missing: 0,
                raw_bytes: None,
                first_load: None,
                load: None,
                baselines: BTreeMap::new(),
            },
        };
        assert_eq!((loaded.plan.seed, loaded.plan.size), (seed, size), "{} holds another load", directory.display());
        Self { directory, loaded, _temporary: temporary }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The path of a file that is to be loaded: what a load that was broken off has left there is removed.
    pub(crate) fn fresh(&self, name: &str) -> PathBuf {
        for suffix in ["", "-wal", "-shm", ".lock"] {
            let left = self.path(&format!("{name}{suffix}"));
            let removed = if left.is_dir() { fs::remove_dir_all(&left) } else { fs::remove_file(&left) };
            assert!(removed.is_ok() || !left.exists(), "{} cannot be removed", left.display());
        }
        self.path(name)
    }

    /// Reads a file once, so that what is measured does not depend on when it was last used.
    pub(crate) fn warm(&self, name: &str) {
        let mut file = fs::File::open(self.path(name)).unwrap();
        let mut buffer = vec![0; 1024 * 1024];
        while file.read(&mut buffer).unwrap() > 0 {}
    }

    /// Takes `found` for the number of events in auditbox's file. What is to be said of it, if a run that was adding
    /// some was broken off, whenever that was.
    pub(crate) fn reconcile(&mut self, found: u64) -> Option<String> {
        let noted = self.loaded.stored();
        if found != noted {
            let sent = self.loaded.sent;
            assert!(
                found <= sent,
                "auditbox.db holds {found} events, more than the {sent} that were sent: not its own"
            );
            (self.loaded.missing, self.loaded.raw_bytes) = (sent - found, None);
            self.save();
        }
        self.loaded.raw_bytes.is_none().then(|| {
            format!(
                "a run that was adding events was broken off: auditbox.db holds {found}, of {} that were sent; figures \
                 are of {found}, and the file is not compared with the JSON in it, whose length is unknown",
                self.loaded.sent
            )
        })
    }

    pub(crate) fn save(&self) {
        fs::write(self.path("loaded.json"), serde_json::to_string(&self.loaded).unwrap()).unwrap();
    }
}
