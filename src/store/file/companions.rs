//! The files that belong to a database: SQLite and auditbox keep them under the name of the database with a suffix.
//!
//! A command must not use one of them as a backup or a destination. Paths are compared as the system resolves them:
//! through symbolic links, and by the file that they refer to, so that hard links count too.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    platform::file,
    store::file::location::{companion, real_path},
};

/// The files that SQLite may need to read a database: its write-ahead log (WAL), or the journal of an interrupted
/// transaction.
pub(in crate::store) const JOURNALS: [&str; 2] = ["-wal", "-journal"];
/// The suffixes of all companion files.
const ALL: [&str; 8] = ["-wal", "-journal", "-shm", ".lock", ".part", ".part-wal", ".part-journal", ".part-shm"];

/// A file that would belong to both databases, if there is one.
pub(in crate::store) fn shared(one: &Path, other: &Path) -> Option<PathBuf> {
    let files = |path: &Path| {
        let resolved = real_path(path).unwrap_or_else(|_| path.to_owned());
        let of = |path: &Path| [""].iter().chain(&ALL).map(|suffix| companion(path, suffix)).collect::<Vec<_>>();
        [of(path), of(&resolved)].concat()
    };
    let others = files(other);
    files(one).into_iter().find(|file| others.iter().any(|other| is_same(file, other)))
}

/// Whether two paths refer to one file, or to one path at which no file exists yet.
fn is_same(one: &Path, other: &Path) -> bool {
    match (file::identity_at(one), file::identity_at(other)) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), Err(_)) => matches!((real_path(one), real_path(other)), (Ok(one), Ok(other)) if one == other),
        _ => false,
    }
}

/// A path that starts with `prefix` and at which neither a file nor a companion file exists.
pub(in crate::store) fn free_name(prefix: &Path) -> PathBuf {
    let is_free =
        |name: &PathBuf| ![""].iter().chain(&ALL).any(|suffix| fs::symlink_metadata(companion(name, suffix)).is_ok());
    let mut names =
        std::iter::once(prefix.to_owned()).chain((2..).map(|number: u64| companion(prefix, &format!("-{number}"))));
    names.find(is_free).unwrap_or_else(|| prefix.to_owned())
}

/// Removes the file at `path`, if it exists.
pub(in crate::store) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes an unfinished file and the files that SQLite keeps next to it.
pub(in crate::store) fn remove_part(part: &Path) -> io::Result<()> {
    for suffix in ["-wal", "-journal", "-shm", ""] {
        remove(&companion(part, suffix))?;
    }
    Ok(())
}
