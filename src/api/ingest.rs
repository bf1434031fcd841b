//! `POST /v1/audit-log`: ingest.

use std::sync::Arc;

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, Payload},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    http::{
        ApiError, Context,
        caller::{AuditNote, Ingest},
        error::{CONFLICT, Detail, EventFault, INVALID_REQUEST},
        metrics::Ingested,
        parameters,
        schema::{Always, True},
    },
    model::{
        batch,
        error::{FieldError, ParameterError},
        event::{Receipt, Sender},
        limits::EventLimits,
        mask::Mask,
        masked_event::MaskedEvent,
        timestamp::Timestamp,
    },
    store::{AppendError, Outcome, Policy, Prepared, WriteError, Writer},
};

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
    let policy = parse_policy(request.query_string())?;
    let body = context.body_limits.read(request.headers(), payload).await?;
    // After the body has arrived: a client that is still sending may see its connection reset instead of the response.
    // Before it is parsed: a request that will be rejected should cost nothing more.
    context.writer.check_room()?;
    let reading = Reading {
        at: Timestamp::now(),
        by: caller.0.credential().name.as_str().to_owned(),
        limits: context.event_limits,
        mask: Arc::clone(&context.mask),
        events_max: context.batch_events_max,
        writer: context.writer.clone(),
    };
    let items = if body.bytes.len() <= INLINE_BYTES_MAX {
        reading.read(&body.bytes)
    } else {
        context.body_limits.work(move || reading.read(&body.bytes)).await?
    };
    // A body that is not made of events counts as one.
    let items = items.inspect_err(|_| context.metrics.ingested(Ingested::Rejected, 1))?;
    match policy {
        Policy::AllOrNothing => store_all(&context, items).await,
        Policy::Partial => store_good(&context, items, &request).await,
    }
}

fn parse_policy(query: &str) -> Result<Policy, ApiError> {
    let mut policy = Policy::AllOrNothing;
    for (name, value) in parameters::decode(query)? {
        policy = match (name.as_ref(), value.as_ref()) {
            ("partial", "true") => Policy::Partial,
            ("partial", "false") => Policy::AllOrNothing,
            ("partial", _) => return Err(ParameterError::new("partial", "must be true or false").into()),
            (other, _) => return Err(ParameterError::unknown(other).into()),
        };
    }
    Ok(policy)
}

/// What is needed to read a body, apart from the body.
struct Reading {
    at: Timestamp,
    by: String,
    limits: EventLimits,
    mask: Arc<Mask>,
    events_max: usize,
    writer: Writer,
}

type Item = Result<Prepared, FieldError>;

impl Reading {
    fn read(&self, body: &[u8]) -> Result<Vec<Item>, ApiError> {
        let events = batch::split(body, self.events_max).map_err(|error| {
            let refused = ApiError::invalid(format!("body: {}", error.message));
            let fault = error.index.map(|index| EventFault::new(index, FieldError::new("", error.message)));
            refused.with_details(fault.into_iter().map(Detail::Event).collect())
        })?;
        let receipt = Receipt { at: self.at, by: &self.by };
        let read = |raw| {
            let sent = MaskedEvent::new(raw, &self.limits, &self.mask)?;
            let draft = sent.read(&self.limits, Sender::Client)?;
            Ok(self.writer.prepare(draft.accept(&receipt)))
        };
        Ok(events.into_iter().map(read).collect())
    }
}

/// How many events were stored, and what became of each.
#[derive(Serialize, ToSchema)]
pub(super) struct IngestResponse {
    #[schema(inline)]
    ok: True,
    /// Number of events stored by this request.
    accepted: usize,
    /// Number of events that had been stored before with the same content.
    duplicates: usize,
    /// With `partial=true`: number of events that were not stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rejected: Option<usize>,
    /// Without `partial=true`: the identifiers, in the order of the events sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    identifiers: Option<Vec<String>>,
    /// With `partial=true`: one result for each event sent, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    results: Option<Vec<EventResult>>,
}

/// What became of one event of a request with `partial=true`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum EventResult {
    /// A valid event: stored (201), stored before (200), or in conflict with another event (409).
    Valid {
        index: usize,
        identifier: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        error: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        message: Option<&'static str>,
        status: u16,
    },
    /// An invalid event (422).
    Invalid {
        #[serde(flatten)]
        fault: EventFault,
        status: u16,
        error: &'static str,
    },
}

impl EventResult {
    fn valid(index: usize, identifier: String, outcome: Outcome) -> Self {
        let (status, error, message) = match outcome {
            Outcome::Stored => (StatusCode::CREATED, None, None),
            Outcome::Duplicate => (StatusCode::OK, None, None),
            Outcome::Conflict => {
                let message = "the identifier is already used by an event with other content";
                (CONFLICT.status, Some(CONFLICT.code), Some(message))
            }
        };
        Self::Valid { index, identifier, error, message, status: status.as_u16() }
    }

    fn invalid(index: usize, error: FieldError) -> Self {
        let (fault, kind) = (EventFault::new(index, error), INVALID_REQUEST);
        Self::Invalid { fault, status: kind.status.as_u16(), error: kind.code }
    }
}

async fn store_all(context: &Context, items: Vec<Item>) -> Result<HttpResponse, ApiError> {
    let total = items.len();
    let faults: Vec<_> =
        items.iter().enumerate().filter_map(|(index, item)| Some((index, item.as_ref().err()?))).collect();
    if let Some((index, first)) = faults.first() {
        context.metrics.ingested(Ingested::Rejected, faults.len());
        let message =
            format!("event {index}: {first}; {} of {total} events are invalid, none was stored", faults.len());
        let shown = faults.iter().take(DETAILS_MAX);
        let details = shown.map(|(index, error)| Detail::Event(EventFault::new(*index, (*error).clone())));
        return Err(ApiError::invalid(message).with_details(details.collect()));
    }
    let batch: Vec<_> = items.into_iter().flatten().collect();
    let identifiers: Vec<_> = batch.iter().map(|event| event.identifier().to_owned()).collect();
    let outcomes = context.writer.append(batch, Policy::AllOrNothing)?.settled().await;
    let outcomes = outcomes.inspect_err(|error| {
        if matches!(error, AppendError::Conflict { .. }) {
            context.metrics.ingested(Ingested::Conflict, 1);
        }
    })?;
    let accepted = outcomes.iter().filter(|outcome| **outcome == Outcome::Stored).count();
    let status = if accepted == 0 { StatusCode::OK } else { StatusCode::CREATED };
    let duplicates = total - accepted;
    context.metrics.ingested(Ingested::Stored, accepted);
    context.metrics.ingested(Ingested::Duplicate, duplicates);
    let identifiers = Some(identifiers);
    let body = IngestResponse { ok: Always, accepted, duplicates, rejected: None, identifiers, results: None };
    Ok(HttpResponse::build(status).json(body))
}

/// Stores the valid events and reports the outcome of each event.
async fn store_good(context: &Context, items: Vec<Item>, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
    let total = items.len();
    let (mut results, mut batch, mut sent) = (Vec::with_capacity(total), Vec::new(), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Ok(event) => {
                sent.push((index, event.identifier().to_owned()));
                batch.push(event);
            }
            Err(error) => results.push((index, EventResult::invalid(index, error))),
        }
    }
    let outcomes = append_if_any(context, batch).await?;
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    let (accepted, duplicates) = (count(Outcome::Stored), count(Outcome::Duplicate));
    let valid = sent.into_iter().zip(&outcomes);
    results.extend(valid.map(|((index, id), outcome)| (index, EventResult::valid(index, id, *outcome))));
    results.sort_by_key(|(index, _)| *index);
    let (rejected, conflicts) = (total - accepted - duplicates, count(Outcome::Conflict));
    context.metrics.ingested(Ingested::Stored, accepted);
    context.metrics.ingested(Ingested::Duplicate, duplicates);
    context.metrics.ingested(Ingested::Conflict, conflicts);
    context.metrics.ingested(Ingested::Rejected, rejected - conflicts);
    if rejected > 0 {
        request.extensions_mut().insert(AuditNote::Refused(format!("{rejected} of {total} events were rejected")));
    }
    let results = Some(results.into_iter().map(|(_, result)| result).collect());
    let body =
        IngestResponse { ok: Always, accepted, duplicates, rejected: Some(rejected), identifiers: None, results };
    Ok(HttpResponse::Ok().json(body))
}

async fn append_if_any(context: &Context, batch: Vec<Prepared>) -> Result<Vec<Outcome>, AppendError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let pending =
        context.writer.append(batch, Policy::Partial).map_err(|error: WriteError| AppendError::from(error))?;
    pending.settled().await
}
