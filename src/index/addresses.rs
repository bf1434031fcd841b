//! The addresses in the texts of a field. A filter by an address finds all texts that contain it, so they count as that address.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use parking_lot::Mutex;
use rusqlite::params;

use crate::{
    index::{error::Result, pace::PacedConnection, term_scan::SLICE_TERMS},
    model::{address::addresses, field::Field},
};

/// What a filter can name: an address, or a text without any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddressValue {
    Address(IpAddr),
    /// The ordinal of the text.
    Text(u32),
}

/// The addresses of each term of the one field with addresses. They are read from the term dictionary when the field is first
/// counted; later, only new terms are.
#[derive(Debug, Default)]
pub(super) struct Addresses(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Each value with the terms that contain it, numbered in the order in which the log saw them.
    values: Vec<AddressValue>,
    numbers: HashMap<IpAddr, u32>,
    /// The number of the first value of each term, by ordinal; [`NONE`] for a deleted term.
    first: Vec<u32>,
    /// The numbers of the other values of terms that have several.
    others: HashMap<u32, Vec<u32>>,
}

/// Stands for no value.
const NONE: u32 = u32::MAX;

impl Addresses {
    /// Adds up the counts of terms by value. Returns the sums by the number of the value.
    pub(super) fn merge(&self, paced: &PacedConnection<'_>, field: Field, counts: &[u64]) -> Result<Vec<u64>> {
        loop {
            let known = u32::try_from(self.0.lock().first.len()).unwrap_or(u32::MAX);
            let texts = slice(paced, field, known)?;
            let is_last = texts.len() < SLICE_TERMS as usize;
            let mut all = self.0.lock();
            // Another query may have added them meanwhile.
            for (ordinal, text) in texts {
                all.add(ordinal, &text);
            }
            if is_last {
                return Ok(all.merge(counts));
            }
            drop(all);
            paced.step()?;
        }
    }

    /// The number of an address that a term contains.
    pub(super) fn number_of(&self, address: IpAddr) -> Option<u32> {
        self.0.lock().numbers.get(&address).copied()
    }

    /// The value with a number.
    pub(super) fn value(&self, number: u32) -> Option<AddressValue> {
        self.0.lock().values.get(number as usize).copied()
    }
}

/// Some terms, from an ordinal on.
fn slice(paced: &PacedConnection<'_>, field: Field, first: u32) -> Result<Vec<(u32, String)>> {
    let mut statement = paced.connection.prepare_cached(
        "SELECT ordinal, value FROM term WHERE field = ?1 AND ordinal >= ?2 ORDER BY ordinal LIMIT ?3",
    )?;
    let rows = statement.query_map(params![field.code(), first, SLICE_TERMS], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

impl Known {
    fn add(&mut self, ordinal: u32, text: &str) {
        let place = ordinal as usize;
        if place < self.first.len() {
            return;
        }
        // Deleted terms leave gaps.
        self.first.resize(place, NONE);
        let mut seen = HashSet::new();
        let mut numbers = addresses(text).filter(|address| seen.insert(*address)).map(|address| {
            *self.numbers.entry(address).or_insert_with(|| push(&mut self.values, AddressValue::Address(address)))
        });
        let first = numbers.next();
        let others: Vec<_> = numbers.collect();
        self.first.push(first.unwrap_or_else(|| push(&mut self.values, AddressValue::Text(ordinal))));
        if !others.is_empty() {
            self.others.insert(ordinal, others);
        }
    }

    fn merge(&self, counts: &[u64]) -> Vec<u64> {
        let mut sums = vec![0; self.values.len()];
        let counted = (0..).zip(counts.iter().zip(&self.first)).filter(|(_, (count, _))| **count > 0);
        for (ordinal, (count, first)) in counted {
            let ordinal: u32 = ordinal;
            let others = self.others.get(&ordinal).into_iter().flatten();
            for number in others.chain([first]) {
                if let Some(sum) = sums.get_mut(*number as usize) {
                    *sum += count;
                }
            }
        }
        sums
    }
}

/// Appends a value. Returns its number.
fn push(values: &mut Vec<AddressValue>, value: AddressValue) -> u32 {
    values.push(value);
    u32::try_from(values.len() - 1).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_count_as_the_addresses_in_them() {
        let mut known = Known::default();
        for (ordinal, text) in [
            (0, "10.0.0.1"),
            (1, "10.0.0.1:443"),
            (2, "AWS Internal"),
            // A deleted term leaves a gap.
            (4, "203.0.113.7, 10.0.0.1, ::ffff:203.0.113.7"),
            (5, "[2001:DB8::1]:80"),
            (6, "2001:db8:0::1"),
            (7, "unknown"),
        ] {
            known.add(ordinal, text);
            known.add(ordinal, "ignored");
        }
        let shown = |value: &AddressValue| match value {
            AddressValue::Address(address) => address.to_string(),
            AddressValue::Text(ordinal) => format!("text {ordinal}"),
        };
        let values: Vec<_> = known.values.iter().map(shown).collect();
        assert_eq!(values, ["10.0.0.1", "text 2", "203.0.113.7", "2001:db8::1", "text 7"]);
        assert_eq!(known.merge(&[1, 20, 3, 0, 400, 5, 6, 0]), [421, 3, 400, 11, 0]);
        assert_eq!(known.merge(&[1]), [1, 0, 0, 0, 0]);
    }
}
