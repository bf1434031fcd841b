//! Finding the event that has an identifier.
//!
//! Each incoming event is looked up among all stored events, and nearly always it is new. The Bloom filters of the sealed
//! chunks show this. They are probed where the event is prepared, on one of many threads, and not on the writer's thread:
//! a sealed chunk never gains events. The writer then looks only at newer chunks, and at chunks whose filter says "maybe".

use std::sync::Arc;

use crate::{
    index::{
        chunk::sealed::{ChunkReader, SealedChunk},
        damaged_id,
        encode::{bitset::Bitset, hash::value_hash},
        error::Result,
        snapshot::{Index, Snapshot},
        state::SharedChunk,
    },
    model::field::Field,
};

/// The result of probing the filters of sealed chunks for an identifier.
#[derive(Debug, Clone)]
pub struct IdentifierProbe {
    hash: u64,
    /// The number of the last probed chunk; `None` if none was probed.
    through: Option<u32>,
    /// The probed chunks that may have the identifier, in ascending order.
    may_hold: Vec<u32>,
}

impl IdentifierProbe {
    /// The state before any filter is probed.
    pub fn new(identifier: &str) -> Self {
        Self { hash: value_hash(identifier), through: None, may_hold: Vec::new() }
    }
}

impl Index {
    /// Probes the filters of the chunks that are sealed now. This does not wait for queries or for the file.
    pub fn probe(&self, identifier: &str) -> IdentifierProbe {
        let sealed = Arc::clone(&self.probed.read());
        let mut probe = IdentifierProbe::new(identifier);
        for chunk in sealed.iter() {
            // A damaged event may become readable when its chunk is sealed again, and then it has an identifier.
            if chunk.has_damaged_ids {
                return IdentifierProbe { through: None, may_hold: Vec::new(), ..probe };
            }
            if chunk.identifiers.may_hold(probe.hash) {
                probe.may_hold.push(chunk.slot.number);
            }
            probe.through = Some(chunk.slot.number);
        }
        probe
    }
}

impl Snapshot<'_> {
    /// The seq of the event with this identifier. A damaged event is found by the remaining part of its identifier's hash.
    pub fn find_identifier(&self, identifier: &str) -> Result<Option<i64>> {
        self.find_probed(identifier, &IdentifierProbe::new(identifier))
    }

    /// The seq of the event with this identifier, which was probed before: see [`Self::find_identifier`].
    pub fn find_probed(&self, identifier: &str, probe: &IdentifierProbe) -> Result<Option<i64>> {
        if let Some(seq) = self.find_key(identifier, probe, false)? {
            return Ok(Some(seq));
        }
        let in_memory = |chunk: &SharedChunk| chunk.read().has_damaged_ids;
        if !self.state.has_damaged_ids && !self.state.memory.iter().any(in_memory) {
            return Ok(None);
        }
        let key = damaged_id::damaged_key(damaged_id::part_of(probe.hash));
        self.find_key(&key, &IdentifierProbe::new(&key), true)
    }

    fn find_key(&self, key: &str, probe: &IdentifierProbe, only_damaged: bool) -> Result<Option<i64>> {
        // The newest chunks first, because senders retry soon.
        for chunk in self.state.memory.iter().rev() {
            let chunk = chunk.read();
            if let Some(seq) = chunk.find_identifier(key, probe.hash).and_then(|position| chunk.seq_at(position)) {
                return Ok((seq <= self.state.through_seq).then_some(seq));
            }
        }
        let sealed = self.state.sealed.as_slice();
        let probed = sealed.partition_point(|chunk| Some(chunk.slot.number) <= probe.through);
        let (probed, newer) = sealed.split_at(probed);
        let numbered =
            |number: &u32| Some(&probed[probed.binary_search_by_key(number, |chunk| chunk.slot.number).ok()?]);
        let probed = probe.may_hold.iter().rev().filter_map(numbered);
        let may_hold = |chunk: &&Arc<SealedChunk>| {
            (chunk.has_damaged_ids || !only_damaged) && chunk.identifiers.may_hold(probe.hash)
        };
        for chunk in newer.iter().rev().chain(probed).filter(may_hold) {
            self.step()?;
            let (mut reader, mut bits) = (ChunkReader::new(chunk, self.paced.connection), Bitset::none(chunk.length));
            reader.add_key(Field::Identifier, key, &mut bits)?;
            if let Some(rank) = bits.iter().next() {
                return reader.position(rank).map(|position| Some(position.seq));
            }
        }
        Ok(None)
    }
}
