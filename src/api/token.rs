//! `POST /v1/auth/access_token`: an access token for a client id and a client secret.

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    http::{
        ApiError, Context,
        caller::{AuthResult, Caller, peer},
    },
    model::{credential::Secret, timestamp::Timestamp},
};

/// The largest body that two strings need.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// Unknown keys are ignored, because clients of Port's endpoint may send some.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Login {
    client_id: String,
    client_secret: String,
}

/// Logs a client in by its secret.
pub(super) async fn access_token(
    request: HttpRequest,
    context: Data<Context>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let body = context.body_limits.at_most(BODY_BYTES_MAX).read(request.headers(), payload).await?;
    let login: Login = serde_json::from_slice(&body.bytes).map_err(|error| {
        ApiError::invalid(format!("body: must be a JSON object with the strings clientId and clientSecret: {error}"))
    })?;
    let (address, secret) = (peer(&request, &context), Secret::presented(login.client_secret));
    let (principal, access) = context.authenticator.login(&login.client_id, &secret, address, Timestamp::now()).await?;
    // From here on the request has a caller and is recorded.
    request.extensions_mut().insert::<AuthResult>(Ok(Caller { principal }));
    Ok(HttpResponse::Ok().json(json!({
        "ok": true, "accessToken": access.token, "expiresIn": access.expires_in, "tokenType": "Bearer",
    })))
}
