//! Changes to credentials, by the API or the pages.

use actix_web::{
    HttpMessage, HttpRequest,
    http::StatusCode,
    web::{self, Data},
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    http::{
        Context,
        caller::{AuditNote, Caller},
        error::ApiError,
        schema::{one_of, schemas},
    },
    model::{
        credential::{ActorType, ClientId, CredentialChange, CredentialName, Issued, Scope, Scopes},
        duration,
        networks::Networks,
        timestamp::Timestamp,
    },
};

schemas! {
    ActorTypeName = one_of(["user", "service_account"]);
    ScopeName = one_of(Scope::ALL.map(|(_, name)| name));
}

/// A request for a new credential.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewCredential {
    /// No control characters, and no white space at either end.
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    pub(crate) name: String,
    #[schema(value_type = Vec<ScopeName>, min_items = 1)]
    pub(crate) scopes: Vec<String>,
    /// `service_account` if absent.
    #[schema(value_type = Option<ActorTypeName>)]
    pub(crate) actor_type: Option<String>,
    /// How long the credential is valid, such as `90d` or `1h 30m`; at most a hundred years. Without limit if absent.
    // The server accepts more spellings than this pattern.
    #[schema(pattern = r"^[1-9][0-9]{0,3}(s|m|h|d)( [1-9][0-9]{0,3}(s|m|h|d)){0,2}$")]
    pub(crate) expires: Option<String>,
    /// Addresses and ranges from which the credential is accepted, such as `10.0.0.0/8`. From any if absent or empty.
    #[serde(default)]
    #[schema(required = false, max_items = 100)]
    pub(crate) allow_ip: Vec<String>,
}

/// Creates a credential without storing it.
pub(crate) fn issue(wanted: &NewCredential, now: Timestamp) -> Result<Issued, ApiError> {
    let refuse = |field: &'static str| move |message: String| ApiError::invalid(format!("{field}: {message}"));
    let name = CredentialName::parse(&wanted.name).map_err(refuse("name"))?;
    let scopes = Scopes::parse(&wanted.scopes.join(",")).map_err(refuse("scopes"))?;
    let actor_type = wanted.actor_type.as_deref().unwrap_or(ActorType::ServiceAccount.name());
    let actor_type = ActorType::parse(actor_type).map_err(refuse("actorType"))?;
    let expires = wanted.expires.as_deref().map(duration::parse_seconds).transpose().map_err(refuse("expires"))?;
    let expires_at = expires.map(|seconds| now.plus_seconds(i64::try_from(seconds).unwrap_or(i64::MAX)));
    let allowed = Networks::parse(&wanted.allow_ip.join(",")).map_err(refuse("allowIp"))?;
    let mut issued = Issued::generate(name, actor_type, scopes, now, expires_at).map_err(ApiError::internal)?;
    issued.credential.allowed = allowed;
    Ok(issued)
}

/// Stores a change and the record of its request in one transaction, then updates the credentials in memory.
pub(crate) async fn apply(
    change: CredentialChange,
    status: StatusCode,
    caller: &Caller,
    request: &HttpRequest,
    context: &Data<Context>,
) -> Result<(), ApiError> {
    let record =
        caller.self_audit_request(request, change.action()).event(status.as_u16(), None).map_err(ApiError::internal)?;
    context.writer.change(change, context.writer.prepare(record))?.settled().await?;
    request.extensions_mut().insert(AuditNote::Recorded);
    let authenticator = context.authenticator.clone();
    web::block(move || authenticator.refresh()).await.map_err(ApiError::internal)??;
    Ok(())
}

/// Reads a client id.
pub(crate) fn parse_client_id(text: &str) -> Result<ClientId, ApiError> {
    ClientId::parse(text).map_err(|message| ApiError::invalid(format!("clientId: {message}")))
}
