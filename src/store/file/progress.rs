//! Reports of progress by operations that take long: migrations, rebuilding the index, backups.

/// Receives reports of progress.
pub trait Progress {
    /// Step `what` has done `done` of `total`. A total of 0 means that it is unknown.
    fn advance(&self, what: &'static str, done: i64, total: i64);
}

/// Ignores reports.
pub struct Quiet;

impl Progress for Quiet {
    fn advance(&self, _: &'static str, _: i64, _: i64) {}
}
