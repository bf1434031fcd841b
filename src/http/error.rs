//! The one table of errors, the one envelope, the one conversion.
//!
//! A client gets `{"ok":false,"error":"<code>","message":"<text>"}`, with `details` where an error has several parts. The
//! cause of a 500 goes to the program's log, never to the client.

use std::{fmt, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde_json::{Value, json};

use crate::{
    auth::{Denied, Exceeded},
    model::{
        error::{PROBLEMS_SHOWN, ParameterError, ParameterErrors},
        timestamp::Timestamp,
    },
    store::{AppendError, ChangeError, ReadError, WriteError},
};

/// A kind of error.
#[derive(Debug)]
pub(crate) struct ErrorKind {
    /// What `error` says.
    pub(crate) code: &'static str,
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// When it is given, for the API's documentation.
    pub(crate) summary: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $status:ident, $code:literal, $summary:literal;)*) => {
        $(pub(crate) const $name: &ErrorKind = &ErrorKind { code: $code, status: StatusCode::$status, summary: $summary };)*
        /// Every kind there is.
        pub(crate) const KINDS: &[&ErrorKind] = &[$($name),*];
    };
}

kinds! {
    INVALID_CREDENTIALS = UNAUTHORIZED, "invalid_credentials", "The client id or the client secret is wrong";
    NOT_AUTHENTICATED = UNAUTHORIZED, "unauthorized", "The request has no token, or one that is unknown or expired";
    FORBIDDEN = FORBIDDEN, "forbidden", "The credential lacks the scope, or the request comes from another site's page";
    NOT_FOUND = NOT_FOUND, "not_found", "There is no such path, event or credential";
    DAMAGED = GONE, "event_damaged", "The event is in the log and cannot be read any more; a backup may have it whole";
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED, "method_not_allowed", "The path does not take this method";
    MALFORMED_BODY = BAD_REQUEST, "malformed_body", "The body did not arrive whole, or one of its chunks is malformed";
    REQUEST_TIMEOUT = REQUEST_TIMEOUT, "request_timeout", "The body did not arrive in time";
    CONFLICT = CONFLICT, "conflict", "The identifier or name already stands for something else";
    PAYLOAD_TOO_LARGE = PAYLOAD_TOO_LARGE, "payload_too_large", "The body is over the limit";
    INVALID_REQUEST = UNPROCESSABLE_ENTITY, "invalid_request", "The query or the body is wrong; the message names the part";
    RATE_LIMITED = TOO_MANY_REQUESTS, "rate_limited", "The secret is wrong, after too many failed logins; a right one is accepted at any time";
    INTERNAL = INTERNAL_SERVER_ERROR, "internal_error", "A fault of the server; its log holds the cause by X-Trace-Id";
    OVERLOADED = SERVICE_UNAVAILABLE, "overloaded", "The server cannot take this now; Retry-After says when to come again";
    QUERY_TIMEOUT = SERVICE_UNAVAILABLE, "query_timeout", "The query took too long and was stopped; the message says how to make it shorter";
    CLIENT_CLOSED = BAD_REQUEST, "client_closed", "The client closed the connection before its query was answered";
    DISK_FULL = INSUFFICIENT_STORAGE, "disk_full", "There is no room on the disk; nothing was stored";
}

/// An error as a client gets it.
#[derive(Debug)]
pub struct ApiError {
    kind: &'static ErrorKind,
    message: String,
    details: Option<Box<Value>>,
    retry_after_seconds: Option<u64>,
    rate_limit: Option<Box<Exceeded>>,
    cause: Option<String>,
}

impl ApiError {
    pub(crate) fn new(kind: &'static ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: None, retry_after_seconds: None, rate_limit: None, cause: None }
    }

    /// A refused query or body.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(INVALID_REQUEST, message)
    }

    /// A fault of the server. The client learns that there was one.
    pub(crate) fn internal(cause: impl fmt::Display) -> Self {
        let message = "the server could not answer; its log says why, under this answer's X-Trace-Id";
        Self { cause: Some(cause.to_string()), ..Self::new(INTERNAL, message) }
    }

    /// Something that goes better later.
    pub(crate) fn later(kind: &'static ErrorKind, message: impl Into<String>, wait: Duration) -> Self {
        // A whole number of seconds, rounded up: who comes again then is not too early.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { retry_after_seconds: Some(seconds.max(1)), ..Self::new(kind, message) }
    }

    /// A request that a page of some other site may have sent with somebody's session.
    pub(crate) fn cross_site() -> Self {
        Self::new(
            FORBIDDEN,
            "a request by session must come from a page of this server: its Origin names another, or none",
        )
    }

    pub(crate) fn with_details(self, details: Value) -> Self {
        Self { details: Some(Box::new(details)), ..self }
    }

    /// Whether the request failed because its client is gone.
    pub(crate) fn is_of_client(&self) -> bool {
        self.kind.code == CLIENT_CLOSED.code
    }

    /// The body of the answer.
    pub(crate) fn envelope(&self) -> Value {
        let mut envelope = json!({ "ok": false, "error": self.kind.code, "message": self.message });
        if let Some(details) = &self.details {
            envelope["details"] = details.as_ref().clone();
        }
        envelope
    }

    /// What the client is told.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the log is told, where the client is not.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code, self.message)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.kind.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.kind.status);
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
        response.json(self.envelope())
    }
}

impl From<ParameterError> for ApiError {
    fn from(error: ParameterError) -> Self {
        ParameterErrors::from(error).into()
    }
}

impl From<ParameterErrors> for ApiError {
    fn from(errors: ParameterErrors) -> Self {
        let detail = |error: &ParameterError| {
            let mut detail = json!({ "parameter": error.parameter, "message": error.message });
            if let Some(resume) = &error.resume {
                detail["resume"] = resume.as_str().into();
            }
            detail
        };
        let details: Vec<_> = errors.0.iter().take(PROBLEMS_SHOWN).map(detail).collect();
        Self::invalid(errors.to_string()).with_details(json!(details))
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::WrongSecret => {
                Self::new(INVALID_CREDENTIALS, "Invalid credentials supplied to the generate token API")
            }
            Denied::BadToken => Self::new(NOT_AUTHENTICATED, "the token is unknown or expired; ask for a new one"),
            Denied::TooMany(exceeded) => {
                let whose = if exceeded.is_of_address { "this address" } else { "this client id at this address" };
                let message = format!(
                    "the client id or the secret is wrong, after {} failed logins of {whose}; a right secret is accepted at \
                     any time",
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
            WriteError::LogFull => Self::later(OVERLOADED, error.to_string(), 10 * second),
            WriteError::DiskFull => Self::later(DISK_FULL, error.to_string(), 30 * second),
        }
    }
}

impl From<AppendError> for ApiError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Write(error) => error.into(),
            AppendError::Conflict { index, ref identifier } => {
                let message = "already stands for an event with other content";
                let details =
                    json!([{ "index": index, "field": "identifier", "message": message, "identifier": identifier }]);
                Self::new(CONFLICT, error.to_string()).with_details(details)
            }
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
            | ChangeError::LastAdministrator(_) => Self::new(CONFLICT, error.to_string()),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Overloaded => Self::later(OVERLOADED, error.to_string(), Duration::from_secs(1)),
            // Sent again at once it would take as long.
            ReadError::TooLong { within, .. } => Self::later(QUERY_TIMEOUT, error.to_string(), within),
            ReadError::Abandoned => Self::new(CLIENT_CLOSED, error.to_string()),
            ReadError::Refused(error) => error.into(),
            ReadError::Damaged(ref damaged) => {
                let details = damaged.to_json();
                Self::new(DAMAGED, error.to_string()).with_details(json!([details]))
            }
            ReadError::IndexDamaged(_) => Self::later(OVERLOADED, error.to_string(), Duration::from_secs(30)),
            ReadError::Changed | ReadError::Sqlite(_) => Self::internal(error),
        }
    }
}
