//! The record of requests made to auditbox itself.
//!
//! What changes something, or was meant to, is on disk before its answer goes out. A read is answered first, and so is who
//! is sent away because nothing can be written: the record is buffered, and written with others a moment later. The buffer
//! is bounded: where it is full, reads wait until the writer has caught up. Where it is full because the disk takes nothing,
//! they do not, and the record goes to the program's own log instead, so that it is not lost without a trace.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    model::{
        error::FieldError,
        event::Event,
        self_audit::{Record, SelfAuditRequest},
    },
    store::{AppendError, Prepared, WriteError, Writer},
};

/// Records that may wait in the buffer.
const BUFFERED_MAX: usize = 10_000;
/// Bytes of records that may wait in it: what a request says of itself may be long.
const BUFFERED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Records written in one go.
const BATCH_MAX: usize = 1_000;
/// How long records of reads gather before they are written: one commit for many reads.
const GATHER: Duration = Duration::from_millis(200);
/// A disk that takes longer to write a record is not well.
const WELL_WITHIN: Duration = Duration::from_millis(500);
/// How long a read waits for room in the buffer, and how often it looks. A disk that has taken nothing for so long is stuck.
const ROOM_WITHIN: Duration = Duration::from_secs(2);
const ROOM_POLL: Duration = Duration::from_millis(10);
/// How long until a disk that took nothing is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A handle to the record.
#[derive(Clone)]
pub struct Recorder {
    policy: Record,
    writer: Writer,
    buffer: mpsc::Sender<Buffered>,
    /// Bytes of what is in the buffer, or taken from it and not yet written.
    waiting_bytes: Arc<AtomicUsize>,
    /// Whether the disk takes nothing, as far as is known: nobody waits for room meanwhile.
    stuck: Arc<AtomicBool>,
    closing: Arc<AtomicBool>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

enum Buffered {
    Record(Box<Prepared>),
    /// Everything before this is to be written; then the sender is told.
    Flush(oneshot::Sender<()>),
}

impl Recorder {
    /// Starts recording; must be called within a Tokio runtime.
    pub fn start(writer: Writer, policy: Record) -> Self {
        let (buffer, buffered) = mpsc::channel(BUFFERED_MAX);
        let closing = Arc::new(AtomicBool::new(false));
        let (waiting_bytes, stuck) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let recorder = Self { policy, writer, buffer, waiting_bytes, stuck, closing, task: Arc::new(Mutex::new(None)) };
        let task = tokio::spawn(recorder.clone().write_buffered(buffered));
        *recorder.task.lock() = Some(task);
        recorder
    }

    /// Whether reads are recorded.
    pub fn records_reads(&self) -> bool {
        self.policy == Record::All
    }

    /// Whether attempts to change something are recorded.
    pub fn records_writes(&self) -> bool {
        self.policy != Record::Off
    }

    /// Puts a request on the record before it is answered.
    pub async fn record(
        &self,
        request: &SelfAuditRequest,
        status: u16,
        message: Option<&str>,
    ) -> Result<(), WriteError> {
        let record = prepare(request, status, message).ok_or(WriteError::Stopped)?;
        write(&self.writer, vec![self.writer.prepare(record)]).await
    }

    /// Puts a request on the record before it is answered, if the disk is well; otherwise when it is again.
    pub async fn record_if_well(&self, request: &SelfAuditRequest, status: u16, message: Option<&str>) {
        let Some(record) = prepare(request, status, message) else {
            return;
        };
        let (recorder, request, record) = (self.clone(), request.clone(), self.writer.prepare(record));
        let recording = tokio::spawn(async move {
            let is_written = write(&recorder.writer, vec![record.clone()]).await.is_ok();
            if !is_written && recorder.try_buffer(Box::new(record)).is_err() {
                lost(&request, status);
            }
        });
        // It goes on in any case.
        let _ = tokio::time::timeout(WELL_WITHIN, recording).await;
    }

    /// Puts a request on the record shortly after it is answered. Waits for room where there is none.
    pub async fn record_soon(&self, request: &SelfAuditRequest, status: u16, message: Option<&str>) {
        let Some(record) = prepare(request, status, message) else {
            return;
        };
        let mut record = Box::new(self.writer.prepare(record));
        let until = Instant::now() + ROOM_WITHIN;
        while let Err(refused) = self.try_buffer(record) {
            if self.stuck.load(Ordering::Relaxed) || Instant::now() >= until {
                self.stuck.store(true, Ordering::Relaxed);
                lost(request, status);
                return;
            }
            record = refused;
            tokio::time::sleep(ROOM_POLL).await;
        }
    }

    /// The same for whoever cannot wait.
    pub fn record_now(&self, request: &SelfAuditRequest, status: u16, message: Option<&str>) {
        self.buffer(prepare(request, status, message), request, status);
    }

    /// Puts a request on the record whose answer began with `status` and broke off.
    pub fn record_broken(&self, request: &SelfAuditRequest, status: u16, message: &str) {
        self.buffer(sound(request.broken_event(status, message), request, status), request, status);
    }

    fn buffer(&self, record: Option<Event>, request: &SelfAuditRequest, status: u16) {
        let Some(record) = record else {
            return;
        };
        if self.try_buffer(Box::new(self.writer.prepare(record))).is_err() {
            lost(request, status);
        }
    }

    /// Puts a record in the buffer, or gives it back where there is no room.
    fn try_buffer(&self, record: Box<Prepared>) -> Result<(), Box<Prepared>> {
        let bytes = record.bytes();
        let fits = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= BUFFERED_BYTES_MAX;
        let place = self.buffer.try_reserve().ok().filter(|_| fits);
        match place {
            Some(place) => {
                place.send(Buffered::Record(record));
                Ok(())
            }
            None => {
                self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
                Err(record)
            }
        }
    }

    /// Writes what is buffered and records no more. What cannot be written now goes to the program's log.
    pub async fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        let (done, flushed) = oneshot::channel();
        if self.buffer.send(Buffered::Flush(done)).await.is_ok() {
            // The task may have broken down; there is nothing more to wait for then.
            let _ = flushed.await;
        }
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.abort();
        }
    }

    async fn write_buffered(self, mut buffered: mpsc::Receiver<Buffered>) {
        let mut arrived = Vec::with_capacity(BATCH_MAX);
        while buffered.recv_many(&mut arrived, BATCH_MAX).await > 0 {
            let is_full = arrived.len() == BATCH_MAX;
            let (mut records, mut flushed) = (Vec::with_capacity(arrived.len()), Vec::new());
            for item in arrived.drain(..) {
                match item {
                    Buffered::Record(record) => records.push(*record),
                    Buffered::Flush(done) => flushed.push(done),
                }
            }
            let bytes = records.iter().map(Prepared::bytes).sum();
            write_or_log(&self.writer, records, &self.closing).await;
            self.stuck.store(false, Ordering::Relaxed);
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            for done in flushed {
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
            }
            if !is_full && !self.closing.load(Ordering::Relaxed) {
                tokio::time::sleep(GATHER).await;
            }
        }
    }
}

fn prepare(request: &SelfAuditRequest, status: u16, message: Option<&str>) -> Option<Event> {
    sound(request.event(status, message), request, status)
}

/// A record that its own rules refuse would be a mistake in this program; it must not take the request with it.
fn sound(record: Result<Event, FieldError>, request: &SelfAuditRequest, status: u16) -> Option<Event> {
    match record {
        Ok(event) => Some(event),
        Err(error) => {
            tracing::error!(%error, ?request, status, "this request could not be put on the record");
            None
        }
    }
}

fn lost(request: &SelfAuditRequest, status: u16) {
    tracing::error!(?request, status, "this request could not be put on the record");
}

/// Writes records of reads, trying again for as long as the writer may recover and the server goes on. Those that cannot
/// be written go to the program's log, whole.
async fn write_or_log(writer: &Writer, records: Vec<Prepared>, closing: &AtomicBool) {
    while !records.is_empty() {
        match write(writer, records.clone()).await {
            Ok(()) => return,
            Err(error) if error != WriteError::Stopped && !closing.load(Ordering::Relaxed) => {
                tracing::warn!(%error, waiting = records.len(), "records of requests wait to be written");
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => {
                for record in &records {
                    tracing::error!(%error, record = writer.body_of(record), "this could not be put on the record");
                }
                return;
            }
        }
    }
}

async fn write(writer: &Writer, records: Vec<Prepared>) -> Result<(), WriteError> {
    match writer.record(records)?.settled().await {
        Err(AppendError::Write(error)) => Err(error),
        // Identifiers are made here and never meet another.
        Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
    }
}
