//! Changes that commands make to the file directly, without the server's API.
//!
//! A server may be running. It notices the change: a new generation of the credentials, or another value of the
//! setting.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::{
    index::{IdentifierProbe, KnownTerms, TermWriter},
    model::{credential::CredentialChange, event::Event, self_audit, timestamp::Timestamp},
    store::{
        auth::credentials,
        error::{self, ChangeError, OpenError},
        event::{chunks::CHUNK_EVENTS, codec::BodyCodec, epoch, prepared::Prepared, row},
        file::{format, location, lock::Lock, open, progress::Quiet},
        maintenance::{migrate, retention},
    },
};

/// Changes a credential and stores the audit record of the change, in one transaction.
pub fn change_credential_directly(
    path: &Path,
    change: &CredentialChange,
    record: Event,
) -> Result<Result<(), ChangeError>, OpenError> {
    let path = &location::resolve(path)?;
    if path.exists() {
        // An older file is refused here: a migration takes long, and needs the lock.
        format::check_readable(path)?;
    }
    let mut connection = open_for_a_change(path)?;
    let write = || -> rusqlite::Result<Result<(), ChangeError>> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let outcome = credentials::change(&transaction, change)?;
        if outcome.is_ok() {
            append(&transaction, record)?;
            transaction.commit()?;
        }
        Ok(outcome)
    };
    write().or_else(|error| match error::classify(&error.into()) {
        error::WriteFailure::Passing(passing) => Ok(Err(passing.into())),
        error::WriteFailure::Final => Err(open::failed(path, "the change could not be written")),
    })
}

/// Makes retention trust the clock, and stores the audit record of it. A running server notices within a minute.
pub fn trust_clock(path: &Path, now: Timestamp) -> Result<(), OpenError> {
    let path = &format::check_readable(path)?;
    let mut connection = open_for_a_change(path)?;
    let mut write = || -> rusqlite::Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let record = self_audit::clock_event(retention::trusted(&transaction)?)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.to_string().into()))?;
        retention::trust(&transaction, now)?;
        append(&transaction, record)?;
        transaction.commit()
    };
    write().map_err(|error| open::refused(path, &error))
}

/// Opens the file for one change. If no server has it open, this begins an epoch, as a server does when it starts: the
/// file may have been replaced with an older copy since the last server stopped. The lock is released before the
/// change, so that it does not keep a server from starting. The connection that the lock protects is closed before the
/// lock is released.
fn open_for_a_change(path: &Path) -> Result<Connection, OpenError> {
    match Lock::take(path) {
        Ok(_lock) => {
            let mut connection = migrate::open(path, CHUNK_EVENTS, &Quiet)?;
            epoch::begin(&mut connection).map_err(|error| open::refused(path, &error))?;
        }
        Err(OpenError::InUse(_)) => {}
        Err(error) => return Err(error),
    }
    migrate::open(path, CHUNK_EVENTS, &Quiet)
}

/// Stores an audit record of auditbox itself in the caller's transaction.
pub(in crate::store) fn append(transaction: &Connection, record: Event) -> rusqlite::Result<()> {
    let probe = IdentifierProbe::new(&record.identifier);
    let bodies = BodyCodec::load(transaction)?;
    let record = Prepared::new(record, &bodies, probe, KnownTerms::default());
    row::append(transaction, &bodies, &mut TermWriter::default(), row::last_seq(transaction)?, &[&record]).map(drop)
}
