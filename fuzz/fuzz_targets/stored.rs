//! Stored events in a hostile file.

#![no_main]

libfuzzer_sys::fuzz_target!(|stored: &[u8]| auditbox::store::fuzzing::read_body(stored));
