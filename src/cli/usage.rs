//! Output about arguments: help, the version, and errors.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};

use crate::{cli::output::Output, model::printable::printable, terminal};

/// Prints help, the version or an error of the argument parser; returns the exit code.
///
/// Errors repeat arguments. They are escaped first, because the library would remove escape sequences, and an argument must
/// be recognizable.
pub(super) fn explain(mut error: clap::Error, out: &mut Output) -> ExitCode {
    let context: Vec<(ContextKind, ContextValue)> =
        error.context().filter_map(|(kind, value)| Some((kind, escaped(value)?))).collect();
    for (kind, value) in context {
        error.insert(kind, value);
    }
    let text = error.render();
    if error.use_stderr() {
        terminal::lines(text);
    } else {
        out.lines(text);
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn escaped(value: &ContextValue) -> Option<ContextValue> {
    match value {
        ContextValue::String(text) => Some(ContextValue::String(printable(text).into_owned())),
        ContextValue::Strings(texts) => {
            Some(ContextValue::Strings(texts.iter().map(|text| printable(text).into_owned()).collect()))
        }
        _ => None,
    }
}
