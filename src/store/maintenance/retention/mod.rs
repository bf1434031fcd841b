//! Retention: a thread that drops expired events, chunk by chunk, once per round.
//!
//! It computes; only the writer writes, in small jobs that share transactions with other jobs. If a sealed chunk keeps
//! some of its events, its index rows are first written again without the dropped events, next to the old rows. One
//! transaction then records the dropped ranges, stores the audit record, and exchanges the chunk ([`DropChunk`]).
//! Before it, everything is there; after it, no query finds the dropped events; and nothing is dropped without its
//! audit record. Afterwards the rows of the events are deleted, then the rows of the former chunk, and last the terms
//! that no event has any more. A crash leaves at most such rows, which are deleted when the file is opened again.
//!
//! A chunk with some expired events is processed once an eighth of it has expired, or once one of its events has been
//! expired for a day. So no event stays for longer than a day and the time between two rounds.

mod clock;
mod drop_job;
mod leftovers;
mod plan;
mod receipts;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::Connection;

pub(in crate::store) use clock::{trust, trusted};
pub(in crate::store) use leftovers::delete_leftovers;
pub use plan::Due;
pub(in crate::store) use plan::DueSums;
pub(in crate::store) use receipts::{ReceiptRanges, ReceiptReader};

use crate::{
    index::{self, ChunkSlot, ChunkTable, Expired, Index, IndexError, Stage, TermWriter, UsedTerms, term_fields},
    model::{
        field::Field,
        retention::{Cutoff, Rules},
        self_audit,
        timestamp::Timestamp,
    },
    store::{
        error::{OpenError, WriteError},
        event::{
            chunks,
            codec::BodyCodec,
            tombstones::{self, Dropped},
        },
        file::{open, open_reads::OpenReads},
        maintenance::{index_job::IndexJob, reindex, sealer},
        write::{job::Job, writer::Writer},
    },
};
use drop_job::{DropChunk, DropJob, Remainder};

/// The time between two rounds.
pub const EVERY: Duration = Duration::from_secs(60 * 60);
/// The time between two rounds while the clock is not trusted, so that the operator's decision takes effect soon.
const EVERY_UNTRUSTED: Duration = Duration::from_secs(60);
/// The time until the next round if a chunk waits to be sealed, which takes a second.
const SEALED_SOON: Duration = Duration::from_secs(2);
/// A chunk is processed when one in this many of its events has expired,
const SHARE: u32 = 8;
/// or when one of its events has been expired for this many seconds.
const OVERDUE_SECONDS: i64 = 24 * 60 * 60;
/// Maximum number of terms deleted by one job.
const PIECE_TERMS: usize = 500;

/// Which events expire, and how often the log is checked for them.
#[derive(Debug, Clone)]
pub struct Retention {
    /// The rules.
    pub rules: Rules,
    /// The time between two rounds: [`EVERY`] except in tests.
    pub every: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { rules: Rules::default(), every: EVERY }
    }
}

/// The running thread.
pub(in crate::store) struct RetentionThread {
    stop: mpsc::Sender<()>,
    is_stopping: Arc<AtomicBool>,
    handle: JoinHandle<()>,
}

/// The time at which the newest event of a file was received that was just opened; `None` if no event expires.
pub(in crate::store) fn prepare(
    connection: &Connection,
    bodies: &BodyCodec,
    retention: Option<&Retention>,
) -> rusqlite::Result<Option<Timestamp>> {
    match retention {
        None => Ok(None),
        Some(retention) if retention.rules.keep_everything() => clock::forget(connection).map(|()| None),
        Some(_) => clock::newest_receipt(connection, bodies),
    }
}

/// Starts the thread, if the rules let any event expire.
pub(in crate::store) fn start(
    path: &Path,
    writer: Writer,
    index: Arc<Index>,
    retention: Option<&Retention>,
    newest_receipt: Option<Timestamp>,
    reads: OpenReads,
) -> Result<Option<RetentionThread>, OpenError> {
    let Some(retention) = retention.filter(|retention| !retention.rules.keep_everything()) else {
        return Ok(None);
    };
    let is_stopping = Arc::new(AtomicBool::new(false));
    let mut round = Round {
        path: path.to_owned(),
        bodies: writer.bodies(),
        writer,
        index,
        rules: retention.rules.clone(),
        newest_receipt,
        reads,
        ranges: ReceiptRanges::default(),
        is_stopping: Arc::clone(&is_stopping),
    };
    let every = retention.every;
    let (stop, stopped) = mpsc::channel();
    let run = move || {
        loop {
            let wait = match round.run() {
                Ok(RoundOutcome::Through) => every,
                Ok(RoundOutcome::Untrusted) => every.min(EVERY_UNTRUSTED),
                Ok(RoundOutcome::Waiting) => every.min(SEALED_SOON),
                Err(Failed::Stopped) => break,
                Err(Failed::Index(error)) => {
                    tracing::error!(%error, "a round of retention failed, and will be repeated later");
                    every
                }
            };
            if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
    };
    let handle = thread::Builder::new().name("retention".to_owned()).spawn(run).map_err(OpenError::Thread)?;
    Ok(Some(RetentionThread { stop, is_stopping, handle }))
}

impl RetentionThread {
    /// Stops the thread after its current job, and waits for it. The writer must still be running.
    pub(in crate::store) fn finish(self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        drop(self.stop);
        // The next start continues with the rest.
        let _ = self.handle.join();
    }
}

/// Why a round ended early.
enum Failed {
    /// The server is stopping, or the writer has stopped.
    Stopped,
    /// The file could not be read.
    Index(IndexError),
}

impl From<WriteError> for Failed {
    fn from(_: WriteError) -> Self {
        Self::Stopped
    }
}

impl<E: Into<IndexError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Index(error.into())
    }
}

/// How a round ended.
enum RoundOutcome {
    /// It processed the whole log.
    Through,
    /// It dropped nothing, because the clock is not trusted.
    Untrusted,
    /// It skipped a chunk with expired events that waits to be sealed.
    Waiting,
}

/// The state of retention, kept between rounds.
struct Round {
    path: PathBuf,
    writer: Writer,
    index: Arc<Index>,
    bodies: BodyCodec,
    rules: Rules,
    /// When the newest event was received, of those that the file had when it was opened.
    newest_receipt: Option<Timestamp>,
    reads: OpenReads,
    /// Times of receipt that earlier rounds have read.
    ranges: ReceiptRanges,
    is_stopping: Arc<AtomicBool>,
}

impl Round {
    /// Processes the log once.
    fn run(&mut self) -> Result<RoundOutcome, Failed> {
        let mut connection = open::reading(&self.path)?;
        let now = Timestamp::now();
        let last = clock::trusted(&connection)?.or(self.newest_receipt);
        if !clock::is_trusted(now, last) {
            let last_trusted = last.map(|last| last.to_string());
            tracing::error!(
                now = %now, last_trusted,
                "the clock is more than a week ahead of its last trusted time: nothing is dropped; if it is right, run \
                 auditbox retention --trust-clock"
            );
            return Ok(RoundOutcome::Untrusted);
        }
        self.submit(DropJob::Clock(last.map_or(now, |last| last.max(now))))?;
        let cutoffs = self.rules.cutoffs(now);
        let (mut events, mut chunks, mut outcome) = (0, 0, RoundOutcome::Through);
        let mut is_damaged = false;
        let numbers = {
            let transaction = connection.transaction()?;
            self.index.snapshot(&transaction)?.chunks()
        };
        self.ranges.retain(&numbers);
        for number in numbers {
            let dropped = match self.chunk(&mut connection, number, &cutoffs) {
                Ok(Some(dropped)) => dropped,
                Ok(None) => {
                    outcome = RoundOutcome::Waiting;
                    continue;
                }
                // The other chunks are still processed.
                Err(Failed::Index(error)) => {
                    tracing::error!(chunk = number, %error, "nothing of this chunk is dropped: run auditbox doctor");
                    is_damaged = true;
                    continue;
                }
                Err(stopped) => return Err(stopped),
            };
            if dropped > 0 {
                (events, chunks) = (events + dropped, chunks + 1);
                self.writer.counters.dropped(dropped);
                tracing::info!(chunk = number, events = dropped, "expired events were dropped");
            }
        }
        // While a chunk cannot be read, it is unknown which terms are unused.
        if !is_damaged && drop_job::is_unswept(&connection)? {
            self.sweep(&mut connection)?;
        }
        self.writer.counters.retention_round();
        if events > 0 {
            tracing::info!(events, chunks, "a round of retention has finished");
        }
        Ok(outcome)
    }

    /// Drops the expired events of one chunk; returns their number, or `None` if the chunk waits to be sealed.
    fn chunk(&mut self, connection: &mut Connection, number: u32, cutoffs: &[Cutoff]) -> Result<Option<usize>, Failed> {
        let reading = self.reads.begin("retention");
        let transaction = connection.transaction()?;
        let expired = {
            let snapshot = self.index.snapshot(&transaction)?;
            let mut receipts = ReceiptReader::new(&transaction, &self.bodies, &mut self.ranges)?;
            snapshot.expired(number, cutoffs, SHARE, OVERDUE_SECONDS, &mut receipts)?
        };
        let Some(expired) = expired else {
            return Ok(Some(0));
        };
        let runs = tombstones::runs_of(&expired.seqs);
        let (rows, remainder) = match expired.stage {
            Stage::Waiting => return Ok(None),
            Stage::Filling => (Vec::new(), Remainder::Filling),
            Stage::Sealed(_) if expired.kept == 0 => (Vec::new(), Remainder::Nothing),
            Stage::Sealed(side) => {
                let slot = ChunkSlot { number, generation: side.other() };
                if !index::is_free(&transaction, slot)? {
                    let message = format!("rows of a former chunk {number} could not be deleted");
                    return Err(IndexError::Damaged(message).into());
                }
                let (rows, sealed) = self.seal(&transaction, slot, &runs, expired.kept)?;
                (rows, Remainder::Sealed(Arc::new(sealed)))
            }
        };
        // An open snapshot would prevent emptying the write-ahead log.
        drop((transaction, reading));
        for slice in sealer::slices(rows, index::SealedRow::bytes) {
            self.write(&IndexJob::Rows(slice.into()))?;
        }
        let details = plan::details(&expired, cutoffs);
        let record = self_audit::retention_event(&details).map_err(|error| IndexError::Damaged(error.to_string()))?;
        let record = self.writer.prepare(record);
        let drop = DropChunk { number, runs: runs.clone(), remainder, record };
        if !self.submit(DropJob::DropChunk(Box::new(drop)))? {
            // The chunk was filled meanwhile.
            return Ok(None);
        }
        self.clean(&expired, &runs)?;
        Ok(Some(expired.seqs.len()))
    }

    /// Seals the remaining events of a chunk.
    fn seal(
        &self,
        connection: &Connection,
        slot: ChunkSlot,
        runs: &[chunks::SeqRun],
        kept: u32,
    ) -> Result<(Vec<index::SealedRow>, index::SealedChunk), IndexError> {
        let mut terms = TermWriter::default();
        let chunk_events = self.index.chunk_events();
        let (first, last) = chunks::span(slot.number, chunk_events);
        let dropped = Dropped::within(connection, first, last)?.and(runs);
        let source = (connection, &self.bodies);
        let (chunk, damaged) = reindex::load_chunk(source, slot.number, chunk_events, &dropped, |field, value| {
            terms.known(connection, field, value)
        })?;
        // The present index still has times and identifiers of damaged events that their rows have lost.
        if damaged > 0 {
            return Err(IndexError::Damaged(format!("{damaged} events of chunk {} in the file", slot.number)));
        }
        if chunk.length() != kept {
            return Err(IndexError::Damaged(format!("the events of chunk {} are not those of its index", slot.number)));
        }
        index::seal(&chunk, slot.generation).map_err(|error| IndexError::Damaged(error.to_string()))
    }

    /// Deletes the rows of dropped events.
    fn clean(&self, expired: &Expired, runs: &[chunks::SeqRun]) -> Result<(), Failed> {
        for piece in tombstones::pieces(runs) {
            self.submit(DropJob::Events(piece))?;
        }
        if let Stage::Sealed(side) = expired.stage {
            let slot = ChunkSlot { number: expired.number, generation: side };
            for table in ChunkTable::ALL {
                while self.submit(DropJob::Rows(slot, table))? {}
            }
        }
        self.submit(DropJob::Done)?;
        Ok(())
    }

    /// Deletes the terms that no event has any more.
    fn sweep(&self, connection: &mut Connection) -> Result<(), Failed> {
        let (mut used, mut noted) = (UsedTerms::default(), None);
        // A declared field that is being filled in has terms before the chunks that use them.
        let is_partial: HashSet<_> = term_fields().filter(|field| !self.index.covers(*field)).collect();
        loop {
            // Chunks that are sealed meanwhile are read in the next pass.
            let sealed_through = self.index.sealed_through();
            let numbers = {
                let transaction = connection.transaction()?;
                self.index.snapshot(&transaction)?.chunks()
            };
            for number in numbers.into_iter().filter(|number| Some(*number) > noted) {
                let transaction = connection.transaction()?;
                self.index.snapshot(&transaction)?.note_terms(number, &mut used)?;
            }
            noted = sealed_through;
            let mut unused = used.unused(connection)?;
            unused.retain(|(field, _)| !is_partial.contains(field));
            if self.delete_terms(&unused, sealed_through)? {
                let terms: usize = unused.iter().map(|(_, ordinals)| ordinals.len()).sum();
                tracing::info!(terms, "values that no event has any more were deleted");
                self.submit(DropJob::Swept)?;
                return Ok(());
            }
        }
    }

    /// Deletes these terms. False if a chunk was sealed meanwhile, which may use one of them.
    fn delete_terms(&self, unused: &[(Field, Vec<u32>)], sealed_through: Option<u32>) -> Result<bool, Failed> {
        for (field, ordinals) in unused {
            for piece in ordinals.chunks(PIECE_TERMS) {
                if !self.submit(DropJob::Terms(*field, piece.to_vec(), sealed_through))? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Has the writer apply a step; returns whether it was applied.
    fn submit(&self, step: DropJob) -> Result<bool, Failed> {
        self.write(&Arc::new(step))
    }

    /// Has the writer write, and retries while the writer may recover.
    fn write<J: Job<Error = WriteError> + Clone>(&self, job: &J) -> Result<J::Output, Failed> {
        match self.writer.submit_until_done(job, || self.is_stopping.load(Ordering::Relaxed)) {
            Err(WriteError::IndexDamaged) => {
                Err(IndexError::Damaged("rows of it could not be written".to_owned()).into())
            }
            done => Ok(done?),
        }
    }
}
