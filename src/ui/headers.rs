//! The security headers of pages.

use actix_web::{
    HttpResponseBuilder,
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};

/// Headers of every page. The page is not cached, framed or revealed to other sites. It runs and loads only content
/// that this server sends, nothing inline.
pub(super) const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Not `no-referrer`: with it, browsers send forms with `Origin: null`.
    (REFERRER_POLICY, "same-origin"),
    (CACHE_CONTROL, "no-store"),
    (VARY, "accept-encoding"),
];

/// Marks a response as a page that holds data.
pub(super) fn page(response: &mut HttpResponseBuilder) -> &mut HttpResponseBuilder {
    for header in HEADERS {
        response.insert_header(header);
    }
    response
}
