//! What is answered where no handler is.

use actix_web::{HttpRequest, HttpResponse, Resource, http::header::ALLOW, web};

use crate::http::{
    ApiError, actions,
    error::{METHOD_NOT_ALLOWED, NOT_FOUND},
};

/// A route that says which methods it takes when it is asked with another.
pub(crate) fn resource(path: &str) -> Resource {
    web::resource(path).default_service(web::to(method_not_allowed))
}

/// What is wrong with a path that is no route.
pub(crate) fn nothing_at(request: &HttpRequest) -> ApiError {
    ApiError::new(NOT_FOUND, format!("there is nothing at {}", request.path()))
}

/// Says which methods the path does take (RFC 9110 section 15.5.6).
async fn method_not_allowed(request: HttpRequest) -> HttpResponse {
    let error = ApiError::new(METHOD_NOT_ALLOWED, format!("{} does not take {}", request.path(), request.method()));
    let mut response = HttpResponse::from_error(error);
    if let Ok(allowed) = actions::methods_of(&request).join(", ").parse() {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}
