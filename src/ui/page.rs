//! The parts that all pages share: frame, headers, forms and error pages.

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError,
    body::BoxBody,
    http::{
        StatusCode,
        header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION},
    },
    web::Payload,
};
use askama::Template;
use memchr::memmem;

use crate::{
    http::{
        self, ApiError, Context,
        caller::{AuditNote, AuthResult, Caller},
    },
    model::credential::Scope,
    ui::{
        assets::{ICON, SCRIPT, STYLE},
        headers::{self, HEADERS},
        markup::filters,
        wording,
    },
};

/// The path of the sign-in page.
pub(super) const SIGN_IN: &str = "/sign-in";

/// The frame of a page.
#[derive(Debug)]
pub(super) struct Shell {
    /// The parts of the title. Each is shown on its own, so that none changes the order of the others.
    pub(super) title: Vec<String>,
    /// The section of the site that the page belongs to.
    pub(super) section: &'static str,
    pub(super) who: Option<Who>,
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
}

/// The current user.
#[derive(Debug)]
pub(super) struct Who {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) is_admin: bool,
}

impl Shell {
    pub(super) fn new(request: &HttpRequest, section: &'static str, title: impl Into<Title>) -> Self {
        let who = caller(request).map(|caller| Who {
            name: caller.credential().name.as_str().to_owned(),
            kind: wording::readable(caller.credential().actor_type.name()),
            is_admin: caller.credential().scopes.allow(Scope::Admin),
        });
        let [style, script, icon] = [STYLE, SCRIPT, ICON].map(|asset| asset.href());
        Self { title: title.into().0, section, who, style, script, icon }
    }
}

/// The title of a page, in parts.
pub(super) struct Title(Vec<String>);

impl From<&str> for Title {
    fn from(title: &str) -> Self {
        Self(vec![title.to_owned()])
    }
}

impl<const N: usize> From<[&str; N]> for Title {
    fn from(parts: [&str; N]) -> Self {
        Self(parts.map(str::to_owned).to_vec())
    }
}

impl From<Vec<String>> for Title {
    fn from(parts: Vec<String>) -> Self {
        Self(parts)
    }
}

/// A page response without its body.
pub(super) fn response(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    headers::page(&mut response);
    response
}

/// A complete page.
pub(super) fn page(status: StatusCode, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(html) => response(status).body(html),
        Err(error) => ApiError::internal(error).error_response(),
    }
}

/// Redirects to another page.
pub(super) fn redirect(to: &str) -> HttpResponse {
    let mut response = response(StatusCode::SEE_OTHER);
    response.insert_header((LOCATION, to));
    response.finish()
}

/// The current user, with any scope.
pub(super) fn caller(request: &HttpRequest) -> Option<Caller> {
    request.extensions().get::<AuthResult>().and_then(|finding| finding.as_ref().ok()).cloned()
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    shell: Shell,
    heading: &'static str,
    message: String,
    sign_in_href: Option<String>,
    /// The page to return to after signing in with another credential.
    next: Option<String>,
}

/// An error as a page. A user who is not signed in is redirected to the sign-in page.
pub(super) fn error(request: &HttpRequest, section: &'static str, error: ApiError) -> HttpResponse {
    let status = error.status_code();
    if status == StatusCode::UNAUTHORIZED && is_reader(request) {
        return redirect(&sign_in_href(here(request)));
    }
    let heading = match status {
        StatusCode::UNAUTHORIZED => "Not signed in",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => "Too many requests",
        status if status.is_server_error() => "The server failed",
        _ => "This is not possible",
    };
    let mut message = error.message().to_owned();
    if let Some(first) = message.get(..1) {
        message = first.to_uppercase() + &message[1..];
    }
    // The sign-in page would redirect a signed-in user back here, so they must sign out first.
    let is_in = caller(request).is_some();
    let sign_in_href = (status == StatusCode::UNAUTHORIZED && !is_in).then(|| sign_in_href(here(request)));
    let next = (status == StatusCode::FORBIDDEN && is_in).then(|| here(request).to_owned());
    let shell = Shell::new(request, section, heading);
    error_as(request, error, &ErrorPage { shell, heading, message, sign_in_href, next })
}

/// The response, or its error as a page.
pub(super) fn or_error(
    answer: Result<HttpResponse, ApiError>,
    request: &HttpRequest,
    section: &'static str,
) -> HttpResponse {
    answer.unwrap_or_else(|error| self::error(request, section, error))
}

/// An error from outside a page handler.
pub fn error_page(request: &HttpRequest, error: ApiError) -> HttpResponse {
    self::error(request, "", error)
}

/// An error, with `template` as its page.
pub(super) fn error_as(request: &HttpRequest, error: ApiError, template: &impl Template) -> HttpResponse {
    let html = template.render().unwrap_or_default();
    refused(request, &error);
    // The error stays attached to the response, so that its cause is logged.
    let mut response = HttpResponse::from_error(error).set_body(BoxBody::new(html));
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The response for a path without a route: a page if the client accepts HTML, otherwise JSON.
pub async fn not_found(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let nothing = http::nothing_at(&request);
    if wants_page(&request) { Ok(error(&request, "", nothing)) } else { Err(nothing) }
}

/// Records why a request was rejected.
pub(super) fn refused(request: &HttpRequest, error: &ApiError) {
    request.extensions_mut().insert(AuditNote::Refused(error.message().to_owned()));
}

/// Whether the client is a browser, whose user can sign in. A program gets an error about its token instead.
fn is_reader(request: &HttpRequest) -> bool {
    wants_page(request) && request.method().is_safe() && !request.headers().contains_key(AUTHORIZATION)
}

fn wants_page(request: &HttpRequest) -> bool {
    request.headers().get(ACCEPT).is_some_and(|accept| memmem::find(accept.as_bytes(), b"text/html").is_some())
}

/// The URL of the sign-in page that leads to `next`.
pub(super) fn sign_in_href(next: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
    format!("{SIGN_IN}?{query}")
}

/// The fields of a form, encoded as in a query string.
pub(super) async fn form(
    request: &HttpRequest,
    context: &Context,
    payload: Payload,
    bytes_max: usize,
) -> Result<String, ApiError> {
    let body = context.body_limits.at_most(bytes_max).read(request.headers(), payload).await?;
    String::from_utf8(body.bytes).map_err(|_| ApiError::invalid("body: is not UTF-8"))
}

/// The URL to return to. A submitted form is not submitted again.
fn here(request: &HttpRequest) -> &str {
    let is_page = request.method().is_safe();
    request.uri().path_and_query().filter(|_| is_page).map_or("/audit-logs", |here| here.as_str())
}
