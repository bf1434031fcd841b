//! The record of requests made to auditbox itself.
//!
//! What changes something, or was meant to, is on disk before its answer goes out. A read is answered first: its record
//! is buffered, and written with others a moment later. The buffer is bounded. Where it is full because the disk takes
//! nothing, the record goes to the program's own log instead, whole, so that it is not lost without a trace.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    model::own::{OwnRequest, Record},
    store::{AppendError, Prepared, WriteError, Writer},
};

/// Records that may wait in the buffer.
const BUFFERED_MAX: usize = 10_000;
/// Records written in one go.
const BATCH_MAX: usize = 1_000;
/// How long records of reads gather before they are written: one commit for many reads.
const GATHER: Duration = Duration::from_millis(200);
/// How long until a disk that took nothing is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A handle to the record.
#[derive(Clone)]
pub struct Recorder {
    policy: Record,
    writer: Writer,
    buffer: mpsc::Sender<Buffered>,
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
        let task = tokio::spawn(write_buffered(writer.clone(), buffered));
        Self { policy, writer, buffer, task: Arc::new(Mutex::new(Some(task))) }
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
    pub async fn record(&self, request: &OwnRequest, status: u16, message: Option<&str>) -> Result<(), WriteError> {
        let Some(record) = prepare(request, status, message) else {
            return Ok(());
        };
        match self.writer.record(vec![record])?.settled().await {
            Ok(_) => Ok(()),
            Err(AppendError::Write(error)) => Err(error),
            Err(AppendError::Conflict { .. }) => Err(WriteError::Stopped),
        }
    }

    /// Puts a request on the record shortly after it is answered.
    pub fn record_soon(&self, request: &OwnRequest, status: u16, message: Option<&str>) {
        let Some(record) = prepare(request, status, message) else {
            return;
        };
        if self.buffer.try_send(Buffered::Record(Box::new(record))).is_err() {
            tracing::error!(?request, status, "this request could not be put on the record");
        }
    }

    /// Writes what is buffered.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.buffer.send(Buffered::Flush(done)).await.is_ok() {
            drop(flushed.await);
        }
    }

    /// Writes what is buffered and records no more.
    pub async fn close(&self) {
        self.flush().await;
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
        }
    }
}

/// A record that its own rules refuse would be a mistake in this program; it must not take the request with it.
fn prepare(request: &OwnRequest, status: u16, message: Option<&str>) -> Option<Prepared> {
    match request.event(status, message) {
        Ok(event) => Some(Prepared::new(event)),
        Err(error) => {
            tracing::error!(%error, ?request, status, "this request could not be put on the record");
            None
        }
    }
}

async fn write_buffered(writer: Writer, mut buffered: mpsc::Receiver<Buffered>) {
    let mut arrived = Vec::with_capacity(BATCH_MAX);
    while buffered.recv_many(&mut arrived, BATCH_MAX).await > 0 {
        let (mut records, mut flushed) = (Vec::with_capacity(arrived.len()), Vec::new());
        for item in arrived.drain(..) {
            match item {
                Buffered::Record(record) => records.push(*record),
                Buffered::Flush(done) => flushed.push(done),
            }
        }
        write(&writer, records, flushed.is_empty()).await;
        let must_hurry = !flushed.is_empty();
        for done in flushed {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
        if !must_hurry {
            tokio::time::sleep(GATHER).await;
        }
    }
}

/// Writes records, trying again for as long as the writer may recover and nobody waits for the end.
async fn write(writer: &Writer, records: Vec<Prepared>, patient: bool) {
    if records.is_empty() {
        return;
    }
    loop {
        let outcome = match writer.record(records.clone()) {
            Ok(pending) => pending.settled().await.map(drop),
            Err(error) => Err(error.into()),
        };
        match outcome {
            Err(AppendError::Write(error)) if patient && error != WriteError::Stopped => {
                tracing::warn!(%error, "records of requests wait to be written");
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => {
                tracing::error!(%error, lost = records.len(), "records of requests could not be written");
                return;
            }
            Ok(()) => return,
        }
    }
}
