//! Bodies and streams as the doors receive them. The first byte chooses the door.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let [door, bytes @ ..] = bytes {
        auditbox::doors::fuzzing::read_as(usize::from(*door), bytes);
    }
});
