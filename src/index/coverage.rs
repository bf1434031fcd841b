//! How much of the log has the values of each declared field.
//!
//! A field that is declared when the log already has events is filled in chunk by chunk, from the newest to the oldest. Until
//! then a query finds it only from some chunk on, and says so.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::{
    index::{chunk::sealed::SealedChunk, snapshot::Index},
    model::{
        field::{Field, Slot, declared},
        timestamp::Timestamp,
    },
};

/// For each slot, the number of the first chunk that has the field; all later ones have it too.
#[derive(Debug)]
pub(super) struct Coverage([AtomicU32; Slot::COUNT as usize]);

impl Default for Coverage {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::new(0)))
    }
}

/// A declared field that older events do not have yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialField {
    /// The field.
    pub field: Field,
    /// All events that arrived from this seq on have the field.
    pub from_seq: i64,
    /// All events of this time and later have the field.
    pub from_time: Timestamp,
    /// The number of chunks that lack the field.
    pub chunks_left: u32,
}

impl Index {
    /// Records that all chunks from `first` on have a field. If events change chunks meanwhile, they keep it.
    pub fn cover(&self, slot: Slot, first: u32) {
        self.coverage.0[usize::from(slot.number())].store(first, Ordering::Release);
    }

    /// The number of the first chunk that has the field in a slot.
    pub fn first_with(&self, slot: Slot) -> u32 {
        self.coverage.0[usize::from(slot.number())].load(Ordering::Acquire)
    }

    /// Whether all events have a field.
    pub fn covers(&self, field: Field) -> bool {
        self.partial_field(field).is_none()
    }

    /// The sealed chunk with the highest number below `end`.
    pub fn sealed_before(&self, end: u32) -> Option<Arc<SealedChunk>> {
        let state = self.state.read();
        state.sealed.iter().rev().find(|chunk| chunk.slot.number < end).map(Arc::clone)
    }

    /// Whether this is still the sealed form of its chunk.
    pub fn has_sealed(&self, chunk: &Arc<SealedChunk>) -> bool {
        let state = self.state.read();
        let found = state.sealed.binary_search_by_key(&chunk.slot.number, |known| known.slot.number);
        found.is_ok_and(|place| Arc::ptr_eq(&state.sealed[place], chunk))
    }

    /// Those of `fields` that some events lack. A query that begins after this call sees no less than it says.
    pub fn partial(&self, fields: impl IntoIterator<Item = Field>) -> Vec<PartialField> {
        fields.into_iter().filter_map(|field| self.partial_field(field)).collect()
    }

    /// Each declared field, with the number of chunks that lack it.
    pub fn lacking(&self) -> Vec<(&'static str, u32)> {
        let left = |field| self.partial_field(field).map_or(0, |partial| partial.chunks_left);
        declared().filter_map(|spec| Some((spec.name()?, left(spec.field)))).collect()
    }

    fn partial_field(&self, field: Field) -> Option<PartialField> {
        let first = self.first_with(field.slot()?);
        if first == 0 {
            return None;
        }
        let state = self.state.read();
        let lacking = || state.sealed.iter().take_while(|chunk| chunk.slot.number < first);
        let latest = lacking().map(|chunk| chunk.last).max()?;
        Some(PartialField {
            field,
            from_seq: i64::from(first) * i64::from(self.chunk_events()) + 1,
            from_time: Timestamp::from_micros(latest.micros().saturating_add(1)),
            chunks_left: u32::try_from(lacking().count()).unwrap_or(u32::MAX),
        })
    }
}
