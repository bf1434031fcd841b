//! Whether the clock is to be believed: one that jumps far ahead would make the whole log past its time.
//!
//! The last time that was believed is kept in the file. A clock that is more than a week ahead of it (a server that was off
//! for so long, a machine that woke up in another century) is believed only when the operator says so. Before the first
//! time, the newest event says when the clock was last right.

use rusqlite::{Connection, OptionalExtension};

use crate::{
    model::{event::received_at, timestamp::Timestamp},
    store::event::{codec::BodyCodec, row, stored::Fetch},
};

/// Seconds that the clock may be ahead of the last time that was believed: a week. At worst so much is dropped too early.
const AHEAD_SECONDS_MAX: i64 = 7 * 24 * 60 * 60;

/// Whether a clock that shows `now` is believed, given the last time that was.
pub(in crate::store) fn is_believed(now: Timestamp, before: Option<Timestamp>) -> bool {
    before.is_none_or(|before| now <= before.plus_seconds(AHEAD_SECONDS_MAX))
}

/// The last time that was believed.
pub(in crate::store) fn believed(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let micros = connection
        .prepare_cached("SELECT value FROM setting WHERE name = 'retention_clock'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(micros.map(Timestamp::from_micros))
}

/// Puts down that the clock is believed.
pub(in crate::store) fn believe(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "INSERT INTO setting (name, value) VALUES ('retention_clock', ?1) \
               ON CONFLICT DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute([now.micros()]).map(drop)
}

/// Forgets the last time: nothing is dropped, and nobody looks at the clock.
pub(in crate::store) fn forget(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM setting WHERE name = 'retention_clock'", []).map(drop)
}

/// When the newest event came in. To be asked before any other is taken in, which the same clock would date.
pub(in crate::store) fn newest_receipt(
    connection: &Connection,
    bodies: &BodyCodec,
) -> rusqlite::Result<Option<Timestamp>> {
    let newest = Fetch::new(connection, bodies)?.event(row::last_seq(connection)?)?;
    Ok(newest.and_then(Result::ok).and_then(|body| received_at(&body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_believed_for_a_week_ahead() {
        let at = |text| Timestamp::parse(text).unwrap();
        let before = Some(at("2024-05-01T00:00:00Z"));
        assert!(is_believed(at("2024-05-08T00:00:00Z"), before));
        assert!(!is_believed(at("2024-05-08T00:00:01Z"), before));
        // Behind, it drops nothing that is not past its time.
        assert!(is_believed(at("1970-01-01T00:00:00Z"), before) && is_believed(at("2099-01-01T00:00:00Z"), None));
    }
}
