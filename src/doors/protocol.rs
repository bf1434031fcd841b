//! What the doors of protocols share: from a request to the fates of its records.
//!
//! A door names its preset, finds the records of a body, and renders fates and errors. Everything between is here.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig},
};

use crate::{
    doors::PROTOCOLS,
    http::{ApiError, Context, NativeForm, actions, caller::Ingest},
    ingest::{self, Fate, Format, Identification, ReadRecords, Reading},
    model::{door::Door, idempotency_key::IdempotencyKey, timestamp::Timestamp},
    store::Policy,
};

/// A door that is served over HTTP.
pub(super) struct Protocol {
    pub(super) door: Door,
    /// Registers its routes.
    pub(super) routes: fn(&mut ServiceConfig),
    /// Renders errors as its senders expect them.
    pub(super) form: NativeForm,
}

/// How a door reads a request.
pub(super) struct Delivery {
    /// Bodies of at least this size are accepted.
    pub(super) body_bytes: usize,
    pub(super) identification: Identification,
    pub(super) read: ReadRecords,
}

impl Delivery {
    /// A body that `read` reads, whose records have no names.
    pub(super) fn new(read: ReadRecords) -> Self {
        Self { body_bytes: 0, identification: Identification::Delivery { is_strict: false }, read }
    }
}

/// How the senders of this request's protocol expect errors. `None` if it belongs to no door.
pub fn native_form(request: &HttpRequest) -> Option<NativeForm> {
    let protocol = actions::door_of(request).and_then(|name| PROTOCOLS.iter().find(|one| one.door.name() == name));
    protocol.map(|protocol| protocol.form)
}

/// Answers a request to a door: an error takes the form of the protocol and is counted.
pub(super) async fn answer(
    protocol: &Protocol,
    context: &Context,
    response: impl Future<Output = Result<HttpResponse, ApiError>>,
) -> Result<HttpResponse, ApiError> {
    response.await.map_err(|error| {
        context.activity.refused(protocol.door.name(), error.message(), Timestamp::now());
        error.for_sender().or_in_form(protocol.form)
    })
}

/// Stores the records of a request, and returns the fate of each, in order, once those that can be stored are on disk.
pub(super) async fn receive(
    door: Door,
    delivery: Delivery,
    request: &HttpRequest,
    context: &Data<Context>,
    payload: Payload,
) -> Result<Vec<Fate>, ApiError> {
    let caller = Ingest::of(request)?.0;
    let Delivery { body_bytes, identification, read } = delivery;
    let body = context.body_limits.at_least(body_bytes).read(request.headers(), payload).await?;
    // After the body has arrived: a client that is still sending may see its connection reset instead of the response.
    context.writer.check_room()?;
    let sender = format!("{}\0{}", caller.credential().client_id.as_str(), door.name());
    let key = request.headers().get(ingest::KEY_HEADER);
    let key = key.and_then(|value| IdempotencyKey::parse(value.as_bytes(), &sender).ok());
    let preset = context.preset_of(caller.credential().name.as_str(), door);
    let mapping = context.presets.get(preset).map_err(ApiError::internal)?;
    let counted_as = Some(door.name().to_owned());
    let format = Format { mapping, identification, door: door.name(), counted_as, read };
    let stored = ingest::records(format, Reading::new(context, &caller, Policy::Partial, key), body, context).await?;
    Ok(stored.settle(context, Some(request)))
}

/// The error for a request of which no record can be read.
pub(super) fn check_any(fates: &[Fate]) -> Result<(), ApiError> {
    match fates {
        [Fate::Rejected(reason), ..] if fates.iter().all(|fate| matches!(fate, Fate::Rejected(_))) => {
            Err(ApiError::invalid(format!("body: none of {} records can be read: {reason}", fates.len())))
        }
        _ => Ok(()),
    }
}
