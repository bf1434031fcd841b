//! Deletes the rows that a crash has left of dropped events, before the writer starts.

use rusqlite::{Connection, TransactionBehavior};

use crate::{
    index::IndexError,
    store::{
        event::{
            chunks,
            codec::BodyCodec,
            row, stored,
            tombstones::{self, Dropped},
        },
        file::checkpoint,
    },
};

/// Deletes the rows of events that were dropped before a crash. From here on, SQLite overwrites what this connection
/// deletes: a dropped event must not be readable on the file's free pages.
pub(in crate::store) fn delete_leftovers(connection: &mut Connection) -> Result<(), IndexError> {
    connection.pragma_update(None, "secure_delete", true)?;
    let chunk_events = chunks::chunk_events(connection)?;
    let Some(number) = tombstones::dropping(connection)? else {
        return Ok(());
    };
    let bodies = BodyCodec::load(connection)?;
    let (first, last) = chunks::span(number, chunk_events);
    let dropped = Dropped::within(connection, first, last)?;
    tracing::info!(events = dropped.count(), "deleting the rows of events that were dropped before the last stop");
    for piece in dropped.pieces() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match row::delete(&transaction, &bodies, &piece).and_then(|()| transaction.commit()) {
            // Damaged rows stay; `doctor` reports them.
            Err(error) if stored::is_damage(&error) => {
                tracing::error!(
                    %error, ?piece,
                    "the file is damaged: rows of dropped events could not be deleted; run auditbox doctor"
                );
            }
            deleted => deleted?,
        }
    }
    tombstones::done(connection)?;
    Ok(checkpoint::empty(connection)?)
}
