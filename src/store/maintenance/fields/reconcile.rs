//! Compares the fields of a file with those of the configuration, when a server opens the file.

use rusqlite::{Connection, TransactionBehavior};

use crate::{
    index::IndexError,
    model::field::{FieldDefinition, Slot},
    store::{
        event::{
            fields::{self, FieldRow},
            tombstones,
        },
        maintenance::reindex,
    },
};

/// Declares the configured fields in the file; returns its rows. A field whose definition has changed in what it finds is
/// removed and declared again. One transaction does both, so a crash leaves either the former or the new fields. Where no
/// slot is free for a new field, the removed ones are deleted here and now instead of in the background.
pub(in crate::store) fn reconcile(
    connection: &mut Connection,
    configured: &[FieldDefinition],
) -> Result<Vec<FieldRow>, IndexError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut has_changed = false;
    for row in fields::all(&transaction)?.into_iter().filter(|row| !row.is_removed) {
        let same = configured.iter().find(|definition| definition.finds_as(&row.definition));
        has_changed |= same.is_none();
        let definition = same.unwrap_or(&row.definition).clone();
        fields::put(&transaction, &FieldRow { definition, is_removed: same.is_none(), ..row })?;
    }
    let rows = fields::all(&transaction)?;
    let is_new =
        |definition: &&FieldDefinition| !rows.iter().any(|row| !row.is_removed && row.definition.finds_as(definition));
    let new: Vec<_> = configured.iter().filter(is_new).cloned().collect();
    if new.len() + rows.len() > usize::from(Slot::COUNT) {
        for row in rows.iter().filter(|row| row.is_removed) {
            delete_now(&transaction, row.slot)?;
        }
    }
    // Full chunks that are not sealed yet are built with the field.
    let first = reindex::next_chunk(&transaction)?;
    let taken: Vec<_> = fields::all(&transaction)?.into_iter().map(|row| row.slot).collect();
    let free = Slot::all().filter(|slot| !taken.contains(slot));
    has_changed |= !new.is_empty();
    for (slot, definition) in free.zip(new) {
        fields::put(&transaction, &FieldRow { slot, definition, first, is_removed: false })?;
    }
    if has_changed {
        // Other processes that read the file have the former fields.
        tombstones::count_drop(&transaction)?;
    }
    let rows = fields::all(&transaction)?;
    transaction.commit()?;
    Ok(rows)
}

fn delete_now(connection: &Connection, slot: Slot) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM chunk_custom WHERE (place >> 32) & 63 = ?1", [slot.number()])?;
    while fields::delete_terms(connection, slot, usize::MAX >> 1)? {}
    fields::delete(connection, slot)
}
