//! Timings: the median, the 99th percentile and the maximum.

use std::time::{Duration, Instant};

use serde::Serialize;

/// The figures of one measurement, in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Timing {
    /// The number of runs: fewer than requested if the time ran out.
    pub(crate) times: usize,
    pub(crate) median_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) longest_ms: f64,
}

/// Maximum number of runs.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) times: usize,
    /// No further runs after this time, if there are at least a few.
    pub(crate) within: Duration,
}

/// Minimum number of runs.
const TIMES_MIN: usize = 3;
/// One unmeasured run at the start for this many measured ones.
const WARM_UP_SHARE: usize = 10;

impl Effort {
    pub(crate) const fn new(times: usize, within_seconds: u64) -> Self {
        Self { times, within: Duration::from_secs(within_seconds) }
    }

    /// Measures `ask`, which receives the number of the run.
    pub(crate) fn measure(self, mut ask: impl FnMut(usize)) -> Timing {
        let begun = Instant::now();
        for time in 0..self.times.div_ceil(WARM_UP_SHARE) {
            ask(time);
            if begun.elapsed() > self.within / 4 {
                break;
            }
        }
        let begun = Instant::now();
        let mut taken = Vec::with_capacity(self.times);
        for time in 0..self.times {
            let started = Instant::now();
            ask(time);
            taken.push(started.elapsed());
            if taken.len() >= TIMES_MIN && begun.elapsed() > self.within {
                break;
            }
        }
        Timing::of(taken)
    }
}

impl Timing {
    fn of(mut taken: Vec<Duration>) -> Self {
        taken.sort_unstable();
        // The nearest rank: of 200, the 99th percentile is the 198th.
        let at = |percent: usize| taken[(taken.len() * percent).div_ceil(100).max(1) - 1].as_secs_f64() * 1e3;
        Self { times: taken.len(), median_ms: at(50), p99_ms: at(99), longest_ms: at(100) }
    }
}

/// A query's name and its timing.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NamedTiming {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) timing: Timing,
}

impl NamedTiming {
    pub(crate) fn new(name: &str, timing: Timing) -> Self {
        Self { name: name.to_owned(), timing }
    }
}

/// Several queries in order.
pub(crate) type Timings = Vec<NamedTiming>;
