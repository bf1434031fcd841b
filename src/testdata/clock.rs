//! When things happen: people act in working hours, machines at all hours, and schedules on the hour.
//!
//! Hours and weekdays are those of UTC.

use crate::{
    model::timestamp::Timestamp,
    testdata::random::{Random, number_at, scale},
};

const HOUR_SECONDS: i64 = 3_600;
const DAY_SECONDS: i64 = 24 * HOUR_SECONDS;
/// Schedules fire in the first seconds of an hour.
const SCHEDULE_SECONDS: i64 = 90;
/// A longer span is shortened to a hundred years, so that the table of its hours stays small.
const SPAN_SECONDS_MAX: i64 = 100 * 366 * DAY_SECONDS;

/// How active people are in each hour of a working day.
const PEOPLE_BY_HOUR: [f64; 24] = [
    0.03, 0.02, 0.02, 0.02, 0.03, 0.05, 0.12, 0.35, 0.75, 1.0, 1.0, 0.95, 0.6, 0.85, 1.0, 0.95, 0.8, 0.45, 0.22, 0.15,
    0.12, 0.1, 0.06, 0.04,
];
/// How much of that remains on a weekend.
const WEEKEND_SHARE: f64 = 0.12;
/// How active machines are at any time, and in the first seconds of an hour.
const MACHINES: f64 = 0.13;
const MACHINES_ON_SCHEDULE: f64 = 3.5;

/// A period in which events are equally likely at every instant.
#[derive(Debug)]
struct Stretch {
    begin: Timestamp,
    micros: i64,
    /// The weight of this period, and the total weight of those before it.
    weight: f64,
    before: f64,
    people_share: f64,
}

/// An instant, and who is usually active then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) at: Timestamp,
    /// The share of events by people at this time.
    pub(super) people_share: f64,
}

/// Generates a known number of ascending instants.
#[derive(Debug)]
pub(super) struct Clock {
    stretches: Vec<Stretch>,
    /// The position of the last instant.
    place: usize,
    weight: f64,
    /// The share of the weight that lies ahead, 1 at the beginning.
    ahead: f64,
    moments_left: u64,
}

/// The beginning of the span of `span_seconds` before `end`: the earliest possible event time.
pub(super) const fn beginning(end: Timestamp, span_seconds: i64) -> Timestamp {
    let span = if span_seconds > SPAN_SECONDS_MAX { SPAN_SECONDS_MAX } else { span_seconds };
    end.plus_seconds(if span < 1 { -1 } else { -span })
}

impl Clock {
    pub(super) fn new(seed: u64, moments: u64, begin: Timestamp, end: Timestamp) -> Self {
        let mut clock = Self { stretches: Vec::new(), place: 0, weight: 0.0, ahead: 1.0, moments_left: moments };
        let mut hour = begin.seconds().div_euclid(HOUR_SECONDS) * HOUR_SECONDS;
        while hour <= end.seconds() {
            let people = people_at(seed, hour);
            for (from, to, machines) in
                [(0, SCHEDULE_SECONDS, MACHINES_ON_SCHEDULE), (SCHEDULE_SECONDS, HOUR_SECONDS, MACHINES)]
            {
                let from = Timestamp::from_micros((hour + from) * 1_000_000).max(begin);
                let to = Timestamp::from_micros((hour + to) * 1_000_000).min(end);
                clock.add(from, to, people, machines);
            }
            hour += HOUR_SECONDS;
        }
        clock
    }

    fn add(&mut self, from: Timestamp, to: Timestamp, people: f64, machines: f64) {
        let micros = to.micros() - from.micros();
        if micros > 0 {
            let weight = (people + machines) * to_float(micros);
            let people_share = people / (people + machines);
            self.stretches.push(Stretch { begin: from, micros, weight, before: self.weight, people_share });
            self.weight += weight;
        }
    }

    /// The next instant; the last one forever, once all have been generated.
    pub(super) fn next(&mut self, random: &mut Random) -> Moment {
        // The minimum of n uniform numbers can be drawn without the other n - 1, because (1 - minimum)^n is itself
        // uniform. Ascending times therefore need neither storage nor sorting (Bentley and Saxe, "Generating sorted
        // lists of random numbers", 1980).
        if self.moments_left > 0 {
            self.ahead *= random.unit().powf(1.0 / to_float(i64::try_from(self.moments_left).unwrap_or(i64::MAX)));
            self.moments_left -= 1;
        }
        let target = self.weight * (1.0 - self.ahead);
        while let Some(stretch) = self.stretches.get(self.place)
            && stretch.before + stretch.weight < target
            && self.place + 1 < self.stretches.len()
        {
            self.place += 1;
        }
        let Some(stretch) = self.stretches.get(self.place) else {
            return Moment { at: Timestamp::from_micros(0), people_share: 0.0 };
        };
        let offset = to_micros((target - stretch.before) / stretch.weight * to_float(stretch.micros));
        let at = Timestamp::from_micros(stretch.begin.micros() + offset.clamp(0, stretch.micros - 1));
        Moment { at, people_share: stretch.people_share }
    }
}

/// How active people are in the hour that begins at `seconds`.
fn people_at(seed: u64, seconds: i64) -> f64 {
    let day = seconds.div_euclid(DAY_SECONDS);
    let hour = usize::try_from(seconds.rem_euclid(DAY_SECONDS) / HOUR_SECONDS).unwrap_or(0);
    // Days differ: between 80 and 120 % of the usual activity.
    let mood = u32::try_from(scale(number_at(seed, day.cast_unsigned()), 41)).unwrap_or(0);
    let usual = PEOPLE_BY_HOUR[hour] * (0.8 + f64::from(mood) / 100.0);
    if weekday(day) < 5 { usual } else { usual * WEEKEND_SHARE }
}

/// The weekday of a day counted from 1970-01-01, a Thursday: Monday is 0.
pub(super) const fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}

#[expect(clippy::cast_precision_loss, reason = "a microsecond more or less in a hundred years does not matter")]
const fn to_float(number: i64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, reason = "a cast saturates, and the caller clamps")]
const fn to_micros(number: f64) -> i64 {
    number as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_ascend_within_the_span_and_keep_working_hours() {
        // A Sunday evening, preceded by four whole weeks.
        let end = Timestamp::parse("2024-06-30T21:30:00Z").unwrap();
        let begin = beginning(end, 28 * DAY_SECONDS);
        let mut clock = Clock::new(1, 20_000, begin, end);
        let mut random = Random::new(1);
        let times: Vec<Timestamp> = (0..20_000).map(|_| clock.next(&mut random).at).collect();
        assert!(times.is_sorted() && times[0] >= begin && times[19_999] <= end);
        let share = |test: fn(i64) -> bool| times.iter().filter(|at| test(at.seconds())).count();
        let working =
            share(|at| weekday(at.div_euclid(DAY_SECONDS)) < 5 && (8..18).contains(&(at / HOUR_SECONDS % 24)));
        assert!(working > 12_000, "{working}");
        let weekend = share(|at| weekday(at.div_euclid(DAY_SECONDS)) >= 5);
        assert!((800..4_000).contains(&weekend), "{weekend}");
    }

    #[test]
    fn a_span_of_nothing_is_a_second() {
        let end = Timestamp::parse("2024-06-30T21:30:00Z").unwrap();
        let begin = beginning(end, 0);
        let mut clock = Clock::new(1, 2, begin, end);
        let at = clock.next(&mut Random::new(1)).at;
        assert!(at >= begin && at <= end);
    }
}
