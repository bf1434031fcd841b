//! Messages that wait to be stored: bounded, and stored together.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{self, Notify},
    time::timeout,
};

/// Number of bytes from which on no more is read.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// Number of bytes that are stored together.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// The length of a message, and whether it is cut.
const PREFIX_BYTES: usize = 5;

/// The messages of a listener.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pending: Mutex<Pending>,
    arrived: Notify,
    room: Notify,
    /// Held by the reader that is next when there is room. The others wait for it in the order in which they came.
    next: sync::Mutex<()>,
    /// The number of batches that were taken.
    taken: AtomicU64,
}

#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    is_closed: bool,
}

impl Inbox {
    /// Adds a message, even if the inbox is full: its reader asks [`Inbox::has_room`] before it reads more.
    pub(super) fn add(&self, frame: &[u8], is_cut: bool) {
        push(&mut self.pending.lock().bytes, frame, is_cut);
        self.arrived.notify_one();
    }

    pub(super) fn has_room(&self) -> bool {
        self.pending.lock().bytes.len() < BYTES_MAX
    }

    /// Waits for room, in turn with other readers.
    pub(super) async fn room(&self) {
        let _next = self.next.lock().await;
        loop {
            let notified = self.room.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.has_room() {
                return;
            }
            notified.await;
        }
    }

    /// Waits for room as long as messages are stored. Returns whether there is room: not if nothing was stored for `stall`.
    pub(super) async fn room_unless_stalled(&self, stall: Duration) -> bool {
        let room = self.room();
        tokio::pin!(room);
        loop {
            let taken = self.taken.load(Ordering::Relaxed);
            if timeout(stall, &mut room).await.is_ok() {
                return true;
            }
            if self.taken.load(Ordering::Relaxed) == taken {
                return false;
            }
        }
    }

    /// No more messages come.
    pub(super) fn close(&self) {
        self.pending.lock().is_closed = true;
        self.arrived.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.pending.lock().is_closed
    }

    /// The next messages, at most `messages_max`; `None` once the inbox is closed and empty.
    pub(super) async fn take(&self, messages_max: usize) -> Option<Vec<u8>> {
        loop {
            let batch = {
                let mut pending = self.pending.lock();
                if pending.bytes.is_empty() && pending.is_closed {
                    return None;
                }
                pending.split(messages_max)
            };
            if !batch.is_empty() {
                self.taken.fetch_add(1, Ordering::Relaxed);
                self.room.notify_waiters();
                return Some(batch);
            }
            self.arrived.notified().await;
        }
    }
}

impl Pending {
    fn split(&mut self, messages_max: usize) -> Vec<u8> {
        let mut end = 0;
        for (frame, _) in messages(&self.bytes).take(messages_max) {
            end += PREFIX_BYTES + frame.len();
            if end >= BATCH_BYTES {
                break;
            }
        }
        if end == self.bytes.len() {
            return std::mem::take(&mut self.bytes);
        }
        let rest = self.bytes.split_off(end);
        std::mem::replace(&mut self.bytes, rest)
    }
}

/// Adds a message to a batch. A frame is far shorter than 4 GiB.
pub(in crate::doors) fn push(batch: &mut Vec<u8>, frame: &[u8], is_cut: bool) {
    let Ok(length) = u32::try_from(frame.len()) else { return };
    batch.extend_from_slice(&length.to_le_bytes());
    batch.push(u8::from(is_cut));
    batch.extend_from_slice(frame);
}

/// The messages of a batch, and whether each is cut.
pub(super) fn messages(mut batch: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    std::iter::from_fn(move || {
        let (length, rest) = batch.split_first_chunk()?;
        let (is_cut, rest) = rest.split_first()?;
        let (frame, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        batch = rest;
        Some((frame, *is_cut != 0))
    })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn take(inbox: &Inbox) -> Option<Vec<u8>> {
        inbox.take(2).now_or_never().unwrap()
    }

    #[test]
    fn messages_are_taken_in_order_and_in_batches() {
        let inbox = Inbox::default();
        for frame in ["a", "", "ccc"] {
            inbox.add(frame.as_bytes(), frame.is_empty());
        }
        inbox.close();
        let batch = take(&inbox).unwrap();
        assert_eq!(messages(&batch).collect::<Vec<_>>(), [(&b"a"[..], false), (b"", true)]);
        let batch = take(&inbox).unwrap();
        assert_eq!(messages(&batch).collect::<Vec<_>>(), [(&b"ccc"[..], false)]);
        assert!(take(&inbox).is_none());
    }
}
