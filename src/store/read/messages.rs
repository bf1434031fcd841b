//! The messages of events, for searches that the index cannot decide alone.

use std::fmt;

use rusqlite::Connection;

use crate::{
    index::{IndexError, Messages},
    model::{event, search::SearchText},
    store::event::{codec::BodyCodec, stored::Fetch},
};

/// Reads messages from the rows of events.
pub(in crate::store) struct StoredMessages(BodyCodec);

impl StoredMessages {
    pub(in crate::store) fn new(bodies: BodyCodec) -> Self {
        Self(bodies)
    }
}

impl Messages for StoredMessages {
    fn permits(&self, connection: &Connection, seq: i64, texts: &[&SearchText]) -> Result<bool, IndexError> {
        let found = Fetch::new(connection, &self.0)?.event(seq)?;
        Ok(match found {
            // Retention has dropped the event since.
            None => false,
            Some(Err(_)) => true,
            Some(Ok(body)) => {
                let message = event::message(&body).unwrap_or_default();
                texts.iter().all(|text| text.permits_message(&message))
            }
        })
    }
}

impl fmt::Debug for StoredMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredMessages")
    }
}
