//! A cache of the term dictionary. The threads that prepare events and the writer's thread share it.
//!
//! It has committed terms only. An ordinal that a thread has read from it stays valid until the writer's thread deletes
//! terms: then the cache is emptied and its generation changes, and the writer looks up the terms of waiting events
//! again.

use std::hash::{BuildHasher, Hasher, RandomState};

use hashbrown::HashTable;
use parking_lot::RwLock;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::model::{
    field::{Field, TermStorage},
    values::{self, Values},
};

/// Maximum number of terms in each of the two parts of the cache: what a table of 2^18 buckets holds. A part takes 5.5 MB.
const PART_TERMS_MAX: usize = (1 << 18) / 8 * 7;

/// A number of shared values that few events exceed.
const USUAL_TERMS: usize = 32;

/// The cached terms.
#[derive(Debug)]
pub struct TermCache {
    parts: RwLock<Parts>,
    key: [u64; 2],
}

/// When the young part is full, it becomes the old one. A term that is read from the old part moves to the young one.
#[derive(Debug, Default)]
struct Parts {
    young: Part,
    old: Part,
    generation: u64,
}

#[derive(Debug, Default)]
struct Part {
    terms: HashTable<CachedTerm>,
}

#[derive(Debug)]
struct CachedTerm {
    digest: Digest,
    ordinal: u32,
}

/// A field and a value, as 128 bits of a keyed hash (SipHash-1-3). The key is secret, so senders cannot choose values with the
/// same hash, and by chance it happens once in 2^88 pairs of a term and one of a trillion values. A term therefore takes 20
/// bytes, whatever its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Digest([u32; 4]);

impl Digest {
    /// The part that chooses the place in a table.
    fn place(self) -> u64 {
        u64::from(self.0[0]) | u64::from(self.0[1]) << 32
    }
}

impl Default for TermCache {
    fn default() -> Self {
        Self { parts: RwLock::default(), key: [0, 1].map(|number| RandomState::new().hash_one(number)) }
    }
}

/// The ordinals of an event's shared values, in the order of the values.
#[derive(Debug, Clone, Default)]
pub struct KnownTerms {
    ordinals: Vec<Option<u32>>,
    /// `None` if nothing was looked up.
    generation: Option<u64>,
}

impl KnownTerms {
    /// The ordinals, if they were read from this generation of the cache.
    pub(super) fn of_generation(&self, generation: u64) -> &[Option<u32>] {
        if self.generation == Some(generation) { &self.ordinals } else { &[] }
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.ordinals.capacity() * size_of::<Option<u32>>()
    }
}

impl TermCache {
    /// Looks up the shared values of an event.
    pub fn known(&self, values: &Values) -> KnownTerms {
        let shared =
            values::iterate(values.as_bytes()).filter(|(field, _)| field.spec().sharing == TermStorage::LogWide);
        let mut digests = Vec::with_capacity(USUAL_TERMS);
        digests.extend(shared.map(|(field, value)| self.digest(field, value)));
        let (mut ordinals, mut aged) = (Vec::with_capacity(digests.len()), Vec::new());
        let parts = self.parts.read();
        let generation = parts.generation;
        for digest in digests {
            let (ordinal, is_aged) = parts.find(digest);
            ordinals.push(ordinal);
            if let (Some(ordinal), true) = (ordinal, is_aged) {
                aged.push(CachedTerm { digest, ordinal });
            }
        }
        drop(parts);
        if !aged.is_empty() {
            let mut parts = self.parts.write();
            // The writer may have deleted terms meanwhile.
            if parts.generation == generation {
                for term in aged {
                    parts.insert(term);
                }
            }
        }
        KnownTerms { ordinals, generation: Some(generation) }
    }

    /// The ordinal of a value.
    pub(super) fn get(&self, field: Field, value: &str) -> Option<u32> {
        let digest = self.digest(field, value);
        self.parts.read().find(digest).0
    }

    /// Adds committed terms. Only the writer's thread may call this.
    pub(super) fn insert_all<'v>(&self, terms: impl Iterator<Item = (Field, &'v str, u32)>) {
        let term = |(field, value, ordinal)| CachedTerm { digest: self.digest(field, value), ordinal };
        let terms: Vec<_> = terms.map(term).collect();
        if !terms.is_empty() {
            let mut parts = self.parts.write();
            for term in terms {
                parts.insert(term);
            }
        }
    }

    /// Empties the cache. Only the writer's thread may call this. Returns the new generation.
    pub(super) fn clear(&self) -> u64 {
        let mut parts = self.parts.write();
        *parts = Parts { generation: parts.generation + 1, ..Parts::default() };
        parts.generation
    }

    fn digest(&self, field: Field, value: &str) -> Digest {
        let mut hasher = SipHasher13::new_with_keys(self.key[0], self.key[1]);
        hasher.write(&field.code().to_le_bytes());
        hasher.write(value.as_bytes());
        let bytes = hasher.finish128().as_bytes();
        let (words, _) = bytes.as_chunks();
        Digest(std::array::from_fn(|index| u32::from_le_bytes(words[index])))
    }
}

impl Parts {
    /// The ordinal of a value, and whether it is in the old part only.
    fn find(&self, digest: Digest) -> (Option<u32>, bool) {
        match self.young.find(digest) {
            Some(ordinal) => (Some(ordinal), false),
            None => (self.old.find(digest), true),
        }
    }

    fn insert(&mut self, term: CachedTerm) {
        if self.young.find(term.digest).is_some() {
            return;
        }
        if self.young.terms.len() >= PART_TERMS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.terms.insert_unique(term.digest.place(), term, |term| term.digest.place());
    }
}

impl Part {
    fn find(&self, digest: Digest) -> Option<u32> {
        self.terms.find(digest.place(), |term| term.digest == digest).map(|term| term.ordinal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(entity: &str) -> Values {
        let mut values = Values::default();
        values.push(Field::Identifier, "e1");
        values.push(Field::Entity, entity);
        values.push(Field::Action, "READ");
        values
    }

    fn insert(cache: &TermCache, field: Field, value: &str, ordinal: u32) {
        cache.insert_all(std::iter::once((field, value, ordinal)));
    }

    #[test]
    fn known_ordinals_are_in_the_order_of_the_shared_values() {
        let cache = TermCache::default();
        insert(&cache, Field::Action, "READ", 7);
        insert(&cache, Field::Entity, "READ", 8);
        assert_eq!(cache.known(&values("READ")).of_generation(0), [Some(8), Some(7)]);
        assert_eq!(cache.known(&values("other")).of_generation(0), [None, Some(7)]);
        assert!(KnownTerms::default().of_generation(0).is_empty());
    }

    #[test]
    fn ordinals_from_before_a_deletion_are_no_longer_valid() {
        let cache = TermCache::default();
        insert(&cache, Field::Entity, "a", 3);
        let before = cache.known(&values("a"));
        let generation = cache.clear();
        assert!(before.of_generation(generation).is_empty());
        assert_eq!(cache.known(&values("a")).of_generation(generation), [None, None]);
    }

    #[test]
    fn terms_in_use_stay_when_others_are_evicted() {
        let cache = TermCache::default();
        insert(&cache, Field::Entity, "kept", 1);
        insert(&cache, Field::Entity, "left", 2);
        let count = u32::try_from(5 * PART_TERMS_MAX / 2).unwrap();
        for number in 0..count {
            insert(&cache, Field::Path, &number.to_string(), number);
            if number % 1_000 == 0 {
                assert_eq!(cache.known(&values("kept")).of_generation(0), [Some(1), None]);
            }
        }
        assert_eq!((cache.get(Field::Entity, "kept"), cache.get(Field::Entity, "left")), (Some(1), None));
        let parts = cache.parts.read();
        for part in [&parts.young, &parts.old] {
            assert!(part.terms.len() <= PART_TERMS_MAX && part.terms.allocation_size() < 6_000_000);
        }
    }
}
