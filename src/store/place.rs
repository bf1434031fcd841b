//! Whether the file is still where it was opened.
//!
//! A file that was deleted, or whose directory was, can still be written to by who has it open, and synced too; it is
//! gone when he closes it. So before anyone is told that something is stored, it is looked whether the names still lead to
//! the files that were written. Nothing is changed here.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The file and its log, as they were when they were opened.
pub(super) struct Place {
    files: Vec<(PathBuf, Identity)>,
}

/// The device and the number of a file on it.
type Identity = (u64, u64);

impl Place {
    /// The database at `path` and its log, both of which must be there.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        // As SQLite does: where the path led when the file was opened, whatever becomes of links and working directories.
        let path = fs::canonicalize(path)?;
        let log = log_of(&path);
        let files = [path, log].map(|path| identity(&path).map(|identity| (path, identity)));
        Ok(Self { files: files.into_iter().collect::<io::Result<_>>()? })
    }

    /// An error says which file is not where it was.
    pub(super) fn check(&self) -> Result<(), String> {
        for (path, known) in &self.files {
            let found = identity(path);
            if !found.as_ref().is_ok_and(|found| found == known) {
                let why = found.map_or_else(|error| error.to_string(), |_| "another file is there".to_owned());
                return Err(format!("{} is no longer the file that was opened: {why}", path.display()));
            }
        }
        Ok(())
    }
}

/// The write-ahead log of the database at `path`.
pub(super) fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::new("-wal"));
    PathBuf::from(name)
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
