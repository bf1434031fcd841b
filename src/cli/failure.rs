//! The failure of a command: message, advice and exit code.

use std::{fmt, process::ExitCode};

use crate::{
    config::ConfigError,
    model::error::FieldError,
    server::StartError,
    store::{AppendError, BackupError, ChangeError, CloseError, OpenError, ReadError, WriteError},
    terminal,
};

/// Why a command failed, and its exit code.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    /// Whether the message has several lines, as the TOML parser's messages have.
    is_in_lines: bool,
    /// What to do next, printed on a second line.
    advice: Option<String>,
    code: ExitCode,
}

impl Failure {
    /// A failure with exit code 1.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_in_lines: false, advice: None, code: ExitCode::FAILURE }
    }

    /// Invalid arguments: exit code 2.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { code: ExitCode::from(2), ..Self::new(message) }
    }

    /// Whether the arguments are invalid.
    pub(super) fn is_of_usage(&self) -> bool {
        self.code == ExitCode::from(2)
    }

    /// The same failure in other words.
    pub(super) fn in_words(self, words: impl FnOnce(&str) -> String) -> Self {
        Self { message: words(&self.message), ..self }
    }

    /// Adds what to do next.
    pub(super) fn with_advice(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// Writes the failure to standard error; returns the exit code.
    pub(super) fn report(self) -> ExitCode {
        let message = format_args!("auditbox: {}", self.message);
        if self.is_in_lines {
            terminal::lines(message);
        } else {
            terminal::line(message);
        }
        if let Some(advice) = self.advice {
            terminal::line(advice);
        }
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        // The parser's message shows the line of the error and marks the place.
        Self { is_in_lines: matches!(error, ConfigError::Toml { .. }), ..Self::new(error.to_string()) }
    }
}

macro_rules! failures {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error.to_string())
            }
        })*
    };
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Refused(error) => Self::usage(error.to_string()),
            error => Self::new(error.to_string()),
        }
    }
}

failures!(BackupError, OpenError, CloseError, WriteError, AppendError, ChangeError);
failures!(FieldError, StartError, std::io::Error, serde_json::Error);
