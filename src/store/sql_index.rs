//! The indexes of events that are for SQL by hand (schema.sql), looked at and made anew by SQLite itself.
//!
//! What SQLite's check says of an entry that one of them lacks, or has too many, costs no event: the table says it all. What
//! it says of anything else, of damaged pages above all, is not for this to mend.

use rusqlite::Connection;

use crate::store::{Progress, checkpoint, stored};

const INDEXES: [&str; 3] = ["event_timestamp", "event_entity", "event_blueprint"];

/// The index that a line of SQLite's check is about, if all that is wrong is an entry too few or too many.
pub(super) fn named_in(line: &str) -> Option<&'static str> {
    let (what, index) = line.rsplit_once(" index ")?;
    let is_entry = match what.strip_prefix("row ").and_then(|row| row.strip_suffix(" missing from")) {
        Some(number) => number.bytes().all(|digit| digit.is_ascii_digit()),
        None => what == "wrong # of entries in",
    };
    INDEXES.into_iter().find(|name| is_entry && *name == index)
}

/// Makes those anew in which there are entries too few or too many, each in one transaction.
pub(super) fn mend(connection: &Connection, progress: &dyn Progress) -> rusqlite::Result<()> {
    progress.advance("looking at the indexes for SQL", 0, 0);
    let mut mended = Vec::new();
    // What is wrong with one can fill the list that SQLite makes of it.
    loop {
        let failing = failing(connection)?;
        let Some(index) = failing.into_iter().find(|index| !mended.contains(index)) else {
            return Ok(());
        };
        connection.execute_batch(&format!("REINDEX {index}"))?;
        checkpoint::empty(connection)?;
        mended.push(index);
    }
}

/// Those that SQLite's check finds fault with; none, if it finds fault with anything else of the table.
fn failing(connection: &Connection) -> rusqlite::Result<Vec<&'static str>> {
    let mut statement = connection.prepare("PRAGMA integrity_check('event')")?;
    let lines: rusqlite::Result<Vec<String>> = statement.query_map([], |row| row.get(0))?.collect();
    match lines {
        Ok(lines) => Ok(lines.iter().map(|line| named_in(line)).collect::<Option<_>>().unwrap_or_default()),
        Err(error) if stored::is_damage(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
