//! A request's body with an encoding: gzip, zstd.

#![no_main]

libfuzzer_sys::fuzz_target!(|encoded: &[u8]| auditbox::http::hostile::decode_body(encoded));
