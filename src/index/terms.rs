//! The term dictionary: every value that is shared across the log, with a number.
//!
//! The number of a value, its ordinal, counts from 0 within the field, in the order in which the log first saw the values.
//! An ordinal is never reused. Which terms match a predicate can therefore be cached, and only newer terms need testing. The
//! cache may still contain a term that was deleted because no event has it. Such a term finds nothing.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    index::{
        chunk::memory::{OrdinalSet, term_fields},
        encode::parts::parts,
        error::Result,
        pace::PacedConnection,
        term_cache::{KnownTerms, TermCache},
        term_parts::TermParts,
        term_scan::{Ordinals, Scan, Tested},
    },
    model::{
        field::Field,
        filter::Predicate,
        search::{self, SearchText},
        verbs,
    },
};

/// Maximum number of cached ordinals, over all predicates: 8 MB.
const CACHED_ORDINALS_MAX: usize = 2_000_000;
/// Maximum number of cached ordinals of one predicate.
const ORDINALS_EACH_MAX: usize = CACHED_ORDINALS_MAX / 4;
/// Up to this many new terms are all tested, instead of only those with a matching beginning.
const FEW_TERMS: u32 = 200;
/// The cost of a cached predicate in addition to its text and its ordinals, in ordinals of four bytes.
const CONDITION_COST: usize = 100;

/// Maximum number of terms that were found in the file and are not in the cache yet.
const FOUND_MAX: usize = 10_000;

/// Ordinals by field and value.
type FieldTerms = HashMap<Field, HashMap<Box<str>, u32>>;

/// The writer's access to the term dictionary: looks up terms, with a cache, and adds new ones to the file.
#[derive(Debug, Default)]
pub struct TermWriter {
    cache: Arc<TermCache>,
    generation: u64,
    /// Terms that were added to the file in a transaction that is not committed.
    added: FieldTerms,
    /// Terms that were found in the file, which go into the cache together.
    found: FieldTerms,
    found_count: usize,
    /// The ordinals of the next new terms in this transaction. The next transaction reads them from the file again: a command
    /// that runs while the server runs may have added terms.
    next: HashMap<Field, u32>,
}

impl TermWriter {
    /// The cache, for threads that prepare events.
    pub fn cache(&self) -> Arc<TermCache> {
        Arc::clone(&self.cache)
    }

    /// The ordinals that were looked up when an event was prepared; none if terms were deleted since.
    pub fn valid<'k>(&self, known: &'k KnownTerms) -> &'k [Option<u32>] {
        known.of_generation(self.generation)
    }

    /// The ordinal of a value. A new value is added to the term dictionary in the connection's transaction. After its commit,
    /// call [`TermWriter::committed`]; after a rollback, [`TermWriter::forget`].
    pub fn ordinal(&mut self, connection: &Connection, field: Field, value: &str) -> rusqlite::Result<u32> {
        if let Some(ordinal) = self.known(connection, field, value)? {
            return Ok(ordinal);
        }
        let ordinal = match self.next.get(&field) {
            Some(next) => *next,
            None => next_ordinal(connection, field)?,
        };
        insert(connection, field, ordinal, value)?;
        self.next.insert(field, ordinal.saturating_add(1));
        self.added.entry(field).or_default().insert(Box::from(value), ordinal);
        Ok(ordinal)
    }

    /// The ordinal of a value that is in the term dictionary.
    pub fn known(&mut self, connection: &Connection, field: Field, value: &str) -> rusqlite::Result<Option<u32>> {
        for terms in [&self.added, &self.found] {
            if let Some(ordinal) = terms.get(&field).and_then(|terms| terms.get(value)) {
                return Ok(Some(*ordinal));
            }
        }
        if let Some(ordinal) = self.cache.get(field, value) {
            return Ok(Some(ordinal));
        }
        let found = find(connection, field, value)?;
        if let Some(ordinal) = found {
            self.found.entry(field).or_default().insert(Box::from(value), ordinal);
            self.found_count += 1;
            // A long reading of the log has no commits.
            if self.found_count == FOUND_MAX {
                self.publish_found();
            }
        }
        Ok(found)
    }

    /// Makes the terms of the transaction known to the threads that prepare events.
    pub fn committed(&mut self) {
        self.next.clear();
        self.cache.insert_all(flat(&self.added));
        self.added.clear();
        self.publish_found();
    }

    fn publish_found(&mut self) {
        self.cache.insert_all(flat(&self.found));
        self.found.clear();
        self.found_count = 0;
    }

    /// Empties the cache. Call this after a rollback, because the terms that the transaction added do not exist, and after
    /// terms were deleted.
    pub fn forget(&mut self) {
        self.added.clear();
        self.found.clear();
        self.found_count = 0;
        self.next.clear();
        self.generation = self.cache.clear();
    }
}

fn flat(terms: &FieldTerms) -> impl Iterator<Item = (Field, &str, u32)> {
    terms.iter().flat_map(|(field, terms)| terms.iter().map(|(value, ordinal)| (*field, &**value, *ordinal)))
}

/// The ordinal of a value that is in the term dictionary.
pub(super) fn find(connection: &Connection, field: Field, value: &str) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached("SELECT ordinal FROM term WHERE field = ?1 AND value = ?2")?
        .query_row(params![field.code(), value], |row| row.get(0))
        .optional()
}

fn insert(connection: &Connection, field: Field, ordinal: u32, value: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO term (field, ordinal, value) VALUES (?1, ?2, ?3)")?
        .execute(params![field.code(), ordinal, value])
        .map(drop)
}

/// Deletes terms of a field that no event has. The row of the highest ordinal stays without its value, so that the ordinal is
/// not reused. The caller must empty the writer's cache: [`TermWriter::forget`].
pub fn delete_terms(connection: &Connection, field: Field, ordinals: &[u32]) -> rusqlite::Result<()> {
    let highest = count(connection, field)?.checked_sub(1);
    for ordinal in ordinals {
        let sql = if highest == usize::try_from(*ordinal).ok() {
            // No value contains a NUL.
            "UPDATE term SET value = char(0) || ordinal WHERE field = ?1 AND ordinal = ?2"
        } else {
            "DELETE FROM term WHERE field = ?1 AND ordinal = ?2"
        };
        connection.prepare_cached(sql)?.execute(params![field.code(), ordinal])?;
    }
    Ok(())
}

/// The terms that events have, by field.
#[derive(Debug, Default)]
pub struct UsedTerms(HashMap<Field, OrdinalSet>);

impl UsedTerms {
    /// Records that an event has a term.
    pub(super) fn add(&mut self, field: Field, ordinal: u32) {
        self.0.entry(field).or_default().insert(ordinal);
    }

    /// The terms in the dictionary that no event has.
    pub fn unused(&self, connection: &Connection) -> rusqlite::Result<Vec<(Field, Vec<u32>)>> {
        let mut unused = Vec::new();
        let mut statement = connection.prepare("SELECT ordinal FROM term WHERE field = ?1")?;
        for field in term_fields() {
            let used = self.0.get(&field);
            let mut ordinals = statement.query_map([field.code()], |row| row.get(0))?.collect::<Result<Vec<_>, _>>()?;
            ordinals.retain(|ordinal| !used.is_some_and(|used| used.holds(*ordinal)));
            unused.push((field, ordinals));
        }
        Ok(unused)
    }
}

/// The number of terms that a field has had, including deleted ones.
pub(super) fn count(connection: &Connection, field: Field) -> rusqlite::Result<usize> {
    next_ordinal(connection, field).map(|ordinal| ordinal as usize)
}

/// The ordinal of the next new term of a field.
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

/// Whether a field has a term with this ordinal.
pub fn has_term(connection: &Connection, field: Field, ordinal: u32) -> rusqlite::Result<bool> {
    Ok(value(connection, field, ordinal)?.is_some())
}

/// A condition on the value of a term.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Condition {
    Predicate(Predicate),
    /// The value contains this search text.
    Text(String),
    /// The value is a word of messages that contains this part of a search text.
    Part(String),
    /// The value is an action whose sentence has this text.
    Says(String),
    /// The value may be the beginning of a longer word.
    IsCut,
}

impl Condition {
    /// The cost of caching the condition, in ordinals of four bytes.
    fn cost(&self) -> usize {
        let text = match self {
            Self::Predicate(Predicate::Exact(text) | Predicate::IgnoreCase(text) | Predicate::Prefix(text))
            | Self::Text(text)
            | Self::Part(text)
            | Self::Says(text) => text.len(),
            Self::Predicate(Predicate::StatusClass(_) | Predicate::Network(_) | Predicate::Number(_)) | Self::IsCut => {
                0
            }
        };
        CONDITION_COST + text / 4
    }
}

/// A cache of the terms that meet conditions, for the predicates and search words of queries.
#[derive(Debug, Default)]
pub(super) struct PredicateCache {
    results: Mutex<HashMap<(Field, Condition), Tested>>,
    parts: TermParts,
}

/// What is known of the terms that can meet a condition.
enum Hint<'h> {
    /// Nothing: all terms must be tested.
    None,
    /// They begin with one of these texts.
    Beginnings(Vec<String>),
    /// They contain this folded text.
    Contains(&'h str),
}

impl Hint<'_> {
    fn of(predicate: &Predicate) -> Self {
        predicate.beginnings().map_or(Self::None, Self::Beginnings)
    }
}

impl PredicateCache {
    /// The terms of a field that match a predicate.
    pub(super) fn passing(&self, paced: &PacedConnection<'_>, field: Field, predicate: &Predicate) -> Result<Ordinals> {
        match predicate {
            Predicate::Exact(value) => Ok(find(paced.connection, field, value)?.into_iter().collect()),
            _ => {
                let test = Condition::Predicate(predicate.clone());
                self.tested(paced, field, test, Hint::of(predicate), |value| predicate.matches(value))
            }
        }
    }

    /// The terms of a field that contain a search text.
    pub(super) fn holding(&self, paced: &PacedConnection<'_>, field: Field, text: &SearchText) -> Result<Ordinals> {
        // The sentences of actions have other texts.
        let hint = if field == Field::Action { Hint::None } else { Hint::Contains(&text.text) };
        self.tested(paced, field, Condition::Text(text.text.clone()), hint, |value| text.is_in(field, value))
    }

    /// The words of messages that contain a part of a search text.
    pub(super) fn words_holding(&self, paced: &PacedConnection<'_>, part: &str) -> Result<Ordinals> {
        let condition = Condition::Part(part.to_owned());
        self.tested(paced, Field::Word, condition, Hint::Contains(part), |value| search::holds_part(value, part))
    }

    /// The actions whose sentences have this folded text: see [`verbs::says`].
    pub(super) fn saying(&self, paced: &PacedConnection<'_>, text: &str) -> Result<Ordinals> {
        self.tested(paced, Field::Action, Condition::Says(text.to_owned()), Hint::None, |action| {
            verbs::says(action, text)
        })
    }

    /// The words of messages of which only the beginning may be stored.
    pub(super) fn cut_words(&self, paced: &PacedConnection<'_>) -> Result<Ordinals> {
        self.tested(paced, Field::Word, Condition::IsCut, Hint::None, search::may_be_cut)
    }

    /// The terms that meet a condition. Only terms that are newer than the cached result are tested. If there are many of them,
    /// only those that can meet it are read.
    fn tested(
        &self,
        paced: &PacedConnection<'_>,
        field: Field,
        condition: Condition,
        hint: Hint<'_>,
        passes: impl Fn(&str) -> bool,
    ) -> Result<Ordinals> {
        let key = (field, condition);
        let known = self.results.lock().get(&key).cloned();
        let known = known.unwrap_or_else(|| Tested { through: 0, passed: Arc::from([]) });
        let through = next_ordinal(paced.connection, field)?;
        // The result may come from a newer state of the log. No event of this state has one of the newer terms.
        if through <= known.through {
            return Ok(known.passed);
        }
        let scan = Scan { paced, field, through };
        let (tested, outcome) = match hint {
            _ if through - known.through <= FEW_TERMS => scan.since(&known, passes),
            Hint::Beginnings(beginnings) => (scan.beginning(&beginnings, passes)?, Ok(())),
            Hint::Contains(text) if parts(text).next().is_some() => {
                (scan.containing(text, &self.parts, passes)?, Ok(()))
            }
            Hint::Contains(_) | Hint::None => scan.since(&known, passes),
        };
        // A query that ended early caches what it tested. When it is sent again, it continues from there.
        if tested.through > known.through {
            self.remember(key, &tested);
        }
        outcome.map(|()| tested.passed)
    }

    fn remember(&self, key: (Field, Condition), tested: &Tested) {
        if tested.passed.len() > ORDINALS_EACH_MAX {
            return;
        }
        let mut cache = self.results.lock();
        let held: usize = cache.iter().map(|((_, condition), tested)| tested.passed.len() + condition.cost()).sum();
        if held + tested.passed.len() > CACHED_ORDINALS_MAX {
            cache.clear();
        }
        let known = cache.entry(key).or_insert_with(|| tested.clone());
        // Another query may have tested more terms meanwhile.
        if known.through < tested.through {
            *known = tested.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        index::{pace::Watch, snapshot::Index, term_scan::SLICE_TERMS, texts::tests::Unread},
        model::{cancel::Cancel, values::Values},
    };

    const TERMS: u32 = 3 * SLICE_TERMS;

    #[test]
    fn other_threads_learn_of_a_term_when_it_is_committed() {
        let connection = Connection::open_in_memory().unwrap();
        let tables = "CREATE TABLE term (field INTEGER, ordinal INTEGER, value TEXT, PRIMARY KEY (field, ordinal)) \
                      WITHOUT ROWID; CREATE UNIQUE INDEX v ON term (field, value); BEGIN";
        connection.execute_batch(tables).unwrap();
        let (mut terms, mut values) = (TermWriter::default(), Values::default());
        let cache = terms.cache();
        values.push(Field::Entity, "a");
        assert_eq!(terms.ordinal(&connection, Field::Entity, "a").unwrap(), 0);
        assert_eq!(terms.valid(&cache.known(&values)), [None]);
        connection.execute_batch("ROLLBACK; BEGIN").unwrap();
        terms.forget();
        // The ordinal now belongs to another value.
        assert_eq!(terms.ordinal(&connection, Field::Entity, "b").unwrap(), 0);
        assert_eq!(terms.ordinal(&connection, Field::Entity, "a").unwrap(), 1);
        connection.execute_batch("COMMIT").unwrap();
        terms.committed();
        let known = cache.known(&values);
        assert_eq!(terms.valid(&known), [Some(1)]);
        delete_terms(&connection, Field::Entity, &[0, 1]).unwrap();
        terms.forget();
        assert!(terms.valid(&known).is_empty());
        assert_eq!(terms.ordinal(&connection, Field::Entity, "a").unwrap(), 2);
    }

    #[test]
    fn terms_that_are_found_do_not_pile_up() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE term (field INTEGER, ordinal INTEGER, value TEXT)").unwrap();
        let mut terms = TermWriter::default();
        connection.execute_batch("CREATE INDEX v ON term (field, value); BEGIN").unwrap();
        let count = u32::try_from(FOUND_MAX).unwrap() + 10;
        for ordinal in 0..count {
            insert(&connection, Field::Entity, ordinal, &ordinal.to_string()).unwrap();
        }
        for ordinal in 0..count {
            assert_eq!(terms.known(&connection, Field::Entity, &ordinal.to_string()).unwrap(), Some(ordinal));
        }
        assert_eq!((terms.found_count, terms.found[&Field::Entity].len()), (10, 10));
        assert_eq!(terms.cache().get(Field::Entity, "5"), Some(5));
    }

    #[test]
    fn reading_in_slices_finds_the_same_terms_as_reading_all_at_once() {
        let connection = Connection::open_in_memory().unwrap();
        let tables = "CREATE TABLE chunk (number INTEGER PRIMARY KEY); CREATE TABLE term (field INTEGER, ordinal INTEGER, \
                      value TEXT, PRIMARY KEY (field, ordinal)) WITHOUT ROWID; CREATE UNIQUE INDEX v ON term (field, value)";
        connection.execute_batch(&format!("{tables}; BEGIN")).unwrap();
        let add = |ordinal: u32| {
            // The order of values differs from that of ordinals, and some terms are deleted.
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
                let found = index.predicates.passing(&snapshot.paced, Field::Path, &predicate).unwrap();
                assert_eq!(*found, *expected, "{predicate:?}");
            }
            for word in ["-1", "B-0791", "b-99", "nothing"].map(|word| SearchText::word(word, false)) {
                let passes = |(ordinal, value): &&(u32, String)| ordinal % 31 != 5 && word.is_in(Field::Path, value);
                let expected: Vec<u32> = terms.iter().filter(passes).map(|(ordinal, _)| *ordinal).collect();
                let found = index.predicates.holding(&snapshot.paced, Field::Path, &word).unwrap();
                assert_eq!(*found, *expected, "{word:?}");
            }
        };
        check(&terms);
        // A few more, which are all tested, and then many.
        terms.extend((TERMS..TERMS + 100).map(add));
        check(&terms);
        terms.extend((TERMS + 100..2 * TERMS).map(add));
        check(&terms);
    }
}
