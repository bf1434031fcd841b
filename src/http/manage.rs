//! Changes to credentials, by the API or the pages.

use actix_web::{
    HttpMessage, HttpRequest,
    http::StatusCode,
    web::{self, Data},
};

use crate::{
    http::{
        Context,
        caller::{AuditNote, Caller},
        error::ApiError,
    },
    model::{
        credential::{ActorType, ClientId, CredentialChange, CredentialName, Issued, Scopes},
        duration,
        timestamp::Timestamp,
    },
};

/// A request for a new credential.
pub(crate) struct NewCredential<'a> {
    pub(crate) name: &'a str,
    pub(crate) scopes: &'a [String],
    pub(crate) actor_type: Option<&'a str>,
    /// How long the credential is valid.
    pub(crate) expires: Option<&'a str>,
}

/// Creates a credential without storing it.
pub(crate) fn issue(wanted: &NewCredential<'_>, now: Timestamp) -> Result<Issued, ApiError> {
    let refuse = |field: &'static str| move |message: String| ApiError::invalid(format!("{field}: {message}"));
    let name = CredentialName::parse(wanted.name).map_err(refuse("name"))?;
    let scopes = Scopes::parse(&wanted.scopes.join(",")).map_err(refuse("scopes"))?;
    let actor_type = wanted.actor_type.unwrap_or(ActorType::ServiceAccount.name());
    let actor_type = ActorType::parse(actor_type).map_err(refuse("actorType"))?;
    let expires = wanted.expires.map(duration::parse_seconds).transpose().map_err(refuse("expires"))?;
    let expires_at = expires.map(|seconds| now.plus_seconds(i64::try_from(seconds).unwrap_or(i64::MAX)));
    Issued::generate(name, actor_type, scopes, now, expires_at).map_err(ApiError::internal)
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
