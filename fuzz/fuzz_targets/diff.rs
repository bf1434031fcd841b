//! The values before and after, compared as on the event page.

#![no_main]

libfuzzer_sys::fuzz_target!(|sides: (&str, &str)| {
    auditbox::ui::fuzzing::compare(sides.0, sides.1);
    auditbox::ui::fuzzing::read_entry(sides.0);
});
