//! What the writer is asked to do, and by whom it is asked: the handle, the queue's items, and the answers' way back.
//!
//! Nothing here waits for the disk but who asks for an answer and waits for it. What cannot be taken is refused at once.

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
        AppendError, ChangeError, Prepared, WriteError,
        body::{Bodies, Decoder},
        checkpoint::LogRoom,
        dictionary::Trained,
        metrics::Counters,
        queue::{Queue, Weight},
        retention::Step,
        wake::{Arrivals, Wake},
    },
};

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
    pub(super) queue: Arc<Queue<Work>>,
    pub(super) index: Arc<Index>,
    pub(super) bodies: Bodies,
    pub(super) wake: Wake,
    pub(super) room: LogRoom,
    pub(super) counters: Arc<Counters>,
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
pub(super) struct Slot<T, E> {
    pub(super) result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E: From<WriteError>> Slot<T, E> {
    fn new() -> (Self, Pending<T, E>) {
        let (reply, answer) = oneshot::channel();
        (Self { result: None, reply }, Pending(answer))
    }

    /// Gives the answer; with `failure`, that one instead. Somebody who no longer waits has gone away.
    pub(super) fn answer(self, failure: Option<WriteError>) {
        let failed = Err(failure.unwrap_or(WriteError::Stopped).into());
        let result = if failure.is_some() { failed } else { self.result.unwrap_or(failed) };
        drop(self.reply.send(result));
    }
}

/// Something to be done in the next transaction.
pub(super) enum Work {
    Append { batch: Vec<Prepared>, policy: Policy, slot: Slot<Vec<Outcome>, AppendError> },
    Change { change: Box<CredentialChange>, record: Box<Prepared>, slot: Slot<(), ChangeError> },
    Upkeep { upkeep: Upkeep, slot: Slot<(), WriteError> },
    Uses { uses: Vec<(ClientId, Timestamp)>, slot: Slot<(), WriteError> },
    Step { step: Arc<Step>, slot: Slot<bool, WriteError> },
}

impl Work {
    /// Answers that a damaged page has kept it from being done, if it is of those that the rest can go on without.
    pub(super) fn leave_undone(&mut self) -> bool {
        match self {
            Self::Upkeep { slot, .. } => slot.result = Some(Err(WriteError::IndexDamaged)),
            Self::Step { step, slot } => slot.result = Some(step.left_undone()),
            Self::Append { .. } | Self::Change { .. } | Self::Uses { .. } => return false,
        }
        true
    }

    pub(super) fn answer(self, failure: Option<WriteError>) {
        match self {
            Self::Append { slot, .. } => slot.answer(failure),
            Self::Change { slot, .. } => slot.answer(failure),
            Self::Upkeep { slot, .. } | Self::Uses { slot, .. } => slot.answer(failure),
            Self::Step { slot, .. } => slot.answer(failure),
        }
    }
}

impl Writer {
    /// Makes an event ready to be written. This costs time (its body is compressed, and filters are asked): not for the
    /// writer's thread.
    pub fn prepare(&self, event: Event) -> Prepared {
        let glance = self.index.glance(&event.identifier);
        Prepared::new(event, &self.bodies, glance)
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

    /// Queues that credentials were last used at these times.
    pub fn note_uses(&self, uses: Vec<(ClientId, Timestamp)>) -> Result<Pending<(), WriteError>, WriteError> {
        let (slot, pending) = Slot::new();
        self.push(Work::Uses { uses, slot }, Weight { events: 0, bytes: 0, reserved: true })?;
        Ok(pending)
    }

    /// Queues upkeep of the index.
    pub(super) fn keep_up(&self, upkeep: Upkeep) -> Result<Pending<(), WriteError>, WriteError> {
        let (slot, pending) = Slot::new();
        let weight = Weight { events: 0, bytes: 0, reserved: true };
        self.push(Work::Upkeep { upkeep, slot }, weight)?;
        Ok(pending)
    }

    /// Queues a step of retention. The answer says whether it was done.
    pub(super) fn take_step(&self, step: Arc<Step>) -> Result<Pending<bool, WriteError>, WriteError> {
        let (slot, pending) = Slot::new();
        let weight = Weight { events: 0, bytes: 0, reserved: true };
        self.push(Work::Step { step, slot }, weight)?;
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
