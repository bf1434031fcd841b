//! Blocks: the bodies of consecutive events as one text, which is compressed as a whole.
//!
//! Between two bodies is a byte that no JSON contains. An event that retention has dropped leaves an empty text in the
//! middle of its block, so that the place of a body in its block is the distance of its seq from the first one.
//!
//! Real events (mean 1,314 bytes) take 239 bytes alone and 152 in blocks of 8, synthetic ones 176 and 158. Reading one
//! event then decompresses 8, which takes 4 to 6 µs instead of 2. Blocks of 16 would take 144 and 155 bytes, and 11 to
//! 15 µs.

use std::ops::Range;

use crate::store::event::codec::BodyCodec;

/// Events per block, if there are enough.
pub(in crate::store) const BLOCK_EVENTS: usize = 8;
/// Maximum length of the bodies of a block with more than one event, in bytes: reading a short event must not decompress
/// much more.
const BLOCK_BYTES: usize = 64 * 1024;
/// The record separator of ASCII, as in JSON text sequences (RFC 7464). In JSON, control characters are escaped.
const SEPARATOR: char = '\u{1e}';

/// The bodies of a future block.
#[derive(Debug, Default)]
pub(in crate::store) struct BlockText {
    text: String,
    events: usize,
}

impl BlockText {
    /// These bodies.
    pub(in crate::store) fn of(bodies: &[String]) -> Self {
        let mut block = Self::default();
        for body in bodies {
            block.push(body, 1);
        }
        block
    }

    /// Adds the bodies of the next events: one, those of a whole block, or an empty text for a dropped event.
    pub(in crate::store) fn push(&mut self, bodies: &str, events: usize) {
        if self.events > 0 {
            self.text.push(SEPARATOR);
        }
        self.text.push_str(bodies);
        self.events += events;
    }

    /// The number of events.
    pub(in crate::store) const fn events(&self) -> usize {
        self.events
    }

    /// Whether bodies of this length may be added.
    pub(in crate::store) const fn takes(&self, bytes: usize) -> bool {
        self.events == 0 || (self.events < BLOCK_EVENTS && self.text.len() + bytes <= BLOCK_BYTES)
    }

    /// The bodies, with separators.
    pub(in crate::store) fn into_text(self) -> String {
        self.text
    }

    /// The stored form of a block of new events, whose rows will have checksums.
    pub(in crate::store) fn encode(&self, bodies: &BodyCodec) -> Vec<u8> {
        bodies.encode(&self.text, false)
    }

    /// The stored form of a block of stored events, the first of which has this seq.
    pub(in crate::store) fn encode_stored(&self, bodies: &BodyCodec, first: i64) -> Vec<u8> {
        bodies.encode(&self.text, !bodies.has_checksum(first))
    }
}

/// A block that is decoded.
#[derive(Debug)]
pub(in crate::store) struct OpenBlock {
    first: i64,
    text: String,
    bodies: Vec<Range<usize>>,
}

impl OpenBlock {
    /// Divides the text of a block with `events` events, the first of which has the seq `first`. The error says what is
    /// wrong.
    pub(in crate::store) fn new(first: i64, events: usize, text: String) -> Result<Self, String> {
        let mut bodies = Vec::with_capacity(BLOCK_EVENTS);
        let mut start = 0;
        for body in text.split(SEPARATOR) {
            bodies.push(start..start + body.len());
            start += body.len() + SEPARATOR.len_utf8();
        }
        if bodies.len() == events {
            Ok(Self { first, text, bodies })
        } else {
            Err(format!("its block has {} events instead of {events}", bodies.len()))
        }
    }

    /// The bodies of the block, one after another.
    pub(in crate::store) fn bodies(&self) -> impl Iterator<Item = (i64, &str)> {
        (self.first..).zip(self.bodies.iter().map(|body| &self.text[body.clone()]))
    }

    /// The body of the event with this seq, if the block has it.
    pub(in crate::store) fn body(&self, seq: i64) -> Option<&str> {
        let place = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        let body = &self.text[self.bodies.get(place)?.clone()];
        (!body.is_empty()).then_some(body)
    }

    /// The bodies, with separators.
    pub(in crate::store) fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_returns_each_body_by_its_seq() {
        let mut block = BlockText::default();
        block.push("{\"a\":1}", 1);
        block.push("", 1);
        block.push("{\"b\":\"é\"}\u{1e}{}", 2);
        assert_eq!((block.events(), block.takes(10)), (4, true));
        let open = OpenBlock::new(7, 4, block.text.clone()).unwrap();
        let found = [6, 7, 8, 9, 10, 11].map(|seq| open.body(seq));
        assert_eq!(found, [None, Some("{\"a\":1}"), None, Some("{\"b\":\"é\"}"), Some("{}"), None]);
        assert_eq!(open.bodies().nth(3), Some((10, "{}")));
        assert!(OpenBlock::new(7, 3, block.text.clone()).is_err() && OpenBlock::new(7, 5, block.text).is_err());
    }

    #[test]
    fn a_block_takes_eight_events_or_one_long_one() {
        let mut short = BlockText::default();
        for _ in 0..BLOCK_EVENTS {
            assert!(short.takes(2));
            short.push("{}", 1);
        }
        assert!(!short.takes(2));
        let mut long = BlockText::default();
        assert!(long.takes(10 * BLOCK_BYTES));
        long.push(&format!("{{\"a\":\"{}\"}}", "x".repeat(BLOCK_BYTES)), 1);
        assert!(!long.takes(2));
    }
}
