//! The session cookie.
//!
//! Scripts cannot read the cookie, and browsers do not send it with requests of other sites. Under TLS its name starts
//! with `__Host-`, which browsers accept only from this host and send only over TLS (RFC 6265bis section 4.1.3).

use actix_web::{
    HttpMessage, HttpRequest, HttpResponseBuilder,
    cookie::{Cookie, SameSite, time::Duration},
    dev::ServiceResponse,
    http::header::{CACHE_CONTROL, HeaderValue},
};

use crate::{
    auth::SessionToken,
    http::{Context, caller::AuthResult, origin},
    model::timestamp::Timestamp,
};

const NAME: &str = "auditbox_session";
const NAME_UNDER_TLS: &str = "__Host-auditbox_session";

/// Set by a handler that has begun or ended the session, or whose request does not count as use: the session is not
/// renewed.
pub(crate) struct Settled;

/// The session in a request.
pub(super) fn presented(request: &HttpRequest, context: &Context) -> Option<String> {
    request.cookie(name(origin::is_secure(request, context))).map(|cookie| cookie.value().to_owned())
}

/// Sets the session cookie.
pub(crate) fn begin(
    response: &mut HttpResponseBuilder,
    request: &HttpRequest,
    context: &Context,
    session: SessionToken,
) {
    request.extensions_mut().insert(Settled);
    response.cookie(cookie(session, origin::is_secure(request, context)));
}

/// Deletes the session cookie.
pub(crate) fn end(response: &mut HttpResponseBuilder, request: &HttpRequest, context: &Context) {
    request.extensions_mut().insert(Settled);
    let nothing = SessionToken { text: String::new(), seconds: 0 };
    response.cookie(cookie(nothing, origin::is_secure(request, context)));
}

/// Renews the session of this request if it is time. Not on cacheable responses: a copy of one must not carry the
/// session.
pub(super) fn renew<B>(response: &mut ServiceResponse<B>, context: &Context) {
    let kept = response.headers().get(CACHE_CONTROL).map(|value| value.as_bytes() != b"no-store");
    if kept == Some(true) {
        return;
    }
    let request = response.request();
    let renewed = {
        let extensions = request.extensions();
        let caller = extensions.get::<AuthResult>().and_then(|result| result.as_ref().ok());
        let caller = caller.filter(|_| extensions.get::<Settled>().is_none());
        caller.and_then(|caller| context.authenticator.renew_session(&caller.principal, Timestamp::now()))
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
