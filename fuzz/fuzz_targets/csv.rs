//! Bodies of events as rows of CSV.

#![no_main]

libfuzzer_sys::fuzz_target!(|bodies: Vec<String>| auditbox::api::fuzzing::write_csv(&bodies));
