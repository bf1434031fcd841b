//! The writer's handle, the queue's jobs, and the replies.
//!
//! Only waiting for a reply waits for the disk. What cannot be accepted is rejected at once.

use std::{borrow::Cow, sync::Arc, thread, time::Duration};

use tokio::sync::oneshot;

use crate::{
    index::{Index, SealedChunk, SealedRow},
    model::{
        credential::{ClientId, CredentialChange},
        event::Event,
        timestamp::Timestamp,
    },
    store::{
        error::{AppendError, ChangeError, WriteError},
        event::{
            codec::{BodyCodec, Decoder},
            prepared::Prepared,
            zstd_dictionary::Trained,
        },
        file::checkpoint::LogRoom,
        maintenance::retention::DropJob,
        write::{
            metrics::Counters,
            notify::{Arrivals, Wake},
            queue::{Queue, Weight},
        },
    },
};

/// How often to check whether there is room.
const ROOM_WAIT: Duration = Duration::from_millis(20);
/// Maximum number of full chunks that wait in memory to be sealed. Above it, senders are asked to retry, so memory is
/// bounded.
const UNSEALED_MAX: usize = 8;
/// The same bound in bytes. Eight chunks of ordinary events take two thirds of it. A sender whose events each have new
/// keys of full length and a message of new words (4 KB per event in memory) reaches it with one chunk.
const UNSEALED_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What happens to a batch that contains a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nothing of it is stored.
    AllOrNothing,
    /// The rest is stored.
    Partial,
}

/// The outcome of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Stored now.
    Stored,
    /// Stored before: the same identifier and content.
    Duplicate,
    /// Not stored: the same identifier, other content.
    Conflict,
}

/// A handle to the writer.
#[derive(Clone)]
pub struct Writer {
    pub(in crate::store) queue: Arc<Queue<Work>>,
    pub(in crate::store) index: Arc<Index>,
    pub(in crate::store) bodies: BodyCodec,
    pub(in crate::store) wake: Wake,
    pub(in crate::store) room: LogRoom,
    pub(in crate::store) counters: Arc<Counters>,
}

/// What the sealer has the writer write.
#[derive(Clone)]
pub(in crate::store) enum IndexJob {
    /// Rows of a chunk that is being sealed.
    Rows(Arc<[SealedRow]>),
    /// The chunk, all of whose rows are written.
    Sealed(Arc<SealedChunk>),
    /// A dictionary for future bodies.
    Dictionary(Arc<Trained>),
}

/// A reply that arrives with the commit.
pub struct Pending<T, E>(oneshot::Receiver<Result<T, E>>);

impl<T, E: From<WriteError>> Pending<T, E> {
    /// Waits without blocking a thread.
    pub async fn settled(self) -> Result<T, E> {
        self.0.await.unwrap_or_else(|_| Err(WriteError::Stopped.into()))
    }

    /// Blocks the thread. Not for async code.
    pub fn wait(self) -> Result<T, E> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(WriteError::Stopped.into()))
    }
}

/// Holds a request's result until the commit, and the channel to the waiting request.
pub(in crate::store) struct Reply<T, E> {
    pub(in crate::store) result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E: From<WriteError>> Reply<T, E> {
    fn new() -> (Self, Pending<T, E>) {
        let (reply, answer) = oneshot::channel();
        (Self { result: None, reply }, Pending(answer))
    }

    /// Sends the result, or `failure` instead. A request that no longer waits has been canceled.
    pub(in crate::store) fn answer(self, failure: Option<WriteError>) {
        let failed = Err(failure.unwrap_or(WriteError::Stopped).into());
        let result = if failure.is_some() { failed } else { self.result.unwrap_or(failed) };
        drop(self.reply.send(result));
    }
}

/// A job for the next transaction.
pub(in crate::store) enum Work {
    Append { batch: Vec<Prepared>, policy: Policy, slot: Reply<Vec<Outcome>, AppendError> },
    Change { change: Box<CredentialChange>, record: Box<Prepared>, slot: Reply<(), ChangeError> },
    IndexJob { upkeep: IndexJob, slot: Reply<(), WriteError> },
    Uses { uses: Vec<(ClientId, Timestamp)>, slot: Reply<(), WriteError> },
    DropJob { step: Arc<DropJob>, slot: Reply<bool, WriteError> },
}

impl Work {
    /// Replies that a damaged page prevented the job, if it is one that the other jobs do not depend on.
    pub(in crate::store) fn leave_undone(&mut self) -> bool {
        match self {
            Self::IndexJob { slot, .. } => slot.result = Some(Err(WriteError::IndexDamaged)),
            Self::DropJob { step, slot } => slot.result = Some(step.left_undone()),
            Self::Append { .. } | Self::Change { .. } | Self::Uses { .. } => return false,
        }
        true
    }

    pub(in crate::store) fn answer(self, failure: Option<WriteError>) {
        match self {
            Self::Append { slot, .. } => slot.answer(failure),
            Self::Change { slot, .. } => slot.answer(failure),
            Self::IndexJob { slot, .. } | Self::Uses { slot, .. } => slot.answer(failure),
            Self::DropJob { slot, .. } => slot.answer(failure),
        }
    }
}

impl Writer {
    /// Prepares an event for writing. This compresses its body and checks Bloom filters, so it does not belong on the
    /// writer's thread.
    pub fn prepare(&self, event: Event) -> Prepared {
        let probe = self.index.probe(&event.identifier);
        Prepared::new(event, &self.bodies, probe)
    }

    /// A prepared event as it would be served; empty if it cannot be decoded.
    pub fn body_of(&self, event: &Prepared) -> String {
        Decoder::of_own(&self.bodies).decode(&event.stored).map(Cow::into_owned).unwrap_or_default()
    }

    /// Notifications of commits from now on.
    pub fn arrivals(&self) -> Arrivals {
        self.wake.arrivals()
    }

    /// Queues events. The reply has one outcome per event, in order.
    pub fn append(
        &self,
        batch: Vec<Prepared>,
        policy: Policy,
    ) -> Result<Pending<Vec<Outcome>, AppendError>, WriteError> {
        self.push_batch(batch, policy, false)
    }

    /// Queues auditbox's own records, which may wait even if the queue is full for others.
    pub fn record(&self, batch: Vec<Prepared>) -> Result<Pending<Vec<Outcome>, AppendError>, WriteError> {
        self.push_batch(batch, Policy::Partial, true)
    }

    /// Queues a change to the credentials and its audit record. Both are stored, or neither.
    pub fn change(&self, change: CredentialChange, record: Prepared) -> Result<Pending<(), ChangeError>, WriteError> {
        let (slot, pending) = Reply::new();
        let weight = Weight { events: 1, bytes: record.bytes(), reserved: true };
        self.push(Work::Change { change: Box::new(change), record: Box::new(record), slot }, weight)?;
        Ok(pending)
    }

    /// Queues the times at which credentials were last used.
    pub fn note_uses(&self, uses: Vec<(ClientId, Timestamp)>) -> Result<Pending<(), WriteError>, WriteError> {
        let (slot, pending) = Reply::new();
        self.push(Work::Uses { uses, slot }, Weight { events: 0, bytes: 0, reserved: true })?;
        Ok(pending)
    }

    /// Queues rows of the index.
    pub(in crate::store) fn keep_up(&self, upkeep: IndexJob) -> Result<Pending<(), WriteError>, WriteError> {
        let (slot, pending) = Reply::new();
        let weight = Weight { events: 0, bytes: 0, reserved: true };
        self.push(Work::IndexJob { upkeep, slot }, weight)?;
        Ok(pending)
    }

    /// Queues a step of retention. The reply says whether it was applied.
    pub(in crate::store) fn take_step(&self, step: Arc<DropJob>) -> Result<Pending<bool, WriteError>, WriteError> {
        let (slot, pending) = Reply::new();
        let weight = Weight { events: 0, bytes: 0, reserved: true };
        self.push(Work::DropJob { step, slot }, weight)?;
        Ok(pending)
    }

    /// The dictionaries that events are compressed with.
    pub(in crate::store) fn bodies(&self) -> BodyCodec {
        self.bodies.clone()
    }

    /// Blocks the thread until enough full chunks are sealed. For bulk writers that cannot reject their input.
    pub fn wait_for_room(&self) {
        while self.is_open() && self.is_behind() {
            thread::sleep(ROOM_WAIT);
        }
    }

    /// Whether more waits in memory to be sealed than the bounds allow.
    fn is_behind(&self) -> bool {
        let (chunks, bytes) = self.index.unsealed();
        chunks > UNSEALED_MAX || bytes > UNSEALED_BYTES_MAX
    }

    /// Whether writes are accepted; the error says why not.
    pub fn check(&self) -> Result<(), WriteError> {
        if !self.is_open() {
            return Err(WriteError::Stopped);
        }
        if self.room.is_there(false) { Ok(()) } else { Err(WriteError::LogFull) }
    }

    /// Whether events would be accepted now; the error says why not.
    pub fn check_room(&self) -> Result<(), WriteError> {
        self.check()?;
        if self.is_behind() || self.queue.is_full() { Err(WriteError::QueueFull) } else { Ok(()) }
    }

    /// Whether the writer runs, even if it is full at the moment.
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
        let (slot, pending) = Reply::new();
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
