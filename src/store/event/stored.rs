//! Reading an event's row and verifying that it is what was written.
//!
//! Every event leaves the file through [`Fetch::open`]. What it cannot verify is returned as [`Damaged`], with what is
//! still known, and never as an event. A page that SQLite cannot read damages the events on it and no others. A damaged
//! block damages the events in it.

use rusqlite::{CachedStatement, Connection, Row};
use serde::de::IgnoredAny;
use serde_json::json;

use crate::{
    index,
    model::{
        event::{self, DefaultedFields},
        field::Field,
        timestamp::Timestamp,
        values::Values,
    },
    store::event::{
        block_rows::{BlockReader, Unreadable},
        checksum::{self, Columns},
        codec::BodyCodec,
    },
};

/// A stored event that is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Its seq.
    pub seq: i64,
    /// Its event time, from its row or from the index. A damaged row may be wrong.
    pub timestamp: Option<Timestamp>,
    /// Its identifier, if it is still known for certain.
    pub identifier: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl Damaged {
    /// What clients receive in place of the event: an object that has no key of an event except possibly the
    /// identifier.
    pub fn to_json(&self) -> serde_json::Value {
        let mut known = json!({ "seq": self.seq, "message": self.message });
        if let Some(timestamp) = self.timestamp {
            known["timestamp"] = timestamp.to_string().into();
        }
        if let Some(identifier) = &self.identifier {
            known["identifier"] = identifier.as_str().into();
        }
        known
    }
}

/// An event's row as stored, without its body.
pub(in crate::store) struct Stored {
    pub(in crate::store) columns: Columns,
    checksum: Option<i64>,
}

/// What is still known of a damaged event.
pub(in crate::store) struct Damage {
    /// What is wrong.
    pub(in crate::store) message: String,
    /// Whether SQLite could not read a page with its body.
    pub(in crate::store) of_page: bool,
    /// The identifier in its body, if the row confirms it.
    pub(in crate::store) identifier: Option<String>,
    /// The identifier's part of the row's checksum.
    pub(in crate::store) identifier_part: Option<u32>,
}

impl From<String> for Damage {
    fn from(message: String) -> Self {
        Self { message, of_page: false, identifier: None, identifier_part: None }
    }
}

impl Stored {
    /// The columns that [`Stored::row`] reads, in order.
    pub(in crate::store) const COLUMNS: &str = "seq, timestamp, entity, blueprint, filled, checksum";

    /// Reads a row. An error means an invalid column type, or a damaged page.
    pub(in crate::store) fn row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let columns = Columns {
            seq: row.get(0)?,
            timestamp: row.get(1)?,
            entity: row.get(2)?,
            blueprint: row.get(3)?,
            filled: row.get(4)?,
        };
        Ok(Self { columns, checksum: row.get(5)? })
    }

    /// A row with these columns.
    pub(in crate::store) const fn new(columns: Columns, checksum: Option<i64>) -> Self {
        Self { columns, checksum }
    }

    /// Whether this body is what was stored.
    pub(in crate::store) fn is_whole(&self, body: &str, bodies: &BodyCodec) -> bool {
        self.verify(Ok(body), bodies.has_checksum(self.columns.seq)).is_ok()
    }

    /// The fields that the server had filled in.
    pub(in crate::store) fn filled(&self) -> DefaultedFields {
        DefaultedFields::from_code(u8::try_from(self.columns.filled).unwrap_or(0))
    }

    /// The event time, from its column.
    pub(in crate::store) fn timestamp(&self) -> Timestamp {
        Timestamp::from_micros(self.columns.timestamp)
    }

    /// The body, if it is what was stored. `has_checksum` says whether the row must have a checksum.
    fn verify<'b>(&self, body: Result<&'b str, Unreadable>, has_checksum: bool) -> Result<&'b str, Damage> {
        let part = self.checksum.map(checksum::identifier_of);
        let damage = |message| Damage { identifier_part: part, ..Damage::from(message) };
        let body = body.map_err(|Unreadable { message, of_page }| Damage { of_page, ..damage(message) })?;
        let Some(checksum) = self.checksum else {
            return match self.is_old_and_whole(body, has_checksum) {
                Ok(()) => Ok(body),
                Err(message) => Err(damage(message.to_owned())),
            };
        };
        if checksum::is_sound(checksum, &self.columns, body) {
            return Ok(body);
        }
        let identifier = searchable(body).ok().and_then(|(_, values)| {
            let identifier = values.first(Field::Identifier)?;
            (Some(checksum::identifier_part(identifier)) == part).then(|| identifier.to_owned())
        });
        Err(Damage { identifier, ..damage("its checksum does not match".to_owned()) })
    }

    /// A row from before there were checksums: the frame of its block has one. A body that is not in a frame must at
    /// least be JSON, so that it cannot break a list, and have the time of the row.
    fn is_old_and_whole(&self, body: &str, has_checksum: bool) -> Result<(), &'static str> {
        if has_checksum {
            return Err("its checksum is missing");
        }
        if serde_json::from_str::<IgnoredAny>(body).is_err() {
            return Err("it is not JSON");
        }
        match searchable(body) {
            Ok((timestamp, _)) if timestamp != self.timestamp() => Err("its time is not that of its row"),
            _ => Ok(()),
        }
    }
}

/// The filterable values in an event's bytes.
pub(in crate::store) fn searchable(body: &str) -> Result<(Timestamp, Values), String> {
    event::searchable(body).ok_or_else(|| "it is not an event".to_owned())
}

/// Fetches events one by one.
pub(in crate::store) struct Fetch<'c> {
    statement: CachedStatement<'c>,
    blocks: BlockReader<'c>,
    codec: &'c BodyCodec,
}

impl<'c> Fetch<'c> {
    pub(in crate::store) fn new(connection: &'c Connection, bodies: &'c BodyCodec) -> rusqlite::Result<Self> {
        let sql = format!("SELECT {} FROM event WHERE seq = ?1", Stored::COLUMNS);
        let (statement, blocks) = (connection.prepare_cached(&sql)?, BlockReader::new(connection, bodies)?);
        Ok(Self { statement, blocks, codec: bodies })
    }

    /// The row of the event with this seq: `None` if there is none, an inner error if its page is damaged.
    pub(in crate::store) fn row(&mut self, seq: i64) -> rusqlite::Result<Option<Result<Stored, String>>> {
        let mut rows = self.statement.query([seq])?;
        let found = rows.next().and_then(|row| row.map(Stored::row).transpose());
        match found {
            Ok(found) => Ok(found.map(Ok)),
            Err(error) if is_damage(&error) => Ok(Some(Err(format!("its page is damaged: {error}")))),
            Err(error) => Err(error),
        }
    }

    /// The event with this seq as it may be served; `None` if it no longer exists.
    pub(in crate::store) fn event(&mut self, seq: i64) -> rusqlite::Result<Option<Result<String, Damaged>>> {
        let opened = match self.row(seq)? {
            None => return Ok(None),
            Some(Err(message)) => Err(Damaged { seq, timestamp: None, identifier: None, message }),
            Some(Ok(stored)) => self.open(&stored)?.map(str::to_owned).map_err(|damage| Damaged {
                seq,
                timestamp: Some(stored.timestamp()),
                identifier: damage.identifier,
                message: damage.message,
            }),
        };
        Ok(Some(opened))
    }

    /// The body of the event with this row, if it is what was stored.
    pub(in crate::store) fn open(&mut self, stored: &Stored) -> rusqlite::Result<Result<&str, Damage>> {
        let body = self.blocks.body(stored.columns.seq)?;
        Ok(stored.verify(body, self.codec.has_checksum(stored.columns.seq)))
    }
}

/// Whether an error is about the file's content, rather than the disk or another process.
pub(in crate::store) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    ) || index::is_corrupt(error)
}
