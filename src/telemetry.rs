//! Where the program's own log goes: lines on standard error, as `[log]` of the configuration says. `RUST_LOG` is not
//! looked at. This is not the audit log, and no event's content belongs in it.

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

/// The HTTP server tells of each of its threads as it comes and goes; and of each request that is none, as an error, so
/// that anybody could fill this log. A directive of the operator's for them counts more (`info,actix_http::h1=error`).
/// What breaks an answer off is told by whoever makes it.
const QUIET: &str = "actix_server=warn,actix_http::h1=off";

/// Sends what is traced, and what libraries log, to standard error for the rest of the process. Fails if `log.level` is
/// not a filter, which a loaded configuration rules out, or if this was done before.
pub fn init(log: &LogConfig) -> Result<(), Box<dyn Error + Send + Sync>> {
    let style = match log.format {
        LogFormat::Json => LogStyle::Json,
        // Colors are for eyes; in a file they are noise (https://no-color.org).
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
