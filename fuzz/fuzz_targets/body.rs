//! A compressed request body: gzip, zstd.

#![no_main]

libfuzzer_sys::fuzz_target!(|encoded: &[u8]| auditbox::http::fuzzing::decode_body(encoded));
