//! `GET /v1/audit-log`: events out.
//!
//! The first search finds where the list begins and ends; its events follow in slices, each fetched when the client has
//! taken the one before it: memory is bounded for every limit, and a slow client holds a few thousand positions. A list
//! that fits in one slice is an ordinary answer with its length. A failure midway breaks the connection: an answer never
//! ends as if it were complete. Events that are damaged are left out and named at its end (`damaged`).

use std::{borrow::Cow, fmt::Write as _};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{ContentType, LINK},
    web::{Bytes, Data},
};
use serde_json::{Value, json};

use crate::{
    http::{
        ApiError, Context,
        caller::Read,
        parameters,
        pieces::{self, Pieces},
    },
    model::{
        cursor::Position,
        limits::QueryLimits,
        list_params::{Accepts, ListParams},
        query::{Includes, Query},
        timestamp::Timestamp,
    },
    store::{Lease, Opened, PageReader, Slice},
};

/// Damaged events that one answer names. `doctor` names them all.
const DAMAGED_NAMED_MAX: usize = 1_000;
/// Bytes of events in one slice.
pub(super) const SLICE_BYTES: usize = 128 * 1024;

/// Lists the events that match.
pub(super) async fn list(caller: Read, request: HttpRequest, context: Data<Context>) -> Result<HttpResponse, ApiError> {
    let pairs = parameters::decode(request.query_string())?;
    let query = parse(pairs, Accepts::List, &context.query_limits)?.query(&context.query_limits)?;
    let (reading, asked) = (context.reading(&caller.0, &request), query.clone());
    let opened = reading.begin(move |lease| Ok(PageReader::list(lease, asked, SLICE_BYTES)?)).await?;
    let next = next_position(&query, &opened).map(|next| query.cursor(context.reader.cursor_at(next)));
    let mut response = HttpResponse::Ok();
    response.content_type(ContentType::json());
    if query.limit_clamped {
        response.insert_header(("X-Limit-Clamped", query.limit.to_string()));
    }
    if let Some(next) = &next {
        response.insert_header((LINK, format!("<{}>; rel=\"next\"", next_url(&request, next))));
    }
    let mut text = String::from("{\"ok\":true,\"audits\":[");
    write_slice(&mut text, &opened.first, query.includes.as_ref(), true);
    let next = next.map_or_else(|| "null".to_owned(), |next| format!("\"{next}\""));
    let count = opened.count.map_or_else(String::new, |count| format!(",\"count\":{count}"));
    let tail = format!("],\"next\":{next}{count}");
    let mut left_out = LeftOut::default();
    left_out.note(&opened.first);
    if opened.rest.is_at_end() {
        text.push_str(&left_out.end(&tail));
        return Ok(response.body(text));
    }
    let is_first = opened.first.bodies().next().is_none();
    let rest = Rest { events: opened.rest, includes: query.includes, is_first, left_out, tail: Some(tail) };
    Ok(pieces::respond(response, &request, text.into(), rest, reading))
}

/// The parsed parameters of a request to the API. An error names all invalid ones.
pub(super) fn parse<'a>(
    pairs: impl IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    accepts: Accepts,
    limits: &QueryLimits,
) -> Result<ListParams, ApiError> {
    Ok(ListParams::parse(pairs, accepts, limits, Timestamp::now()).valid()?)
}

/// After which position the next page begins. A query that follows the log always has one: after the last event it was
/// given, or after the newest there was when it has been given all.
fn next_position(query: &Query, opened: &Opened) -> Option<Position> {
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
        if name.is_none_or(|(name, _)| name.trim_end_matches("[]") != "cursor") {
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

/// Damaged events of a list: they are not among its events, where nobody could tell them from sound ones, but named after
/// them.
#[derive(Default)]
struct LeftOut {
    named: Vec<Value>,
    count: usize,
}

impl LeftOut {
    fn note(&mut self, slice: &Slice) {
        for damaged in slice.damaged() {
            self.count += 1;
            if self.named.len() < DAMAGED_NAMED_MAX {
                self.named.push(damaged.to_json());
            }
        }
    }

    /// The end of the answer.
    fn end(&self, tail: &str) -> String {
        match self.count {
            0 => format!("{tail}}}"),
            count => format!("{tail},\"damaged\":{}}}", json!({ "count": count, "events": self.named })),
        }
    }
}

/// What is still to be sent of a list.
struct Rest {
    events: PageReader,
    includes: Option<Includes>,
    is_first: bool,
    left_out: LeftOut,
    tail: Option<String>,
}

impl Pieces for Rest {
    const WHAT: &'static str = "a list";

    fn next(&mut self, lease: &Lease) -> Result<Option<Bytes>, ApiError> {
        let Some(slice) = self.events.next(lease, SLICE_BYTES)? else {
            return Ok(self.tail.take().map(|tail| self.left_out.end(&tail).into()));
        };
        let mut text = String::new();
        write_slice(&mut text, &slice, self.includes.as_ref(), self.is_first);
        self.is_first &= slice.bodies().next().is_none();
        self.left_out.note(&slice);
        Ok(Some(text.into()))
    }
}
