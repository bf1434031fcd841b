//! Counting: the number of matching events, their most common values, and their distribution over time.
//!
//! All counts are numbers of bits in the same sets that a list is made of, chunk by chunk.

use std::ops::Deref;

use rusqlite::Connection;

use crate::{
    index::{
        encode::bitset::Bitset,
        error::{IndexError, Result},
        query::{candidates::Candidates, parallel::ParallelSnapshot, resolve::Resolved, view::View},
        snapshot::{Chunk, Snapshot},
        spellings, terms,
        texts::TextReader,
    },
    model::{
        error::ParameterError,
        field::Field,
        filter::{Filter, Predicate},
        stats::{FACET_VALUES_MAX, Facet, FacetValue, Stats, StatsQuery},
    },
};

impl Snapshot<'_> {
    /// The number of matching events. With a parallel snapshot, another thread counts half of the chunks.
    pub fn count<C>(&self, filter: &Filter, parallel: Option<ParallelSnapshot<'_, C>>) -> Result<u64>
    where
        C: Deref<Target = Connection> + Send,
    {
        let counts = self.divide(parallel, &filter.time, |snapshot, chunks| {
            let mut resolved = snapshot.resolve(filter)?;
            let (mut count, reader) = (0, snapshot.text_reader());
            for chunk in chunks {
                snapshot.step()?;
                let mut view = snapshot.view(&chunk);
                view.confine(&filter.time)?;
                let found = resolved.matching(&view)?;
                count += u64::from(found.settle(&mut view, &reader)?.count());
            }
            Ok(count)
        })?;
        Ok(counts.into_iter().sum())
    }

    /// Counts the matching events. The inner error means that the requested histogram is impossible. With a parallel snapshot,
    /// another thread counts half of the chunks.
    pub fn stats<C>(
        &self,
        query: &StatsQuery,
        parallel: Option<ParallelSnapshot<'_, C>>,
    ) -> Result<Result<Stats, ParameterError>>
    where
        C: Deref<Target = Connection> + Send,
    {
        let filter = &query.query.filter;
        let counted = self.divide(parallel, &filter.time, |snapshot, chunks| snapshot.counted(query, chunks))?;
        let Some(Counted { count, tallies, matches }) = counted.into_iter().reduce(Counted::and) else {
            return Ok(Ok(Stats { count: 0, facets: Vec::new(), histogram: None }));
        };
        let histogram = match &query.histogram {
            Some(query) => match self.histogram(query, filter, &matches)? {
                Ok(histogram) => Some(histogram),
                Err(error) => return Ok(Err(error)),
            },
            None => None,
        };
        let facets = tallies.into_iter().map(|tally| self.facet(tally, filter)).collect::<Result<_>>()?;
        Ok(Ok(Stats { count, facets, histogram }))
    }

    /// Counts the matching events of some chunks.
    fn counted(&self, query: &StatsQuery, chunks: Vec<Chunk<'_>>) -> Result<Counted> {
        let mut resolved = self.resolve(&query.query.filter)?;
        let (failure, reader) = (self.resolve(&failures())?, self.text_reader());
        let mut counted = Counted { count: 0, tallies: Vec::with_capacity(query.facets.len()), matches: Vec::new() };
        for field in &query.facets {
            counted.tallies.push(Tally::new(*field, terms::count(self.paced.connection, *field)?));
        }
        for chunk in chunks {
            self.step()?;
            let mut view = self.view(&chunk);
            view.confine(&query.query.filter.time)?;
            let bits = tally(&mut resolved, &mut view, &reader, &mut counted.tallies)?;
            counted.count += u64::from(bits.count());
            if query.histogram.is_some() && !bits.is_empty() {
                let mut failed = bits.clone();
                for clause in &failure.clauses {
                    failed.keep(&clause.passing(&view, &mut Vec::new())?);
                }
                counted.matches.push(Matches { chunk: chunk.number, bits, failed });
            }
        }
        Ok(counted)
    }

    fn facet(&self, tally: Tally, filter: &Filter) -> Result<Facet> {
        let Tally { field, counts } = tally;
        let respelled = self.index.spellings.of(&self.paced, field)?;
        let (counts, mut commonest) = spellings::merge(&counts, &respelled);
        let seen = || (0..).zip(&counts).filter(|(_, count)| **count > 0);
        let distinct = seen().count() as u64;
        let mut ordinals: Vec<u32> = seen().map(|(ordinal, _)| ordinal).collect();
        let count_of = |ordinal: u32| counts.get(ordinal as usize).copied().unwrap_or(0);
        let most_first = |ordinal: &u32| (std::cmp::Reverse(count_of(*ordinal)), *ordinal);
        if ordinals.len() > FACET_VALUES_MAX {
            ordinals.select_nth_unstable_by_key(FACET_VALUES_MAX, most_first);
            ordinals.truncate(FACET_VALUES_MAX);
        }
        ordinals.sort_unstable_by_key(most_first);
        for named in self.named_terms(field, filter)? {
            let ordinal = respelled.get(&named).copied().unwrap_or(named);
            if !ordinals.contains(&ordinal) {
                ordinals.push(ordinal);
                // Its other spellings may be deleted.
                commonest.insert(ordinal, named);
            }
        }
        let mut values = Vec::with_capacity(ordinals.len());
        for ordinal in ordinals {
            let shown = commonest.get(&ordinal).copied().unwrap_or(ordinal);
            if let Some(value) = terms::value(self.paced.connection, field, shown)? {
                values.push(FacetValue { value, count: count_of(ordinal) });
            }
        }
        Ok(Facet { field, values, distinct })
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

/// The counts of some chunks.
struct Counted {
    count: u64,
    /// One tally for each requested field.
    tallies: Vec<Tally>,
    /// The matching events, for the histogram.
    matches: Vec<Matches>,
}

impl Counted {
    /// Adds the counts of other chunks.
    fn and(mut self, other: Self) -> Self {
        self.count += other.count;
        for (own, other) in self.tallies.iter_mut().zip(other.tallies) {
            own.counts.iter_mut().zip(other.counts).for_each(|(own, other)| *own += other);
        }
        self.matches.extend(other.matches);
        self
    }
}

/// The matching events of a chunk, and those of them that failed.
pub(in crate::index) struct Matches {
    pub(in crate::index) chunk: u32,
    pub(in crate::index) bits: Bitset,
    pub(in crate::index) failed: Bitset,
}

/// The number of events with each term of a field, by ordinal.
struct Tally {
    field: Field,
    counts: Vec<u64>,
}

impl Tally {
    /// An empty tally for a field with this number of terms.
    fn new(field: Field, terms: usize) -> Self {
        Self { field, counts: vec![0; terms] }
    }

    fn add(&mut self, view: &View<'_>, bits: &Bitset) -> Result<()> {
        if bits.is_empty() {
            return Ok(());
        }
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
}

/// Counts the terms of one chunk's matching events, for each field without the clauses on the field itself. Returns the matching
/// events.
fn tally(
    resolved: &mut Resolved,
    view: &mut View<'_>,
    reader: &TextReader<'_>,
    tallies: &mut [Tally],
) -> Result<Bitset> {
    let is_own = |field: Option<Field>, tallies: &[Tally]| tallies.iter().any(|tally| field == Some(tally.field));
    if !resolved.clauses.iter().any(|clause| is_own(clause.field, tallies)) {
        let bits = resolved.matching(view)?.settle(view, reader)?;
        tallies.iter_mut().try_for_each(|tally| tally.add(view, &bits))?;
        return Ok(bits);
    }
    let mut undecided = Vec::new();
    let passing = resolved.clauses.iter().map(|clause| clause.passing(view, &mut undecided));
    let passing = passing.collect::<Result<Vec<_>>>()?;
    // Only events that pass the clauses which count for every field are read.
    let mut common = view.in_range();
    let others = resolved.clauses.iter().zip(&passing).filter(|(clause, _)| !is_own(clause.field, tallies));
    others.for_each(|(_, passing)| common.keep(passing));
    let common = Candidates::new(common, undecided).settle(view, reader)?;
    let all_but = |aside: Option<Field>| {
        let mut bits = common.clone();
        let others =
            resolved.clauses.iter().zip(&passing).filter(|(clause, _)| aside.is_none() || clause.field != aside);
        others.for_each(|(_, passing)| bits.keep(passing));
        bits
    };
    for tally in tallies {
        tally.add(view, &all_but(Some(tally.field)))?;
    }
    Ok(all_but(None))
}

fn failures() -> Filter {
    let mut filter = Filter::default();
    filter.add(Field::Status, false, Predicate::Exact("FAILURE".to_owned()));
    filter
}
