//! `GET /v1/audit-log/{identifier}`: one event.

use actix_web::{
    HttpResponse,
    http::header::ContentType,
    web::{self, Data, Path},
};

use crate::api::{ApiError, Context, caller::Read, error::NOT_FOUND};

/// Returns the event with this identifier.
pub(super) async fn one(_: Read, identifier: Path<String>, context: Data<Context>) -> Result<HttpResponse, ApiError> {
    let (reader, identifier) = (context.reader.clone(), identifier.into_inner());
    let asked = identifier.clone();
    let found = web::block(move || reader.by_identifier(&asked)).await.map_err(ApiError::internal)??;
    let body = found.ok_or_else(|| ApiError::new(NOT_FOUND, format!("there is no event {identifier:?}")))?;
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(format!("{{\"ok\":true,\"audit\":{body}}}")))
}
