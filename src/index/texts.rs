//! Reading the events that the index cannot decide about.
//!
//! The index knows a bounded number of words per event, without their order, and by numbers that two words may share. For
//! common words and for parts of identifiers it knows only groups of events. Whether one of these events has a search text
//! is in its body. This layer reads no bodies, so it asks its caller for the decision.

use std::{
    cell::{Cell, RefCell},
    fmt::Debug,
};

use rusqlite::Connection;

use crate::{
    index::error::{IndexError, Result},
    model::{error::ParameterError, search::SearchText},
};

/// Maximum number of events that one query reads on each of its threads.
const READ_MAX: u32 = 1_000_000;

/// Reads the texts of events.
pub trait EventTexts: Debug + Send + Sync {
    /// Begins to read events on this connection, for one query.
    fn open<'c>(&'c self, connection: &'c Connection) -> Result<Box<dyn OpenTexts + 'c>>;
}

/// The texts of events, open for one query. Neighboring events are fast to read one after another.
pub trait OpenTexts {
    /// Whether the event with this seq matches all of these texts: it contains those that are searched for, and none of the
    /// excluded ones. For a damaged event the answer is yes, so that the event is reported to the client instead of being left
    /// out silently.
    fn permits(&mut self, seq: i64, texts: &[&SearchText]) -> Result<bool>;
}

/// Reads events for one query, on the connection of its snapshot.
pub(super) struct TextReader<'s> {
    texts: &'s dyn EventTexts,
    connection: &'s Connection,
    open: RefCell<Option<Box<dyn OpenTexts + 's>>>,
    /// The number of events that may still be read.
    pub(super) left: Cell<u32>,
}

impl<'s> TextReader<'s> {
    pub(super) fn new(texts: &'s dyn EventTexts, connection: &'s Connection) -> Self {
        Self { texts, connection, open: RefCell::default(), left: Cell::new(READ_MAX) }
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
        let mut open = self.open.borrow_mut();
        match &mut *open {
            Some(open) => open.permits(seq, texts),
            None => open.insert(self.texts.open(self.connection)?).permits(seq, texts),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// For indexes whose events no test reads.
    #[derive(Debug)]
    pub(in crate::index) struct Unread;

    impl EventTexts for Unread {
        fn open<'c>(&'c self, _: &'c Connection) -> Result<Box<dyn OpenTexts + 'c>> {
            unreachable!()
        }
    }
}
