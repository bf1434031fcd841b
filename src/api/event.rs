//! `GET /v1/events/{identifier}` and `GET /v1/audit-log/{identifier}`: one event.
//!
//! The second path cannot lead to events with the identifiers `stats`, `export` and `stream`, whose paths lead elsewhere.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    api::event_schema::Event,
    http::{
        ApiError, Context,
        caller::Read,
        error::NOT_FOUND,
        parameters,
        schema::{Always, True},
    },
};

/// `v1`, and `events` or `audit-log`.
const SEGMENTS: usize = 2;

/// One event, byte for byte as stored.
#[derive(Serialize, ToSchema)]
pub(super) struct EventResponse {
    #[schema(inline)]
    ok: True,
    #[schema(value_type = Event)]
    audit: Box<RawValue>,
}

/// Returns the event with this identifier.
pub(super) async fn one(caller: Read, request: HttpRequest, context: Data<Context>) -> Result<HttpResponse, ApiError> {
    let identifier = parameters::identifier(&request, SEGMENTS)?;
    let asked = identifier.clone();
    let reading = context.reading(&caller.0, &request);
    let found = reading.begin(move |lease| Ok(lease.by_identifier(&asked)?)).await?;
    let body = found.ok_or_else(|| ApiError::new(NOT_FOUND, format!("there is no event {identifier:?}")))?;
    let audit = RawValue::from_string(body).map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok().json(EventResponse { ok: Always, audit }))
}
