//! Spellings: terms that a filter cannot tell apart, because they differ only in case or in the encoding of accents. They count as
//! one value.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use hashbrown::HashTable;
use parking_lot::Mutex;
use rusqlite::params;

use crate::{
    index::{error::Result, pace::PacedConnection, term_scan::SLICE_TERMS},
    model::{
        field::{Field, Matching},
        fold::fold,
    },
};

/// The terms of a field that are another spelling of an earlier term, each with that term.
pub(super) type Respelled = Arc<HashMap<u32, u32>>;

/// The spellings of each field. They are read from the term dictionary when a field is first counted; later, only new terms are.
#[derive(Debug, Default)]
pub(super) struct Spellings {
    fields: Mutex<HashMap<Field, Known>>,
    hashing: RandomState,
}

/// What is known of a field, in 13 bytes for each term.
#[derive(Debug, Default)]
struct Known {
    /// The hash of each folded term, by ordinal. Two different texts of one log have the same 64 bits in one of 10^7 logs with a
    /// million values.
    hashes: Vec<u64>,
    /// The first term with each hash.
    first: HashTable<u32>,
    respelled: Respelled,
}

impl Spellings {
    /// The terms of a field that are another spelling of an earlier one.
    pub(super) fn of(&self, paced: &PacedConnection<'_>, field: Field) -> Result<Respelled> {
        if field.spec().matching != Matching::IgnoreCase {
            return Ok(Respelled::default());
        }
        self.read(paced, field)?;
        Ok(self.fields.lock().get(&field).map_or_else(Respelled::default, |known| Arc::clone(&known.respelled)))
    }

    /// The counted terms of the second field that are equal, apart from spelling, to a term of the first: by that term's ordinal, or
    /// by that of its first spelling. The ordinals of each list ascend.
    pub(super) fn namesakes(
        &self,
        paced: &PacedConnection<'_>,
        fields: [Field; 2],
        counts: &[u64],
    ) -> Result<HashMap<u32, Vec<u32>>> {
        fields.iter().try_for_each(|field| self.read(paced, *field))?;
        let known = self.fields.lock();
        let mut found: HashMap<u32, Vec<u32>> = HashMap::new();
        if let [Some(own), Some(other)] = fields.map(|field| known.get(&field)) {
            for (ordinal, (hash, _)) in (0..).zip(other.hashes.iter().zip(counts)).filter(|(_, (_, count))| **count > 0)
            {
                if let Some(namesake) = own.first_with(*hash) {
                    found.entry(namesake).or_default().push(ordinal);
                }
            }
        }
        Ok(found)
    }

    /// Reads the terms of a field that are not yet known.
    fn read(&self, paced: &PacedConnection<'_>, field: Field) -> Result<()> {
        loop {
            let known = self.fields.lock().get(&field).map_or(0, |known| known.hashes.len());
            let known = u32::try_from(known).unwrap_or(u32::MAX);
            let hashes = self.slice(paced, field, known)?;
            let is_last = hashes.len() < SLICE_TERMS as usize;
            let mut fields = self.fields.lock();
            let all = fields.entry(field).or_default();
            // Another query may have added them meanwhile.
            for (ordinal, hash) in hashes {
                all.add(ordinal, hash);
            }
            if is_last {
                return Ok(());
            }
            drop(fields);
            paced.step()?;
        }
    }

    /// The hashes of some terms, from an ordinal on.
    fn slice(&self, paced: &PacedConnection<'_>, field: Field, first: u32) -> Result<Vec<(u32, u64)>> {
        let mut statement = paced.connection.prepare_cached(
            "SELECT ordinal, value FROM term WHERE field = ?1 AND ordinal >= ?2 ORDER BY ordinal LIMIT ?3",
        )?;
        let mut rows = statement.query(params![field.code(), first, SLICE_TERMS])?;
        let mut hashes = Vec::new();
        while let Some(row) = rows.next()? {
            let value = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            hashes.push((row.get(0)?, self.hashing.hash_one(fold(value))));
        }
        Ok(hashes)
    }
}

impl Known {
    fn add(&mut self, ordinal: u32, hash: u64) {
        let place = ordinal as usize;
        if place < self.hashes.len() {
            return;
        }
        // Deleted terms leave gaps, which the table does not refer to.
        self.hashes.resize(place, 0);
        self.hashes.push(hash);
        match self.first_with(hash) {
            Some(first) => {
                Arc::make_mut(&mut self.respelled).insert(ordinal, first);
            }
            None => {
                let hashes = &self.hashes;
                self.first.insert_unique(hash, ordinal, |other| hashes[*other as usize]);
            }
        }
    }

    /// The first term with a hash.
    fn first_with(&self, hash: u64) -> Option<u32> {
        self.first.find(hash, |first| self.hashes[*first as usize] == hash).copied()
    }
}

/// Adds up the counts of spellings. Returns the sums by the ordinal of the first spelling, and for each value that has several the
/// most common one.
pub(super) fn merge(counts: &[u64], respelled: &HashMap<u32, u32>) -> (Vec<u64>, HashMap<u32, u32>) {
    let (mut sums, mut commonest) = (counts.to_vec(), HashMap::new());
    let count = |ordinal: u32| counts.get(ordinal as usize).copied().unwrap_or(0);
    for (&ordinal, &first) in respelled {
        let own = count(ordinal);
        if let Some(sum) = sums.get_mut(first as usize) {
            *sum += own;
        }
        if let Some(sum) = sums.get_mut(ordinal as usize) {
            *sum = 0;
        }
        let shown = commonest.entry(first).or_insert(first);
        // Of two that are equally common, the newer one.
        if own > 0 && (own, ordinal) > (count(*shown), *shown) {
            *shown = ordinal;
        }
    }
    (sums, commonest)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::{
        index::{pace::Watch, snapshot::Index, texts::tests::Unread},
        model::cancel::Cancel,
    };

    #[test]
    fn spellings_of_one_value_are_known_however_many_terms_are_read_at_once() {
        let connection = Connection::open_in_memory().unwrap();
        let tables = "CREATE TABLE chunk (number INTEGER PRIMARY KEY); CREATE TABLE term (field INTEGER, ordinal INTEGER, \
                      value TEXT, PRIMARY KEY (field, ordinal)) WITHOUT ROWID; BEGIN";
        connection.execute_batch(tables).unwrap();
        let add = |ordinal: u32, value: &str| {
            let sql = "INSERT INTO term VALUES (?1, ?2, ?3)";
            connection.execute(sql, params![Field::Actor.code(), ordinal, value]).unwrap();
        };
        let (index, cancel) = (Index::new(64, Vec::new(), Box::new(Unread)), Cancel::never());
        let watch = Watch { cancel: &cancel, begun: &|_| Ok(()) };
        let snapshot = index.watched(&connection, watch).unwrap();
        let respelled = || {
            let mut all: Vec<_> = index
                .spellings
                .of(&snapshot.paced, Field::Actor)
                .unwrap()
                .iter()
                .map(|(one, first)| (*one, *first))
                .collect();
            all.sort_unstable();
            all
        };
        assert_eq!(respelled(), []);
        add(0, "ada");
        add(1, "m\u{fc}ller");
        // A deleted term leaves a gap.
        add(3, "ADA");
        assert_eq!(respelled(), [(3, 0)]);
        for ordinal in 4..3 * SLICE_TERMS {
            add(ordinal, &format!("name-{ordinal}"));
        }
        add(3 * SLICE_TERMS, "Mu\u{308}ller");
        add(3 * SLICE_TERMS + 1, "Ada");
        assert_eq!(respelled(), [(3, 0), (3 * SLICE_TERMS, 1), (3 * SLICE_TERMS + 1, 0)]);
        assert!(index.spellings.of(&snapshot.paced, Field::Entity).unwrap().is_empty());
    }

    #[test]
    fn counts_of_spellings_add_up_under_the_commonest() {
        let respelled = HashMap::from([(2, 0), (3, 0), (4, 1), (9, 1)]);
        let (sums, commonest) = merge(&[1, 5, 7, 2, 5, 3], &respelled);
        assert_eq!(sums, [10, 10, 0, 0, 0, 3]);
        assert_eq!(commonest, HashMap::from([(0, 2), (1, 4)]));
    }
}
