//! The read transactions that this process has open on the file.
//!
//! A transaction that is open for long prevents emptying the write-ahead log, and the operator must know which it is.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// The list of open transactions. Clones share it.
#[derive(Clone, Default)]
pub(in crate::store) struct OpenReads(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    last_number: u64,
    /// By number: the reader, and since when it reads.
    reads: HashMap<u64, (&'static str, Instant)>,
}

/// An open transaction. Dropping it removes it from the list.
pub(in crate::store) struct OpenRead {
    all: OpenReads,
    number: u64,
}

impl OpenReads {
    /// Adds a transaction. Call this before it begins. `who` is a noun for messages.
    pub(in crate::store) fn begin(&self, who: &'static str) -> OpenRead {
        let mut open = self.0.lock();
        open.last_number += 1;
        let number = open.last_number;
        open.reads.insert(number, (who, Instant::now()));
        OpenRead { all: self.clone(), number }
    }

    /// The reader that has held one snapshot for longest, and for how long.
    pub(in crate::store) fn oldest(&self) -> Option<(&'static str, Duration)> {
        let open = self.0.lock();
        open.reads.values().min_by_key(|(_, since)| *since).map(|(who, since)| (*who, since.elapsed()))
    }
}

impl OpenRead {
    /// Notes that the transaction was replaced by a new one.
    pub(in crate::store) fn renew(&self) {
        if let Some((_, since)) = self.all.0.lock().reads.get_mut(&self.number) {
            *since = Instant::now();
        }
    }
}

impl Drop for OpenRead {
    fn drop(&mut self) {
        self.all.0.lock().reads.remove(&self.number);
    }
}
