//! The writer's handle.
//!
//! Only waiting for a reply waits for the disk. What cannot be accepted is rejected at once.

use std::{fs, sync::Arc, thread, time::Duration};

use crate::{
    index::{Index, TermCache},
    model::{
        credential::{ClientId, CredentialChange},
        event::Event,
        timestamp::Timestamp,
    },
    store::{
        error::{AppendError, ChangeError, WriteError},
        event::{codec::BodyCodec, prepared::Prepared},
        file::checkpoint::WalRoom,
        write::{
            append::{Append, Outcome, Policy},
            credential_change::ChangeCredential,
            job::{self, Job, Pending, QueuedJob},
            last_used::RecordUses,
            metrics::{Counters, StoreMetrics},
            notify::{Arrivals, Wake},
            preparer::Preparer,
            queue::Queue,
        },
    },
};

/// How long a job of the server itself waits before it is submitted again.
const RETRY: Duration = Duration::from_millis(500);
/// How often to check whether there is room.
const ROOM_WAIT: Duration = Duration::from_millis(20);
/// Maximum number of full chunks that wait in memory to be sealed. Above it, senders are asked to retry, so memory is
/// bounded.
const UNSEALED_MAX: usize = 8;
/// The same bound in bytes. Eight chunks of ordinary events take two thirds of it. A sender whose events each have new
/// keys of full length and a message of new words (4 KB per event in memory) reaches it with one chunk.
const UNSEALED_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A handle to the writer.
#[derive(Clone)]
pub struct Writer {
    pub(in crate::store) queue: Arc<Queue<Box<dyn QueuedJob>>>,
    pub(in crate::store) index: Arc<Index>,
    pub(in crate::store) bodies: BodyCodec,
    pub(in crate::store) terms: Arc<TermCache>,
    pub(in crate::store) wake: Wake,
    pub(in crate::store) room: WalRoom,
    pub(in crate::store) counters: Arc<Counters>,
}

impl Writer {
    /// Prepares an event for writing. This compresses its body, checks Bloom filters and looks up terms, so it does not
    /// belong on the writer's thread.
    pub fn prepare(&self, event: Event) -> Prepared {
        let probe = self.index.probe(&event.identifier);
        let known = self.terms.known(&event.values);
        Prepared::new(event, &self.bodies, probe, known)
    }

    /// Prepares the events of one request together.
    pub fn preparer(&self) -> Preparer {
        Preparer::new(self)
    }

    /// A prepared event as it would be served; empty if it cannot be decoded.
    pub fn body_of(&self, event: &Prepared) -> String {
        event.body(&self.bodies).unwrap_or_default()
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
        if self.is_behind() {
            return Err(WriteError::QueueFull);
        }
        self.submit(Append { batch, policy, reserved: false })
    }

    /// Queues auditbox's own records, which may wait even if the queue is full for others.
    pub fn record(&self, batch: Vec<Prepared>) -> Result<Pending<Vec<Outcome>, AppendError>, WriteError> {
        self.submit(Append { batch, policy: Policy::Partial, reserved: true })
    }

    /// Queues a change to the credentials and its audit record. Both are stored, or neither.
    pub fn change(&self, change: CredentialChange, record: Prepared) -> Result<Pending<(), ChangeError>, WriteError> {
        self.submit(ChangeCredential { change, record })
    }

    /// Queues the times at which credentials were last used.
    pub fn note_uses(&self, uses: Vec<(ClientId, Timestamp)>) -> Result<Pending<(), WriteError>, WriteError> {
        self.submit(RecordUses(uses))
    }

    /// Queues a job of any kind.
    pub(in crate::store) fn submit<J: Job>(&self, job: J) -> Result<Pending<J::Output, J::Error>, WriteError> {
        let weight = job.weight();
        if !self.room.is_there(weight.reserved) {
            return Err(WriteError::WalFull);
        }
        let (queued, pending) = job::queued(job);
        self.queue.push(queued, weight)?;
        Ok(pending)
    }

    /// Submits a job and waits for its reply. Retries after errors from which the writer may recover, until `is_stopping`.
    /// Returns only the errors `Stopped` and `IndexDamaged`.
    pub(in crate::store) fn submit_until_done<J: Job<Error = WriteError> + Clone>(
        &self,
        job: &J,
        is_stopping: impl Fn() -> bool,
    ) -> Result<J::Output, WriteError> {
        while !is_stopping() {
            match self.submit(job.clone()).and_then(Pending::wait) {
                Err(error) if !matches!(error, WriteError::Stopped | WriteError::IndexDamaged) => {
                    tracing::warn!(%error, "a write of the server itself failed, and will be retried");
                    thread::sleep(RETRY);
                }
                done => return done,
            }
        }
        Err(WriteError::Stopped)
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
        if self.room.is_there(false) { Ok(()) } else { Err(WriteError::WalFull) }
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

    /// The state of the store. Asks the file system for the size of the file, so it may block.
    pub fn metrics(&self) -> StoreMetrics {
        let (queue_events, queue_bytes) = self.queue.waiting();
        let (unsealed_chunks, unsealed_bytes) = self.index.unsealed();
        StoreMetrics {
            accepts_writes: self.check().is_ok(),
            events: self.index.events(),
            queue_events: queue_events as u64,
            queue_bytes: queue_bytes as u64,
            file_bytes: fs::metadata(self.counters.path()).ok().map(|metadata| metadata.len()),
            wal_bytes: self.room.bytes(),
            unsealed_chunks: unsealed_chunks as u64,
            unsealed_bytes: unsealed_bytes as u64,
            fields: self.index.lacking(),
            ..self.counters.read()
        }
    }
}
