//! Finding the event that has an identifier.
//!
//! Each event that comes in is looked for among all that there are, and nearly always it is new. The filters of the sealed
//! chunks say so, and are asked where the event is made ready, on one of many threads, not on the writer's: what is sealed
//! stays as it is, or loses events. So the writer looks only at what came since, and at chunks whose filter says yes.

use std::sync::Arc;

use crate::{
    index::{
        chunk::sealed::{ChunkReader, SealedChunk},
        damaged_id,
        encode::{bitset::Bitset, hash::value_hash},
        error::Result,
        snapshot::{Index, SharedChunk, Snapshot},
    },
    model::field::Field,
};

/// What the filters of sealed chunks said of an identifier.
#[derive(Debug, Clone)]
pub struct IdentifierProbe {
    hash: u64,
    /// The chunks up to this one were asked.
    through: Option<u32>,
    /// Those of them that may have it, in order.
    may_hold: Vec<u32>,
}

impl IdentifierProbe {
    /// Of an identifier of which nobody was asked.
    pub fn new(identifier: &str) -> Self {
        Self { hash: value_hash(identifier), through: None, may_hold: Vec::new() }
    }
}

impl Index {
    /// Asks the filters of the chunks that are sealed now. Waits for nobody who asks the file anything.
    pub fn probe(&self, identifier: &str) -> IdentifierProbe {
        let sealed = Arc::clone(&self.glanced.read());
        let mut probe = IdentifierProbe::new(identifier);
        for chunk in sealed.iter() {
            // An event that cannot be read now may be read when the chunk is sealed anew: then it has an identifier again.
            if chunk.has_lost {
                return IdentifierProbe { through: None, may_hold: Vec::new(), ..probe };
            }
            if chunk.identifiers.may_hold(probe.hash) {
                probe.may_hold.push(chunk.home.number);
            }
            probe.through = Some(chunk.home.number);
        }
        probe
    }
}

impl Snapshot<'_> {
    /// The seq of the event with this identifier, if there is one: of a damaged one too, of which only a part of the
    /// identifier's hash is left.
    pub fn find_identifier(&self, identifier: &str) -> Result<Option<i64>> {
        self.find_probed(identifier, &IdentifierProbe::new(identifier))
    }

    /// The same, of an identifier that was glanced at before.
    pub fn find_probed(&self, identifier: &str, probe: &IdentifierProbe) -> Result<Option<i64>> {
        if let Some(seq) = self.find_key(identifier, probe, false)? {
            return Ok(Some(seq));
        }
        let in_memory = |chunk: &SharedChunk| chunk.read().has_lost;
        if !self.state.has_lost && !self.state.memory.iter().any(in_memory) {
            return Ok(None);
        }
        let key = damaged_id::lost_key(damaged_id::part_of(probe.hash));
        self.find_key(&key, &IdentifierProbe::new(&key), true)
    }

    fn find_key(&self, key: &str, probe: &IdentifierProbe, only_lost: bool) -> Result<Option<i64>> {
        // Who sends an event again does so soon: the newest first.
        for chunk in self.state.memory.iter().rev() {
            let chunk = chunk.read();
            if let Some(seq) = chunk.find_identifier(key, probe.hash).and_then(|position| chunk.seq_at(position)) {
                return Ok((seq <= self.state.through_seq).then_some(seq));
            }
        }
        let sealed = self.state.sealed.as_slice();
        let asked = sealed.partition_point(|chunk| Some(chunk.home.number) <= probe.through);
        let (asked, newer) = sealed.split_at(asked);
        let numbered = |number: &u32| Some(&asked[asked.binary_search_by_key(number, |chunk| chunk.home.number).ok()?]);
        let asked = probe.may_hold.iter().rev().filter_map(numbered);
        let may_hold =
            |chunk: &&Arc<SealedChunk>| (chunk.has_lost || !only_lost) && chunk.identifiers.may_hold(probe.hash);
        for chunk in newer.iter().rev().chain(asked).filter(may_hold) {
            self.step()?;
            let (mut reading, mut bits) = (ChunkReader::new(chunk, self.connection), Bitset::none(chunk.length));
            reading.add_key(Field::Identifier, key, &mut bits)?;
            if let Some(rank) = bits.iter().next() {
                return reading.position(rank).map(|position| Some(position.seq));
            }
        }
        Ok(None)
    }
}
