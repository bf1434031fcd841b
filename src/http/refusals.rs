//! Logs requests that were rejected for lack of capacity: one line a minute for each cause and a count of the rest, since
//! clients may send such requests at any rate.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

const WINDOW: Duration = Duration::from_secs(60);
/// Maximum number of separate causes. Further ones are only counted.
const CAUSES_MAX: usize = 50;
const OTHER: &str = "another cause";

static RECENT: Mutex<Option<Recent>> = Mutex::new(None);

#[derive(Default)]
struct Recent(HashMap<String, Repeated>);

struct Repeated {
    ends: Instant,
    more: u64,
}

/// Whether a rejection gets a separate line. If not, it is counted.
pub(super) fn has_line(cause: &str) -> bool {
    RECENT.lock().get_or_insert_default().has_line(cause, Instant::now())
}

/// Logs the counts of causes whose minute has ended, or of all.
pub fn report_refusals(all: bool) {
    let now = if all { Instant::now() + WINDOW } else { Instant::now() };
    let ended = RECENT.lock().as_mut().map(|recent| recent.take_ended(now)).unwrap_or_default();
    for (cause, refused) in ended {
        let seconds = WINDOW.as_secs();
        tracing::warn!(refused, cause, "more requests were rejected within {seconds} seconds");
    }
}

impl Recent {
    fn has_line(&mut self, cause: &str, now: Instant) -> bool {
        let ends = now + WINDOW;
        if let Some(known) = self.0.get_mut(cause) {
            known.more += 1;
            false
        } else if self.0.len() < CAUSES_MAX {
            self.0.insert(cause.to_owned(), Repeated { ends, more: 0 });
            true
        } else {
            self.0.entry(OTHER.to_owned()).or_insert(Repeated { ends, more: 0 }).more += 1;
            false
        }
    }

    fn take_ended(&mut self, now: Instant) -> Vec<(String, u64)> {
        let ended = self.0.extract_if(|_, repeated| repeated.ends <= now);
        ended.filter(|(_, repeated)| repeated.more > 0).map(|(cause, repeated)| (cause, repeated.more)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_a_line_a_minute_and_the_rest_is_counted() {
        let (mut recent, start) = (Recent::default(), Instant::now());
        assert!(recent.has_line("full", start) && recent.has_line("busy", start));
        assert!(!recent.has_line("full", start) && !recent.has_line("full", start));
        assert!(recent.take_ended(start + WINDOW / 2).is_empty());
        assert_eq!(recent.take_ended(start + WINDOW), [("full".to_owned(), 2)]);
        assert!(recent.has_line("full", start + WINDOW));
        let lines = (0..1_000).filter(|n| recent.has_line(&n.to_string(), start)).count();
        assert_eq!((lines, recent.0.len()), (CAUSES_MAX - 1, CAUSES_MAX + 1));
    }
}
