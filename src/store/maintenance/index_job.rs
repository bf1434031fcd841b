//! The job that writes a part of the index, larger blocks, or a dictionary, for the sealer and for retention.

use std::sync::Arc;

use crate::{
    index::{self, IndexError, SealedChunk, SealedRow},
    store::{
        error::WriteError,
        event::{
            block_replacement::{self, Replacement},
            zstd_dictionary::{self, Trained},
        },
        write::{
            batch::WriteBatch,
            job::{Job, Published},
        },
    },
};

/// What is written. Small enough to share a transaction with other jobs, so that no request waits long.
#[derive(Clone)]
pub(in crate::store) enum IndexJob {
    /// Rows of a chunk that is being sealed. They are orphans until the chunk's own row is written.
    Rows(Arc<[SealedRow]>),
    /// The chunk's own row. All its other rows are written.
    Sealed(Arc<SealedChunk>),
    /// Blocks of a full chunk in place of smaller ones.
    Blocks(Arc<[Replacement]>),
    /// A dictionary for future blocks.
    Dictionary(Arc<Trained>),
}

impl Job for IndexJob {
    type Output = ();
    type Error = WriteError;

    fn apply(&self, batch: &mut WriteBatch<'_>) -> Result<Result<(), WriteError>, IndexError> {
        match self {
            Self::Rows(rows) => index::insert_rows(batch.transaction, rows)?,
            Self::Sealed(chunk) => index::insert_chunk(batch.transaction, chunk)?,
            Self::Blocks(blocks) => block_replacement::replace(batch.transaction, blocks)?,
            Self::Dictionary(trained) => zstd_dictionary::insert(batch.transaction, trained)?,
        }
        Ok(Ok(()))
    }

    /// Events do not depend on the index in the file: the chunk stays in memory.
    fn reply_to_damage(&self) -> Option<Result<(), WriteError>> {
        Some(Err(WriteError::IndexDamaged))
    }

    fn publish_additions(&self, (): &(), to: &Published<'_>) {
        match self {
            Self::Rows(_) | Self::Blocks(_) => {}
            Self::Sealed(chunk) => {
                to.index.sealed(Arc::clone(chunk));
                to.counters.sealed();
            }
            Self::Dictionary(trained) => to.bodies.adopt(trained.number, &trained.bytes),
        }
    }
}
