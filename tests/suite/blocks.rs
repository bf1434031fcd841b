//! Blocks in the file, as tests read and change them without the program.

use rusqlite::{Connection, params};

/// The byte between two bodies of a block.
const SEPARATOR: char = '\u{1e}';

/// The first seq of the block with the body of this event, and its bodies.
fn block_of(connection: &Connection, seq: i64) -> (i64, Vec<String>) {
    let sql = "SELECT first, bodies FROM block WHERE first <= ?1 ORDER BY first DESC LIMIT 1";
    let (first, stored): (i64, Vec<u8>) = connection.query_row(sql, [seq], |row| row.try_into()).unwrap();
    let bodies = decoded(connection, &stored).split(SEPARATOR).map(str::to_owned).collect();
    (first, bodies)
}

fn decoded(connection: &Connection, stored: &[u8]) -> String {
    if stored[0] == b'{' {
        return String::from_utf8(stored.to_vec()).unwrap();
    }
    let number = zstd::zstd_safe::get_dict_id_from_frame(stored).map_or(0, std::num::NonZero::get);
    let sql = "SELECT coalesce((SELECT bytes FROM dictionary WHERE number = ?1), x'')";
    let dictionary: Vec<u8> = connection.query_row(sql, [number], |row| row.get(0)).unwrap();
    let mut decoder = zstd::stream::Decoder::with_dictionary(stored, &dictionary).unwrap();
    std::io::read_to_string(&mut decoder).unwrap()
}

/// The body of the event with this seq.
pub fn body(connection: &Connection, seq: i64) -> String {
    let (first, bodies) = block_of(connection, seq);
    bodies[usize::try_from(seq - first).unwrap()].clone()
}

/// Allows changes to the tables of events and blocks, until [`forbid_changes`].
pub fn allow_changes(connection: &Connection) {
    for trigger in TRIGGERS {
        connection.execute_batch(&format!("DROP TRIGGER IF EXISTS {trigger}")).unwrap();
    }
}

/// Restores the triggers that [`allow_changes`] drops.
pub fn forbid_changes(connection: &Connection) {
    let described = Connection::open_in_memory().unwrap();
    described.execute_batch(include_str!("../../schema.sql")).unwrap();
    for trigger in TRIGGERS {
        let made = "SELECT sql FROM sqlite_schema WHERE name = ?1";
        let sql: String = described.query_row(made, [trigger], |row| row.get(0)).unwrap();
        connection.execute_batch(&sql).unwrap();
    }
}

const TRIGGERS: [&str; 4] =
    ["event_is_never_changed", "event_is_never_deleted", "block_is_never_changed", "block_is_never_deleted"];

/// Gives the body of this event a block of its own, so that a test can damage it alone. Changes must be allowed.
pub fn isolate(connection: &Connection, seq: i64) {
    let (first, bodies) = block_of(connection, seq);
    let at = usize::try_from(seq - first).unwrap();
    connection.execute("DELETE FROM block WHERE first = ?1", [first]).unwrap();
    for (from, part) in [(0, &bodies[..at]), (at, &bodies[at..=at]), (at + 1, &bodies[at + 1..])] {
        if !part.is_empty() {
            insert(connection, first + i64::try_from(from).unwrap(), part);
        }
    }
}

/// Inserts a block with these bodies.
pub fn insert(connection: &Connection, first: i64, bodies: &[String]) {
    let text = bodies.join(&SEPARATOR.to_string());
    // With its length in the header, as the format demands.
    let frame = zstd::bulk::compress(text.as_bytes(), 3).unwrap();
    let stored = if frame.len() < text.len() { frame } else { text.into_bytes() };
    let sql = "INSERT INTO block (first, events, bodies) VALUES (?1, ?2, ?3)";
    connection.execute(sql, params![first, u32::try_from(bodies.len()).unwrap(), stored]).unwrap();
}

/// Replaces the stored form of the body of this event. Changes must be allowed.
pub fn overwrite(connection: &Connection, seq: i64, stored: &[u8]) {
    isolate(connection, seq);
    let changed = connection.execute("UPDATE block SET bodies = ?1 WHERE first = ?2", params![stored, seq]);
    assert_eq!(changed.unwrap(), 1);
}
