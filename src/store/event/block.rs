//! Blocks: the bodies of consecutive events as one text, which is compressed as a whole.
//!
//! Between two bodies is a byte that no JSON contains. An event that retention has dropped leaves an empty text in the
//! middle of its block, so that the place of a body in its block is the distance of its seq from the first one.
//!
//! A block is full when its bodies have 8 kB: about 7 real events (mean 1,314 bytes) or 8 synthetic ones. Real events then
//! take 161 bytes instead of 239 alone, synthetic ones 158 instead of 176, and reading one event takes 4 to 6 µs instead
//! of 2. Full blocks of 16 kB would take 151 and 155 bytes, and twice as long. The same number of events in every block
//! compresses as well, but lengths then vary more, and rows of very different lengths fill pages badly.

use std::ops::Range;

use crate::store::event::codec::BodyCodec;

/// Length of the bodies of a full block, in bytes.
const FULL_BYTES: usize = 8_000;
/// Maximum length of the bodies of a block with more than one event, in bytes: reading a short event must not decompress
/// much more. Earlier builds wrote blocks of up to 64 KiB.
const SHARED_BYTES_MAX: usize = 2 * FULL_BYTES;
/// Number of events of a full block, however short they are.
const FULL_EVENTS: usize = 16;
/// Maximum number of events in a block: one that is not full, joined with another.
pub(in crate::store) const BLOCK_EVENTS_MAX: usize = 2 * FULL_EVENTS;
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
        self.events == 0 || (!is_full(self.events, self.text.len()) && self.text.len() + bytes <= SHARED_BYTES_MAX)
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

/// Whether a block with this many events, whose bodies have this many bytes, takes no more.
pub(in crate::store) const fn is_full(events: usize, bytes: usize) -> bool {
    events >= FULL_EVENTS || bytes >= FULL_BYTES
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
        let mut bodies = Vec::with_capacity(events.min(BLOCK_EVENTS_MAX));
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

    /// The number of events.
    pub(in crate::store) const fn events(&self) -> usize {
        self.bodies.len()
    }

    /// The seq of the first event.
    pub(in crate::store) const fn first(&self) -> i64 {
        self.first
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
    fn a_block_takes_events_until_it_is_full() {
        let with = |events: usize, body: &str| {
            let mut block = BlockText::default();
            (0..events).for_each(|_| block.push(body, 1));
            block
        };
        let object = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        assert!(with(FULL_EVENTS - 1, "{}").takes(2));
        assert!(!with(FULL_EVENTS, "{}").takes(2), "16 events");
        let thousand = object(1_000);
        assert!(with(7, &thousand).takes(1_000));
        assert!(!with(8, &thousand).takes(1_000), "8 kB");
        assert!(!with(7, &thousand).takes(SHARED_BYTES_MAX - 6_000), "a long event after short ones");
        assert!(with(0, "").takes(10 * SHARED_BYTES_MAX), "an event of any length has a block");
        assert!(!with(1, &object(FULL_BYTES)).takes(2), "a long event");
    }
}
