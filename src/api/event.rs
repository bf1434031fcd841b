//! `GET /v1/audit-log/{identifier}`: one event.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::ContentType,
    web::{self, Data},
};

use crate::http::{ApiError, Context, caller::Read, error::NOT_FOUND, parameters};

/// `v1` and `audit-log`.
const SEGMENTS: usize = 2;

/// Returns the event with this identifier.
pub(super) async fn one(_: Read, request: HttpRequest, context: Data<Context>) -> Result<HttpResponse, ApiError> {
    let (reader, identifier) = (context.reader.clone(), parameters::identifier(&request, SEGMENTS)?);
    let asked = identifier.clone();
    let found = web::block(move || reader.by_identifier(&asked)).await.map_err(ApiError::internal)??;
    let body = found.ok_or_else(|| ApiError::new(NOT_FOUND, format!("there is no event {identifier:?}")))?;
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(format!("{{\"ok\":true,\"audit\":{body}}}")))
}
