//! Counting on two threads.
//!
//! A count looks at every chunk, and no chunk depends on another. The second thread has a connection of its own, on the same
//! state of the log; which chunks it takes follows from their numbers alone.

use std::{ops::Deref, thread};

use rusqlite::Connection;

use crate::{
    index::{
        error::Result,
        query::pace::Watch,
        snapshot::{self, Chunk, Index, IndexState, Snapshot},
    },
    model::filter::TimeRange,
};

/// Below so many chunks a second thread is not worth the trouble: half a million events are counted in a few milliseconds.
const DIVIDED_CHUNKS_MIN: usize = 8;

/// A snapshot on its way to another thread, with a connection of its own.
pub struct ParallelSnapshot<'q, C: Deref<Target = Connection>> {
    connection: C,
    state: IndexState,
    watch: Watch<'q>,
}

impl<'q, C: Deref<Target = Connection>> ParallelSnapshot<'q, C> {
    pub(in crate::index) fn begin(connection: C, state: IndexState, watch: Watch<'q>) -> Result<Self> {
        connection.execute_batch("BEGIN")?;
        let second = Self { connection, state, watch };
        snapshot::begin(&second.connection)?;
        Ok(second)
    }

    fn snapshot<'s>(&'s self, index: &'s Index) -> Snapshot<'s> {
        Snapshot::new(&self.connection, index, self.state.clone(), Some(self.watch))
    }
}

/// Whatever has become of it, the connection is used again.
impl<C: Deref<Target = Connection>> Drop for ParallelSnapshot<'_, C> {
    fn drop(&mut self) {
        if let Err(error) = self.connection.execute_batch("ROLLBACK") {
            tracing::error!(%error, "a snapshot could not be let go of");
        }
    }
}

/// Some of the chunks: those whose number leaves this remainder when divided.
#[derive(Clone, Copy)]
pub(in crate::index) struct Part {
    remainder: u32,
    of: u32,
}

impl Part {
    const WHOLE: Self = Self { remainder: 0, of: 1 };
    const HALVES: [Self; 2] = [Self { remainder: 0, of: 2 }, Self { remainder: 1, of: 2 }];
}

impl Snapshot<'_> {
    /// Does something for all chunks that may have events within a range: half of them here and half of them on another
    /// thread, if there is a second snapshot of the same state and enough to do. `work` is given the chunks that are its part.
    pub(in crate::index) fn divide<C, T>(
        &self,
        second: Option<ParallelSnapshot<'_, C>>,
        range: &TimeRange,
        work: impl Fn(&Snapshot<'_>, Vec<Chunk<'_>>) -> Result<T> + Sync,
    ) -> Result<Vec<T>>
    where
        C: Deref<Target = Connection> + Send,
        T: Send,
    {
        let chunks = self.chunks_by_time(range, true).len();
        let Some(second) = second.filter(|_| chunks >= DIVIDED_CHUNKS_MIN) else {
            return Ok(vec![work(self, self.part(range, Part::WHOLE))?]);
        };
        let [here, there] = Part::HALVES;
        let index = self.index;
        thread::scope(|scope| {
            let work = &work;
            let other = thread::Builder::new().name("counting".to_owned()).spawn_scoped(scope, move || {
                let snapshot = second.snapshot(index);
                work(&snapshot, snapshot.part(range, there))
            });
            let own = work(self, self.part(range, here))?;
            let other = match other.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(found)) => found?,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                // There is no thread to be had.
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
