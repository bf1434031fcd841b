//! A session's cookie.
//!
//! Script cannot read it, no other site's page can have it sent, and under TLS it is never sent without: there its name
//! begins with `__Host-`, which browsers take only from this very host (RFC 6265bis section 4.1.3).

use actix_web::{
    HttpMessage, HttpRequest, HttpResponseBuilder,
    cookie::{Cookie, SameSite, time::Duration},
    dev::ServiceResponse,
    http::header::{CACHE_CONTROL, HeaderValue},
};

use crate::{
    access::SessionToken,
    http::{Context, caller::Finding, origin},
    model::timestamp::Timestamp,
};

const NAME: &str = "auditbox_session";
const NAME_UNDER_TLS: &str = "__Host-auditbox_session";

/// A handler that has begun or ended the session of this request, or is no sign that it is in use; it is not renewed.
pub(crate) struct Settled;

/// What the request shows of a session.
pub(super) fn presented(request: &HttpRequest, context: &Context) -> Option<String> {
    request.cookie(name(origin::is_secure(request, context))).map(|cookie| cookie.value().to_owned())
}

/// Gives the browser a session.
pub(crate) fn begin(
    response: &mut HttpResponseBuilder,
    request: &HttpRequest,
    context: &Context,
    session: SessionToken,
) {
    request.extensions_mut().insert(Settled);
    response.cookie(cookie(session, origin::is_secure(request, context)));
}

/// Takes the session from the browser.
pub(crate) fn end(response: &mut HttpResponseBuilder, request: &HttpRequest, context: &Context) {
    request.extensions_mut().insert(Settled);
    let nothing = SessionToken { text: String::new(), seconds: 0 };
    response.cookie(cookie(nothing, origin::is_secure(request, context)));
}

/// Renews the session that a request was let in by, if it is time. Not with an answer that may be kept: whoever is given
/// a copy of that must not be given the session.
pub(super) fn renew<B>(response: &mut ServiceResponse<B>, context: &Context) {
    let kept = response.headers().get(CACHE_CONTROL).map(|value| value.as_bytes() != b"no-store");
    if kept == Some(true) {
        return;
    }
    let request = response.request();
    let renewed = {
        let extensions = request.extensions();
        let caller = extensions.get::<Finding>().and_then(|finding| finding.as_ref().ok());
        let caller = caller.filter(|_| extensions.get::<Settled>().is_none());
        caller.and_then(|caller| context.gate.renew_session(&caller.admission, Timestamp::now()))
    };
    if let Some(session) = renewed {
        let cookie = cookie(session, origin::is_secure(request, context));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Err(error) = response.response_mut().add_cookie(&cookie) {
            tracing::error!(%error, "a session could not be renewed");
        }
    }
}

fn name(is_secure: bool) -> &'static str {
    if is_secure { NAME_UNDER_TLS } else { NAME }
}

fn cookie(session: SessionToken, is_secure: bool) -> Cookie<'static> {
    Cookie::build(name(is_secure), session.text)
        .path("/")
        .http_only(true)
        .secure(is_secure)
        .same_site(SameSite::Strict)
        .max_age(Duration::seconds(session.seconds))
        .finish()
}
