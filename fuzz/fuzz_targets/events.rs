//! A request body, split into events, each of which is parsed as in ingest.

#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| auditbox::model::fuzzing::take_events(body));
