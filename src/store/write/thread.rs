//! The writer: one thread with the only writable connection, and one commit for all jobs that wait.
//!
//! While a commit waits for the disk, the next batch collects in the queue: with more senders, each sync carries more
//! events. A request is answered after the commit that contains it. A process that is killed before the commit leaves
//! nothing of the request; killed after it, everything.
//!
//! Commits are published to the index in memory before they are answered, so that a query sent after an answer finds
//! the events. Nothing is published before it is committed. This includes the terms that events of another program
//! need.
//!
//! Each request is decided (new, duplicate or conflict) before any of it is written, so a rejected request has nothing
//! to roll back. An error of SQLite rolls the whole transaction back, and every sender is asked to retry. SQLite does
//! not allow a transaction to commit once it has read a damaged page. The job that read the page then gets its own
//! reply, and the other jobs are repeated without it.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::{Connection, TransactionBehavior, config::DbConfig};

use crate::{
    index::{Entry, Index, IndexError, SharedChunk, TermWriter},
    store::{
        error::{CloseError, OpenError, WriteError, WriteFailure, classify},
        event::{codec::BodyCodec, row},
        file::{
            checkpoint::Checkpoints,
            identity::{Displaced, PathIdentity},
            rescue,
        },
        write::{
            batch::{PageFault, WriteBatch},
            job::{Published, QueuedJob},
            metrics::Counters,
            notify::Wake,
            queue::{Queue, QueueLimits},
            replay::{self, Terms},
            writer::Writer,
        },
    },
};

/// Maximum number of events on damaged pages that are remembered. Above it, all are forgotten and found again.
const UNREADABLE_MAX: usize = 10_000;
/// How long the writer waits for jobs before it checks whether another program has written, and whether the files are
/// still in place.
const IDLE: Duration = Duration::from_millis(500);

/// Called after each publication with the chunks that it has filled, often none.
pub(in crate::store) type OnPublished = Box<dyn FnMut(Vec<SharedChunk>) + Send>;

/// The running writer.
pub(in crate::store) struct Thread {
    path: PathBuf,
    queue: Arc<Queue<Box<dyn QueuedJob>>>,
    is_stopping: Arc<AtomicBool>,
    handle: JoinHandle<Result<(), CloseError>>,
}

impl Thread {
    /// Lets the writer finish what waits, and returns how it ended.
    pub(in crate::store) fn finish(self) -> Result<(), CloseError> {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.queue.close();
        self.handle.join().unwrap_or(Err(CloseError::Broken(self.path)))
    }
}

/// Why the writer ends early.
enum Stop {
    /// After an error of the disk, its content is no longer known: nothing more is written until the file is opened
    /// again.
    Disk,
    /// A file is no longer at its path: what is written to it now may be lost when this process ends.
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
    pub(in crate::store) on_published: OnPublished,
}

/// A writer on the file at `path` whose thread does not run yet, and a handle to it. Jobs can be queued already.
pub(in crate::store) fn prepare(path: &Path, parts: WriterParts, limits: QueueLimits) -> (Writer, WriterThread) {
    let writer = Writer {
        queue: Arc::new(Queue::new(limits)),
        index: Arc::clone(&parts.index),
        bodies: parts.bodies.clone(),
        terms: parts.terms.cache(),
        wake: Wake::new(),
        room: parts.checkpoints.room(),
        counters: Arc::new(Counters::new(path.to_owned())),
    };
    let thread = WriterThread {
        parts,
        queue: Arc::clone(&writer.queue),
        wake: writer.wake.clone(),
        counters: Arc::clone(&writer.counters),
        unreadable: HashSet::new(),
        is_stopping: Arc::new(AtomicBool::new(false)),
    };
    (writer, thread)
}

/// What only the writer's thread touches.
pub(in crate::store) struct WriterThread {
    parts: WriterParts,
    queue: Arc<Queue<Box<dyn QueuedJob>>>,
    wake: Wake,
    counters: Arc<Counters>,
    /// Events found on damaged pages.
    unreadable: HashSet<i64>,
    /// Set when the server stops.
    is_stopping: Arc<AtomicBool>,
}

/// However the thread ends, even by a panic, every waiting request gets a reply.
impl Drop for WriterThread {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

impl WriterThread {
    /// Starts the thread.
    pub(in crate::store) fn start(self) -> Result<Thread, OpenError> {
        let (path, queue) = (self.parts.identity.path().to_owned(), Arc::clone(&self.queue));
        let is_stopping = Arc::clone(&self.is_stopping);
        let handle =
            thread::Builder::new().name("writer".to_owned()).spawn(move || self.run()).map_err(OpenError::Thread)?;
        Ok(Thread { path, queue, is_stopping, handle })
    }

    fn run(mut self) -> Result<(), CloseError> {
        let Err(stop) = self.write_until_closed() else { return Ok(()) };
        // Nothing more is written: reply to all waiting requests.
        self.queue.abandon();
        let WriterParts { connection, identity, .. } = &self.parts;
        // The WAL stays for the next start, which rewrites it. A copy made now would rely on pages whose content is
        // unknown.
        drop(connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true));
        Err(match stop {
            Stop::Disk => CloseError::Disk(identity.path().to_owned()),
            Stop::Displaced(displaced) => rescue::rescue(connection, identity, &displaced, &self.is_stopping),
        })
    }

    fn write_until_closed(&mut self) -> Result<(), Stop> {
        while let Some(jobs) = self.queue.take(IDLE) {
            if jobs.is_empty() {
                self.look()?;
            } else {
                self.write(jobs)?;
            }
            // After all replies, so that no current request pays for it.
            let advanced = self.parts.checkpoints.advance(&self.parts.connection);
            advanced.or_else(|error| self.failed(&error.into(), "checkpoint").1)?;
        }
        self.check_files()?;
        // A closed database needs no WAL: it is one file to copy.
        let finished = self.parts.checkpoints.finish(&self.parts.connection);
        finished.or_else(|error| self.failed(&error.into(), "checkpoint").1)
    }

    /// Checks whether the files are still in place, and adds to the index what another program has written.
    fn look(&mut self) -> Result<(), Stop> {
        self.check_files()?;
        match self.adopt() {
            Ok(()) => Ok(()),
            Err(error) => {
                // The terms that the transaction had added are not in the file.
                self.parts.terms.forget();
                self.failed(&error, "look at the file").1
            }
        }
    }

    fn check_files(&self) -> Result<(), Stop> {
        self.parts.identity.check().map_err(|displaced| self.displaced(displaced))
    }

    /// Adds events that another program has written to the index, once the terms that they need are committed.
    fn adopt(&mut self) -> Result<(), IndexError> {
        let WriterParts { connection, index, terms, bodies, on_published, .. } = &mut self.parts;
        let through_seq = index.through_seq();
        if row::last_seq(connection)? <= through_seq {
            return Ok(());
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let seqs = (through_seq, row::last_seq(&transaction)?);
        let entries = replay::entries((&transaction, bodies), seqs, Terms::Added(terms, &transaction))?;
        transaction.commit()?;
        terms.committed();
        let full = index.publish(&entries);
        self.wake.everyone();
        on_published(full);
        Ok(())
    }

    /// Commits one batch, publishes it, then replies to every request in it.
    fn write(&mut self, mut jobs: Vec<Box<dyn QueuedJob>>) -> Result<(), Stop> {
        let (mut skipped, started) = (Vec::new(), Instant::now());
        let committed = self.commit(&mut jobs, &mut skipped);
        match &committed {
            Ok(_) => self.counters.committed(started.elapsed()),
            Err(_) => self.counters.failed(),
        }
        let (failure, outcome) = match committed {
            Ok(entries) => match self.check_files() {
                Ok(()) => {
                    self.publish(&entries, &jobs);
                    (None, Ok(()))
                }
                Err(stop) => (Some(WriteError::Stopped), Err(stop)),
            },
            Err(error) => {
                // The terms that the transaction had added are not in the file.
                self.parts.terms.forget();
                self.failed(&error, "commit")
            }
        };
        for job in jobs {
            job.reply(failure);
        }
        // Skipped jobs keep their own result.
        for job in skipped {
            job.reply(None);
        }
        outcome
    }

    /// Commits the jobs. Those that a damaged page prevents move to `skipped`, with their own reply.
    fn commit(
        &mut self,
        jobs: &mut Vec<Box<dyn QueuedJob>>,
        skipped: &mut Vec<Box<dyn QueuedJob>>,
    ) -> Result<Vec<Entry>, IndexError> {
        if self.unreadable.len() > UNREADABLE_MAX {
            self.unreadable.clear();
        }
        loop {
            match self.transact(jobs)? {
                Attempt::Committed(entries) => return Ok(entries),
                Attempt::Again => {}
                Attempt::Behind => {
                    self.adopt()?;
                    continue;
                }
                Attempt::Without(number) => skipped.push(jobs.remove(number)),
            }
            // The terms that the transaction had added are not in the file.
            self.parts.terms.forget();
        }
    }

    /// One transaction. Unless it is committed, dropping it rolls it back.
    fn transact(&mut self, jobs: &mut [Box<dyn QueuedJob>]) -> Result<Attempt, IndexError> {
        let WriterParts { connection, index, terms, bodies, .. } = &mut self.parts;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Read from the file, since another program may have written too.
        let last_seq = row::last_seq(&transaction)?;
        if last_seq > index.through_seq() {
            return Ok(Attempt::Behind);
        }
        let mut batch = WriteBatch {
            transaction: &transaction,
            index,
            snapshot: index.snapshot(&transaction)?,
            terms,
            bodies,
            last_seq,
            entries: Vec::new(),
            fresh: HashMap::new(),
            unreadable: &mut self.unreadable,
            page_fault: None,
        };
        for (number, job) in jobs.iter_mut().enumerate() {
            match job.apply(&mut batch) {
                Err(error) if error.is_of_a_page() && job.skip() => {
                    tracing::error!(
                        %error,
                        "a page of the file is damaged: a part of the index was not written, or rows of dropped events \
                         were not deleted; run auditbox doctor"
                    );
                    return Ok(Attempt::Without(number));
                }
                applied => applied?,
            }
            match batch.page_fault {
                None => {}
                Some(PageFault::Answered) => return Ok(Attempt::Without(number)),
                Some(PageFault::Again) => return Ok(Attempt::Again),
            }
        }
        let entries = batch.entries;
        transaction.commit()?;
        terms.committed();
        Ok(Attempt::Committed(entries))
    }

    /// Makes the committed jobs visible to queries.
    ///
    /// Removals come before the events of the same transaction, because these events may fill the chunk that a removal
    /// is about. Sealed chunks and dictionaries come after them.
    fn publish(&mut self, entries: &[Entry], jobs: &[Box<dyn QueuedJob>]) {
        let WriterParts { index, bodies, on_published, .. } = &mut self.parts;
        let to = Published { index, bodies, counters: &self.counters };
        for job in jobs {
            job.publish_removals(&to);
        }
        let full = index.publish(entries);
        self.wake.everyone();
        on_published(full);
        for job in jobs {
            job.publish_additions(&to);
        }
    }

    /// What an error means for the waiting requests, and for the writer itself.
    ///
    /// After an error of the disk, the content of the disk is unknown, so nothing more is written until the file is
    /// opened again. An error for which SQLite has no more exact code counts as an error of the disk: stopping is safer
    /// than going on in doubt. Files that are no longer in place may also cause such an error.
    fn failed(&self, error: &IndexError, what: &str) -> (Option<WriteError>, Result<(), Stop>) {
        match classify(error) {
            WriteFailure::Passing(why) => {
                tracing::warn!(%error, "a {what} failed, and will be retried");
                (Some(why), Ok(()))
            }
            WriteFailure::Final => {
                tracing::error!(%error, "a {what} failed: no more writes are accepted; repair the disk, then restart");
                let stop =
                    self.parts.identity.check().map_or_else(|displaced| self.displaced(displaced), |()| Stop::Disk);
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
    /// It is committed; these are the index entries of its events.
    Committed(Vec<Entry>),
    /// Nothing was done: the index must first learn of events that another program has written.
    Behind,
    /// It was rolled back, and is to be repeated, now that the event on a damaged page is known.
    Again,
    /// It was rolled back, and is to be repeated without this job, which has its reply.
    Without(usize),
}
