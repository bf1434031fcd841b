//! Loads a page of the list from the store. Calls block.

use crate::{
    http::ApiError,
    model::{
        cursor::Position,
        error::ParameterError,
        limits::QueryLimits,
        list_params::{ListParams, PagePosition},
        stats::{HistogramQuery, Stats},
        timestamp::Timestamp,
    },
    store::{ActorNames, Lease, Opened, PageReader, ReadError, Slice},
    ui::{
        labels::Labels,
        list::{chips, fields, rows::EventRow},
    },
};

/// Number of events on a page.
pub(super) const PAGE_EVENTS: usize = 100;
/// Bytes of events that are held in memory at once.
const SLICE_BYTES: usize = 1024 * 1024;

/// The result of a list.
pub(super) enum ListData {
    /// A page of events.
    Page(ListPage),
    /// No event matches.
    NoMatch,
    /// The log holds no events except auditbox's own.
    Nothing,
    /// The parameters are invalid.
    Bad(Vec<ParameterError>),
}

/// A page of events.
pub(super) struct ListPage {
    pub(super) rows: Vec<EventRow>,
    /// The number of matching events.
    pub(super) count: u64,
    /// The cursors of the pages before and after this one, where there are any.
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

impl ListData {
    pub(super) const fn is_bad(&self) -> bool {
        matches!(self, Self::Bad(_))
    }
}

/// Loads a page, the cursor from which a live tail continues after it, and the names of the selected actors.
pub(super) fn load(
    lease: &Lease,
    params: &ListParams,
    labels: &Labels,
    limits: &QueryLimits,
) -> Result<(ListData, Option<String>, ActorNames), ApiError> {
    if !params.problems.is_empty() {
        return Ok((ListData::Bad(params.problems.clone()), None, ActorNames::default()));
    }
    let (page, through_seq) = match page(lease, params, labels, limits) {
        Ok(loaded) => loaded,
        Err(ReadError::Refused(problem)) => return Ok((ListData::Bad(vec![problem]), None, ActorNames::default())),
        Err(error) => return Err(error.into()),
    };
    let tail = params.first_page().query(limits)?.by_arrival();
    let live = tail.cursor(lease.cursor_at(Position::of_arrival(through_seq)));
    let actors = ActorNames::find(lease, chips::named_actors(params), params, limits);
    if !page.rows.is_empty() {
        return Ok((ListData::Page(page), Some(live), actors));
    }
    let all = ListParams { limit: Some(1), ..params.all() };
    let is_empty = PageReader::list(lease, all.query(limits)?, 0)?.ends.is_none();
    Ok((if is_empty { ListData::Nothing } else { ListData::NoMatch }, Some(live), actors))
}

/// A page, and the sequence number of the newest event that it could have shown.
fn page(
    lease: &Lease,
    params: &ListParams,
    labels: &Labels,
    limits: &QueryLimits,
) -> Result<(ListPage, i64), ReadError> {
    let query = params.query(limits).map_err(ReadError::Refused)?;
    let is_backwards = matches!(params.position, PagePosition::Before(_));
    let Opened { mut rest, first, ends, more, count, through_seq } =
        PageReader::list(lease, query.clone(), SLICE_BYTES)?;
    if is_backwards && !more {
        // This is the first page. It begins with the events that arrived last.
        return page(lease, &params.first_page(), labels, limits);
    }
    let (mut rows, columns) = (Vec::with_capacity(PAGE_EVENTS), fields::columns(params));
    let row =
        |event: &Result<_, _>| EventRow::of(event, labels, &params.zone, Timestamp::now()).with_fields(&columns, event);
    let mut slice = Some(first);
    while let Some(Slice { events, .. }) = slice {
        rows.extend(events.iter().map(|(_, event)| row(event)));
        slice = rest.next(lease, SLICE_BYTES)?;
    }
    let (mut first, mut last) = ends.unzip();
    let reversed = query.clone().reversed();
    let (forwards, backwards) = if is_backwards { (reversed, query) } else { (query, reversed) };
    if is_backwards {
        rows.reverse();
        std::mem::swap(&mut first, &mut last);
    }
    let has_before = params.position != PagePosition::First;
    let has_after = is_backwards || more;
    let page = ListPage {
        rows,
        count: count.unwrap_or_default(),
        before: first.filter(|_| has_before).map(|first| backwards.cursor(lease.cursor_at(first))),
        after: last.filter(|_| has_after).map(|last| forwards.cursor(lease.cursor_at(last))),
    };
    Ok((page, through_seq))
}

/// Counts the matching events, by field and over time, and finds the names of the actors that the menus list.
pub(super) fn count(lease: &Lease, params: &ListParams, limits: &QueryLimits) -> Result<(Stats, ActorNames), ApiError> {
    let histogram = HistogramQuery { interval: None, zone: params.zone.clone(), now: Timestamp::now() };
    let params = ListParams { facets: fields::counted(params), histogram: Some(histogram), ..params.first_page() };
    let stats = lease.stats(&params.stats(limits)?)?;
    let actors = ActorNames::find(lease, fields::listed_actors(&params, &stats), &params, limits);
    Ok((stats, actors))
}
