//! Lock files, and a lock on a file itself that holds for all its names.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::Path,
};

/// Opens a lock file, and creates it if it does not exist.
#[cfg(unix)]
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

/// Opens a lock file, and creates it if it does not exist. While it is open, it cannot be deleted or renamed, because that would
/// need a third kind of sharing.
#[cfg(windows)]
pub fn open(path: &Path) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    const FILE_SHARE_READ: u32 = 1;
    const FILE_SHARE_WRITE: u32 = 2;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE).open(path)
}

/// Locks an open file for all its names until the file is closed: an *open file description* lock (`F_OFD_SETLK`) on one byte
/// of the page at 1 GiB that SQLite keeps free of data for locks, beyond the 512 bytes that SQLite itself locks
/// (<https://www.sqlite.org/fileformat.html>, 1.6).
#[cfg(target_os = "linux")]
pub fn try_lock_all_names(file: &File) -> Result<(), TryLockError> {
    use nix::{
        errno::Errno,
        fcntl::{FcntlArg, fcntl},
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&all_names())) {
        Ok(_) => Ok(()),
        Err(Errno::EAGAIN | Errno::EACCES) => Err(TryLockError::WouldBlock),
        Err(error) => Err(TryLockError::Error(error.into())),
    }
}

/// Whether a process may hold the lock of [`try_lock_all_names`] on this file. Locks nothing.
#[cfg(target_os = "linux")]
pub fn may_be_locked(file: &File) -> bool {
    use nix::{
        fcntl::{FcntlArg, fcntl},
        libc,
    };
    let mut lock = all_names();
    let asked = fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock));
    asked.is_err() || i32::from(lock.l_type) != libc::F_UNLCK
}

/// These systems have no such lock.
#[cfg(not(target_os = "linux"))]
pub const fn may_be_locked(_: &File) -> bool {
    true
}

/// The exclusive lock on the byte.
#[cfg(target_os = "linux")]
const fn all_names() -> nix::libc::flock {
    use nix::libc;
    const LOCK_BYTE: libc::off_t = 0x4000_0000 + 1024;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the constants are 1 and 0; C declares them wider than the fields"
    )]
    let (l_type, l_whence) = (libc::F_WRLCK as libc::c_short, libc::SEEK_SET as libc::c_short);
    libc::flock { l_type, l_whence, l_start: LOCK_BYTE, l_len: 1, l_pid: 0 }
}

/// Locks nothing, since these systems have no such lock that leaves SQLite's own locks alone: on macOS, `flock` conflicts with
/// them; on Windows, a lock of the whole file keeps SQLite from reading it. The file `.lock` next to the database protects it
/// there: symbolic links are resolved first, hard links are refused, and a single file cannot be mounted.
#[cfg(not(target_os = "linux"))]
pub const fn try_lock_all_names(_: &File) -> Result<(), TryLockError> {
    Ok(())
}
