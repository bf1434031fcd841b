//! A query string: decoding, filters, times, addresses, cursors, counting.

#![no_main]

libfuzzer_sys::fuzz_target!(|query: &str| auditbox::http::fuzzing::read_query(query));
