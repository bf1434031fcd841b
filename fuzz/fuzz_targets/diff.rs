//! Before and after, compared as the event page does.

#![no_main]

libfuzzer_sys::fuzz_target!(|sides: (&str, &str)| {
    auditbox::web::hostile::compare(sides.0, sides.1);
    auditbox::web::hostile::read_entry(sides.0);
});
