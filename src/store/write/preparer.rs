//! Prepares the events of one request together.

use std::mem;

use crate::{
    model::event::Event,
    store::{
        event::prepared::{Prepared, PreparedBatch},
        write::writer::Writer,
    },
};

/// Prepares events for a writer. Events that are added one after another share blocks, which makes them smaller.
pub struct Preparer {
    writer: Writer,
    batch: PreparedBatch,
}

impl Preparer {
    pub(in crate::store) fn new(writer: &Writer) -> Self {
        Self { writer: writer.clone(), batch: PreparedBatch::default() }
    }

    /// Adds an event. This checks Bloom filters, looks up terms, and compresses each block when it is full, so it does
    /// not belong on the writer's thread.
    pub fn add(&mut self, event: Event) {
        let Writer { index, terms, bodies, .. } = &self.writer;
        let probe = index.probe(&event.identifier);
        let known = terms.known(&event.values);
        self.batch.push(event, bodies, probe, known);
    }

    /// The events that were added, in order. More can be added afterwards.
    pub fn finish(&mut self) -> Vec<Prepared> {
        mem::take(&mut self.batch).finish(&self.writer.bodies)
    }
}
