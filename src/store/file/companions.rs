//! The files that belong to a database: what SQLite and auditbox keep at names made of the database's own.
//!
//! A file that is copied, replaced or written at a name of the user's choice must be none of these. Names are compared as
//! the system resolves them: through symbolic links, and by the file that they lead to, so that hard links count too.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    platform::file,
    store::file::location::{companion, real_path},
};

/// What SQLite may need to read a database: its write-ahead log, or the journal of a transaction that was cut off.
pub(in crate::store) const LOGS: [&str; 2] = ["-wal", "-journal"];
/// Everything that is kept at a database's name with something appended.
const ALL: [&str; 8] = ["-wal", "-journal", "-shm", ".lock", ".part", ".part-wal", ".part-journal", ".part-shm"];

/// A file that both databases would have as their own, if there is one.
pub(in crate::store) fn shared(one: &Path, other: &Path) -> Option<PathBuf> {
    let files = |path: &Path| {
        let resolved = real_path(path).unwrap_or_else(|_| path.to_owned());
        let of = |path: &Path| [""].iter().chain(&ALL).map(|suffix| companion(path, suffix)).collect::<Vec<_>>();
        [of(path), of(&resolved)].concat()
    };
    let others = files(other);
    files(one).into_iter().find(|file| others.iter().any(|other| is_same(file, other)))
}

/// Whether two paths lead to one file, or to one name at which no file is yet.
fn is_same(one: &Path, other: &Path) -> bool {
    match (file::identity_at(one), file::identity_at(other)) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), Err(_)) => matches!((real_path(one), real_path(other)), (Ok(one), Ok(other)) if one == other),
        _ => false,
    }
}

/// A name that starts with `prefix` and at which neither a file nor one of its logs is.
pub(in crate::store) fn free_name(prefix: &Path) -> PathBuf {
    let is_free =
        |name: &PathBuf| ![""].iter().chain(&ALL).any(|suffix| fs::symlink_metadata(companion(name, suffix)).is_ok());
    let mut names =
        std::iter::once(prefix.to_owned()).chain((2..).map(|number: u64| companion(prefix, &format!("-{number}"))));
    names.find(is_free).unwrap_or_else(|| prefix.to_owned())
}

/// Removes the file at `path`, if there is one.
pub(in crate::store) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a file that is still being made, with what SQLite keeps next to it.
pub(in crate::store) fn remove_part(part: &Path) -> io::Result<()> {
    for suffix in ["-wal", "-journal", "-shm", ""] {
        remove(&companion(part, suffix))?;
    }
    Ok(())
}
