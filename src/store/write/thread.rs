//! The writer: one thread, the only writable connection, one commit for everything that waits.
//!
//! While one commit waits for the disk the next batch collects itself, so the more writers there are the more each sync
//! carries, and nobody waits for anything but the disk. A request is answered after the commit that holds it; a process
//! killed before it leaves nothing of it, killed after it all of it.
//!
//! What was committed is published to the index, in memory, before anyone is answered: who asks after an answer finds what
//! it was about. Nothing is published before it is committed. This includes terms that have to be added for events that
//! another program has written. Upkeep of the index (rows of sealed chunks, dictionaries) comes through the same queue, in small pieces.
//!
//! Every request of a batch is first decided (new, duplicate, conflict), then written: a refused one has written nothing,
//! so there is nothing to take back. An error of SQLite takes the whole transaction back, and everyone in it is asked to
//! send again. So does a damaged page, of which SQLite says that nothing may be committed that has met it; then the piece of
//! work that did is answered by itself, and the others are done again without it.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::{Connection, TransactionBehavior, config::DbConfig};

use crate::{
    index::{self, Entry, Index, IndexError, SealedRow, SharedChunk, TermWriter},
    store::{
        auth::credentials,
        error::{CloseError, OpenError, WriteError, WriteFailure, classify},
        event::{codec::BodyCodec, row, zstd_dictionary},
        file::{
            checkpoint::Checkpoints,
            identity::{Displaced, PathIdentity},
            rescue,
        },
        maintenance::{
            dictionary,
            sealer::{self, Sealer, SealerOrder},
        },
        write::{
            append::{PageFault, WriteBatch},
            job::{IndexJob, Reply, Work, Writer},
            metrics::Counters,
            notify::Wake,
            queue::{Queue, QueueLimits},
            replay::{self, Terms},
        },
    },
};

/// What a commit writes to the log beside its events.
const LOG_BYTES_PER_COMMIT: usize = 16 * 1024;
/// Events on damaged pages that are remembered; with more they are met anew.
const UNREADABLE_MAX: usize = 10_000;
/// How long the writer waits for work before it checks whether another program has written, and whether the files are still
/// in place.
const IDLE: Duration = Duration::from_millis(500);

/// The running writer.
pub(in crate::store) struct Thread {
    path: PathBuf,
    queue: Arc<Queue<Work>>,
    is_stopping: Arc<AtomicBool>,
    handle: JoinHandle<Result<(), CloseError>>,
    sealer: Sealer,
}

impl Thread {
    /// Lets the writer finish what waits, and says how it ended.
    pub(in crate::store) fn finish(self) -> Result<(), CloseError> {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.queue.close();
        let finished = self.handle.join().unwrap_or(Err(CloseError::Broken(self.path)));
        self.sealer.finish();
        finished
    }
}

/// Why the writer ends early.
enum Stop {
    /// After an error of the disk, what is on it is no longer known: nothing more is written until the file has been opened
    /// again.
    Disk,
    /// A file is no longer where it was: what is written to it now may be gone when this process ends.
    Displaced(Displaced),
}

/// What a writer works on.
pub(in crate::store) struct WriterParts {
    pub(in crate::store) connection: Connection,
    pub(in crate::store) identity: PathIdentity,
    pub(in crate::store) checkpoints: Checkpoints,
    pub(in crate::store) index: Arc<Index>,
    pub(in crate::store) terms: TermWriter,
    pub(in crate::store) bodies: BodyCodec,
    /// Chunks that were full when the file was opened.
    pub(in crate::store) full: Vec<SharedChunk>,
}

/// Starts the writer on the file at `path`, and its sealer.
pub(in crate::store) fn start(
    path: &Path,
    parts: WriterParts,
    limits: QueueLimits,
) -> Result<(Writer, Thread), OpenError> {
    let WriterParts { connection, identity, checkpoints, index, terms, bodies, full } = parts;
    let queue = Arc::new(Queue::new(limits));
    let wake = Wake::new();
    let writer = Writer {
        queue: Arc::clone(&queue),
        index: Arc::clone(&index),
        bodies: bodies.clone(),
        wake: wake.clone(),
        room: checkpoints.room(),
        counters: Arc::new(Counters::new(path.to_owned())),
    };
    let (orders, received) = mpsc::channel();
    let sealer = sealer::start(path, writer.clone(), received)?;
    let is_stopping = Arc::new(AtomicBool::new(false));
    let counters = Arc::clone(&writer.counters);
    let mut state = WriterState {
        is_stopping: Arc::clone(&is_stopping),
        connection,
        identity,
        checkpoints,
        queue: Arc::clone(&queue),
        index,
        terms,
        bodies,
        orders,
        wake,
        counters,
        is_training: false,
        unreadable: HashSet::new(),
    };
    state.order(full);
    let handle =
        thread::Builder::new().name("writer".to_owned()).spawn(move || state.run()).map_err(OpenError::Thread)?;
    Ok((writer, Thread { path: path.to_owned(), queue, is_stopping, handle, sealer }))
}

/// What only the writer's thread touches.
struct WriterState {
    connection: Connection,
    identity: PathIdentity,
    checkpoints: Checkpoints,
    queue: Arc<Queue<Work>>,
    index: Arc<Index>,
    terms: TermWriter,
    bodies: BodyCodec,
    orders: mpsc::Sender<SealerOrder>,
    wake: Wake,
    counters: Arc<Counters>,
    /// Whether the first dictionary was ordered.
    is_training: bool,
    /// Events that stand on damaged pages and were met there.
    unreadable: HashSet<i64>,
    /// Set when the server stops.
    is_stopping: Arc<AtomicBool>,
}

/// Whatever ends the thread, a panic included, nobody is left waiting for it.
impl Drop for WriterState {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

impl WriterState {
    fn run(mut self) -> Result<(), CloseError> {
        let Err(stop) = self.work() else { return Ok(()) };
        // Nothing more is written: answer those who wait.
        self.queue.abandon();
        // The log stays for the next start, which rewrites it: copying it now would trust what is not known.
        drop(self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true));
        Err(match stop {
            Stop::Disk => CloseError::Disk(self.identity.path().to_owned()),
            Stop::Displaced(displaced) => {
                rescue::rescue(&self.connection, &self.identity, &displaced, &self.is_stopping)
            }
        })
    }

    fn work(&mut self) -> Result<(), Stop> {
        while let Some(work) = self.queue.take(IDLE) {
            if work.is_empty() {
                self.look()?;
            } else {
                self.write(work)?;
            }
            // After everyone was answered, so that no current request pays for it.
            let advanced = self.checkpoints.advance(&self.connection);
            advanced.or_else(|error| self.failed(&error.into(), "checkpoint").1)?;
        }
        self.check_place()?;
        // A file that is closed is whole by itself: one file to copy.
        let finished = self.checkpoints.finish(&self.connection);
        finished.or_else(|error| self.failed(&error.into(), "checkpoint").1)
    }

    /// Checks whether the files are still in place, and takes into the index what another program has written.
    fn look(&mut self) -> Result<(), Stop> {
        self.check_place()?;
        match self.adopt() {
            Ok(()) => Ok(()),
            Err(error) => {
                // What the transaction had added is not in the file.
                self.terms.forget();
                self.failed(&error, "look at the file").1
            }
        }
    }

    fn check_place(&self) -> Result<(), Stop> {
        self.identity.check().map_err(|displaced| self.displaced(displaced))
    }

    /// Takes events that another program has written into the index, once the terms that they need are committed.
    fn adopt(&mut self) -> Result<(), IndexError> {
        let through_seq = self.index.through_seq();
        if row::last_seq(&self.connection)? <= through_seq {
            return Ok(());
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let seqs = (through_seq, row::last_seq(&transaction)?);
        let terms = Terms::Added(&mut self.terms, &transaction);
        let entries = replay::entries((&transaction, &self.bodies), seqs, terms)?;
        transaction.commit()?;
        let full = self.index.publish(&entries);
        self.wake.everyone();
        self.order(full);
        Ok(())
    }

    /// Writes and commits one batch, publishes it, then answers everyone in it.
    fn write(&mut self, mut work: Vec<Work>) -> Result<(), Stop> {
        let (mut apart, started) = (Vec::new(), Instant::now());
        let committed = self.commit(&mut work, &mut apart);
        match &committed {
            Ok(_) => self.counters.committed(started.elapsed()),
            Err(_) => self.counters.failed(),
        }
        let (failure, outcome) = match committed {
            Ok(entries) => match self.check_place() {
                Ok(()) => {
                    self.publish(&entries, &work);
                    (None, Ok(()))
                }
                Err(stop) => (Some(WriteError::Stopped), Err(stop)),
            },
            Err(error) => {
                // What the transaction had added is not in the file.
                self.terms.forget();
                self.failed(&error, "commit")
            }
        };
        for piece in work {
            piece.answer(failure);
        }
        // What was left undone stays so whatever became of the others.
        for piece in apart {
            piece.answer(None);
        }
        outcome
    }

    /// Writes and commits what can be. What a damaged page keeps from being done is put apart, with its answer.
    fn commit(&mut self, work: &mut Vec<Work>, apart: &mut Vec<Work>) -> Result<Vec<Entry>, IndexError> {
        if self.unreadable.len() > UNREADABLE_MAX {
            self.unreadable.clear();
        }
        loop {
            match self.transact(work)? {
                Attempt::Committed(entries) => return Ok(entries),
                Attempt::Again => {}
                Attempt::Behind => {
                    self.adopt()?;
                    continue;
                }
                Attempt::Without(place) => apart.push(work.remove(place)),
            }
            // What the transaction had added is not in the file.
            self.terms.forget();
        }
    }

    /// One transaction. If it is not committed it is dropped, which rolls it back.
    fn transact(&mut self, work: &mut [Work]) -> Result<Attempt, IndexError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Read, not remembered: another program may have written too.
        let last_seq = row::last_seq(&transaction)?;
        if last_seq > self.index.through_seq() {
            return Ok(Attempt::Behind);
        }
        let mut batch = WriteBatch {
            transaction: &transaction,
            snapshot: self.index.snapshot(&transaction)?,
            terms: &mut self.terms,
            bodies: &self.bodies,
            last_seq,
            entries: Vec::new(),
            fresh: HashMap::new(),
            log_bytes: LOG_BYTES_PER_COMMIT,
            unreadable: &mut self.unreadable,
            spoilt: None,
        };
        for (place, piece) in work.iter_mut().enumerate() {
            match carry_out(piece, &mut batch, &self.index) {
                Err(error) if error.is_of_a_page() && piece.leave_undone() => {
                    tracing::error!(
                        %error,
                        "a page of the file is damaged: a part of the index was not written, or rows that nobody reads not \
                         taken out; run auditbox doctor"
                    );
                    return Ok(Attempt::Without(place));
                }
                carried_out => carried_out?,
            }
            match batch.spoilt {
                None => {}
                Some(PageFault::Answered) => return Ok(Attempt::Without(place)),
                Some(PageFault::Again) => return Ok(Attempt::Again),
            }
        }
        let (entries, log_bytes) = (batch.entries, batch.log_bytes);
        transaction.commit()?;
        self.checkpoints.wrote(log_bytes);
        Ok(Attempt::Committed(entries))
    }

    /// Lets questions see what was committed.
    fn publish(&mut self, entries: &[Entry], work: &[Work]) {
        for piece in work {
            if let Work::DropJob { step, slot: Reply { result: Some(Ok(true)), .. } } = piece {
                step.publish(&self.index);
            }
        }
        let full = self.index.publish(entries);
        self.wake.everyone();
        self.order(full);
        for piece in work {
            match piece {
                Work::IndexJob { upkeep: IndexJob::Sealed(chunk), .. } => {
                    self.index.sealed(Arc::clone(chunk));
                    self.counters.sealed();
                }
                Work::IndexJob { upkeep: IndexJob::Dictionary(trained), .. } => {
                    self.bodies.adopt(trained.number, &trained.bytes);
                }
                _ => {}
            }
        }
    }

    /// Has full chunks sealed, and the first dictionary trained when it is time.
    fn order(&mut self, full: Vec<SharedChunk>) {
        seal(&self.orders, full);
        if !self.is_training && !self.bodies.has_dictionary() && self.index.through_seq() >= dictionary::FIRST_EVENTS {
            self.is_training = true;
            drop(self.orders.send(SealerOrder::Train));
        }
    }
}

impl WriterState {
    /// What an error means for those who wait, and for the writer itself: after an error of the disk, what is on it is no
    /// longer known, so nothing more is written until the file has been opened again. An error that SQLite has no other name
    /// for counts as one of these: the writer would rather stop than go on in doubt. It may also come of files that are no
    /// longer in place.
    fn failed(&self, error: &IndexError, what: &str) -> (Option<WriteError>, Result<(), Stop>) {
        match classify(error) {
            WriteFailure::Passing(why) => {
                tracing::warn!(%error, "a {what} did not succeed, and may the next time");
                (Some(why), Ok(()))
            }
            WriteFailure::Final => {
                tracing::error!(%error, "a {what} failed: no more writes are taken; restart once the disk is well");
                let stop = self.identity.check().map_or_else(|displaced| self.displaced(displaced), |()| Stop::Disk);
                self.queue.close();
                (Some(WriteError::Stopped), Err(stop))
            }
        }
    }

    fn displaced(&self, displaced: Displaced) -> Stop {
        self.queue.close();
        Stop::Displaced(displaced)
    }
}

/// What became of a transaction.
enum Attempt {
    /// It is in the file; this is what the index is to know of its events.
    Committed(Vec<Entry>),
    /// Nothing was done: first the index must learn of events that another program has written.
    Behind,
    /// Nothing of it is: it is to be done again, now that the event on a damaged page is known.
    Again,
    /// Nothing of it is: it is to be done again without the piece at this place, which has its answer.
    Without(usize),
}

/// Does one piece of work in the transaction under way.
fn carry_out(piece: &mut Work, batch: &mut WriteBatch<'_>, index: &Index) -> Result<(), IndexError> {
    match piece {
        Work::Append { batch: appended, policy, slot } => slot.result = Some(batch.append(appended, *policy)?),
        Work::Change { change, record, slot } => {
            let changed = credentials::change(batch.transaction, change)?;
            if changed.is_ok() {
                batch.store(record)?;
            }
            slot.result = Some(changed);
        }
        Work::IndexJob { upkeep, slot } => {
            batch.log_bytes += keep_up(batch.transaction, upkeep)?;
            slot.result = Some(Ok(()));
        }
        Work::Uses { uses, slot } => {
            credentials::note_uses(batch.transaction, uses)?;
            slot.result = Some(Ok(()));
        }
        Work::DropJob { step, slot } => slot.result = Some(Ok(step.apply(batch, index)?)),
    }
    Ok(())
}

/// Has full chunks sealed. A sealer that is gone does not, which costs memory but no event.
fn seal(orders: &mpsc::Sender<SealerOrder>, full: Vec<SharedChunk>) {
    for chunk in full {
        if orders.send(SealerOrder::Seal(chunk)).is_err() {
            tracing::error!("chunks are not sealed any more: restart the server");
        }
    }
}

/// Writes what the index has to have written; returns about how many bytes that is.
fn keep_up(connection: &Connection, upkeep: &IndexJob) -> rusqlite::Result<usize> {
    match upkeep {
        IndexJob::Rows(rows) => {
            index::insert_rows(connection, rows)?;
            Ok(rows.iter().map(SealedRow::bytes).sum())
        }
        IndexJob::Sealed(chunk) => {
            index::insert_chunk(connection, chunk)?;
            Ok(LOG_BYTES_PER_COMMIT)
        }
        IndexJob::Dictionary(trained) => {
            zstd_dictionary::insert(connection, trained)?;
            Ok(trained.bytes.len())
        }
    }
}
