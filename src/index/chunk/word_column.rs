//! The words of the events of a chunk in memory.

use crate::index::encode::bitset::Bitset;

/// Words that are compared at once; most such runs have no match.
const RUN_WORDS: usize = 64;

/// The numbers of each event's words, in order of arrival.
#[derive(Debug, Default)]
pub(in crate::index) struct WordColumn {
    numbers: Vec<u32>,
    /// Where the numbers of each event end.
    ends: Vec<u32>,
}

impl WordColumn {
    /// Appends the numbers of the next event.
    pub(in crate::index) fn push(&mut self, numbers: &[u32]) {
        self.numbers.extend_from_slice(numbers);
        self.ends.push(u32::try_from(self.numbers.len()).unwrap_or(u32::MAX));
    }

    /// The numbers of the event at a position.
    pub(in crate::index) fn of(&self, position: usize) -> &[u32] {
        let begin = position.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        let end = self.ends.get(position).map_or(begin, |end| *end as usize);
        self.numbers.get(begin..end).unwrap_or_default()
    }

    /// Adds the positions, below the set's length, of the events that have a number, among at most `count` numbers from
    /// `first` on. Returns whether more numbers remain.
    pub(in crate::index) fn add(&self, number: u32, (first, count): (usize, usize), bits: &mut Bitset) -> bool {
        let last = self.numbers.len().min(first.saturating_add(count));
        let searched = self.numbers.get(first..last).unwrap_or_default();
        for (run, numbers) in searched.chunks(RUN_WORDS).enumerate() {
            if numbers.iter().filter(|own| **own == number).count() > 0 {
                let places = (first + run * RUN_WORDS..).zip(numbers).filter(|(_, own)| **own == number);
                places.for_each(|(place, _)| bits.insert(self.position_of(place)));
            }
        }
        last < self.numbers.len()
    }

    /// The event that has the number at an index.
    fn position_of(&self, place: usize) -> u16 {
        u16::try_from(self.ends.partition_point(|end| *end as usize <= place)).unwrap_or(u16::MAX)
    }

    /// The number of all numbers.
    pub(in crate::index) fn total(&self) -> usize {
        self.numbers.len()
    }

    /// Allocated bytes.
    pub(in crate::index) fn bytes(&self) -> usize {
        (self.numbers.capacity() + self.ends.capacity()) * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_in_the_events_that_have_it() {
        let mut column = WordColumn::default();
        let words = |event: u32| (0..event % 5).map(|word| event % 7 + word).collect::<Vec<_>>();
        (0..300).for_each(|event| column.push(&words(event)));
        assert!((0..300).all(|event| column.of(event as usize) == words(event)) && column.of(300).is_empty());
        for number in 0..12 {
            let (mut bits, mut first) = (Bitset::none(200), 0);
            while column.add(number, (first, 70), &mut bits) {
                first += 70;
            }
            let expected: Vec<u16> = (0..200).filter(|event| words((*event).into()).contains(&number)).collect();
            assert_eq!(bits.iter().collect::<Vec<_>>(), expected, "{number}");
        }
    }
}
