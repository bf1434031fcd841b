//! The parameters of a list of events, parsed once.
//!
//! The API, the pages and the command line all turn their parameters into a [`ListParams`] with [`ListParams::parse`],
//! and derive from it the queries that they run. A page also derives from it the URLs of other pages, so it keeps the
//! chosen values of each field separate. A parameter with an invalid value is reported by name; the others still apply.

mod range;
mod read;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

pub use range::{Preset, Range, exact, exact_end, to_fields};
pub(in crate::model) use read::names_of_pages;
pub use read::{Accepts, plain_name};

use crate::model::{
    error::ParameterError,
    field::Field,
    filter::{Clause, Filter, Predicate, SearchTerm},
    limits::QueryLimits,
    query::{HIGHLIGHTED_MAX, Includes, Order, Query, Sort},
    stats::{HistogramQuery, StatsQuery},
    term_text,
    timestamp::Timestamp,
    zone::Zone,
};

/// Selected or excluded values of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The field.
    pub field: Field,
    /// Whether the values are excluded.
    pub negated: bool,
    /// The given values, without duplicates.
    pub values: Vec<String>,
    /// The comma list that the values were given as. It may also be a single value that contains commas, so URLs repeat
    /// it unchanged.
    pub list: Option<String>,
    /// What the filter compares with: each value, and the whole comma list if it can be a value.
    predicates: Vec<Predicate>,
}

/// A search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The given text, unchanged.
    pub text: String,
    terms: Vec<SearchTerm>,
}

/// The position of a page in its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PagePosition {
    /// At the beginning.
    First,
    /// After the event at this cursor.
    After(String),
    /// Before the event at this cursor. The cursor belongs to the list in reverse order.
    Before(String),
}

/// The parsed parameters of a list.
#[derive(Debug, Clone)]
pub struct ListParams {
    /// Sorted by field; per field at most one that includes and one that excludes.
    pub selections: Vec<Selection>,
    /// The search.
    pub search: Option<Search>,
    /// The text of an invalid search, which its author can correct.
    pub rejected_search: Option<String>,
    /// The time range.
    pub range: Range,
    /// Whether to include auditbox's own records.
    pub include_own: bool,
    /// The sort key, if given.
    pub sort: Option<Sort>,
    /// The order, if given.
    pub order: Option<Order>,
    /// Where the page begins.
    pub position: PagePosition,
    /// Maximum number of events, if given.
    pub limit: Option<usize>,
    /// The only keys to return, if given.
    pub includes: Option<Includes>,
    /// Whether to count all matching events, if given.
    pub count: Option<bool>,
    /// Whether to report where in each event the search matches, if given.
    pub highlight: Option<bool>,
    /// The fields whose values are counted.
    pub facets: Vec<Field>,
    /// How to spread the events over time, if at all.
    pub histogram: Option<HistogramQuery>,
    /// The time zone in which times are shown.
    pub zone: Zone,
    /// The end of a range such as the last 7 days. All pages of one list share it.
    pub at: Timestamp,
    /// Whether `at` was given, so that URLs must repeat it.
    pub pinned: bool,
    /// Whether a page's URL is already in its canonical form. The URL that a form produces is not: it is rewritten.
    pub tidy: bool,
    /// The parameters that could not be used.
    pub problems: Vec<ParameterError>,
}

impl ListParams {
    /// No parameters, over the page's default range: the last days before `now`.
    pub fn none(now: Timestamp) -> Self {
        Self {
            selections: Vec::new(),
            search: None,
            rejected_search: None,
            range: Range::Last(Preset::DEFAULT),
            include_own: false,
            sort: None,
            order: None,
            position: PagePosition::First,
            limit: None,
            includes: None,
            count: None,
            highlight: None,
            facets: Vec::new(),
            histogram: None,
            zone: Zone::utc(),
            // Whole seconds, so that a link can carry it.
            at: Timestamp::from_micros(now.seconds() * 1_000_000),
            pinned: false,
            tidy: true,
            problems: Vec::new(),
        }
    }

    /// Every event of all time, in this list's zone.
    pub fn all(&self) -> Self {
        Self { zone: self.zone.clone(), range: Range::Last(Preset::All), ..Self::none(self.at) }
    }

    /// This list narrowed to events with `value`, or without it; `None` if the field cannot be queried for the value. A long
    /// value is named by its shortened form, so that links stay short.
    pub fn with(mut self, field: Field, negated: bool, value: &str) -> Option<Self> {
        let predicate = Predicate::parse(field.spec(), value).ok()?;
        self.select(Selection {
            field,
            negated,
            values: vec![term_text::asked(field.spec(), value).into_owned()],
            list: None,
            predicates: vec![predicate],
        });
        Some(self)
    }

    /// This list without the selection of this field and sign.
    pub fn without(&self, field: Field, negated: bool) -> Self {
        let mut params = self.first_page();
        params.selections.retain(|selection| (selection.field, selection.negated) != (field, negated));
        params
    }

    /// This list over another time range.
    pub fn within(&self, range: Range) -> Self {
        Self { range, ..self.first_page() }
    }

    /// The first page of this list.
    pub fn first_page(&self) -> Self {
        let (position, problems) = (PagePosition::First, Vec::new());
        Self { position, pinned: false, problems, rejected_search: None, ..self.clone() }
    }

    /// Another page of the same list.
    pub fn page_at(&self, position: PagePosition) -> Self {
        Self { position, pinned: true, ..self.clone() }
    }

    /// The selection of this field and sign.
    pub fn selection(&self, field: Field, negated: bool) -> Option<&Selection> {
        self.selections.iter().find(|selection| (selection.field, selection.negated) == (field, negated))
    }

    /// Whether the filter hides auditbox's own records although no parameter excludes them.
    pub fn hides_own(&self) -> bool {
        !self.include_own && self.filter() != Self { include_own: true, ..self.clone() }.filter()
    }

    /// The filter.
    pub fn filter(&self) -> Filter {
        self.filter_with(|selection| selection.predicates.clone())
    }

    fn filter_with(&self, predicates: impl Fn(&Selection) -> Vec<Predicate>) -> Filter {
        let clause = |selection: &Selection| Clause {
            field: selection.field,
            negated: selection.negated,
            predicates: predicates(selection),
        };
        let mut filter = Filter {
            clauses: self.selections.iter().map(clause).collect(),
            time: self.range.bounds(self.at),
            search: self.search.iter().flat_map(|search| search.terms.clone()).collect(),
        };
        if !self.include_own {
            filter.hide_own_unless_asked_for();
        }
        filter.normalize();
        filter
    }

    /// The filter of the same parameters in earlier versions, which compared these fields byte for byte. A program that follows the
    /// log may have a cursor that one of them made.
    fn filter_of_earlier_version(&self) -> Filter {
        self.filter_with(|selection| match selection.field {
            Field::Origin | Field::Action | Field::Actor => {
                selection.values.iter().chain(&selection.list).cloned().map(Predicate::Exact).collect()
            }
            _ => selection.predicates.clone(),
        })
    }

    /// The query for this page of the list. The order of a page before a cursor is reversed.
    pub fn query(&self, limits: &QueryLimits) -> Result<Query, ParameterError> {
        let limit = self.limit.unwrap_or(limits.list_default);
        let (sort, order) = (self.sort.unwrap_or(Sort::Time), self.order.unwrap_or(Order::Descending));
        let mut query = Query::new(self.filter(), sort, order);
        let highlight = self.highlight == Some(true);
        let list_max = if highlight { HIGHLIGHTED_MAX.min(limits.list_max) } else { limits.list_max };
        (query.limit, query.limit_clamped) = (limit.min(list_max), limit > list_max);
        (query.includes, query.count) = (self.includes.clone(), self.count == Some(true));
        query.highlight = highlight;
        match &self.position {
            PagePosition::First => Ok(query),
            PagePosition::After(cursor) => {
                query.accept_cursors_of(&Query::new(self.filter_of_earlier_version(), sort, order));
                query.continue_after("cursor", cursor)
            }
            PagePosition::Before(cursor) => query.reversed().continue_after("newer", cursor),
        }
    }

    /// The query that counts the events of this list.
    pub fn stats(&self, limits: &QueryLimits) -> Result<StatsQuery, ParameterError> {
        Ok(StatsQuery { query: self.query(limits)?, facets: self.facets.clone(), histogram: self.histogram.clone() })
    }

    /// Adds a selection to the one of the same field and sign.
    fn select(&mut self, mut added: Selection) {
        if let Some(at) =
            self.selections.iter().position(|known| (known.field, known.negated) == (added.field, added.negated))
        {
            let mut known = self.selections.swap_remove(at);
            // Several parameters give one value each, so a comma list that can be a value becomes one.
            let lists = [known.list.take(), added.list.take()].into_iter().flatten();
            let lists: Vec<_> = lists.filter(|list| Predicate::parse(added.field.spec(), list).is_ok()).collect();
            known.values.append(&mut added.values);
            known.values.extend(lists);
            known.predicates.append(&mut added.predicates);
            added = known;
        }
        let mut seen = HashSet::new();
        added.values.retain(|value| seen.insert(value.clone()));
        self.selections.push(added);
        self.selections.sort_by_key(|selection| (selection.field, selection.negated));
    }
}
