//! Long queries on short snapshots.
//!
//! While a connection holds a snapshot, SQLite cannot empty the write-ahead log. A query therefore takes a new snapshot
//! every [`HELD_MAX`], between two pieces of its work. Its answer still describes one moment: the [`IndexState`] that the
//! query began with fixes which chunks exist and how far each of them counts, and the rows that it reads are only ever
//! added. Rows are removed only after events were dropped. A query that began before a drop therefore keeps its snapshot.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use rusqlite::Connection;

use crate::{
    index::{error::Result, state::IndexState},
    model::cancel::Cancel,
};

/// How long a query holds one snapshot. The writer waits longer than this for readers before it gives up emptying a long
/// write-ahead log.
const HELD_MAX: Duration = Duration::from_millis(50);

/// The bounds of a query.
#[derive(Clone, Copy)]
pub struct Watch<'q> {
    /// Ends the query early.
    pub cancel: &'q Cancel,
    /// Called with the connection each time a snapshot has begun. An error ends the query.
    pub begun: &'q (dyn Fn(&Connection) -> Result<()> + Sync),
}

/// A connection in a transaction, which renews its snapshot between the pieces of a query's work.
pub(super) struct PacedConnection<'c> {
    pub(super) connection: &'c Connection,
    published: &'c RwLock<IndexState>,
    /// [`IndexState::drops`] of the state that the query began with.
    drops: u64,
    /// `None` for the server's own work, which is not bounded.
    watch: Option<Watch<'c>>,
    /// When the present transaction began.
    begun: Cell<Instant>,
}

impl<'c> PacedConnection<'c> {
    /// Wraps a connection whose snapshot has begun.
    pub(super) fn new(
        connection: &'c Connection,
        published: &'c RwLock<IndexState>,
        drops: u64,
        watch: Option<Watch<'c>>,
    ) -> Self {
        Self { connection, published, drops, watch, begun: Cell::new(Instant::now()) }
    }

    /// Call this between two pieces of a query's work, while no statement is running. It ends a query that is canceled or
    /// has reached its deadline, and renews a snapshot that was held for long. Without a [`Watch`] it does nothing.
    pub(super) fn step(&self) -> Result<()> {
        let Some(watch) = &self.watch else {
            return Ok(());
        };
        watch.cancel.check()?;
        if self.begun.get().elapsed() < HELD_MAX {
            return Ok(());
        }
        let published = self.published.read();
        let is_renewed = published.drops == self.drops;
        if is_renewed {
            self.connection.execute_batch("COMMIT; BEGIN")?;
            begin_snapshot(self.connection)?;
        }
        drop(published);
        self.begun.set(Instant::now());
        if is_renewed { (watch.begun)(self.connection) } else { Ok(()) }
    }
}

/// Begins the snapshot of a connection that is in a transaction: SQLite takes it at the first statement that reads. The
/// caller prevents publishing meanwhile, so that the snapshot contains exactly what is published.
pub(super) fn begin_snapshot(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM chunk)")?.query_row([], |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{snapshot::Index, texts::tests::Unread};

    #[test]
    fn a_query_renews_its_snapshot_unless_events_were_dropped() {
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
        let age = || snapshot.paced.begun.set(Instant::now().checked_sub(HELD_MAX).unwrap());

        add();
        snapshot.paced.step().unwrap();
        assert_eq!(seen(), 0, "a new snapshot for each step would cost more than the step");
        age();
        snapshot.paced.step().unwrap();
        assert_eq!(seen(), 1);
        // No events remain in the chunk that is being filled.
        index.remove_events(|_| true);
        add();
        age();
        snapshot.paced.step().unwrap();
        assert_eq!(seen(), 1, "a newer snapshot may lack rows that this query still reads");
        cancel.cancel();
        assert!(snapshot.paced.step().is_err());
    }
}
