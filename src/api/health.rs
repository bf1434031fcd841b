//! `/healthz` and `/readyz`: for whoever watches the process. They need no credential and touch no disk.

use actix_web::{HttpResponse, web::Data};
use serde_json::json;

use crate::http::{ApiError, Context};

/// The process answers.
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "ok": true }))
}

/// The process takes writes. Reads may go on where this says no.
pub(super) async fn ready(context: Data<Context>) -> Result<HttpResponse, ApiError> {
    context.writer.check()?;
    Ok(alive().await)
}
