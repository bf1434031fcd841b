//! Long queries on short snapshots.
//!
//! While a connection holds a snapshot, SQLite cannot empty the write-ahead log. So a query takes a new one every
//! [`HELD_MAX`], between two pieces of its work. Its answer stays that of one moment all the same: which chunks there are,
//! and how far each of them counts, is the [`IndexState`](super::snapshot::State) that it began with, and the rows it reads are
//! only ever added. Rows are removed only after events were dropped, so a query that began before a drop keeps the snapshot
//! that it has.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::{
    index::{
        error::Result,
        snapshot::{self, Snapshot},
    },
    model::cancel::Cancel,
};

/// How long a query holds one snapshot. The writer waits longer than this for readers before it gives up emptying a long
/// write-ahead log.
const HELD_MAX: Duration = Duration::from_millis(50);

/// What bounds a query.
#[derive(Clone, Copy)]
pub struct Watch<'q> {
    /// Ends it early.
    pub cancel: &'q Cancel,
    /// Called with the connection each time a snapshot has begun: its error ends the query.
    pub begun: &'q (dyn Fn(&Connection) -> Result<()> + Sync),
}

impl Snapshot<'_> {
    /// To be called between two pieces of a query's work, while no statement is running. Ends a query whose time is up, or
    /// that is cancelled; takes a new snapshot of the file where this one has been held for long. Without a [`Watch`] it does
    /// nothing.
    pub(in crate::index) fn step(&self) -> Result<()> {
        let Some(watch) = &self.watch else {
            return Ok(());
        };
        watch.cancel.check()?;
        if self.begun.get().elapsed() < HELD_MAX {
            return Ok(());
        }
        let published = self.index.state.read();
        let is_renewed = published.drops == self.state.drops;
        if is_renewed {
            self.connection.execute_batch("COMMIT; BEGIN")?;
            snapshot::begin(self.connection)?;
        }
        drop(published);
        self.begun.set(Instant::now());
        if is_renewed { (watch.begun)(self.connection) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{query::messages::tests::Unread, snapshot::Index};

    #[test]
    fn a_query_sees_the_file_as_it_is_unless_events_were_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Connection::open(directory.path().join("file.db")).unwrap();
        let (writer, reader) = (open(), open());
        writer.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE chunk (number INTEGER PRIMARY KEY)").unwrap();
        let index = Index::new(64, Vec::new(), Box::new(Unread));
        let cancel = Cancel::never();
        let watch = Watch { cancel: &cancel, begun: &|_| Ok(()) };
        reader.execute_batch("BEGIN").unwrap();
        let snapshot = index.watched(&reader, watch).unwrap();
        let add = || writer.execute("INSERT INTO chunk DEFAULT VALUES", []).unwrap();
        let seen = || reader.query_row("SELECT count(*) FROM chunk", [], |row| row.get::<_, i64>(0)).unwrap();
        let age = || snapshot.begun.set(Instant::now().checked_sub(HELD_MAX).unwrap());

        add();
        snapshot.step().unwrap();
        assert_eq!(seen(), 0, "a new snapshot for each step would cost more than the step");
        age();
        snapshot.step().unwrap();
        assert_eq!(seen(), 1);
        // Nothing is left of the chunk that is being filled.
        index.take_out(|_| true);
        add();
        age();
        snapshot.step().unwrap();
        assert_eq!(seen(), 1, "rows that this query may still read can be gone from a newer snapshot");
        cancel.cancel();
        assert!(snapshot.step().is_err());
    }
}
