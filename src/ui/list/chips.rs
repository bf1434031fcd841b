//! The current filter: one chip per part, with a link that removes it. What a page hides by default (all but the last
//! days, auditbox's own records) has a chip like everything else.

use crate::{
    model::{field::Field, limits::QueryLimits, timestamp::Timestamp},
    ui::{
        formatted_time,
        labels::Labels,
        params::{Asked, Preset, Range, Selection},
    },
};

/// Maximum number of values that a chip names. Above it, the chip shows their number.
const VALUES_SHOWN: usize = 4;
/// Maximum number of characters of a value in a chip.
const VALUE_CHARS_SHOWN: usize = 60;

/// One part of the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ui) struct Chip {
    pub(in crate::ui) field: String,
    pub(in crate::ui) relation: &'static str,
    pub(in crate::ui) values: String,
    /// The page without this part.
    pub(in crate::ui) remove: String,
    /// Whether it is there by default.
    pub(in crate::ui) is_default: bool,
}

/// Every part of the filter.
pub(in crate::ui) fn chips(asked: &Asked, labels: &Labels, limits: &QueryLimits) -> Vec<Chip> {
    let mut chips = vec![];
    chips.extend(range(asked));
    if let Some(words) = &asked.words {
        let remove = Asked { words: None, ..asked.begin() }.href();
        let values = shortened(words);
        chips.push(Chip { field: "Search".to_owned(), relation: "contains", values, remove, is_default: false });
    }
    chips.extend(asked.selections.iter().map(|selection| chip(asked, selection, labels)));
    if asked.hides_own(limits) {
        let remove = Asked { include_own: true, ..asked.begin() }.href();
        let (field, values) = ("Hidden".to_owned(), "requests to auditbox itself".to_owned());
        chips.push(Chip { field, relation: "are", values, remove, is_default: true });
    }
    if asked.include_own {
        let remove = Asked { include_own: false, ..asked.begin() }.href();
        let (field, values) = ("Shown".to_owned(), "requests to auditbox itself too".to_owned());
        chips.push(Chip { field, relation: "are", values, remove, is_default: false });
    }
    chips
}

/// The time range in words, after the word that introduces it.
pub(in crate::ui) fn range_text(asked: &Asked) -> (&'static str, String) {
    match asked.range {
        Range::Last(preset) => ("is", preset.label().to_owned()),
        Range::Between { from: Some(from), to: Some(to) } => {
            let end = Timestamp::from_micros(to.micros().saturating_add(1));
            ("is", formatted_time::span(from, end, &asked.zone))
        }
        Range::Between { from: Some(from), to: None } => ("is from", instant(asked, from)),
        Range::Between { from: None, to: Some(to) } => ("is up to", instant(asked, to)),
        Range::Between { from: None, to: None } => ("is", Preset::All.label().to_owned()),
    }
}

fn instant(asked: &Asked, at: Timestamp) -> String {
    formatted_time::When::new(at, &asked.zone, asked.at).full()
}

fn range(asked: &Asked) -> Option<Chip> {
    if asked.range == Range::Last(Preset::All) {
        return None;
    }
    let (relation, values) = range_text(asked);
    let remove = asked.within(Range::Last(Preset::All)).href();
    let is_default = asked.range == Range::Last(Preset::DEFAULT);
    Some(Chip { field: "Time".to_owned(), relation, values, remove, is_default })
}

fn chip(asked: &Asked, selection: &Selection, labels: &Labels) -> Chip {
    let field = selection.field;
    let relation = match (selection.negated, selection.values.len(), field) {
        (false, 1, Field::Path) => "begins with",
        (true, 1, Field::Path) => "does not begin with",
        (false, 1, _) => "is",
        (true, 1, _) => "is not",
        (false, ..) => "is any of",
        (true, ..) => "is none of",
    };
    let shown = selection.values.iter().take(VALUES_SHOWN).map(|value| shortened(&labels.of(field, value)));
    let mut values = shown.collect::<Vec<_>>().join(", ");
    if let Some(more) = selection.values.len().checked_sub(VALUES_SHOWN).filter(|more| *more > 0) {
        values = format!("{values} and {more} more");
    }
    let remove = asked.without(field, selection.negated).href();
    Chip { field: selection.spec().label.to_owned(), relation, values, remove, is_default: false }
}

/// The beginning of a long text.
pub(in crate::ui) fn shortened(text: &str) -> String {
    let mut chars = text.chars();
    let shown: String = chars.by_ref().take(VALUE_CHARS_SHOWN).collect();
    if chars.next().is_some() { format!("{shown}…") } else { shown }
}
