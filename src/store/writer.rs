//! The writer: one thread, the only writable connection, one commit for everything that waits.
//!
//! While one commit waits for the disk the next batch collects itself, so the more writers there are the more each fsync
//! carries, and nobody waits for anything but the disk. A request is answered after the commit that holds it; a process
//! killed before it leaves nothing of it, killed after it all of it.
//!
//! Every request of a batch is first decided (new, duplicate, conflict), then written: a refused one has written nothing,
//! so there is nothing to take back. An error of SQLite takes the whole transaction back, and everyone in it is asked to
//! send again.

use std::{
    collections::HashMap,
    sync::Arc,
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use crate::{
    index,
    model::{credential::CredentialChange, event},
    store::{
        AppendError, ChangeError, OpenError, Prepared, QueueLimits, WriteError,
        body::Decoder,
        checkpoint::Checkpoints,
        credential,
        error::{Failure, classify},
        event as events,
        queue::{Queue, Weight},
    },
};

/// What a commit and an event write to the log beside the event's bytes: whole pages of the table and its indexes.
const LOG_BYTES_PER_COMMIT: usize = 16 * 1024;
const LOG_BYTES_PER_EVENT: usize = 4 * 1024;

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
}

impl Work {
    fn answer(self, failure: Option<WriteError>) {
        match self {
            Self::Append { slot, .. } => slot.answer(failure),
            Self::Change { slot, .. } => slot.answer(failure),
        }
    }
}

impl Writer {
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
        self.queue.push(Work::Change { change: Box::new(change), record: Box::new(record), slot }, weight)?;
        Ok(pending)
    }

    /// Whether writes are taken.
    pub fn is_open(&self) -> bool {
        !self.queue.is_closed()
    }

    fn push_batch(
        &self,
        batch: Vec<Prepared>,
        policy: Policy,
        reserved: bool,
    ) -> Result<Pending<Vec<Outcome>, AppendError>, WriteError> {
        let (slot, pending) = Slot::new();
        let weight = Weight { events: batch.len(), bytes: batch.iter().map(Prepared::bytes).sum(), reserved };
        self.queue.push(Work::Append { batch, policy, slot }, weight)?;
        Ok(pending)
    }
}

/// The running writer.
pub(super) struct Thread {
    queue: Arc<Queue<Work>>,
    handle: JoinHandle<Result<(), WriteError>>,
}

impl Thread {
    /// Lets the writer finish what waits, and says how it ended.
    pub(super) fn finish(self) -> Result<(), WriteError> {
        self.queue.close();
        self.handle.join().unwrap_or(Err(WriteError::Stopped))
    }
}

/// Starts the writer on its connection.
pub(super) fn start(
    connection: Connection,
    checkpoints: Checkpoints,
    limits: QueueLimits,
) -> Result<(Writer, Thread), OpenError> {
    let queue = Arc::new(Queue::new(limits));
    let state = State { connection, checkpoints, queue: Arc::clone(&queue) };
    let handle =
        thread::Builder::new().name("writer".to_owned()).spawn(move || state.run()).map_err(OpenError::Thread)?;
    Ok((Writer { queue: Arc::clone(&queue) }, Thread { queue, handle }))
}

/// What only the writer's thread touches.
struct State {
    connection: Connection,
    checkpoints: Checkpoints,
    queue: Arc<Queue<Work>>,
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
            let work = self.queue.take();
            if work.is_empty() {
                break;
            }
            self.write(work)?;
            // After everyone was answered: whatever this costs, nobody waits for it who is not yet to come.
            let advanced = self.checkpoints.advance(&self.connection);
            advanced.or_else(|error| failed(&self.queue, &error, "checkpoint").1)?;
        }
        // A file that is closed is whole by itself: one file to copy.
        let State { connection, checkpoints, queue } = &mut self;
        checkpoints.finish(connection).or_else(|error| failed(queue, &error, "checkpoint").1)
    }

    /// Writes and commits one batch, then answers everyone in it.
    fn write(&mut self, mut work: Vec<Work>) -> Result<(), WriteError> {
        let committed = self.transact(&mut work);
        let (failure, outcome) =
            committed.map_or_else(|error| failed(&self.queue, &error, "commit"), |()| (None, Ok(())));
        for piece in work {
            piece.answer(failure);
        }
        outcome
    }

    /// One transaction. On an error it is dropped, which rolls it back.
    fn transact(&mut self, work: &mut [Work]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Read, not remembered: a command beside the server may have written too.
        let mut last_seq = index::last_seq(&transaction)?;
        let mut log_bytes = LOG_BYTES_PER_COMMIT;
        let mut store = |event: &Prepared| {
            last_seq += 1;
            log_bytes += LOG_BYTES_PER_EVENT + event.bytes();
            events::insert(&transaction, last_seq, event)
        };
        for piece in work {
            match piece {
                Work::Append { batch, policy, slot } => {
                    let decided = decide(&transaction, batch, *policy)?;
                    if let Ok(outcomes) = &decided {
                        let new = batch.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Stored);
                        new.map(|(event, _)| event).try_for_each(&mut store)?;
                    }
                    slot.result = Some(decided);
                }
                Work::Change { change, record, slot } => {
                    let changed = credential::change(&transaction, change)?;
                    if changed.is_ok() {
                        store(record)?;
                    }
                    slot.result = Some(changed);
                }
            }
        }
        transaction.commit()?;
        self.checkpoints.wrote(log_bytes);
        Ok(())
    }
}

/// What an error means for those who wait, and for the writer itself: after an error of the disk, what is on it is no
/// longer known, so nothing more is written until the file has been opened anew. An error that SQLite has no other name
/// for counts as one of these: the writer would rather stop than go on in doubt.
fn failed(queue: &Queue<Work>, error: &rusqlite::Error, what: &str) -> (Option<WriteError>, Result<(), WriteError>) {
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

/// What is to become of each event of a batch. Nothing is written.
fn decide(
    connection: &Connection,
    batch: &[Prepared],
    policy: Policy,
) -> rusqlite::Result<Result<Vec<Outcome>, AppendError>> {
    let mut outcomes = Vec::with_capacity(batch.len());
    let mut earlier: HashMap<&str, &Prepared> = HashMap::new();
    for (index, event) in batch.iter().enumerate() {
        let outcome = if let Some(twin) = earlier.get(event.identifier()) {
            compare((&twin.stored, twin.filled), event)
        } else {
            match events::by_identifier(connection, event.identifier_hash, event.identifier())? {
                Some(stored) => compare((&stored.body, stored.filled), event),
                None => Outcome::Stored,
            }
        };
        if outcome == Outcome::Conflict && policy == Policy::AllOrNothing {
            return Ok(Err(AppendError::Conflict { index, identifier: event.identifier().to_owned() }));
        }
        if outcome == Outcome::Stored && batch.len() > 1 {
            earlier.insert(event.identifier(), event);
        }
        outcomes.push(outcome);
    }
    Ok(Ok(outcomes))
}

/// An event that cannot be read any more is not known to be the same: its sender hears of a conflict.
fn compare((stored, filled): (&[u8], event::Filled), new: &Prepared) -> Outcome {
    let same = || -> Option<bool> {
        let (mut one, mut other) = (Decoder::new().ok()?, Decoder::new().ok()?);
        let (one, other) = (one.decode(stored).ok()?, other.decode(&new.stored).ok()?);
        Some(event::same_submission((&one, filled), (&other, new.filled)))
    };
    if same().unwrap_or(false) { Outcome::Duplicate } else { Outcome::Conflict }
}
