//! The dictionary of the log: every value that many events share, with a number of its own.
//!
//! A value's ordinal counts from 0 within its field, in the order in which the log first saw the values. An ordinal is never
//! given twice, so what was once found out about a range of ordinals stays true: which terms pass a test of the value is
//! remembered, and only terms that came since are tested. A term that is taken out, because no event has it any more, may
//! still be among those remembered, which finds nothing.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    index::{chunk::memory::term_fields, error::Result, snapshot::Snapshot},
    model::{
        field::Field,
        filter::Predicate,
        search::{self, SearchWord},
    },
};

/// Bytes of terms remembered by the writer in each of two generations: most events name what others have named shortly
/// before.
const REMEMBERED_BYTES_MAX: usize = 6 * 1024 * 1024;
/// What remembering a term costs beside its value.
const REMEMBERED_BYTES_EACH: usize = 64;
/// Ordinals that passed tests and are remembered, all tests together: 8 MB.
const TESTED_MAX: usize = 2_000_000;
/// Of these, one test alone.
const PASSED_MAX: usize = TESTED_MAX / 4;
/// Terms that are tested one by one, whatever they begin with.
const FEW_TERMS: u32 = 200;
/// Terms that are read in one statement: a millisecond or two, after which the query may be ended, or take a new snapshot.
const SLICE_TERMS: u32 = 4_096;
/// What remembering a test costs beside its text and its outcome, in ordinals.
const TEST_COST: usize = 100;

/// Ordinals of one field, in order.
pub(super) type Ordinals = Arc<[u32]>;

/// What the writer knows of the dictionary. It adds to the file what it does not find there.
#[derive(Debug, Default)]
pub struct TermWriter {
    young: CacheGeneration,
    old: CacheGeneration,
}

/// Terms by field and value.
#[derive(Debug, Default)]
struct CacheGeneration {
    fields: HashMap<Field, HashMap<Box<str>, u32>>,
    bytes: usize,
}

impl CacheGeneration {
    fn get(&self, field: Field, value: &str) -> Option<u32> {
        self.fields.get(&field)?.get(value).copied()
    }

    fn insert(&mut self, field: Field, value: &str, ordinal: u32) {
        self.fields.entry(field).or_default().insert(Box::from(value), ordinal);
        self.bytes += value.len() + REMEMBERED_BYTES_EACH;
    }
}

impl TermWriter {
    /// The ordinal of a value; a new one, in the connection's transaction, if the value is new.
    pub fn ordinal(&mut self, connection: &Connection, field: Field, value: &str) -> rusqlite::Result<u32> {
        if let Some(ordinal) = self.known(connection, field, value)? {
            return Ok(ordinal);
        }
        let ordinal = add(connection, field, value)?;
        self.remember(field, value, ordinal);
        Ok(ordinal)
    }

    /// The ordinal of a value, if the log has seen it.
    pub fn known(&mut self, connection: &Connection, field: Field, value: &str) -> rusqlite::Result<Option<u32>> {
        if let Some(ordinal) = self.young.get(field, value) {
            return Ok(Some(ordinal));
        }
        let found = match self.old.get(field, value) {
            Some(ordinal) => Some(ordinal),
            None => find(connection, field, value)?,
        };
        if let Some(ordinal) = found {
            self.remember(field, value, ordinal);
        }
        Ok(found)
    }

    fn remember(&mut self, field: Field, value: &str, ordinal: u32) {
        if self.young.bytes >= REMEMBERED_BYTES_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(field, value, ordinal);
    }

    /// Forgets everything. To be called when a transaction is taken back: what it added is not there.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

/// The ordinal of a value, if the log has seen it.
pub(super) fn find(connection: &Connection, field: Field, value: &str) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached("SELECT ordinal FROM term WHERE field = ?1 AND value = ?2")?
        .query_row(params![field.code(), value], |row| row.get(0))
        .optional()
}

fn add(connection: &Connection, field: Field, value: &str) -> rusqlite::Result<u32> {
    // Counted in the file, not in memory: a command beside the server may have added some.
    connection
        .prepare_cached(
            "INSERT INTO term (field, ordinal, value) \
             SELECT ?1, coalesce(max(ordinal), -1) + 1, ?2 FROM term WHERE field = ?1 RETURNING ordinal",
        )?
        .query_row(params![field.code(), value], |row| row.get(0))
}

/// Takes out terms of a field that no event has. The highest ordinal stays, without its value, so that the next is above it.
/// Whoever writes must forget what was remembered.
pub fn delete_terms(connection: &Connection, field: Field, ordinals: &[u32]) -> rusqlite::Result<()> {
    let highest = count(connection, field)?.checked_sub(1);
    for ordinal in ordinals {
        let sql = if highest == usize::try_from(*ordinal).ok() {
            // No value holds a NUL.
            "UPDATE term SET value = char(0) || ordinal WHERE field = ?1 AND ordinal = ?2"
        } else {
            "DELETE FROM term WHERE field = ?1 AND ordinal = ?2"
        };
        connection.prepare_cached(sql)?.execute(params![field.code(), ordinal])?;
    }
    Ok(())
}

/// Which terms events have, by field.
#[derive(Debug, Default)]
pub struct UsedTerms(HashMap<Field, Vec<u64>>);

impl UsedTerms {
    /// Takes note of a term that an event has.
    pub(super) fn add(&mut self, field: Field, ordinal: u32) {
        let (words, place) = (self.0.entry(field).or_default(), ordinal as usize / 64);
        if words.len() <= place {
            words.resize(place + 1, 0);
        }
        words[place] |= 1 << (ordinal % 64);
    }

    /// The terms in the dictionary that no event has.
    pub fn unused(&self, connection: &Connection) -> rusqlite::Result<Vec<(Field, Vec<u32>)>> {
        let mut unused = Vec::new();
        let mut statement = connection.prepare("SELECT ordinal FROM term WHERE field = ?1")?;
        for field in term_fields() {
            let words = self.0.get(&field).map_or(&[][..], Vec::as_slice);
            let is_used =
                |ordinal: u32| words.get(ordinal as usize / 64).is_some_and(|word| word >> (ordinal % 64) & 1 == 1);
            let mut ordinals = statement.query_map([field.code()], |row| row.get(0))?.collect::<Result<Vec<_>, _>>()?;
            ordinals.retain(|ordinal| !is_used(*ordinal));
            unused.push((field, ordinals));
        }
        Ok(unused)
    }
}

/// How many terms a field has had.
pub(super) fn count(connection: &Connection, field: Field) -> rusqlite::Result<usize> {
    next_ordinal(connection, field).map(|ordinal| ordinal as usize)
}

/// The ordinal that the next term of a field will get.
fn next_ordinal(connection: &Connection, field: Field) -> rusqlite::Result<u32> {
    connection
        .prepare_cached("SELECT coalesce(max(ordinal), -1) + 1 FROM term WHERE field = ?1")?
        .query_row([field.code()], |row| row.get(0))
}

/// The value of a term.
pub(super) fn value(connection: &Connection, field: Field, ordinal: u32) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT value FROM term WHERE field = ?1 AND ordinal = ?2")?
        .query_row(params![field.code(), ordinal], |row| row.get(0))
        .optional()
}

/// Whether a field has a term of this ordinal.
pub fn has_term(connection: &Connection, field: Field, ordinal: u32) -> rusqlite::Result<bool> {
    Ok(value(connection, field, ordinal)?.is_some())
}

/// A test of a term's value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Test {
    Predicate(Predicate),
    /// Holds this word.
    Word(String),
    /// May be the beginning of a longer word.
    IsCut,
}

impl Test {
    /// What remembering it costs, in ordinals of four bytes.
    fn cost(&self) -> usize {
        let text = match self {
            Self::Predicate(Predicate::Exact(text) | Predicate::IgnoreCase(text) | Predicate::Prefix(text))
            | Self::Word(text) => text.len(),
            Self::Predicate(Predicate::StatusClass(_) | Predicate::Network(_)) | Self::IsCut => 0,
        };
        TEST_COST + text / 4
    }
}

/// What is known of the terms that pass tests.
#[derive(Debug, Default)]
pub(super) struct PredicateCache(Mutex<HashMap<(Field, Test), Tested>>);

#[derive(Debug, Clone)]
struct Tested {
    /// Terms with a lower ordinal have been tested.
    through: u32,
    passed: Ordinals,
}

impl PredicateCache {
    /// The terms of a field that pass a predicate.
    pub(super) fn passing(&self, snapshot: &Snapshot<'_>, field: Field, predicate: &Predicate) -> Result<Ordinals> {
        match predicate {
            Predicate::Exact(value) => Ok(find(snapshot.connection, field, value)?.into_iter().collect()),
            _ => {
                let test = Test::Predicate(predicate.clone());
                self.tested(snapshot, field, test, predicate.beginnings(), |value| predicate.matches(value))
            }
        }
    }

    /// The terms of a field that hold a word of a search.
    pub(super) fn holding(&self, snapshot: &Snapshot<'_>, field: Field, word: &SearchWord) -> Result<Ordinals> {
        self.tested(snapshot, field, Test::Word(word.text.clone()), None, |value| word.is_in(value))
    }

    /// The words of messages that hold a part of a search.
    pub(super) fn words_holding(&self, snapshot: &Snapshot<'_>, part: &str) -> Result<Ordinals> {
        self.tested(snapshot, Field::Word, Test::Word(part.to_owned()), None, |value| search::holds_part(value, part))
    }

    /// The words of messages that may have had more bytes.
    pub(super) fn cut_words(&self, snapshot: &Snapshot<'_>) -> Result<Ordinals> {
        self.tested(snapshot, Field::Word, Test::IsCut, None, search::may_be_cut)
    }

    /// The terms that pass a test. Where many came since it was last made, those alone are looked at that begin as one of
    /// `beginnings` says; without it, and where few came, all that came.
    fn tested(
        &self,
        snapshot: &Snapshot<'_>,
        field: Field,
        test: Test,
        beginnings: Option<Vec<String>>,
        passes: impl Fn(&str) -> bool,
    ) -> Result<Ordinals> {
        let key = (field, test);
        let known = self.0.lock().get(&key).cloned();
        let known = known.unwrap_or_else(|| Tested { through: 0, passed: Arc::from([]) });
        let through = next_ordinal(snapshot.connection, field)?;
        // It may have been made on a newer state of the log: no event of this one has what came since.
        if through <= known.through {
            return Ok(known.passed);
        }
        let scan = Scan { snapshot, field, through };
        let (tested, outcome) = match beginnings.filter(|_| through - known.through > FEW_TERMS) {
            Some(beginnings) => (scan.beginning(&beginnings, passes)?, Ok(())),
            None => scan.since(&known, passes),
        };
        // A query that ended early leaves what it found out: sent again, it goes on from there.
        if tested.through > known.through {
            self.remember(key, &tested);
        }
        outcome.map(|()| tested.passed)
    }

    fn remember(&self, key: (Field, Test), tested: &Tested) {
        if tested.passed.len() > PASSED_MAX {
            return;
        }
        let mut tests = self.0.lock();
        let held: usize = tests.iter().map(|((_, test), tested)| tested.passed.len() + test.cost()).sum();
        if held + tested.passed.len() > TESTED_MAX {
            tests.clear();
        }
        let known = tests.entry(key).or_insert_with(|| tested.clone());
        // Another query may have come further meanwhile.
        if known.through < tested.through {
            *known = tested.clone();
        }
    }
}

/// Reading a field's terms, those below an ordinal, in slices: between two of them the query takes a new snapshot where it
/// is time. Terms that come meanwhile have higher ordinals; terms that are deleted meanwhile are in no event.
struct Scan<'s> {
    snapshot: &'s Snapshot<'s>,
    field: Field,
    through: u32,
}

impl Scan<'_> {
    /// Tests the terms that came since `known`. An error comes with what was found out before it.
    fn since(&self, known: &Tested, accepts: impl Fn(&str) -> bool) -> (Tested, Result<()>) {
        let (mut passed, mut tested, mut outcome) = (known.passed.to_vec(), known.through, Ok(()));
        while outcome.is_ok() && tested < self.through {
            outcome = self.slice(tested, &accepts, &mut passed).and_then(|next| {
                tested = next;
                self.snapshot.step()
            });
        }
        (Tested { through: tested, passed: passed.into() }, outcome)
    }

    /// Tests a slice of the terms from an ordinal on; returns where the next slice begins.
    fn slice(&self, first: u32, accepts: impl Fn(&str) -> bool, passed: &mut Vec<u32>) -> Result<u32> {
        let before = passed.len();
        let mut read = || -> Result<u32> {
            let mut statement = self.snapshot.connection.prepare_cached(
                "SELECT ordinal, value FROM term WHERE field = ?1 AND ordinal >= ?2 AND ordinal < ?3 ORDER BY ordinal \
                 LIMIT ?4",
            )?;
            let mut rows = statement.query(params![self.field.code(), first, self.through, SLICE_TERMS])?;
            let (mut count, mut last) = (0, first);
            while let Some(row) = rows.next()? {
                (count, last) = (count + 1, row.get(0)?);
                if accepts(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?) {
                    passed.push(last);
                }
            }
            Ok(if count == SLICE_TERMS { last + 1 } else { self.through })
        };
        // A slice that was not read to its end is tested again.
        read().inspect_err(|_| passed.truncate(before))
    }

    /// Tests the terms that begin in one of these ways. Values are in byte order in the file, so those with one beginning
    /// are neighbors.
    fn beginning(&self, beginnings: &[String], accepts: impl Fn(&str) -> bool) -> Result<Tested> {
        let mut passed = Vec::new();
        for beginning in beginnings {
            let mut from = Some(beginning.clone());
            while let Some(first) = from {
                from = self.slice_beginning(beginning, &first, &accepts, &mut passed)?;
                self.snapshot.step()?;
            }
        }
        // One beginning may be that of another.
        passed.sort_unstable();
        passed.dedup();
        Ok(Tested { through: self.through, passed: passed.into() })
    }

    /// Tests a slice of the terms from a value on that have a beginning; returns where the next slice begins, if there is
    /// one.
    fn slice_beginning(
        &self,
        beginning: &str,
        first: &str,
        accepts: impl Fn(&str) -> bool,
        passed: &mut Vec<u32>,
    ) -> Result<Option<String>> {
        let mut statement = self.snapshot.connection.prepare_cached(
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
                // No value holds a NUL: nothing is between a value and this.
                next = Some(format!("{value}\0"));
            }
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        index::{
            query::{messages::tests::Unread, pace::Watch},
            snapshot::Index,
        },
        model::cancel::Cancel,
    };

    const TERMS: u32 = 3 * SLICE_TERMS;

    #[test]
    fn slices_find_what_one_look_at_all_terms_finds() {
        let connection = Connection::open_in_memory().unwrap();
        let tables = "CREATE TABLE chunk (number INTEGER PRIMARY KEY); CREATE TABLE term (field INTEGER, ordinal INTEGER, \
                      value TEXT, PRIMARY KEY (field, ordinal)) WITHOUT ROWID; CREATE UNIQUE INDEX v ON term (field, value)";
        connection.execute_batch(&format!("{tables}; BEGIN")).unwrap();
        let add = |ordinal: u32| {
            // Their order is not that of their ordinals, and some are gone.
            let value =
                format!("{}-{:05}", ["a", "b", "B", "c"][ordinal as usize % 4], ordinal.wrapping_mul(7_919) % 99_991);
            let sql = "INSERT INTO term VALUES (?1, ?2, ?3)";
            if ordinal % 31 != 5 {
                connection.execute(sql, params![Field::Path.code(), ordinal, value]).unwrap();
            }
            (ordinal, value)
        };
        let mut terms: Vec<_> = (0..TERMS).map(add).collect();
        let (index, cancel) = (Index::new(64, Vec::new(), Box::new(Unread)), Cancel::never());
        let watch = Watch { cancel: &cancel, begun: &|_| Ok(()) };
        let snapshot = index.watched(&connection, watch).unwrap();
        let prefixes = ["b", "b-4", "", "none"].map(|prefix| Predicate::Prefix(prefix.to_owned()));
        let check = |terms: &[(u32, String)]| {
            for predicate in prefixes.iter().cloned().chain([Predicate::IgnoreCase("B-07919".to_owned())]) {
                let passes = |(ordinal, value): &&(u32, String)| ordinal % 31 != 5 && predicate.matches(value);
                let expected: Vec<u32> = terms.iter().filter(passes).map(|(ordinal, _)| *ordinal).collect();
                let found = index.tests.passing(&snapshot, Field::Path, &predicate).unwrap();
                assert_eq!(*found, *expected, "{predicate:?}");
            }
            let word = SearchWord::parse_all("-1").unwrap().remove(0);
            let passes = |(ordinal, value): &&(u32, String)| ordinal % 31 != 5 && word.is_in(value);
            let expected: Vec<u32> = terms.iter().filter(passes).map(|(ordinal, _)| *ordinal).collect();
            assert_eq!(*index.tests.holding(&snapshot, Field::Path, &word).unwrap(), *expected);
        };
        check(&terms);
        // A few more, which are tested one by one, and then many.
        terms.extend((TERMS..TERMS + 100).map(add));
        check(&terms);
        terms.extend((TERMS + 100..2 * TERMS).map(add));
        check(&terms);
    }
}
