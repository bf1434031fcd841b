//! Before and after, compared as the event page does.

#![no_main]

libfuzzer_sys::fuzz_target!(|sides: (&str, &str)| {
    auditbox::ui::fuzzing::compare(sides.0, sides.1);
    auditbox::ui::fuzzing::read_entry(sides.0);
});
