//! The words of the events of a chunk in memory.

use crate::index::encode::bitset::Bitset;

/// Words that are compared at once; most such runs have no match.
const RUN_WORDS: usize = 64;
/// A segment with this many words takes no further event. One column of all words would be the largest piece of memory of
/// the process by far, and twice as large while it grows.
const SEGMENT_WORDS: usize = 64 * 1024;

/// The numbers of each event's words, in order of arrival.
#[derive(Debug, Default)]
pub(in crate::index) struct WordColumn {
    segments: Vec<Segment>,
}

/// The numbers of consecutive events.
#[derive(Debug, Default)]
struct Segment {
    /// The position of the first event.
    first: usize,
    numbers: Vec<u32>,
    /// Where the numbers of each event end.
    ends: Vec<u32>,
}

impl WordColumn {
    /// Appends the numbers of the next event.
    pub(in crate::index) fn push(&mut self, numbers: &[u32]) {
        if self.segments.last().is_none_or(|last| last.numbers.len() >= SEGMENT_WORDS) {
            let first = self.segments.last().map_or(0, Segment::end);
            self.segments.push(Segment { first, ..Segment::default() });
        }
        if let Some(segment) = self.segments.last_mut() {
            segment.numbers.extend_from_slice(numbers);
            segment.ends.push(u32::try_from(segment.numbers.len()).unwrap_or(u32::MAX));
        }
    }

    /// The numbers of the event at a position, in ascending order.
    pub(in crate::index) fn of(&self, position: usize) -> &[u32] {
        let after = self.segments.partition_point(|segment| segment.first <= position);
        let segment = after.checked_sub(1).and_then(|number| self.segments.get(number));
        segment.map_or(&[], |segment| segment.of(position - segment.first))
    }

    /// Adds the positions, below the set's length, of the events of a segment that have a number. Returns whether there are
    /// later segments.
    pub(in crate::index) fn add(&self, number: u32, segment: usize, bits: &mut Bitset) -> bool {
        if let Some(segment) = self.segments.get(segment) {
            segment.add(number, bits);
        }
        segment + 1 < self.segments.len()
    }

    /// The number of all numbers.
    pub(in crate::index) fn total(&self) -> usize {
        self.segments.iter().map(|segment| segment.numbers.len()).sum()
    }

    /// Allocated bytes.
    pub(in crate::index) fn bytes(&self) -> usize {
        let capacities = self.segments.iter().map(|segment| segment.numbers.capacity() + segment.ends.capacity());
        capacities.sum::<usize>() * size_of::<u32>() + self.segments.capacity() * size_of::<Segment>()
    }
}

impl Segment {
    /// The position after the last event.
    fn end(&self) -> usize {
        self.first + self.ends.len()
    }

    fn of(&self, place: usize) -> &[u32] {
        let begin = place.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        let end = self.ends.get(place).map_or(begin, |end| *end as usize);
        self.numbers.get(begin..end).unwrap_or_default()
    }

    fn add(&self, number: u32, bits: &mut Bitset) {
        for (run, numbers) in self.numbers.chunks(RUN_WORDS).enumerate() {
            if numbers.iter().filter(|own| **own == number).count() > 0 {
                let places = (run * RUN_WORDS..).zip(numbers).filter(|(_, own)| **own == number);
                places.for_each(|(place, _)| bits.insert(self.position_of(place)));
            }
        }
    }

    /// The event that has the number at an index.
    fn position_of(&self, place: usize) -> u16 {
        let event = self.first + self.ends.partition_point(|end| *end as usize <= place);
        u16::try_from(event).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_in_the_events_that_have_it() {
        let mut column = WordColumn::default();
        // Many words in one event of seven, so that the column has several segments.
        let words = |event: u32| {
            let common = (0..event % 5).map(move |word| event % 7 + word);
            common.chain((0..if event % 7 == 3 { 1_000 } else { 0 }).map(|word| 100 + word)).collect::<Vec<_>>()
        };
        (0..1_500).for_each(|event| column.push(&words(event)));
        assert!(column.segments.len() > 2);
        assert_eq!(column.total(), (0..1_500).map(|event| words(event).len()).sum::<usize>());
        assert!((0..1_500).all(|event| column.of(event as usize) == words(event)) && column.of(1_500).is_empty());
        for number in [0, 1, 5, 11, 12, 100, 1_099, 1_100] {
            let (mut bits, mut segment) = (Bitset::none(1_400), 0);
            while column.add(number, segment, &mut bits) {
                segment += 1;
            }
            let expected: Vec<u16> = (0..1_400).filter(|event| words((*event).into()).contains(&number)).collect();
            assert_eq!(bits.iter().collect::<Vec<_>>(), expected, "{number}");
        }
        assert!(!WordColumn::default().add(1, 0, &mut Bitset::none(1)));
    }
}
