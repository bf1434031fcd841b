//! Whether the paths of a running server's files still refer to the files that it has open.
//!
//! If a file or its directory is deleted or moved, the process that has the file open can still write to it and sync
//! it. The file is lost when that process ends. So the paths are checked before each acknowledgement, and every half
//! second. This module changes nothing; `rescue.rs` saves what can be saved.

use std::{
    fmt,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    platform::file::{self, FileIdentity},
    store::file::location,
};

/// The files of an open database.
pub(in crate::store) struct PathIdentity {
    open: Arc<File>,
    open_wal: File,
    database: KnownFile,
    wal: KnownFile,
    wal_index: KnownFile,
}

/// A path, and the file that it referred to when the database was opened.
struct KnownFile {
    path: PathBuf,
    identity: FileIdentity,
}

/// What a path refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum FoundFile {
    /// The file that is open.
    Same,
    /// Another file.
    Another,
    /// No file.
    Nothing,
}

/// Files that are no longer at their paths.
#[derive(Debug, Clone)]
pub(in crate::store) struct Displaced {
    pub(in crate::store) database: FoundFile,
    pub(in crate::store) wal: FoundFile,
    pub(in crate::store) wal_index: FoundFile,
    message: String,
}

impl fmt::Display for Displaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl PathIdentity {
    /// The database at the real path `path`, which is open as `open`, with its write-ahead log (WAL) and the WAL's
    /// index. All must exist.
    pub(in crate::store) fn of(path: &Path, open: Arc<File>) -> io::Result<Self> {
        let known = |path: PathBuf| file::identity_at(&path).map(|identity| KnownFile { path, identity });
        let database = known(path.to_owned())?;
        if file::identity(&open)? != database.identity {
            return Err(io::Error::other("another file took its place while it was being opened"));
        }
        let companion = |suffix| known(location::companion(path, suffix));
        let (wal, wal_index) = (companion(location::WAL)?, companion(location::WAL_INDEX)?);
        Ok(Self { open, open_wal: File::open(&wal.path)?, database, wal, wal_index })
    }

    /// Checks all paths. The error says which files are no longer there.
    pub(in crate::store) fn check(&self) -> Result<(), Displaced> {
        let found = [&self.database, &self.wal, &self.wal_index].map(KnownFile::look);
        let [database, wal, wal_index] = found;
        if found == [FoundFile::Same; 3] {
            return Ok(());
        }
        let mut messages = Vec::new();
        for (known, found) in [(&self.database, database), (&self.wal, wal), (&self.wal_index, wal_index)] {
            let path = known.path.display();
            match found {
                FoundFile::Same => {}
                FoundFile::Another => {
                    messages.push(format!("{path} is no longer the file that was opened: another file is there"));
                }
                FoundFile::Nothing => {
                    messages.push(format!("{path} is no longer the file that was opened: it is gone"));
                }
            }
        }
        Err(Displaced { database, wal, wal_index, message: messages.join("; ") })
    }

    /// The WAL that is open. SQLite holds no lock on it that closing it could release.
    pub(in crate::store) fn open_wal(&self) -> &File {
        &self.open_wal
    }

    /// The database's path when it was opened.
    pub(in crate::store) fn path(&self) -> &Path {
        &self.database.path
    }

    /// The present name of the database; `None` if it was deleted, and exists only while this process has it open.
    pub(in crate::store) fn present_path(&self) -> Option<PathBuf> {
        if file::links(&self.open).is_ok_and(|links| links == 0) {
            return None;
        }
        Some(file::present_path(&self.open).unwrap_or_else(|| self.database.path.clone()))
    }

    /// A path by which other processes can read the database while this process has it open, even if it was deleted;
    /// `None` on systems that have no such path.
    pub(in crate::store) fn descriptor(&self) -> Option<PathBuf> {
        file::descriptor_path(&self.open)
    }

    /// The database that is open, even if it was deleted.
    pub(in crate::store) fn open_database(&self) -> &File {
        &self.open
    }
}

impl KnownFile {
    fn look(&self) -> FoundFile {
        match file::identity_at(&self.path) {
            Ok(identity) if identity == self.identity => FoundFile::Same,
            Ok(_) => FoundFile::Another,
            Err(_) => FoundFile::Nothing,
        }
    }
}
