//! A limit of requests in a second.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Allows a number of requests in any second, and as many at once.
pub(super) struct Rate {
    per_second: f64,
    state: Mutex<State>,
}

struct State {
    /// Requests that may come now.
    left: f64,
    at: Instant,
}

impl Rate {
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, state: Mutex::new(State { left: per_second, at: now }) }
    }

    /// Counts a request. If there are too many, it is not counted, and the error is the time until the next may come.
    pub(super) fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock();
        let since = now.saturating_duration_since(state.at).as_secs_f64();
        state.left = (state.left + since * self.per_second).min(self.per_second);
        state.at = state.at.max(now);
        if state.left >= 1.0 {
            state.left -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - state.left) / self.per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_requests_as_allowed_pass_in_a_second() {
        let start = Instant::now();
        let rate = Rate::new(10, start);
        assert_eq!((0..20).filter(|_| rate.take(start).is_ok()).count(), 10);
        assert_eq!(rate.take(start), Err(Duration::from_millis(100)));
        let later = start + Duration::from_millis(500);
        assert_eq!((0..20).filter(|_| rate.take(later).is_ok()).count(), 5);
        // Unused requests do not add up.
        let much_later = start + Duration::from_secs(60);
        assert_eq!((0..20).filter(|_| rate.take(much_later).is_ok()).count(), 10);
        assert!(rate.take(start).is_err(), "a clock that stands still allows nothing");
    }
}
