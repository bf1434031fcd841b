//! What a page of the list shows, from the store. Calls block.

use std::borrow::Cow;

use crate::{
    http::ApiError,
    model::{
        cursor::Position,
        error::ParameterError,
        limits::QueryLimits,
        query::Query,
        stats::{Stats, StatsQuery},
        timestamp::Timestamp,
    },
    store::{Lease, Opened, PageReader, ReadError, Slice},
    ui::{
        labels::Labels,
        list::{
            fields::{self, Aliases},
            rows::EventRow,
        },
        params::{ListParams, PagePosition},
    },
};

/// Events on a page.
const PAGE_EVENTS: usize = 100;
/// Bytes of events that are in memory at once.
const SLICE_BYTES: usize = 1024 * 1024;

/// What was found.
pub(super) enum ListData {
    /// A page of events.
    Page(ListPage),
    /// None match.
    NoMatch,
    /// There are none at all, but auditbox's own.
    Nothing,
    /// The question could not be read.
    Bad(Vec<ParameterError>),
}

/// A page of events.
pub(super) struct ListPage {
    pub(super) rows: Vec<EventRow>,
    /// How many match in all.
    pub(super) count: u64,
    /// Cursors of what stands before this page and after it, if anything does.
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    /// The newest event that could have been found.
    through_seq: i64,
}

impl ListData {
    pub(super) const fn is_bad(&self) -> bool {
        matches!(self, Self::Bad(_))
    }

    pub(super) fn aliases(&self) -> Aliases {
        match self {
            Self::Page(page) => Aliases::of(&page.rows),
            _ => Aliases::default(),
        }
    }
}

/// Finds a page, and the place from which a live tail goes on after it.
pub(super) fn load(
    lease: &Lease,
    params: &ListParams,
    labels: &Labels,
    limits: &QueryLimits,
) -> Result<(ListData, Option<String>), ApiError> {
    if !params.problems.is_empty() {
        return Ok((ListData::Bad(params.problems.clone()), None));
    }
    match page(lease, params, labels, limits) {
        Ok(page) if page.rows.is_empty() => {
            let live = live(lease, params, page.through_seq, limits)?;
            let all = query(&params.all(), false, None, 1, limits).map_err(ApiError::from)?;
            let is_empty = PageReader::list(lease, all, 0)?.ends.is_none();
            Ok((if is_empty { ListData::Nothing } else { ListData::NoMatch }, Some(live)))
        }
        Ok(page) => {
            let live = live(lease, params, page.through_seq, limits)?;
            Ok((ListData::Page(page), Some(live)))
        }
        Err(ReadError::Refused(problem)) => Ok((ListData::Bad(vec![problem]), None)),
        Err(error) => Err(error.into()),
    }
}

fn page(lease: &Lease, params: &ListParams, labels: &Labels, limits: &QueryLimits) -> Result<ListPage, ReadError> {
    let query_of =
        |backwards, cursor| query(params, backwards, cursor, PAGE_EVENTS, limits).map_err(ReadError::Refused);
    let (is_backwards, cursor) = match &params.place {
        PagePosition::First => (false, None),
        PagePosition::After(cursor) => (false, Some(cursor.as_str())),
        PagePosition::Before(cursor) => (true, Some(cursor.as_str())),
    };
    let opened = PageReader::list(lease, query_of(is_backwards, cursor)?, SLICE_BYTES)?;
    if is_backwards && !opened.more {
        // Nothing is before this: it is the first page, which begins with what came last.
        return page(lease, &ListParams { place: PagePosition::First, ..params.clone() }, labels, limits);
    }
    let Opened { mut rest, first, ends, more, count, through_seq } = opened;
    let mut rows = Vec::with_capacity(PAGE_EVENTS);
    let mut push = |slice: &Slice| {
        rows.extend(slice.events.iter().map(|(_, event)| EventRow::of(event, labels, &params.zone, Timestamp::now())));
    };
    push(&first);
    while let Some(slice) = rest.next(lease, SLICE_BYTES)? {
        push(&slice);
    }
    let (mut first, mut last) = ends.unzip();
    if is_backwards {
        rows.reverse();
        std::mem::swap(&mut first, &mut last);
    }
    let has_before = params.place != PagePosition::First;
    let has_after = is_backwards || more;
    let cursor = |backwards, at: Option<Position>| -> Result<Option<String>, ReadError> {
        at.map(|at| Ok(query_of(backwards, None)?.cursor(lease.cursor_at(at)))).transpose()
    };
    Ok(ListPage {
        rows,
        count: count.unwrap_or_default(),
        before: cursor(true, first.filter(|_| has_before))?,
        after: cursor(false, last.filter(|_| has_after))?,
        through_seq,
    })
}

/// The place after the newest event that a page could have shown.
fn live(lease: &Lease, params: &ListParams, through_seq: i64, limits: &QueryLimits) -> Result<String, ParameterError> {
    let mut pairs = params.filter_pairs();
    pairs.push((Cow::Borrowed("sort"), Cow::Borrowed("received")));
    pairs.push((Cow::Borrowed("order"), Cow::Borrowed("asc")));
    Ok(Query::parse(pairs, limits)?.cursor(lease.cursor_at(Position::of_arrival(through_seq))))
}

/// The list's query; `backwards` in the opposite order.
fn query(
    params: &ListParams,
    backwards: bool,
    cursor: Option<&str>,
    limit: usize,
    limits: &QueryLimits,
) -> Result<Query, ParameterError> {
    let mut pairs = params.filter_pairs();
    let mut push = |name: &'static str, value: String| pairs.push((Cow::Borrowed(name), Cow::Owned(value)));
    push("limit", limit.to_string());
    push("count", "true".to_owned());
    push("order", if params.ascending == backwards { "desc" } else { "asc" }.to_owned());
    push("sort", if params.by_arrival { "received" } else { "time" }.to_owned());
    if let Some(cursor) = cursor {
        push("cursor", cursor.to_owned());
    }
    Query::parse(pairs, limits)
}

/// Counts what matches, by field and over time.
pub(super) fn count(lease: &Lease, params: &ListParams, limits: &QueryLimits) -> Result<Stats, ApiError> {
    let mut pairs = params.filter_pairs();
    let names: Vec<_> = fields::counted(params).into_iter().filter_map(|field| field.spec().name()).collect();
    pairs.push((Cow::Borrowed("facets"), Cow::Owned(names.join(","))));
    pairs.push((Cow::Borrowed("histogram"), Cow::Borrowed("auto")));
    pairs.push((Cow::Borrowed("tz"), Cow::Owned(params.zone.name().to_owned())));
    let query = StatsQuery::parse(pairs, limits, Timestamp::now())?;
    Ok(lease.stats(&query)?)
}
