//! A [`Medium`] as a file system that programs can use, by FUSE: one directory, no links, one user.
//!
//! The kernel hands every write on at once; what it keeps in its own cache is gone with the mount. Files that are mapped
//! into memory (SQLite's index of its log) work as anywhere.

use std::{
    ffi::OsStr,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyEmpty, ReplyEntry, ReplyWrite, Request,
    TimeOrNow, WriteFlags,
};

use super::medium::{Fault, Image, Medium};
use crate::skip::FUSE;

/// How long the kernel may cache names. Nothing else changes the files.
const VALID: Duration = Duration::from_secs(3_600);

struct Files(Arc<Medium>);

/// Mounts a medium; unmounted when dropped.
pub(super) fn mount(medium: &Arc<Medium>, at: &Path) -> std::io::Result<BackgroundSession> {
    let mut config = Config::default();
    // A sync that hangs must not keep others from what they do.
    config.n_threads = Some(4);
    fuser::spawn_mount(Files(Arc::clone(medium)), at, &config)
}

/// Whether the test may mount a FUSE file system; if not, it is skipped.
pub(super) fn can_mount() -> bool {
    let at = tempfile::tempdir().unwrap();
    let works = mount(&Arc::new(Medium::new(Image::new())), at.path()).is_ok();
    FUSE.is_met(works)
}

fn errno(fault: Fault) -> Errno {
    match fault {
        Fault::Missing => Errno::ENOENT,
        Fault::Io => Errno::EIO,
    }
}

/// The directory is the first inode, the files follow.
fn file_of(inode: INodeNo) -> usize {
    usize::try_from(u64::from(inode)).unwrap().wrapping_sub(2)
}

fn attributes(inode: u64, length: usize) -> FileAttr {
    let is_directory = inode == 1;
    FileAttr {
        ino: INodeNo(inode),
        size: length as u64,
        blocks: length.div_ceil(512) as u64,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if is_directory { FileType::Directory } else { FileType::RegularFile },
        perm: if is_directory { 0o755 } else { 0o600 },
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        flags: 0,
        blksize: 4096,
    }
}

fn of_file(file: usize, length: usize) -> FileAttr {
    attributes(file as u64 + 2, length)
}

fn number(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

fn answer(done: Result<(), Fault>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(fault) => reply.error(errno(fault)),
    }
}

impl Filesystem for Files {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.0.find(name.to_str().unwrap()) {
            Ok((file, length)) => reply.entry(&VALID, &of_file(file, length), Generation(0)),
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        if u64::from(inode) == 1 {
            return reply.attr(&VALID, &attributes(1, 0));
        }
        match self.0.length(file_of(inode)) {
            Ok(length) => reply.attr(&VALID, &of_file(file_of(inode), length)),
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn setattr(
        &self,
        request: &Request,
        inode: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        handle: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        match size.map_or(Ok(()), |size| self.0.truncate(file_of(inode), number(size))) {
            Ok(()) => self.getattr(request, inode, handle, reply),
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn create(&self, _: &Request, _: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        match self.0.create(name.to_str().unwrap()) {
            Ok(file) => {
                reply.created(&VALID, &of_file(file, 0), Generation(0), FileHandle(0), FopenFlags::empty());
            }
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(self.0.unlink(name.to_str().unwrap()), reply);
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.0.read(file_of(inode), number(offset), size as usize) {
            Ok(bytes) => reply.data(&bytes),
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.0.write(file_of(inode), number(offset), data) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap()),
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(self.0.sync(file_of(inode)), reply);
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(self.0.sync_names(), reply);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }
}
