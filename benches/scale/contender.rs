//! What is asked of everybody who is measured.

use crate::{
    questions::{Filter, Question},
    report::{Answers, Named},
    timing::Effort,
};

/// A log that has been loaded.
pub(crate) trait Contender {
    /// The first hundred that match, newest first, their bodies read: how many there were.
    fn list(&mut self, filter: &Filter) -> usize;
    /// How many match.
    fn count(&mut self, filter: &Filter) -> u64;
    /// Count, six facets and a histogram by day.
    fn overview(&mut self, filter: &Filter);
}

/// Lists, each with every set of values.
pub(crate) fn lists(contender: &mut dyn Contender, questions: &[Question], effort: Effort) -> Answers {
    let ask = |question: &Question| {
        let timing = effort.measure(|time| {
            contender.list(&question.filters[time % question.filters.len()]);
        });
        Named::new(question.name, timing)
    };
    questions.iter().map(ask).collect()
}

/// Exact counts of the same.
pub(crate) fn counts(contender: &mut dyn Contender, questions: &[Question], effort: Effort) -> Answers {
    let ask = |question: &Question| {
        let timing = effort.measure(|time| {
            contender.count(&question.filters[time % question.filters.len()]);
        });
        Named::new(question.name, timing)
    };
    questions.iter().map(ask).collect()
}

/// Count, facets and histogram of everything, and of one event in a hundred.
pub(crate) fn overviews(contender: &mut dyn Contender, effort: Effort) -> Answers {
    [("everything", Filter::default()), ("one event in a hundred", crate::questions::one_percent())]
        .into_iter()
        .map(|(name, filter)| Named::new(name, effort.measure(|_| contender.overview(&filter))))
        .collect()
}

/// What a contender answers to each question with its first values: events listed, and the exact count.
pub(crate) fn answers(contender: &mut dyn Contender, questions: &[Question]) -> Vec<(usize, u64)> {
    let first = questions.iter().map(|question| &question.filters[0]);
    first.map(|filter| (contender.list(filter), contender.count(filter))).collect()
}
