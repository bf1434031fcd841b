//! `/v1/credentials`: lists, creates, changes and revokes credentials. Needs the scope `admin`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, Path, Payload},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use crate::{
    http::{
        ApiError, Context,
        caller::Admin,
        manage::{ActorTypeName, NewCredential, ScopeName, apply, issue, parse_client_id},
        schema::{Always, Success, True, one_of, schemas},
    },
    model::{
        credential::{Credential, CredentialChange, Issued, Secret},
        timestamp::Timestamp,
        token,
    },
};

const BODY_BYTES_MAX: usize = 16 * 1024;

/// A request to disable or enable a credential.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CredentialSwitch {
    disabled: bool,
}

/// A credential, without its secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Credential)]
struct CredentialView {
    client_id: String,
    name: String,
    #[schema(value_type = ActorTypeName)]
    actor_type: &'static str,
    #[schema(value_type = Vec<ScopeName>)]
    scopes: Vec<&'static str>,
    #[schema(value_type = CredentialState)]
    state: &'static str,
    /// The number of secrets that are valid.
    secrets: usize,
    /// The addresses and ranges from which it is accepted; empty if from any.
    allow_ip: Vec<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    #[schema(format = DateTime)]
    disabled_at: Option<String>,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

/// A credential in a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ListedCredential {
    #[serde(flatten)]
    credential: CredentialView,
    /// When the credential was last used; null if no use is known.
    #[schema(required, format = DateTime)]
    last_used_at: Option<String>,
}

/// All credentials.
#[derive(Serialize, ToSchema)]
pub(super) struct CredentialList {
    #[schema(inline)]
    ok: True,
    credentials: Vec<ListedCredential>,
}

/// A new credential with its secrets, which no later response contains.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreatedCredential {
    #[serde(flatten)]
    credential: CredentialView,
    client_secret: String,
    /// Client id and secret as one token, for the `Authorization` header.
    api_token: String,
}

/// The response to a request for a new credential.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedResponse {
    #[schema(inline)]
    ok: True,
    credential: CreatedCredential,
}

schemas! {
    CredentialState = one_of(["active", "disabled", "expired", "revoked"]);
}

/// Lists the credentials, revoked ones included.
pub(super) async fn list(
    caller: Admin,
    request: HttpRequest,
    context: Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let now = Timestamp::now();
    let all = context.reading(&caller.0, &request).begin(|lease| Ok(lease.credentials()?)).await?;
    let listed = all.iter().map(|credential| ListedCredential {
        credential: CredentialView::new(credential, now),
        last_used_at: context.authenticator.last_use(&credential.client_id).map(|at| at.to_string()),
    });
    Ok(HttpResponse::Ok().json(CredentialList { ok: Always, credentials: listed.collect() }))
}

/// Creates a credential. Only this response contains its secret.
pub(super) async fn create(
    caller: Admin,
    request: HttpRequest,
    context: Data<Context>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let wanted: NewCredential = read_json(&context, &request, payload).await?;
    let now = Timestamp::now();
    let issued = issue(&wanted, now)?;
    let change = CredentialChange::Create(issued.credential.clone());
    apply(change, StatusCode::CREATED, &caller.0, &request, &context).await?;
    let credential = CreatedCredential::new(&issued, now);
    Ok(HttpResponse::Created().json(CreatedResponse { ok: Always, credential }))
}

/// A credential as JSON, without its secret.
pub(crate) fn credential_json(credential: &Credential, now: Timestamp) -> serde_json::Result<String> {
    serde_json::to_string(&CredentialView::new(credential, now))
}

/// A new credential as JSON, with its secrets.
pub(crate) fn created_json(issued: &Issued, now: Timestamp) -> serde_json::Result<String> {
    serde_json::to_string(&CreatedCredential::new(issued, now))
}

/// Disables or enables a credential.
pub(super) async fn switch(
    caller: Admin,
    request: HttpRequest,
    client_id: Path<String>,
    context: Data<Context>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let params: CredentialSwitch = read_json(&context, &request, payload).await?;
    let client_id = parse_client_id(&client_id)?;
    let change =
        if params.disabled { CredentialChange::Disable(client_id) } else { CredentialChange::Enable(client_id) };
    apply(change, StatusCode::OK, &caller.0, &request, &context).await?;
    Ok(HttpResponse::Ok().json(Success::OK))
}

/// Adds a secret to a credential. Only this response contains it.
pub(super) async fn add_secret(
    caller: Admin,
    request: HttpRequest,
    client_id: Path<String>,
    context: Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let client_id = parse_client_id(&client_id)?;
    let secret = Secret::generate().map_err(ApiError::internal)?;
    let change = CredentialChange::AddSecret(client_id.clone(), secret.hash());
    apply(change, StatusCode::CREATED, &caller.0, &request, &context).await?;
    let credential = context.authenticator.credential(&client_id);
    let credential = credential.ok_or_else(|| ApiError::internal("the changed credential is gone"))?;
    let issued = Issued { credential: (*credential).clone(), secret };
    let credential = CreatedCredential::new(&issued, Timestamp::now());
    Ok(HttpResponse::Created().json(CreatedResponse { ok: Always, credential }))
}

/// Retires all secrets of a credential except the newest.
pub(super) async fn retire_secrets(
    caller: Admin,
    request: HttpRequest,
    client_id: Path<String>,
    context: Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let change = CredentialChange::RetireSecrets(parse_client_id(&client_id)?);
    apply(change, StatusCode::OK, &caller.0, &request, &context).await?;
    Ok(HttpResponse::Ok().json(Success::OK))
}

/// Revokes a credential permanently.
pub(super) async fn revoke(
    caller: Admin,
    request: HttpRequest,
    client_id: Path<String>,
    context: Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let change = CredentialChange::Revoke(parse_client_id(&client_id)?);
    apply(change, StatusCode::OK, &caller.0, &request, &context).await?;
    Ok(HttpResponse::Ok().json(Success::OK))
}

impl CreatedCredential {
    fn new(issued: &Issued, now: Timestamp) -> Self {
        Self {
            credential: CredentialView::new(&issued.credential, now),
            client_secret: issued.secret.reveal().to_owned(),
            api_token: token::api_token(&issued.credential.client_id, &issued.secret),
        }
    }
}

impl CredentialView {
    fn new(credential: &Credential, now: Timestamp) -> Self {
        let instant = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            client_id: credential.client_id.as_str().to_owned(),
            name: credential.name.as_str().to_owned(),
            actor_type: credential.actor_type.name(),
            scopes: credential.scopes.names(),
            state: credential.state(now),
            secrets: credential.secrets.count(),
            allow_ip: credential.allowed.texts(),
            created_at: credential.created_at.to_string(),
            expires_at: instant(credential.expires_at),
            disabled_at: instant(credential.disabled_at),
            revoked_at: instant(credential.revoked_at),
        }
    }
}

async fn read_json<T: DeserializeOwned>(
    context: &Context,
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, ApiError> {
    let body = context.body_limits.at_most(BODY_BYTES_MAX).read(request.headers(), payload).await?;
    serde_json::from_slice(&body.bytes).map_err(|error| ApiError::invalid(format!("body: {error}")))
}
