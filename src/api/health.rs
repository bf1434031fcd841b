//! `/healthz` and `/readyz`, for monitoring. They need no credential and do not touch the disk.

use actix_web::{HttpRequest, HttpResponse, web::Data};

use crate::{
    http::{ApiError, Context, schema::Success},
    model::file_proof::{CHALLENGE, PROOF},
};

/// The process responds. A challenge of a command gets the proof that this server has the file open.
pub(super) async fn alive(request: HttpRequest, context: Data<Context>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    let challenge = request.headers().get(CHALLENGE).and_then(|value| value.to_str().ok());
    if let Some(proof) = challenge.and_then(|challenge| context.authenticator.prove(challenge, context.address)) {
        response.insert_header((PROOF, proof));
    }
    response.json(Success::OK)
}

/// The process accepts writes. Reads may still work when this fails.
pub(super) async fn ready(context: Data<Context>) -> Result<HttpResponse, ApiError> {
    context.writer.check()?;
    Ok(HttpResponse::Ok().json(Success::OK))
}
