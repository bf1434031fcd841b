//! The page that asks for confirmation before a credential is disabled or revoked.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web, web::Data};
use askama::Template;

use crate::{
    http::{ApiError, Context, error::NOT_FOUND, manage::parse_client_id, parameters},
    model::{
        credential::{Credential, CredentialChange, is_last_administrator, usable_administrators},
        timestamp::Timestamp,
        zone::Zone,
    },
    store::ChangeError,
    ui::{
        credentials::{SECTION, change_of},
        formatted_time::FormattedTime,
        markup::filters,
        page::{self, Shell},
    },
};

#[derive(Template)]
#[template(path = "credentials/confirm.html")]
struct Confirm {
    shell: Shell,
    client_id: String,
    name: String,
    /// The value of the form's button.
    action: &'static str,
    /// The action as people read it.
    label: &'static str,
    is_for_good: bool,
    /// Whether it is the credential of the current user.
    is_own: bool,
    /// If the credential is an administrator: the other ones, and when they expire.
    administrators: Vec<(String, Option<FormattedTime>)>,
}

/// Asks for confirmation, or reports why the change would be rejected.
pub(super) async fn ask(
    request: &HttpRequest,
    client_id: &str,
    context: &Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let client_id = parse_client_id(client_id)?;
    let query = parameters::decode(request.query_string())?;
    let requested = query.iter().find(|(name, _)| name == "do").map(|(_, value)| value.as_ref());
    let (action, label) = match change_of(requested, client_id.clone())? {
        CredentialChange::Disable(_) => ("disable", "Disable"),
        CredentialChange::Revoke(_) | CredentialChange::Withdraw(_) => ("revoke", "Revoke"),
        _ => return Err(ApiError::invalid("do: must be disable or revoke; other changes need no confirmation")),
    };
    let reader = context.reader.clone();
    let all = web::block(move || reader.credentials()).await.map_err(ApiError::internal)??;
    let now = Timestamp::now();
    let found = all.iter().find(|credential| credential.client_id == client_id);
    let found =
        found.ok_or_else(|| ApiError::new(NOT_FOUND, format!("there is no credential {:?}", client_id.as_str())))?;
    if is_last_administrator(&all, &client_id, now) {
        return Err(ChangeError::LastAdministrator(found.name.as_str().to_owned()).into());
    }
    if found.revoked_at.is_some() {
        return Err(ChangeError::Revoked(client_id.as_str().to_owned()).into());
    }
    let own = page::caller(request);
    let is_own = own.is_some_and(|caller| caller.credential().client_id == client_id);
    let shell = Shell::new(request, SECTION, [label, " ", found.name.as_str()]);
    let name = found.name.as_str().to_owned();
    let is_for_good = action == "revoke";
    let administrators = others(&all, found, now);
    let client_id = client_id.as_str().to_owned();
    Ok(page::page(
        StatusCode::OK,
        &Confirm { shell, client_id, name, action, label, is_for_good, is_own, administrators },
    ))
}

fn others(all: &[Credential], ended: &Credential, now: Timestamp) -> Vec<(String, Option<FormattedTime>)> {
    if !usable_administrators(all, now).any(|administrator| administrator == ended) {
        return Vec::new();
    }
    let others = usable_administrators(all, now).filter(|administrator| *administrator != ended);
    let expiry = |at| FormattedTime::new(at, &Zone::utc(), now);
    others.map(|other| (other.name.as_str().to_owned(), other.expires_at.map(expiry))).collect()
}
