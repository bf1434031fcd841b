//! `GET /v1/audit-log/stream`: events as they arrive, as server-sent events (HTML Standard, section 9.2).
//!
//! A stream is a list by arrival, oldest first, that continues when new events arrive. Each event has the cursor of the
//! position after it; with that (`Last-Event-ID` or `cursor`) another connection continues without a gap. Each slice is sent
//! after the client has taken the one before: a slow client holds neither a connection to the file nor a snapshot.

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
        incomplete::IncompleteFields,
        line::push_event,
        list::{self, SLICE_BYTES},
    },
    auth::{Authenticator, Changes, Principal},
    http::{
        ApiError, Context, NoStreamPermit, StreamPermit,
        caller::Read,
        error::{DamagedEvent, OVERLOADED},
        parameters, pieces,
        reading::ReadAccess,
        session::Settled,
    },
    model::{
        error::ParameterError,
        list_params::{Accepts, PagePosition},
        query::{Order, Query, Sort},
        timestamp::Timestamp,
    },
    store::{Arrivals, Lease, PageReader, Slice},
};

/// Maximum silence of a stream: proxies close connections that are silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Minimum time between two searches: under many commits, events are sent in batches.
const SEARCH_EVERY: Duration = Duration::from_millis(100);
/// The Retry-After when the stream limit is reached.
const PERMIT_WAIT: Duration = Duration::from_secs(10);
/// Bytes of a message besides the event: the cursor and the field names.
const EVENT_BYTES_MORE: usize = 64;
/// Milliseconds after which a browser reconnects.
const RETRY: &str = "retry: 1000\n";

/// Sends the events that match as they arrive.
pub(super) async fn stream(
    caller: Read,
    request: HttpRequest,
    context: Data<Context>,
) -> Result<HttpResponse, ApiError> {
    // A page reopens a stream by itself: this does not count as use of the session.
    request.extensions_mut().insert(Settled);
    let query = parse(&request, &context)?;
    let holder = &caller.0.credential().client_id;
    let place = context.streams.take(holder, &request).map_err(stream_limit)?;
    let reading = context.reading(&caller.0, &request);
    let incomplete = IncompleteFields::of(&context.reader, &query.filter, &[]);
    let live = Live::begin(&context, reading, query, caller.0.principal, place).await?;
    let mut response = HttpResponse::Ok();
    incomplete.set_header(&mut response);
    Ok(response
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        // Compression and the buffers of proxies would delay messages.
        .insert_header(ContentEncoding::Identity)
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(live.stream()))
}

fn stream_limit(why: NoStreamPermit) -> ApiError {
    let message = match why {
        NoStreamPermit::Full => "the limit of open streams is reached ([limits] streams_max)".to_owned(),
        NoStreamPermit::ShareTaken { share } => {
            format!("this credential has {share} streams open, which is its limit")
        }
    };
    ApiError::later(OVERLOADED, message, PERMIT_WAIT)
}

/// A query by arrival. Parameters that limit or order a list are rejected.
fn parse(request: &HttpRequest, context: &Context) -> Result<Query, ApiError> {
    let decoded = parameters::decode_valid(request.query_string());
    let mut params = list::parse(decoded, Accepts::List, &context.query_limits);
    for (name, is_given, message) in [
        ("limit", params.limit.is_some(), "is for lists, as per_page is; a stream has no end"),
        ("count", params.count.is_some(), "is for lists; a stream has no end"),
        ("sort", params.sort == Some(Sort::Time), "must be received: a stream is by arrival"),
        ("order", params.order == Some(Order::Descending), "must be asc: a stream is by arrival"),
    ] {
        if is_given {
            params.problems.push(ParameterError::new(name, message));
        }
    }
    let mut params = params.valid()?;
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
    next_search: Instant,
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
        // The position is sent before the first event: a client that is disconnected earlier continues from here.
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
            next_search: now,
            next_heartbeat: now + HEARTBEAT,
        })
    }

    fn stream(self) -> impl Stream<Item = Result<Bytes, ApiError>> {
        stream::try_unfold(self, Self::advance).inspect_err(|error| pieces::log_break(error, "a live stream"))
    }

    /// The next bytes; `None` at the end of the stream.
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
                // Nothing announces the writes of other processes.
                self.events.look_again();
            } else if !self.events.is_at_end() {
                if self.events.is_between_pages() {
                    sleep_until(self.next_search).await;
                    self.arrivals.look();
                }
                self = self.fetch().await?;
            } else {
                self.wait().await;
            }
        }
    }

    /// A comment, with the position that the search has reached: a reconnected client does not search the same events again.
    fn heartbeat(&self) -> Bytes {
        let query = self.events.query();
        let place = query.after.map(|after| query.cursor(after)).unwrap_or_default();
        format!(":\nid: {place}\n\n").into()
    }

    /// Fetches the next events, if any.
    async fn fetch(self) -> Result<Self, ApiError> {
        let reading = self.reading.clone();
        let fetched = reading.go_on(move |lease| {
            let mut live = self;
            if let Some(slice) = live.events.next(lease, SLICE_BYTES)? {
                live.ready = Some(live.messages(lease, &slice)).filter(|bytes| !bytes.is_empty());
            }
            if live.events.is_at_end() {
                live.next_search = Instant::now() + SEARCH_EVERY;
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
                // A separate message type, which listeners for events do not receive.
                text.push_str("\nevent: damaged");
            }
            text.push_str("\ndata: ");
            match event {
                Ok(body) => push_event(&mut text, body, query.includes.as_ref()),
                Err(damaged) => text.push_str(&DamagedEvent::from(damaged).to_json()),
            }
            text.push_str("\n\n");
        }
        text.into()
    }

    /// Waits for events, the next heartbeat, or the end.
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
