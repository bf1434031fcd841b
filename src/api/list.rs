//! `GET /v1/audit-log`: lists events.
//!
//! The first search finds where the page begins and ends. Its events are sent in slices, each fetched after the client has
//! taken the one before: memory is bounded for every limit, and a slow client holds a few thousand positions. A page that
//! fits in one slice is sent with its length. A failure midway breaks the connection, so that an incomplete response never
//! looks complete. Damaged events are listed at the end (`damaged`) and not among the events.

use std::fmt::Write as _;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{ContentType, LINK},
    web::{Bytes, Data},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{
        cut_lists,
        event_schema::EventPart,
        incomplete::{IncompleteField, IncompleteFields},
    },
    http::{
        ApiError, Context,
        caller::Read,
        error::DamagedEvent,
        parameters,
        pieces::{self, Pieces},
        schema::{Always, True},
    },
    model::{
        cursor::Position,
        error::ParameterError,
        event::{self, Highlight},
        filter::SearchTerm,
        limits::QueryLimits,
        list_params::{Accepts, ListParams, PagePosition, plain_name},
        query::{Includes, Query},
        timestamp::Timestamp,
    },
    store::{Lease, Opened, PageReader, Slice},
};

/// Maximum number of damaged events listed in one response. `doctor` lists all.
const DAMAGED_NAMED_MAX: usize = 1_000;
/// Maximum size of the events in one slice.
pub(super) const SLICE_BYTES: usize = 128 * 1024;

/// Lists the events that match.
pub(super) async fn list(caller: Read, request: HttpRequest, context: Data<Context>) -> Result<HttpResponse, ApiError> {
    let decoded = parameters::decode_valid(request.query_string());
    let params = parse(decoded, Accepts::List, &context.query_limits).valid()?;
    let query = params.query(&context.query_limits)?;
    let incomplete = IncompleteFields::of(&context.reader, &query.filter, &[]);
    let (reading, asked) = (context.reading(&caller.0, &request), query.clone());
    let opened = reading.begin(move |lease| Ok(PageReader::list(lease, asked, SLICE_BYTES)?)).await?;
    let next = next_position(&query, &opened).map(|next| query.cursor(context.reader.cursor_at(next)));
    let mut response = HttpResponse::Ok();
    response.content_type(ContentType::json());
    if query.limit_clamped {
        response.insert_header(("X-Limit-Clamped", query.limit.to_string()));
    }
    if params.limit.is_none() && opened.more {
        response.insert_header(("X-List-Truncated", query.limit.to_string()));
        if params.position == PagePosition::First {
            cut_lists::report(caller.0.credential(), query.limit);
        }
    }
    incomplete.set_header(&mut response);
    if let Some(next) = &next {
        response.insert_header((LINK, format!("<{}>; rel=\"next\"", next_url(&request, next))));
    }
    let mut envelope = EventList {
        ok: Always,
        audits: Vec::new(),
        next,
        count: opened.count,
        highlights: query.highlight.then(Vec::new),
        damaged: None,
        incomplete_fields: incomplete.members(),
    };
    let mut text = envelope.around_events()?.0;
    write_slice(&mut text, &opened.first, query.includes.as_ref(), true);
    envelope.note(&opened.first, &query.filter.search);
    if opened.rest.is_at_end() {
        text.push_str(&envelope.around_events()?.1);
        return Ok(response.body(text));
    }
    let is_first = opened.first.bodies().next().is_none();
    let (includes, search) = (query.includes, query.filter.search);
    let rest = Rest { events: opened.rest, includes, search, is_first, envelope: Some(envelope) };
    Ok(pieces::respond(response, &request, text.into(), rest, reading))
}

/// The parsed parameters of a request to the API, and all that is wrong with them.
pub(super) fn parse(
    (pairs, mut problems): (Vec<parameters::Pair<'_>>, Vec<ParameterError>),
    accepts: Accepts,
    limits: &QueryLimits,
) -> ListParams {
    let mut params = ListParams::parse(pairs, accepts, limits, Timestamp::now());
    problems.append(&mut params.problems);
    ListParams { problems, ..params }
}

/// The position after which the next page begins. A query by arrival always has one: at its end, the newest event of the
/// log, so that a later request continues there.
pub(crate) fn next_position(query: &Query, opened: &Opened) -> Option<Position> {
    if query.follows() && !opened.more {
        return Some(Position::of_arrival(opened.through_seq));
    }
    opened.ends.filter(|_| opened.more).map(|(_, last)| last)
}

/// This request's URL with another cursor.
fn next_url(request: &HttpRequest, cursor: &str) -> String {
    let mut url = format!("{}?", request.path());
    for pair in request.query_string().split('&').filter(|pair| !pair.is_empty()) {
        let name = form_urlencoded::parse(pair.as_bytes()).next();
        if name.is_none_or(|(name, _)| plain_name(&name) != "cursor") {
            // Writing to a string cannot fail.
            let _ = write!(url, "{pair}&");
        }
    }
    format!("{url}cursor={cursor}")
}

fn write_slice(out: &mut String, slice: &Slice, includes: Option<&Includes>, mut is_first: bool) {
    out.reserve(slice.bodies().map(|body| body.len() + 1).sum());
    for body in slice.bodies() {
        if !is_first {
            out.push(',');
        }
        is_first = false;
        match includes {
            Some(includes) => out.push_str(&includes.project(body)),
            None => out.push_str(body),
        }
    }
}

/// The events of one page.
#[derive(Serialize, ToSchema)]
pub(super) struct EventList {
    #[schema(inline)]
    ok: True,
    /// The events, or with `includes` the named keys of each.
    audits: Vec<EventPart>,
    /// The cursor of the next page; null after the last.
    #[schema(required)]
    next: Option<String>,
    /// With `count=true`: number of matching events in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    count: Option<u64>,
    /// With `highlight=true`: for each event of `audits`, in the same order, where the search matches in the stored event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline, nullable = false)]
    highlights: Option<Vec<Vec<TextHighlight>>>,
    /// Matching events that are damaged in the file. They are not in `audits`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline, nullable = false)]
    damaged: Option<DamagedEvents>,
    /// Declared fields that the query uses and older events do not have yet.
    #[serde(rename = "incompleteFields", skip_serializing_if = "Option::is_none")]
    #[schema(inline, nullable = false)]
    incomplete_fields: Option<Vec<IncompleteField>>,
}

/// A text of an event, and the parts of it that match.
#[derive(Serialize, ToSchema)]
struct TextHighlight {
    /// The JSON pointer (RFC 6901) to the text in the stored event.
    pointer: String,
    /// The beginning and the end of each part, in Unicode code points; the end is excluded.
    ranges: Vec<[usize; 2]>,
}

impl From<Highlight> for TextHighlight {
    fn from(Highlight { pointer, ranges }: Highlight) -> Self {
        Self { pointer, ranges: ranges.into_iter().map(|range| [range.start, range.end]).collect() }
    }
}

/// Damaged events of a page.
#[derive(Default, Serialize, ToSchema)]
struct DamagedEvents {
    /// Number of damaged events.
    count: usize,
    /// The first thousand of them.
    events: Vec<DamagedEvent>,
}

impl EventList {
    /// The texts before and after the events, whose stored bytes are copied between them.
    fn around_events(&self) -> Result<(String, String), ApiError> {
        let text = serde_json::to_string(self).map_err(ApiError::internal)?;
        let (before, after) = text.split_once('[').unwrap_or_default();
        Ok((format!("{before}["), after.to_owned()))
    }

    /// Notes what the end of the response says about a slice.
    fn note(&mut self, slice: &Slice, search: &[SearchTerm]) {
        if let Some(highlights) = &mut self.highlights {
            let of = |body| event::highlights(body, search).into_iter().map(TextHighlight::from).collect();
            highlights.extend(slice.bodies().map(of));
        }
        for event in slice.damaged() {
            let damaged = self.damaged.get_or_insert_default();
            damaged.count += 1;
            if damaged.events.len() < DAMAGED_NAMED_MAX {
                damaged.events.push(event.into());
            }
        }
    }
}

/// The rest of a list.
struct Rest {
    events: PageReader,
    includes: Option<Includes>,
    search: Vec<SearchTerm>,
    is_first: bool,
    /// Becomes the end of the response.
    envelope: Option<EventList>,
}

impl Pieces for Rest {
    const WHAT: &'static str = "a list";

    fn next(&mut self, lease: &Lease) -> Result<Option<Bytes>, ApiError> {
        let Some(slice) = self.events.next(lease, SLICE_BYTES)? else {
            return self.envelope.take().map(|envelope| Ok(envelope.around_events()?.1.into())).transpose();
        };
        let mut text = String::new();
        write_slice(&mut text, &slice, self.includes.as_ref(), self.is_first);
        self.is_first &= slice.bodies().next().is_none();
        if let Some(envelope) = &mut self.envelope {
            envelope.note(&slice, &self.search);
        }
        Ok(Some(text.into()))
    }
}
