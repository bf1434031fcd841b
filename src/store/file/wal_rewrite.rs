//! Writing the log anew when a file is opened that has one.
//!
//! After an fsync that failed, Linux takes the pages concerned for written, though they are not on the disk: they can be
//! read, and a second fsync succeeds without writing them (see "Can Applications Recover from fsync Failures?", Rebello et
//! al., USENIX ATC 2020). A server that was restarted after such an error would find the log whole, take what it holds for
//! stored, and acknowledge it when it is sent again; a loss of power would then take it away. So each page of the log is
//! written once more, with the same bytes, and synced, before anything in it is relied on.
//!
//! A crash here leaves each page as it was or as it is to be, which is the same to whoever reads the log.

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

/// Bytes read and written at once.
const STEP_BYTES: usize = 1024 * 1024;

/// Writes the log of the file at `path` anew. The connection keeps others from appending to it meanwhile.
pub(in crate::store) fn rewrite(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let refused = |error: rusqlite::Error| open::refused(path, &error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(refused)?;
    rewrite_file(&location::companion(path, location::LOG)).map_err(|error| open::unavailable(path, &error))?;
    transaction.rollback().map_err(refused)
}

/// SQLite holds no lock on the log itself that closing it here could drop.
fn rewrite_file(log: &Path) -> io::Result<()> {
    let log = match OpenOptions::new().read(true).write(true).open(log) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let (mut bytes, mut offset) = (vec![0; STEP_BYTES], 0);
    loop {
        let read = read_at(&log, &mut bytes, offset)?;
        if read == 0 {
            break;
        }
        file::write_all_at(&log, &bytes[..read], offset)?;
        offset += read as u64;
    }
    if offset > 0 { sync::sync(&log) } else { Ok(()) }
}

fn read_at(log: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file::read_at(log, bytes, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
