//! What can go wrong in finding events.

use crate::model::{cancel::Ended, error::ParameterError};

/// A question that could not be answered, or a chunk that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// SQLite refused.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The index holds something that was never written so. The events themselves may be whole.
    #[error(
        "the index is damaged ({0}): `auditbox doctor` says where, `auditbox reindex` makes it anew from the events"
    )]
    Damaged(String),
    /// The query has reached its deadline, or its client is gone.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// The index was read from the file of a running server, which has dropped events since.
    #[error("events were dropped after the index was read")]
    Changed,
    /// The query asks for more than one query may do.
    #[error(transparent)]
    Refused(#[from] ParameterError),
}

impl IndexError {
    /// Whether it is of what stands in the file, rather than of the disk or of another process.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            Self::Sqlite(error) => is_corrupt(error),
            Self::Ended(_) | Self::Changed | Self::Refused(_) => false,
        }
    }

    /// Whether SQLite met a page that it cannot make sense of. The transaction in which it did so cannot be committed, even if
    /// it was but reading: SQLite takes it back.
    pub fn is_of_a_page(&self) -> bool {
        matches!(self, Self::Sqlite(error) if is_corrupt(error))
    }

    /// Damage found in what `chunk` has in `part`.
    pub(super) fn damaged(chunk: u32, part: &str) -> Self {
        Self::Damaged(format!("{part} of chunk {chunk}"))
    }
}

/// Whether SQLite met a page that it cannot make sense of.
pub fn is_corrupt(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt)
}

/// What this layer's functions return.
pub type Result<T, E = IndexError> = std::result::Result<T, E>;
