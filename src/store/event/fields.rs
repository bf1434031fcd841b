//! The table of declared fields.

use rusqlite::{Connection, params};

use crate::{
    index::{Index, IndexError},
    model::field::{self, Declaration, FieldDefinition, Slot},
};

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct FieldRow {
    pub(in crate::store) slot: Slot,
    pub(in crate::store) definition: FieldDefinition,
    /// The number of the first chunk that has the field; all later ones have it too.
    pub(in crate::store) first: u32,
    /// Whether the field is no longer declared, so that its rows are deleted.
    pub(in crate::store) is_removed: bool,
}

/// Every row, by slot.
pub(in crate::store) fn all(connection: &Connection) -> Result<Vec<FieldRow>, IndexError> {
    let mut statement =
        connection.prepare_cached("SELECT slot, definition, first, removed FROM field ORDER BY slot")?;
    let mut rows = statement.query([])?;
    let mut fields = Vec::new();
    while let Some(row) = rows.next()? {
        let number: u8 = row.get(0)?;
        let definition: String = row.get(1)?;
        let (slot, definition) = (Slot::new(number), serde_json::from_str(&definition).ok());
        let (Some(slot), Some(definition)) = (slot, definition) else {
            return Err(IndexError::Damaged(format!("the definition of the field in slot {number} is unreadable")));
        };
        fields.push(FieldRow { slot, definition, first: row.get(2)?, is_removed: row.get(3)? });
    }
    Ok(fields)
}

/// Inserts a row, or replaces the definition of a field that is still the same.
pub(in crate::store) fn put(connection: &Connection, row: &FieldRow) -> rusqlite::Result<()> {
    let FieldRow { slot, definition, first, is_removed } = row;
    let text =
        serde_json::to_string(definition).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    connection
        .prepare_cached(
            "INSERT INTO field (slot, name, definition, first, removed) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (slot) DO UPDATE SET definition = excluded.definition, removed = excluded.removed",
        )?
        .execute(params![slot.number(), definition.name, text, first, is_removed])
        .map(drop)
}

/// Records that all chunks from `first` on have a field.
pub(in crate::store) fn cover(connection: &Connection, slot: Slot, first: u32) -> rusqlite::Result<()> {
    let sql = "UPDATE field SET first = ?2 WHERE slot = ?1 AND first > ?2";
    connection.prepare_cached(sql)?.execute(params![slot.number(), first]).map(drop)
}

/// Records that all chunks have every field.
pub(in crate::store) fn cover_all(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE field SET first = 0", []).map(drop)
}

/// Deletes the row of a removed field, of which nothing else remains.
pub(in crate::store) fn delete(connection: &Connection, slot: Slot) -> rusqlite::Result<()> {
    let sql = "DELETE FROM field WHERE slot = ?1 AND removed = 1";
    connection.prepare_cached(sql)?.execute([slot.number()]).map(drop)
}

/// Deletes at most the given number of terms of a removed field. Returns whether more may remain.
pub(in crate::store) fn delete_terms(connection: &Connection, slot: Slot, terms_max: usize) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM term WHERE field = ?1 AND ordinal IN (SELECT ordinal FROM term WHERE field = ?1 LIMIT ?2)";
    let deleted =
        connection.prepare_cached(sql)?.execute(params![slot.code(), i64::try_from(terms_max).unwrap_or(i64::MAX)])?;
    Ok(deleted == terms_max)
}

/// Declares the fields of a file to the process.
pub(in crate::store) fn declare(rows: &[FieldRow]) -> Result<(), IndexError> {
    let own = rows.iter().filter(|row| !row.is_removed);
    let declarations: Vec<Declaration> = own.map(|row| (row.slot, row.definition.clone())).collect();
    field::declare(&declarations).map_err(|message| IndexError::Damaged(format!("the fields of the file: {message}")))
}

/// Tells an index which chunks have which field.
pub(in crate::store) fn cover_index(index: &Index, rows: &[FieldRow]) {
    for row in rows.iter().filter(|row| !row.is_removed) {
        index.cover(row.slot, row.first);
    }
}
