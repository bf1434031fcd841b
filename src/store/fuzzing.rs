//! The decoder of stored blocks with arbitrary input, for tests and fuzzers.

#![allow(clippy::missing_panics_doc, reason = "a fuzzer looks for failing checks")]

use crate::store::event::{
    block::OpenBlock,
    codec::{BodyCodec, Decoder},
};

/// Decodes `stored` as the stored form of a block. If that succeeds, encoding and decoding the result must not change it,
/// and exactly one number of events fits it.
pub fn read_body(stored: &[u8]) {
    let bodies = BodyCodec::default();
    let decoder = Decoder::of_own(&bodies);
    if let Ok(body) = decoder.decode(stored) {
        let events = body.matches('\u{1e}').count() + 1;
        let open = OpenBlock::new(1, events, body.clone());
        assert_eq!(open.map(|block| block.bodies().count()), Ok(events));
        assert!(OpenBlock::new(1, events + 1, body.clone()).is_err());
        let again = bodies.encode(&body, false);
        // A text that does not begin like an object is not a block, and may be decoded otherwise.
        if body.starts_with('{') {
            assert_eq!(decoder.decode(&again).as_ref(), Ok(&body));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_are_decoded_or_rejected(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            head in prop_oneof![Just(&b""[..]), Just(&b"{"[..]), Just(&b"\x28\xb5\x2f\xfd"[..])],
            text in ".{0,200}",
            flip in any::<prop::sample::Index>(),
        ) {
            read_body(&[head, &bytes].concat());
            let mut frame = BodyCodec::default().encode(&format!("{{\"a\":\"{}\"}}", text.repeat(4)), false);
            let at = flip.index(frame.len());
            frame[at] ^= 1 << (at % 8);
            read_body(&frame);
        }
    }
}
