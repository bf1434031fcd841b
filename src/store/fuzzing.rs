//! The reader of stored events, given any bytes.
//!
//! In tests and fuzzers alone.

#![allow(clippy::missing_panics_doc, reason = "a check that fails is what a fuzzer looks for")]

use crate::store::event::codec::{BodyCodec, Decoder};

/// Reads `stored` as the stored form of an event. What can be read is stored and read again as it is.
pub fn read_body(stored: &[u8]) {
    let bodies = BodyCodec::default();
    let decoder = Decoder::of_own(&bodies);
    if let Ok(body) = decoder.decode(stored) {
        let again = bodies.encode(&body);
        // What does not begin as an object does is no event, and is not taken for one when it is read again.
        if body.starts_with('{') {
            assert_eq!(decoder.decode(&again).as_deref(), Ok(&*body));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            head in prop_oneof![Just(&b""[..]), Just(&b"{"[..]), Just(&b"\x28\xb5\x2f\xfd"[..])],
            text in ".{0,200}",
            flip in any::<prop::sample::Index>(),
        ) {
            read_body(&[head, &bytes].concat());
            let mut frame = BodyCodec::default().encode(&format!("{{\"a\":\"{}\"}}", text.repeat(4)));
            let at = flip.index(frame.len());
            frame[at] ^= 1 << (at % 8);
            read_body(&frame);
        }
    }
}
