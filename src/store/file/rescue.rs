//! Saves acknowledged events when the files of a running server are deleted, moved or replaced.
//!
//! Acknowledged events may be only in the write-ahead log (WAL). SQLite still has the WAL open, even if it was deleted,
//! so a checkpoint copies it into the database, which may have been moved or deleted too. This happens at once and not
//! when the server stops, since the process may be killed before.
//!
//! If another program has written to a new WAL since, SQLite's index no longer describes the WAL that is open here. A
//! copy made by that index would damage the database, so nothing is copied.

use std::{
    error::Error,
    fs::{self, File, OpenOptions},
    io::{self, Seek},
    mem,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use rusqlite::Connection;

use crate::{
    model::timestamp::Timestamp,
    platform::{permissions, sync},
    store::{
        error::{self, CloseError},
        file::{
            checkpoint,
            identity::{Displaced, FoundFile, PathIdentity},
            location, wal_frames,
        },
    },
};

/// How long to wait before the next attempt if another program's read transaction prevented a complete copy.
const RETRY: Duration = Duration::from_secs(1);

/// Saves what can be saved, reports it in the server log, and returns how the writer has ended. Returns once the copy
/// is complete, or the server stops.
pub(in crate::store) fn rescue(
    connection: &Connection,
    identity: &PathIdentity,
    displaced: &Displaced,
    is_stopping: &AtomicBool,
) -> CloseError {
    let (what, path) = (displaced.to_string(), identity.path().to_owned());
    if displaced.database == FoundFile::Same && displaced.wal == FoundFile::Same {
        let ended = CloseError::InPlace { what, path };
        tracing::error!("no more writes are accepted: {ended}");
        return ended;
    }
    if displaced.database == FoundFile::Another {
        // The database that is there now must not be read together with the WAL of this one.
        set_aside(identity, displaced);
    }
    let copied = if displaced.wal_index == FoundFile::Another {
        Err("another program has opened the database since".to_owned())
    } else {
        copy(connection, identity, is_stopping)
    };
    if copied.is_ok() && displaced.database != FoundFile::Another {
        set_aside(identity, displaced);
    }
    let ended = match (copied, identity.present_path()) {
        (Ok(()), Some(path)) => CloseError::Saved { what, path },
        (Ok(()), None) => match identity.descriptor() {
            Some(descriptor) => {
                let descriptor = error::quoted(&descriptor);
                tracing::error!(
                    "no more writes are accepted: {what}; the database, with every acknowledged event, exists only \
                     while this process runs: before you stop it, run cp {descriptor} and the path of a new file"
                );
                return CloseError::Deleted { what };
            }
            // No other process can copy it.
            None => match copy_deleted(identity.open_database(), &path) {
                Ok(path) => CloseError::Saved { what, path },
                Err(error) => {
                    let why =
                        format!("the database was deleted, and copying it next to its former path failed: {error}");
                    CloseError::Unsaved { what, path, why }
                }
            },
        },
        (Err(why), _) => CloseError::Unsaved { what, path, why },
    };
    tracing::error!("no more writes are accepted: {ended}");
    ended
}

/// Copies a deleted database that is still open to a new file next to its former path; returns the new path.
fn copy_deleted(mut database: &File, former: &Path) -> io::Result<PathBuf> {
    let copy = location::companion(former, &format!(".rescued-{}", now()));
    let mut options = OpenOptions::new();
    let mut to = permissions::create_private(options.write(true).create_new(true)).open(&copy)?;
    database.rewind()?;
    io::copy(&mut database, &mut to)?;
    sync::sync(&to)?;
    sync::sync_name(&copy)?;
    Ok(copy)
}

/// Copies the write-ahead log into the database.
fn copy(connection: &Connection, identity: &PathIdentity, is_stopping: &AtomicBool) -> Result<(), String> {
    let mut was_reported = false;
    loop {
        // The last attempt is made once the server's own readers are gone.
        let is_last = is_stopping.load(Ordering::Relaxed);
        let why = match attempt(connection, identity) {
            Ok(Copied::All) => return Ok(()),
            Ok(Copied::Part) => "another program holds a read transaction open".to_owned(),
            Ok(Copied::Nothing) => return Err("another program has written to the database since".to_owned()),
            Err(error) => error.to_string(),
        };
        if is_last {
            return Err(why);
        }
        if !mem::replace(&mut was_reported, true) {
            tracing::error!(
                why,
                "the write-ahead log cannot be copied into the database yet: do not kill this process"
            );
        }
        thread::sleep(RETRY);
    }
}

/// What an attempt has copied.
enum Copied {
    All,
    /// All but the part that a reader still needs.
    Part,
    /// Nothing: the WAL's index describes another WAL than the open one.
    Nothing,
}

fn attempt(connection: &Connection, identity: &PathIdentity) -> Result<Copied, Box<dyn Error>> {
    let frames = checkpoint::frames_in_wal(connection)?;
    // An index without frames means that everything was copied before.
    if frames > 0 && frames != wal_frames::committed(identity.open_wal())? {
        return Ok(Copied::Nothing);
    }
    Ok(if checkpoint::copy_all(connection)? { Copied::All } else { Copied::Part })
}

/// Renames a WAL that the next start must not read: the WAL of another database next to this one, or the WAL of this
/// database where another database is or may soon be.
fn set_aside(identity: &PathIdentity, displaced: &Displaced) {
    let time = now();
    let wrong = if displaced.database == FoundFile::Same { FoundFile::Another } else { FoundFile::Same };
    for (suffix, found) in [(location::WAL, displaced.wal), (location::WAL_INDEX, displaced.wal_index)] {
        let own = location::companion(identity.path(), suffix);
        // An empty WAL changes nothing. Programs that only read leave one.
        if found != wrong || fs::metadata(&own).is_ok_and(|file| file.len() == 0) {
            continue;
        }
        let aside = location::companion(&own, &format!(".aside-{time}"));
        let renamed = fs::rename(&own, &aside);
        let (own, aside) = (own.display(), aside.display());
        match renamed {
            Ok(()) => {
                tracing::warn!("{own} does not belong to the database that is there now; it was renamed to {aside}");
            }
            Err(error) => tracing::error!(
                %error,
                "{own} does not belong to the database that is there now and could not be renamed: move it away before \
                 the next start"
            ),
        }
    }
}

/// The present time as part of a file's name.
fn now() -> String {
    Timestamp::now().to_string().chars().filter(char::is_ascii_digit).take(14).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_database_is_copied_to_a_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auditbox.db");
        fs::write(&path, "every page of it").unwrap();
        let mut open = File::open(&path).unwrap();
        open.seek(io::SeekFrom::End(0)).unwrap();
        fs::remove_file(&path).unwrap();
        let copy = copy_deleted(&open, &path).unwrap();
        assert_eq!(copy.parent(), path.parent());
        assert_eq!(fs::read_to_string(&copy).unwrap(), "every page of it");
        assert_eq!(permissions::shared_mode(&copy), None);
    }
}
