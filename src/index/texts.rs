//! Reading the events that the index cannot decide about.
//!
//! The index knows a bounded number of words per event, without their order, and by numbers that two words may share. For
//! common words and for parts of identifiers it knows only groups of events. Whether one of these events has a search text
//! is in its body. This layer reads no bodies, so it asks its caller for the decision.

use std::{cell::Cell, fmt::Debug};

use rusqlite::Connection;

use crate::{
    index::error::{IndexError, Result},
    model::{error::ParameterError, search::SearchText},
};

/// Maximum number of events that one query reads on each of its threads.
const READ_MAX: u32 = 1_000_000;

/// Reads the texts of events.
pub trait EventTexts: Debug + Send + Sync {
    /// Whether the event with this seq, read on this connection, matches all of these texts: it contains those that are
    /// searched for, and none of the excluded ones. For a damaged event the answer is yes, so that the event is reported to
    /// the client instead of being left out silently.
    fn permits(&self, connection: &Connection, seq: i64, texts: &[&SearchText]) -> Result<bool>;
}

/// Reads events for one query, on the connection of its snapshot.
pub(super) struct TextReader<'s> {
    texts: &'s dyn EventTexts,
    connection: &'s Connection,
    /// The number of events that may still be read.
    pub(super) left: Cell<u32>,
}

impl<'s> TextReader<'s> {
    pub(super) fn new(texts: &'s dyn EventTexts, connection: &'s Connection) -> Self {
        Self { texts, connection, left: Cell::new(READ_MAX) }
    }

    /// Whether an event matches all of these texts.
    pub(super) fn permits(&self, seq: i64, texts: &[&SearchText]) -> Result<bool> {
        let Some(left) = self.left.get().checked_sub(1) else {
            let message = format!(
                "would have to read more than {READ_MAX} events; narrow the range of time (from, to), or add another filter"
            );
            return Err(IndexError::Refused(ParameterError::new("q", message)));
        };
        self.left.set(left);
        self.texts.permits(self.connection, seq, texts)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// For indexes whose events no test reads.
    #[derive(Debug)]
    pub(in crate::index) struct Unread;

    impl EventTexts for Unread {
        fn permits(&self, _: &Connection, _: i64, _: &[&SearchText]) -> Result<bool> {
            unreachable!()
        }
    }
}
