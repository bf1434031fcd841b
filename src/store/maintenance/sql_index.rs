//! The indexes for hand-written SQL (schema.sql), checked and rebuilt by SQLite itself.
//!
//! A missing or extra entry in one of them costs no event, because the table has everything. Other findings of SQLite's
//! check, above all damaged pages, are not repaired here.

use rusqlite::Connection;

use crate::store::{
    event::stored,
    file::{checkpoint, progress::Progress},
};

const INDEXES: [&str; 3] = ["event_timestamp", "event_entity", "event_blueprint"];

/// Former definitions of these indexes. Files of builds before 2026-12-01 keep them, and they serve the same queries.
const FORMER: [&str; 2] = [
    "CREATE INDEX event_entity    ON event (seq >> 12, entity, timestamp) WHERE entity IS NOT NULL",
    "CREATE INDEX event_blueprint ON event (blueprint, timestamp)         WHERE blueprint IS NOT NULL",
];

/// Whether a definition is a former one of these indexes.
pub(in crate::store) fn is_former(sql: &str) -> bool {
    FORMER.contains(&sql)
}

/// The index that a line of SQLite's check names, if the line only reports a missing or an extra entry.
pub(in crate::store) fn named_in(line: &str) -> Option<&'static str> {
    let (what, index) = line.rsplit_once(" index ")?;
    let is_entry = match what.strip_prefix("row ").and_then(|row| row.strip_suffix(" missing from")) {
        Some(number) => number.bytes().all(|digit| digit.is_ascii_digit()),
        None => what == "wrong # of entries in",
    };
    INDEXES.into_iter().find(|name| is_entry && *name == index)
}

/// Rebuilds the indexes with missing or extra entries, each in one transaction.
pub(in crate::store) fn repair(connection: &Connection, progress: &dyn Progress) -> rusqlite::Result<()> {
    progress.advance("checking the indexes for SQL", 0, 0);
    let mut repaired = Vec::new();
    // The findings for one index can fill SQLite's list.
    loop {
        let failing = failing(connection)?;
        let Some(index) = failing.into_iter().find(|index| !repaired.contains(index)) else {
            return Ok(());
        };
        connection.execute_batch(&format!("REINDEX {index}"))?;
        checkpoint::empty(connection)?;
        repaired.push(index);
    }
}

/// The indexes that SQLite's check reports; none if it reports anything else about the table.
fn failing(connection: &Connection) -> rusqlite::Result<Vec<&'static str>> {
    let mut statement = connection.prepare("PRAGMA integrity_check('event')")?;
    let lines: rusqlite::Result<Vec<String>> = statement.query_map([], |row| row.get(0))?.collect();
    match lines {
        Ok(lines) => Ok(lines.iter().map(|line| named_in(line)).collect::<Option<_>>().unwrap_or_default()),
        Err(error) if stored::is_damage(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
