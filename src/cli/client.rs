//! Requests to a running server.

use std::{env, fs, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use ureq::{
    Agent, Body, Timeout,
    http::{Response, Uri},
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::cli::failure::Failure;

/// The variable that has the value of --url.
const URL_VARIABLE: &str = "AUDITBOX_URL";
/// How long a server may take to accept a connection, and to say that it runs, which it does from memory.
const ALIVE_WITHIN: Duration = Duration::from_secs(10);
/// How long a server may take to begin its response. A batch waits for the disk, but no request takes this long.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// How long a stream may last. Another one continues after it.
const STREAM_FOR: Duration = Duration::from_secs(5 * 60);

/// The server to use, and the token for it.
#[derive(Args)]
pub(super) struct ServerArguments {
    /// Use the server at this URL instead of opening the file
    #[arg(long, value_name = "URL", env = URL_VARIABLE)]
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
    /// Whether the arguments name a server.
    pub(super) fn is_given(&self) -> bool {
        self.url.as_ref().is_some_and(|url| !url.is_empty())
    }

    /// The client, if a URL was given. Fails if no server responds there.
    pub(super) fn client(&self) -> Result<Option<Client>, Failure> {
        let client = self.patient_client()?;
        client.as_ref().map_or(Ok(()), Client::check)?;
        Ok(client)
    }

    /// The client, if a URL was given. The server need not run yet.
    pub(super) fn patient_client(&self) -> Result<Option<Client>, Failure> {
        let Some(base) = server_url(self.url.as_deref())? else {
            return Ok(None);
        };
        let Some(token) = self.token.as_ref().filter(|token| !token.is_empty()) else {
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
            .timeout_connect(Some(ALIVE_WITHIN))
            .timeout_recv_response(Some(ANSWER_WITHIN))
            .build()
            .new_agent();
        let token = token.clone();
        Ok(Some(Client { agent, base, authorize: Arc::new(move |_| Ok(token.clone())) }))
    }
}

/// The value of --url without a slash at its end. It may have a path, under which a proxy has the server. Fails with a usage
/// error if it is not the address of a server.
pub(super) fn server_url(url: Option<&str>) -> Result<Option<String>, Failure> {
    let Some(url) = url else { return Ok(None) };
    // An empty variable is an unset one.
    if url.is_empty() && env::var_os(URL_VARIABLE).is_some_and(|value| value.is_empty()) {
        return Ok(None);
    }
    let is_server = !url.contains('#')
        && url.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.query().is_none()
        });
    if is_server {
        return Ok(Some(url.trim_end_matches('/').to_owned()));
    }
    Err(Failure::usage(format!(
        "--url (or {URL_VARIABLE}): {url:?} is not the address of a server: use http:// or https:// and a host, without a \
         query, such as http://127.0.0.1:8686"
    )))
}

impl Client {
    /// A client of a server on this machine. `authorize` makes a token for each request, if the server may have one.
    pub(super) fn local(
        base: String,
        authorize: impl Fn(&Agent) -> Result<String, Failure> + Send + Sync + 'static,
    ) -> Self {
        let config = Agent::config_builder().proxy(None).http_status_as_error(false).max_redirects(0);
        let config = config.timeout_connect(Some(ALIVE_WITHIN));
        let agent = config.timeout_recv_response(Some(ANSWER_WITHIN)).build().new_agent();
        Self { agent, base, authorize: Arc::new(authorize) }
    }

    /// Fails if the server does not respond, so that no command waits long for one that hangs. Sends no token.
    fn check(&self) -> Result<(), Failure> {
        let request = self.agent.get(format!("{}/healthz", self.base));
        let response = request.config().timeout_global(Some(ALIVE_WITHIN)).build().call();
        // A connection whose response was read serves the next request too.
        response.map(|mut response| drop(response.body_mut().read_to_vec())).map_err(|error| self.unreachable(&error))
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
        let what = match error {
            ureq::Error::Timeout(Timeout::RecvResponse) => no_response(ANSWER_WITHIN),
            ureq::Error::Timeout(_) => no_response(ALIVE_WITHIN),
            error => error.to_string(),
        };
        Failure::new(format!("{}: {what}", self.base)).with_advice("Is the server running there?")
    }
}

fn no_response(within: Duration) -> String {
    format!("no response within {} seconds", within.as_secs())
}

/// The error that a response describes.
pub(super) fn refusal(response: Response<Body>) -> Failure {
    let status = response.status();
    Failure::new(format!("the server answered {status}: {}", reason(response)))
}

/// The message of an error response.
pub(super) fn reason(mut response: Response<Body>) -> String {
    let text = response.body_mut().read_to_string().unwrap_or_default();
    serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|envelope| envelope["message"].as_str().map(str::to_owned))
        .unwrap_or(text)
}
