//! The lock that keeps a second auditbox from writing to a database.
//!
//! On Linux the lock is on the file itself (its inode), so that it holds for every name of the file: an *open file
//! description* lock (`platform/lock.rs`). The alternatives are worse:
//!
//! - A POSIX lock belongs to the process: SQLite would drop it by closing any descriptor of the file.
//! - NFS and SMB turn `flock(2)` into a lock of the whole file, which conflicts with SQLite's own locks.
//! - A lock on another file protects one name, or needs a directory that every process can write to.
//!
//! A file next to the database (`.lock`) is locked first, with `flock`. A server writes its address into it for
//! commands. It protects a database that does not exist yet or is being replaced (`auditbox restore`), and older builds
//! lock nothing else. They name it after the path that they were given, so the one next to a symbolic link is locked
//! too.
//!
//! The kernel releases all of it when the process ends, however it ends, so there is never a stale lock.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    platform,
    store::{
        error::OpenError,
        file::{format, location, open},
    },
};

/// The exclusive right to write to a database, until dropped.
///
/// SQLite's own locks on a file end when any descriptor of it is closed in the process, so this must outlive every
/// connection.
pub struct Lock {
    path: PathBuf,
    /// The database; `None` if it does not exist.
    database: Option<Arc<File>>,
    _names: Vec<File>,
}

impl Lock {
    /// Takes the lock of the database at `path`, which need not exist; fails if another process has it.
    pub fn take(path: &Path) -> Result<Self, OpenError> {
        Self::acquire(path, false)
    }

    /// Like [`Lock::take`], but creates an empty database if it does not exist.
    pub(in crate::store) fn take_or_create(path: &Path) -> Result<Self, OpenError> {
        refuse_foreign(path)?;
        Self::acquire(path, true)
    }

    fn acquire(path: &Path, creates: bool) -> Result<Self, OpenError> {
        let real = location::resolve(path)?;
        let mut names = vec![lock_name(&real)?];
        names.extend(lock_given_name(path, &real)?);
        if creates {
            open::make_private(&real).map_err(|error| open::unavailable(&real, &error))?;
        }
        let database = match OpenOptions::new().read(true).write(true).open(&real) {
            Ok(file) => Some(Arc::new(lock_inode(file, &real)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(OpenError::ReadOnly(real)),
            Err(error) => return Err(open::unavailable(&real, &error)),
        };
        Ok(Self { path: real, database, _names: names })
    }

    /// The real path of the database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open database, to compare with the file at its path.
    pub(in crate::store) fn database(&self) -> Option<Arc<File>> {
        self.database.clone()
    }
}

/// Fails for a file of another program, before a lock file is created next to it. A database with a lock file is checked when
/// it is opened.
fn refuse_foreign(path: &Path) -> Result<(), OpenError> {
    let real = location::resolve(path)?;
    if real.exists() && !location::companion(&real, location::LOCK).exists() {
        format::known_format(&real)?;
    }
    Ok(())
}

/// Locks the file `.lock` next to the database, and creates it if need be.
fn lock_name(real: &Path) -> Result<File, OpenError> {
    let path = location::companion(real, location::LOCK);
    let file = platform::lock::open(&path).map_err(|source| match source.kind() {
        ErrorKind::StorageFull => OpenError::Full(real.to_owned()),
        ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly(real.to_owned()),
        _ => OpenError::Lock { path: path.clone(), source },
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(real.to_owned())),
        Err(TryLockError::Error(source)) => Err(OpenError::Lock { path, source }),
    }
}

/// Locks the file `.lock` next to a symbolic link, where an older build would look for it. If it cannot be opened, no
/// older build has locked it either.
fn lock_given_name(given: &Path, real: &Path) -> Result<Option<File>, OpenError> {
    let Some(name) = given.file_name() else { return Ok(None) };
    let Ok(directory) = platform::file::canonicalize(location::directory_of(given)) else { return Ok(None) };
    let given = directory.join(name);
    if given == real {
        return Ok(None);
    }
    let path = location::companion(&given, location::LOCK);
    let Ok(file) = platform::lock::open(&path) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(real.to_owned())),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Locks the database itself for all its names, where the system can.
fn lock_inode(file: File, real: &Path) -> Result<File, OpenError> {
    match platform::lock::try_lock_all_names(&file) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(real.to_owned())),
        Err(TryLockError::Error(source)) => Err(OpenError::Lock { path: real.to_owned(), source }),
    }
}
