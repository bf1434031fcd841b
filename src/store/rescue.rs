//! What is saved when the files of a running server are deleted, moved or replaced.
//!
//! Acknowledged events may be in the write-ahead log alone. SQLite still has that log open, even if it was deleted, so a
//! checkpoint copies it into the database, which may have been moved or deleted too. This happens at once and not when the
//! server stops: the process may be killed before.
//!
//! Another program may have written to a new log since. Then SQLite's index no longer describes the log that is open here, and
//! a copy made by it would damage the database: nothing is copied.

use std::{
    error::Error,
    fs, mem,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use rusqlite::Connection;

use crate::{
    model::timestamp::Timestamp,
    store::{
        CloseError, checkpoint, frames, location,
        place::{Displaced, Found, Place},
    },
};

/// How long until the copy is tried again after another program's read transaction has kept it from being complete.
const RETRY: Duration = Duration::from_secs(1);

/// Saves what can be saved, reports it in the server log, and says how the writer has ended. Returns once the copy is made, or
/// the server stops.
pub(super) fn rescue(
    connection: &Connection,
    place: &Place,
    displaced: &Displaced,
    is_stopping: &AtomicBool,
) -> CloseError {
    let (what, path) = (displaced.to_string(), place.path().to_owned());
    if displaced.database == Found::Same && displaced.log == Found::Same {
        let ended = CloseError::InPlace { what, path };
        tracing::error!("no more writes are accepted: {ended}");
        return ended;
    }
    if displaced.database == Found::Another {
        // The database that is there now must not be read together with the log of this one.
        set_aside(place, displaced);
    }
    let copied = if displaced.log_index == Found::Another {
        Err("another program has opened the database since".to_owned())
    } else {
        copy(connection, place, is_stopping)
    };
    if copied.is_ok() && displaced.database != Found::Another {
        set_aside(place, displaced);
    }
    let ended = match (copied, place.present_path()) {
        (Ok(()), Some(path)) => CloseError::Saved { what, path },
        (Ok(()), None) => {
            let descriptor = location::quoted(&place.descriptor());
            tracing::error!(
                "no more writes are accepted: {what}; the database, with every acknowledged event, exists only while this \
                 process runs: before you stop it, run cp {descriptor} and the path of a new file"
            );
            return CloseError::Deleted { what };
        }
        (Err(why), _) => CloseError::Unsaved { what, path, why },
    };
    tracing::error!("no more writes are accepted: {ended}");
    ended
}

/// Copies the write-ahead log into the database.
fn copy(connection: &Connection, place: &Place, is_stopping: &AtomicBool) -> Result<(), String> {
    let mut was_told = false;
    loop {
        // The last attempt is made once the server's own readers are gone.
        let is_last = is_stopping.load(Ordering::Relaxed);
        let why = match attempt(connection, place) {
            Ok(Copied::All) => return Ok(()),
            Ok(Copied::Part) => "another program holds a read transaction open".to_owned(),
            Ok(Copied::Nothing) => return Err("another program has written to the database since".to_owned()),
            Err(error) => error.to_string(),
        };
        if is_last {
            return Err(why);
        }
        if !mem::replace(&mut was_told, true) {
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
    /// What no reader kept from being copied.
    Part,
    /// The log's index describes another log than the one that is open.
    Nothing,
}

fn attempt(connection: &Connection, place: &Place) -> Result<Copied, Box<dyn Error>> {
    let frames = checkpoint::frames_in_log(connection)?;
    // An index without frames: everything was copied before.
    if frames > 0 && frames != frames::committed(place.open_log())? {
        return Ok(Copied::Nothing);
    }
    Ok(if checkpoint::copy_all(connection)? { Copied::All } else { Copied::Part })
}

/// Renames a write-ahead log that the next start must not read: another database's next to this one, or this one's next to
/// another database, or where another may soon be.
fn set_aside(place: &Place, displaced: &Displaced) {
    let time: String = Timestamp::now().to_string().chars().filter(char::is_ascii_digit).take(14).collect();
    let wrong = if displaced.database == Found::Same { Found::Another } else { Found::Same };
    for (suffix, found) in [(location::LOG, displaced.log), (location::LOG_INDEX, displaced.log_index)] {
        let own = location::companion(place.path(), suffix);
        // An empty log, which a program leaves that only reads, changes nothing.
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
                "{own} does not belong to the database that is there now and could not be renamed: move it away before the \
                 next start"
            ),
        }
    }
}
