//! `POST /v1/auth/access_token`: an access token for a client id and a client secret.

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    http::{
        ApiError, Context,
        caller::{AuthResult, Caller, peer},
        schema::{Always, True, one_of, schemas},
    },
    model::{credential::Secret, timestamp::Timestamp},
};

/// Maximum size of the body, which holds two short strings.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// A login. Unknown keys are ignored, because clients of Port's endpoint may send some.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Login {
    client_id: String,
    client_secret: String,
}

/// An access token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoginResponse {
    #[schema(inline)]
    ok: True,
    access_token: String,
    /// Seconds until the token expires.
    expires_in: i64,
    #[schema(value_type = TokenType)]
    token_type: &'static str,
}

schemas! {
    TokenType = one_of(["Bearer"]);
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
    let (access_token, expires_in) = (access.token, access.expires_in);
    Ok(HttpResponse::Ok().json(LoginResponse { ok: Always, access_token, expires_in, token_type: "Bearer" }))
}
