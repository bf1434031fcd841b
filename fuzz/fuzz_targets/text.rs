//! One text as an instant, a zone, a cursor, a token, and the value of each filter, CIDR ranges among them.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| auditbox::model::fuzzing::read_text(text));
