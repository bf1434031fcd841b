//! The job that records when credentials were last used.

use crate::{
    index::IndexError,
    model::{credential::ClientId, timestamp::Timestamp},
    store::{
        auth::credentials,
        error::WriteError,
        write::{batch::WriteBatch, job::Job},
    },
};

/// Credentials, and when each was last used.
pub(in crate::store) struct RecordUses(pub(in crate::store) Vec<(ClientId, Timestamp)>);

impl Job for RecordUses {
    type Output = ();
    type Error = WriteError;

    fn apply(&self, batch: &mut WriteBatch<'_>) -> Result<Result<(), WriteError>, IndexError> {
        credentials::note_uses(batch.transaction, &self.0)?;
        Ok(Ok(()))
    }
}
