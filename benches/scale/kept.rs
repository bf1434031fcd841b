//! Loaded files that outlive a run: loading ten million events takes long, and querying them again should not require
//! it.
//!
//! `loaded.json` next to the files describes their content. It is written after the load, so an interrupted load is
//! never mistaken for a complete one.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::{
    events::Plan,
    load::Load,
    postgresql::{Postgres, make_reachable},
    report::BaselineLoad,
};

/// The content of the files.
#[derive(Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) plan: Plan,
    /// The number of the next event: events sent to auditbox, including those that measured growth, whether or not they
    /// arrived. 0 before the load.
    #[serde(alias = "stored")]
    pub(crate) sent: u64,
    /// How many of these are missing in the file, because runs that added them were interrupted.
    #[serde(default)]
    pub(crate) missing: u64,
    /// Bytes of JSON in auditbox's file. Unknown while events are added, and from then on if that was interrupted.
    pub(crate) raw_bytes: Option<u64>,
    pub(crate) first_load: Option<Load>,
    pub(crate) load: Option<Load>,
    pub(crate) baselines: BTreeMap<String, BaselineLoad>,
}

impl Loaded {
    /// The number of events in auditbox's file.
    pub(crate) fn stored(&self) -> u64 {
        self.sent - self.missing
    }
}

/// The directory of the files, and their content.
pub(crate) struct Kept {
    directory: PathBuf,
    pub(crate) loaded: Loaded,
    /// Removed at the end, unless files are to be kept.
    _temporary: Option<TempDir>,
}

impl Kept {
    /// Opens `directory`, or plans its content; without a directory, uses a temporary one.
    pub(crate) fn open(directory: Option<&Path>, seed: u64, size: u64) -> Self {
        let temporary = directory.is_none().then(|| tempfile::tempdir().unwrap());
        let directory = temporary.as_ref().map_or_else(|| directory.unwrap().to_owned(), |made| made.path().to_owned());
        fs::create_dir_all(&directory).unwrap();
        // PostgreSQL's user must be able to reach its directory.
        if Postgres::is_here() {
            make_reachable(&directory);
        }
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

    /// The path of a file to load. Leftovers of an interrupted load are removed.
    pub(crate) fn fresh(&self, name: &str) -> PathBuf {
        for suffix in ["", "-wal", "-shm", ".lock"] {
            let left = self.path(&format!("{name}{suffix}"));
            let removed = if left.is_dir() { fs::remove_dir_all(&left) } else { fs::remove_file(&left) };
            assert!(removed.is_ok() || !left.exists(), "{} cannot be removed", left.display());
        }
        self.path(name)
    }

    /// Reads a file once, so that measurements do not depend on when it was last used.
    pub(crate) fn warm(&self, name: &str) {
        let mut file = fs::File::open(self.path(name)).unwrap();
        let mut buffer = vec![0; 1024 * 1024];
        while file.read(&mut buffer).unwrap() > 0 {}
    }

    /// Sets the number of events in auditbox's file to `found`. Returns a message if a run that added events was
    /// interrupted.
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
