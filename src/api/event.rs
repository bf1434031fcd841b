//! `GET /v1/audit-log/{identifier}`: one event.

use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web::Data};
use percent_encoding::percent_decode_str;

use crate::http::{ApiError, Context, caller::Read, error::NOT_FOUND};

const PREFIX: &str = "/v1/audit-log/";

/// Returns the event with this identifier.
pub(super) async fn one(caller: Read, request: HttpRequest, context: Data<Context>) -> Result<HttpResponse, ApiError> {
    let identifier = identifier(&request)?;
    let asked = identifier.clone();
    let reading = context.reading(&caller.0, &request);
    let found = reading.begin(move |lease| Ok(lease.by_identifier(&asked)?)).await?;
    let body = found.ok_or_else(|| ApiError::new(NOT_FOUND, format!("there is no event {identifier:?}")))?;
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(format!("{{\"ok\":true,\"audit\":{body}}}")))
}

/// Taken from the URL itself: the router's own decoding would replace what is not UTF-8, and so might find another event.
fn identifier(request: &HttpRequest) -> Result<String, ApiError> {
    let encoded = request.uri().path();
    let encoded = encoded.strip_prefix(PREFIX).unwrap_or(encoded);
    let decoded = percent_decode_str(encoded).decode_utf8();
    decoded.map(Into::into).map_err(|_| ApiError::invalid("identifier: is not UTF-8"))
}
