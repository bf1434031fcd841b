//! A request's body, cut into events and each taken, as ingest does.

#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| auditbox::model::fuzzing::take_events(body));
