//! Reading an event's row, and telling whether it is what was written.
//!
//! Every way out of the file for an event leads through [`Stored::open`]: what it does not vouch for is handed on as
//! [`Damaged`], with what is still known of it, and never as an event. A page that SQLite cannot make sense of damages the
//! events that stand on it, not the others.

use std::borrow::Cow;

use rusqlite::{CachedStatement, Connection, Row};
use serde::de::IgnoredAny;
use serde_json::json;

use crate::{
    index,
    model::{
        event::{self, Filled},
        field::Field,
        timestamp::Timestamp,
        values::Values,
    },
    store::{
        body::{Bodies, Decoder},
        checksum::{self, Columns},
    },
};

/// An event that is in the file and cannot be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Where it stands in the order of arrival.
    pub seq: i64,
    /// When it happened, by its row or by the index. A damaged row may be wrong about it.
    pub timestamp: Option<Timestamp>,
    /// Its identifier, where it can still be told for sure.
    pub identifier: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl Damaged {
    /// What clients are told instead of the event: an object that no one takes for one, for it has nothing of an event but
    /// maybe its identifier.
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

/// An event's row as it stands in the file.
pub(super) struct Stored {
    pub(super) columns: Columns,
    body: Vec<u8>,
    checksum: Option<i64>,
}

/// What a row that is not sound still tells.
pub(super) struct Damage {
    /// What is wrong.
    pub(super) message: String,
    /// The identifier that its body has, if the row confirms that.
    pub(super) identifier: Option<String>,
    /// What the row's checksum has of the identifier.
    pub(super) identifier_part: Option<u32>,
}

impl From<String> for Damage {
    fn from(message: String) -> Self {
        Self { message, identifier: None, identifier_part: None }
    }
}

impl Stored {
    /// The columns that [`Stored::row`] takes, in its order.
    pub(super) const COLUMNS: &str = "seq, timestamp, entity, blueprint, filled, body, checksum";

    /// Takes a row over. An error is one of types that the columns cannot have, or of the page.
    pub(super) fn row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let columns = Columns {
            seq: row.get(0)?,
            timestamp: row.get(1)?,
            entity: row.get(2)?,
            blueprint: row.get(3)?,
            filled: row.get(4)?,
        };
        Ok(Self { columns, body: row.get(5)?, checksum: row.get(6)? })
    }

    /// What the server had filled in.
    pub(super) fn filled(&self) -> Filled {
        Filled::from_code(u8::try_from(self.columns.filled).unwrap_or(0))
    }

    /// When it happened, by its column.
    pub(super) fn timestamp(&self) -> Timestamp {
        Timestamp::from_micros(self.columns.timestamp)
    }

    /// The event's own bytes, if they are what was stored.
    pub(super) fn open(&self, decoder: &Decoder<'_>) -> Result<Cow<'_, str>, Damage> {
        let part = self.checksum.map(checksum::identifier_of);
        let damage = |message| Damage { message, identifier: None, identifier_part: part };
        let body = decoder.decode(&self.body).map_err(damage)?;
        let Some(checksum) = self.checksum else {
            return match self.is_old_and_whole(decoder, &body) {
                Ok(()) => Ok(body),
                Err(message) => Err(damage(message.to_owned())),
            };
        };
        if checksum::is_sound(checksum, &self.columns, &body) {
            return Ok(body);
        }
        let identifier = searchable(&body).ok().and_then(|(_, values)| {
            let identifier = values.first(Field::Identifier)?;
            (Some(checksum::identifier_part(identifier)) == part).then(|| identifier.to_owned())
        });
        Err(Damage { identifier, ..damage("its checksum is another".to_owned()) })
    }

    /// A row from before there were checksums: its frame had one. What is no frame must at least be JSON still, so that no
    /// list is broken by it.
    fn is_old_and_whole(&self, decoder: &Decoder<'_>, body: &str) -> Result<(), &'static str> {
        if self.columns.seq >= decoder.checksums_from() {
            return Err("its checksum is missing");
        }
        if serde_json::from_str::<IgnoredAny>(body).is_err() {
            return Err("it is not JSON");
        }
        Ok(())
    }
}

/// What an event's bytes say that it can be found by.
pub(super) fn searchable(body: &str) -> Result<(Timestamp, Values), String> {
    event::searchable(body).ok_or_else(|| "it is not an event".to_owned())
}

/// Fetches events one by one.
pub(super) struct Fetch<'c> {
    statement: CachedStatement<'c>,
    decoder: Decoder<'c>,
}

impl<'c> Fetch<'c> {
    pub(super) fn new(connection: &'c Connection, bodies: &'c Bodies) -> rusqlite::Result<Self> {
        let sql = format!("SELECT {} FROM event WHERE seq = ?1", Stored::COLUMNS);
        Ok(Self { statement: connection.prepare_cached(&sql)?, decoder: Decoder::new(connection, bodies) })
    }

    /// The row of the event with this seq: `None` if there is none, an inner error if it stands on a damaged page.
    pub(super) fn row(&mut self, seq: i64) -> rusqlite::Result<Option<Result<Stored, String>>> {
        let mut rows = self.statement.query([seq])?;
        let found = rows.next().and_then(|row| row.map(Stored::row).transpose());
        match found {
            Ok(found) => Ok(found.map(Ok)),
            Err(error) if is_damage(&error) => Ok(Some(Err(format!("its page is damaged: {error}")))),
            Err(error) => Err(error),
        }
    }

    /// The event with this seq, as it may be served; `None` if it is gone.
    pub(super) fn event(&mut self, seq: i64) -> rusqlite::Result<Option<Result<String, Damaged>>> {
        let opened = match self.row(seq)? {
            None => return Ok(None),
            Some(Err(message)) => Err(Damaged { seq, timestamp: None, identifier: None, message }),
            Some(Ok(stored)) => stored.open(&self.decoder).map(Cow::into_owned).map_err(|damage| Damaged {
                seq,
                timestamp: Some(stored.timestamp()),
                identifier: damage.identifier,
                message: damage.message,
            }),
        };
        Ok(Some(opened))
    }

    pub(super) fn decoder(&self) -> &Decoder<'c> {
        &self.decoder
    }
}

/// Whether an error is of what stands in the file, rather than of the disk or of another process.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    ) || index::is_corrupt(error)
}
