//! Events that are ready to be written. Everything slow that does not depend on the order of events is done before they
//! queue.

use crate::{
    index::{IdentifierProbe, KnownTerms},
    model::{
        event::{DefaultedFields, Event},
        timestamp::Timestamp,
        values::Values,
    },
    store::event::{checksum::Content, codec::BodyCodec},
};

/// One compressed event, with the values for its row.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(in crate::store) identifier: String,
    pub(in crate::store) timestamp: Timestamp,
    pub(in crate::store) values: Values,
    /// The terms of the values, as far as they were known when the event was prepared.
    pub(in crate::store) known: KnownTerms,
    pub(in crate::store) filled: DefaultedFields,
    pub(in crate::store) stored: Vec<u8>,
    pub(in crate::store) content: Content,
    pub(in crate::store) probe: IdentifierProbe,
}

impl Prepared {
    /// Compresses the event's body.
    pub(in crate::store) fn new(event: Event, bodies: &BodyCodec, probe: IdentifierProbe, known: KnownTerms) -> Self {
        Self {
            probe,
            known,
            stored: bodies.encode(&event.body),
            content: Content::of(&event.identifier, &event.body),
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

    /// Whether the server assigned the identifier.
    pub fn is_identifier_assigned(&self) -> bool {
        self.filled.holds_identifier()
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.known.bytes() + self.identifier.len() + self.values.bytes() + self.stored.len()
    }
}
