//! Replacing blocks: by others without the bodies of dropped events, or by fewer and larger ones.
//!
//! Replacements are computed from blocks that were read earlier, possibly in another transaction. Each applies only if
//! these blocks are still the same.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::store::event::{
    block::{self, BLOCK_EVENTS_MAX, BlockText, OpenBlock},
    block_rows::{self, StoredBlock},
    chunks::SeqRun,
    codec::{self, BodyCodec, Decoder},
    tombstones,
};

/// Events whose blocks are joined at once.
const PART_EVENTS: i64 = 4_096;

/// Blocks that were read, and the one that replaces them. The bodies of the events stay, except those of dropped events.
#[derive(Debug, Clone)]
pub(in crate::store) struct Replacement {
    /// The seq of the first event and the CRC-32 of the stored form of each block that is replaced.
    former: Vec<(i64, u32)>,
    /// The new block; `None` if all of its events were dropped.
    block: Option<(i64, usize, Vec<u8>)>,
}

impl Replacement {
    /// The bytes that the replacement writes.
    pub(in crate::store) fn bytes(&self) -> usize {
        self.block.as_ref().map_or(0, |(_, _, bodies)| bodies.len())
    }
}

/// Replaces blocks. Those that have changed since they were read stay.
pub(in crate::store) fn replace(connection: &Connection, replacements: &[Replacement]) -> rusqlite::Result<()> {
    let mut find = connection.prepare_cached("SELECT bodies FROM block WHERE first = ?1")?;
    let mut delete = connection.prepare_cached("DELETE FROM block WHERE first = ?1")?;
    connection.prepare_cached("INSERT INTO setting (name, value) VALUES ('replacing_blocks', 1)")?.execute([])?;
    for Replacement { former, block } in replacements {
        let mut is_current = true;
        for (first, hash) in former {
            let mut rows = find.query([first])?;
            let found =
                rows.next()?.map(|row| row.get_ref(0)?.as_blob().map(crc32fast::hash).map_err(rusqlite::Error::from));
            is_current &= found.transpose()? == Some(*hash);
        }
        if !is_current {
            continue;
        }
        for (first, _) in former {
            delete.execute([first])?;
        }
        if let Some((first, events, bodies)) = block {
            block_rows::insert(connection, *first, *events, bodies)?;
        }
    }
    connection.prepare_cached("DELETE FROM setting WHERE name = 'replacing_blocks'")?.execute([]).map(drop)
}

/// Removes the bodies of dropped events, whose ranges are recorded. A damaged block stays while it has other events.
pub(in crate::store) fn remove(connection: &Connection, bodies: &BodyCodec, runs: &[SeqRun]) -> rusqlite::Result<()> {
    let mut touched = BTreeMap::new();
    for (first, last) in runs {
        block_rows::each(connection, (*first, *last), |block| {
            if block.end() > *first {
                touched.insert(block.first, block);
            }
            Ok(())
        })?;
    }
    let decoder = Decoder::new(connection, bodies);
    let mut replacements = Vec::new();
    for block in touched.into_values() {
        let mut kept = Vec::new();
        // A damaged number of events may be large.
        for seq in (block.first..block.end()).take(BLOCK_EVENTS_MAX) {
            if !tombstones::is_dropped(connection, seq)? {
                kept.push(seq);
            }
        }
        match without(&block, &kept, bodies, &decoder) {
            Ok(replacement) => replacements.push(replacement),
            Err(message) => tracing::error!(
                seq = block.first,
                cause = message,
                "a damaged block keeps the bodies of dropped events: run auditbox doctor"
            ),
        }
    }
    replace(connection, &replacements)
}

/// Those of the events from `first` to `last` that still have a body, of blocks that can be read.
pub(in crate::store) fn with_bodies(
    connection: &Connection,
    bodies: &BodyCodec,
    (first, last): SeqRun,
) -> rusqlite::Result<Vec<i64>> {
    let (mut found, decoder) = (Vec::new(), Decoder::new(connection, bodies));
    block_rows::each(connection, (first, last), |block| {
        if let Ok(open) = block.open(&decoder) {
            let are_left = open.bodies().filter(|(seq, body)| !body.is_empty() && (first..=last).contains(seq));
            found.extend(are_left.map(|(seq, _)| seq));
        }
        Ok(())
    })?;
    Ok(found)
}

/// The block with only these of its events.
fn without(
    block: &StoredBlock,
    kept: &[i64],
    bodies: &BodyCodec,
    decoder: &Decoder<'_>,
) -> Result<Replacement, String> {
    let former = vec![(block.first, crc32fast::hash(&block.bodies))];
    let (Some(first), Some(last)) = (kept.first(), kept.last()) else {
        return Ok(Replacement { former, block: None });
    };
    let (open, mut text) = (block.open(decoder)?, BlockText::default());
    for (seq, body) in open.bodies().filter(|(seq, _)| seq >= first && seq <= last) {
        text.push(if kept.contains(&seq) { body } else { "" }, 1);
    }
    Ok(Replacement { former, block: Some((*first, text.events(), text.encode_stored(bodies, *first))) })
}

/// Ranges of seqs whose blocks are joined at once, so that few are in memory.
pub(in crate::store) fn parts((first, last): SeqRun) -> impl Iterator<Item = SeqRun> {
    let starts = std::iter::successors(Some(first), |start| start.checked_add(PART_EVENTS));
    starts.take_while(move |start| *start <= last).map(move |start| (start, last.min(start + PART_EVENTS - 1)))
}

/// Joins small blocks of consecutive events, of those that begin from `first` to `last`. Damaged blocks stay as they
/// are.
pub(in crate::store) fn joined(
    connection: &Connection,
    bodies: &BodyCodec,
    (first, last): SeqRun,
) -> rusqlite::Result<Vec<Replacement>> {
    let decoder = Decoder::new(connection, bodies);
    let (mut replacements, mut group) = (Vec::new(), Group::default());
    block_rows::each(connection, (first, last), |block| {
        let bytes = codec::decoded_length(&block.bodies).unwrap_or(usize::MAX);
        let is_small = !block::is_full(block.events, bytes) && block.first >= first;
        if !is_small || !group.takes(&block, bytes) {
            replacements.extend(std::mem::take(&mut group).join(bodies));
        }
        if is_small && let Ok(open) = block.open(&decoder) {
            group.push(&block, &open);
        }
        Ok(())
    })?;
    replacements.extend(group.join(bodies));
    Ok(replacements)
}

/// Blocks that become one.
#[derive(Default)]
struct Group {
    former: Vec<(i64, u32)>,
    first: i64,
    end: i64,
    text: BlockText,
}

impl Group {
    /// Whether a block with bodies of this length may join it.
    fn takes(&self, block: &StoredBlock, bytes: usize) -> bool {
        self.text.takes(bytes) && (self.former.is_empty() || self.end == block.first)
    }

    fn push(&mut self, block: &StoredBlock, open: &OpenBlock) {
        if self.former.is_empty() {
            self.first = block.first;
        }
        self.end = block.end();
        self.former.push((block.first, crc32fast::hash(&block.bodies)));
        self.text.push(open.text(), block.events);
    }

    /// The block that replaces them, if there are several.
    fn join(self, bodies: &BodyCodec) -> Option<Replacement> {
        let Self { former, first, text, .. } = self;
        if former.len() < 2 {
            return None;
        }
        let block = (first, text.events(), text.encode_stored(bodies, first));
        Some(Replacement { former, block: Some(block) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::event::block_rows::BlockReader;

    const SECRET: &str = "unforgettable4711";

    fn body(seq: i64) -> String {
        format!("{{\"identifier\":\"e{seq}\",\"message\":\"{SECRET}-{seq}.\"}}")
    }

    /// A file with these blocks: the seq of the first event, and the number of events.
    fn file(blocks: &[(i64, i64)]) -> (Connection, BodyCodec) {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../schema.sql")).unwrap();
        let codec = BodyCodec::load(&connection).unwrap();
        for (first, events) in blocks {
            let text = BlockText::of(&(*first..first + events).map(body).collect::<Vec<_>>());
            block_rows::insert(&connection, *first, text.events(), &text.encode(&codec)).unwrap();
        }
        (connection, codec)
    }

    fn blocks(connection: &Connection) -> Vec<(i64, i64)> {
        let mut statement = connection.prepare("SELECT first, events FROM block ORDER BY first").unwrap();
        statement.query_map([], |row| row.try_into()).unwrap().map(Result::unwrap).collect()
    }

    /// The seqs up to 80 of the events that have a body, which must be the right one.
    fn readable(connection: &Connection, codec: &BodyCodec) -> Vec<i64> {
        let mut reader = BlockReader::new(connection, codec).unwrap();
        let mut found = Vec::new();
        for seq in 1..=80 {
            if let Ok(read) = reader.body(seq).unwrap() {
                assert_eq!(read, body(seq));
                found.push(seq);
            }
        }
        found
    }

    #[test]
    fn small_neighbors_become_one_block_and_full_ones_stay() {
        // Single events, a full block, smaller ones, a gap, and more.
        let singles = (1..=20).map(|first| (first, 1));
        let others = [(21, 16), (37, 8), (45, 6), (51, 2), (60, 2), (62, 14), (76, 4)];
        let all: Vec<_> = singles.chain(others).collect();
        let (connection, codec) = file(&all);
        let before = readable(&connection, &codec);
        replace(&connection, &joined(&connection, &codec, (1, 80)).unwrap()).unwrap();
        assert_eq!(blocks(&connection), [(1, 16), (17, 4), (21, 16), (37, 16), (60, 16), (76, 4)]);
        assert_eq!(readable(&connection, &codec), before);
        assert!(joined(&connection, &codec, (1, 80)).unwrap().is_empty());
    }

    #[test]
    fn a_block_that_has_changed_is_not_replaced() {
        let (connection, codec) = file(&[(1, 2), (3, 2)]);
        let joined = joined(&connection, &codec, (1, 4)).unwrap();
        connection.execute("INSERT INTO dropped VALUES (3, 3)", []).unwrap();
        remove(&connection, &codec, &[(3, 3)]).unwrap();
        replace(&connection, &joined).unwrap();
        assert_eq!(blocks(&connection), [(1, 2), (4, 1)]);
        assert_eq!(readable(&connection, &codec), [1, 2, 4]);
    }

    #[test]
    fn dropped_events_leave_their_blocks_and_others_stay() {
        let (connection, codec) = file(&[(1, 8), (9, 8), (17, 8), (25, 8)]);
        let runs = [(1, 1), (4, 5), (8, 16), (18, 18)];
        for run in runs {
            connection.execute("INSERT INTO dropped VALUES (?1, ?2)", [run.0, run.1]).unwrap();
        }
        remove(&connection, &codec, &runs).unwrap();
        assert_eq!(blocks(&connection), [(2, 6), (17, 8), (25, 8)]);
        let kept: Vec<i64> =
            (1..=32).filter(|seq| !runs.iter().any(|(first, last)| (first..=last).contains(&seq))).collect();
        assert_eq!(readable(&connection, &codec), kept);
        let of_first: Vec<u8> =
            connection.query_row("SELECT bodies FROM block WHERE first = 2", [], |row| row.get(0)).unwrap();
        let text = Decoder::new(&connection, &codec).decode(&of_first).unwrap();
        assert!(text.contains(&format!("{SECRET}-6.")) && !text.contains(&format!("{SECRET}-5.")));
        // Then the rest of a block that has a gap.
        connection.execute_batch("DELETE FROM dropped WHERE first < 17; INSERT INTO dropped VALUES (1, 16)").unwrap();
        remove(&connection, &codec, &[(2, 3), (6, 7)]).unwrap();
        assert_eq!(blocks(&connection), [(17, 8), (25, 8)]);
        assert!(connection.execute("DELETE FROM block", []).is_err());
    }

    #[test]
    fn a_damaged_block_stays_until_all_of_its_events_are_dropped() {
        let (connection, codec) = file(&[(1, 8)]);
        let broken = [(9, 8, "x'28b52ffd'"), (17, 4_000_000_000_i64, "x'28b52ffd'")];
        for (first, events, bodies) in broken {
            connection.execute_batch(&format!("INSERT INTO block VALUES ({first}, {events}, {bodies})")).unwrap();
        }
        connection.execute("INSERT INTO dropped VALUES (3, 9)", []).unwrap();
        remove(&connection, &codec, &[(3, 9)]).unwrap();
        assert_eq!(blocks(&connection), [(1, 2), (9, 8), (17, 4_000_000_000)]);
        connection.execute_batch("DELETE FROM dropped; INSERT INTO dropped VALUES (3, 18)").unwrap();
        remove(&connection, &codec, &[(10, 18)]).unwrap();
        assert_eq!(blocks(&connection), [(1, 2), (17, 4_000_000_000)]);
    }
}
