//! The table of errors, the JSON form that clients receive, and the conversions from the errors of lower layers.
//!
//! A client receives `{"ok":false,"error":"<code>","message":"<text>"}`, with `details` where parts of the request are at
//! fault. The cause of a 500 is written to the server log and never sent to a client.

use std::{fmt, net::IpAddr, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, ContentType, HeaderValue},
    },
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::{Denied, Exceeded},
    http::schema::{Always, False, one_of, schemas},
    model::{
        error::{FieldError, PROBLEMS_SHOWN, ParameterError, ParameterErrors},
        timestamp::Timestamp,
    },
    store::{AppendError, ChangeError, Conflict, Damaged, ReadError, WriteError},
};

/// A kind of error.
#[derive(Debug)]
pub(crate) struct ErrorKind {
    /// The value of `error`.
    pub(crate) code: &'static str,
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// When the server sends it, for the API description.
    pub(crate) summary: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $status:ident, $code:literal, $summary:literal;)*) => {
        $(pub(crate) const $name: &ErrorKind = &ErrorKind { code: $code, status: StatusCode::$status, summary: $summary };)*
        /// All kinds.
        pub(crate) const KINDS: &[&ErrorKind] = &[$($name),*];
    };
}

kinds! {
    INVALID_CREDENTIALS = UNAUTHORIZED, "invalid_credentials", "The client id or the client secret is wrong";
    NOT_AUTHENTICATED = UNAUTHORIZED, "unauthorized", "The request has no token, or one that is unknown or expired";
    FORBIDDEN = FORBIDDEN, "forbidden", "The credential lacks the scope or is not accepted from this address, or a page of another site sent the request";
    NOT_FOUND = NOT_FOUND, "not_found", "There is no such path, event or credential";
    DAMAGED = GONE, "event_damaged", "The event is in the log but can no longer be read; a backup may still have it";
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED, "method_not_allowed", "The path does not accept this method";
    MALFORMED_BODY = BAD_REQUEST, "malformed_body", "The body is incomplete, or one of its chunks is malformed";
    REQUEST_TIMEOUT = REQUEST_TIMEOUT, "request_timeout", "The body did not arrive in time";
    CONFLICT = CONFLICT, "conflict", "The identifier or name is already in use for something else";
    PAYLOAD_TOO_LARGE = PAYLOAD_TOO_LARGE, "payload_too_large", "The body is larger than the limit";
    INVALID_REQUEST = UNPROCESSABLE_ENTITY, "invalid_request", "The query or the body is invalid; the message names the part";
    RATE_LIMITED = TOO_MANY_REQUESTS, "rate_limited", "The secret is wrong, after too many failed logins; the right secret is accepted at any time";
    TOO_MANY_REQUESTS = TOO_MANY_REQUESTS, "too_many_requests", "The route accepts fewer requests a second; retry after the seconds in Retry-After";
    INTERNAL = INTERNAL_SERVER_ERROR, "internal_error", "The server failed; its log has the cause under X-Trace-Id";
    OVERLOADED = SERVICE_UNAVAILABLE, "overloaded", "The server cannot accept this now; retry after the seconds in Retry-After";
    QUERY_TIMEOUT = SERVICE_UNAVAILABLE, "query_timeout", "The query took too long and was stopped; the message says how to make it faster";
    CLIENT_CLOSED = BAD_REQUEST, "client_closed", "The client closed the connection before the query finished";
    DISK_FULL = INSUFFICIENT_STORAGE, "disk_full", "The disk is full; nothing was stored";
}

/// Maximum number of seconds that senders wait before they drop records or connections.
const SENDER_WAITS_SECONDS: u64 = 5;

/// An error as a client receives it.
#[derive(Debug)]
pub struct ApiError {
    kind: &'static ErrorKind,
    message: String,
    details: Vec<Detail>,
    retry_after_seconds: Option<u64>,
    rate_limit: Option<Box<Exceeded>>,
    cause: Option<String>,
    form: Option<NativeForm>,
    /// The status, if it is not that of the kind.
    status: Option<StatusCode>,
}

/// Renders an error as the senders of a protocol expect it: the status, the headers of the protocol and the body.
pub(crate) type NativeForm = fn(&ApiError) -> HttpResponse;

impl ApiError {
    pub(crate) fn new(kind: &'static ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            details: Vec::new(),
            retry_after_seconds: None,
            rate_limit: None,
            cause: None,
            form: None,
            status: None,
        }
    }

    /// An invalid query or body.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(INVALID_REQUEST, message)
    }

    /// A failure of the server. The client receives no cause.
    pub(crate) fn internal(cause: impl fmt::Display) -> Self {
        let message = "the server failed; its log has the cause under this response's X-Trace-Id";
        Self { cause: Some(cause.to_string()), ..Self::new(INTERNAL, message) }
    }

    /// A temporary error; the client should retry after `wait`.
    pub(crate) fn later(kind: &'static ErrorKind, message: impl Into<String>, wait: Duration) -> Self {
        // Retry-After has whole seconds. Rounded up, a retry is never too early.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { retry_after_seconds: Some(seconds.max(1)), ..Self::new(kind, message) }
    }

    /// A request that a page of another site may have sent with a user's session.
    pub(crate) fn cross_site() -> Self {
        Self::new(
            FORBIDDEN,
            "a request with a session or a password must come from a page of this server; its Origin is missing or names \
             another site",
        )
    }

    /// The same error for a sender that cannot be changed. Such senders drop records after statuses that they do not know, and do
    /// not wait for long.
    pub(crate) fn for_sender(self) -> Self {
        let kind = if self.kind.code == DISK_FULL.code { OVERLOADED } else { self.kind };
        let retry_after_seconds = self.retry_after_seconds.map(|seconds| seconds.min(SENDER_WAITS_SECONDS));
        Self { kind, retry_after_seconds, ..self }
    }

    /// A credential that is used from an address from which it is not accepted.
    pub(crate) fn elsewhere(address: IpAddr) -> Self {
        Self::new(FORBIDDEN, format!("the credential is not accepted from the address {address}"))
    }

    /// The same error, rendered by `form`.
    pub(crate) fn in_form(self, form: NativeForm) -> Self {
        Self { form: Some(form), ..self }
    }

    /// The same error, rendered by `form` unless it already has a form.
    pub(crate) fn or_in_form(self, form: NativeForm) -> Self {
        Self { form: self.form.or(Some(form)), ..self }
    }

    /// The same error with another status, for protocols that have one of their own for it.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }

    /// What kind of error it is.
    pub(crate) const fn kind(&self) -> &'static ErrorKind {
        self.kind
    }

    pub(crate) fn with_details(self, details: Vec<Detail>) -> Self {
        Self { details, ..self }
    }

    /// Whether the request failed because its client is gone.
    pub(crate) fn is_of_client(&self) -> bool {
        self.kind.code == CLIENT_CLOSED.code
    }

    /// The body of the response.
    pub(crate) fn to_json(&self) -> String {
        let (ok, error) = (Always, self.kind.code);
        let body = ErrorBody { ok, error, message: &self.message, details: &self.details };
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// The message for the client.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The cause for the server log, where the client receives none.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }
}

/// The body of every error response.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody<'a> {
    #[schema(inline)]
    ok: False,
    #[schema(value_type = ErrorCode)]
    error: &'static str,
    message: &'a str,
    /// The parts of the request that are at fault.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    details: &'a [Detail],
}

schemas! {
    ErrorCode = one_of(KINDS.iter().map(|kind| kind.code));
}

/// One part of a request that is at fault.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ErrorDetail)]
pub(crate) enum Detail {
    /// A query parameter.
    Parameter {
        parameter: String,
        message: String,
        /// For a cursor that the log no longer has: another cursor, from which no event is missed.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        resume: Option<String>,
    },
    /// An event of the body.
    Event(EventFault),
    /// A stored event that cannot be read.
    Damaged(DamagedEvent),
}

/// What is wrong with an event of the body.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventFault {
    /// The event's place in the body, from 0.
    index: usize,
    /// The dotted path of the field; empty if the event as a whole is at fault.
    field: String,
    message: String,
    /// The line of the body on which that part begins, from 1, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    line: Option<usize>,
    /// For a conflict: the identifier that is already in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    identifier: Option<String>,
}

impl EventFault {
    pub(crate) fn new(index: usize, error: FieldError) -> Self {
        Self { index, field: error.field, message: error.message, line: None, identifier: None }
    }

    /// The fault of an event whose identifier belongs to an event with other content.
    pub(crate) fn of_conflict(conflict: &Conflict) -> Self {
        let error = FieldError::new("identifier", "is already used by an event with other content");
        Self { identifier: Some(conflict.identifier.clone()), ..Self::new(conflict.index, error) }
    }

    pub(crate) fn on_line(self, line: Option<usize>) -> Self {
        Self { line, ..self }
    }
}

/// What is known of a stored event that is damaged. It takes the event's place.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DamagedEvent {
    /// Its number in the order of arrival.
    seq: i64,
    /// What is wrong.
    message: String,
    /// The event time, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    timestamp: Option<String>,
    /// The identifier, if it can still be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    identifier: Option<String>,
}

impl DamagedEvent {
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<&Damaged> for DamagedEvent {
    fn from(damaged: &Damaged) -> Self {
        Self {
            seq: damaged.seq,
            message: damaged.message.clone(),
            timestamp: damaged.timestamp.map(|at| at.to_string()),
            identifier: damaged.identifier.clone(),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code, self.message)
    }
}

impl std::error::Error for ApiError {}

/// Renders an error like those of the API.
pub(crate) fn as_json(error: &ApiError) -> HttpResponse {
    HttpResponse::build(error.status_code()).content_type(ContentType::json()).body(error.to_json())
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status.unwrap_or(self.kind.status)
    }

    fn error_response(&self) -> HttpResponse {
        if let Some(form) = self.form {
            let mut response = form(self);
            if let Some(seconds) = self.retry_after_seconds {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            return response;
        }
        let mut response = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after_seconds {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if let Some(Exceeded { wait, failures_max, window, .. }) = self.rate_limit.as_deref() {
            // Whole seconds, the reset as seconds since 1970, as clients of Port's API read them.
            let reset = Timestamp::now().seconds() + i64::try_from(wait.as_secs()).unwrap_or(0) + 1;
            response.insert_header(("x-ratelimit-period", window.as_secs().to_string()));
            response.insert_header(("x-ratelimit-limit", failures_max.to_string()));
            response.insert_header(("x-ratelimit-remaining", "0"));
            response.insert_header(("x-ratelimit-reset", reset.to_string()));
        }
        if self.kind.status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        response.content_type(ContentType::json()).body(self.to_json())
    }
}

impl From<ParameterError> for ApiError {
    fn from(error: ParameterError) -> Self {
        ParameterErrors::from(error).into()
    }
}

impl From<ParameterErrors> for ApiError {
    fn from(errors: ParameterErrors) -> Self {
        let text = errors.to_string();
        let detail = |ParameterError { parameter, message, resume }| Detail::Parameter { parameter, message, resume };
        Self::invalid(text).with_details(errors.0.into_iter().take(PROBLEMS_SHOWN).map(detail).collect())
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::WrongSecret => {
                Self::new(INVALID_CREDENTIALS, "Invalid credentials supplied to the generate token API")
            }
            Denied::BadToken => Self::new(NOT_AUTHENTICATED, "the token is unknown or expired; request a new one"),
            Denied::Elsewhere(address) => Self::elsewhere(address),
            Denied::TooMany(exceeded) => {
                let whose = if exceeded.is_of_address { "this address" } else { "this client id at this address" };
                let message = format!(
                    "the client id or the secret is wrong, after {} failed logins of {whose}; the right secret is accepted \
                     at any time",
                    exceeded.failures_max
                );
                Self { rate_limit: Some(Box::new(exceeded)), ..Self::later(RATE_LIMITED, message, exceeded.wait) }
            }
        }
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        let second = Duration::from_secs(1);
        match error {
            WriteError::QueueFull | WriteError::Busy => Self::later(OVERLOADED, error.to_string(), second),
            WriteError::Stopped | WriteError::IndexDamaged => Self::later(OVERLOADED, error.to_string(), 30 * second),
            WriteError::WalFull => Self::later(OVERLOADED, error.to_string(), 10 * second),
            WriteError::DiskFull => Self::later(DISK_FULL, error.to_string(), 30 * second),
        }
    }
}

impl From<AppendError> for ApiError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Write(error) => error.into(),
            AppendError::Conflict(_) => Self::new(CONFLICT, error.to_string()),
        }
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Write(error) => error.into(),
            ChangeError::Unknown(_) => Self::new(NOT_FOUND, error.to_string()),
            ChangeError::Spent => Self::new(NOT_AUTHENTICATED, error.to_string()),
            ChangeError::NameTaken(_)
            | ChangeError::ClientIdTaken(_)
            | ChangeError::Revoked(_)
            | ChangeError::TooManySecrets(_)
            | ChangeError::LastAdministrator(_) => Self::new(CONFLICT, error.to_string()),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Overloaded => Self::later(OVERLOADED, error.to_string(), Duration::from_secs(1)),
            // An immediate retry would take as long.
            ReadError::TooLong { within, .. } => Self::later(QUERY_TIMEOUT, error.to_string(), within),
            ReadError::Abandoned => Self::new(CLIENT_CLOSED, error.to_string()),
            ReadError::Refused(error) => error.into(),
            ReadError::Damaged(ref damaged) => {
                let details = vec![Detail::Damaged(damaged.into())];
                Self::new(DAMAGED, error.to_string()).with_details(details)
            }
            ReadError::IndexDamaged(_) => Self::later(OVERLOADED, error.to_string(), Duration::from_secs(30)),
            ReadError::Changed | ReadError::Sqlite(_) => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_that_cannot_be_changed_gets_503_and_a_short_wait() {
        for (error, status) in [
            (WriteError::QueueFull, StatusCode::SERVICE_UNAVAILABLE),
            (WriteError::Stopped, StatusCode::SERVICE_UNAVAILABLE),
            (WriteError::WalFull, StatusCode::SERVICE_UNAVAILABLE),
            (WriteError::DiskFull, StatusCode::SERVICE_UNAVAILABLE),
        ] {
            let error = ApiError::from(error).for_sender();
            assert_eq!(error.status_code(), status, "{error}");
            assert!(matches!(error.retry_after_seconds, Some(1..=5)), "{error:?}");
        }
        let invalid = ApiError::invalid("x").for_sender();
        assert_eq!((invalid.status_code().as_u16(), invalid.retry_after_seconds), (422, None));
    }
}
