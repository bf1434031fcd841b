//! Reading long messages, of which the index has only some of the words.
//!
//! The index keeps a bounded number of words per event, and a bounded number of bytes per word. A message may exceed both.
//! Such an event may match a search word that the index does not have, and only its message decides. This layer reads no
//! bodies, so it asks its caller for the decision.

use std::{cell::Cell, fmt::Debug};

use rusqlite::Connection;

use crate::{
    index::error::{IndexError, Result},
    model::{error::ParameterError, search::SearchWord},
};

/// Maximum number of messages that one query reads on each of its threads. Reading one takes about 20 µs, so this is about
/// two seconds.
pub(super) const READ_MAX: u32 = 100_000;

/// Reads messages of events.
pub trait Messages: Debug + Send + Sync {
    /// Whether the message of the event with this seq, read on this connection, contains all of these words. For a damaged
    /// event the answer is yes, so that the event is reported to the client instead of being left out silently.
    fn hold(&self, connection: &Connection, seq: i64, words: &[&SearchWord]) -> Result<bool>;
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

    /// Whether the message of an event contains all of these words.
    pub(super) fn hold(&self, seq: i64, words: &[&SearchWord]) -> Result<bool> {
        self.read.set(self.read.get() + 1);
        if self.read.get() > READ_MAX {
            let message = format!(
                "would have to read more than {READ_MAX} long messages; narrow the range of time (from, to), or add \
                 another filter"
            );
            return Err(IndexError::Refused(ParameterError::new("q", message)));
        }
        self.messages.hold(self.connection, seq, words)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// For indexes whose messages no test reads.
    #[derive(Debug)]
    pub(in crate::index) struct Unread;

    impl Messages for Unread {
        fn hold(&self, _: &Connection, _: i64, _: &[&SearchWord]) -> Result<bool> {
            unreachable!()
        }
    }
}
