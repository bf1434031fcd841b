//! Counting: the number of matching events, their most common values, and their distribution over time.
//!
//! All counts are numbers of bits in the same sets that a list is made of, chunk by chunk.

use std::ops::Deref;

use rusqlite::Connection;

use crate::{
    index::{
        encode::bitset::Bitset,
        error::Result,
        query::{candidates::Candidates, facet::Tally, parallel::ParallelSnapshot, resolve::Resolved, view::View},
        snapshot::{Chunk, Snapshot},
        texts::TextReader,
    },
    model::{
        error::ParameterError,
        field::Field,
        filter::{Filter, Predicate},
        stats::{Stats, StatsQuery},
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
            counted.tallies.push(Tally::new(self, *field)?);
        }
        for chunk in chunks {
            self.step()?;
            let mut view = self.view(&chunk);
            view.confine(&query.query.filter.time)?;
            let bits = tally(&mut resolved, (&mut view, chunk.number), &reader, &mut counted.tallies)?;
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
            own.include(other);
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

/// Counts the terms of one chunk's matching events, for each field without the clauses on the field itself. Returns the matching
/// events.
fn tally(
    resolved: &mut Resolved,
    (view, chunk): (&mut View<'_>, u32),
    reader: &TextReader<'_>,
    tallies: &mut [Tally],
) -> Result<Bitset> {
    let is_own = |field: Option<Field>, tallies: &[Tally]| tallies.iter().any(|tally| field == Some(tally.field()));
    if !resolved.clauses.iter().any(|clause| is_own(clause.field, tallies)) {
        let bits = resolved.matching(view)?.settle(view, reader)?;
        tallies.iter_mut().try_for_each(|tally| tally.add(view, chunk, &bits))?;
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
        tally.add(view, chunk, &all_but(Some(tally.field())))?;
    }
    Ok(all_but(None))
}

fn failures() -> Filter {
    let mut filter = Filter::default();
    filter.add(Field::Status, false, Predicate::Exact("FAILURE".to_owned()));
    filter
}
