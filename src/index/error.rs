//! What can go wrong in finding events.

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
}

impl IndexError {
    /// Damage found in what `chunk` has in `part`.
    pub(super) fn damaged(chunk: u32, part: &str) -> Self {
        Self::Damaged(format!("{part} of chunk {chunk}"))
    }
}

/// What this layer's functions return.
pub type Result<T, E = IndexError> = std::result::Result<T, E>;
