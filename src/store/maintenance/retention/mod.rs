//! Dropping what is past its time: a thread that goes through the log now and then, chunk by chunk, beside the writer.
//!
//! It computes; only the writer writes, in small pieces that ride along with whatever else is committed. Of a sealed chunk
//! that keeps some of its events, the rows of the index are made anew without the others, beside the old ones. Then one
//! transaction, the cut, puts down what is dropped, writes the record of it, and exchanges the chunk: before it everything
//! is there, after it no question finds what was dropped, and there is no drop without its record. The rows of events and
//! of the former chunk follow, and last the terms that no event has any more. A crash leaves at most such rows, which are
//! taken out when the file is opened again.
//!
//! A chunk of which only a part is past its time is redone when that is an eighth of it, or when an event in it has been
//! past its time for a day: so no event stays for longer than a day and the time between two rounds.

mod clock;
mod drop_job;
mod leftovers;
mod plan;
mod receipts;

use std::{
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
    index::{self, ChunkSlot, ChunkTable, Expired, Index, IndexError, Stage, TermWriter, UsedTerms},
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
        write::{job::Pending, writer::Writer},
    },
};
use drop_job::{DropChunk, DropJob, Remainder};

/// How often the log is gone through. What is past its time by a day is gone within a day and an hour.
pub const EVERY: Duration = Duration::from_secs(60 * 60);
/// The same while the clock is not believed: the operator's word is to be heard soon.
const EVERY_UNTRUSTED: Duration = Duration::from_secs(60);
/// The same where a chunk waits to be sealed, which takes a second.
const SEALED_SOON: Duration = Duration::from_secs(2);
/// A chunk is redone when one event in so many of it is past its time,
const SHARE: u32 = 8;
/// or when one has been for so many seconds.
const OVERDUE_SECONDS: i64 = 24 * 60 * 60;
/// How long until the writer is asked again after it could not write.
const RETRY: Duration = Duration::from_secs(1);
/// Terms taken out in one piece.
const PIECE_TERMS: usize = 500;

/// What is dropped, and how often that is looked after.
#[derive(Debug, Clone)]
pub struct Retention {
    /// The rules.
    pub rules: Rules,
    /// The time between two rounds: [`EVERY`] but in tests.
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

/// When the newest event of a file that was just opened came in; `None` if nothing is to be dropped.
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

/// Starts the thread, if there is anything to drop.
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
                    tracing::error!(%error, "retention broke off, and is tried again later");
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
    /// Has the thread end after the step under way, and waits for it. The writer must still be running.
    pub(in crate::store) fn finish(self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        drop(self.stop);
        // What it has not done is done the next time.
        let _ = self.handle.join();
    }
}

/// Why a round ended early.
enum Failed {
    /// The server stops, or the writer has.
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

/// How far a round came.
enum RoundOutcome {
    /// Through the log.
    Through,
    /// Nowhere: the clock is not believed.
    Untrusted,
    /// Past a chunk that waits to be sealed and has events that are past their time.
    Waiting,
}

/// What a round needs.
struct Round {
    path: PathBuf,
    writer: Writer,
    index: Arc<Index>,
    bodies: BodyCodec,
    rules: Rules,
    /// When the newest event came in that was there when the file was opened.
    newest_receipt: Option<Timestamp>,
    reads: OpenReads,
    /// What earlier rounds have learned of receipts.
    ranges: ReceiptRanges,
    is_stopping: Arc<AtomicBool>,
}

impl Round {
    /// Goes through the log once.
    fn run(&mut self) -> Result<RoundOutcome, Failed> {
        let mut connection = open::reading(&self.path)?;
        let now = Timestamp::now();
        let before = clock::trusted(&connection)?.or(self.newest_receipt);
        if !clock::is_trusted(now, before) {
            let before = before.map(|before| before.to_string());
            tracing::error!(
                now = %now, before,
                "the clock is more than a week ahead of when it was last believed: nothing is dropped; if it is right, \
                 run auditbox retention --trust-clock"
            );
            return Ok(RoundOutcome::Untrusted);
        }
        self.have(DropJob::Clock(before.map_or(now, |before| before.max(now))))?;
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
                // The other chunks are not kept for it.
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
                tracing::info!(chunk = number, events = dropped, "events past their time were dropped");
            }
        }
        // Which terms nobody has is not known while a chunk cannot be read.
        if !is_damaged && drop_job::is_unswept(&connection)? {
            self.sweep(&mut connection)?;
        }
        self.writer.counters.retention_round();
        if events > 0 {
            tracing::info!(events, chunks, "retention has gone through the log");
        }
        Ok(outcome)
    }

    /// Drops what is past its time in one chunk; returns how many events, or `None` if it waits to be sealed.
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
                let home = ChunkSlot { number, generation: side.other() };
                if !index::is_free(&transaction, home)? {
                    let message = format!("there is no room beside chunk {number}: rows that could not be taken out");
                    return Err(IndexError::Damaged(message).into());
                }
                let (rows, sealed) = self.seal(&transaction, home, &runs, expired.kept)?;
                (rows, Remainder::Sealed(Arc::new(sealed)))
            }
        };
        // A snapshot that is held keeps the log of the file from being emptied.
        drop((transaction, reading));
        for slice in sealer::slices(rows) {
            let slice: Arc<[_]> = slice.into();
            self.write(|| self.writer.submit(IndexJob::Rows(Arc::clone(&slice))))?;
        }
        let details = plan::details(&expired, cutoffs);
        let record = self_audit::retention_event(&details).map_err(|error| IndexError::Damaged(error.to_string()))?;
        let record = self.writer.prepare(record);
        if !self.have(DropJob::DropChunk(DropChunk { number, runs: runs.clone(), remainder, record }))? {
            // It was filled meanwhile.
            return Ok(None);
        }
        self.clean(&expired, &runs)?;
        Ok(Some(expired.seqs.len()))
    }

    /// Seals what is left of a chunk.
    fn seal(
        &self,
        connection: &Connection,
        home: ChunkSlot,
        runs: &[chunks::SeqRun],
        kept: u32,
    ) -> Result<(Vec<index::SealedRow>, index::SealedChunk), IndexError> {
        let mut terms = TermWriter::default();
        let chunk_events = self.index.chunk_events();
        let (first, last) = chunks::span(home.number, chunk_events);
        let gone = Dropped::within(connection, first, last)?.and(runs);
        let source = (connection, &self.bodies);
        let (chunk, damaged) = reindex::load_chunk(source, home.number, chunk_events, &gone, |field, value| {
            terms.known(connection, field, value)
        })?;
        // The index knows more of these than their rows do now: when they happened, and who they were.
        if damaged > 0 {
            return Err(IndexError::Damaged(format!("{damaged} events of chunk {} in the file", home.number)));
        }
        if chunk.length() != kept {
            return Err(IndexError::Damaged(format!("the events of chunk {} are not those of its index", home.number)));
        }
        index::seal(&chunk, home.generation).map_err(|error| IndexError::Damaged(error.to_string()))
    }

    /// Takes out the rows of what was dropped.
    fn clean(&self, expired: &Expired, runs: &[chunks::SeqRun]) -> Result<(), Failed> {
        for piece in tombstones::pieces(runs) {
            self.have(DropJob::Events(piece))?;
        }
        if let Stage::Sealed(side) = expired.stage {
            let home = ChunkSlot { number: expired.number, generation: side };
            for table in ChunkTable::ALL {
                while self.have(DropJob::Rows(home, table))? {}
            }
        }
        self.have(DropJob::Done)?;
        Ok(())
    }

    /// Takes out the terms that no event has any more.
    fn sweep(&self, connection: &mut Connection) -> Result<(), Failed> {
        let (mut used, mut noted) = (UsedTerms::default(), None);
        loop {
            // Chunks that are sealed meanwhile are looked at the next time round.
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
            let unused = used.unused(connection)?;
            if self.take_out(&unused, sealed_through)? {
                let terms: usize = unused.iter().map(|(_, ordinals)| ordinals.len()).sum();
                tracing::info!(terms, "values that no event has any more were taken out");
                self.have(DropJob::Swept)?;
                return Ok(());
            }
        }
    }

    fn take_out(&self, unused: &[(Field, Vec<u32>)], sealed_through: Option<u32>) -> Result<bool, Failed> {
        for (field, ordinals) in unused {
            for piece in ordinals.chunks(PIECE_TERMS) {
                if !self.have(DropJob::Terms(*field, piece.to_vec(), sealed_through))? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Has the writer do a step; whether it was done.
    fn have(&self, step: DropJob) -> Result<bool, Failed> {
        let step = Arc::new(step);
        self.write(|| self.writer.submit(Arc::clone(&step)))
    }

    /// Has the writer write, again and again while it may recover.
    fn write<T>(&self, queue: impl Fn() -> Result<Pending<T, WriteError>, WriteError>) -> Result<T, Failed> {
        while !self.is_stopping.load(Ordering::Relaxed) {
            match queue().and_then(Pending::wait) {
                Ok(done) => return Ok(done),
                Err(WriteError::Stopped) => return Err(Failed::Stopped),
                Err(WriteError::IndexDamaged) => {
                    return Err(IndexError::Damaged("rows of it could not be written".to_owned()).into());
                }
                Err(error) => {
                    tracing::warn!(%error, "retention waits for the writer");
                    thread::sleep(RETRY);
                }
            }
        }
        Err(Failed::Stopped)
    }
}
