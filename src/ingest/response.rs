//! What a sender receives.

use actix_web::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    http::{
        error::{CONFLICT, EventFault, INVALID_REQUEST},
        schema::{Always, True},
    },
    model::{batch::PieceError, error::FieldError},
    store::Outcome,
};

/// Why an event of a request is invalid.
#[derive(Debug, Clone)]
pub(crate) struct ItemError {
    pub(super) error: FieldError,
    /// The line on which it begins, if that is known.
    pub(super) line: Option<usize>,
}

impl From<FieldError> for ItemError {
    fn from(error: FieldError) -> Self {
        Self { error, line: None }
    }
}

impl From<PieceError> for ItemError {
    fn from(PieceError { line, message }: PieceError) -> Self {
        Self { error: FieldError::new("", message), line: Some(line) }
    }
}

impl ItemError {
    /// The error of a record for the reason given.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        FieldError::new("", message.into()).into()
    }

    /// The line of a body on which the event begins, or the whole body if the line is not known.
    pub(super) fn place_in<'b>(&self, body: &'b [u8]) -> &'b [u8] {
        let lines = || body.split(|byte| *byte == b'\n');
        self.line.and_then(|line| lines().nth(line.checked_sub(1)?)).unwrap_or(body)
    }

    /// The fault of the event with this index.
    pub(super) fn at(self, index: usize) -> EventFault {
        EventFault::new(index, self.error).on_line(self.line)
    }
}

/// How many events were stored, and what became of each.
#[derive(Serialize, ToSchema)]
pub(crate) struct IngestResponse {
    #[schema(inline)]
    ok: True,
    /// Number of events stored by this request.
    accepted: usize,
    /// Number of events that had been stored before with the same content.
    duplicates: usize,
    /// With `partial=true`: number of events that were not stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rejected: Option<usize>,
    /// Without `partial=true`: the identifiers, in the order of the events sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    identifiers: Option<Vec<String>>,
    /// With `partial=true`: one result for each event sent, in order. A part of the body that is not JSON counts as an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    results: Option<Vec<EventResult>>,
}

impl IngestResponse {
    /// The response to a request that was stored whole.
    pub(super) fn of_all(accepted: usize, duplicates: usize, identifiers: Vec<String>) -> Self {
        let identifiers = Some(identifiers);
        Self { ok: Always, accepted, duplicates, rejected: None, identifiers, results: None }
    }

    /// The response to a request with `partial=true`.
    pub(super) fn of_good(accepted: usize, duplicates: usize, rejected: usize, results: Vec<EventResult>) -> Self {
        let (rejected, results) = (Some(rejected), Some(results));
        Self { ok: Always, accepted, duplicates, rejected, identifiers: None, results }
    }

    /// 201 if the request was stored whole and any event of it was new.
    pub(super) fn status(&self) -> StatusCode {
        if self.accepted > 0 && self.results.is_none() { StatusCode::CREATED } else { StatusCode::OK }
    }
}

/// What became of one event of a request with `partial=true`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum EventResult {
    /// A valid event: stored (201), stored before (200), or in conflict with another event (409).
    Valid {
        index: usize,
        identifier: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        error: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        message: Option<&'static str>,
        status: u16,
    },
    /// An invalid event (422).
    // Not flattened: generators of clients do not read a union of `allOf`.
    Invalid {
        index: usize,
        /// The dotted path of the field; empty if the event as a whole is at fault.
        field: String,
        message: String,
        /// The line of the body on which the event begins, from 1, if it is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        line: Option<usize>,
        status: u16,
        error: &'static str,
    },
}

impl EventResult {
    pub(super) fn valid(index: usize, identifier: String, outcome: Outcome) -> Self {
        let (status, error, message) = match outcome {
            Outcome::Stored => (StatusCode::CREATED, None, None),
            Outcome::Duplicate => (StatusCode::OK, None, None),
            Outcome::Conflict => {
                let message = "the identifier is already used by an event with other content";
                (CONFLICT.status, Some(CONFLICT.code), Some(message))
            }
        };
        Self::Valid { index, identifier, error, message, status: status.as_u16() }
    }

    /// The fault of an invalid event.
    pub(super) fn into_fault(self) -> Option<EventFault> {
        match self {
            Self::Valid { .. } => None,
            Self::Invalid { index, field, message, line, .. } => {
                Some(EventFault::new(index, FieldError::new(field, message)).on_line(line))
            }
        }
    }

    /// The message of an event that was not stored.
    pub(super) fn into_message(self) -> String {
        match self {
            Self::Valid { message, .. } => message.unwrap_or_default().to_owned(),
            Self::Invalid { field, message, .. } => FieldError::new(field, message).to_string(),
        }
    }

    pub(super) fn invalid(index: usize, error: ItemError) -> Self {
        let (ItemError { error: FieldError { field, message }, line }, kind) = (error, INVALID_REQUEST);
        Self::Invalid { index, field, message, line, status: kind.status.as_u16(), error: kind.code }
    }
}
