//! Reading the terms of a field, to test which of them meet a condition.

use std::sync::Arc;

use rusqlite::params;

use crate::{
    index::{
        error::Result,
        pace::PacedConnection,
        term_parts::{NewParts, TermParts},
    },
    model::field::Field,
};

/// Terms that one statement reads. This takes a millisecond or two; then the query can be ended or renew its snapshot.
pub(super) const SLICE_TERMS: u32 = 4_096;

/// Ordinals of one field, ascending.
pub(super) type Ordinals = Arc<[u32]>;

/// The terms that meet a condition.
#[derive(Debug, Clone)]
pub(super) struct Tested {
    /// All terms with a lower ordinal were tested.
    pub(super) through: u32,
    pub(super) passed: Ordinals,
}

/// Reads a field's terms below an ordinal in slices, so that the query can renew its snapshot between two slices. Terms that
/// are added meanwhile have higher ordinals, and no event has a term that is deleted meanwhile.
pub(super) struct Scan<'s> {
    pub(super) paced: &'s PacedConnection<'s>,
    pub(super) field: Field,
    pub(super) through: u32,
}

impl Scan<'_> {
    /// Tests the terms that are newer than `known`. An error comes with the result up to it.
    pub(super) fn since(&self, known: &Tested, accepts: impl Fn(&str) -> bool) -> (Tested, Result<()>) {
        let (mut passed, mut tested, mut outcome) = (known.passed.to_vec(), known.through, Ok(()));
        while outcome.is_ok() && tested < self.through {
            outcome = self.slice(tested, &accepts, &mut passed).and_then(|next| {
                tested = next;
                self.paced.step()
            });
        }
        (Tested { through: tested, passed: passed.into() }, outcome)
    }

    /// Tests the terms that may contain a folded text, by their parts. Terms without parts get them first.
    pub(super) fn containing(
        &self,
        text: &str,
        known_parts: &TermParts,
        accepts: impl Fn(&str) -> bool,
    ) -> Result<Tested> {
        loop {
            let first = known_parts.through(self.field);
            if first >= self.through {
                break;
            }
            let mut new = NewParts::since(first);
            let next = self.read(first, |ordinal, value| new.add(ordinal, value))?;
            known_parts.add(self.field, new, next);
            self.paced.step()?;
        }
        let mut passed = Vec::new();
        for (mut first, through) in known_parts.ranges(self.field, text, self.through) {
            let range = Self { through, ..*self };
            while first < through {
                first = range.slice(first, &accepts, &mut passed)?;
                self.paced.step()?;
            }
        }
        Ok(Tested { through: self.through, passed: passed.into() })
    }

    /// Tests a slice of the terms, from an ordinal on. Returns the ordinal at which the next slice begins.
    fn slice(&self, first: u32, accepts: impl Fn(&str) -> bool, passed: &mut Vec<u32>) -> Result<u32> {
        let before = passed.len();
        let read = self.read(first, |ordinal, value| {
            if accepts(value) {
                passed.push(ordinal);
            }
        });
        // A slice that was not read completely is tested again.
        read.inspect_err(|_| passed.truncate(before))
    }

    /// Reads a slice of the terms, from an ordinal on. Returns the ordinal at which the next slice begins.
    fn read(&self, first: u32, mut each: impl FnMut(u32, &str)) -> Result<u32> {
        let mut statement = self.paced.connection.prepare_cached(
            "SELECT ordinal, value FROM term WHERE field = ?1 AND ordinal >= ?2 AND ordinal < ?3 ORDER BY ordinal LIMIT ?4",
        )?;
        let mut rows = statement.query(params![self.field.code(), first, self.through, SLICE_TERMS])?;
        let (mut count, mut last) = (0, first);
        while let Some(row) = rows.next()? {
            (count, last) = (count + 1, row.get(0)?);
            each(last, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
        }
        Ok(if count == SLICE_TERMS { last + 1 } else { self.through })
    }

    /// Tests the terms that begin with one of these texts. The file has values in byte order, so terms with the same beginning
    /// are neighbors.
    pub(super) fn beginning(&self, beginnings: &[String], accepts: impl Fn(&str) -> bool) -> Result<Tested> {
        let mut passed = Vec::new();
        for beginning in beginnings {
            let mut from = Some(beginning.clone());
            while let Some(first) = from {
                from = self.slice_beginning(beginning, &first, &accepts, &mut passed)?;
                self.paced.step()?;
            }
        }
        // One beginning may be a prefix of another.
        passed.sort_unstable();
        passed.dedup();
        Ok(Tested { through: self.through, passed: passed.into() })
    }

    /// Tests a slice of the terms with a beginning, from the value `first` on. Returns the value at which the next slice
    /// begins, if there is one.
    fn slice_beginning(
        &self,
        beginning: &str,
        first: &str,
        accepts: impl Fn(&str) -> bool,
        passed: &mut Vec<u32>,
    ) -> Result<Option<String>> {
        let mut statement = self.paced.connection.prepare_cached(
            "SELECT ordinal, value FROM term WHERE field = ?1 AND value >= ?2 ORDER BY value LIMIT ?3",
        )?;
        let mut rows = statement.query(params![self.field.code(), first, SLICE_TERMS])?;
        let (mut count, mut next) = (0, None);
        while let Some(row) = rows.next()? {
            let (ordinal, value) = (row.get(0)?, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
            if !value.starts_with(beginning) {
                return Ok(None);
            }
            count += 1;
            if ordinal < self.through && accepts(value) {
                passed.push(ordinal);
            }
            if count == SLICE_TERMS {
                // No value contains a NUL, so no value lies between these two.
                next = Some(format!("{value}\0"));
            }
        }
        Ok(next)
    }
}
