//! The job with which declared fields are filled in and removed: a small step that shares a transaction with other jobs.

use std::sync::Arc;

use crate::{
    index::{self, ChunkSlot, Generation, IndexError, SealedChunk, SealedRow},
    model::field::{Field, Slot},
    store::{
        error::WriteError,
        event::fields,
        write::{
            batch::WriteBatch,
            job::{Job, Published},
        },
    },
};

/// Index rows and terms deleted in one step.
const PIECE_ROWS: i64 = 32;
pub(super) const PIECE_TERMS: usize = 1_000;

/// One step.
pub(super) enum FieldJob {
    /// Adds values to the term dictionary.
    Terms(Vec<(Field, String)>),
    /// Deletes rows of a field from a chunk that a crash or a former filling has left.
    Clear(Arc<SealedChunk>, Field),
    /// Writes rows of a chunk.
    Rows(Arc<SealedChunk>, Vec<SealedRow>),
    /// Records that fields are in a chunk and in all later ones. All their rows are written.
    Filled(Arc<SealedChunk>, Vec<Slot>),
    /// Records that no chunk lacks these fields.
    FilledAll(Vec<Slot>),
    /// Deletes rows of a removed field from chunks: those of both generations from the first number up to the second.
    Remove(Slot, (u32, u32)),
    /// Deletes terms of a removed field.
    RemoveTerms(Slot),
    /// Deletes a removed field, of which nothing else remains.
    Removed(Slot),
}

/// What a step has done.
#[derive(Debug)]
pub(super) enum Step {
    Done,
    /// More of the same remains.
    More,
    /// Nothing: the chunk was sealed again or deleted meanwhile.
    Outdated,
}

impl Job for Arc<FieldJob> {
    type Output = Step;
    type Error = WriteError;

    fn apply(&self, batch: &mut WriteBatch<'_>) -> Result<Result<Step, WriteError>, IndexError> {
        let connection = batch.transaction;
        // A job before this one in the same transaction may have replaced the chunk.
        let is_outdated = |chunk: &Arc<SealedChunk>| -> Result<bool, IndexError> {
            let ChunkSlot { number, generation } = chunk.slot();
            let is_in_file = index::generation_of(connection, number)? == Some(generation);
            Ok(!is_in_file || !batch.index.has_sealed(chunk))
        };
        let more = |remains: bool| if remains { Step::More } else { Step::Done };
        let step = match &**self {
            FieldJob::Terms(values) => {
                for (field, value) in values {
                    batch.terms.ordinal(connection, *field, value)?;
                }
                Step::Done
            }
            FieldJob::Clear(chunk, _) | FieldJob::Rows(chunk, _) | FieldJob::Filled(chunk, _)
                if is_outdated(chunk)? =>
            {
                Step::Outdated
            }
            FieldJob::Clear(chunk, field) => {
                let remains = index::delete_field_rows(connection, chunk.slot(), *field, PIECE_ROWS)?;
                more(remains)
            }
            FieldJob::Rows(_, rows) => {
                index::insert_rows(connection, rows)?;
                Step::Done
            }
            FieldJob::Filled(chunk, slots) => {
                slots.iter().try_for_each(|slot| fields::cover(connection, *slot, chunk.slot().number))?;
                Step::Done
            }
            FieldJob::FilledAll(slots) => {
                slots.iter().try_for_each(|slot| fields::cover(connection, *slot, 0))?;
                Step::Done
            }
            FieldJob::Remove(slot, (first, end)) => {
                let mut remains = false;
                for number in *first..*end {
                    for generation in [Generation::First, Generation::Second] {
                        let chunk = ChunkSlot { number, generation };
                        remains |= index::delete_field_rows(connection, chunk, Field::Custom(*slot), PIECE_ROWS)?;
                    }
                }
                more(remains)
            }
            FieldJob::RemoveTerms(slot) => {
                let remains = fields::delete_terms(connection, *slot, PIECE_TERMS)?;
                more(remains)
            }
            FieldJob::Removed(slot) => {
                fields::delete(connection, *slot)?;
                Step::Done
            }
        };
        Ok(Ok(step))
    }

    /// Events do not depend on the index in the file.
    fn reply_to_damage(&self) -> Option<Result<Step, WriteError>> {
        Some(Err(WriteError::IndexDamaged))
    }

    fn publish_additions(&self, step: &Step, to: &Published<'_>) {
        match (&**self, step) {
            (FieldJob::Filled(chunk, slots), Step::Done) => {
                for slot in slots {
                    to.index.cover(*slot, chunk.slot().number);
                }
            }
            (FieldJob::FilledAll(slots), Step::Done) => {
                for slot in slots {
                    to.index.cover(*slot, 0);
                }
            }
            _ => {}
        }
    }
}
