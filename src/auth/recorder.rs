//! Records the requests made to auditbox itself.
//!
//! The record of a write, successful or not, is on disk before the response is sent. The record of a read is buffered and
//! written with others a moment after the response, and so is that of a write rejected because nothing can be written. The
//! buffer is bounded: when it is full, reads wait for the writer. When the disk accepts nothing, reads do not wait, and the
//! record goes to the server log instead, so that it is not lost without a trace.

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

/// Maximum number of buffered records.
const BUFFERED_MAX: usize = 10_000;
/// Maximum size of the buffered records: a request may have a long path or user agent.
const BUFFERED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Maximum number of records in one write.
const BATCH_MAX: usize = 1_000;
/// How long records are collected before they are written: one commit for many reads.
const GATHER: Duration = Duration::from_millis(200);
/// A disk that takes longer to write a record is failing.
const WELL_WITHIN: Duration = Duration::from_millis(500);
/// How long a read waits for room in the buffer, and how often it checks. If the disk wrote nothing in this time, it is stuck.
const ROOM_WITHIN: Duration = Duration::from_secs(2);
const ROOM_POLL: Duration = Duration::from_millis(10);
/// Time between two attempts to write to a failing disk.
const RETRY: Duration = Duration::from_secs(1);

/// Records requests. Clones share one buffer.
#[derive(Clone)]
pub struct Recorder {
    policy: Record,
    writer: Writer,
    buffer: mpsc::Sender<Buffered>,
    /// Bytes of records in the buffer, or taken from it and not yet written.
    waiting_bytes: Arc<AtomicUsize>,
    /// Whether the disk is known to accept nothing. Reads do not wait for room then.
    stuck: Arc<AtomicBool>,
    closing: Arc<AtomicBool>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

enum Buffered {
    Record(Box<Prepared>),
    /// Signals the sender once everything before this is written.
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

    /// Whether writes are recorded.
    pub fn records_writes(&self) -> bool {
        self.policy != Record::Off
    }

    /// Records a request before its response.
    pub async fn record(
        &self,
        request: &SelfAuditRequest,
        status: u16,
        message: Option<&str>,
    ) -> Result<(), WriteError> {
        let record = prepare(request, status, message).ok_or(WriteError::Stopped)?;
        write(&self.writer, vec![self.writer.prepare(record)]).await
    }

    /// Records a request before its response if the disk responds in time, otherwise later.
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
        // The task continues after a timeout.
        let _ = tokio::time::timeout(WELL_WITHIN, recording).await;
    }

    /// Buffers the record of a request. Waits for room if the buffer is full.
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

    /// Buffers the record of a request without waiting for room.
    pub fn record_now(&self, request: &SelfAuditRequest, status: u16, message: Option<&str>) {
        self.buffer(prepare(request, status, message), request, status);
    }

    /// Buffers the record of a request whose response began with `status` and was interrupted.
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

    /// Puts a record in the buffer, or returns it if there is no room.
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

    /// Writes all buffered records and ends. Those that cannot be written go to the server log.
    pub async fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        let (done, flushed) = oneshot::channel();
        if self.buffer.send(Buffered::Flush(done)).await.is_ok() {
            // An error means that the task has ended.
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
                // The receiver may have stopped waiting.
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

/// Logs an invalid record, which would be a bug. It must not fail the request.
fn sound(record: Result<Event, FieldError>, request: &SelfAuditRequest, status: u16) -> Option<Event> {
    match record {
        Ok(event) => Some(event),
        Err(error) => {
            tracing::error!(%error, ?request, status, "this request could not be recorded");
            None
        }
    }
}

fn lost(request: &SelfAuditRequest, status: u16) {
    tracing::error!(?request, status, "this request could not be recorded");
}

/// Writes records, and retries while the writer may recover and the server runs. Records that cannot be written go to the
/// server log in full.
async fn write_or_log(writer: &Writer, records: Vec<Prepared>, closing: &AtomicBool) {
    while !records.is_empty() {
        match write(writer, records.clone()).await {
            Ok(()) => return,
            Err(error) if error != WriteError::Stopped && !closing.load(Ordering::Relaxed) => {
                tracing::warn!(%error, waiting = records.len(), "cannot write the records of requests yet");
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => {
                for record in &records {
                    tracing::error!(%error, record = writer.body_of(record), "this record could not be written");
                }
                return;
            }
        }
    }
}

async fn write(writer: &Writer, records: Vec<Prepared>) -> Result<(), WriteError> {
    match writer.record(records)?.settled().await {
        Err(AppendError::Write(error)) => Err(error),
        // The identifiers are new, so that a conflict cannot occur.
        Ok(_) | Err(AppendError::Conflict(_)) => Ok(()),
    }
}
