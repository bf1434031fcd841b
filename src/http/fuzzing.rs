//! Feeds arbitrary bytes to the parsers of query strings and bodies.
//!
//! For tests and fuzzers only.

#![allow(clippy::missing_panics_doc, reason = "a check that fails is what a fuzzer looks for")]

use std::{borrow::Cow, sync::atomic::Ordering, time::Duration};

use crate::{
    http::{
        body::{BodyLimits, Encoding},
        parameters,
    },
    model::{
        cursor::{Cursor, Position},
        limits::QueryLimits,
        list_params::{Accepts, ListParams},
        timestamp::Timestamp,
    },
};

/// Parses a query string for a list and for counts. A cursor that the server issues must parse.
pub fn read_query(query: &str) {
    let Ok(pairs) = parameters::decode(query) else {
        return;
    };
    let limits = QueryLimits::default();
    for accepts in [Accepts::Stats, Accepts::Page] {
        let params = ListParams::parse(pairs.clone(), accepts, &limits, Timestamp::from_micros(0));
        let _ = params.stats(&limits);
    }
    if let Ok(query) = ListParams::parse_query(pairs.clone(), &limits) {
        let position = Position { timestamp: Timestamp::from_micros(-1), seq: 7 };
        let cursor = query.after.unwrap_or(Cursor { position, epoch: None });
        let rest = pairs.into_iter().filter(|(name, _)| name.trim_end_matches("[]") != "cursor");
        let next = rest.chain([(Cow::Borrowed("cursor"), Cow::Owned(query.cursor(cursor)))]);
        assert_eq!(ListParams::parse_query(next, &limits).map(|query| query.after), Ok(Some(cursor)));
    }
}

/// Decodes a body of at most 64 KiB in every encoding, and checks that its memory is released.
pub fn decode_body(encoded: &[u8]) {
    let limits = BodyLimits::new(64 * 1024, Duration::from_secs(1), 256 * 1024);
    for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Identity] {
        if let Ok(body) = limits.decode(encoding, encoded) {
            assert!(body.bytes.len() <= 64 * 1024);
        }
        assert_eq!(limits.memory_bytes.load(Ordering::Relaxed), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    proptest! {
        #[test]
        fn any_query_string_is_read_or_refused(
            text in ".{0,80}",
            pairs in prop::collection::vec(
                (
                    "(not\\.)?(entity|status_code|ip|q|from|to|limit|sort|order|cursor|includes|count|facets|tz|histogram)(\\[\\])?",
                    prop_oneof![".{0,20}", "[0-9TZ:+.-]{0,30}", "[0-9a-f:./]{0,20}", "received|asc|true|[1-9]xx"],
                ),
                0..5,
            ),
        ) {
            read_query(&text);
            let encoded: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            read_query(&encoded);
            let decoded = parameters::decode(&encoded).unwrap();
            prop_assert!(decoded.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
                .eq(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
        }

        #[test]
        fn any_body_is_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), times in 1usize..2_000) {
            decode_body(&bytes);
            let many = bytes.repeat(times);
            for encoded in [gzip(&many), zstd::bulk::compress(&many, 1).unwrap()] {
                decode_body(&encoded);
                decode_body(&encoded[..encoded.len() / 2]);
                decode_body(&[encoded.as_slice(), &bytes].concat());
            }
        }
    }
}
