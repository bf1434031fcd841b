//! The thread that seals full chunks, joins their small blocks, and trains dictionaries.
//!
//! It computes; only the writer writes. A chunk's rows go to the writer in slices that share a transaction with other
//! jobs, so that no request waits longer than for one slice. A crash in between leaves orphans. They are deleted when
//! the file is opened again, and the chunk is sealed again from its events.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    index::{self, Index, IndexError, SealedChunk, SealedRow, SharedChunk},
    store::{
        error::{OpenError, WriteError},
        event::{
            block_replacement::{self, Replacement},
            chunks,
            codec::BodyCodec,
        },
        file::open,
        maintenance::{dictionary, index_job::IndexJob},
        write::writer::Writer,
    },
};

/// Bytes of rows in one slice: a few milliseconds of the writer's time.
const SLICE_BYTES: usize = 192 * 1024;
/// How long to wait before sealing a chunk is retried.
const RETRY: Duration = Duration::from_millis(500);

/// An order to the sealer.
pub(in crate::store) enum SealerOrder {
    /// Seal this chunk.
    Seal(SharedChunk),
    /// Train a dictionary: there are enough events for the first.
    Train,
}

/// Gives orders to the sealer: what the writer calls after each publication.
pub(in crate::store) struct SealerOrders {
    orders: mpsc::Sender<SealerOrder>,
    index: Arc<Index>,
    bodies: BodyCodec,
    /// Whether the first dictionary was ordered.
    is_training: bool,
}

/// Makes the two ends of the orders.
pub(in crate::store) fn orders(index: Arc<Index>, bodies: BodyCodec) -> (SealerOrders, mpsc::Receiver<SealerOrder>) {
    let (orders, received) = mpsc::channel();
    (SealerOrders { orders, index, bodies, is_training: false }, received)
}

impl SealerOrders {
    /// Orders full chunks to be sealed, and the first dictionary to be trained once there are enough events.
    pub(in crate::store) fn published(&mut self, full: Vec<SharedChunk>) {
        for chunk in full {
            // Without a sealer, chunks stay in memory. No event is lost.
            if self.orders.send(SealerOrder::Seal(chunk)).is_err() {
                tracing::error!("full chunks are no longer sealed: restart the server");
            }
        }
        if !self.is_training && !self.bodies.has_dictionary() && self.index.through_seq() >= dictionary::FIRST_EVENTS {
            self.is_training = true;
            drop(self.orders.send(SealerOrder::Train));
        }
    }
}

/// The running thread.
pub(in crate::store) struct Sealer {
    handle: JoinHandle<()>,
}

/// Starts the thread, which processes `orders` until the writer stops.
pub(in crate::store) fn start(
    path: &Path,
    writer: Writer,
    orders: mpsc::Receiver<SealerOrder>,
) -> Result<Sealer, OpenError> {
    let mut state = SealerState { path: path.to_owned(), bodies: writer.bodies(), writer, tolerated: 0.0 };
    let run = move || {
        while let Ok(order) = orders.recv() {
            if state.execute(&order).is_err() {
                break;
            }
        }
    };
    let handle = thread::Builder::new().name("sealer".to_owned()).spawn(run).map_err(OpenError::Thread)?;
    Ok(Sealer { handle })
}

impl Sealer {
    /// Waits for the thread, which ends when the writer has ended.
    pub(in crate::store) fn finish(self) {
        // What is not sealed yet is sealed after the next start.
        drop(self.handle.join());
    }
}

struct SealerState {
    path: PathBuf,
    bodies: BodyCodec,
    writer: Writer,
    /// The ratio that bodies may reach before another dictionary is tried, beyond what the current one promised.
    tolerated: f64,
}

impl SealerState {
    /// An error means that the writer accepts nothing any more, or that no chunk can be sealed.
    fn execute(&mut self, order: &SealerOrder) -> Result<(), WriteError> {
        match order {
            SealerOrder::Train => self.train(dictionary::FIRST_EVENTS, true),
            SealerOrder::Seal(chunk) => {
                let (number, events) = {
                    let chunk = chunk.read();
                    (chunk.number(), chunk.length())
                };
                self.join_blocks(number)?;
                self.seal(chunk)?;
                // The first dictionary was trained on few events; a whole chunk is more representative.
                self.train(i64::from(events), number == 0)
            }
        }
    }

    /// Replaces the small blocks of a full chunk. This precedes sealing, so that it is repeated after a crash.
    fn join_blocks(&self, number: u32) -> Result<(), WriteError> {
        let read = || -> Result<_, IndexError> {
            let connection = open::reading(&self.path)?;
            let span = chunks::span(number, chunks::chunk_events(&connection)?);
            Ok((connection, span))
        };
        let joined = read().and_then(|(connection, span)| {
            for part in block_replacement::parts(span) {
                let replacements = block_replacement::joined(&connection, &self.bodies, part)?;
                for slice in slices(replacements, Replacement::bytes) {
                    match self.write(&IndexJob::Blocks(slice.into())) {
                        Err(WriteError::IndexDamaged) | Ok(()) => {}
                        Err(error) => return Ok(Err(error)),
                    }
                }
            }
            Ok(Ok(()))
        });
        joined.unwrap_or_else(|error| {
            tracing::warn!(chunk = number, %error, "the blocks of a chunk stay small");
            Ok(())
        })
    }

    fn seal(&self, chunk: &SharedChunk) -> Result<(), WriteError> {
        let sealed = loop {
            match self.try_to_seal(chunk) {
                Ok(sealed) => break sealed,
                // Until then, queries use the chunk in memory. Chunks are sealed in order.
                Err(error) if self.writer.is_open() => {
                    tracing::error!(%error, "sealing a chunk of the index failed, and will be retried");
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

    /// The rows of a chunk in a free generation; `None` if damaged pages leave none free.
    fn try_to_seal(&self, chunk: &SharedChunk) -> Result<Option<(Vec<SealedRow>, SealedChunk)>, IndexError> {
        let chunk = chunk.read();
        let side = index::free_generation(&open::reading(&self.path)?, chunk.number())?;
        let seal = |side| index::seal(&chunk, side).map_err(|error| IndexError::Damaged(error.to_string()));
        side.map(seal).transpose()
    }

    fn write_chunk(&self, rows: Vec<SealedRow>, sealed: SealedChunk) -> Result<(), WriteError> {
        for slice in slices(rows, SealedRow::bytes) {
            self.write(&IndexJob::Rows(slice.into()))?;
        }
        self.write(&IndexJob::Sealed(Arc::new(sealed)))
    }

    fn train(&mut self, events: i64, is_due: bool) -> Result<(), WriteError> {
        let improved = open::reading(&self.path).map_err(|error| error.to_string()).and_then(|connection| {
            dictionary::improve(&connection, &self.bodies, events, is_due, &mut self.tolerated)
                .map_err(|error| error.to_string())
        });
        match improved {
            Ok(Some(trained)) => match self.write(&IndexJob::Dictionary(trained.into())) {
                // Events stay longer without it; nothing else changes.
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

    /// Has the writer write, and retries while the writer may recover.
    fn write(&self, job: &IndexJob) -> Result<(), WriteError> {
        self.writer.submit_until_done(job, || false)
    }
}

/// Divides rows into slices that are written by one job each.
pub(in crate::store) fn slices<T>(rows: Vec<T>, bytes: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut slices: Vec<Vec<T>> = Vec::new();
    let mut room = 0;
    for row in rows {
        let bytes = bytes(&row);
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
