//! Synthetic events for trying auditbox out and for measuring it.
//!
//! They imitate the internal developer portal of a small company and the platform that it deploys to: changes of the
//! catalog, with before and after, and requests to an API. Nothing in them is real.
//!
//! The same seed, count and times always produce the same events. The generator does no I/O and reads neither the clock
//! nor the system's random numbers. What belongs here: the content of synthetic events. Writing them anywhere belongs to the
//! callers: `auditbox demo`, tests and benchmarks.

mod actors;
mod clock;
mod events;
mod inventory;
mod kinds;
mod random;
mod runs;
mod stories;
mod words;
mod writer;

use std::iter::Peekable;

use serde_json::Value;

use crate::model::timestamp::Timestamp;
use clock::{Clock, Moment};
use events::Workshop;
use random::{Random, number_at};
use stories::StoryEvent;

/// With fewer events than this there are no stories, because they would be all there is.
const STORY_EVENTS_MIN: u64 = 1_000;
/// One thing per this many events, within these bounds.
const EVENTS_PER_THING: u64 = 20;
const THINGS_MIN: u64 = 2_000;
const THINGS_MAX: u64 = 200_000;

/// Generates events, each a JSON object without a line break, in order of arrival: by time, except for about 2 % that
/// are up to some hours late.
#[derive(Debug)]
pub struct Generator {
    seed: u64,
    random: Random,
    clock: Clock,
    workshop: Workshop,
    stories: Peekable<std::vec::IntoIter<StoryEvent>>,
    /// The time of the next everyday event, drawn in advance so that stories can be merged in order.
    moment: Moment,
    made: u64,
    everyday_left: u64,
}

impl Generator {
    /// `count` events spread over the `span_seconds` before `end`. A span shorter than a second counts as one second,
    /// and a span longer than a hundred years as a hundred.
    pub fn new(seed: u64, count: u64, end: Timestamp, span_seconds: i64) -> Self {
        let begin = clock::beginning(end, span_seconds);
        let stories = if count < STORY_EVENTS_MIN { Vec::new() } else { stories::tell(begin, end) };
        let everyday_left = count.saturating_sub(stories.len() as u64);
        let things = (count / EVENTS_PER_THING).clamp(THINGS_MIN, THINGS_MAX);
        let mut random = Random::new(seed);
        let mut clock = Clock::new(seed, everyday_left, begin, end);
        Self {
            seed,
            moment: clock.next(&mut random),
            random,
            clock,
            workshop: Workshop::new(seed, usize::try_from(things).unwrap_or(0), begin),
            stories: stories.into_iter().peekable(),
            made: 0,
            everyday_left,
        }
    }
}

impl Iterator for Generator {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let identifier = number_at(self.seed, self.made);
        let everyday = (self.everyday_left > 0).then_some(self.moment);
        if let Some((_, mut event)) = self.stories.next_if(|(at, _)| everyday.is_none_or(|everyday| *at <= everyday.at))
        {
            self.made += 1;
            event["identifier"] = Value::String(format!("evt_{identifier:016x}"));
            return Some(event.to_string());
        }
        let moment = everyday?;
        self.made += 1;
        self.everyday_left -= 1;
        self.moment = self.clock.next(&mut self.random);
        Some(self.workshop.event(&mut self.random, identifier, moment))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.everyday_left).ok().map(|left| left.saturating_add(self.stories.len()));
        (left.unwrap_or(usize::MAX), left)
    }
}

#[cfg(test)]
mod tests;
