//! The parts of three bytes that terms have, so that a search for a part of a term does not read all terms.
//!
//! A search looks for its text in every name that the log has, and there may be millions of them. This keeps one bit per
//! part and group of 64 ordinals, 8 bytes per term. It is filled when it is first needed, and then by the terms that are new
//! since. Terms that were deleted meanwhile leave their bits, which costs time but does not change results.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::{
    index::encode::parts::{PARTS, parts},
    model::{field::Field, fold::fold, term_text::readable},
};

/// The number of ordinals that share their bits.
pub(super) const GROUP_TERMS: u32 = 64;

/// The parts of one group's terms, one bit each.
type Group = [u64; PARTS / 64];

/// The parts of the terms of every field.
#[derive(Debug, Default)]
pub(super) struct TermParts(Mutex<HashMap<Field, FieldParts>>);

#[derive(Debug, Default)]
struct FieldParts {
    /// All terms with a lower ordinal are included.
    through: u32,
    groups: Vec<Group>,
}

/// The parts of a slice of terms, to be added.
pub(super) struct NewParts {
    first: u32,
    groups: Vec<Group>,
}

impl NewParts {
    /// For terms from this ordinal on.
    pub(super) fn since(first: u32) -> Self {
        Self { first, groups: Vec::new() }
    }

    /// Adds a term.
    pub(super) fn add(&mut self, ordinal: u32, value: &str) {
        let group = group_of(ordinal).saturating_sub(group_of(self.first));
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, empty);
        }
        for part in parts(&fold(readable(value))) {
            self.groups[group][usize::from(part) / 64] |= 1 << (part % 64);
        }
    }
}

impl TermParts {
    /// The ordinal up to which the terms of a field are included.
    pub(super) fn through(&self, field: Field) -> u32 {
        self.0.lock().get(&field).map_or(0, |known| known.through)
    }

    /// Adds all terms of a field from the first of `new` up to `through`. Another thread may have added them already.
    pub(super) fn add(&self, field: Field, new: NewParts, through: u32) {
        let mut fields = self.0.lock();
        let known = fields.entry(field).or_default();
        let groups = group_of(through.saturating_sub(1)) + 1;
        if known.groups.len() < groups {
            known.groups.resize_with(groups, empty);
        }
        for (own, added) in known.groups.iter_mut().skip(group_of(new.first)).zip(new.groups) {
            own.iter_mut().zip(added).for_each(|(own, added)| *own |= added);
        }
        known.through = known.through.max(through);
    }

    /// The ranges of ordinals below `through` whose terms may contain a folded text.
    pub(super) fn ranges(&self, field: Field, text: &str, through: u32) -> Vec<(u32, u32)> {
        let wanted: Vec<_> = parts(text).map(usize::from).collect();
        let fields = self.0.lock();
        let groups = fields.get(&field).map_or(&[][..], |known| &known.groups);
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for (first, group) in (0..through).step_by(GROUP_TERMS as usize).zip(groups) {
            if wanted.iter().all(|part| group[part / 64] >> (part % 64) & 1 == 1) {
                let end = first.saturating_add(GROUP_TERMS).min(through);
                match ranges.last_mut().filter(|(_, last)| *last == first) {
                    Some((_, last)) => *last = end,
                    None => ranges.push((first, end)),
                }
            }
        }
        ranges
    }
}

fn group_of(ordinal: u32) -> usize {
    (ordinal / GROUP_TERMS) as usize
}

fn empty() -> Group {
    [0; PARTS / 64]
}
