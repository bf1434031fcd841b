//! `/sign-in` and `/sign-out`: browser sessions.
//!
//! Users sign in with a client id and secret, or with a one-time link that the command line prints. Opening a link does
//! not use it: it shows a button. Mail scanners and link previews open links before people do.

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{LOCATION, RETRY_AFTER},
    },
    web::{self, Data, Payload},
};
use askama::Template;

use crate::{
    auth::Principal,
    http::{
        ApiError, Context,
        caller::{ApiErrorKind, AuditNote, AuthResult, Caller, peer},
        origin, parameters, session,
    },
    model::{
        credential::{CredentialChange, Secret},
        event::Event,
        timestamp::Timestamp,
    },
    ui::{
        markup::filters,
        page::{self, Shell},
    },
};

/// Maximum size of a form: a client id, a secret or a code, and the page to go to.
const BODY_BYTES_MAX: usize = 32 * 1024;
/// The page to show by default.
const HOME: &str = "/audit-logs";
const NEXT_BYTES_MAX: usize = 8 * 1024;
const SECTION: &str = "sign-in";
const ACTION: &str = "session.create";

/// The sign-in form.
#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    shell: Shell,
    /// The error of the last attempt.
    refusal: Option<&'a str>,
    client_id: &'a str,
    next: &'a str,
    /// The code of a link, and the name of its credential.
    link: Option<(&'a str, &'a str)>,
}

/// The fields of a form or a query string.
#[derive(Default)]
struct SignInParams {
    client_id: String,
    client_secret: Option<Secret>,
    code: Option<String>,
    next: Option<String>,
}

impl SignInParams {
    /// Parses the fields. Others are ignored.
    fn read(encoded: &str) -> Result<Self, ApiError> {
        let mut params = Self::default();
        for (name, value) in parameters::decode(encoded)? {
            match name.as_ref() {
                "client_id" => params.client_id = value.into_owned(),
                "client_secret" => params.client_secret = Some(Secret::presented(value.into_owned())),
                "code" => params.code = Some(value.into_owned()),
                "next" => params.next = Some(value.into_owned()).filter(|next| is_local(next)),
                _ => {}
            }
        }
        Ok(params)
    }

    fn next(&self) -> &str {
        self.next.as_deref().unwrap_or(HOME)
    }
}

/// Whether a redirect target stays on this server. Browsers treat a backslash as a slash and ignore control characters;
/// with either, a path may become another host (WHATWG URL, section 4.4).
fn is_local(next: &str) -> bool {
    next.starts_with('/')
        && !next.starts_with("//")
        && next.len() <= NEXT_BYTES_MAX
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// Shows the form, or the credential of a link. A user who is already signed in is redirected.
pub(super) async fn page(request: HttpRequest, context: Data<Context>) -> HttpResponse {
    page::or_error(welcome(&request, &context).await, &request, SECTION)
}

/// Begins a session.
pub(super) async fn enter(request: HttpRequest, context: Data<Context>, payload: Payload) -> HttpResponse {
    page::or_error(let_in(&request, &context, payload).await, &request, SECTION)
}

/// Ends the session, here and in the browser.
pub(super) async fn leave(request: HttpRequest, context: Data<Context>, payload: Payload) -> HttpResponse {
    page::or_error(let_out(&request, &context, payload).await, &request, SECTION)
}

async fn welcome(request: &HttpRequest, context: &Context) -> Result<HttpResponse, ApiError> {
    let params = SignInParams::read(request.query_string())?;
    let Some(code) = &params.code else {
        let is_in = request.extensions().get::<AuthResult>().is_some_and(Result::is_ok);
        return if is_in { Ok(send_to(params.next())) } else { show(StatusCode::OK, request, &params, None, None) };
    };
    match context.authenticator.check_link(code, peer(request, context), Timestamp::now()).await {
        Ok((principal, _)) => show(StatusCode::OK, request, &params, None, Some(&principal)),
        Err(denied) => refuse(&denied.into(), request, &params),
    }
}

const LINK_EXPIRED: &str = "This link is no longer valid: it was used, or it is older than five minutes. \
                            Print a new one with auditbox login-link.";
const WRONG_SECRET: &str = "No usable credential has this client ID and secret.";

async fn let_in(request: &HttpRequest, context: &Context, payload: Payload) -> Result<HttpResponse, ApiError> {
    // A page of another site must not sign a user in with a different credential.
    if origin::is_foreign(request, context) {
        return Err(ApiError::cross_site());
    }
    let mut params = form(request, context, payload).await?;
    let admitted = match params.code.take() {
        Some(code) => use_link(&code, request, context).await,
        None => check_secret(&mut params, request, context).await,
    };
    match admitted {
        Ok(principal) => begin(principal, params.next(), request, context),
        Err(error) => refuse(&error, request, &params),
    }
}

async fn form(request: &HttpRequest, context: &Context, payload: Payload) -> Result<SignInParams, ApiError> {
    SignInParams::read(&page::form(request, context, payload, BODY_BYTES_MAX).await?)
}

async fn check_secret(
    params: &mut SignInParams,
    request: &HttpRequest,
    context: &Context,
) -> Result<Principal, ApiError> {
    let (address, now) = (peer(request, context), Timestamp::now());
    let secret = params.client_secret.take().unwrap_or_else(|| Secret::presented(String::new()));
    Ok(context.authenticator.sign_in(&params.client_id, &secret, address, now).await?)
}

/// Uses a link and records it in one transaction. If two requests use it at once, one succeeds.
async fn use_link(code: &str, request: &HttpRequest, context: &Context) -> Result<Principal, ApiError> {
    let (principal, ticket) = context.authenticator.check_link(code, peer(request, context), Timestamp::now()).await?;
    let record = Caller { principal: principal.clone() }
        .self_audit_request(request, ACTION)
        .event(StatusCode::SEE_OTHER.as_u16(), None)
        .map_err(ApiError::internal)?;
    spend(CredentialChange::Spend(ticket.client_id, ticket.id, ticket.expires), record, request, context).await?;
    Ok(principal)
}

/// Stores that a ticket is revoked, with its record, then updates the credentials in memory.
async fn spend(
    change: CredentialChange,
    record: Event,
    request: &HttpRequest,
    context: &Context,
) -> Result<(), ApiError> {
    context.writer.change(change, context.writer.prepare(record))?.settled().await?;
    request.extensions_mut().insert(AuditNote::Recorded);
    let authenticator = context.authenticator.clone();
    Ok(web::block(move || authenticator.refresh()).await.map_err(ApiError::internal)??)
}

fn begin(principal: Principal, next: &str, request: &HttpRequest, context: &Context) -> Result<HttpResponse, ApiError> {
    let token = context.authenticator.begin_session(&principal.credential, Timestamp::now());
    let token = token.ok_or_else(|| ApiError::internal("a session could not be created"))?;
    let mut response = HttpResponse::SeeOther();
    session::begin(&mut response, request, context, token);
    // From here on the request has a caller and is recorded.
    request.extensions_mut().insert::<AuthResult>(Ok(Caller { principal }));
    Ok(response.insert_header((LOCATION, next)).finish())
}

/// The form again, with the error.
fn refuse(error: &ApiError, request: &HttpRequest, params: &SignInParams) -> Result<HttpResponse, ApiError> {
    let answer = error.error_response();
    let text = match (answer.status(), params.client_id.is_empty()) {
        (StatusCode::UNAUTHORIZED, true) => LINK_EXPIRED,
        (StatusCode::UNAUTHORIZED, false) => WRONG_SECRET,
        _ => error.message(),
    };
    let mut page = show(answer.status(), request, params, Some(text), None)?;
    if let Some(wait) = answer.headers().get(RETRY_AFTER) {
        page.headers_mut().insert(RETRY_AFTER, wait.clone());
    }
    Ok(page)
}

fn show(
    status: StatusCode,
    request: &HttpRequest,
    params: &SignInParams,
    refusal: Option<&str>,
    link: Option<&Principal>,
) -> Result<HttpResponse, ApiError> {
    let link = params.code.as_deref().zip(link.map(|principal| principal.credential.name.as_str()));
    let shell = Shell::new(request, SECTION, "Sign in");
    let page = SignInPage { shell, refusal, client_id: &params.client_id, next: params.next(), link };
    let text = page.render().map_err(ApiError::internal)?;
    Ok(page::response(status).body(text))
}

async fn let_out(request: &HttpRequest, context: &Context, payload: Payload) -> Result<HttpResponse, ApiError> {
    let found = request.extensions().get::<AuthResult>().cloned();
    if let Some(Err(ApiErrorKind::CrossSite)) = found {
        return Err(ApiError::cross_site());
    }
    // The page to return to after the next sign-in.
    let next = form(request, context, payload).await?.next;
    if let Some(Ok(caller)) = found
        && let Some(ticket) = &caller.principal.session
    {
        let (id, client_id, until) =
            (ticket.id.clone(), ticket.client_id.clone(), context.authenticator.session_end(ticket));
        let change = CredentialChange::Spend(client_id, id, until);
        let record = caller.self_audit_request(request, change.action());
        let record = record.event(StatusCode::SEE_OTHER.as_u16(), None).map_err(ApiError::internal)?;
        spend(change, record, request, context).await?;
    }
    let mut response = HttpResponse::SeeOther();
    session::end(&mut response, request, context);
    let to = next.map_or_else(|| page::SIGN_IN.to_owned(), |next| page::sign_in_href(&next));
    Ok(response.insert_header((LOCATION, to)).finish())
}

fn send_to(url: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, url)).finish()
}

#[cfg(test)]
mod tests {
    use crate::ui::sign_in::is_local;

    #[test]
    fn only_a_path_of_this_server_is_local() {
        for local in ["/", "/audit-logs", "/audit-logs?actor=a%20b&q=//x", "/a//b", "/audit-logs/x%5Cy"] {
            assert!(is_local(local), "{local}");
        }
        for foreign in [
            "",
            "audit-logs",
            "//host",
            "///host",
            "/\\host",
            "\\\\host",
            "https://host/",
            "/\t/host",
            "/\n/host",
            "/ /host",
            "javascript:alert(1)",
            "/é",
            "/a\\b",
        ] {
            assert!(!is_local(foreign), "{foreign:?}");
        }
    }
}
