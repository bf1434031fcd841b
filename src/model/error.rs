//! What the model says when it refuses a value: which field, and why.

use std::fmt;

/// A refused field of an event. `field` is a dotted path as the sender wrote it (`trigger.at`), empty when the event as
/// a whole is at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Dotted path of the field within the event.
    pub field: String,
    /// What is wrong with it, in words a sender can act on.
    pub message: String,
}

impl FieldError {
    /// A refusal of `field`, for the reason in `message`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.field, self.message) }
    }
}

impl std::error::Error for FieldError {}

/// A refused query parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {message}")]
pub struct ParameterError {
    /// The parameter as it was sent.
    pub parameter: String,
    /// What is wrong with it.
    pub message: String,
    /// Of a cursor: another one, from which a client can continue without missing anything.
    pub resume: Option<String>,
}

impl ParameterError {
    /// A refusal of `parameter`, for the reason in `message`.
    pub fn new(parameter: impl Into<String>, message: impl Into<String>) -> Self {
        Self { parameter: parameter.into(), message: message.into(), resume: None }
    }

    /// A refusal of a parameter that the endpoint does not have. A hostile name does not come back whole.
    pub fn unknown(name: &str) -> Self {
        Self::new(&name[..name.floor_char_boundary(128)], "is not a parameter of this endpoint")
    }
}

/// Every rejected parameter of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterErrors(pub Vec<ParameterError>);

impl From<ParameterError> for ParameterErrors {
    fn from(error: ParameterError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ParameterErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<_> = self.0.iter().take(PROBLEMS_SHOWN).map(ToString::to_string).collect();
        f.write_str(&problems.join("; "))
    }
}

/// Maximum number of rejected parameters that one error shows.
pub const PROBLEMS_SHOWN: usize = 10;
