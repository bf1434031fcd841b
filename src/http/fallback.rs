//! Responses for paths and methods without a handler.

use actix_web::{HttpRequest, HttpResponse, Resource, http::header::ALLOW, web};

use crate::http::{
    actions,
    error::{ApiError, METHOD_NOT_ALLOWED, NOT_FOUND},
    without_secret,
};

/// A route that lists its methods when it is called with another one.
pub(crate) fn resource(path: &str) -> Resource {
    web::resource(path).default_service(web::to(method_not_allowed))
}

/// The error for a path that is not a route.
pub(crate) fn nothing_at(request: &HttpRequest) -> ApiError {
    ApiError::new(NOT_FOUND, format!("there is nothing at {}", without_secret(request.path())))
}

/// Lists the methods that the path accepts (RFC 9110 section 15.5.6).
async fn method_not_allowed(request: HttpRequest) -> HttpResponse {
    let path = without_secret(request.path());
    let error = ApiError::new(METHOD_NOT_ALLOWED, format!("{path} does not accept {}", request.method()));
    let mut response = HttpResponse::from_error(error);
    if let Ok(allowed) = actions::methods_of(&request).join(", ").parse() {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}
