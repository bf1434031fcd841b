//! What waits to be written.
//!
//! HTTP workers push, the writer's thread takes. The queue is bounded by events and by bytes; who finds it full is told
//! so at once, and asked to send again. auditbox's own records go into a reserve above the bound: a request that was
//! refused because the queue is full must still come on the record.

use std::{collections::VecDeque, time::Duration};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::store::error::WriteError;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// Events.
    pub events_max: usize,
    /// Bytes of memory that they hold.
    pub bytes_max: usize,
}

/// Own records that may wait beyond the limits.
const RESERVE_EVENTS: usize = 10_000;
/// Events in one transaction, at most: bounds how long the writers of small batches wait behind large ones.
const TRANSACTION_EVENTS_MAX: usize = 10_000;

/// What a piece of work weighs, and whether it may use the reserve.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Weight {
    pub(in crate::store) events: usize,
    pub(in crate::store) bytes: usize,
    pub(in crate::store) reserved: bool,
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

    /// Puts `work` at the end.
    pub(in crate::store) fn push(&self, work: T, weight: Weight) -> Result<(), WriteError> {
        let mut state = self.state();
        if state.closed {
            return Err(WriteError::Stopped);
        }
        let reserve = if weight.reserved { RESERVE_EVENTS } else { 0 };
        // Work is bounded by itself; alone it always fits.
        let fits = state.waiting.is_empty()
            || (state.events + weight.events <= self.limits.events_max + reserve
                && (weight.reserved || state.bytes + weight.bytes <= self.limits.bytes_max));
        if !fits {
            return Err(WriteError::QueueFull);
        }
        state.events += weight.events;
        state.bytes += weight.bytes;
        state.waiting.push_back((work, weight));
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Events that wait, and the bytes of memory that they hold.
    pub(in crate::store) fn waiting(&self) -> (usize, usize) {
        let state = self.state();
        (state.events, state.bytes)
    }

    /// Whether nothing more would be let in, whatever its weight, but the server's own records.
    pub(in crate::store) fn is_full(&self) -> bool {
        let state = self.state();
        state.events >= self.limits.events_max || state.bytes >= self.limits.bytes_max
    }

    /// Takes everything that waits, up to a transaction's worth, waiting for so long until there is something; nothing if
    /// nothing came. `None` means that the queue is closed and empty.
    pub(in crate::store) fn take(&self, wait: Duration) -> Option<Vec<T>> {
        let mut state = self.state();
        if state.waiting.is_empty() && !state.closed {
            self.arrived.wait_for(&mut state, wait);
        }
        if state.waiting.is_empty() && state.closed {
            return None;
        }
        let (mut taken, mut events) = (Vec::with_capacity(state.waiting.len()), 0);
        while let Some((work, weight)) = state.waiting.pop_front() {
            state.events -= weight.events;
            state.bytes -= weight.bytes;
            events += weight.events;
            taken.push(work);
            if events >= TRANSACTION_EVENTS_MAX {
                break;
            }
        }
        Some(taken)
    }

    /// Lets nothing more in. What waits stays to be taken.
    pub(in crate::store) fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_all();
    }

    /// Lets nothing more in and drops what waits: whoever waits for it learns that it was not written.
    pub(in crate::store) fn abandon(&self) {
        let mut state = self.state();
        state.closed = true;
        state.waiting.clear();
        drop(state);
        self.arrived.notify_all();
    }

    pub(in crate::store) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Nothing here panics while it holds the lock, and the state is whole at every step.
    fn state(&self) -> MutexGuard<'_, QueueState<T>> {
        self.state.lock()
    }
}
