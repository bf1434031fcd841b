//! Counting on two threads.
//!
//! A count looks at every chunk, and no chunk depends on another. The other thread has its own connection to the same state
//! of the log. The number of a chunk decides which thread counts it.

use std::{ops::Deref, thread};

use rusqlite::Connection;

use crate::{
    index::{
        error::Result,
        pace::{Watch, begin_snapshot},
        snapshot::{Chunk, Index, Snapshot},
        state::IndexState,
    },
    model::filter::TimeRange,
};

/// Minimum number of chunks for which starting a thread pays off. Half a million events are counted in a few milliseconds.
const DIVIDED_CHUNKS_MIN: usize = 8;

/// A snapshot, with its own connection, that another thread can take.
pub struct ParallelSnapshot<'q, C: Deref<Target = Connection>> {
    connection: C,
    state: IndexState,
    watch: Watch<'q>,
}

impl Index {
    /// Takes a snapshot for a bounded query, and with `parallel` another one for a second thread. Both show the same log.
    pub fn watched_by_two<'c, C: Deref<Target = Connection>>(
        &'c self,
        connection: &'c Connection,
        parallel: Option<C>,
        watch: Watch<'c>,
    ) -> Result<(Snapshot<'c>, Option<ParallelSnapshot<'c, C>>)> {
        let state = self.state.read();
        begin_snapshot(connection)?;
        let parallel = parallel.map(|parallel| ParallelSnapshot::begin(parallel, state.clone(), watch)).transpose()?;
        let snapshot = Snapshot::new(connection, self, state.clone(), Some(watch));
        drop(state);
        (watch.begun)(connection)?;
        Ok((snapshot, parallel))
    }
}

impl<'q, C: Deref<Target = Connection>> ParallelSnapshot<'q, C> {
    fn begin(connection: C, state: IndexState, watch: Watch<'q>) -> Result<Self> {
        connection.execute_batch("BEGIN")?;
        let parallel = Self { connection, state, watch };
        begin_snapshot(&parallel.connection)?;
        Ok(parallel)
    }

    fn snapshot<'s>(&'s self, index: &'s Index) -> Snapshot<'s> {
        Snapshot::new(&self.connection, index, self.state.clone(), Some(self.watch))
    }
}

/// Ends the transaction, because the connection returns to a pool.
impl<C: Deref<Target = Connection>> Drop for ParallelSnapshot<'_, C> {
    fn drop(&mut self) {
        if let Err(error) = self.connection.execute_batch("ROLLBACK") {
            tracing::error!(%error, "ending a snapshot of the database failed");
        }
    }
}

/// A part of the chunks: those whose number leaves this remainder when divided.
#[derive(Clone, Copy)]
struct Part {
    remainder: u32,
    of: u32,
}

impl Part {
    const WHOLE: Self = Self { remainder: 0, of: 1 };
    const HALVES: [Self; 2] = [Self { remainder: 0, of: 2 }, Self { remainder: 1, of: 2 }];
}

impl Snapshot<'_> {
    /// Calls `work` with all chunks that may have events in a range of time. If there are enough chunks and a parallel
    /// snapshot, half of them are handled by another thread.
    pub(in crate::index) fn divide<C, T>(
        &self,
        parallel: Option<ParallelSnapshot<'_, C>>,
        range: &TimeRange,
        work: impl Fn(&Snapshot<'_>, Vec<Chunk<'_>>) -> Result<T> + Sync,
    ) -> Result<Vec<T>>
    where
        C: Deref<Target = Connection> + Send,
        T: Send,
    {
        let chunks = self.chunks_by_time(range, true).len();
        let Some(parallel) = parallel.filter(|_| chunks >= DIVIDED_CHUNKS_MIN) else {
            return Ok(vec![work(self, self.part(range, Part::WHOLE))?]);
        };
        let [here, there] = Part::HALVES;
        let index = self.index;
        thread::scope(|scope| {
            let work = &work;
            let other = thread::Builder::new().name("counting".to_owned()).spawn_scoped(scope, move || {
                let snapshot = parallel.snapshot(index);
                work(&snapshot, snapshot.part(range, there))
            });
            let own = work(self, self.part(range, here))?;
            let other = match other.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(found)) => found?,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                // The system could not start a thread.
                Err(_) => work(self, self.part(range, there))?,
            };
            Ok(vec![own, other])
        })
    }

    fn part(&self, range: &TimeRange, part: Part) -> Vec<Chunk<'_>> {
        let mut chunks = self.chunks_by_time(range, true);
        chunks.retain(|chunk| chunk.number % part.of == part.remainder);
        chunks
    }
}
