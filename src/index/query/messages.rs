//! Messages of which the index keeps only a part of the words, read where that part does not decide.
//!
//! The index has bounded room for each event, and a message may have any number of words. An event whose message has more
//! than is kept has as many words as are kept, or a word that was cut. It may match a search word that its kept words
//! do not have; whether it does is decided by its message, which this layer asks its caller for.

use std::{cell::Cell, fmt::Debug, sync::Arc};

use rusqlite::Connection;

use crate::{
    index::{
        chunk::view::View,
        encode::bitset::Bitset,
        error::{IndexError, Result},
    },
    model::{error::ParameterError, search::SearchWord},
};

/// Messages that one query may read, on each of its threads. One takes some 20 µs, so this is about two seconds.
const READ_MAX: u32 = 100_000;

/// Reads messages of events.
pub trait Messages: Debug + Send + Sync {
    /// Whether the message of the event with this seq, read on this connection, holds all of these words. An event that is
    /// damaged counts as holding them, so that it is reported to the client and not silently left out.
    fn hold(&self, connection: &Connection, seq: i64, words: &[&SearchWord]) -> Result<bool>;
}

/// Reads messages for one query, on the connection of its snapshot.
pub(in crate::index) struct MessageReader<'s> {
    messages: &'s dyn Messages,
    connection: &'s Connection,
    read: Cell<u32>,
}

impl<'s> MessageReader<'s> {
    pub(in crate::index) fn new(messages: &'s dyn Messages, connection: &'s Connection) -> Self {
        Self { messages, connection, read: Cell::new(0) }
    }

    fn hold(&self, seq: i64, words: &[&SearchWord]) -> Result<bool> {
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

/// The events of a chunk whose messages decide whether they match: for each search word.
pub(in crate::index) type Undecided = Vec<(Arc<SearchWord>, Bitset)>;

/// The events of a chunk that match a filter, some of them only if their messages say so.
pub(in crate::index) struct Candidates {
    /// All of them.
    pub(in crate::index) bits: Bitset,
    undecided: Undecided,
}

impl Candidates {
    pub(in crate::index) fn new(bits: Bitset, mut undecided: Undecided) -> Self {
        for (_, events) in &mut undecided {
            events.keep(&bits);
        }
        undecided.retain(|(_, events)| !events.is_empty());
        Self { bits, undecided }
    }

    /// Whether no message needs to be read.
    pub(in crate::index) fn are_certain(&self) -> bool {
        self.undecided.is_empty()
    }

    /// Whether the event of the set at this position, which has this seq, matches.
    pub(in crate::index) fn hold(&self, position: u16, seq: i64, reader: &MessageReader<'_>) -> Result<bool> {
        let asked = self.undecided.iter().filter(|(_, events)| events.holds(position));
        let words: Vec<_> = asked.map(|(word, _)| &**word).collect();
        if words.is_empty() { Ok(true) } else { reader.hold(seq, &words) }
    }

    /// The events that match, once all messages that decide are read.
    pub(in crate::index) fn settle(mut self, view: &mut View<'_>, reader: &MessageReader<'_>) -> Result<Bitset> {
        let mut open = Bitset::none(view.length());
        self.undecided.iter().for_each(|(_, events)| open.add(events));
        // All of them first: the chunk must not be locked while messages are read.
        let places = view.positions(&open)?;
        for (position, place) in open.iter().zip(places) {
            if !self.hold(position, place.seq, reader)? {
                self.bits.remove(position);
            }
        }
        Ok(self.bits)
    }
}

#[cfg(test)]
pub(in crate::index) mod tests {
    use super::*;

    /// For indexes whose messages no test reads.
    #[derive(Debug)]
    pub(in crate::index) struct Unread;

    impl Messages for Unread {
        fn hold(&self, _: &Connection, _: i64, _: &[&SearchWord]) -> Result<bool> {
            unreachable!()
        }
    }

    #[derive(Debug)]
    struct Same(bool);

    impl Messages for Same {
        fn hold(&self, _: &Connection, _: i64, _: &[&SearchWord]) -> Result<bool> {
            Ok(self.0)
        }
    }

    #[test]
    fn one_query_reads_so_many_messages_and_says_so() {
        let connection = Connection::open_in_memory().unwrap();
        let words = SearchWord::parse_all("a").unwrap();
        let candidates = |undecided: &[u16]| {
            let mut events = Bitset::none(10);
            for position in undecided {
                events.insert(*position);
            }
            Candidates::new(Bitset::all(10), vec![(Arc::new(words[0].clone()), events)])
        };
        let reader = MessageReader::new(&Same(false), &connection);
        // What is certain is not read.
        assert!(candidates(&[]).are_certain());
        for _ in 0..=READ_MAX {
            assert!(candidates(&[3]).hold(2, 0, &reader).unwrap());
        }
        for _ in 0..READ_MAX {
            assert!(!candidates(&[3]).hold(3, 0, &reader).unwrap());
        }
        let Err(IndexError::Refused(error)) = candidates(&[3]).hold(3, 0, &reader) else { panic!() };
        assert_eq!(error.parameter, "q");
        assert!(error.message.contains("from, to"), "{error}");
    }
}
