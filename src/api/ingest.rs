//! `POST /v1/audit-log`: ingest.

mod mapped;
mod replay;
mod response;

use std::sync::Arc;

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    http::header::HeaderMap,
    web::{Data, Payload},
};

use crate::{
    http::{
        ApiError, Context,
        caller::{AuditNote, Caller, Ingest},
        error::Detail,
        metrics::Ingested,
        parameters,
        reading::ReadAccess,
    },
    model::{
        batch::{self, AfterError, Lines, TooMany},
        error::{FieldError, ParameterError},
        event::{Receipt, Sender},
        idempotency_key::IdempotencyKey,
        limits::EventLimits,
        mask::Mask,
        masked_event::MaskedEvent,
        timestamp::Timestamp,
    },
    store::{AppendError, Outcome, Policy, Prepared, WriteError, Writer},
};
use mapped::Format;
pub(super) use replay::{KEY_HEADER, REPLAYED_HEADER};
use replay::{KEY_REUSED, SentEvents};
pub(super) use response::IngestResponse;
use response::{EventResult, ItemError};

/// Maximum number of errors in one response. A batch that is wrong throughout is usually wrong in the same way.
const DETAILS_MAX: usize = 20;
/// A body up to this size is parsed on the current thread: switching threads would cost more.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Stores events, and responds when they are on disk.
pub(super) async fn ingest(
    caller: Ingest,
    request: HttpRequest,
    context: Data<Context>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let Parameters { policy, format } = Parameters::parse(request.query_string(), &context)?;
    let key = parse_key(request.headers(), &caller.0)?;
    let body = match policy {
        Policy::AllOrNothing => context.body_limits.read(request.headers(), payload).await?,
        Policy::Partial => context.body_limits.read_beginning(request.headers(), payload).await?,
    };
    // After the body has arrived: a client that is still sending may see its connection reset instead of the response.
    // Before it is parsed: a request that will be rejected should cost nothing more.
    context.writer.check_room()?;
    let reading = Reading {
        at: Timestamp::now(),
        by: caller.0.credential().name.as_str().to_owned(),
        policy,
        key: key.clone(),
        limits: context.event_limits,
        mask: Arc::clone(&context.mask),
        events_max: context.batch_events_max,
        writer: context.writer.clone(),
    };
    if let Some(format) = format {
        return mapped::ingest(format, reading, body, &context, &caller.0, &request).await;
    }
    let items = if body.bytes.len() <= INLINE_BYTES_MAX {
        reading.read(&body.bytes, body.cut_off)
    } else {
        context.body_limits.work(move || reading.read(&body.bytes, body.cut_off)).await?
    };
    // A body that is not made of events counts as one.
    let items = items.inspect_err(|_| context.metrics.ingested(Ingested::Rejected, 1))?;
    let access = context.reading(&caller.0, &request);
    match policy {
        Policy::AllOrNothing => store_all(&context, items, key, &access).await,
        Policy::Partial => store_good(&context, items, &request, &access).await,
    }
}

/// The parameters of a request.
struct Parameters {
    policy: Policy,
    /// How the records of another system become events.
    format: Option<Format>,
}

impl Parameters {
    fn parse(query: &str, context: &Context) -> Result<Self, ApiError> {
        let (mut partial, mut mapping, mut source, mut first) = (None, None, None, None);
        let invalid = |name: &str, message: &str| ApiError::from(ParameterError::new(name, message));
        for (name, value) in parameters::decode(query)? {
            match (name.as_ref(), value.as_ref()) {
                ("partial", "true") => partial = Some(true),
                ("partial", "false") => partial = Some(false),
                ("partial", _) => return Err(invalid("partial", "must be true or false")),
                ("format", name) => {
                    mapping = Some(context.presets.get(name).map_err(|error| invalid("format", &error))?);
                }
                ("source", "") => return Err(invalid("source", "must not be empty")),
                ("source", name) => source = Some(name.to_owned()),
                ("first", number) => {
                    first = Some(number.parse().map_err(|_| invalid("first", "must be a whole number"))?);
                }
                (other, _) => return Err(ParameterError::unknown(other).into()),
            }
        }
        let policy = if partial == Some(true) { Policy::Partial } else { Policy::AllOrNothing };
        let Some(mapping) = mapping else {
            return match (source, first) {
                (None, None) => Ok(Self { policy, format: None }),
                (Some(_), _) => Err(invalid("source", "needs format")),
                (None, Some(_)) => Err(invalid("first", "needs format and source")),
            };
        };
        if partial == Some(false) {
            return Err(invalid("partial", "must be true or absent with format: each record is stored by itself"));
        }
        if source.is_none() && first.is_some() {
            return Err(invalid("first", "needs source"));
        }
        Ok(Self { policy: Policy::Partial, format: Some(Format { mapping, source, first: first.unwrap_or(1) }) })
    }
}

fn parse_key(headers: &HeaderMap, caller: &Caller) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut values = headers.get_all(KEY_HEADER);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = match values.next() {
        Some(_) => Err("appears twice".to_owned()),
        None => IdempotencyKey::parse(value.as_bytes(), caller.credential().client_id.as_str()),
    };
    key.map(Some).map_err(|message| ApiError::invalid(format!("{KEY_HEADER}: {message}")))
}

/// What is needed to read a body, apart from the body.
struct Reading {
    at: Timestamp,
    by: String,
    policy: Policy,
    key: Option<IdempotencyKey>,
    limits: EventLimits,
    mask: Arc<Mask>,
    events_max: usize,
    writer: Writer,
}

/// An event of a body.
struct ReadEvent {
    event: Prepared,
    /// The line on which it begins.
    line: usize,
}

type Item = Result<ReadEvent, ItemError>;

impl Reading {
    /// Reads the events of a body. `cut_off` names the encoding of one that is cut off.
    fn read(&self, body: &[u8], cut_off: Option<&str>) -> Result<Vec<Item>, ApiError> {
        let after_error = match self.policy {
            Policy::AllOrNothing => AfterError::Stop,
            Policy::Partial => AfterError::Resume,
        };
        let mut pieces = batch::split(body, self.events_max, after_error).map_err(|TooMany| {
            ApiError::invalid(format!("body: more than {} events in one request", self.events_max))
        })?;
        if self.policy == Policy::AllOrNothing
            && let Some(Err(error)) = pieces.pop_if(|last| last.is_err())
        {
            let refused = ApiError::invalid(format!("body: {}", error.message));
            let fault = ItemError::from(error).at(pieces.len());
            return Err(refused.with_details(vec![Detail::Event(fault)]));
        }
        if let Some(encoding) = cut_off {
            batch::cut_off(&mut pieces, body, encoding);
        }
        let receipt = Receipt { at: self.at, by: &self.by };
        let read = |index, raw| {
            let sent = MaskedEvent::new(raw, &self.limits, &self.mask)?;
            let mut draft = sent.read(&self.limits, Sender::Client)?;
            if let Some(key) = &self.key {
                draft.assign(&key.identifier(index));
            }
            Ok(self.writer.prepare(draft.accept(&receipt)))
        };
        let mut lines = Lines::of(body);
        let items = pieces.into_iter().enumerate().map(|(index, piece)| match piece {
            Ok(raw) => {
                let line = lines.of_value(raw);
                let event = read(index, raw).map_err(|error: FieldError| ItemError { error, line: Some(line) })?;
                Ok(ReadEvent { event, line })
            }
            Err(error) => Err(ItemError::from(error)),
        });
        Ok(items.collect())
    }
}

async fn store_all(
    context: &Context,
    items: Vec<Item>,
    key: Option<IdempotencyKey>,
    access: &ReadAccess,
) -> Result<HttpResponse, ApiError> {
    let total = items.len();
    let faults: Vec<_> =
        items.iter().enumerate().filter_map(|(index, item)| Some((index, item.as_ref().err()?))).collect();
    if let Some((index, first)) = faults.first() {
        context.metrics.ingested(Ingested::Rejected, faults.len());
        let message =
            format!("event {index}: {}; {} of {total} events are invalid, none was stored", first.error, faults.len());
        let shown = faults.iter().take(DETAILS_MAX);
        let details = shown.map(|(index, error)| Detail::Event((*error).clone().at(*index)));
        return Err(ApiError::invalid(message).with_details(details.collect()));
    }
    let (batch, lines): (Vec<_>, Vec<_>) = items.into_iter().flatten().map(|read| (read.event, read.line)).unzip();
    let sent = SentEvents::of(&batch);
    let outcomes = append(context, batch, Policy::AllOrNothing).await.map_err(|error| {
        if let AppendError::Conflict(conflicts) = &error {
            context.metrics.ingested(Ingested::Conflict, conflicts.len());
        }
        sent.refusal(error, &lines)
    })?;
    let count = |outcomes: &[Outcome], wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    context.metrics.ingested(Ingested::Stored, count(&outcomes, Outcome::Stored));
    context.metrics.ingested(Ingested::Duplicate, count(&outcomes, Outcome::Duplicate));
    let next = key.map(|key| key.identifier(total));
    let replay = sent.replay(outcomes, next, access).await?;
    let accepted = count(&replay.outcomes, Outcome::Stored);
    Ok(replay.respond(IngestResponse::of_all(accepted, total - accepted, sent.identifiers)))
}

/// Stores the valid events and reports the outcome of each event.
async fn store_good(
    context: &Context,
    items: Vec<Item>,
    request: &HttpRequest,
    access: &ReadAccess,
) -> Result<HttpResponse, ApiError> {
    let (good, results) = separate(items);
    let (places, batch): (Vec<_>, Vec<_>) = good.into_iter().map(|(index, read)| (index, read.event)).unzip();
    let sent = SentEvents::of(&batch);
    let outcomes = append(context, batch, Policy::Partial).await?;
    Stored { results, places, sent, outcomes }.respond(context, request, access).await
}

/// Events and the results of errors, each with its index.
type Separated<T> = (Vec<(usize, T)>, Vec<(usize, EventResult)>);

/// Separates the events from the errors, each with its index.
fn separate<T>(items: Vec<Result<T, ItemError>>) -> Separated<T> {
    let (mut good, mut results) = (Vec::with_capacity(items.len()), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Ok(event) => good.push((index, event)),
            Err(error) => results.push((index, EventResult::invalid(index, error))),
        }
    }
    (good, results)
}

/// What became of a request whose valid events were stored.
struct Stored {
    /// The results of invalid events.
    results: Vec<(usize, EventResult)>,
    /// The indexes of the others.
    places: Vec<usize>,
    sent: SentEvents,
    outcomes: Vec<Outcome>,
}

impl Stored {
    async fn respond(
        self,
        context: &Context,
        request: &HttpRequest,
        access: &ReadAccess,
    ) -> Result<HttpResponse, ApiError> {
        let Self { mut results, places, sent, outcomes } = self;
        let total = results.len() + places.len();
        let count = |outcomes: &[Outcome], wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
        let conflicts = count(&outcomes, Outcome::Conflict);
        context.metrics.ingested(Ingested::Stored, count(&outcomes, Outcome::Stored));
        context.metrics.ingested(Ingested::Duplicate, count(&outcomes, Outcome::Duplicate));
        context.metrics.ingested(Ingested::Conflict, conflicts);
        context.metrics.ingested(Ingested::Rejected, results.len());
        let rejected = results.len() + conflicts;
        if rejected > 0 {
            request.extensions_mut().insert(AuditNote::Refused(format!("{rejected} of {total} events were rejected")));
        }
        let replay = sent.replay(outcomes, None, access).await?;
        let (accepted, duplicates) =
            (count(&replay.outcomes, Outcome::Stored), count(&replay.outcomes, Outcome::Duplicate));
        let valid = places.into_iter().zip(sent.identifiers.into_iter().zip(sent.are_assigned)).zip(&replay.outcomes);
        results.extend(valid.map(|((index, (identifier, is_assigned)), outcome)| match outcome {
            Outcome::Conflict if is_assigned => {
                let error = FieldError::new("", format!("{KEY_HEADER}: {KEY_REUSED}"));
                (index, EventResult::invalid(index, error.into()))
            }
            outcome => (index, EventResult::valid(index, identifier, *outcome)),
        }));
        results.sort_by_key(|(index, _)| *index);
        let results = results.into_iter().map(|(_, result)| result).collect();
        Ok(replay.respond(IngestResponse::of_good(accepted, duplicates, rejected, results)))
    }
}

async fn append(context: &Context, batch: Vec<Prepared>, policy: Policy) -> Result<Vec<Outcome>, AppendError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let pending = context.writer.append(batch, policy).map_err(|error: WriteError| AppendError::from(error))?;
    pending.settled().await
}
