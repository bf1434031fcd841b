//! The current filter: one chip per part, with a link that removes the part. The default filters (the last 7 days, no
//! records of auditbox itself) are chips too.

use crate::{
    model::{
        field::{Field, Matching},
        list_params::{ListParams, Preset, Range, Selection},
        timestamp::Timestamp,
    },
    store::ActorNames,
    ui::{
        formatted_time,
        labels::Labels,
        wording::{NAME_CHARS, truncated},
    },
};

/// Maximum number of values that a chip names. Above it, the chip shows their number.
const VALUES_SHOWN: usize = 4;

/// One part of the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ui) struct Chip {
    pub(in crate::ui) field: String,
    pub(in crate::ui) relation: &'static str,
    /// The values with the text between them. Each part is shown on its own, so that none changes the order of the others.
    pub(in crate::ui) values: Vec<String>,
    /// The URL of the page without this part.
    pub(in crate::ui) remove: String,
    /// Whether this part is a default filter.
    pub(in crate::ui) is_default: bool,
}

/// Every part of the filter.
pub(in crate::ui) fn chips(params: &ListParams, labels: &Labels, actors: &ActorNames) -> Vec<Chip> {
    let mut chips = vec![];
    chips.extend(range(params));
    if let Some(search) = &params.search {
        let remove = ListParams { search: None, ..params.first_page() }.href();
        let values = vec![truncated(&search.text, NAME_CHARS)];
        chips.push(Chip { field: "Search".to_owned(), relation: "contains", values, remove, is_default: false });
    }
    chips.extend(params.selections.iter().map(|selection| chip(params, selection, (labels, actors))));
    if params.hides_own() {
        let remove = ListParams { include_own: true, ..params.first_page() }.href();
        let (field, values) = ("Hidden".to_owned(), vec!["requests to auditbox itself".to_owned()]);
        chips.push(Chip { field, relation: "are", values, remove, is_default: true });
    }
    if params.include_own {
        let remove = ListParams { include_own: false, ..params.first_page() }.href();
        let (field, values) = ("Shown".to_owned(), vec!["requests to auditbox itself too".to_owned()]);
        chips.push(Chip { field, relation: "are", values, remove, is_default: false });
    }
    chips
}

/// The actors that the chips name.
pub(in crate::ui) fn named_actors(params: &ListParams) -> impl Iterator<Item = &str> {
    let selections = params.selections.iter().filter(|selection| selection.field == Field::Actor);
    selections.flat_map(|selection| selection.values.iter().take(VALUES_SHOWN)).map(String::as_str)
}

/// The relation and the time range, in words.
pub(in crate::ui) fn range_text(params: &ListParams) -> (&'static str, String) {
    match params.range {
        Range::Last(preset) => ("is", preset.label().to_owned()),
        Range::Between { from: Some(from), to: Some(to) } => {
            let end = Timestamp::from_micros(to.micros().saturating_add(1));
            ("is", formatted_time::span(from, end, &params.zone))
        }
        Range::Between { from: Some(from), to: None } => ("is from", instant(params, from)),
        Range::Between { from: None, to: Some(to) } => ("is up to", instant(params, to)),
        Range::Between { from: None, to: None } => ("is", Preset::All.label().to_owned()),
    }
}

fn instant(params: &ListParams, at: Timestamp) -> String {
    formatted_time::FormattedTime::new(at, &params.zone, params.at).full()
}

fn range(params: &ListParams) -> Option<Chip> {
    if params.range == Range::Last(Preset::All) {
        return None;
    }
    let (relation, values) = range_text(params);
    let remove = params.within(Range::Last(Preset::All)).href();
    let is_default = params.range == Range::Last(Preset::DEFAULT);
    Some(Chip { field: "Time".to_owned(), relation, values: vec![values], remove, is_default })
}

fn chip(params: &ListParams, selection: &Selection, (labels, actors): (&Labels, &ActorNames)) -> Chip {
    let field = selection.field;
    let relation = match (selection.negated, selection.values.len(), field.spec().matching) {
        (false, 1, Matching::Prefix) => "begins with",
        (true, 1, Matching::Prefix) => "does not begin with",
        (false, 1, _) => "is",
        (true, 1, _) => "is not",
        (false, ..) => "is any of",
        (true, ..) => "is none of",
    };
    let actor = |value: &str| actors.label(value).filter(|_| field == Field::Actor);
    let label = |value: &String| actor(value).unwrap_or_else(|| labels.of(field, value).into_owned());
    let shown = selection.values.iter().take(VALUES_SHOWN).map(|value| truncated(&label(value), NAME_CHARS));
    let mut values: Vec<_> = shown.flat_map(|value| [", ".to_owned(), value]).skip(1).collect();
    if let Some(more) = selection.values.len().checked_sub(VALUES_SHOWN).filter(|more| *more > 0) {
        values.push(format!(" and {more} more"));
    }
    let remove = params.without(field, selection.negated).href();
    Chip { field: field.spec().label.to_owned(), relation, values, remove, is_default: false }
}
