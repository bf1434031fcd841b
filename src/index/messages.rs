//! Reading the messages of events that the index cannot decide about.
//!
//! The index keeps a bounded number of words per event, and a bounded number of bytes per word. A message may exceed both, and then
//! it may contain a word that the index does not have. The index does not keep the order of words either, which decides about
//! a phrase. This layer reads no bodies, so it asks its caller for the decision.

use std::{cell::Cell, fmt::Debug};

use rusqlite::Connection;

use crate::{
    index::error::{IndexError, Result},
    model::{error::ParameterError, search::SearchText},
};

/// Maximum number of messages that one query reads on each of its threads. Reading one takes about 20 µs, so this is about
/// two seconds.
pub(super) const READ_MAX: u32 = 100_000;

/// Reads messages of events.
pub trait Messages: Debug + Send + Sync {
    /// Whether the message of the event with this seq, read on this connection, permits the event to match all of these texts:
    /// it contains those that are searched for, and none of the excluded ones. For a damaged event the answer is yes, so that
    /// the event is reported to the client instead of being left out silently.
    fn permits(&self, connection: &Connection, seq: i64, words: &[&SearchText]) -> Result<bool>;
}

/// Reads messages for one query, on the connection of its snapshot.
pub(super) struct MessageReader<'s> {
    messages: &'s dyn Messages,
    connection: &'s Connection,
    read: Cell<u32>,
}

impl<'s> MessageReader<'s> {
    pub(super) fn new(messages: &'s dyn Messages, connection: &'s Connection) -> Self {
        Self { messages, connection, read: Cell::new(0) }
    }

    /// Whether the message of an event permits it to match all of these texts.
    pub(super) fn permits(&self, seq: i64, texts: &[&SearchText]) -> Result<bool> {
        self.read.set(self.read.get() + 1);
        if self.read.get() > READ_MAX {
            let message = format!(
                "would have to read more than {READ_MAX} messages; narrow the range of time (from, to), or add \
                 another filter"
            );
            return Err(IndexError::Refused(ParameterError::new("q", message)));
        }
        self.messages.permits(self.connection, seq, texts)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// For indexes whose messages no test reads.
    #[derive(Debug)]
    pub(in crate::index) struct Unread;

    impl Messages for Unread {
        fn permits(&self, _: &Connection, _: i64, _: &[&SearchText]) -> Result<bool> {
            unreachable!()
        }
    }
}
