//! A filter made ready for the index: each test of a value has become a set of terms.
//!
//! Done once a question. What is left to do for each chunk knows no texts but those of keys.

use std::sync::Arc;

use crate::{
    index::{
        chunk::view::View,
        encode::bitset::Bitset,
        error::Result,
        query::messages::{Candidates, Undecided},
        snapshot::Snapshot,
        terms::Ordinals,
    },
    model::{
        field::{Field, TermStorage},
        filter::{Clause, Filter, Predicate},
        search::{SearchWord, searched_fields},
    },
};

/// Clauses that all must hold.
pub(in crate::index) struct Resolved {
    pub(in crate::index) clauses: Vec<ResolvedClause>,
}

/// Holds for an event if one of its sources does; if negated, if none does.
pub(in crate::index) struct ResolvedClause {
    /// The field that it is about; none for a word that is searched in many.
    pub(in crate::index) field: Option<Field>,
    negated: bool,
    sources: Vec<Source>,
    /// The word that may be in the part of a long message that the index does not have.
    long: Option<LongMessages>,
}

/// Where a search word may be that is in none of a clause's sources.
struct LongMessages {
    word: Arc<SearchWord>,
    /// Words of which the index has only the beginning.
    cut: Ordinals,
}

/// Something that an event may have.
enum Source {
    /// One of these terms.
    Terms(Field, Ordinals),
    /// A key that passes one of these predicates.
    Keys(Field, Vec<Predicate>),
    /// A key that holds this word.
    KeysHolding(Field, SearchWord),
    /// Words in its message, one of each of these sets.
    Words(Vec<Ordinals>),
}

impl Resolved {
    /// Looks the filter's values up in the dictionary.
    pub(in crate::index) fn new(snapshot: &Snapshot<'_>, filter: &Filter) -> Result<Self> {
        let clauses = filter.clauses.iter().map(|clause| resolve(snapshot, clause));
        let words = filter.search.iter().map(|word| resolve_word(snapshot, word));
        Ok(Self { clauses: clauses.chain(words).collect::<Result<_>>()? })
    }

    /// The events of a chunk that pass all clauses. The clause that left least of the chunk before is tried first, and
    /// what follows is not tried once nothing is left.
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
    /// The events of a chunk that pass the clause. Those among them whose messages decide are added to `undecided`.
    pub(in crate::index) fn passing(&self, view: &View<'_>, undecided: &mut Undecided) -> Result<Bitset> {
        let own = self.events(view, undecided)?;
        if !self.negated {
            return Ok(own);
        }
        let mut others = Bitset::all(view.length());
        others.take_out(&own);
        Ok(others)
    }

    /// The events of a chunk that have what the clause is about, negated or not.
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

fn resolve(snapshot: &Snapshot<'_>, clause: &Clause) -> Result<ResolvedClause> {
    let field = clause.field;
    let source = match field.spec().sharing {
        TermStorage::PerChunk => Source::Keys(field, clause.predicates.clone()),
        TermStorage::LogWide => Source::Terms(field, terms_of(snapshot, clause)?),
    };
    Ok(ResolvedClause { field: Some(field), negated: clause.negated, sources: vec![source], long: None })
}

/// The terms that pass a clause's predicates, whatever its sign.
pub(in crate::index) fn terms_of(snapshot: &Snapshot<'_>, clause: &Clause) -> Result<Ordinals> {
    let tests = &snapshot.index.tests;
    if let [only] = clause.predicates.as_slice() {
        return tests.passing(snapshot, clause.field, only);
    }
    let mut all = Vec::new();
    for predicate in &clause.predicates {
        all.extend_from_slice(&tests.passing(snapshot, clause.field, predicate)?);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all.into())
}

fn resolve_word(snapshot: &Snapshot<'_>, word: &SearchWord) -> Result<ResolvedClause> {
    let (tests, mut sources) = (&snapshot.index.tests, Vec::new());
    for field in searched_fields() {
        sources.push(match field.spec().sharing {
            TermStorage::PerChunk => Source::KeysHolding(field, word.clone()),
            TermStorage::LogWide => Source::Terms(field, tests.holding(snapshot, field, word)?),
        });
    }
    let mut long = None;
    if !word.parts.is_empty() {
        let parts = word.parts.iter().map(|part| tests.words_holding(snapshot, part));
        sources.push(Source::Words(parts.collect::<Result<_>>()?));
        long = Some(LongMessages { word: Arc::new(word.clone()), cut: tests.cut_words(snapshot)? });
    }
    Ok(ResolvedClause { field: None, negated: false, sources, long })
}
