//! What every page shares: its frame, its headers, and how an error looks to a person.

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError,
    body::BoxBody,
    http::{
        StatusCode,
        header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION},
    },
};
use askama::Template;
use memchr::memmem;

use crate::{
    http::{
        self, ApiError,
        caller::{Caller, Finding, Note},
    },
    model::credential::Scope,
    web::{
        assets::{ICON, SCRIPT, STYLE},
        headers::{self, HEADERS},
        sign_in, wording,
    },
};

/// What stands around a page.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) title: String,
    /// Which part of the site it belongs to.
    pub(super) section: &'static str,
    pub(super) who: Option<Who>,
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
}

/// Who is signed in.
#[derive(Debug)]
pub(super) struct Who {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) is_admin: bool,
}

impl Shell {
    pub(super) fn new(request: &HttpRequest, section: &'static str, title: impl Into<String>) -> Self {
        let who = caller(request).map(|caller| Who {
            name: caller.credential().name.as_str().to_owned(),
            kind: wording::readable(caller.credential().actor_type.name()),
            is_admin: caller.credential().scopes.allow(Scope::Admin),
        });
        let [style, script, icon] = [STYLE, SCRIPT, ICON].map(|asset| asset.href());
        Self { title: title.into(), section, who, style, script, icon }
    }
}

/// The beginning of an answer that is a page.
pub(super) fn response(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    headers::page(&mut response);
    response
}

/// A whole page.
pub(super) fn page(status: StatusCode, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(html) => response(status).body(html),
        Err(error) => ApiError::internal(error).error_response(),
    }
}

/// Leads on to another page, which is then got.
pub(super) fn redirect(to: &str) -> HttpResponse {
    let mut response = response(StatusCode::SEE_OTHER);
    response.insert_header((LOCATION, to));
    response.finish()
}

/// Who is signed in, whatever they may do.
pub(super) fn caller(request: &HttpRequest) -> Option<Caller> {
    request.extensions().get::<Finding>().and_then(|finding| finding.as_ref().ok()).cloned()
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    shell: Shell,
    heading: &'static str,
    message: String,
    sign_in_href: Option<String>,
    /// Where whoever signs out to sign in as somebody else wants to go.
    next: Option<String>,
}

/// An error as a page. Whoever is not signed in is led to where they can.
pub(super) fn error(request: &HttpRequest, section: &'static str, error: ApiError) -> HttpResponse {
    let status = error.status_code();
    if status == StatusCode::UNAUTHORIZED && is_reader(request) {
        return redirect(&sign_in_href(request));
    }
    let heading = match status {
        StatusCode::UNAUTHORIZED => "Not signed in",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => "Too much at once",
        status if status.is_server_error() => "Something is wrong here",
        _ => "That cannot be done",
    };
    let mut message = error.message().to_owned();
    if let Some(first) = message.get(..1) {
        message = first.to_uppercase() + &message[1..];
    }
    // Who is signed in would only be sent back here from where one signs in: they must sign out first.
    let is_in = caller(request).is_some();
    let sign_in_href = (status == StatusCode::UNAUTHORIZED && !is_in).then(|| sign_in_href(request));
    let next = (status == StatusCode::FORBIDDEN && is_in).then(|| here(request).to_owned());
    let shell = Shell::new(request, section, heading);
    error_as(request, error, &ErrorPage { shell, heading, message, sign_in_href, next })
}

/// An error that no page's own handler knows of.
pub fn error_page(request: &HttpRequest, error: ApiError) -> HttpResponse {
    self::error(request, "", error)
}

/// An error as this page.
pub(super) fn error_as(request: &HttpRequest, error: ApiError, template: &impl Template) -> HttpResponse {
    let html = template.render().unwrap_or_default();
    refused(request, &error);
    // The error stays with the answer: the log is told its cause.
    let mut response = HttpResponse::from_error(error).set_body(BoxBody::new(html));
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The answer to a path that is no route, of the pages or of the API: a page for whoever reads pages.
pub async fn not_found(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let nothing = http::nothing_at(&request);
    if wants_page(&request) { Ok(error(&request, "", nothing)) } else { Err(nothing) }
}

/// Has the record say why a request was refused.
pub(super) fn refused(request: &HttpRequest, error: &ApiError) {
    request.extensions_mut().insert(Note::Refused(error.message().to_owned()));
}

/// Whether a person with a browser asks, who can sign in; a program is told that its token is wrong.
fn is_reader(request: &HttpRequest) -> bool {
    wants_page(request) && request.method().is_safe() && !request.headers().contains_key(AUTHORIZATION)
}

fn wants_page(request: &HttpRequest) -> bool {
    request.headers().get(ACCEPT).is_some_and(|accept| memmem::find(accept.as_bytes(), b"text/html").is_some())
}

fn sign_in_href(request: &HttpRequest) -> String {
    sign_in::href_leading_to(here(request))
}

/// What can be got again of what was asked for: a form that was sent is not sent a second time.
fn here(request: &HttpRequest) -> &str {
    let is_page = request.method().is_safe();
    request.uri().path_and_query().filter(|_| is_page).map_or("/audit-logs", |here| here.as_str())
}
