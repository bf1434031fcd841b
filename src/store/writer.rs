//! The writer: one thread, the only writable connection, one commit for everything that waits.
//!
//! While one commit waits for the disk the next batch collects itself, so the more writers there are the more each fsync
//! carries, and nobody waits for anything but the disk. A request is answered after the commit that holds it; a process
//! killed before it leaves nothing of it, killed after it all of it.
//!
//! What was committed is published to the index, in memory, before anyone is answered: who asks after an answer finds what
//! it was about. Upkeep of the index (rows of sealed chunks, dictionaries) comes through the same queue, in small pieces.
//!
//! Every request of a batch is first decided (new, duplicate, conflict), then written: a refused one has written nothing,
//! so there is nothing to take back. An error of SQLite takes the whole transaction back, and everyone in it is asked to
//! send again.

use std::{
    borrow::Cow,
    collections::HashMap,
    path::Path,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use crate::{
    index::{self, Entry, Index, IndexError, SealedChunk, SealedRow, SharedChunk, TermWriter},
    model::{credential::CredentialChange, event::Event},
    store::{
        AppendError, ChangeError, OpenError, Prepared, QueueLimits, Quiet, WriteError,
        batch::Batch,
        body::{Bodies, Decoder},
        checkpoint::{Checkpoints, LogRoom},
        credential,
        dictionary::{self, Trained},
        error::{Failure, classify},
        event,
        queue::{Queue, Weight},
        sealer::{self, Order, Sealer},
        tail::{self, Terms},
        wake::{Arrivals, Wake},
    },
};

/// What a commit writes to the log beside its events.
const LOG_BYTES_PER_COMMIT: usize = 16 * 1024;
/// How long the writer waits for work before it looks whether a command beside the server has written.
const IDLE: Duration = Duration::from_millis(500);
/// How often to look whether there is room.
const ROOM_WAIT: Duration = Duration::from_millis(20);
/// Full chunks that may wait in memory to be sealed. Beyond, senders are asked to come later: memory is bounded.
const UNSEALED_MAX: usize = 8;
/// The same in bytes. Eight chunks of ordinary events have two thirds of it; those of a sender whose every event has new
/// keys of full length and a message of new words (4 KB an event in memory) come to it with the first.
const UNSEALED_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What happens to a batch that holds a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nothing of it is stored.
    AllOrNothing,
    /// The rest is stored.
    Partial,
}

/// What became of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Stored now.
    Stored,
    /// Stored before: the same identifier, the same content.
    Duplicate,
    /// Not stored: the same identifier, other content.
    Conflict,
}

/// A handle to the writer.
#[derive(Clone)]
pub struct Writer {
    queue: Arc<Queue<Work>>,
    index: Arc<Index>,
    bodies: Bodies,
    wake: Wake,
    room: LogRoom,
}

/// What the index has to have written.
#[derive(Clone)]
pub(super) enum Upkeep {
    /// Rows of a chunk that is being sealed.
    Rows(Arc<[SealedRow]>),
    /// The chunk, all of whose rows are written.
    Sealed(Arc<SealedChunk>),
    /// A dictionary for bodies to come.
    Dictionary(Arc<Trained>),
}

/// An answer that comes with the commit.
pub struct Pending<T, E>(oneshot::Receiver<Result<T, E>>);

impl<T, E: From<WriteError>> Pending<T, E> {
    /// Waits, without holding a thread.
    pub async fn settled(self) -> Result<T, E> {
        self.0.await.unwrap_or_else(|_| Err(WriteError::Stopped.into()))
    }

    /// Waits, holding the thread. Not for async code.
    pub fn wait(self) -> Result<T, E> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(WriteError::Stopped.into()))
    }
}

/// The place where a request's answer is kept until the commit, and the way back to whoever waits for it.
struct Slot<T, E> {
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E: From<WriteError>> Slot<T, E> {
    fn new() -> (Self, Pending<T, E>) {
        let (reply, answer) = oneshot::channel();
        (Self { result: None, reply }, Pending(answer))
    }

    /// Gives the answer; with `failure`, that one instead. Somebody who no longer waits has gone away.
    fn answer(self, failure: Option<WriteError>) {
        let failed = Err(failure.unwrap_or(WriteError::Stopped).into());
        let result = if failure.is_some() { failed } else { self.result.unwrap_or(failed) };
        drop(self.reply.send(result));
    }
}

enum Work {
    Append { batch: Vec<Prepared>, policy: Policy, slot: Slot<Vec<Outcome>, AppendError> },
    Change { change: Box<CredentialChange>, record: Box<Prepared>, slot: Slot<(), ChangeError> },
    Upkeep { upkeep: Upkeep, slot: Slot<(), WriteError> },
}

impl Work {
    fn answer(self, failure: Option<WriteError>) {
        match self {
            Self::Append { slot, .. } => slot.answer(failure),
            Self::Change { slot, .. } => slot.answer(failure),
            Self::Upkeep { slot, .. } => slot.answer(failure),
        }
    }
}

impl Writer {
    /// Makes an event ready to be written. This costs time (its body is compressed): not for the writer's thread.
    pub fn prepare(&self, event: Event) -> Prepared {
        Prepared::new(event, &self.bodies)
    }

    /// An event that was made ready here, as it would be served; empty if it cannot be had.
    pub fn body_of(&self, event: &Prepared) -> String {
        Decoder::of_own(&self.bodies).decode(&event.stored).map(Cow::into_owned).unwrap_or_default()
    }

    /// Word of what is committed from now on.
    pub fn arrivals(&self) -> Arrivals {
        self.wake.arrivals()
    }

    /// Queues events to be stored. The answer has one outcome for each, in order.
    pub fn append(
        &self,
        batch: Vec<Prepared>,
        policy: Policy,
    ) -> Result<Pending<Vec<Outcome>, AppendError>, WriteError> {
        self.push_batch(batch, policy, false)
    }

    /// Queues auditbox's own records, which may wait even where nothing else may.
    pub fn record(&self, batch: Vec<Prepared>) -> Result<Pending<Vec<Outcome>, AppendError>, WriteError> {
        self.push_batch(batch, Policy::Partial, true)
    }

    /// Queues a change to the credentials, and the record of it: both are stored, or neither.
    pub fn change(&self, change: CredentialChange, record: Prepared) -> Result<Pending<(), ChangeError>, WriteError> {
        let (slot, pending) = Slot::new();
        let weight = Weight { events: 1, bytes: record.bytes(), reserved: true };
        self.push(Work::Change { change: Box::new(change), record: Box::new(record), slot }, weight)?;
        Ok(pending)
    }

    /// Queues upkeep of the index.
    pub(super) fn keep_up(&self, upkeep: Upkeep) -> Result<Pending<(), WriteError>, WriteError> {
        let (slot, pending) = Slot::new();
        let weight = Weight { events: 0, bytes: 0, reserved: true };
        self.push(Work::Upkeep { upkeep, slot }, weight)?;
        Ok(pending)
    }

    /// The dictionaries that events are compressed with.
    pub(super) fn bodies(&self) -> Bodies {
        self.bodies.clone()
    }

    /// Waits, holding the thread, until full chunks have been sealed so far that more is taken. For who writes a lot and has
    /// nobody to send away.
    pub fn wait_for_room(&self) {
        while self.is_open() && self.is_behind() {
            thread::sleep(ROOM_WAIT);
        }
    }

    /// Whether more waits in memory to be sealed than may.
    fn is_behind(&self) -> bool {
        let (chunks, bytes) = self.index.unsealed();
        chunks > UNSEALED_MAX || bytes > UNSEALED_BYTES_MAX
    }

    /// Whether writes are taken; the error says why not.
    pub fn check(&self) -> Result<(), WriteError> {
        if !self.is_open() {
            return Err(WriteError::Stopped);
        }
        if self.room.is_there(false) { Ok(()) } else { Err(WriteError::LogFull) }
    }

    /// Whether events would be taken now; the error says why not.
    pub fn check_room(&self) -> Result<(), WriteError> {
        self.check()?;
        if self.is_behind() || self.queue.is_full() { Err(WriteError::QueueFull) } else { Ok(()) }
    }

    /// Whether writes are taken, now or later.
    pub fn is_open(&self) -> bool {
        !self.queue.is_closed()
    }

    fn push_batch(
        &self,
        batch: Vec<Prepared>,
        policy: Policy,
        reserved: bool,
    ) -> Result<Pending<Vec<Outcome>, AppendError>, WriteError> {
        if !reserved && self.is_behind() {
            return Err(WriteError::QueueFull);
        }
        let (slot, pending) = Slot::new();
        let weight = Weight { events: batch.len(), bytes: batch.iter().map(Prepared::bytes).sum(), reserved };
        self.push(Work::Append { batch, policy, slot }, weight)?;
        Ok(pending)
    }

    fn push(&self, work: Work, weight: Weight) -> Result<(), WriteError> {
        if !self.room.is_there(weight.reserved) {
            return Err(WriteError::LogFull);
        }
        self.queue.push(work, weight)
    }
}

/// The running writer.
pub(super) struct Thread {
    queue: Arc<Queue<Work>>,
    handle: JoinHandle<Result<(), WriteError>>,
    sealer: Sealer,
}

impl Thread {
    /// Lets the writer finish what waits, and says how it ended.
    pub(super) fn finish(self) -> Result<(), WriteError> {
        self.queue.close();
        let finished = self.handle.join().unwrap_or(Err(WriteError::Stopped));
        self.sealer.finish();
        finished
    }
}

/// What a writer works on.
pub(super) struct Parts {
    pub(super) connection: Connection,
    pub(super) checkpoints: Checkpoints,
    pub(super) index: Arc<Index>,
    pub(super) terms: TermWriter,
    pub(super) bodies: Bodies,
    /// Chunks that were full when the file was opened.
    pub(super) full: Vec<SharedChunk>,
}

/// Starts the writer on the file at `path`, and its sealer.
pub(super) fn start(path: &Path, parts: Parts, limits: QueueLimits) -> Result<(Writer, Thread), OpenError> {
    let Parts { connection, checkpoints, index, terms, bodies, full } = parts;
    let queue = Arc::new(Queue::new(limits));
    let wake = Wake::new();
    let writer = Writer {
        queue: Arc::clone(&queue),
        index: Arc::clone(&index),
        bodies: bodies.clone(),
        wake: wake.clone(),
        room: checkpoints.room(),
    };
    let (orders, received) = mpsc::channel();
    let sealer = sealer::start(path, writer.clone(), received)?;
    let mut state = State {
        connection,
        checkpoints,
        queue: Arc::clone(&queue),
        index,
        terms,
        bodies,
        orders,
        wake,
        is_training: false,
    };
    state.order(full);
    let handle =
        thread::Builder::new().name("writer".to_owned()).spawn(move || state.run()).map_err(OpenError::Thread)?;
    Ok((writer, Thread { queue, handle, sealer }))
}

/// What only the writer's thread touches.
struct State {
    connection: Connection,
    checkpoints: Checkpoints,
    queue: Arc<Queue<Work>>,
    index: Arc<Index>,
    terms: TermWriter,
    bodies: Bodies,
    orders: mpsc::Sender<Order>,
    wake: Wake,
    /// Whether the first dictionary was ordered.
    is_training: bool,
}

/// Whatever ends the thread, a panic included, nobody is left waiting for it.
impl Drop for State {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

impl State {
    fn run(mut self) -> Result<(), WriteError> {
        loop {
            let Some(work) = self.queue.take(IDLE) else {
                break;
            };
            if !work.is_empty() || self.others_wrote()? {
                self.write(work)?;
            }
            // After everyone was answered: whatever this costs, nobody waits for it who is not yet to come.
            let advanced = self.checkpoints.advance(&self.connection);
            advanced.or_else(|error| failed(&self.queue, &error.into(), "checkpoint").1)?;
        }
        // A file that is closed is whole by itself: one file to copy.
        let State { connection, checkpoints, queue, .. } = &mut self;
        checkpoints.finish(connection).or_else(|error| failed(queue, &error.into(), "checkpoint").1)
    }

    /// Whether the file holds more events than this process has written into it.
    fn others_wrote(&self) -> Result<bool, WriteError> {
        match event::last_seq(&self.connection) {
            Ok(last_seq) => Ok(last_seq > self.index.through_seq()),
            Err(error) => failed(&self.queue, &error.into(), "look at the file").1.map(|()| false),
        }
    }

    /// Writes and commits one batch, publishes it, then answers everyone in it.
    fn write(&mut self, mut work: Vec<Work>) -> Result<(), WriteError> {
        let committed = self.transact(&mut work);
        let (failure, outcome) = match committed {
            Ok(entries) => {
                self.publish(&entries, &work);
                (None, Ok(()))
            }
            Err(error) => {
                // What the transaction had added is not in the file.
                self.terms.forget();
                failed(&self.queue, &error, "commit")
            }
        };
        for piece in work {
            piece.answer(failure);
        }
        outcome
    }

    /// One transaction. On an error it is dropped, which rolls it back. Returns what the index is to know of the events.
    fn transact(&mut self, work: &mut [Work]) -> Result<Vec<Entry>, IndexError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Read, not remembered: a command beside the server may have written too.
        let last_seq = event::last_seq(&transaction)?;
        if last_seq > self.index.through_seq() {
            let full = tail::extend(&transaction, &self.index, &self.bodies, Terms::Added(&mut self.terms), &Quiet)?;
            seal(&self.orders, full);
        }
        let mut batch = Batch {
            transaction: &transaction,
            snapshot: self.index.snapshot(&transaction)?,
            terms: &mut self.terms,
            bodies: &self.bodies,
            last_seq,
            entries: Vec::new(),
            fresh: HashMap::new(),
            log_bytes: LOG_BYTES_PER_COMMIT,
        };
        for piece in work {
            match piece {
                Work::Append { batch: appended, policy, slot } => slot.result = Some(batch.append(appended, *policy)?),
                Work::Change { change, record, slot } => {
                    let changed = credential::change(&transaction, change)?;
                    if changed.is_ok() {
                        batch.store(record)?;
                    }
                    slot.result = Some(changed);
                }
                Work::Upkeep { upkeep, slot } => {
                    batch.log_bytes += keep_up(&transaction, upkeep)?;
                    slot.result = Some(Ok(()));
                }
            }
        }
        let (entries, log_bytes) = (batch.entries, batch.log_bytes);
        transaction.commit()?;
        self.checkpoints.wrote(log_bytes);
        Ok(entries)
    }

    /// Lets questions see what was committed.
    fn publish(&mut self, entries: &[Entry], work: &[Work]) {
        let full = self.index.publish(entries);
        self.wake.everyone();
        self.order(full);
        for piece in work {
            match piece {
                Work::Upkeep { upkeep: Upkeep::Sealed(chunk), .. } => self.index.sealed(Arc::clone(chunk)),
                Work::Upkeep { upkeep: Upkeep::Dictionary(trained), .. } => {
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
            drop(self.orders.send(Order::Train));
        }
    }
}

/// Has full chunks sealed. A sealer that is gone does not, which costs memory but no event.
fn seal(orders: &mpsc::Sender<Order>, full: Vec<SharedChunk>) {
    for chunk in full {
        if orders.send(Order::Seal(chunk)).is_err() {
            tracing::error!("chunks are not sealed any more: restart the server");
        }
    }
}

/// Writes what the index has to have written; returns about how many bytes that is.
fn keep_up(connection: &Connection, upkeep: &Upkeep) -> rusqlite::Result<usize> {
    match upkeep {
        Upkeep::Rows(rows) => {
            index::insert_rows(connection, rows)?;
            Ok(rows.iter().map(SealedRow::bytes).sum())
        }
        Upkeep::Sealed(chunk) => {
            index::insert_chunk(connection, chunk)?;
            Ok(LOG_BYTES_PER_COMMIT)
        }
        Upkeep::Dictionary(trained) => {
            dictionary::insert(connection, trained.number, &trained.bytes, trained.ratio)?;
            Ok(trained.bytes.len())
        }
    }
}

/// What an error means for those who wait, and for the writer itself: after an error of the disk, what is on it is no
/// longer known, so nothing more is written until the file has been opened anew. An error that SQLite has no other name
/// for counts as one of these: the writer would rather stop than go on in doubt.
fn failed(queue: &Queue<Work>, error: &IndexError, what: &str) -> (Option<WriteError>, Result<(), WriteError>) {
    match classify(error) {
        Failure::Passing(why) => {
            tracing::warn!(%error, "a {what} did not succeed, and may the next time");
            (Some(why), Ok(()))
        }
        Failure::Final => {
            tracing::error!(%error, "a {what} failed: no more writes are taken; restart once the disk is well");
            queue.close();
            (Some(WriteError::Stopped), Err(WriteError::Stopped))
        }
    }
}
