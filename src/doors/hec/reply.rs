//! The replies of the collector: a text, a code, and an HTTP status for each.

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, ResponseError,
    http::{StatusCode, header::AUTHORIZATION},
};
use serde::Serialize;

use crate::http::{
    ApiError,
    caller::{ApiErrorKind, AuthResult},
    error::{INVALID_CREDENTIALS, NOT_AUTHENTICATED},
};

/// Why an object is rejected.
pub(super) const EVENT_MISSING: &str = "the member event is missing";
pub(super) const EVENT_BLANK: &str = "the member event is empty";

/// A reply of the collector (Splunk: "HTTP Event Collector error codes").
#[derive(Debug, Clone, Copy)]
pub(super) enum Code {
    Success,
    TokenRequired,
    InvalidAuthorization,
    InvalidToken,
    NoData,
    InvalidFormat,
    InternalError,
    Busy,
    EventMissing,
    EventBlank,
    AckDisabled,
    Healthy,
    Unhealthy,
    TooLarge,
}

#[derive(Serialize)]
struct Body<'a> {
    text: &'a str,
    code: u8,
    #[serde(rename = "invalid-event-number", skip_serializing_if = "Option::is_none")]
    invalid: Option<usize>,
}

impl Code {
    const fn parts(self) -> (StatusCode, u8, &'static str) {
        match self {
            Self::Success => (StatusCode::OK, 0, "Success"),
            Self::TokenRequired => (StatusCode::UNAUTHORIZED, 2, "Token is required"),
            Self::InvalidAuthorization => (StatusCode::UNAUTHORIZED, 3, "Invalid authorization"),
            Self::InvalidToken => (StatusCode::FORBIDDEN, 4, "Invalid token"),
            Self::NoData => (StatusCode::BAD_REQUEST, 5, "No data"),
            Self::InvalidFormat => (StatusCode::BAD_REQUEST, 6, "Invalid data format"),
            Self::InternalError => (StatusCode::INTERNAL_SERVER_ERROR, 8, "Internal server error"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, 9, "Server is busy"),
            Self::EventMissing => (StatusCode::BAD_REQUEST, 12, "Event field is required"),
            Self::EventBlank => (StatusCode::BAD_REQUEST, 13, "Event field cannot be blank"),
            Self::AckDisabled => (StatusCode::BAD_REQUEST, 14, "ACK is disabled"),
            Self::Healthy => (StatusCode::OK, 17, "HEC is healthy"),
            Self::Unhealthy => (StatusCode::SERVICE_UNAVAILABLE, 18, "HEC is unhealthy, queues are full"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 27, "Request entity too large"),
        }
    }

    /// The code of a body whose first event was rejected for this reason.
    pub(super) fn of_rejection(reason: &str) -> Self {
        match reason {
            EVENT_MISSING => Self::EventMissing,
            EVENT_BLANK => Self::EventBlank,
            _ => Self::InvalidFormat,
        }
    }
}

/// The error of a request whose credential is not accepted: a header that holds no token differs from a wrong token.
pub(super) fn of_credential(error: ApiError, request: &HttpRequest) -> ApiError {
    let has_header = request.headers().contains_key(AUTHORIZATION);
    if error.kind().code != NOT_AUTHENTICATED.code || !has_header {
        return error;
    }
    let is_read = !matches!(request.extensions().get::<AuthResult>(), Some(Err(ApiErrorKind::NoToken)) | None);
    if is_read { ApiError::new(INVALID_CREDENTIALS, error.message()) } else { error.in_form(invalid_authorization) }
}

fn invalid_authorization(_: &ApiError) -> HttpResponse {
    reply(Code::InvalidAuthorization)
}

pub(super) fn reply(code: Code) -> HttpResponse {
    let (status, code, text) = code.parts();
    HttpResponse::build(status).json(Body { text, code, invalid: None })
}

/// A reply that names the first invalid event, by its number from 0.
pub(super) fn with_invalid(code: Code, index: usize) -> HttpResponse {
    let (status, code, text) = code.parts();
    HttpResponse::build(status).json(Body { text, code, invalid: Some(index) })
}

/// An error in the form of the collector. Its text is the server's own where that tells more.
pub(super) fn error(error: &ApiError) -> HttpResponse {
    let known = match error.status_code() {
        _ if error.kind().code == NOT_AUTHENTICATED.code => Code::TokenRequired,
        _ if error.kind().code == INVALID_CREDENTIALS.code => Code::InvalidToken,
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Code::InvalidToken,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Code::Busy,
        StatusCode::PAYLOAD_TOO_LARGE => Code::TooLarge,
        StatusCode::INTERNAL_SERVER_ERROR => Code::InternalError,
        _ => Code::InvalidFormat,
    };
    let (status, code, text) = known.parts();
    let text = if matches!(known, Code::InvalidFormat) { error.message() } else { text };
    HttpResponse::build(status).json(Body { text, code, invalid: None })
}
