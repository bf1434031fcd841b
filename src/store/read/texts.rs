//! The texts of events, for searches that the index cannot decide alone.

use std::fmt;

use rusqlite::Connection;

use crate::{
    index::{EventTexts, IndexError, OpenTexts},
    model::{event, search::SearchText},
    store::event::{codec::BodyCodec, stored::Fetch},
};

/// Reads texts from the rows of events.
pub(in crate::store) struct StoredTexts(BodyCodec);

impl StoredTexts {
    pub(in crate::store) fn new(bodies: BodyCodec) -> Self {
        Self(bodies)
    }
}

impl EventTexts for StoredTexts {
    fn open<'c>(&'c self, connection: &'c Connection) -> Result<Box<dyn OpenTexts + 'c>, IndexError> {
        Ok(Box::new(OpenStoredTexts(Fetch::new(connection, &self.0)?)))
    }
}

/// The rows of events, read one after another: each block is decompressed once.
struct OpenStoredTexts<'c>(Fetch<'c>);

impl OpenTexts for OpenStoredTexts<'_> {
    fn permits(&mut self, seq: i64, texts: &[&SearchText]) -> Result<bool, IndexError> {
        Ok(match self.0.event(seq)? {
            // Retention has dropped the event since.
            None => false,
            Some(Err(_)) => true,
            Some(Ok(body)) => texts.iter().all(|text| event::contains(&body, text) != text.negated),
        })
    }
}

impl fmt::Debug for StoredTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredTexts")
    }
}
