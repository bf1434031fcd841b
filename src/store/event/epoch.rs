//! The rows of epochs (`model::epoch`), which are settings.
//!
//! `epoch:` and a seq of 19 digits holds the id of the epoch that began after that seq. `undone_epoch:` and the id of
//! an epoch that a restore removed from the history holds the id of the epoch before it and the last seq before it, as
//! text.

use std::collections::BTreeMap;

use rusqlite::{Connection, TransactionBehavior};

use crate::{
    model::{
        cursor::EpochId,
        epoch::{BEFORE_ALL, Epochs, Origin},
    },
    store::event::row,
};

/// The epochs of the file. Unreadable rows are ignored: cursors of their epochs are then rejected.
pub(in crate::store) fn load(connection: &Connection) -> rusqlite::Result<Epochs> {
    let mut statement = connection.prepare_cached(
        "SELECT name, value FROM setting \
         WHERE (name >= 'epoch:' AND name < 'epoch;') OR (name >= 'undone_epoch:' AND name < 'undone_epoch;')",
    )?;
    let mut rows = statement.query([])?;
    let (mut history, mut undone) = (BTreeMap::new(), BTreeMap::new());
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let Some((kind, Ok(number))) = name.split_once(':').map(|(kind, key)| (kind, key.parse())) else {
            continue;
        };
        if kind == "epoch" {
            history.extend(row.get(1).ok().map(|id| (number, EpochId::from_number(id))));
        } else {
            let origin = row.get::<_, String>(1).ok().and_then(|text| origin(&text));
            undone.extend(origin.map(|origin| (EpochId::from_number(number), origin)));
        }
    }
    Ok(Epochs::new(history, undone))
}

/// Begins an epoch, and commits. The caller holds the file's lock and has not written events yet.
pub(in crate::store) fn begin(connection: &mut Connection) -> rusqlite::Result<Epochs> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let epochs = begin_in(&transaction)?;
    transaction.commit()?;
    Ok(epochs)
}

/// Begins an epoch in the caller's transaction.
pub(in crate::store) fn begin_in(transaction: &Connection) -> rusqlite::Result<Epochs> {
    let (mut epochs, last_seq, id) = (load(transaction)?, row::last_seq(transaction)?, generate()?);
    epochs.begin(last_seq, id);
    insert(transaction, &epochs, last_seq, id)?;
    Ok(epochs)
}

/// Begins an epoch in a file that takes the place of another with these epochs and this newest event. Returns the last
/// seq that both have in common, if their epochs show it.
pub(in crate::store) fn take_place_of(
    transaction: &Connection,
    other: &Epochs,
    other_last_seq: i64,
) -> rusqlite::Result<Option<i64>> {
    let (mut epochs, last_seq, id) = (load(transaction)?, row::last_seq(transaction)?, generate()?);
    let shared = epochs.take_place_of(other, other_last_seq, last_seq, id);
    insert(transaction, &epochs, last_seq, id)?;
    let mut statement = transaction.prepare("INSERT OR REPLACE INTO setting (name, value) VALUES (?1, ?2)")?;
    for (id, Origin { parent, seq }) in epochs.undone() {
        statement.execute((format!("undone_epoch:{}", id.number()), format!("{} {seq}", parent.number())))?;
    }
    Ok(shared)
}

/// Stores the newest epoch. In a file without epochs, also stores the epoch of its older events.
fn insert(transaction: &Connection, epochs: &Epochs, last_seq: i64, id: EpochId) -> rusqlite::Result<()> {
    let name = |seq| format!("epoch:{seq:019}");
    // The newest epoch replaces epochs that have no events.
    transaction.execute("DELETE FROM setting WHERE name >= ?1 AND name < 'epoch;'", [name(last_seq)])?;
    let mut statement = transaction.prepare("INSERT OR IGNORE INTO setting (name, value) VALUES (?1, ?2)")?;
    for (seq, id) in [(BEFORE_ALL, epochs.at(0)), (last_seq, Some(id))] {
        statement.execute((name(seq), id.map(EpochId::number)))?;
    }
    Ok(())
}

fn origin(text: &str) -> Option<Origin> {
    let (parent, seq) = text.split_once(' ')?;
    Some(Origin { parent: EpochId::from_number(parent.parse().ok()?), seq: seq.parse().ok()? })
}

fn generate() -> rusqlite::Result<EpochId> {
    EpochId::generate().map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
