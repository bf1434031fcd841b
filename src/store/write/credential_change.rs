//! The job that changes a credential and stores the audit record of the change.

use crate::{
    index::IndexError,
    model::credential::CredentialChange,
    store::{
        auth::credentials,
        error::ChangeError,
        event::prepared::Prepared,
        write::{batch::WriteBatch, job::Job, queue::Weight},
    },
};

/// A change and its record. Both are stored, or neither.
pub(in crate::store) struct ChangeCredential {
    pub(in crate::store) change: CredentialChange,
    pub(in crate::store) record: Prepared,
}

impl Job for ChangeCredential {
    type Output = ();
    type Error = ChangeError;

    fn weight(&self) -> Weight {
        Weight { events: 1, bytes: self.record.bytes(), reserved: true }
    }

    fn apply(&self, batch: &mut WriteBatch<'_>) -> Result<Result<(), ChangeError>, IndexError> {
        let changed = credentials::change(batch.transaction, &self.change)?;
        if changed.is_ok() {
            batch.store(&[&self.record])?;
        }
        Ok(changed)
    }
}
