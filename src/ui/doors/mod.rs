//! `/doors`: the doors and routes with what arrived by each, and the lines that set up a sender, for administrators.
//!
//! A secret is shown once, within the lines of the sender that it was made for. Afterwards the server does not have it.

mod senders;
mod view;

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, Payload},
};

use crate::{
    http::{
        ApiError, Context,
        caller::Admin,
        manage::{NewCredential, apply, issue},
        origin, parameters,
    },
    model::{
        credential::{CredentialChange, Issued, Scope},
        timestamp::Timestamp,
        token,
    },
    ui::{
        doors::{
            senders::{SENDERS, Sender, Values},
            view::{Doors, Setup},
        },
        page::{self, Shell},
    },
};

const SECTION: &str = "doors";
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Maximum number of names that are tried for a credential.
const NAMES_MAX: u32 = 1_000;

/// Lists the doors and routes. With the parameter `sender`, also shows the lines for that sender, without a secret.
pub(super) async fn list(
    allowed: Result<Admin, ApiError>,
    request: HttpRequest,
    context: Data<Context>,
) -> HttpResponse {
    let answer = allowed.and_then(|_| {
        let query = parameters::decode(request.query_string())?;
        let chosen = query.iter().find(|(name, value)| name == "sender" && !value.is_empty());
        let sender = chosen.map(|(_, id)| find(id)).transpose()?;
        let setup = sender.map(|sender| {
            let name = free_name(&context, sender);
            Setup::new(sender, &values(&request, &context, &name), name, &context)
        });
        Ok(show(StatusCode::OK, &request, &context, setup))
    });
    page::or_error(answer, &request, SECTION)
}

/// Creates a credential for a sender, and shows the lines with its secret once.
pub(super) async fn create(
    allowed: Result<Admin, ApiError>,
    request: HttpRequest,
    context: Data<Context>,
    payload: Payload,
) -> HttpResponse {
    let answer = async { create_credential(&allowed?, &request, &context, payload).await };
    page::or_error(answer.await, &request, SECTION)
}

async fn create_credential(
    caller: &Admin,
    request: &HttpRequest,
    context: &Data<Context>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let body = page::form(request, context, payload, BODY_BYTES_MAX).await?;
    let form = parameters::decode(&body)?;
    let value = |key: &str| form.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value.as_ref());
    let (sender, name) = (find(value("sender"))?, value("name").to_owned());
    let wanted = NewCredential {
        name: name.clone(),
        scopes: vec![Scope::Ingest.name().to_owned()],
        actor_type: None,
        expires: None,
        allow_ip: Vec::new(),
    };
    let created = async {
        let issued = issue(&wanted, Timestamp::now())?;
        let change = CredentialChange::Create(issued.credential.clone());
        apply(change, StatusCode::CREATED, &caller.0, request, context).await?;
        Ok::<Issued, ApiError>(issued)
    };
    let values = values(request, context, &name);
    match created.await {
        Ok(issued) => {
            let setup = Setup::new(sender, &with_secret(values, &issued), name, context).created();
            Ok(show(StatusCode::CREATED, request, context, Some(setup)))
        }
        Err(error) if error.kind().status.is_client_error() => {
            // The form keeps its values.
            page::refused(request, &error);
            let setup = Setup::new(sender, &values, name, context).refused(error.message());
            Ok(show(error.kind().status, request, context, Some(setup)))
        }
        Err(error) => Err(error),
    }
}

fn find(id: &str) -> Result<&'static Sender, ApiError> {
    Sender::named(id).ok_or_else(|| {
        let known: Vec<_> = SENDERS.iter().map(|sender| sender.id).collect();
        ApiError::invalid(format!("sender: must be one of {}", known.join(", ")))
    })
}

/// The name of a sender, with a number if a credential has it already.
fn free_name(context: &Context, sender: &Sender) -> String {
    let numbered = (2..NAMES_MAX).map(|number| format!("{}-{number}", sender.id));
    let mut names = std::iter::once(sender.id.to_owned()).chain(numbered);
    names.find(|name| !context.authenticator.has_credential(name)).unwrap_or_default()
}

/// What the lines contain before there is a secret. The address is that of this page, as the browser has it.
fn values(request: &HttpRequest, context: &Context, name: &str) -> Values {
    let is_host = |host: &&str| {
        let is_part =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
        !host.is_empty() && host.bytes().all(is_part)
    };
    let host = origin::host(request, context).filter(is_host).map(str::to_owned);
    let host = host.unwrap_or_else(|| context.address.to_string());
    let (is_secure, prefix) = (origin::is_secure(request, context), context.path_prefix.clone());
    Values::without_secret(is_secure, host, prefix, name.to_owned())
}

fn with_secret(values: Values, issued: &Issued) -> Values {
    Values {
        client_id: issued.credential.client_id.as_str().to_owned(),
        secret: issued.secret.reveal().to_owned(),
        token: token::api_token(&issued.credential.client_id, &issued.secret),
        ..values
    }
}

fn show(status: StatusCode, request: &HttpRequest, context: &Context, setup: Option<Setup>) -> HttpResponse {
    let shell = Shell::new(request, SECTION, "Doors");
    page::page(status, &Doors::new(shell, context, setup, Timestamp::now()))
}
