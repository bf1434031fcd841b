//! Errors of the index.

use crate::model::{cancel::Ended, error::ParameterError};

/// Why a query could not be answered or a chunk could not be built.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// SQLite reported an error.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The index contains something that auditbox never writes. The events themselves may be intact.
    #[error(
        "the index is damaged ({0}): `auditbox doctor` shows where, `auditbox reindex` rebuilds it from the events"
    )]
    Damaged(String),
    /// The query has reached its deadline, or its client has disconnected.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// The index was read from the file of a running server, which has dropped events since.
    #[error("events were dropped after the index was read")]
    Changed,
    /// The query exceeds what one query may do.
    #[error(transparent)]
    Refused(#[from] ParameterError),
}

impl IndexError {
    /// Whether the content of the file caused the error, and not the disk or another process.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            Self::Sqlite(error) => is_corrupt(error),
            Self::Ended(_) | Self::Changed | Self::Refused(_) => false,
        }
    }

    /// Whether SQLite found a damaged page. The transaction cannot be committed after that, even if it only read: SQLite
    /// rolls it back.
    pub fn is_of_a_page(&self) -> bool {
        matches!(self, Self::Sqlite(error) if is_corrupt(error))
    }

    /// Damage in one part of a chunk.
    pub(super) fn damaged(chunk: u32, part: &str) -> Self {
        Self::Damaged(format!("{part} of chunk {chunk}"))
    }
}

/// Whether SQLite found a damaged page.
pub fn is_corrupt(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt)
}

/// The result of this layer's functions.
pub type Result<T, E = IndexError> = std::result::Result<T, E>;
