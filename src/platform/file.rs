//! The identity and the names of files, and reading and writing at an offset.

use std::{
    fmt,
    fs::{self, File, FileType},
    io,
    path::{Path, PathBuf},
};

/// Identity of a file, the same for all its names: its volume and its number on that volume. A number may belong to another
/// file once the file is deleted and closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    volume: u64,
    number: u64,
}

impl fmt::Display for FileIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.volume, self.number)
    }
}

/// The identity of an open file.
#[cfg(unix)]
pub fn identity(file: &File) -> io::Result<FileIdentity> {
    file.metadata().map(|metadata| identity_in(&metadata))
}

/// The identity of the file at `path`, through symbolic links.
#[cfg(unix)]
pub fn identity_at(path: &Path) -> io::Result<FileIdentity> {
    fs::metadata(path).map(|metadata| identity_in(&metadata))
}

#[cfg(unix)]
fn identity_in(metadata: &fs::Metadata) -> FileIdentity {
    use std::os::unix::fs::MetadataExt;
    FileIdentity { volume: metadata.dev(), number: metadata.ino() }
}

/// The identity of an open file. On ReFS, where numbers have 128 bits, two files may seem to be one.
#[cfg(windows)]
pub fn identity(file: &File) -> io::Result<FileIdentity> {
    let information = winapi_util::file::information(file)?;
    Ok(FileIdentity { volume: information.volume_serial_number(), number: information.file_index() })
}

/// The identity of the file at `path`, through symbolic links.
#[cfg(windows)]
pub fn identity_at(path: &Path) -> io::Result<FileIdentity> {
    identity(&open_to_inspect(path)?)
}

/// Opens a file without the right to read or write it, which conflicts with no other handle.
#[cfg(windows)]
fn open_to_inspect(path: &Path) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    fs::OpenOptions::new().access_mode(0).open(path)
}

/// The state of a file, which every write changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    identity: FileIdentity,
    length: u64,
    changed: (i64, i64),
}

/// The state of the file at `path`, if there is one.
#[cfg(unix)]
pub fn state(path: &Path) -> Option<FileState> {
    use std::os::unix::fs::MetadataExt;
    let file = fs::metadata(path).ok()?;
    Some(FileState { identity: identity_in(&file), length: file.len(), changed: (file.ctime(), file.ctime_nsec()) })
}

/// The state of the file at `path`, if there is one. The time of change may be late: Windows sets it when the file is closed.
#[cfg(windows)]
pub fn state(path: &Path) -> Option<FileState> {
    let file = open_to_inspect(path).ok()?;
    let information = winapi_util::file::information(&file).ok()?;
    let changed = (information.last_write_time().unwrap_or_default().cast_signed(), 0);
    Some(FileState { identity: identity(&file).ok()?, length: information.file_size(), changed })
}

/// Number of names (hard links) of an open file: 0 once it is deleted.
#[cfg(unix)]
pub fn links(file: &File) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    file.metadata().map(|metadata| metadata.nlink())
}

/// Number of names (hard links) of the file at `path`.
#[cfg(unix)]
pub fn links_at(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map(|metadata| metadata.nlink())
}

/// Number of names (hard links) of an open file: 0 once it is deleted.
#[cfg(windows)]
pub fn links(file: &File) -> io::Result<u64> {
    winapi_util::file::information(file).map(|information| information.number_of_links())
}

/// Number of names (hard links) of the file at `path`.
#[cfg(windows)]
pub fn links_at(path: &Path) -> io::Result<u64> {
    links(&open_to_inspect(path)?)
}

/// Whether a file is mounted by itself. On a system that does not say (Linux before 5.8), it counts as not mounted.
#[cfg(target_os = "linux")]
pub fn is_mount(path: &Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    let status = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS);
    status.is_ok_and(|status| status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Whether a file is mounted by itself, which only Linux can do.
#[cfg(not(target_os = "linux"))]
pub const fn is_mount(_: &Path) -> bool {
    false
}

/// The kind of a file that is not a regular one, in words; `None` for a regular file.
#[cfg(unix)]
pub fn irregular_kind(file_type: FileType) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    match file_type {
        kind if kind.is_file() => None,
        kind if kind.is_dir() => Some("a directory"),
        kind if kind.is_fifo() => Some("a named pipe"),
        kind if kind.is_socket() => Some("a socket"),
        kind if kind.is_block_device() || kind.is_char_device() => Some("a device"),
        _ => Some("no regular file"),
    }
}

/// The kind of a file that is not a regular one, in words; `None` for a regular file.
#[cfg(windows)]
pub fn irregular_kind(file_type: FileType) -> Option<&'static str> {
    match file_type {
        kind if kind.is_file() => None,
        kind if kind.is_dir() => Some("a directory"),
        _ => Some("no regular file"),
    }
}

/// Whether a path leads to a named pipe.
#[cfg(unix)]
pub fn is_named_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Whether a path leads to a named pipe. On Windows, pipes are not in the file system.
#[cfg(windows)]
pub const fn is_named_pipe(_: &Path) -> bool {
    false
}

/// The absolute path behind all symbolic links.
#[cfg(unix)]
pub fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

/// The absolute path behind all symbolic links, without the prefix `\\?\` where the path works without it: users read it in
/// messages, and paste it.
#[cfg(windows)]
pub fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    dunce::canonicalize(path)
}

/// The present path of an open file; `None` if the system does not say.
#[cfg(target_os = "linux")]
pub fn present_path(file: &File) -> Option<PathBuf> {
    fs::read_link(descriptor_path(file)?).ok()
}

/// The present path of an open file; `None` if the system does not say.
#[cfg(target_vendor = "apple")]
pub fn present_path(file: &File) -> Option<PathBuf> {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};
    let path = rustix::fs::getpath(file).ok()?;
    Some(OsString::from_vec(path.into_bytes()).into())
}

/// The present path of an open file, which this system does not say. On Windows, SQLite's handles keep it from changing.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub const fn present_path(_: &File) -> Option<PathBuf> {
    None
}

/// A path by which other processes can read a file while this process has it open, even if it was deleted.
#[cfg(target_os = "linux")]
pub fn descriptor_path(file: &File) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    Some(PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())))
}

/// A path by which other processes can read a file while this process has it open: only Linux has one.
#[cfg(not(target_os = "linux"))]
pub const fn descriptor_path(_: &File) -> Option<PathBuf> {
    None
}

/// Exchanges the names of two files in one step. Some file systems cannot.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

/// Exchanges the names of two files in one step, which this system cannot.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Reads at an offset.
#[cfg(unix)]
pub fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, offset)
}

/// Writes all bytes at an offset.
#[cfg(unix)]
pub fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Reads at an offset, and moves the file's own position, which nothing uses.
#[cfg(windows)]
pub fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, bytes, offset)
}

/// Writes all bytes at an offset, and moves the file's own position, which nothing uses.
#[cfg(windows)]
pub fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => (bytes, offset) = (&bytes[written..], offset + written as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
