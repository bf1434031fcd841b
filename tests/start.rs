//! Runs before the suite, because cargo runs test programs in order of their names: deletes the list of an earlier
//! run's skipped tests.

use std::{fs, io::ErrorKind};

fn main() {
    if let Err(error) = fs::remove_file(concat!(env!("CARGO_TARGET_TMPDIR"), "/skipped.tsv")) {
        assert_eq!(error.kind(), ErrorKind::NotFound, "cannot delete the list of skipped tests: {error}");
    }
}
