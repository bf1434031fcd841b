//! Sealing the words of a chunk's events, and the parts of its per-chunk values.

use crate::{
    index::{
        chunk::{
            memory::{MemoryChunk, key_fields},
            posting_set::PostingSet,
            seal::{Occurrence, Ranks, SealedRow, each_number},
            sealed::{ChunkSlot, ChunkTable, RowKey},
        },
        encode::{
            bitset::words_for,
            parts::{PARTS, parts},
            postings::BlockWriter,
        },
    },
    model::{fold::fold, term_text::readable, words::WORD_NUMBERS},
};

/// Up to this many events with a word, the chunk lists them. Otherwise it lists groups of events, which takes less space.
const RARE_EVENTS_MAX: usize = 128;
/// Words that are sorted at once, on average: 2 MB, and at most about 4 MB allocated. After a larger piece of memory was
/// freed, the allocator of glibc keeps pieces up to that size for reuse (`mallopt`, `M_MMAP_THRESHOLD`), in every thread.
const SORTED_WORDS: usize = 256 * 1024;

/// Adds the rows of all words.
pub(in crate::index) fn word_rows(chunk: &MemoryChunk, slot: ChunkSlot, ranks: &Ranks, rows: &mut Vec<SealedRow>) {
    let length = chunk.length();
    let mut rare = BlockWriter::new(PostingSet::Words.length(length));
    let mut common = BlockWriter::new(PostingSet::CommonWords.length(length));
    // An event may have many words. A range of numbers is sorted at a time, to bound the memory.
    let ranges = u32::try_from(chunk.words.total() / SORTED_WORDS + 1).unwrap_or(u32::MAX);
    let width = WORD_NUMBERS.div_ceil(ranges);
    let mut occurrences = Vec::new();
    for first in (0..WORD_NUMBERS).step_by(width as usize) {
        occurrences.clear();
        for (position, rank) in ranks.by_position() {
            let numbers = chunk.words.of(position.into());
            let numbers = &numbers[numbers.partition_point(|number| *number < first)..];
            let within = numbers.iter().take_while(|number| **number - first < width);
            occurrences.extend(within.map(|number| Occurrence::new(*number, rank)));
        }
        each_number(&mut occurrences, |number, ranks| {
            if ranks.len() <= RARE_EVENTS_MAX {
                rare.push(number, ranks);
            } else {
                let mut groups: Vec<u16> =
                    ranks.iter().map(|rank| rank / PostingSet::CommonWords.group_events()).collect();
                groups.dedup();
                common.push(number, &groups);
            }
        });
    }
    add_rows(slot, PostingSet::Words, rare, rows);
    add_rows(slot, PostingSet::CommonWords, common, rows);
}

/// Adds the rows of the parts of all per-chunk values.
pub(in crate::index) fn part_rows(chunk: &MemoryChunk, slot: ChunkSlot, ranks: &Ranks, rows: &mut Vec<SealedRow>) {
    let groups = PostingSet::KeyParts.length(chunk.length());
    let words = words_for(groups);
    let mut sets = vec![0_u64; PARTS * words];
    for field in key_fields() {
        for (value, position) in chunk.keys(field).iter() {
            let group = ranks.of_position(position) / PostingSet::KeyParts.group_events();
            for part in parts(&fold(readable(value))) {
                sets[usize::from(part) * words + usize::from(group) / 64] |= 1 << (group % 64);
            }
        }
    }
    let mut writer = BlockWriter::new(groups);
    for (part, set) in (0..).zip(sets.chunks(words)) {
        let holds = |group: &u16| set.get(usize::from(*group) / 64).is_some_and(|word| word >> (group % 64) & 1 == 1);
        let own: Vec<u16> = (0..=u16::MAX).take(groups as usize).filter(holds).collect();
        writer.push(part, &own);
    }
    add_rows(slot, PostingSet::KeyParts, writer, rows);
}

fn add_rows(slot: ChunkSlot, set: PostingSet, writer: BlockWriter, rows: &mut Vec<SealedRow>) {
    for (first, bytes) in writer.finish() {
        rows.push(SealedRow { table: ChunkTable::Posting, place: RowKey::posting(slot, set, first), bytes });
    }
}
