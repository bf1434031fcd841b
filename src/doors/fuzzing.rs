//! Feeds arbitrary bytes to the readers of the doors: bodies of requests, and streams and datagrams of syslog.
//!
//! For tests and fuzzers only.

#![allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a check that fails is what a fuzzer looks for")]

use std::sync::LazyLock;

use super::{bulk, cloudevents, hec, otlp, syslog};
use crate::{
    ingest::{self, SentRecord},
    model::{
        door::Door,
        mapping::{Mapping, Record, fuzzing},
        zone::Zone,
    },
};

/// The presets of the doors, in the order of [`Door::ALL`].
static PRESETS: LazyLock<Vec<(Door, Mapping)>> =
    LazyLock::new(|| Door::ALL.into_iter().filter_map(|door| Some((door, Mapping::named(door.preset())?))).collect());
/// The longest frame of a stream that the checks read.
const FRAME_BYTES_MAX: usize = 1_000;

/// Reads bytes as every door does. The last byte chooses where a stream is split.
pub fn read_bytes(bytes: &[u8]) {
    for place in 0..PRESETS.len() {
        read_as(place, bytes);
    }
}

/// Reads bytes as one door does: that with this place among the doors, counted in a circle. Every record becomes an event.
pub fn read_as(place: usize, bytes: &[u8]) {
    let (door, mapping) = &PRESETS[place % PRESETS.len()];
    let documents = || ingest::documents(usize::MAX)(bytes, mapping).unwrap_or_default();
    match door {
        Door::Bulk => {
            for (_, document) in bulk::read_lines(bytes) {
                check(document.and_then(|text| mapping.element(text).map_err(|error| error.to_string())), mapping);
            }
        }
        Door::CloudEvents => {
            check_all(documents(), mapping);
            check_all(vec![cloudevents::read_binary(bytes, mapping)], mapping);
        }
        Door::Hec => {
            check_all(hec::read_events(bytes, mapping), mapping);
            check_all(hec::read_lines(bytes, &[("host".to_owned(), "web".to_owned())], mapping), mapping);
        }
        Door::Kubernetes | Door::Registry => check_all(documents(), mapping),
        Door::Otlp => {
            check_all(documents(), mapping);
            check_all(otlp::read_protobuf(bytes, mapping).unwrap_or_default(), mapping);
        }
        Door::Syslog => {
            let at = bytes.last().map_or(0, |byte| usize::from(*byte)).min(bytes.len());
            let frames = syslog::frames_of(&[bytes], FRAME_BYTES_MAX);
            assert_eq!(syslog::frames_of(&[&bytes[..at], &bytes[at..]], FRAME_BYTES_MAX), frames);
            let mut batch = Vec::new();
            for (frame, is_cut) in &frames {
                syslog::push(&mut batch, frame, *is_cut);
            }
            let read = syslog::read_records(Zone::utc());
            check_all(read(&batch, mapping).unwrap(), mapping);
        }
    }
}

fn check_all(records: Vec<SentRecord<'_>>, mapping: &Mapping) {
    for SentRecord { record, .. } in records {
        check(record, mapping);
    }
}

fn check<E>(record: Result<Record<'_>, E>, mapping: &Mapping) {
    if let Ok(record) = record {
        fuzzing::map_record(&record, mapping);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pieces of bodies, which are joined in any order.
    const PIECES: &[&[u8]] = &[
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\",
        b"\n",
        b"\0",
        b" ",
        b"\xff",
        b"\x0a\x05",
        b"\x12\x03",
        b"12 ",
        b"<34>",
        b"<34>1 ",
        b"2026-01-02T03:04:05Z ",
        b"Jan  2 03:04:05 ",
        b"web app[7]: ",
        b"- - [a b=\"c\"] ",
        b"CEF:0|a|b|c|d|e|5|src=192.0.2.1 act=x",
        b"LEEF:2.0|a|b|c|d|^|k=v^",
        b"@cee:",
        b"{\"action\":\"x\"}",
        b"{\"create\":{\"_id\":\"1\"}}\n",
        b"{\"index\":{}}\n",
        b"{\"event\":",
        b"{\"event\":{\"action\":\"x\"},\"time\":1}",
        b"\"event\":\"{}\"",
        b"{\"events\":[",
        b"{\"items\":[",
        b"{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[",
        b"\"specversion\":\"1.0\"",
        b"\"data\":",
        b"\"data_base64\":\"e30=\"",
        b"null",
        b"1e999",
        b"\"\\ud800\"",
    ];

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            read_bytes(&bytes);
        }

        #[test]
        fn any_pieces_are_read(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..30)) {
            read_bytes(&pieces.concat());
        }
    }
}
