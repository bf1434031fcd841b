//! Replacing blocks: by others without the bodies of dropped events, or by fewer and larger ones.
//!
//! Replacements are computed from blocks that were read earlier, possibly in another transaction. Each applies only if
//! these blocks are still the same.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::store::event::{
    block::{BLOCK_EVENTS, BlockText, OpenBlock},
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
        for seq in (block.first..block.end()).take(2 * BLOCK_EVENTS) {
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
        let is_small = block.events < BLOCK_EVENTS && block.first >= first;
        let bytes = codec::decoded_length(&block.bodies).unwrap_or(usize::MAX);
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
