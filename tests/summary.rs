//! Runs after the suite, as cargo runs test programs by name: lists the tests that were skipped and how to enable them.
//!
//! `tests/suite/skip.rs` writes the list. Arguments, which are meant for the suite, are ignored.

#![allow(clippy::print_stdout, reason = "this program exists to print")]

use std::{collections::BTreeMap, env, fs};

fn main() {
    // Asked for its tests, this program has none to name.
    if env::args().any(|argument| argument == "--list") {
        return;
    }
    let list = fs::read_to_string(concat!(env!("CARGO_TARGET_TMPDIR"), "/skipped.tsv")).unwrap_or_default();
    let mut needs: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for line in list.lines() {
        let mut columns = line.split('\t');
        let (Some(missing), Some(enable), Some(test)) = (columns.next(), columns.next(), columns.next()) else {
            continue;
        };
        let tests = needs.entry((missing, enable)).or_default();
        if !tests.contains(&test) {
            tests.push(test);
        }
    }
    if needs.is_empty() {
        println!("\nNo test was skipped for lack of a tool.");
        return;
    }
    println!("\nSome tests were skipped, because this machine lacks what they need:");
    for ((missing, enable), mut tests) in needs {
        tests.sort_unstable();
        println!("\n- no {missing}\n  to enable: {enable}\n  skipped: {}", tests.join(", "));
    }
}
