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
    /// Events in auditbox's file, those that were added to measure growth among them; 0 before it was loaded.
    pub(crate) stored: u64,
    pub(crate) raw_bytes: u64,
    pub(crate) first_load: Option<Load>,
    pub(crate) load: Option<Load>,
    pub(crate) baselines: BTreeMap<String, BaselineLoad>,
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
                stored: 0,
                raw_bytes: 0,
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

    /// Reads a file once, so that what is measured does not depend on when it was last used.
    pub(crate) fn warm(&self, name: &str) {
        let mut file = fs::File::open(self.path(name)).unwrap();
        let mut buffer = vec![0; 1024 * 1024];
        while file.read(&mut buffer).unwrap() > 0 {}
    }

    pub(crate) fn save(&self) {
        fs::write(self.path("loaded.json"), serde_json::to_string(&self.loaded).unwrap()).unwrap();
    }
}
