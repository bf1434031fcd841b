//! What the URL of a page of events asks for, kept in a form from which other URLs can be made.
//!
//! The names are the API's, and [`Query`] has the last word on what they mean: this file only keeps what was chosen apart
//! by field, so that each choice can be shown and taken back. Beside them a page has parameters of its own, which its forms
//! need (`range`, `tz`, `at`, `newer`, and those that [`ListParams::tidy`] says are rewritten). An empty parameter is a field
//! of a form left empty, and no filter. What cannot be read is set aside with its name, and the rest is kept.

mod range;
mod read;
mod url;

use std::borrow::Cow;

pub(in crate::ui) use range::{Preset, Range, to_fields};
pub(in crate::ui) use url::{event_api_href, event_href};

use crate::model::{
    error::ParameterError,
    field::{Field, FieldSpec},
    limits::QueryLimits,
    query::Query,
    timestamp::Timestamp,
    zone::Zone,
};

/// Values chosen, or excluded, of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ui) struct Selection {
    pub(in crate::ui) field: Field,
    pub(in crate::ui) negated: bool,
    pub(in crate::ui) values: Vec<String>,
    /// The comma list that the values were given as. It may stand for itself too, so it is passed on as it came.
    list: Option<String>,
}

/// Where in the list a page lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ui) enum PagePosition {
    /// Where it begins.
    First,
    /// After the event that this cursor names.
    After(String),
    /// Before the event that this cursor, of the opposite order, names.
    Before(String),
}

/// What is asked for.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a parameter of its own, given or not")]
pub(in crate::ui) struct ListParams {
    /// By field, in the order of the field table; for each at most one that includes and one that excludes.
    pub(in crate::ui) selections: Vec<Selection>,
    /// What is in the search box.
    pub(in crate::ui) words: Option<String>,
    pub(in crate::ui) range: Range,
    pub(in crate::ui) zone: Zone,
    /// Whether auditbox's own records are shown.
    pub(in crate::ui) include_own: bool,
    /// Whether the oldest come first.
    pub(in crate::ui) ascending: bool,
    /// Whether the order is that of arrival.
    pub(in crate::ui) by_arrival: bool,
    pub(in crate::ui) place: PagePosition,
    /// Fields whose values are to be listed besides those that always are.
    pub(in crate::ui) facets: Vec<Field>,
    /// The instant that a range of the last days ends at: that of the first page, so that all pages are of one list.
    pub(in crate::ui) at: Timestamp,
    /// What could not be read.
    pub(in crate::ui) problems: Vec<ParameterError>,
    /// Whether the URL is as [`ListParams::href`] would write it; a form's is not, and is rewritten.
    pub(in crate::ui) tidy: bool,
    /// Whether URLs carry `at`.
    pub(in crate::ui) pinned: bool,
}

impl Selection {
    /// The field's row.
    pub(in crate::ui) fn spec(&self) -> &'static FieldSpec {
        self.field.spec()
    }
}

impl ListParams {
    /// Everything of the last days, and no filter.
    pub(in crate::ui) fn nothing(now: Timestamp) -> Self {
        Self {
            selections: Vec::new(),
            words: None,
            range: Range::Last(Preset::DEFAULT),
            zone: Zone::utc(),
            include_own: false,
            ascending: false,
            by_arrival: false,
            place: PagePosition::First,
            facets: Vec::new(),
            // Whole seconds, so that a link can carry it.
            at: Timestamp::from_micros(now.seconds() * 1_000_000),
            problems: Vec::new(),
            tidy: true,
            pinned: false,
        }
    }

    /// Chooses `value`, or excludes it.
    pub(in crate::ui) fn with(mut self, field: Field, negated: bool, value: &str) -> Self {
        self.add(field, negated, vec![value.to_owned()], None);
        self
    }

    /// Every event of every time, in this one's zone: where links that choose one thing begin.
    pub(in crate::ui) fn all(&self) -> Self {
        Self { zone: self.zone.clone(), range: Range::Last(Preset::All), ..Self::nothing(self.at) }
    }

    /// This without the choice of this field and sign.
    pub(in crate::ui) fn without(&self, field: Field, negated: bool) -> Self {
        let mut params = self.begin();
        params.selections.retain(|selection| (selection.field, selection.negated) != (field, negated));
        params
    }

    /// This over another range of time.
    pub(in crate::ui) fn within(&self, range: Range) -> Self {
        Self { range, ..self.begin() }
    }

    /// This from its first page.
    pub(in crate::ui) fn begin(&self) -> Self {
        Self { place: PagePosition::First, pinned: false, problems: Vec::new(), ..self.clone() }
    }

    /// This at another place of the list, which stays the same list.
    pub(in crate::ui) fn turned_to(&self, place: PagePosition) -> Self {
        Self { place, pinned: true, ..self.clone() }
    }

    /// What is chosen of this field and sign.
    pub(in crate::ui) fn selection(&self, field: Field, negated: bool) -> Option<&Selection> {
        self.selections.iter().find(|selection| (selection.field, selection.negated) == (field, negated))
    }

    /// Whether the filter asks for auditbox's own records by itself, so that nothing is hidden.
    pub(in crate::ui) fn hides_own(&self, limits: &QueryLimits) -> bool {
        let asks = |include_own| {
            let params = Self { include_own, ..self.begin() };
            Query::parse(params.filter_pairs(), limits).map(|query| query.filter).ok()
        };
        !self.include_own && asks(false) != asks(true)
    }

    /// The filter in the API's words: what a list, a count, an export and the live tail share.
    pub(in crate::ui) fn filter_pairs(&self) -> Vec<(Cow<'static, str>, Cow<'static, str>)> {
        let mut pairs = url::selection_pairs(&self.selections);
        let bounds = self.range.bounds(self.at);
        for (name, instant) in [("from", bounds.from), ("to", bounds.to)] {
            if let Some(instant) = instant {
                pairs.push((name.to_owned(), range::exact(&self.zone, instant)));
            }
        }
        if let Some(words) = &self.words {
            pairs.push(("q".to_owned(), words.clone()));
        }
        if self.include_own {
            pairs.push(("include_own".to_owned(), "true".to_owned()));
        }
        pairs.into_iter().map(|(name, value)| (Cow::Owned(name), Cow::Owned(value))).collect()
    }

    fn add(&mut self, field: Field, negated: bool, values: Vec<String>, list: Option<String>) {
        let found = self.selections.iter_mut().find(|known| (known.field, known.negated) == (field, negated));
        match found {
            Some(selection) => {
                selection.list = None;
                selection.values.extend(values);
                let mut seen = std::collections::HashSet::new();
                selection.values.retain(|value| seen.insert(value.clone()));
            }
            None => self.selections.push(Selection { field, negated, values, list }),
        }
        self.selections.sort_by_key(|selection| (selection.field, selection.negated));
    }
}
