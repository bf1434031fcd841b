//! Putting a backup in the file's place.
//!
//! The backup is copied, brought to the present format if it is older, and looked through before anything is touched. The
//! file that is there is moved aside, never deleted. A crash leaves either the old file, or none and both copies beside its
//! place, or the new one; running it again goes on from there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    model::timestamp::Timestamp,
    store::{
        CHUNK_EVENTS, Lock, Progress, Report,
        backup::{self, BackupError},
        checkpoint, doctor, epoch, event, open,
    },
};

/// What became of the file.
pub struct Restored {
    /// What a look through the backup found; if it found anything, nothing was put in place.
    pub report: Report,
    /// Where the file is that was there before.
    pub aside: Option<PathBuf>,
}

/// Puts the backup `source` in the place of the file at `path`. No server may have it open.
pub fn restore(path: &Path, source: &Path, replace: bool, progress: &dyn Progress) -> Result<Restored, BackupError> {
    let failed = |path: &Path, source| BackupError::Io { path: path.to_owned(), source };
    let lock = Lock::take(path)?;
    let path = lock.path();
    backup::require_file(source)?;
    if backup::is_same(path, source) {
        return Err(BackupError::Same(source.to_owned()));
    }
    backup::may_replace(path, replace)?;
    let part = backup::beside(path, "part");
    for leftover in [wal(&part), shm(&part)] {
        remove(&leftover).map_err(|error| failed(&leftover, error))?;
    }
    backup::begin(&part)?;
    progress.advance("copying the backup", 0, 0);
    // Into the file that was made for it, which keeps its permissions.
    let mut from = fs::File::open(source).map_err(|error| failed(source, error))?;
    let to = fs::OpenOptions::new().write(true).open(&part);
    to.and_then(|mut to| io::copy(&mut from, &mut to)).map_err(|error| failed(&part, error))?;
    let report = look(&part, progress);
    if !report.as_ref().is_ok_and(|report| report.findings.is_empty()) {
        drop(fs::remove_file(&part));
        return Ok(Restored { report: report?, aside: None });
    }
    begin_epoch(&part, path)?;
    backup::sync(&part)?;
    let time: String = Timestamp::now().to_string().chars().filter(char::is_ascii_digit).take(14).collect();
    let name = backup::beside(path, &format!("before-{time}"));
    let mut aside = None;
    // The file first, then its log: a file without its log would be an older one.
    for (own, other) in [(path.to_owned(), name.clone()), (wal(path), wal(&name))] {
        match fs::rename(&own, &other) {
            Ok(()) => aside = Some(name.clone()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&own, error)),
        }
    }
    remove(&shm(path)).map_err(|error| failed(path, error))?;
    backup::place(&part, path)?;
    Ok(Restored { report: report?, aside })
}

fn look(part: &Path, progress: &dyn Progress) -> Result<Report, BackupError> {
    let connection = open::writable(part, CHUNK_EVENTS, progress)?;
    checkpoint::empty(&connection)?;
    drop(connection);
    Ok(doctor::examine(part, progress)?)
}

/// Begins an epoch in the restored file. If the file that it replaces can be read, the two are compared.
fn begin_epoch(part: &Path, replaced: &Path) -> Result<(), BackupError> {
    let read = || -> rusqlite::Result<_> {
        let connection = open::reading(replaced)?;
        Ok((epoch::load(&connection)?, event::last_seq(&connection)?))
    };
    let (epochs, last_seq) = read().unwrap_or_default();
    let mut connection = open::beside_writer(part)?;
    let transaction = connection.transaction()?;
    epoch::take_place_of(&transaction, &epochs, last_seq)?;
    transaction.commit()?;
    Ok(checkpoint::empty(&connection)?)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn wal(path: &Path) -> PathBuf {
    with(path, "-wal")
}

fn shm(path: &Path) -> PathBuf {
    with(path, "-shm")
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
