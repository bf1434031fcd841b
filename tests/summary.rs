//! Runs after the suite, because cargo runs test programs in order of their names: lists the skipped tests and how to
//! enable them.
//!
//! `tests/suite/skip.rs` writes the list. Arguments are meant for the suite, so this program ignores them.

#![allow(clippy::print_stdout, reason = "this program exists to print")]

use std::{collections::BTreeMap, env, fs};

fn main() {
    // A request to list tests gets an empty list.
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
