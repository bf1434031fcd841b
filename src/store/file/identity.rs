//! Whether the names of a running server's files still lead to the files that it has open.
//!
//! A file that was deleted or moved, or whose directory was, can still be written to by the process that has it open, and
//! synced too. It is lost when that process ends. So before an event is acknowledged, and every half second, the names are
//! checked. Nothing is changed here; `rescue.rs` saves what can be saved.

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
    open_log: File,
    database: Known,
    log: Known,
    log_index: Known,
}

/// A name, and the file that it led to when the database was opened.
struct Known {
    path: PathBuf,
    identity: FileIdentity,
}

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum FoundFile {
    /// The file that is open.
    Same,
    /// Another file.
    Another,
    /// Nothing.
    Nothing,
}

/// Files that are no longer where they were.
#[derive(Debug, Clone)]
pub(in crate::store) struct Displaced {
    pub(in crate::store) database: FoundFile,
    pub(in crate::store) log: FoundFile,
    pub(in crate::store) log_index: FoundFile,
    message: String,
}

impl fmt::Display for Displaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl PathIdentity {
    /// The database at the real path `path`, which is open as `open`, its write-ahead log and that log's index: all must
    /// exist.
    pub(in crate::store) fn of(path: &Path, open: Arc<File>) -> io::Result<Self> {
        let known = |path: PathBuf| file::identity_at(&path).map(|identity| Known { path, identity });
        let database = known(path.to_owned())?;
        if file::identity(&open)? != database.identity {
            return Err(io::Error::other("another file took its place while it was being opened"));
        }
        let companion = |suffix| known(location::companion(path, suffix));
        let (log, log_index) = (companion(location::LOG)?, companion(location::LOG_INDEX)?);
        Ok(Self { open, open_log: File::open(&log.path)?, database, log, log_index })
    }

    /// An error says which files are not where they were.
    pub(in crate::store) fn check(&self) -> Result<(), Displaced> {
        let found = [&self.database, &self.log, &self.log_index].map(Known::look);
        let [database, log, log_index] = found;
        if found == [FoundFile::Same; 3] {
            return Ok(());
        }
        let mut messages = Vec::new();
        for (known, found) in [(&self.database, database), (&self.log, log), (&self.log_index, log_index)] {
            let path = known.path.display();
            match found {
                FoundFile::Same => {}
                FoundFile::Another => {
                    messages.push(format!("{path} is no longer the file that was opened: another is there"));
                }
                FoundFile::Nothing => {
                    messages.push(format!("{path} is no longer the file that was opened: it is gone"));
                }
            }
        }
        Err(Displaced { database, log, log_index, message: messages.join("; ") })
    }

    /// The write-ahead log that is open. SQLite holds no lock on it that closing it could drop.
    pub(in crate::store) fn open_log(&self) -> &File {
        &self.open_log
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

    /// A path by which other processes can read the database while this process has it open, even if it was deleted; `None`
    /// on systems that have no such path.
    pub(in crate::store) fn descriptor(&self) -> Option<PathBuf> {
        file::descriptor_path(&self.open)
    }

    /// The database that is open, even if it was deleted.
    pub(in crate::store) fn open_database(&self) -> &File {
        &self.open
    }
}

impl Known {
    fn look(&self) -> FoundFile {
        match file::identity_at(&self.path) {
            Ok(identity) if identity == self.identity => FoundFile::Same,
            Ok(_) => FoundFile::Another,
            Err(_) => FoundFile::Nothing,
        }
    }
}
