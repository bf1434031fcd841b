//! `healthcheck`: for supervisors.

use std::time::Duration;

use clap::Args;
use ureq::{Agent, tls::TlsConfig};

use crate::{
    cli::{client::server_url, failure::Failure, output::Output},
    config::Config,
    model::file_proof::local_address,
};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Check the running server; exit code 0 if it accepts events
#[derive(Args)]
#[command(after_help = "Example:\n  auditbox healthcheck --url http://127.0.0.1:8686")]
pub(super) struct StatusArguments {
    /// URL of the server; by default, the configured address
    #[arg(long, value_name = "URL", env = "AUDITBOX_URL")]
    url: Option<String>,
}

/// Requests `/readyz`: a server that responds but accepts no events is not ready.
pub(super) fn healthcheck(config: &Config, arguments: &StatusArguments, out: &mut Output) -> Result<(), Failure> {
    let url = server_url(arguments.url.as_deref())?.unwrap_or_else(|| own_url(config));
    let agent = Agent::config_builder()
        // The server is nearby; a proxy for the internet does not lead to it.
        .proxy(None)
        .timeout_global(Some(ANSWER_WITHIN))
        .http_status_as_error(false)
        // The request contains no secret and only the status is used, so the certificate's name need not be this machine's.
        .tls_config(TlsConfig::builder().disable_verification(true).build())
        .build()
        .new_agent();
    let answer = agent.get(format!("{url}/readyz")).call();
    match answer {
        Ok(response) if response.status().is_success() => {
            out.line(format_args!("{url} is ready"));
            Ok(())
        }
        Ok(response) => Err(Failure::new(format!("{url} answered {}: see the server log", response.status()))),
        Err(error) => Err(Failure::new(format!("{url} does not answer: {error}"))),
    }
}

/// The URL of this configuration's server on this machine.
pub(super) fn own_url(config: &Config) -> String {
    let scheme = if config.server.tls().is_some() { "https" } else { "http" };
    format!("{scheme}://{}", local_address(config.server.listen))
}
