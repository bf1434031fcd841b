//! Whether to trust the clock: a clock that jumps far ahead would make the whole log expire.
//!
//! The file keeps the last trusted time. A clock that is more than a week ahead of it (the server was off for a month,
//! or the machine's clock was reset) is trusted only when the operator says so. Before the first trusted time, the
//! newest event shows when the clock was last right.

use rusqlite::{Connection, OptionalExtension};

use crate::{
    model::{event::received_at, timestamp::Timestamp},
    store::event::{codec::BodyCodec, row, stored::Fetch},
};

/// Seconds that the clock may be ahead of the last trusted time: a week. At worst, events are dropped a week too early.
const AHEAD_SECONDS_MAX: i64 = 7 * 24 * 60 * 60;

/// Whether to trust a clock that shows `now`, given the last trusted time.
pub(in crate::store) fn is_trusted(now: Timestamp, last: Option<Timestamp>) -> bool {
    last.is_none_or(|last| now <= last.plus_seconds(AHEAD_SECONDS_MAX))
}

/// The last trusted time.
pub(in crate::store) fn trusted(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let micros = connection
        .prepare_cached("SELECT value FROM setting WHERE name = 'retention_clock'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(micros.map(Timestamp::from_micros))
}

/// Records that the clock is trusted.
pub(in crate::store) fn trust(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "INSERT INTO setting (name, value) VALUES ('retention_clock', ?1) \
               ON CONFLICT DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute([now.micros()]).map(drop)
}

/// Deletes the last trusted time. A server without retention does not update it, so it would become outdated.
pub(in crate::store) fn forget(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM setting WHERE name = 'retention_clock'", []).map(drop)
}

/// The time at which the newest event was received. Call this before the server accepts events, because their times of
/// receipt come from the clock that is to be checked.
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
    fn a_clock_is_trusted_up_to_a_week_ahead() {
        let at = |text| Timestamp::parse(text).unwrap();
        let last = Some(at("2024-05-01T00:00:00Z"));
        assert!(is_trusted(at("2024-05-08T00:00:00Z"), last));
        assert!(!is_trusted(at("2024-05-08T00:00:01Z"), last));
        // A clock that is behind drops nothing too early.
        assert!(is_trusted(at("1970-01-01T00:00:00Z"), last) && is_trusted(at("2099-01-01T00:00:00Z"), None));
    }
}
