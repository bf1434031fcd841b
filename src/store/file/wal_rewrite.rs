//! Rewrites the write-ahead log (WAL) when a file with a WAL is opened.
//!
//! After a failed fsync, Linux marks the pages concerned as written, although they are not on the disk. They can be
//! read, and a second fsync succeeds without writing them (see "Can Applications Recover from fsync Failures?", Rebello
//! et al., USENIX ATC 2020). A server that restarts after such an error would find the WAL complete, treat its events
//! as stored, and acknowledge them when they are sent again. A loss of power would then delete them. So each page of
//! the WAL is written again, with the same bytes, and synced, before anything in it is relied on.
//!
//! Old and new content of each page are equal, so a crash here changes nothing for readers of the WAL.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

use rusqlite::{Connection, TransactionBehavior};

use crate::{
    platform::{file, sync},
    store::{
        error::OpenError,
        file::{location, open},
    },
};

/// Bytes read and written per step.
const STEP_BYTES: usize = 1024 * 1024;

/// Rewrites the WAL of the file at `path`. A transaction of the connection prevents others from appending to it
/// meanwhile.
pub(in crate::store) fn rewrite(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let refused = |error: rusqlite::Error| open::refused(path, &error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(refused)?;
    rewrite_file(&location::companion(path, location::WAL)).map_err(|error| open::unavailable(path, &error))?;
    transaction.rollback().map_err(refused)
}

/// SQLite holds no lock on the WAL itself that closing it here could release.
fn rewrite_file(wal: &Path) -> io::Result<()> {
    let wal = match OpenOptions::new().read(true).write(true).open(wal) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let (mut bytes, mut offset) = (vec![0; STEP_BYTES], 0);
    loop {
        let read = read_at(&wal, &mut bytes, offset)?;
        if read == 0 {
            break;
        }
        file::write_all_at(&wal, &bytes[..read], offset)?;
        offset += read as u64;
    }
    if offset > 0 { sync::sync(&wal) } else { Ok(()) }
}

fn read_at(wal: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file::read_at(wal, bytes, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
