//! Timed loading over HTTP: batches of 500 on four connections, each response durable.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    events::{Event, Maker},
    server::Server,
};

pub(crate) const BATCH_EVENTS: u64 = 500;
const CONNECTIONS: usize = 4;
/// Points of the rate curve.
const WINDOWS: usize = 100;
/// Minimum number of batches per point. The batches of one commit are acknowledged at once, which says nothing about
/// the rate.
const WINDOW_BATCHES_MIN: usize = 20;

/// The result of a load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) events: u64,
    /// Bytes of JSON, without line breaks.
    pub(crate) raw_bytes: u64,
    pub(crate) seconds: f64,
    /// The longest request.
    pub(crate) longest_request_ms: f64,
    /// The longest time without a response.
    pub(crate) longest_gap_ms: f64,
    /// Processor time of the server per event, in microseconds.
    #[serde(default)]
    pub(crate) processor_us: f64,
    /// The part of it that the writer thread used.
    #[serde(default)]
    pub(crate) writer_us: f64,
    /// Events stored, and events per second since the previous point.
    pub(crate) windows: Vec<(u64, f64)>,
}

/// An acknowledged batch: when, from the start, and how long it took.
struct Answered {
    at: Duration,
    took: Duration,
    bytes: u64,
}

impl Load {
    pub(crate) fn rate(&self) -> f64 {
        self.events as f64 / self.seconds
    }
}

/// Sends the events from `first` to `end`, `end` excluded.
pub(crate) fn load(server: &Server, maker: &Maker, first: u64, end: u64) -> Load {
    let (next, begun, before) = (AtomicU64::new(first), Instant::now(), server.processor());
    let mut answered: Vec<Answered> = thread::scope(|scope| {
        let sender = || scope.spawn(|| send(server, maker, &next, end, begun));
        let senders: Vec<_> = (0..CONNECTIONS).map(|_| sender()).collect();
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    answered.sort_unstable_by_key(|answered| answered.at);
    let per_event = |after: f64, before: f64| (after - before) * 1e6 / (end - first) as f64;
    let after = server.processor();
    Load {
        processor_us: per_event(after.all_seconds, before.all_seconds),
        writer_us: per_event(after.writer_seconds, before.writer_seconds),
        ..summarise(&answered, first, end)
    }
}

/// Sends batches until another sender has taken the last.
fn send(server: &Server, maker: &Maker, next: &AtomicU64, end: u64, begun: Instant) -> Vec<Answered> {
    let mut connection = server.connect();
    let (mut body, mut event, mut answered) = (String::new(), Event::default(), Vec::new());
    loop {
        let first = next.fetch_add(BATCH_EVENTS, Ordering::Relaxed);
        if first >= end {
            return answered;
        }
        body.clear();
        let numbers = first..end.min(first + BATCH_EVENTS);
        let breaks = numbers.end - numbers.start;
        for number in numbers {
            maker.make(number, &mut event);
            body.push_str(&event.body);
            body.push('\n');
        }
        let sent = Instant::now();
        connection.post(&body);
        answered.push(Answered { at: begun.elapsed(), took: sent.elapsed(), bytes: body.len() as u64 - breaks });
    }
}

fn summarise(answered: &[Answered], first: u64, end: u64) -> Load {
    let starts = std::iter::once(Duration::ZERO).chain(answered.iter().map(|answered| answered.at));
    let gaps = answered.iter().zip(starts).map(|(answered, before)| answered.at.saturating_sub(before));
    let milliseconds = |longest: Option<Duration>| longest.unwrap_or_default().as_secs_f64() * 1e3;
    let (mut windows, mut begin) = (Vec::new(), Duration::ZERO);
    let mut stored = first;
    for window in answered.chunks(answered.len().div_ceil(WINDOWS).max(WINDOW_BATCHES_MIN)) {
        let last = window[window.len() - 1].at;
        let events = (window.len() as u64 * BATCH_EVENTS).min(end - stored);
        stored += events;
        windows.push((stored, events as f64 / last.saturating_sub(begin).as_secs_f64()));
        begin = last;
    }
    Load {
        events: end - first,
        raw_bytes: answered.iter().map(|answered| answered.bytes).sum(),
        seconds: begin.as_secs_f64(),
        longest_request_ms: milliseconds(answered.iter().map(|answered| answered.took).max()),
        longest_gap_ms: milliseconds(gaps.max()),
        processor_us: 0.0,
        writer_us: 0.0,
        windows,
    }
}
