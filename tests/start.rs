//! Runs before the suite, as cargo runs test programs by name: forgets which tests an earlier run skipped.

use std::{fs, io::ErrorKind};

fn main() {
    if let Err(error) = fs::remove_file(concat!(env!("CARGO_TARGET_TMPDIR"), "/skipped.tsv")) {
        assert_eq!(error.kind(), ErrorKind::NotFound, "cannot delete the list of skipped tests: {error}");
    }
}
