//! Resolves the path of the database, and checks that a database can be there.
//!
//! SQLite and auditbox keep companion files, named after the database: the write-ahead log (WAL), the WAL's index, the
//! lock. A database with two names would have two sets of them, and two programs could write to it at once
//! (<https://www.sqlite.org/howtocorrupt.html>, "Multiple links to the same file"). So a path is resolved once, through
//! all symbolic links, and everything else uses the real path. Two kinds of second name cannot be resolved to the
//! first: a hard link, and a mount of the file alone. A database that has one is rejected.

use std::{
    ffi::OsStr,
    fs::{self, Metadata},
    io,
    path::{self, Path, PathBuf},
};

use crate::{
    platform::{file, permissions},
    store::error::{OpenError, quoted},
};

/// The suffix of the WAL, after the name of the database.
pub(in crate::store) const WAL: &str = "-wal";
/// The suffix of the WAL's index.
pub(in crate::store) const WAL_INDEX: &str = "-shm";
/// The suffix of the lock file.
pub(in crate::store) const LOCK: &str = ".lock";

const EMPTY: &str = "an empty path";
/// Maximum number of symbolic links to a file that does not exist yet: as many as the system follows itself.
const LINKS_MAX: usize = 40;

/// The real path of the database at `path`, whether or not it exists yet. Fails if no database can be there. Opens
/// nothing, since opening a named pipe would block.
pub(in crate::store) fn resolve(path: &Path) -> Result<PathBuf, OpenError> {
    let unreachable = |source| OpenError::Unreachable { path: path.to_owned(), source };
    let not_a_file = |path: &Path, kind| OpenError::NotAFile { path: path.to_owned(), kind };
    if path.as_os_str().is_empty() {
        return Err(not_a_file(path, EMPTY));
    }
    if names_a_directory(path) {
        return Err(not_a_file(path, "a directory"));
    }
    let real = match real_path(path) {
        Ok(real) => real,
        // Its directory does not exist, which the next step reports.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path.to_owned()),
        Err(error) => return Err(unreachable(error)),
    };
    match fs::symlink_metadata(&real) {
        Ok(metadata) => check(&real, &metadata)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unreachable(error)),
    }
    for suffix in [WAL, WAL_INDEX, LOCK] {
        let companion = companion(&real, suffix);
        if let Some(kind) = not_a_regular_file(&companion) {
            return Err(not_a_file(&companion, kind));
        }
    }
    Ok(real)
}

/// Checks what is at the real path of a database.
fn check(real: &Path, metadata: &Metadata) -> Result<(), OpenError> {
    if let Some(kind) = file::irregular_kind(metadata.file_type()) {
        return Err(OpenError::NotAFile { path: real.to_owned(), kind });
    }
    match file::links_at(real) {
        Ok(links @ 2..) => return Err(OpenError::Linked { path: real.to_owned(), links }),
        Ok(_) => {}
        Err(source) => return Err(OpenError::Unreachable { path: real.to_owned(), source }),
    }
    if file::is_mount(real) { Err(OpenError::Mounted(real.to_owned())) } else { Ok(()) }
}

/// The path behind all symbolic links. Of a file that does not exist, the path at which it would be created.
pub(in crate::store) fn real_path(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match file::canonicalize(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        match fs::read_link(&path) {
            Ok(target) => path = directory_of(&path).join(target),
            Err(_) if names_a_directory(&path) => return Err(io::ErrorKind::IsADirectory.into()),
            Err(_) => {
                let name = path.file_name().ok_or(io::ErrorKind::NotFound)?;
                return Ok(file::canonicalize(directory_of(&path))?.join(name));
            }
        }
    }
    Err(io::ErrorKind::InvalidInput.into())
}

/// Whether a path ends in a slash, so that it can only lead to a directory.
fn names_a_directory(path: &Path) -> bool {
    let last = path.as_os_str().as_encoded_bytes().last();
    last.is_some_and(|last| path::is_separator(char::from(*last)))
}

/// The directory of the file at a path.
pub(in crate::store) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The kind of file that a path leads to, in words; `None` for a regular file and for a path that leads to nothing.
pub fn not_a_regular_file(path: &Path) -> Option<&'static str> {
    if path.as_os_str().is_empty() {
        return Some(EMPTY);
    }
    file::irregular_kind(fs::metadata(path).ok()?.file_type())
}

/// The lock file of the database at `path`; `None` if no database can be there.
pub fn lock_file(path: &Path) -> Option<PathBuf> {
    real_path(path).ok().map(|real| companion(&real, LOCK))
}

/// The file whose name is that of `path` with `suffix` after it.
pub(in crate::store) fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::new(suffix));
    PathBuf::from(name)
}

/// Warnings that other users of this machine can read, change or replace the database at this real path, each with the
/// command that prevents it.
pub(in crate::store) fn exposures(real: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    for file in [real.to_owned(), companion(real, WAL), companion(real, WAL_INDEX)] {
        if let Some(mode) = permissions::shared_mode(&file) {
            let path = file.display();
            warnings.push(format!("{path} is open to other users (mode {mode:o}): chmod 600 {}", quoted(&file)));
        }
    }
    for directory in real.ancestors().skip(1).filter(|directory| permissions::others_can_replace_in(directory)) {
        let path = directory.display();
        warnings.push(format!("other users can replace the database in {path}: chmod go-w {}", quoted(directory)));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hard_link_is_rejected() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("a.db"), directory.path().join("b.db"));
        fs::write(&file, "").unwrap();
        fs::hard_link(&file, &link).unwrap();
        for path in [&file, &link] {
            assert!(matches!(resolve(path), Err(OpenError::Linked { links: 2, .. })));
        }
    }

    #[test]
    #[cfg(unix)]
    fn every_way_to_a_file_resolves_to_one_path() {
        use std::os::unix::fs::symlink;
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().canonicalize().unwrap();
        fs::create_dir(at.join("data")).unwrap();
        symlink("data", at.join("linked")).unwrap();
        symlink("linked/a.db", at.join("one.db")).unwrap();
        symlink(at.join("one.db"), at.join("two.db")).unwrap();
        let real = at.join("data/a.db");
        for exists in [false, true] {
            if exists {
                fs::write(&real, "").unwrap();
            }
            for name in ["data/a.db", "linked/a.db", "data/../linked/./a.db", "one.db", "two.db"] {
                assert_eq!(resolve(&at.join(name)).unwrap(), real, "{name} {exists}");
            }
        }
        symlink("loop.db", at.join("loop.db")).unwrap();
        assert!(matches!(resolve(&at.join("loop.db")), Err(OpenError::Unreachable { .. })));
        assert!(matches!(resolve(&at.join("data/a.db/b.db")), Err(OpenError::Unreachable { .. })));
        assert!(matches!(resolve(Path::new("")), Err(OpenError::NotAFile { .. })));
        for name in ["data", "data/", "new/", ".", ".."] {
            assert!(matches!(resolve(&at.join(name)), Err(OpenError::NotAFile { .. })), "{name}");
        }
        // A missing directory is reported when the file is opened.
        assert_eq!(resolve(&at.join("nowhere/a.db")).unwrap(), at.join("nowhere/a.db"));
    }
}
