//! A cache of the term dictionary. The threads that prepare events and the writer's thread share it.
//!
//! It has committed terms only. An ordinal that a thread has read from it stays valid until the writer's thread deletes
//! terms: then the cache is emptied and its generation changes, and the writer looks up the terms of waiting events
//! again.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use parking_lot::RwLock;

use crate::model::{
    field::{Field, TermStorage},
    values::{self, Values},
};

/// Maximum number of bytes in each of the two parts of the cache. Most events repeat values of recent events.
const PART_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Bytes that a cached term takes in addition to its value.
const TERM_BYTES: usize = 64;

/// The cached terms.
#[derive(Debug, Default)]
pub struct TermCache {
    parts: RwLock<Parts>,
    /// Values come from senders. With a secret key, they cannot be chosen to have the same hash.
    keyed: RandomState,
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
    bytes: usize,
}

#[derive(Debug)]
struct CachedTerm {
    hash: u64,
    field: Field,
    value: Box<str>,
    ordinal: u32,
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
        let (mut ordinals, mut aged) = (Vec::with_capacity(32), Vec::new());
        let parts = self.parts.read();
        let generation = parts.generation;
        for (field, value) in values::iterate(values.as_bytes()) {
            if field.spec().sharing == TermStorage::LogWide {
                let hash = self.hash(field, value);
                let (ordinal, is_aged) = parts.find(hash, field, value);
                ordinals.push(ordinal);
                if let (Some(ordinal), true) = (ordinal, is_aged) {
                    aged.push((hash, field, value, ordinal));
                }
            }
        }
        drop(parts);
        if !aged.is_empty() {
            let mut parts = self.parts.write();
            // The writer may have deleted terms meanwhile.
            if parts.generation == generation {
                for (hash, field, value, ordinal) in aged {
                    parts.insert(hash, field, value, ordinal);
                }
            }
        }
        KnownTerms { ordinals, generation: Some(generation) }
    }

    /// The ordinal of a value.
    pub(super) fn get(&self, field: Field, value: &str) -> Option<u32> {
        let hash = self.hash(field, value);
        let (ordinal, is_aged) = self.parts.read().find(hash, field, value);
        if let (Some(ordinal), true) = (ordinal, is_aged) {
            self.parts.write().insert(hash, field, value, ordinal);
        }
        ordinal
    }

    /// Adds a committed term. Only the writer's thread may call this.
    pub(super) fn insert(&self, field: Field, value: &str, ordinal: u32) {
        self.parts.write().insert(self.hash(field, value), field, value, ordinal);
    }

    /// Empties the cache. Only the writer's thread may call this. Returns the new generation.
    pub(super) fn clear(&self) -> u64 {
        let mut parts = self.parts.write();
        *parts = Parts { generation: parts.generation + 1, ..Parts::default() };
        parts.generation
    }

    fn hash(&self, field: Field, value: &str) -> u64 {
        self.keyed.hash_one((field.code(), value))
    }
}

impl Parts {
    /// The ordinal of a value, and whether it is in the old part only.
    fn find(&self, hash: u64, field: Field, value: &str) -> (Option<u32>, bool) {
        match self.young.find(hash, field, value) {
            Some(ordinal) => (Some(ordinal), false),
            None => (self.old.find(hash, field, value), true),
        }
    }

    fn insert(&mut self, hash: u64, field: Field, value: &str, ordinal: u32) {
        if self.young.find(hash, field, value).is_some() {
            return;
        }
        if self.young.bytes >= PART_BYTES_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        let term = CachedTerm { hash, field, value: Box::from(value), ordinal };
        self.young.bytes += value.len() + TERM_BYTES;
        self.young.terms.insert_unique(hash, term, |term| term.hash);
    }
}

impl Part {
    fn find(&self, hash: u64, field: Field, value: &str) -> Option<u32> {
        let is_it = |term: &CachedTerm| term.hash == hash && term.field == field && *term.value == *value;
        self.terms.find(hash, is_it).map(|term| term.ordinal)
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

    #[test]
    fn known_ordinals_are_in_the_order_of_the_shared_values() {
        let cache = TermCache::default();
        cache.insert(Field::Action, "READ", 7);
        cache.insert(Field::Entity, "READ", 8);
        assert_eq!(cache.known(&values("READ")).of_generation(0), [Some(8), Some(7)]);
        assert_eq!(cache.known(&values("other")).of_generation(0), [None, Some(7)]);
        assert!(KnownTerms::default().of_generation(0).is_empty());
    }

    #[test]
    fn ordinals_from_before_a_deletion_are_no_longer_valid() {
        let cache = TermCache::default();
        cache.insert(Field::Entity, "a", 3);
        let before = cache.known(&values("a"));
        let generation = cache.clear();
        assert!(before.of_generation(generation).is_empty());
        assert_eq!(cache.known(&values("a")).of_generation(generation), [None, None]);
    }

    #[test]
    fn terms_in_use_stay_when_others_are_evicted() {
        let cache = TermCache::default();
        cache.insert(Field::Entity, "kept", 1);
        cache.insert(Field::Entity, "left", 2);
        let count = u32::try_from(3 * PART_BYTES_MAX / TERM_BYTES).unwrap();
        for number in 0..count {
            cache.insert(Field::Path, &number.to_string(), number);
            if number % 1_000 == 0 {
                assert_eq!(cache.known(&values("kept")).of_generation(0), [Some(1), None]);
            }
        }
        assert_eq!((cache.get(Field::Entity, "kept"), cache.get(Field::Entity, "left")), (Some(1), None));
        let parts = cache.parts.read();
        assert!(parts.young.bytes + parts.old.bytes < 3 * PART_BYTES_MAX);
    }
}
