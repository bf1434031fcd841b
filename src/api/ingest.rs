//! `POST /v1/audit-log`: ingest.

use std::sync::Arc;

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, Payload},
};
use serde_json::{Value, json};

use crate::{
    http::{
        ApiError, Context,
        caller::{AuditNote, Ingest},
        error::{CONFLICT, INVALID_REQUEST},
        metrics::Ingested,
        parameters,
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
            match error.index {
                Some(index) => refused.with_details(json!([detail(index, &FieldError::new("", error.message))])),
                None => refused,
            }
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

fn detail(index: usize, error: &FieldError) -> Value {
    json!({ "index": index, "field": error.field, "message": error.message })
}

async fn store_all(context: &Context, items: Vec<Item>) -> Result<HttpResponse, ApiError> {
    let total = items.len();
    let faults: Vec<_> =
        items.iter().enumerate().filter_map(|(index, item)| Some((index, item.as_ref().err()?))).collect();
    if let Some((index, first)) = faults.first() {
        context.metrics.ingested(Ingested::Rejected, faults.len());
        let message = format!("event {index}: {first}; {} of {total} events are wrong, none was stored", faults.len());
        let details = faults.iter().take(DETAILS_MAX).map(|(index, error)| detail(*index, error)).collect();
        return Err(ApiError::invalid(message).with_details(details));
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
    Ok(HttpResponse::build(status)
        .json(json!({ "ok": true, "accepted": accepted, "duplicates": duplicates, "identifiers": identifiers })))
}

/// Stores the valid events and reports the outcome of each event.
async fn store_good(context: &Context, items: Vec<Item>, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
    let total = items.len();
    let mut results = Vec::with_capacity(total);
    let (mut batch, mut places) = (Vec::new(), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Ok(event) => {
                results.push(json!({ "index": index, "identifier": event.identifier() }));
                places.push(index);
                batch.push(event);
            }
            Err(error) => {
                let mut result = detail(index, &error);
                result["status"] = json!(INVALID_REQUEST.status.as_u16());
                result["error"] = json!(INVALID_REQUEST.code);
                results.push(result);
            }
        }
    }
    let outcomes = append_if_any(context, batch).await?;
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    let (accepted, duplicates) = (count(Outcome::Stored), count(Outcome::Duplicate));
    for (index, outcome) in places.into_iter().zip(&outcomes) {
        results[index]["status"] = match outcome {
            Outcome::Stored => json!(StatusCode::CREATED.as_u16()),
            Outcome::Duplicate => json!(StatusCode::OK.as_u16()),
            Outcome::Conflict => {
                results[index]["error"] = json!(CONFLICT.code);
                results[index]["message"] = json!("the identifier already stands for an event with other content");
                json!(CONFLICT.status.as_u16())
            }
        };
    }
    let (rejected, conflicts) = (total - accepted - duplicates, count(Outcome::Conflict));
    context.metrics.ingested(Ingested::Stored, accepted);
    context.metrics.ingested(Ingested::Duplicate, duplicates);
    context.metrics.ingested(Ingested::Conflict, conflicts);
    context.metrics.ingested(Ingested::Rejected, rejected - conflicts);
    if rejected > 0 {
        request.extensions_mut().insert(AuditNote::Refused(format!("{rejected} of {total} events were refused")));
    }
    Ok(HttpResponse::Ok().json(json!({
        "ok": true, "accepted": accepted, "duplicates": duplicates, "rejected": rejected, "results": results,
    })))
}

async fn append_if_any(context: &Context, batch: Vec<Prepared>) -> Result<Vec<Outcome>, AppendError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let pending =
        context.writer.append(batch, Policy::Partial).map_err(|error: WriteError| AppendError::from(error))?;
    pending.settled().await
}
