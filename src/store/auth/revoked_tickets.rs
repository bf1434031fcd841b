//! Tickets that were revoked before they expired: ended sessions and used sign-in links.
//!
//! Each is a setting named `spent:` and the ticket's id; its value is when the ticket would have expired. After that
//! instant it is deleted when the next ticket is revoked. The last few thousand stay regardless, because a clock that
//! was ahead for a while and is then corrected makes expired tickets valid again.

use std::collections::HashSet;

use rusqlite::Connection;

use crate::model::{ticket_id::TicketId, timestamp::Timestamp};

const PREFIX: &str = "spent:";
/// Number of revoked tickets that are kept regardless of the clock, at a hundred bytes each.
const REMEMBERED: u32 = 10_000;

/// Every revoked ticket.
pub(in crate::store) fn all(connection: &Connection) -> rusqlite::Result<HashSet<TicketId>> {
    let mut statement =
        connection.prepare_cached("SELECT name FROM setting WHERE name >= 'spent:' AND name < 'spent;'")?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut revoked = HashSet::new();
    for name in names {
        // An invalid name belongs to no ticket.
        revoked.extend(name?.strip_prefix(PREFIX).and_then(TicketId::parse));
    }
    Ok(revoked)
}

/// Revokes a ticket; false if it was already revoked.
pub(in crate::store) fn add(
    connection: &Connection,
    id: &TicketId,
    until: Timestamp,
    now: i64,
) -> rusqlite::Result<bool> {
    if until.micros() <= now {
        // The ticket has expired, so the record of an earlier revocation may already be deleted.
        return Ok(false);
    }
    connection.execute(
        "DELETE FROM setting WHERE name >= 'spent:' AND name < 'spent;' AND value < ?1 AND name NOT IN \
         (SELECT name FROM setting WHERE name >= 'spent:' AND name < 'spent;' ORDER BY value DESC LIMIT ?2)",
        (now, REMEMBERED),
    )?;
    let added = connection.execute(
        "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        (format!("{PREFIX}{}", id.as_str()), until.micros()),
    )?;
    Ok(added > 0)
}

/// The rows of revoked tickets: the name of the setting, and when the ticket would have expired.
pub(in crate::store) fn rows(connection: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    connection
        .prepare("SELECT name, value FROM setting WHERE name >= 'spent:' AND name < 'spent;'")?
        .query_map([], |row| row.try_into())?
        .collect()
}

/// Adds rows of another file. Returns the number of new ones.
pub(in crate::store) fn keep(connection: &Connection, rows: &[(String, i64)]) -> rusqlite::Result<usize> {
    let mut statement =
        connection.prepare("INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
    rows.iter().map(|row| statement.execute((&row.0, row.1))).sum()
}
