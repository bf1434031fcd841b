//! `/audit-logs/{identifier}`: one event in full, with related events.

mod diff;
mod facts;
mod lookalike;
mod masked;
mod others;
mod pretty;
mod related;
mod value;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Data};
use askama::Template;

pub(in crate::ui) use diff::Diff;
pub(in crate::ui) use masked::MaskedValues;

use crate::{
    http::{
        ApiError, Context,
        caller::{Caller, Read},
        error::NOT_FOUND,
        origin, parameters,
    },
    model::{limits::QueryLimits, list_params::ListParams, printable::printable_json},
    store::Lease,
    ui::{
        action_phrase::tone,
        event::{
            facts::{FactGroup, Times},
            others::Others,
            related::Related,
        },
        event_view::EventView,
        formatted_time::grouped,
        labels::Labels,
        markup::filters,
        page::{self, Shell},
        params::{self, event_href},
        sentence::Sentence,
        wording::{NAME_CHARS, all_truncated},
    },
};

const SECTION: &str = "log";
/// The segments of the path before the identifier: `audit-logs`.
const SEGMENTS: usize = 1;
/// The paths of the list.
const LISTS: [&str; 2] = ["/audit-logs", "/security/audit-logs"];
/// Maximum number of bytes of the raw event on its page. The page links to the API for a larger one.
const RAW_BYTES_MAX: usize = 64 * 1024;

/// The parts of an event that its page and an expanded row share.
struct EventSections {
    sentence: Sentence,
    /// The action as stored.
    action: String,
    tone: &'static str,
    failed: bool,
    message: Option<String>,
    times: Times,
    groups: Vec<FactGroup>,
    diff: Option<Diff>,
    others: Option<Others>,
    raw: String,
    raw_is_cut: bool,
    /// Whether characters of the event are shown as escapes.
    raw_has_escapes: bool,
    raw_size: String,
    api_href: String,
}

#[derive(Template)]
#[template(path = "event/page.html")]
struct EventPage {
    shell: Shell,
    event: EventSections,
    related: Vec<Related>,
    /// The URL of the list to go back to.
    back: String,
}

/// An expanded row of a list.
#[derive(Template)]
#[template(path = "event/within.html")]
struct EventWithinList {
    event: EventSections,
    href: String,
}

#[derive(Template)]
#[template(path = "event/unknown.html")]
struct UnknownEvent {
    shell: Shell,
    identifier: String,
}

/// Shows the event with this identifier, or with `within=list` only the part that an expanded row shows.
pub(super) async fn one(allowed: Result<Read, ApiError>, request: HttpRequest, context: Data<Context>) -> HttpResponse {
    let answer = async { show(&allowed?.0, &request, &context).await };
    page::or_error(answer.await, &request, SECTION)
}

async fn show(caller: &Caller, request: &HttpRequest, context: &Data<Context>) -> Result<HttpResponse, ApiError> {
    let identifier = parameters::identifier(request, SEGMENTS)?;
    let (limits, labels) = (context.query_limits, Labels::of_context(context));
    let (params, is_within) = read(request, &limits)?;
    let (id, zone) = (identifier.clone(), params.zone.clone());
    let back = back(request, context, &params);
    let reading = context.reading(caller, request);
    let found = reading.begin(move |lease| find(lease, &id, &params, !is_within, &labels, &limits)).await?;
    let Some((event, related)) = found else {
        return Ok(unknown(request, identifier));
    };
    if is_within {
        let href = event_href(&identifier, &zone);
        return Ok(page::page(StatusCode::OK, &EventWithinList { event, href }));
    }
    let shell = Shell::new(request, SECTION, all_truncated(event.sentence.parts(), NAME_CHARS));
    Ok(page::page(StatusCode::OK, &EventPage { shell, event, related, back }))
}

/// The URL of the list that the user came from, otherwise of the list in the same zone.
fn back(request: &HttpRequest, context: &Context, params: &ListParams) -> String {
    let is_list = |page: &String| LISTS.contains(&page.split('?').next().unwrap_or_default());
    let led = origin::leading_page(request, context).filter(is_list);
    led.unwrap_or_else(|| ListParams { zone: params.zone.clone(), ..ListParams::none(params.at) }.href())
}

fn find(
    lease: &Lease,
    identifier: &str,
    params: &ListParams,
    with_related: bool,
    labels: &Labels,
    limits: &QueryLimits,
) -> Result<Option<(EventSections, Vec<Related>)>, ApiError> {
    let Some((seq, body)) = lease.arrival_and_event(identifier)? else {
        return Ok(None);
    };
    let event = EventView::read(&body);
    let related = if with_related {
        related::find(lease, &related::Centre { seq, body: &body, event: &event }, params, labels, limits)?
    } else {
        Vec::new()
    };
    Ok(Some((sections(&event, &body, params, labels), related)))
}

fn sections(event: &EventView, body: &str, params: &ListParams, labels: &Labels) -> EventSections {
    let has_diff = event.before.is_some() || event.after.is_some();
    let printable = printable_json(body);
    let (raw, raw_is_cut) = pretty::pretty(&printable, RAW_BYTES_MAX);
    EventSections {
        sentence: Sentence::new(event, labels),
        action: event.action.clone(),
        tone: tone(&event.action),
        failed: event.failed,
        message: event.message.clone(),
        times: Times::of(event, &params.zone, params.at),
        groups: facts::groups(event, params, labels),
        diff: has_diff.then(|| Diff::of(event.before.as_deref(), event.after.as_deref(), MaskedValues::of(event))),
        others: Others::of(event),
        raw,
        raw_is_cut,
        raw_has_escapes: printable.len() > body.len(),
        raw_size: grouped(body.len() as u64),
        api_href: params::event_api_href(&event.identifier),
    }
}

fn unknown(request: &HttpRequest, identifier: String) -> HttpResponse {
    let error = ApiError::new(NOT_FOUND, format!("there is no event {identifier:?}"));
    let shell = Shell::new(request, SECTION, "Unknown event");
    page::error_as(request, error, &UnknownEvent { shell, identifier })
}

/// The parameters, of which only the zone has an effect, and whether to show an expanded row.
fn read(request: &HttpRequest, limits: &QueryLimits) -> Result<(ListParams, bool), ApiError> {
    let mut pairs = parameters::decode(request.query_string())?;
    let within = pairs.extract_if(.., |(name, _)| name == "within");
    let is_within = within.last().is_some_and(|(_, value)| value == "list");
    Ok((params::parse(pairs, limits).valid()?, is_within))
}
