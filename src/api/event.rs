//! `GET /v1/audit-log/{identifier}`: one event.

use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web::Data};

use crate::http::{ApiError, Context, caller::Read, error::NOT_FOUND, parameters};

/// `v1` and `audit-log`.
const SEGMENTS: usize = 2;

/// Returns the event with this identifier.
pub(super) async fn one(caller: Read, request: HttpRequest, context: Data<Context>) -> Result<HttpResponse, ApiError> {
    let identifier = parameters::identifier(&request, SEGMENTS)?;
    let asked = identifier.clone();
    let reading = context.reading(&caller.0, &request);
    let found = reading.begin(move |lease| Ok(lease.by_identifier(&asked)?)).await?;
    let body = found.ok_or_else(|| ApiError::new(NOT_FOUND, format!("there is no event {identifier:?}")))?;
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(format!("{{\"ok\":true,\"audit\":{body}}}")))
}
