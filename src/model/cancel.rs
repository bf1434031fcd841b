//! The bounds of a running query: its deadline, and its cancellation when the client disconnects.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Why a query ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The query reached its deadline after this time.
    #[error("the query was stopped after {} seconds, the longest time it may take", .0.as_secs())]
    Deadline(Duration),
    /// The client disconnected.
    #[error("the client closed the connection while the query ran")]
    Canceled,
}

/// The bounds of one query. Cancelling one clone cancels all. A query calls [`Cancel::check`] between two pieces of its work.
#[derive(Debug, Clone)]
pub struct Cancel {
    is_canceled: Arc<AtomicBool>,
    /// When the query must end, and the time it was given.
    deadline: Option<(Instant, Duration)>,
}

impl Cancel {
    /// Bounds without a deadline.
    pub fn never() -> Self {
        Self { is_canceled: Arc::default(), deadline: None }
    }

    /// Bounds that end a query after `within`, counted from now.
    pub fn within(within: Duration) -> Self {
        Self { is_canceled: Arc::default(), deadline: Some((Instant::now() + within, within)) }
    }

    /// Ends the query at its next check.
    pub fn cancel(&self) {
        self.is_canceled.store(true, Ordering::Relaxed);
    }

    /// Cancels the query when the returned guard is dropped. This has no effect after the query has ended.
    pub fn when_dropped(&self) -> CancelGuard {
        CancelGuard(self.clone())
    }

    /// Whether the query may continue.
    pub fn check(&self) -> Result<(), Ended> {
        if self.is_canceled.load(Ordering::Relaxed) {
            return Err(Ended::Canceled);
        }
        match self.deadline {
            Some((deadline, within)) if Instant::now() >= deadline => Err(Ended::Deadline(within)),
            _ => Ok(()),
        }
    }
}

/// Cancels its query when it is dropped.
#[derive(Debug)]
pub struct CancelGuard(Cancel);

impl Drop for CancelGuard {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_ends_at_its_deadline_or_when_it_is_canceled() {
        let day = Duration::from_secs(86_400);
        let query = Cancel::within(day);
        assert_eq!(query.check(), Ok(()));
        drop(query.clone().when_dropped());
        assert_eq!(query.check(), Err(Ended::Canceled));
        assert_eq!(Cancel::within(Duration::ZERO).check(), Err(Ended::Deadline(Duration::ZERO)));
        assert_eq!(Cancel::never().check(), Ok(()));
    }
}
