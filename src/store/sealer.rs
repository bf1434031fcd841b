//! The thread that seals full chunks and trains dictionaries, beside the writer.
//!
//! It computes; only the writer writes. A chunk's rows go to the writer in slices, each of which rides along with whatever
//! else is committed then, so that nobody waits for more than a slice. A crash in between leaves rows that belong to no
//! chunk: they are taken out when the file is opened again, and the chunk, still in the events, is sealed anew.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    index::{self, IndexError, SealedChunk, SealedRow, SharedChunk},
    store::{
        OpenError, Pending, WriteError,
        body::Bodies,
        dictionary, open,
        work::{Upkeep, Writer},
    },
};

/// Bytes of rows in one slice: a few milliseconds of the writer's time.
const SLICE_BYTES: usize = 192 * 1024;
/// How long until the writer is asked again after it could not write.
const RETRY: Duration = Duration::from_millis(500);

/// What is to be done.
pub(super) enum Order {
    /// Seal this chunk.
    Seal(SharedChunk),
    /// Train a dictionary: there are enough events for a first one.
    Train,
}

/// The running thread.
pub(super) struct Sealer {
    handle: JoinHandle<()>,
}

/// Starts the thread, which does what comes from `orders` until the writer stops.
pub(super) fn start(path: &Path, writer: Writer, orders: mpsc::Receiver<Order>) -> Result<Sealer, OpenError> {
    let mut state = State { path: path.to_owned(), bodies: writer.bodies(), writer, tolerated: 0.0 };
    let run = move || {
        while let Ok(order) = orders.recv() {
            if state.follow(&order).is_err() {
                break;
            }
        }
    };
    let handle = thread::Builder::new().name("sealer".to_owned()).spawn(run).map_err(OpenError::Thread)?;
    Ok(Sealer { handle })
}

impl Sealer {
    /// Waits for the thread, which ends when the writer has.
    pub(super) fn finish(self) {
        // What it has not sealed is sealed the next time.
        drop(self.handle.join());
    }
}

struct State {
    path: PathBuf,
    bodies: Bodies,
    writer: Writer,
    /// What share of their length bodies may take before another dictionary is tried, beside what the present promised.
    tolerated: f64,
}

impl State {
    /// An error means that the writer takes nothing any more, or that no chunk can be sealed.
    fn follow(&mut self, order: &Order) -> Result<(), WriteError> {
        match order {
            Order::Train => self.train(dictionary::FIRST_EVENTS, true),
            Order::Seal(chunk) => {
                let (number, events) = {
                    let chunk = chunk.read().unwrap_or_else(PoisonError::into_inner);
                    (chunk.number(), chunk.length())
                };
                self.seal(chunk)?;
                // The first dictionary was made from the first few events; a whole chunk tells more.
                self.train(i64::from(events), number == 0)
            }
        }
    }

    fn seal(&self, chunk: &SharedChunk) -> Result<(), WriteError> {
        let sealed = loop {
            match self.try_to_seal(chunk) {
                Ok(sealed) => break sealed,
                // Questions are answered from memory meanwhile. No chunk may be sealed before those that precede it.
                Err(error) if self.writer.is_open() => {
                    tracing::error!(%error, "a chunk of the index could not be sealed, and may be the next time");
                    thread::sleep(RETRY);
                }
                Err(_) => return Err(WriteError::Stopped),
            }
        };
        let written = match sealed {
            Some((rows, sealed)) => self.write_chunk(rows, sealed),
            None => Err(WriteError::IndexDamaged),
        };
        if written == Err(WriteError::IndexDamaged) {
            tracing::error!("a chunk of the index cannot be sealed: pages of it are damaged; run auditbox doctor");
        }
        written
    }

    /// The rows of a chunk, to stand where none are; `None` if damaged pages leave no such place.
    fn try_to_seal(&self, chunk: &SharedChunk) -> Result<Option<(Vec<SealedRow>, SealedChunk)>, IndexError> {
        let chunk = chunk.read().unwrap_or_else(PoisonError::into_inner);
        let side = index::free_side(&open::reading(&self.path)?, chunk.number())?;
        let seal = |side| index::seal(&chunk, side).map_err(|error| IndexError::Damaged(error.to_string()));
        side.map(seal).transpose()
    }

    fn write_chunk(&self, rows: Vec<SealedRow>, sealed: SealedChunk) -> Result<(), WriteError> {
        for slice in slices(rows) {
            self.write(&Upkeep::Rows(slice.into()))?;
        }
        self.write(&Upkeep::Sealed(Arc::new(sealed)))
    }

    fn train(&mut self, events: i64, is_due: bool) -> Result<(), WriteError> {
        let improved = open::reading(&self.path).map_err(|error| error.to_string()).and_then(|connection| {
            dictionary::improve(&connection, &self.bodies, events, is_due, &mut self.tolerated)
                .map_err(|error| error.to_string())
        });
        match improved {
            Ok(Some(trained)) => match self.write(&Upkeep::Dictionary(trained.into())) {
                // Events are longer without it, and that is all.
                Err(WriteError::IndexDamaged) => Ok(()),
                written => written,
            },
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::warn!(error, "no dictionary was trained");
                Ok(())
            }
        }
    }

    /// Has the writer write, again and again while it may recover.
    fn write(&self, upkeep: &Upkeep) -> Result<(), WriteError> {
        loop {
            match self.writer.keep_up(upkeep.clone()).and_then(Pending::wait) {
                Ok(()) => return Ok(()),
                Err(error @ (WriteError::Stopped | WriteError::IndexDamaged)) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "the index waits to be written");
                    thread::sleep(RETRY);
                }
            }
        }
    }
}

pub(super) fn slices(rows: Vec<SealedRow>) -> Vec<Vec<SealedRow>> {
    let mut slices: Vec<Vec<SealedRow>> = Vec::new();
    let mut room = 0;
    for row in rows {
        let bytes = row.bytes();
        match slices.last_mut() {
            Some(slice) if bytes <= room => slice.push(row),
            _ => {
                slices.push(vec![row]);
                room = SLICE_BYTES;
            }
        }
        room = room.saturating_sub(bytes);
    }
    slices
}
