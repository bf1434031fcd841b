//! Errors for rejected values: which field or parameter, and why.

use std::fmt;

use crate::model::printable::{is_hidden, shortened};

/// Maximum number of characters of an unknown parameter in an error.
const NAME_CHARS_SHOWN: usize = 128;

/// A rejected field of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The dotted path of the field in the event (`trigger.at`); empty if the event as a whole is invalid.
    pub field: String,
    /// What is wrong with the field, in words that a sender can act on.
    pub message: String,
}

impl FieldError {
    /// Rejects `field` for the reason in `message`.
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

/// A rejected query parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {message}")]
pub struct ParameterError {
    /// The name of the parameter as sent.
    pub parameter: String,
    /// What is wrong with the parameter.
    pub message: String,
    /// For a rejected cursor: another cursor, from which a client can continue without missing events.
    pub resume: Option<String>,
}

impl ParameterError {
    /// Rejects `parameter` for the reason in `message`.
    pub fn new(parameter: impl Into<String>, message: impl Into<String>) -> Self {
        Self { parameter: parameter.into(), message: message.into(), resume: None }
    }

    /// Rejects a parameter that the endpoint does not have. A long name is truncated in the error. An
    /// empty name, and one with characters that cannot be seen, is quoted and escaped.
    pub fn unknown(name: &str) -> Self {
        let shown = shortened(name, NAME_CHARS_SHOWN);
        let is_visible = !name.trim().is_empty() && !shown.contains(is_hidden);
        let shown = if is_visible { shown.into_owned() } else { format!("{shown:?}") };
        Self::new(shown, "is not a parameter of this endpoint")
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
        f.write_str(&problems.join("; "))?;
        match self.0.len().saturating_sub(PROBLEMS_SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Maximum number of rejected parameters that one error shows.
pub const PROBLEMS_SHOWN: usize = 10;
