//! Requests to a running server.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use ureq::{
    Agent, Body,
    http::Response,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::cli::failure::Failure;

/// How long a server may take to begin its response. A batch waits for the disk, but no request takes this long.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// How long a stream may last. Another one continues after it.
const STREAM_FOR: Duration = Duration::from_secs(5 * 60);

/// The server to use, and the token for it.
#[derive(Args)]
pub(super) struct ServerArguments {
    /// Use the server at this URL instead of opening the file
    #[arg(long, value_name = "URL", env = "AUDITBOX_URL")]
    pub(super) url: Option<String>,
    /// API token (abx_…) or access token for that server
    #[arg(long, value_name = "TOKEN", env = "AUDITBOX_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Trust only this certificate authority (PEM file) instead of the well-known ones
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

type Authorize = dyn Fn(&Agent) -> Result<String, Failure> + Send + Sync;

/// A connection to a server; clones share it.
#[derive(Clone)]
pub(super) struct Client {
    agent: Agent,
    base: String,
    /// Returns the token for a request to the server that the agent reaches.
    authorize: Arc<Authorize>,
}

impl ServerArguments {
    /// The client, if a URL was given.
    pub(super) fn client(&self) -> Result<Option<Client>, Failure> {
        let Some(url) = &self.url else {
            return Ok(None);
        };
        let Some(token) = &self.token else {
            return Err(Failure::usage("--url needs --token (or AUDITBOX_TOKEN): the abx_… token of a credential"));
        };
        let mut tls = TlsConfig::builder();
        if let Some(path) = &self.ca {
            let pem = fs::read(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            let certificate =
                Certificate::from_pem(&pem).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            tls = tls.root_certs(RootCerts::Specific(Arc::new(vec![certificate])));
        }
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .timeout_recv_response(Some(ANSWER_WITHIN))
            .build()
            .new_agent();
        let base = url.trim_end_matches('/').to_owned();
        let token = token.clone();
        Ok(Some(Client { agent, base, authorize: Arc::new(move |_| Ok(token.clone())) }))
    }
}

impl Client {
    /// A client of a server on this machine. `authorize` makes a token for each request, if the server may have one.
    pub(super) fn local(
        base: String,
        authorize: impl Fn(&Agent) -> Result<String, Failure> + Send + Sync + 'static,
    ) -> Self {
        let config = Agent::config_builder().proxy(None).http_status_as_error(false).max_redirects(0);
        let agent = config.timeout_recv_response(Some(ANSWER_WITHIN)).build().new_agent();
        Self { agent, base, authorize: Arc::new(authorize) }
    }

    /// Whether a token can be made for the server.
    pub(super) fn is_authorized(&self) -> bool {
        self.authorization().is_ok()
    }

    fn authorization(&self) -> Result<String, Failure> {
        (self.authorize)(&self.agent).map(|token| format!("Bearer {token}"))
    }

    /// Gets `path`, which begins with a slash and may have a query.
    pub(super) fn get(&self, path: &str) -> Result<Response<Body>, Failure> {
        let request = self.agent.get(format!("{}{path}", self.base)).header("authorization", self.authorization()?);
        request.call().map_err(|error| self.unreachable(&error))
    }

    /// Opens a stream of server-sent events after a cursor. It ends after [`STREAM_FOR`] at the latest, so that a connection
    /// whose other end is gone does not last.
    pub(super) fn stream(&self, path: &str, cursor: Option<&str>) -> Result<Response<Body>, Failure> {
        let request = self.agent.get(format!("{}{path}", self.base)).header("authorization", self.authorization()?);
        let request = match cursor {
            Some(cursor) => request.header("last-event-id", cursor),
            None => request,
        };
        let request = request.config().timeout_recv_body(Some(STREAM_FOR)).build();
        request.call().map_err(|error| self.unreachable(&error))
    }

    /// Sends `body` to `path`.
    pub(super) fn post(&self, path: &str, body: &[u8]) -> Result<Response<Body>, Failure> {
        let request = self.agent.post(format!("{}{path}", self.base)).header("authorization", self.authorization()?);
        request.content_type("application/x-ndjson").send(body).map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure::new(format!("{}: {error}; is the server running there?", self.base))
    }
}

/// The error that a response describes.
pub(super) fn refusal(mut response: Response<Body>) -> Failure {
    let status = response.status();
    let text = response.body_mut().read_to_string().unwrap_or_default();
    let message = serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|envelope| envelope["message"].as_str().map(str::to_owned))
        .unwrap_or(text);
    Failure::new(format!("the server answered {status}: {message}"))
}
