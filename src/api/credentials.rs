//! `/v1/credentials`: who may use this server, for those who may say so.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, Path, Payload},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    http::{
        ApiError, Context,
        body::Body,
        caller::Admin,
        manage::{NewCredential, apply, issue, parse_client_id},
    },
    model::{
        credential::{Credential, CredentialChange},
        timestamp::Timestamp,
        token,
    },
};

const BODY_BYTES_MAX: usize = 16 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CredentialRequest {
    name: String,
    scopes: Vec<String>,
    #[serde(default)]
    actor_type: Option<String>,
    #[serde(default)]
    expires: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    disabled: bool,
}

/// Lists the credentials, revoked ones included.
pub(super) async fn list(
    caller: Admin,
    request: HttpRequest,
    context: Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let now = Timestamp::now();
    let all = context.reading(&caller.0, &request).begin(|lease| Ok(lease.credentials()?)).await?;
    let shown = all.iter().map(|credential| {
        let mut shown = show(credential, now);
        shown["lastUsedAt"] = json!(context.authenticator.last_use(&credential.client_id).map(|at| at.to_string()));
        shown
    });
    let shown: Vec<_> = shown.collect();
    Ok(HttpResponse::Ok().json(json!({ "ok": true, "credentials": shown })))
}

/// Makes a credential, and shows its secret this once.
pub(super) async fn create(
    caller: Admin,
    request: HttpRequest,
    context: Data<Context>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let params: CredentialRequest = read_json(&context, &request, payload).await?;
    let now = Timestamp::now();
    let wanted = NewCredential {
        name: &params.name,
        scopes: &params.scopes,
        actor_type: params.actor_type.as_deref(),
        expires: params.expires.as_deref(),
    };
    let issued = issue(&wanted, now)?;
    let change = CredentialChange::Create(issued.credential.clone());
    apply(change, StatusCode::CREATED, &caller.0, &request, &context).await?;
    let mut shown = show(&issued.credential, now);
    shown["clientSecret"] = json!(issued.secret.reveal());
    shown["apiToken"] = json!(token::api_token(&issued.credential.client_id, &issued.secret));
    Ok(HttpResponse::Created().json(json!({ "ok": true, "credential": shown })))
}

/// Switches a credential off or on again.
pub(super) async fn switch(
    caller: Admin,
    request: HttpRequest,
    client_id: Path<String>,
    context: Data<Context>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let params: Switch = read_json(&context, &request, payload).await?;
    let client_id = parse_client_id(&client_id)?;
    let change =
        if params.disabled { CredentialChange::Disable(client_id) } else { CredentialChange::Enable(client_id) };
    apply(change, StatusCode::OK, &caller.0, &request, &context).await?;
    Ok(HttpResponse::Ok().json(json!({ "ok": true })))
}

/// Revokes a credential for good.
pub(super) async fn revoke(
    caller: Admin,
    request: HttpRequest,
    client_id: Path<String>,
    context: Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let change = CredentialChange::Revoke(parse_client_id(&client_id)?);
    apply(change, StatusCode::OK, &caller.0, &request, &context).await?;
    Ok(HttpResponse::Ok().json(json!({ "ok": true })))
}

fn show(credential: &Credential, now: Timestamp) -> Value {
    let instant = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "clientId": credential.client_id.as_str(),
        "name": credential.name.as_str(),
        "actorType": credential.actor_type.name(),
        "scopes": credential.scopes.names(),
        "state": credential.state(now),
        "createdAt": credential.created_at.to_string(),
        "expiresAt": instant(credential.expires_at),
        "disabledAt": instant(credential.disabled_at),
        "revokedAt": instant(credential.revoked_at),
    })
}

async fn read_json<T: for<'de> Deserialize<'de>>(
    context: &Context,
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, ApiError> {
    let body: Body = context.body_limits.at_most(BODY_BYTES_MAX).read(request.headers(), payload).await?;
    serde_json::from_slice(&body.bytes).map_err(|error| ApiError::invalid(format!("body: {error}")))
}
