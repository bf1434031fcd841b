//! The events of a chunk that match a filter as far as the index knows, and the decision about those that it does not know.

use std::sync::Arc;

use crate::{
    index::{encode::bitset::Bitset, error::Result, query::view::View, texts::TextReader},
    model::search::SearchText,
};

/// For each search text, the events of a chunk that must be read to decide whether they match.
pub(in crate::index) type Undecided = Vec<(Arc<SearchText>, Bitset)>;

/// The events of a chunk that match a filter, some of them only if reading them confirms it.
pub(in crate::index) struct Candidates {
    /// All candidates.
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

    /// Whether all candidates match without reading one.
    pub(in crate::index) fn are_certain(&self) -> bool {
        self.undecided.is_empty()
    }

    /// Whether the candidate at this position, which has this seq, matches.
    pub(in crate::index) fn hold(&self, position: u16, seq: i64, reader: &TextReader<'_>) -> Result<bool> {
        let undecided = self.undecided.iter().filter(|(_, events)| events.holds(position));
        let texts: Vec<_> = undecided.map(|(text, _)| &**text).collect();
        if texts.is_empty() { Ok(true) } else { reader.permits(seq, &texts) }
    }

    /// The events that match, after all undecided ones are read.
    pub(in crate::index) fn settle(mut self, view: &mut View<'_>, reader: &TextReader<'_>) -> Result<Bitset> {
        let mut open = Bitset::none(view.length());
        self.undecided.iter().for_each(|(_, events)| open.add(events));
        // The positions first: the chunk must not be locked while events are read.
        let places = view.positions(&open)?;
        for (position, place) in open.iter().zip(places) {
            view.step()?;
            if !self.hold(position, place.seq, reader)? {
                self.bits.remove(position);
            }
        }
        Ok(self.bits)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::index::{
        error::IndexError,
        texts::{EventTexts, OpenTexts},
    };

    #[derive(Debug)]
    struct Same(bool);

    impl EventTexts for Same {
        fn open<'c>(&'c self, _: &'c Connection) -> Result<Box<dyn OpenTexts + 'c>> {
            Ok(Box::new(Self(self.0)))
        }
    }

    impl OpenTexts for Same {
        fn permits(&mut self, _: i64, _: &[&SearchText]) -> Result<bool> {
            Ok(self.0)
        }
    }

    #[test]
    fn a_query_that_reads_too_many_events_is_refused() {
        let connection = Connection::open_in_memory().unwrap();
        let text = Arc::new(SearchText::word("a", false));
        let candidates = |undecided: &[u16]| {
            let mut events = Bitset::none(10);
            for position in undecided {
                events.insert(*position);
            }
            Candidates::new(Bitset::all(10), vec![(Arc::clone(&text), events)])
        };
        let reader = TextReader::new(&Same(false), &connection);
        // Certain matches are not read.
        assert!(candidates(&[]).are_certain());
        reader.left.set(2);
        for _ in 0..3 {
            assert!(candidates(&[3]).hold(2, 0, &reader).unwrap());
        }
        for _ in 0..2 {
            assert!(!candidates(&[3]).hold(3, 0, &reader).unwrap());
        }
        let Err(IndexError::Refused(error)) = candidates(&[3]).hold(3, 0, &reader) else { panic!() };
        assert_eq!(error.parameter, "q");
        assert!(error.message.contains("from, to"), "{error}");
    }
}
