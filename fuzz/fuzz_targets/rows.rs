//! Rows of the index in a hostile file: postings, keys, times.

#![no_main]

libfuzzer_sys::fuzz_target!(|row: (u32, &str, &[u8])| auditbox::index::fuzzing::read_rows(row.2, row.0, row.1));
