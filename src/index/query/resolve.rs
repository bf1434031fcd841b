//! A filter prepared for the index: each predicate on a shared value becomes a set of terms.
//!
//! This happens once per query. The work per chunk then compares no texts except keys.

use std::sync::Arc;

use crate::{
    index::{
        encode::bitset::Bitset,
        error::Result,
        query::{
            candidates::{Candidates, Undecided},
            view::View,
        },
        snapshot::Snapshot,
        terms::Ordinals,
    },
    model::{
        field::{Field, TermStorage},
        filter::{Clause, Filter, Predicate},
        search::{SearchWord, searched_fields},
    },
};

/// A filter as clauses, all of which an event must pass.
pub(in crate::index) struct Resolved {
    pub(in crate::index) clauses: Vec<ResolvedClause>,
}

/// A clause. An event passes it if one of its sources contains the event; a negated clause, if none does.
pub(in crate::index) struct ResolvedClause {
    /// The field of the clause; `None` for a search word, which is looked for in several fields.
    pub(in crate::index) field: Option<Field>,
    negated: bool,
    sources: Vec<Source>,
    /// For a search word: the long messages that may contain it although the index does not know.
    long: Option<LongMessages>,
}

/// Finds the events whose messages may contain a search word outside the part that the index has.
struct LongMessages {
    word: Arc<SearchWord>,
    /// Words of which the index may have only the beginning.
    cut: Ordinals,
}

/// A set of events, by something that they have.
enum Source {
    /// Events with one of these terms.
    Terms(Field, Ordinals),
    /// Events with a key that matches one of these predicates.
    Keys(Field, Vec<Predicate>),
    /// Events with a key that contains this word.
    KeysHolding(Field, SearchWord),
    /// Events whose messages have at least one word of each of these sets.
    Words(Vec<Ordinals>),
}

impl Snapshot<'_> {
    /// Looks up the filter's values in the term dictionary.
    pub(in crate::index) fn resolve(&self, filter: &Filter) -> Result<Resolved> {
        let clauses = filter.clauses.iter().map(|clause| self.resolve_clause(clause));
        let words = filter.search.iter().map(|word| self.resolve_word(word));
        Ok(Resolved { clauses: clauses.chain(words).collect::<Result<_>>()? })
    }

    fn resolve_clause(&self, clause: &Clause) -> Result<ResolvedClause> {
        let source = |field: Field| -> Result<Source> {
            Ok(match field.spec().sharing {
                TermStorage::PerChunk => Source::Keys(field, clause.predicates.clone()),
                TermStorage::LogWide => Source::Terms(field, self.terms_of(field, &clause.predicates)?),
            })
        };
        let sources = clause.field.spec().fields().map(source).collect::<Result<_>>()?;
        Ok(ResolvedClause { field: Some(clause.field), negated: clause.negated, sources, long: None })
    }

    /// The terms of a field that match one of the predicates.
    pub(in crate::index) fn terms_of(&self, field: Field, predicates: &[Predicate]) -> Result<Ordinals> {
        let cache = &self.index.predicates;
        if let [only] = predicates {
            return cache.passing(&self.paced, field, only);
        }
        let mut all = Vec::new();
        for predicate in predicates {
            all.extend_from_slice(&cache.passing(&self.paced, field, predicate)?);
        }
        all.sort_unstable();
        all.dedup();
        Ok(all.into())
    }

    fn resolve_word(&self, word: &SearchWord) -> Result<ResolvedClause> {
        let (predicates, mut sources) = (&self.index.predicates, Vec::new());
        for field in searched_fields() {
            sources.push(match field.spec().sharing {
                TermStorage::PerChunk => Source::KeysHolding(field, word.clone()),
                TermStorage::LogWide => Source::Terms(field, predicates.holding(&self.paced, field, word)?),
            });
        }
        let mut long = None;
        if !word.parts.is_empty() {
            let parts = word.parts.iter().map(|part| predicates.words_holding(&self.paced, part));
            sources.push(Source::Words(parts.collect::<Result<_>>()?));
            long = Some(LongMessages { word: Arc::new(word.clone()), cut: predicates.cut_words(&self.paced)? });
        }
        Ok(ResolvedClause { field: None, negated: false, sources, long })
    }
}

impl Resolved {
    /// The events of a chunk that pass all clauses. The clause that left the fewest events of the previous chunk is tried
    /// first, and the search ends as soon as no event remains.
    pub(in crate::index) fn matching(&mut self, view: &View<'_>) -> Result<Candidates> {
        let (mut bits, mut undecided) = (view.in_range(), Vec::new());
        let mut narrowest: Option<(usize, u32)> = None;
        for index in 0..self.clauses.len() {
            if bits.is_empty() {
                break;
            }
            let clause = &self.clauses[index];
            let own = clause.events(view, &mut undecided)?;
            if clause.negated {
                bits.take_out(&own);
            } else {
                let count = own.count();
                if narrowest.is_none_or(|(_, least)| count < least) {
                    narrowest = Some((index, count));
                }
                bits.keep(&own);
            }
        }
        if let Some((index, _)) = narrowest {
            self.clauses.swap(0, index);
        }
        Ok(Candidates::new(bits, undecided))
    }
}

impl ResolvedClause {
    /// The events of a chunk that pass the clause. Events whose messages decide are also added to `undecided`.
    pub(in crate::index) fn passing(&self, view: &View<'_>, undecided: &mut Undecided) -> Result<Bitset> {
        let own = self.events(view, undecided)?;
        if !self.negated {
            return Ok(own);
        }
        let mut others = Bitset::all(view.length());
        others.take_out(&own);
        Ok(others)
    }

    /// The events of a chunk that one of the clause's sources contains, whether the clause is negated or not.
    fn events(&self, view: &View<'_>, undecided: &mut Undecided) -> Result<Bitset> {
        let mut bits = Bitset::none(view.length());
        for source in &self.sources {
            view.step()?;
            match source {
                Source::Terms(field, ordinals) => view.add_terms(*field, ordinals, &mut bits)?,
                Source::Keys(field, predicates) => view.add_keys(*field, predicates, &mut bits)?,
                Source::KeysHolding(field, word) => view.add_keys_holding(*field, word, &mut bits)?,
                Source::Words(parts) => {
                    let mut all = Bitset::all(view.length());
                    for part in parts {
                        view.step()?;
                        let mut some = Bitset::none(view.length());
                        view.add_terms(Field::Word, part, &mut some)?;
                        all.keep(&some);
                    }
                    bits.add(&all);
                }
            }
        }
        if let Some(LongMessages { word, cut }) = &self.long {
            let mut long = Bitset::none(view.length());
            view.add_terms(Field::Word, cut, &mut long)?;
            view.add_wordy(&mut long)?;
            long.take_out(&bits);
            bits.add(&long);
            undecided.push((Arc::clone(word), long));
        }
        Ok(bits)
    }
}
