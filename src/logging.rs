//! The server log: lines on standard error, configured by `[log]`. `RUST_LOG` is ignored. This is not the audit log,
//! and no event content belongs in it.

use std::{
    env,
    error::Error,
    io::{IsTerminal, stderr},
};

use tracing_subscriber::EnvFilter;

use crate::{
    config::{LogConfig, LogFormat},
    terminal::{LogStyle, LogWriter},
};

/// The HTTP library logs its threads' starts and stops, and each malformed request as an error, so that anyone could
/// fill the server log. An operator's directive for them takes precedence (`info,actix_http::h1=error`). auditbox
/// itself logs interrupted responses.
const QUIET: &str = "actix_server=warn,actix_http::h1=off";

/// Sends the server log to standard error for the rest of the process. Fails if `log.level` is not a filter, which a
/// loaded configuration excludes, or if it was called before.
pub fn init(log: &LogConfig) -> Result<(), Box<dyn Error + Send + Sync>> {
    let style = match log.format {
        LogFormat::Json => LogStyle::Json,
        // Only a terminal shows colors, and users can turn them off (https://no-color.org).
        LogFormat::Text if stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()) => {
            LogStyle::Colored
        }
        LogFormat::Text => LogStyle::Plain,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(format!("{QUIET},{}", log.level))?)
        .with_ansi(style == LogStyle::Colored)
        .with_writer(move || LogWriter(style));
    match style {
        LogStyle::Json => builder.json().try_init(),
        LogStyle::Plain | LogStyle::Colored => builder.try_init(),
    }
}
