//! Jobs that wait to be written.
//!
//! HTTP workers push, and the writer's thread takes. The queue is bounded by events and by bytes. A full queue rejects
//! a request at once, and the sender retries. auditbox's own records go into a reserve above the bound, so that a
//! request that was rejected because the queue is full still has an audit record.

use std::{collections::VecDeque, time::Duration};

use parking_lot::{Condvar, Mutex};

use crate::store::error::WriteError;

/// Limits on what waits.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// Maximum number of events.
    pub events_max: usize,
    /// Maximum memory that they hold, in bytes.
    pub bytes_max: usize,
}

/// Number of own records that may wait in addition to the limits.
const RESERVE_EVENTS: usize = 10_000;
/// Maximum number of events in one transaction. Bounds how long small batches wait behind large ones.
const TRANSACTION_EVENTS_MAX: usize = 10_000;

/// What a job counts for, and whether it may use the reserve.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Weight {
    pub(in crate::store) events: usize,
    pub(in crate::store) bytes: usize,
    pub(in crate::store) reserved: bool,
}

impl Weight {
    /// A job of the server itself that stores no event.
    pub(in crate::store) const RESERVED: Self = Self { events: 0, bytes: 0, reserved: true };
}

pub(in crate::store) struct Queue<T> {
    limits: QueueLimits,
    state: Mutex<QueueState<T>>,
    arrived: Condvar,
}

struct QueueState<T> {
    waiting: VecDeque<(T, Weight)>,
    events: usize,
    bytes: usize,
    closed: bool,
}

impl<T> Queue<T> {
    pub(in crate::store) fn new(limits: QueueLimits) -> Self {
        let state = QueueState { waiting: VecDeque::new(), events: 0, bytes: 0, closed: false };
        Self { limits, state: Mutex::new(state), arrived: Condvar::new() }
    }

    /// Adds a job at the end.
    pub(in crate::store) fn push(&self, job: T, weight: Weight) -> Result<(), WriteError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(WriteError::Stopped);
        }
        let reserve = if weight.reserved { RESERVE_EVENTS } else { 0 };
        // A request has its own size limit; alone it always fits.
        let fits = state.waiting.is_empty()
            || (state.events + weight.events <= self.limits.events_max + reserve
                && (weight.reserved || state.bytes + weight.bytes <= self.limits.bytes_max));
        if !fits {
            return Err(WriteError::QueueFull);
        }
        state.events += weight.events;
        state.bytes += weight.bytes;
        state.waiting.push_back((job, weight));
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// The number of events that wait, and the memory that they hold in bytes.
    pub(in crate::store) fn waiting(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.events, state.bytes)
    }

    /// Whether the queue would reject any job except the server's own records.
    pub(in crate::store) fn is_full(&self) -> bool {
        let state = self.state.lock();
        state.events >= self.limits.events_max || state.bytes >= self.limits.bytes_max
    }

    /// Takes the jobs that wait, at most one transaction of them. Waits at most `wait` for the first, and returns an
    /// empty list if none came. `None` means that the queue is closed and empty.
    pub(in crate::store) fn take(&self, wait: Duration) -> Option<Vec<T>> {
        let mut state = self.state.lock();
        if state.waiting.is_empty() && !state.closed {
            self.arrived.wait_for(&mut state, wait);
        }
        if state.waiting.is_empty() && state.closed {
            return None;
        }
        let (mut taken, mut events) = (Vec::with_capacity(state.waiting.len()), 0);
        while let Some((job, weight)) = state.waiting.pop_front() {
            state.events -= weight.events;
            state.bytes -= weight.bytes;
            events += weight.events;
            taken.push(job);
            if events >= TRANSACTION_EVENTS_MAX {
                break;
            }
        }
        Some(taken)
    }

    /// Rejects further jobs. Those that wait can still be taken.
    pub(in crate::store) fn close(&self) {
        self.state.lock().closed = true;
        self.arrived.notify_all();
    }

    /// Rejects further jobs and drops those that wait. Their senders learn that nothing was written.
    pub(in crate::store) fn abandon(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.waiting.clear();
        drop(state);
        self.arrived.notify_all();
    }

    pub(in crate::store) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}
