//! Records, mapped with every preset; and presets.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    auditbox::model::mapping::fuzzing::map_records(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        auditbox::model::mapping::fuzzing::read_preset(text);
    }
});
