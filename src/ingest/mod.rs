//! Ingest: from a body to stored events and the outcome of each.
//!
//! What belongs here: reading the events or the records of a body, storing them, and the response. What does not: who may send,
//! and what a request asks for (`api`, `doors`).

mod mapped;
mod replay;
mod response;

use std::sync::Arc;

use actix_web::{HttpMessage, HttpRequest, HttpResponse, http::header::HeaderMap, web::Data};

use crate::{
    http::{
        ApiError, Context,
        activity::Arrival,
        body::Body,
        caller::{AuditNote, Caller},
        error::Detail,
        metrics::Ingested,
        reading::ReadAccess,
    },
    model::{
        batch::{self, AfterError, Lines, TooMany},
        error::FieldError,
        event::{Receipt, Sender},
        idempotency_key::IdempotencyKey,
        limits::EventLimits,
        mask::Mask,
        masked_event::MaskedEvent,
        timestamp::Timestamp,
    },
    store::{AppendError, Outcome, Policy, Prepared, WriteError, Writer},
};
pub(crate) use mapped::{
    Format, Identification, MappedRecords, ReadRecords, SentRecord, documents, map_records, records,
};
pub(crate) use replay::{KEY_HEADER, REPLAYED_HEADER};
use replay::{KEY_REUSED, SentEvents};
use response::EventResult;
pub(crate) use response::IngestResponse;
pub(crate) use response::ItemError;

/// Maximum number of errors in one response. A batch that is wrong throughout is usually wrong in the same way.
const DETAILS_MAX: usize = 20;
/// A body up to this size is parsed on the current thread: switching threads would cost more.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Stores the events of a body, and responds when they are on disk.
pub(crate) async fn events(
    reading: Reading,
    body: Body,
    context: &Data<Context>,
    caller: &Caller,
    request: &HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (policy, key) = (reading.policy, reading.key.clone());
    let items = if body.bytes.len() <= INLINE_BYTES_MAX {
        reading.read(&body.bytes, body.cut_off)
    } else {
        context.body_limits.work(move || reading.read(&body.bytes, body.cut_off)).await?
    };
    // A body that is not made of events counts as one.
    let items = items.inspect_err(|_| context.metrics.ingested(Ingested::Rejected, 1))?;
    let access = context.reading(caller, request);
    match policy {
        Policy::AllOrNothing => store_all(context, items, key, &access).await,
        Policy::Partial => store_good(context, items, request, &access).await,
    }
}

/// The key of a request.
pub(crate) fn parse_key(headers: &HeaderMap, caller: &Caller) -> Result<Option<IdempotencyKey>, ApiError> {
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
pub(crate) struct Reading {
    at: Timestamp,
    by: String,
    policy: Policy,
    key: Option<IdempotencyKey>,
    limits: EventLimits,
    mask: Arc<Mask>,
    events_max: usize,
    writer: Writer,
}

/// An event that is prepared, with what is to be known of it afterwards (by default the line on which it begins), or the error
/// of an item.
type Item<T = usize> = Result<(Prepared, T), ItemError>;

impl Reading {
    /// Reads for this caller, who sends now.
    pub(crate) fn new(context: &Context, caller: &Caller, policy: Policy, key: Option<IdempotencyKey>) -> Self {
        Self {
            at: Timestamp::now(),
            by: caller.credential().name.as_str().to_owned(),
            policy,
            key,
            limits: context.event_limits,
            mask: Arc::clone(&context.mask),
            events_max: context.batch_events_max,
            writer: context.writer.clone(),
        }
    }

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
        let mut preparer = self.writer.preparer();
        let mut read = |index, text: &str| {
            let sent = MaskedEvent::new(text, &self.limits, &self.mask)?;
            let mut draft = sent.read(&self.limits, Sender::Client)?;
            if let Some(key) = &self.key {
                draft.assign(&key.identifier(index));
            }
            preparer.add(draft.accept(&receipt));
            Ok(())
        };
        let mut lines = Lines::of(body);
        let items = pieces.into_iter().enumerate().map(|(index, piece)| match piece {
            Ok(raw) => {
                let line = lines.of_value(raw);
                read(index, raw.get()).map_err(|error: FieldError| ItemError { error, line: Some(line) })?;
                Ok(line)
            }
            Err(error) => Err(ItemError::from(error)),
        });
        let items = items.collect();
        Ok(prepared(items, preparer.finish()))
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
    let (batch, lines): (Vec<_>, Vec<_>) = items.into_iter().flatten().unzip();
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

/// The items with the prepared events of those that are valid.
fn prepared<T>(items: Vec<Result<T, ItemError>>, events: Vec<Prepared>) -> Vec<Item<T>> {
    let mut events = events.into_iter();
    let with_event = |item: Result<T, ItemError>| item.map(|known| Some((events.next()?, known))).transpose();
    items.into_iter().filter_map(with_event).collect()
}

/// Stores the valid events and reports the outcome of each event.
async fn store_good(
    context: &Context,
    items: Vec<Item>,
    request: &HttpRequest,
    access: &ReadAccess,
) -> Result<HttpResponse, ApiError> {
    let (good, results) = separate(items);
    let (places, batch): (Vec<_>, Vec<_>) = good.into_iter().map(|(place, (event, _))| (place, event)).unzip();
    let sent = SentEvents::of(&batch);
    let outcomes = append(context, batch, Policy::Partial).await?;
    let (counted_as, arrival) = (None, Arrival::default());
    Stored { results, places, sent, outcomes, counted_as, arrival }.respond(context, request, access).await
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
pub(crate) struct Stored {
    /// The results of invalid events.
    results: Vec<(usize, EventResult)>,
    /// The indexes of the others.
    places: Vec<usize>,
    sent: SentEvents,
    outcomes: Vec<Outcome>,
    /// The door or route under which the records are counted.
    counted_as: Option<String>,
    arrival: Arrival,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is stored under this identifier.
    Stored { identifier: String },
    /// It had been stored before.
    Known { identifier: String },
    /// It cannot be read, for the reason given.
    Rejected(String),
}

impl Stored {
    /// Counts the outcomes, and returns the fate of each record in the order in which they were sent.
    pub(crate) fn settle(mut self, context: &Context, request: Option<&HttpRequest>) -> Vec<Fate> {
        self.count(context, request);
        let mut fates: Vec<(usize, Fate)> = Vec::with_capacity(self.results.len() + self.places.len());
        for (index, result) in self.results {
            fates.push((index, Fate::Rejected(result.into_message())));
        }
        for ((index, outcome), identifier) in self.places.into_iter().zip(self.outcomes).zip(self.sent.identifiers) {
            let fate = match outcome {
                Outcome::Stored => Fate::Stored { identifier },
                Outcome::Duplicate => Fate::Known { identifier },
                Outcome::Conflict => Fate::Rejected(KEY_REUSED.to_owned()),
            };
            fates.push((index, fate));
        }
        fates.sort_by_key(|(index, _)| *index);
        fates.into_iter().map(|(_, fate)| fate).collect()
    }

    /// Counts the outcomes, and notes for the record of the request how many records were rejected.
    fn count(&mut self, context: &Context, request: Option<&HttpRequest>) {
        let total = self.results.len() + self.places.len();
        let count = |wanted| self.outcomes.iter().filter(|outcome| **outcome == wanted).count();
        let (stored, duplicates, conflicts) =
            (count(Outcome::Stored), count(Outcome::Duplicate), count(Outcome::Conflict));
        context.metrics.ingested(Ingested::Stored, stored);
        context.metrics.ingested(Ingested::Duplicate, duplicates);
        context.metrics.ingested(Ingested::Conflict, conflicts);
        context.metrics.ingested(Ingested::Rejected, self.results.len());
        let rejected = self.results.len() + conflicts;
        if let Some(name) = &self.counted_as {
            let arrival = Arrival {
                stored: stored as u64,
                duplicates: duplicates as u64,
                rejected: rejected as u64,
                ..std::mem::take(&mut self.arrival)
            };
            context.activity.arrived(name, arrival, Timestamp::now());
        }
        if let Some(request) = request.filter(|_| rejected > 0) {
            let message = format!("{rejected} of {total} events were rejected");
            request.extensions_mut().insert(AuditNote::Refused(message));
        }
    }

    /// The error for a body of which nothing can be read.
    pub(crate) fn check_any(&mut self, context: &Context) -> Result<(), ApiError> {
        if !self.places.is_empty() || self.results.is_empty() {
            return Ok(());
        }
        let total = self.results.len();
        context.metrics.ingested(Ingested::Rejected, total);
        if let Some(name) = &self.counted_as {
            let arrival = Arrival { rejected: total as u64, ..std::mem::take(&mut self.arrival) };
            context.activity.arrived(name, arrival, Timestamp::now());
        }
        let faults = self.results.drain(..).filter_map(|(_, result)| result.into_fault()).take(DETAILS_MAX);
        let details = faults.map(Detail::Event).collect();
        Err(ApiError::invalid(format!("body: none of {total} records can be read")).with_details(details))
    }

    /// Counts the outcomes and responds with them.
    pub(crate) async fn respond(
        mut self,
        context: &Context,
        request: &HttpRequest,
        access: &ReadAccess,
    ) -> Result<HttpResponse, ApiError> {
        self.count(context, Some(request));
        let Self { mut results, places, sent, outcomes, .. } = self;
        let count = |outcomes: &[Outcome], wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
        let rejected = results.len() + count(&outcomes, Outcome::Conflict);
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
