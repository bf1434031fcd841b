//! `GET /v1/audit-log/stream`: events as they arrive, as server-sent events (HTML Standard, section 9.2).
//!
//! A stream is the list by arrival, oldest first, that goes on when it comes to its end. Each event carries the cursor of
//! the place after it; with that (`Last-Event-ID`, or `cursor`) another connection goes on without a gap, whatever became
//! of this one. Nothing is sent before the client has taken what was: a slow reader is paced by its own socket, and holds
//! neither a connection to the file nor a snapshot while it is slow.

use std::time::Duration;

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_TYPE, ContentEncoding},
    web::{Bytes, Data},
};
use futures_util::{Stream, TryStreamExt, stream};
use tokio::time::{Instant, sleep_until};

use crate::{
    api::{
        line::push_line,
        list::{self, SLICE_BYTES},
    },
    auth::{Authenticator, Changes, Principal},
    http::{
        ApiError, Context, NoStreamPermit, StreamPermit, caller::Read, error::OVERLOADED, parameters, pieces,
        reading::ReadAccess, session::Settled,
    },
    model::{
        error::ParameterError,
        list_params::{Accepts, PagePosition},
        query::{Order, Query, Sort},
        timestamp::Timestamp,
    },
    store::{Arrivals, Lease, PageReader, Slice},
};

/// How long a stream is silent at most: proxies close what is silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long at least between two looks: under a storm of commits, events come in bundles.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// After how long a client is told to come back for a place.
const PLACE_WAIT: Duration = Duration::from_secs(10);
/// Bytes of an event beside its body: the cursor, and the names of the lines.
const EVENT_BYTES_MORE: usize = 64;
/// How soon a browser connects again, in milliseconds.
const RETRY: &str = "retry: 1000\n";

/// Sends the events that match as they arrive.
pub(super) async fn stream(
    caller: Read,
    request: HttpRequest,
    context: Data<Context>,
) -> Result<HttpResponse, ApiError> {
    // A stream that a page opens again by itself is not somebody who uses their session.
    request.extensions_mut().insert(Settled);
    let query = parse(&request, &context)?;
    let holder = &caller.0.credential().client_id;
    let place = context.streams.take(holder, &request).map_err(no_place)?;
    let reading = context.reading(&caller.0, &request);
    let live = Live::begin(&context, reading, query, caller.0.principal, place).await?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        // What is compressed is held back until there is enough of it; what a proxy buffers, too.
        .insert_header(ContentEncoding::Identity)
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(live.stream()))
}

fn no_place(why: NoStreamPermit) -> ApiError {
    let message = match why {
        NoStreamPermit::Full => "as many streams are open as may be; [limits] streams_max is how many".to_owned(),
        NoStreamPermit::ShareTaken { share } => {
            format!("this credential has {share} streams open, and may have no more")
        }
    };
    ApiError::later(OVERLOADED, message, PLACE_WAIT)
}

/// The query, which follows the log. Parameters that bound or order a list are rejected.
fn parse(request: &HttpRequest, context: &Context) -> Result<Query, ApiError> {
    let pairs = parameters::decode(request.query_string())?;
    let mut params = list::parse(pairs, Accepts::List, &context.query_limits)?;
    for (name, is_given, message) in [
        ("limit", params.limit.is_some(), "is for lists; a stream has no end"),
        ("count", params.count.is_some(), "is for lists; a stream has no end"),
        ("sort", params.sort == Some(Sort::Time), "must be received: a stream is by arrival"),
        ("order", params.order == Some(Order::Descending), "must be asc: a stream is by arrival"),
    ] {
        if is_given {
            return Err(ParameterError::new(name, message).into());
        }
    }
    // A browser that reconnects sends the same URL, and the cursor that it has reached in this header.
    if let Some(last) = request.headers().get("last-event-id").filter(|last| !last.is_empty()) {
        let last = last.to_str().map_err(|_| ParameterError::new("Last-Event-ID", "is not a cursor of this server"))?;
        params.position = PagePosition::After(last.to_owned());
    }
    (params.sort, params.order) = (Some(Sort::Received), Some(Order::Ascending));
    Ok(params.query(&context.query_limits)?)
}

/// An open stream.
struct Live {
    reading: ReadAccess,
    authenticator: Authenticator,
    principal: Principal,
    changes: Changes,
    place: StreamPermit,
    arrivals: Arrivals,
    events: PageReader,
    ready: Option<Bytes>,
    next_look: Instant,
    next_heartbeat: Instant,
}

impl Live {
    async fn begin(
        context: &Context,
        reading: ReadAccess,
        mut query: Query,
        principal: Principal,
        place: StreamPermit,
    ) -> Result<Self, ApiError> {
        let arrivals = context.writer.arrivals();
        let asked = query.clone();
        let start = reading.begin(move |lease| Ok(lease.beginning(&asked)?)).await?;
        query.after = Some(start);
        let now = Instant::now();
        // The place is sent before there is an event: a connection that is lost before the first goes on from here too.
        let ready = format!("{RETRY}id: {}\n\n", query.cursor(start));
        Ok(Self {
            reading,
            authenticator: context.authenticator.clone(),
            changes: context.authenticator.changes(),
            principal,
            place,
            arrivals,
            events: PageReader::follow(query),
            ready: Some(ready.into()),
            next_look: now,
            next_heartbeat: now + HEARTBEAT,
        })
    }

    fn stream(self) -> impl Stream<Item = Result<Bytes, ApiError>> {
        stream::try_unfold(self, Self::advance).inspect_err(|error| pieces::log_break(error, "a live stream"))
    }

    /// The next bytes; none at the end of the stream.
    async fn advance(mut self) -> Result<Option<(Bytes, Self)>, ApiError> {
        loop {
            if self.place.is_closing() || !self.authenticator.still_admits(&self.principal, Timestamp::now()) {
                return Ok(None);
            }
            if let Some(bytes) = self.ready.take() {
                self.next_heartbeat = Instant::now() + HEARTBEAT;
                return Ok(Some((bytes, self)));
            }
            if self.events.is_between_pages() && Instant::now() >= self.next_heartbeat {
                self.ready = Some(self.heartbeat());
                // Nothing announces what another process writes into the file.
                self.events.look_again();
            } else if !self.events.is_at_end() {
                if self.events.is_between_pages() {
                    sleep_until(self.next_look).await;
                    self.arrivals.look();
                }
                self = self.fetch().await?;
            } else {
                self.wait().await;
            }
        }
    }

    /// A sign of life, with the place that the stream has come to: what did not match need not be looked at again.
    fn heartbeat(&self) -> Bytes {
        let query = self.events.query();
        let place = query.after.map(|after| query.cursor(after)).unwrap_or_default();
        format!(":\nid: {place}\n\n").into()
    }

    /// Fetches the next events, if there are any.
    async fn fetch(self) -> Result<Self, ApiError> {
        let reading = self.reading.clone();
        let fetched = reading.go_on(move |lease| {
            let mut live = self;
            if let Some(slice) = live.events.next(lease, SLICE_BYTES)? {
                live.ready = Some(live.messages(lease, &slice)).filter(|bytes| !bytes.is_empty());
            }
            if live.events.is_at_end() {
                live.next_look = Instant::now() + LOOK_AGAIN;
            }
            Ok(live)
        });
        fetched.await
    }

    /// Formats events as messages of the stream.
    fn messages(&self, lease: &Lease, slice: &Slice) -> Bytes {
        let query = self.events.query();
        let mut text = String::with_capacity(slice.bodies().map(|body| body.len() + EVENT_BYTES_MORE).sum());
        for (position, event) in &slice.events {
            text.push_str("id: ");
            text.push_str(&query.cursor(lease.cursor_at(*position)));
            if event.is_err() {
                // Of a type of its own: whoever listens for events does not hear it.
                text.push_str("\nevent: damaged");
            }
            text.push_str("\ndata: ");
            match (event, &query.includes) {
                (Ok(body), Some(includes)) => push_line(&mut text, &includes.project(body)),
                (Ok(body), None) => push_line(&mut text, body),
                (Err(damaged), _) => text.push_str(&damaged.to_json().to_string()),
            }
            text.push_str("\n\n");
        }
        text.into()
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self) {
        let end = self.principal.ends().map(|end| end.micros().saturating_sub(Timestamp::now().micros()));
        let end = end.map(|micros| Instant::now() + Duration::from_micros(micros.try_into().unwrap_or(0)));
        let next = end.map_or(self.next_heartbeat, |end| end.min(self.next_heartbeat));
        tokio::select! {
            () = self.arrivals.wait() => self.events.look_again(),
            () = self.place.closing() => {}
            () = self.changes.wait() => {}
            () = sleep_until(next) => {}
        }
    }
}
