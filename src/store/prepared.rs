//! An event made ready for the writer: everything that costs time and needs no order is done before it queues.

use crate::{
    index,
    model::{
        event::{Event, Filled},
        field::Field,
        timestamp::Timestamp,
        values::Values,
    },
    store::body::{self, Decoder},
};

/// One event, compressed, with what its row needs.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(super) identifier: String,
    pub(super) identifier_hash: i64,
    pub(super) timestamp: Timestamp,
    pub(super) values: Values,
    pub(super) filled: Filled,
    pub(super) stored: Vec<u8>,
}

impl Prepared {
    /// Compresses the event's body and hashes its identifier.
    pub fn new(event: Event) -> Self {
        Self {
            identifier_hash: index::identifier_hash(&event.identifier),
            stored: body::encode(event.body),
            identifier: event.identifier,
            timestamp: event.timestamp,
            values: event.values,
            filled: event.filled,
        }
    }

    /// The event's identifier.
    pub fn identifier(&self) -> &str {
        &self.identifier
    }

    /// The event itself, as it would be served; empty if it cannot be had.
    pub fn body(&self) -> String {
        let decoded = Decoder::new().ok().and_then(|mut decoder| Some(decoder.decode(&self.stored).ok()?.into_owned()));
        decoded.unwrap_or_default()
    }

    pub(super) fn entity(&self) -> Option<&str> {
        self.values.first(Field::Entity)
    }

    pub(super) fn blueprint(&self) -> Option<&str> {
        self.values.first(Field::Blueprint)
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.identifier.len() + self.values.as_bytes().len() + self.stored.len()
    }
}
