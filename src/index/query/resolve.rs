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
        term_scan::Ordinals,
    },
    model::{
        field::{Field, TermStorage},
        filter::{Clause, Filter, Predicate, SearchTerm},
        search::{SearchText, searched_fields},
        verbs,
        words::word_number,
    },
};

/// A filter as clauses, all of which an event must pass.
pub(in crate::index) struct Resolved {
    pub(in crate::index) clauses: Vec<ResolvedClause>,
}

/// A clause. An event passes it if one of its sources contains the event; a negated clause, if none does.
pub(in crate::index) struct ResolvedClause {
    /// The field of a parameter's clause; `None` for a term of a search, which counts for the facets of all fields.
    pub(in crate::index) field: Option<Field>,
    negated: bool,
    sources: Vec<Source>,
    /// For a search text: finds it in what the index does not have as terms.
    searched: Option<Searched>,
}

/// Finds the events that contain a search text elsewhere than in a term, or that may contain it.
struct Searched {
    text: Arc<SearchText>,
    /// What the message may contain; `None` for a text without words.
    message: Option<MessageWords>,
    /// The words of the text, which other values may contain.
    words: Vec<u32>,
}

/// Finds the events whose messages may contain a search text although the index cannot tell.
struct MessageWords {
    /// Messages with all words of a phrase, of which the index does not know the order.
    phrase: Option<Source>,
    /// Words of which the index may have only the beginning.
    cut: Ordinals,
}

/// The events of a chunk that a clause's sources contain: those that certainly do, and those that must be read.
struct Found {
    sure: Bitset,
    unsure: Option<(Arc<SearchText>, Bitset)>,
}

/// A set of events, by something that they have.
enum Source {
    /// Events with one of these terms.
    Terms(Field, Ordinals),
    /// Events with a key that matches one of these predicates.
    Keys(Field, Vec<Predicate>),
    /// Events with at least one term of each of these sets.
    All(Vec<(Field, Ordinals)>),
}

impl Snapshot<'_> {
    /// Looks up the filter's values in the term dictionary.
    pub(in crate::index) fn resolve(&self, filter: &Filter) -> Result<Resolved> {
        let clauses = filter.clauses.iter().map(|clause| self.resolve_clause(clause));
        let terms = filter.search.iter().map(|term| match term {
            SearchTerm::Field(clause) => Ok(ResolvedClause { field: None, ..self.resolve_clause(clause)? }),
            SearchTerm::Text(text) => self.resolve_text(text),
        });
        Ok(Resolved { clauses: clauses.chain(terms).collect::<Result<_>>()? })
    }

    fn resolve_clause(&self, clause: &Clause) -> Result<ResolvedClause> {
        let source = |field: Field| -> Result<Source> {
            Ok(match field.spec().sharing {
                TermStorage::PerChunk => Source::Keys(field, clause.predicates.clone()),
                TermStorage::LogWide => Source::Terms(field, self.terms_of(field, &clause.predicates)?),
            })
        };
        let sources = clause.field.spec().fields().map(source).collect::<Result<_>>()?;
        Ok(ResolvedClause { field: Some(clause.field), negated: clause.negated, sources, searched: None })
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

    fn resolve_text(&self, text: &SearchText) -> Result<ResolvedClause> {
        let (predicates, text, mut sources) = (&self.index.predicates, Arc::new(text.clone()), Vec::new());
        for field in searched_fields().filter(|field| field.spec().sharing == TermStorage::LogWide) {
            sources.push(Source::Terms(field, predicates.holding(&self.paced, field, &text)?));
        }
        sources.extend(self.said_of_failures(&text.text)?);
        let mut message = None;
        if !text.parts.is_empty() {
            let parts = text.parts.iter().map(|part| Ok((Field::Word, predicates.words_holding(&self.paced, part)?)));
            let words = Source::All(parts.collect::<Result<_>>()?);
            let cut = predicates.cut_words(&self.paced)?;
            let phrase = if text.needs_order() {
                Some(words)
            } else {
                sources.push(words);
                None
            };
            message = Some(MessageWords { phrase, cut });
        }
        let negated = text.negated;
        let words = text.words().into_iter().map(word_number).collect();
        Ok(ResolvedClause { field: None, negated, sources, searched: Some(Searched { text, message, words }) })
    }

    /// The failed events, if their sentences on the pages have this text: "failed", "tried to delete".
    fn said_of_failures(&self, text: &str) -> Result<Option<Source>> {
        let predicates = &self.index.predicates;
        let failure = || predicates.passing(&self.paced, Field::Status, &Predicate::Exact("FAILURE".to_owned()));
        if verbs::FAILED.contains(&text) {
            return Ok(Some(Source::Terms(Field::Status, failure()?)));
        }
        let Some(tried) = text.strip_prefix(verbs::TRIED_TO) else {
            return Ok(None);
        };
        let actions = predicates.saying(&self.paced, tried)?;
        Ok(Some(Source::All(vec![(Field::Status, failure()?), (Field::Action, actions)])))
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
            let found = clause.find(view)?;
            if clause.negated {
                bits.take_out(&found.sure);
            } else {
                let passing = found.possible();
                let count = passing.count();
                if narrowest.is_none_or(|(_, least)| count < least) {
                    narrowest = Some((index, count));
                }
                bits.keep(&passing);
            }
            undecided.extend(found.unsure);
        }
        if let Some((index, _)) = narrowest {
            self.clauses.swap(0, index);
        }
        Ok(Candidates::new(bits, undecided))
    }
}

impl ResolvedClause {
    /// The events of a chunk that pass the clause. Events that must be read are also added to `undecided`.
    pub(in crate::index) fn passing(&self, view: &View<'_>, undecided: &mut Undecided) -> Result<Bitset> {
        let found = self.find(view)?;
        let passing = if self.negated {
            let mut others = Bitset::all(view.length());
            others.take_out(&found.sure);
            others
        } else {
            found.possible()
        };
        undecided.extend(found.unsure);
        Ok(passing)
    }

    /// The events of a chunk that one of the clause's sources contains, whether the clause is negated or not.
    fn find(&self, view: &View<'_>) -> Result<Found> {
        let mut sure = Bitset::none(view.length());
        for source in &self.sources {
            source.add_to(&mut sure, view)?;
        }
        let Some(Searched { text, message, words }) = &self.searched else {
            return Ok(Found { sure, unsure: None });
        };
        let mut unsure = Bitset::none(view.length());
        view.step()?;
        view.add_keys_holding(text, &mut sure, &mut unsure)?;
        if !words.is_empty() {
            view.step()?;
            view.add_words(words, &mut unsure)?;
        }
        if let Some(message) = message {
            message.add_to(&mut unsure, view)?;
        }
        unsure.take_out(&sure);
        Ok(Found { sure, unsure: Some((Arc::clone(text), unsure)) })
    }
}

impl MessageWords {
    /// Adds the events of a chunk whose messages may contain the text.
    fn add_to(&self, bits: &mut Bitset, view: &View<'_>) -> Result<()> {
        view.step()?;
        view.add_terms(Field::Word, &self.cut, bits)?;
        view.add_wordy(bits)?;
        self.phrase.iter().try_for_each(|phrase| phrase.add_to(bits, view))
    }
}

impl Found {
    /// The events that the sources contain, or may contain.
    fn possible(&self) -> Bitset {
        let mut events = self.sure.clone();
        if let Some((_, unsure)) = &self.unsure {
            events.add(unsure);
        }
        events
    }
}

impl Source {
    /// Adds the source's events in a chunk.
    fn add_to(&self, bits: &mut Bitset, view: &View<'_>) -> Result<()> {
        view.step()?;
        match self {
            Self::Terms(field, ordinals) => view.add_terms(*field, ordinals, bits),
            Self::Keys(field, predicates) => view.add_keys(*field, predicates, bits),
            Self::All(sets) => {
                let mut all = Bitset::all(view.length());
                for (field, ordinals) in sets {
                    view.step()?;
                    let mut some = Bitset::none(view.length());
                    view.add_terms(*field, ordinals, &mut some)?;
                    all.keep(&some);
                }
                bits.add(&all);
                Ok(())
            }
        }
    }
}
