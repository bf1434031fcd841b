//! The lock that keeps two servers from one file.
//!
//! It is taken on a file of its own beside the database: closing any descriptor of the database itself would drop the
//! locks that SQLite holds on it (POSIX advisory locks belong to the process, not to the descriptor). The kernel lets go
//! of it when the process ends, however it ends, so there is never a stale one.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::store::OpenError;

/// The right to write to a file, held until dropped.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the database at `path`, or says that another process has it.
    pub fn take(path: &Path) -> Result<Self, OpenError> {
        let lock_path = lock_path(path);
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let file = open.map_err(|source| match source.kind() {
            ErrorKind::StorageFull => OpenError::Full(path.to_owned()),
            ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly(path.to_owned()),
            _ => OpenError::Lock { path: lock_path.clone(), source },
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(OpenError::Lock { path: lock_path, source }),
        }
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}
