//! Syncing files to disk, past the cache of the disk.
//!
//! Linux: `fsync` writes to the disk and flushes the disk's cache. macOS: only `F_FULLFSYNC` flushes that cache, so the
//! standard library uses it, and SQLite does by two pragmas (`store/file/open.rs`). Windows: `FlushFileBuffers` does.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

/// Syncs an open file's content.
#[cfg(not(target_vendor = "apple"))]
pub fn sync(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// Syncs an open file's content. Network shares and some external disks have no `F_FULLFSYNC`: like SQLite, use `fsync`.
#[cfg(target_vendor = "apple")]
pub fn sync(file: &File) -> io::Result<()> {
    use rustix::io::Errno;
    match file.sync_all() {
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NOTSUP | Errno::NOTTY | Errno::INVAL)) => {
            Ok(rustix::fs::fsync(file)?)
        }
        synced => synced,
    }
}

/// Syncs the content of the file at `path`. It is opened for writing, since Windows syncs no other handle.
pub fn sync_file(path: &Path) -> io::Result<()> {
    sync(&OpenOptions::new().write(true).open(path)?)
}

/// Syncs the name of a file that was created or renamed: the directory that the file is in.
#[cfg(unix)]
pub fn sync_name(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync(&File::open(directory)?)
}

/// Syncs the name of a file that was created or renamed: NTFS writes its journal of names when it syncs the file. A directory
/// cannot be synced.
#[cfg(windows)]
pub fn sync_name(path: &Path) -> io::Result<()> {
    match sync_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        synced => synced,
    }
}

/// Syncs the name of a file that SQLite created. SQLite syncs the directory with `fsync`, which leaves it in the disk's cache.
#[cfg(target_vendor = "apple")]
pub fn sync_created_by_sqlite(path: &Path) -> io::Result<()> {
    sync_name(path)
}

/// Syncs the name of a file that SQLite created, which SQLite has done.
#[cfg(not(target_vendor = "apple"))]
pub const fn sync_created_by_sqlite(_: &Path) -> io::Result<()> {
    Ok(())
}
