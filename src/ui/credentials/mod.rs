//! `/credentials`: lists and manages credentials, for administrators.
//!
//! A secret is shown once, in the response to the form that created it. Afterwards the server does not have it.

mod confirm;
mod view;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::StatusCode,
    web::{Data, Path, Payload},
};

use crate::{
    http::{
        ApiError, Context,
        caller::Admin,
        manage::{NewCredential, apply, issue, parse_client_id},
        parameters,
    },
    model::{
        credential::{ClientId, CredentialChange},
        timestamp::Timestamp,
        token,
    },
    ui::{
        credentials::view::{CreatedCredential, CredentialForm, Credentials},
        page::{self, Shell},
    },
};

const SECTION: &str = "credentials";
const PATH: &str = "/credentials";
const BODY_BYTES_MAX: usize = 16 * 1024;

/// Lists the credentials, with a form to create one.
pub(super) async fn list(
    allowed: Result<Admin, ApiError>,
    request: HttpRequest,
    context: Data<Context>,
) -> HttpResponse {
    let answer = async {
        allowed?;
        show(StatusCode::OK, &request, &context, CredentialForm::default(), None).await
    };
    page::or_error(answer.await, &request, SECTION)
}

/// Creates a credential and shows its secret once.
pub(super) async fn create(
    allowed: Result<Admin, ApiError>,
    request: HttpRequest,
    context: Data<Context>,
    payload: Payload,
) -> HttpResponse {
    let answer = async { create_credential(&allowed?, &request, &context, payload).await };
    page::or_error(answer.await, &request, SECTION)
}

/// Asks for confirmation before a credential is disabled or revoked.
pub(super) async fn confirm(
    allowed: Result<Admin, ApiError>,
    request: HttpRequest,
    client_id: Path<String>,
    context: Data<Context>,
) -> HttpResponse {
    let answer = async {
        allowed?;
        confirm::ask(&request, &client_id, &context).await
    };
    page::or_error(answer.await, &request, SECTION)
}

/// Disables, enables or revokes a credential.
pub(super) async fn change(
    allowed: Result<Admin, ApiError>,
    request: HttpRequest,
    client_id: Path<String>,
    context: Data<Context>,
    payload: Payload,
) -> HttpResponse {
    let answer = async { change_credential(&allowed?, &request, &client_id, &context, payload).await };
    page::or_error(answer.await, &request, SECTION)
}

async fn create_credential(
    caller: &Admin,
    request: &HttpRequest,
    context: &Data<Context>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let draft = CredentialForm::read(&form(request, context, payload).await?);
    let now = Timestamp::now();
    let new = NewCredential {
        name: draft.name.clone(),
        scopes: draft.scopes.clone(),
        actor_type: Some(draft.actor_type.clone()),
        expires: draft.expires.clone(),
        allow_ip: Vec::new(),
    };
    let issued = issue(&new, now);
    let stored = match &issued {
        Ok(issued) => {
            let change = CredentialChange::Create(issued.credential.clone());
            apply(change, StatusCode::CREATED, &caller.0, request, context).await
        }
        Err(_) => Ok(()),
    };
    let issued = match (issued, stored) {
        (Ok(issued), Ok(())) => issued,
        (Err(error), _) | (_, Err(error)) if error.status_code().is_client_error() => {
            // The form keeps its values.
            page::refused(request, &error);
            let draft = CredentialForm { refusal: Some(error.message().to_owned()), ..draft };
            return show(error.status_code(), request, context, draft, None).await;
        }
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    let created = CreatedCredential {
        name: issued.credential.name.as_str().to_owned(),
        client_id: issued.credential.client_id.as_str().to_owned(),
        secret: issued.secret.reveal().to_owned(),
        api_token: token::api_token(&issued.credential.client_id, &issued.secret),
    };
    show(StatusCode::CREATED, request, context, CredentialForm::default(), Some(created)).await
}

async fn change_credential(
    caller: &Admin,
    request: &HttpRequest,
    client_id: &str,
    context: &Data<Context>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let form = form(request, context, payload).await?;
    let client_id = parse_client_id(client_id)?;
    let requested = form.iter().find(|(name, _)| name == "do").map(|(_, value)| value.as_str());
    let change = change_of(requested, client_id)?;
    apply(change, StatusCode::SEE_OTHER, &caller.0, request, context).await?;
    Ok(page::redirect(PATH))
}

/// The change that the parameter `do` requests.
fn change_of(requested: Option<&str>, client_id: ClientId) -> Result<CredentialChange, ApiError> {
    match requested {
        Some("disable") => Ok(CredentialChange::Disable(client_id)),
        Some("enable") => Ok(CredentialChange::Enable(client_id)),
        Some("revoke") => Ok(CredentialChange::Revoke(client_id)),
        _ => Err(ApiError::invalid("do: must be disable, enable or revoke")),
    }
}

async fn show(
    status: StatusCode,
    request: &HttpRequest,
    context: &Data<Context>,
    draft: CredentialForm,
    created: Option<CreatedCredential>,
) -> Result<HttpResponse, ApiError> {
    let caller = page::caller(request).ok_or_else(|| ApiError::internal("the credentials page has no caller"))?;
    let reading = context.reading(&caller, request);
    let all = match &created {
        None => reading.begin(|lease| Ok(lease.credentials()?)).await?,
        // Only this page shows the new secret, so it is sent however busy the server is.
        Some(_) => reading.go_on(|lease| Ok(lease.credentials()?)).await?,
    };
    let shell = Shell::new(request, SECTION, "Credentials");
    let own = Some(caller.credential().client_id.as_str().to_owned());
    let template = Credentials::new(shell, &all, &context.authenticator, own.as_deref(), draft, created);
    Ok(page::page(status, &template))
}

async fn form(request: &HttpRequest, context: &Context, payload: Payload) -> Result<Vec<(String, String)>, ApiError> {
    let body = page::form(request, context, payload, BODY_BYTES_MAX).await?;
    let pairs = parameters::decode(&body)?;
    Ok(pairs.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
}
