//! The transaction in progress, in which jobs write.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use crate::{
    index::{Entry, Index, Snapshot, TermWriter},
    store::event::{codec::BodyCodec, prepared::Prepared, row},
};

/// The transaction in progress.
pub(in crate::store) struct WriteBatch<'t> {
    pub(in crate::store) transaction: &'t Connection,
    /// The index in memory. Jobs change it only after the commit.
    pub(in crate::store) index: &'t Index,
    /// The index before this transaction.
    pub(in crate::store) snapshot: Snapshot<'t>,
    pub(in crate::store) terms: &'t mut TermWriter,
    pub(in crate::store) bodies: &'t BodyCodec,
    pub(in crate::store) last_seq: i64,
    /// The events stored in this transaction, in order.
    pub(in crate::store) entries: Vec<Entry>,
    /// The same events by identifier. The index does not know them yet.
    pub(in crate::store) fresh: HashMap<String, i64>,
    /// Events on damaged pages, so that later transactions do not read these pages again.
    pub(in crate::store) unreadable: &'t mut HashSet<i64>,
    /// Set when a damaged page was read: the transaction can no longer be committed.
    pub(in crate::store) page_fault: Option<PageFault>,
}

/// What happens to the job that read a damaged page. The other jobs of its transaction are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum PageFault {
    /// It has its reply, and wrote nothing.
    Answered,
    /// It is repeated as well, now that the event on that page is known.
    Again,
}

impl WriteBatch<'_> {
    /// Stores events that are known to be new, in this order.
    pub(in crate::store) fn store(&mut self, events: &[&Prepared]) -> rusqlite::Result<()> {
        self.entries.extend(row::append(self.transaction, self.bodies, self.terms, self.last_seq, events)?);
        for event in events {
            self.last_seq += 1;
            self.fresh.insert(event.identifier().to_owned(), self.last_seq);
        }
        Ok(())
    }
}
