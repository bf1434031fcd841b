//! A text, parsed as an instant, a time zone, a cursor, a token, and the value of each filter, including CIDR ranges.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| auditbox::model::fuzzing::read_text(text));
