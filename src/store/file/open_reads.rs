//! The read transactions that this process has open on the file: one that is open for long keeps the write-ahead log from
//! being emptied, and the operator has to know whose it is.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};

/// All of them. Clones are one.
#[derive(Clone, Default)]
pub(in crate::store) struct OpenReads(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    last_number: u64,
    /// By number: who reads, and since when.
    reads: HashMap<u64, (&'static str, Instant)>,
}

/// One of them, until it is dropped.
pub(in crate::store) struct OpenRead {
    all: OpenReads,
    number: u64,
}

impl OpenReads {
    /// To be called before a transaction begins. `who` is a noun for messages.
    pub(in crate::store) fn begin(&self, who: &'static str) -> OpenRead {
        let mut open = self.lock();
        open.last_number += 1;
        let number = open.last_number;
        open.reads.insert(number, (who, Instant::now()));
        OpenRead { all: self.clone(), number }
    }

    /// The reader that has held one state of the file for longest, and for how long.
    pub(in crate::store) fn oldest(&self) -> Option<(&'static str, Duration)> {
        let open = self.lock();
        open.reads.values().min_by_key(|(_, since)| *since).map(|(who, since)| (*who, since.elapsed()))
    }

    /// Nothing here panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock()
    }
}

impl OpenRead {
    /// The transaction was exchanged for a new one.
    pub(in crate::store) fn renew(&self) {
        if let Some((_, since)) = self.all.lock().reads.get_mut(&self.number) {
            *since = Instant::now();
        }
    }
}

impl Drop for OpenRead {
    fn drop(&mut self) {
        self.all.lock().reads.remove(&self.number);
    }
}
