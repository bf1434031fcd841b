//! The most common values of a field, and the number of events that a filter by each of them finds.

use std::{cmp::Reverse, collections::HashMap};

use crate::{
    index::{
        addresses::AddressValue,
        encode::bitset::Bitset,
        error::{IndexError, Result},
        query::view::View,
        snapshot::{Chunk, Snapshot},
        spellings, terms,
    },
    model::{
        field::{Field, Matching},
        filter::{Filter, Predicate},
        stats::{FACET_VALUES_MAX, Facet, FacetValue},
    },
};

/// The number of events with each term of a field.
pub(in crate::index) struct Tally {
    own: TermCounts,
    further: Option<Further>,
}

/// Counts by ordinal.
struct TermCounts {
    field: Field,
    counts: Vec<u64>,
}

/// For a field whose filter finds the values of another field too: what those values add.
struct Further {
    terms: TermCounts,
    /// The counted events, by the number of their chunk.
    events: Vec<(u32, Bitset)>,
}

impl TermCounts {
    fn new(snapshot: &Snapshot<'_>, field: Field) -> Result<Self> {
        Ok(Self { field, counts: vec![0; terms::count(snapshot.paced.connection, field)?] })
    }

    fn add(&mut self, view: &View<'_>, bits: &Bitset) -> Result<()> {
        view.step()?;
        let mut unknown = None;
        view.count_terms(self.field, bits, |ordinal, count| match self.counts.get_mut(ordinal as usize) {
            Some(sum) => *sum += count,
            None => unknown = Some(ordinal),
        })?;
        match unknown {
            Some(ordinal) => Err(IndexError::Damaged(format!(
                "the term dictionary has no term {ordinal} of {}",
                self.field.spec().label
            ))),
            None => Ok(()),
        }
    }

    fn include(&mut self, other: Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(own, other)| *own += other);
    }
}

impl Tally {
    /// An empty tally.
    pub(in crate::index) fn new(snapshot: &Snapshot<'_>, field: Field) -> Result<Self> {
        let further = field.spec().further.map(|further| TermCounts::new(snapshot, further)).transpose()?;
        let further = further.map(|terms| Further { terms, events: Vec::new() });
        Ok(Self { own: TermCounts::new(snapshot, field)?, further })
    }

    pub(in crate::index) const fn field(&self) -> Field {
        self.own.field
    }

    /// Counts events of a chunk.
    pub(in crate::index) fn add(&mut self, view: &View<'_>, chunk: u32, bits: &Bitset) -> Result<()> {
        if bits.is_empty() {
            return Ok(());
        }
        self.own.add(view, bits)?;
        if let Some(further) = &mut self.further {
            further.terms.add(view, bits)?;
            further.events.push((chunk, bits.clone()));
        }
        Ok(())
    }

    /// Adds the counts of other chunks.
    pub(in crate::index) fn include(&mut self, other: Self) {
        self.own.include(other.own);
        if let Some((own, other)) = self.further.as_mut().zip(other.further) {
            own.terms.include(other.terms);
            own.events.extend(other.events);
        }
    }
}

/// A value of a field: the ordinal of the first of its spellings, or the number of an address; and the number of its events.
struct Value {
    ordinal: u32,
    count: u64,
}

impl Snapshot<'_> {
    /// The facet of a field from the counts of its terms.
    pub(in crate::index) fn facet(&self, tally: Tally, filter: &Filter) -> Result<Facet> {
        if tally.field().spec().matching == Matching::Network {
            return self.facet_of_addresses(&tally.own, filter);
        }
        let Tally { own: TermCounts { field, counts }, further } = tally;
        let respelled = self.index.spellings.of(&self.paced, field)?;
        let (mut counts, mut commonest) = spellings::merge(&counts, &respelled);
        let distinct = counts.iter().filter(|count| **count > 0).count() as u64;
        let namesakes = match &further {
            Some(further) => {
                self.index.spellings.namesakes(&self.paced, [field, further.terms.field], &further.terms.counts)?
            }
            None => HashMap::new(),
        };
        // An event that has a value twice counts once. Until the values are chosen, it may count twice.
        for (ordinal, others) in &namesakes {
            if let Some((count, further)) =
                counts.get_mut(*ordinal as usize).filter(|count| **count > 0).zip(further.as_ref())
            {
                *count += others.iter().map(|other| further.terms.counts[*other as usize]).sum::<u64>();
            }
        }
        let mut values = most_common(&counts);
        for named in self.named_terms(field, filter)? {
            let ordinal = respelled.get(&named).copied().unwrap_or(named);
            if !values.iter().any(|value| value.ordinal == ordinal) {
                values.push(Value { ordinal, count: counts.get(ordinal as usize).copied().unwrap_or(0) });
                // Its other spellings may be deleted.
                commonest.insert(ordinal, named);
            }
        }
        if let Some(further) = &further {
            let spellings = |first: u32| respelled.iter().filter(move |(_, of)| **of == first).map(|(other, _)| *other);
            for value in &mut values {
                if let Some(others) = namesakes.get(&value.ordinal) {
                    let mut own: Vec<u32> = spellings(value.ordinal).chain([value.ordinal]).collect();
                    own.sort_unstable();
                    value.count = self.events_with(further, &[(field, own), (further.terms.field, others.clone())])?;
                }
            }
            values.sort_by_key(|value| Reverse(value.count));
        }
        let mut listed = Vec::with_capacity(values.len());
        for Value { ordinal, count } in values {
            let shown = commonest.get(&ordinal).copied().unwrap_or(ordinal);
            if let Some(value) = terms::value(self.paced.connection, field, shown)? {
                listed.push(FacetValue { value, count });
            }
        }
        Ok(Facet { field, values: listed, distinct })
    }

    /// The number of counted events that have at least one of some terms. The ordinals ascend.
    fn events_with(&self, counted: &Further, terms: &[(Field, Vec<u32>)]) -> Result<u64> {
        let chunks = self.chunks_by_arrival(false);
        let chunks: HashMap<u32, &Chunk<'_>> = chunks.iter().map(|chunk| (chunk.number, chunk)).collect();
        let mut count = 0;
        for (number, bits) in &counted.events {
            self.step()?;
            let Some(chunk) = chunks.get(number) else { continue };
            let view = self.view(chunk);
            let mut found = Bitset::none(view.length());
            for (field, ordinals) in terms {
                view.add_terms(*field, ordinals, &mut found)?;
            }
            found.keep(bits);
            count += u64::from(found.count());
        }
        Ok(count)
    }

    /// The facet of addresses: each address of a text counts, and a text without an address counts as a whole.
    fn facet_of_addresses(&self, tally: &TermCounts, filter: &Filter) -> Result<Facet> {
        let field = tally.field;
        let counts = self.index.addresses.merge(&self.paced, field, &tally.counts)?;
        let distinct = counts.iter().filter(|count| **count > 0).count() as u64;
        let mut values = most_common(&counts);
        for clause in filter.clauses.iter().filter(|clause| clause.field == field) {
            for predicate in clause.predicates.iter().take(FACET_VALUES_MAX) {
                let named = match predicate {
                    Predicate::Network(range) if range.prefix_len() == range.max_prefix_len() => {
                        self.index.addresses.number_of(range.addr())
                    }
                    _ => None,
                };
                if let Some(ordinal) = named.filter(|named| !values.iter().any(|value| value.ordinal == *named)) {
                    values.push(Value { ordinal, count: counts.get(ordinal as usize).copied().unwrap_or(0) });
                }
            }
        }
        let mut listed = Vec::with_capacity(values.len());
        for Value { ordinal, count } in values {
            let value = match self.index.addresses.value(ordinal) {
                Some(AddressValue::Address(address)) => Some(address.to_string()),
                Some(AddressValue::Text(ordinal)) => terms::value(self.paced.connection, field, ordinal)?,
                None => None,
            };
            listed.extend(value.map(|value| FacetValue { value, count }));
        }
        Ok(Facet { field, values: listed, distinct })
    }

    /// The terms that the filter's clauses on a field name, a few at most. A prefix or a range names no term.
    fn named_terms(&self, field: Field, filter: &Filter) -> Result<Vec<u32>> {
        let mut named = Vec::new();
        for clause in filter.clauses.iter().filter(|clause| clause.field == field) {
            let is_name = |predicate: &Predicate| matches!(predicate, Predicate::Exact(_) | Predicate::IgnoreCase(_));
            let wanted: Vec<_> = clause.predicates.iter().filter(|predicate| is_name(predicate)).cloned().collect();
            let ordinals = self.terms_of(field, &wanted)?;
            named.extend(ordinals.iter().take(FACET_VALUES_MAX));
        }
        Ok(named)
    }
}

/// The values with the highest counts, most first; of equally common ones those that the log saw first.
fn most_common(counts: &[u64]) -> Vec<Value> {
    let seen = (0..).zip(counts).filter(|(_, count)| **count > 0);
    let mut values: Vec<_> = seen.map(|(ordinal, count)| Value { ordinal, count: *count }).collect();
    let most_first = |value: &Value| (Reverse(value.count), value.ordinal);
    if values.len() > FACET_VALUES_MAX {
        values.select_nth_unstable_by_key(FACET_VALUES_MAX, most_first);
        values.truncate(FACET_VALUES_MAX);
    }
    values.sort_unstable_by_key(most_first);
    values
}
