//! Whether a page of this server made a request, and over a private connection.
//!
//! A browser states where a request comes from: `Origin` (RFC 6454 section 7), `Referer`, or, if a page's policy
//! withholds both, `Sec-Fetch-Site`. A page of another site can set none of these.

use actix_web::{
    HttpRequest,
    http::{
        Uri,
        header::{HOST, HeaderName, ORIGIN, REFERER},
        uri::Authority,
    },
};

use crate::http::{Context, caller::peer_address};

/// Whether the browser states that a page of this server made the request. A request without a statement was not.
pub(crate) fn is_own(request: &HttpRequest, context: &Context) -> bool {
    match header(request, &ORIGIN).filter(|origin| *origin != "null").or_else(|| header(request, &REFERER)) {
        Some(page) => is_of_this_server(page, request, context),
        None => header(request, &HeaderName::from_static("sec-fetch-site")) == Some("same-origin"),
    }
}

/// Whether the browser states that a page of another site made the request. A request without a statement does not come
/// from a browser.
pub(crate) fn is_foreign(request: &HttpRequest, context: &Context) -> bool {
    let says = [ORIGIN, REFERER, HeaderName::from_static("sec-fetch-site")];
    says.iter().any(|name| request.headers().contains_key(name)) && !is_own(request, context)
}

/// The page of this server that led to a request, as path and query, if the browser states one.
pub(crate) fn leading_page(request: &HttpRequest, context: &Context) -> Option<String> {
    let page = header(request, &REFERER).filter(|page| is_of_this_server(page, request, context))?;
    page.parse::<Uri>().ok()?.path_and_query().map(ToString::to_string)
}

/// Whether the client's connection is TLS, here or at a trusted proxy.
pub(crate) fn is_secure(request: &HttpRequest, context: &Context) -> bool {
    context.serves_tls || forwarded(request, context, "x-forwarded-proto") == Some("https")
}

fn is_of_this_server(page: &str, request: &HttpRequest, context: &Context) -> bool {
    let Some((page, https)) = page.parse::<Uri>().ok().and_then(|page| {
        let authority = page.authority()?.as_str().to_ascii_lowercase();
        Some((authority, page.scheme_str() == Some("https")))
    }) else {
        return false;
    };
    // A page that was sent unencrypted may have been modified on the way.
    if is_secure(request, context) && !https {
        return false;
    }
    let port = if https { ":443" } else { ":80" };
    let same = |host: &str| host.to_ascii_lowercase().trim_end_matches(port) == page.trim_end_matches(port);
    asked_host(request).is_some_and(same) || forwarded(request, context, "x-forwarded-host").is_some_and(same)
}

/// The name that the client has for this server, from a trusted proxy where one is in front.
pub(crate) fn host<'r>(request: &'r HttpRequest, context: &Context) -> Option<&'r str> {
    forwarded(request, context, "x-forwarded-host").or_else(|| asked_host(request))
}

fn asked_host(request: &HttpRequest) -> Option<&str> {
    header(request, &HOST).or_else(|| request.uri().authority().map(Authority::as_str))
}

/// What a trusted proxy states about the request that it forwards.
fn forwarded<'r>(request: &'r HttpRequest, context: &Context, name: &'static str) -> Option<&'r str> {
    if !context.trusts(peer_address(request)) {
        return None;
    }
    header(request, &HeaderName::from_static(name))
}

fn header<'r>(request: &'r HttpRequest, name: &HeaderName) -> Option<&'r str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}
