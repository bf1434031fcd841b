//! Events that are ready to be written. Everything slow that does not depend on the order of events is done before they
//! queue.

use std::{borrow::Cow, mem, sync::Arc};

use crate::{
    index::{IdentifierProbe, KnownTerms},
    model::{
        event::{DefaultedFields, Event},
        timestamp::Timestamp,
        values::Values,
    },
    store::event::{
        block::{BlockText, OpenBlock},
        checksum::Content,
        codec::{BodyCodec, Decoder},
    },
};

/// One event with the values for its row, and its compressed block.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(in crate::store) identifier: String,
    pub(in crate::store) timestamp: Timestamp,
    pub(in crate::store) values: Values,
    /// Those of the terms of its values that were known when the event was prepared.
    pub(in crate::store) known: KnownTerms,
    pub(in crate::store) filled: DefaultedFields,
    pub(in crate::store) content: Content,
    pub(in crate::store) probe: IdentifierProbe,
    block: Arc<PreparedBlock>,
    /// The number of events before it in the block.
    place: usize,
}

/// The stored form of events that are compressed together.
#[derive(Debug, Default)]
struct PreparedBlock {
    events: usize,
    stored: Vec<u8>,
}

impl PreparedBlock {
    fn open(&self, bodies: &BodyCodec) -> Option<OpenBlock> {
        let text = Decoder::of_own(bodies).decode(&self.stored).ok()?;
        OpenBlock::new(0, self.events, text).ok()
    }
}

impl Prepared {
    /// An event with a separate block.
    pub(in crate::store) fn new(event: Event, bodies: &BodyCodec, probe: IdentifierProbe, known: KnownTerms) -> Self {
        let mut text = BlockText::default();
        text.push(&event.body, 1);
        let block = PreparedBlock { events: 1, stored: text.encode(bodies) };
        Self::within(event, probe, known, (block.into(), 0))
    }

    fn within(
        event: Event,
        probe: IdentifierProbe,
        known: KnownTerms,
        (block, place): (Arc<PreparedBlock>, usize),
    ) -> Self {
        Self {
            probe,
            known,
            content: Content::of(&event.identifier, &event.body),
            identifier: event.identifier,
            timestamp: event.timestamp,
            values: event.values,
            filled: event.filled,
            block,
            place,
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
        size_of::<Self>()
            + self.known.bytes()
            + self.identifier.len()
            + self.values.bytes()
            + self.block.stored.len() / self.block.events.max(1)
    }

    /// The event's body; `None` if it cannot be decoded.
    pub(in crate::store) fn body(&self, bodies: &BodyCodec) -> Option<String> {
        self.block.open(bodies)?.body(i64::try_from(self.place).ok()?).map(str::to_owned)
    }

    /// Whether both events are in one block.
    pub(in crate::store) fn is_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.block, &other.block)
    }

    /// The stored form of the block of these events, which were prepared together; `None` if it cannot be decoded.
    /// Normally that is the prepared block. If some of its events are missing, those are removed from it.
    pub(in crate::store) fn block_of<'p>(events: &[&'p Self], bodies: &BodyCodec) -> Option<Cow<'p, [u8]>> {
        let block = &events.first()?.block;
        let are_all = || events.iter().enumerate().all(|(place, event)| event.place == place);
        if events.len() == block.events && are_all() {
            return Some(Cow::Borrowed(&block.stored));
        }
        let (open, mut rest) = (block.open(bodies)?, BlockText::default());
        for event in events {
            rest.push(open.body(i64::try_from(event.place).ok()?)?, 1);
        }
        Some(Cow::Owned(rest.encode(bodies)))
    }
}

/// The events of one request while they are prepared: neighbors share blocks.
#[derive(Debug, Default)]
pub(in crate::store) struct PreparedBatch {
    events: Vec<Prepared>,
    /// The bodies of the last events, which have no block yet.
    last: BlockText,
}

impl PreparedBatch {
    /// Adds an event.
    pub(in crate::store) fn push(
        &mut self,
        event: Event,
        bodies: &BodyCodec,
        probe: IdentifierProbe,
        known: KnownTerms,
    ) {
        if !self.last.takes(event.body.len()) {
            self.end_block(bodies);
        }
        let place = self.last.events();
        self.last.push(&event.body, 1);
        self.events.push(Prepared::within(event, probe, known, (Arc::default(), place)));
    }

    /// The prepared events, in order.
    pub(in crate::store) fn finish(mut self, bodies: &BodyCodec) -> Vec<Prepared> {
        self.end_block(bodies);
        self.events
    }

    fn end_block(&mut self, bodies: &BodyCodec) {
        let text = mem::take(&mut self.last);
        let block = Arc::new(PreparedBlock { events: text.events(), stored: text.encode(bodies) });
        for event in self.events.iter_mut().rev().take(text.events()) {
            event.block = Arc::clone(&block);
        }
    }
}
