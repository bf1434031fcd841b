//! Files that belong to their owner alone.

use std::{fs::OpenOptions, path::Path};

/// Has `options` create files that only their owner can read and write.
#[cfg(unix)]
pub fn create_private(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

/// Creates files with the permissions of their directory: the standard library sets no others on Windows.
#[cfg(windows)]
pub const fn create_private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// The permission bits of a file that other users can read or write; `None` if they can do neither.
#[cfg(unix)]
pub fn shared_mode(file: &Path) -> Option<u32> {
    let mode = mode(file) & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

/// Whether other users can rename and replace what is in a directory: they can write to it, and no sticky bit protects files
/// that are not theirs.
#[cfg(unix)]
pub fn others_can_replace_in(directory: &Path) -> bool {
    let mode = mode(directory);
    mode & 0o022 != 0 && mode & 0o1000 == 0
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map_or(0, |metadata| metadata.mode())
}

/// Windows has no permission bits; its access control lists are not examined.
#[cfg(windows)]
pub const fn shared_mode(_: &Path) -> Option<u32> {
    None
}

/// Windows has no permission bits; its access control lists are not examined.
#[cfg(windows)]
pub const fn others_can_replace_in(_: &Path) -> bool {
    false
}
