//! `/healthz` and `/readyz`, for monitoring. They need no credential and do not touch the disk.

use actix_web::{HttpResponse, web::Data};

use crate::http::{ApiError, Context, schema::Success};

/// The process responds.
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(Success::OK)
}

/// The process accepts writes. Reads may still work when this fails.
pub(super) async fn ready(context: Data<Context>) -> Result<HttpResponse, ApiError> {
    context.writer.check()?;
    Ok(alive().await)
}
