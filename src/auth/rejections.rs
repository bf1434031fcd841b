//! Logs rejected logins: a few lines and a count of the rest, so that clients cannot fill the server log.

use std::{
    collections::HashSet,
    net::IpAddr,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Within this time, one line counts all rejections that have no separate line.
const WINDOW: Duration = Duration::from_secs(60);
/// Maximum number of separate lines in a window, for the first rejection of each address and credential.
const LINES_MAX: usize = 20;

/// The rejections of the current window.
#[derive(Default)]
pub(super) struct Rejections(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    ends: Option<Instant>,
    /// Addresses and credentials that had a line.
    named: HashSet<(IpAddr, Option<String>)>,
    /// Number of rejections without a line, and the address of the last.
    more: u64,
    last: Option<IpAddr>,
}

impl Rejections {
    /// Logs or counts a rejected login. `credential` is the name of the credential with its client id, if there is one.
    pub(super) fn add(&self, address: IpAddr, credential: Option<&str>, reason: &str, now: Instant) {
        self.report_ended(now);
        if self.0.lock().has_line(address, credential, now) {
            let credential = credential.unwrap_or("unknown");
            tracing::warn!(rejected = 1, %address, credential, reason, "a login was rejected");
        }
    }

    /// Logs the count of the window, if it has ended.
    pub(super) fn report_ended(&self, now: Instant) {
        let ended = self.0.lock().take_ended(now);
        if let Some(ended) = ended {
            ended.report();
        }
    }
}

impl Recent {
    /// Whether this rejection gets a separate line. If not, it is counted.
    fn has_line(&mut self, address: IpAddr, credential: Option<&str>, now: Instant) -> bool {
        self.ends.get_or_insert(now + WINDOW);
        if self.named.len() < LINES_MAX && self.named.insert((address, credential.map(str::to_owned))) {
            return true;
        }
        (self.more, self.last) = (self.more + 1, Some(address));
        false
    }

    fn take_ended(&mut self, now: Instant) -> Option<Self> {
        self.ends.is_some_and(|ends| ends <= now).then(|| std::mem::take(self))
    }

    fn report(&self) {
        if let Some(last) = self.last {
            let (rejected, seconds) = (self.more, WINDOW.as_secs());
            tracing::warn!(rejected, last_address = %last, "more logins were rejected within {seconds} seconds");
        }
    }
}

impl Drop for Rejections {
    fn drop(&mut self) {
        self.0.lock().report();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_has_a_line_and_the_rest_is_counted_once_a_window() {
        let (mut recent, start) = (Recent::default(), Instant::now());
        let address = |last: u32| IpAddr::V4(last.into());
        assert!(recent.has_line(address(1), Some("ci"), start));
        assert!(!recent.has_line(address(1), Some("ci"), start));
        assert!(recent.has_line(address(1), None, start));
        let lines = (2..1_000).filter(|last| recent.has_line(address(*last), None, start)).count();
        assert_eq!(lines, LINES_MAX - 2);
        assert!(recent.take_ended(start + WINDOW / 2).is_none());
        let ended = recent.take_ended(start + WINDOW).unwrap();
        assert_eq!((ended.more, ended.last), (1_001 - LINES_MAX as u64, Some(address(999))));
        assert!(recent.take_ended(start + 2 * WINDOW).is_none());
        assert!(recent.has_line(address(1), Some("ci"), start + WINDOW));
    }
}
