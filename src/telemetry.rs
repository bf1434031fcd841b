//! The server log: lines on standard error, configured by `[log]`. `RUST_LOG` is ignored. This is not the audit log,
//! and no event content belongs in it.

use std::{
    error::Error,
    io::{IsTerminal, stderr},
};

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// The HTTP library logs its threads' starts and stops, and each malformed request as an error, so that anybody could
/// fill the server log. An operator's directive for them takes precedence (`info,actix_http::h1=error`). auditbox
/// itself logs responses that break off.
const QUIET: &str = "actix_server=warn,actix_http::h1=off";

/// Sends the server log to standard error for the rest of the process. Fails if `log.level` is not a filter, which a
/// loaded configuration excludes, or if it was called before.
pub fn init(log: &LogConfig) -> Result<(), Box<dyn Error + Send + Sync>> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(format!("{QUIET},{}", log.level))?)
        .with_writer(stderr);
    match log.format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text if stderr().is_terminal() => builder.try_init(),
        // No colors in files. On a terminal, NO_COLOR is respected.
        LogFormat::Text => builder.with_ansi(false).try_init(),
    }
}
