//! The program under test, started as an operator would start it: with its own directory, its own file, and a port that
//! the system chooses.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use auditbox::{
    model::{
        event::{EventDraft, Receipt, Sender},
        limits::EventLimits,
        timestamp::Timestamp,
    },
    store::{Options, Policy, Prepared, QueueLimits, Quiet, Store},
};
use serde_json::Value;
use tempfile::TempDir;
use ureq::{Agent, http};

use crate::{
    conformance,
    platform::{receive_signals_alone, signal},
};

/// The client id of the admin credential of every test server.
pub const CLIENT_ID: &str = "test-admin";
pub const CLIENT_SECRET: &str = "a-secret-for-tests-0123456789";
/// Maximum wait for anything that should happen soon, on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);
/// A request that takes longer counts as hanging.
const NEVER: Duration = Duration::from_secs(300);

/// The program, with a directory to run in and without any of its variables from this process's environment.
pub fn program(directory: &Path) -> Command {
    // Measurements use a release build.
    let named = std::env::var_os("AUDITBOX_TEST_PROGRAM").map(|path| fs::canonicalize(path).unwrap());
    let mut command = Command::new(named.unwrap_or_else(|| env!("CARGO_BIN_EXE_auditbox").into()));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUDITBOX_")) {
        command.env_remove(name);
    }
    receive_signals_alone(&mut command)
        .current_dir(directory)
        .env("AUDITBOX_SERVER_LISTEN", "127.0.0.1:0")
        .env("AUDITBOX_ADMIN_CLIENT_ID", CLIENT_ID)
        .env("AUDITBOX_ADMIN_CLIENT_SECRET", CLIENT_SECRET);
    command
}

/// Runs the program to its end with these arguments.
pub fn run(directory: &Path, arguments: &[&str]) -> Output {
    program(directory).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// A running server.
pub struct Server {
    child: Child,
    directory: TempDir,
    environment: Vec<(String, String)>,
    /// `http://127.0.0.1:<port>`
    pub url: String,
    /// An access token of the admin credential.
    pub token: String,
}

/// A complete response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// `(status, error code)` of an error response.
    pub fn refusal(&self) -> (u16, String) {
        let envelope = self.json();
        assert_eq!(envelope["ok"], false, "{}", self.text);
        assert!(envelope["message"].as_str().is_some_and(|message| !message.is_empty()), "{}", self.text);
        (self.status, envelope["error"].as_str().unwrap_or_default().to_owned())
    }

    /// The identifiers of the listed events, in order.
    pub fn identifiers(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{}", self.text);
        let envelope = self.json();
        let audits = envelope["audits"].as_array().unwrap();
        audits.iter().map(|event| event["identifier"].as_str().unwrap().to_owned()).collect()
    }
}

impl Server {
    /// A server on an empty file.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server on an empty file, with these environment variables.
    pub fn start_with(environment: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), environment)
    }

    /// A server on an empty file whose index has chunks of this many events.
    pub fn start_chunked(chunk_events: u32) -> Self {
        Self::start_chunked_with(chunk_events, &[])
    }

    /// A server on an empty file with chunks of this many events and these environment variables.
    pub fn start_chunked_with(chunk_events: u32, environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = store_options(&directory.path().join("auditbox.db"), chunk_events);
        Store::open(&options, &Quiet).unwrap().close().unwrap();
        Self::start_in(directory, environment)
    }

    /// A server in a directory that may already hold a file.
    pub fn start_in(directory: TempDir, environment: &[(&str, &str)]) -> Self {
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (child, url) = spawn(directory.path(), &environment, &[]);
        let mut server = Self { child, directory, environment, url, token: String::new() };
        server.token = server.login(CLIENT_ID, CLIENT_SECRET);
        server
    }

    /// The server of `auditbox demo`.
    pub fn start_demo(events: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (child, url) = spawn(directory.path(), &[], &["demo", "--events", &events.to_string()]);
        let mut server = Self { child, directory, environment: Vec::new(), url, token: String::new() };
        server.token = server.login(CLIENT_ID, CLIENT_SECRET);
        server
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn database(&self) -> PathBuf {
        self.directory.path().join("auditbox.db")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The program's standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("stderr.txt")).unwrap()
    }

    /// An access token for a credential.
    pub fn login(&self, client_id: &str, secret: &str) -> String {
        let body = serde_json::json!({ "clientId": client_id, "clientSecret": secret }).to_string();
        let answer = self.request("POST", "/v1/auth/access_token", &[], body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["accessToken"].as_str().unwrap().to_owned()
    }

    /// Creates a credential; returns its API token.
    pub fn credential(&self, name: &str, scopes: &[&str]) -> String {
        let body = serde_json::json!({ "name": name, "scopes": scopes }).to_string();
        let answer = self.post("/v1/credentials", &body);
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["credential"]["apiToken"].as_str().unwrap().to_owned()
    }

    /// A request with only these headers.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send(10, method, path, headers, body)
    }

    /// A request whose redirection is returned as the response.
    pub fn request_once(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send(0, method, path, headers, body)
    }

    fn send(&self, redirects: u32, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let answer = exchange(&self.url, redirects, method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()));
        conformance::check(method, path, &answer);
        answer
    }

    /// A request authenticated by `token`.
    pub fn request_as(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.request(method, path, &[("authorization", &bearer)], body.as_bytes())
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request_as(&self.token, "GET", path, "")
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.request_as(&self.token, "POST", path, body)
    }

    /// Stores events, which must be valid.
    pub fn store(&self, events: &[Value]) -> Answer {
        let answer = self.post("/v1/audit-log", &Value::from(events.to_vec()).to_string());
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
        answer
    }

    /// Lists the events that match a query string.
    pub fn list(&self, query: &str) -> Answer {
        self.get(&format!("/v1/audit-log?{query}"))
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        assert!(signal(self.pid(), name), "the server has ended already\n{}", self.log());
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < SOON, "the server does not stop\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops the server as a supervisor would. Returns its exit status and its directory.
    pub fn stop(mut self) -> (ExitStatus, TempDir) {
        self.signal("TERM");
        let status = self.wait();
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        (status, directory)
    }

    /// Kills the server without warning.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The directory of a killed server.
    pub fn stop_killed(mut self) -> TempDir {
        std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap())
    }

    /// Starts the server again on the same file.
    pub fn start_again(&mut self) {
        (self.child, self.url) = spawn(self.directory.path(), &self.environment, &[]);
        self.token = self.login(CLIENT_ID, CLIENT_SECRET);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends a request to the server at `url` and reads the complete response, following this many redirections.
pub fn exchange(
    url: &str,
    redirects: u32,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, ureq::Error> {
    let mut request = http::Request::builder().method(method).uri(format!("{url}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_redirects(redirects)
        .timeout_global(Some(NEVER))
        .max_redirects_will_error(false)
        .build()
        .into();
    let mut response = agent.run(request.body(body.to_vec()).unwrap())?;
    Ok(Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.body_mut().with_config().limit(u64::MAX).read_to_string()?,
    })
}

/// Starts the program and waits until it reports its address.
fn spawn(directory: &Path, environment: &[(String, String)], arguments: &[&str]) -> (Child, String) {
    let log = fs::OpenOptions::new().create(true).append(true).open(directory.join("stderr.txt")).unwrap();
    let mut command = program(directory);
    command.args(arguments);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines.by_ref().map_while(Result::ok).find_map(|line| line.split(" at ").nth(1).map(str::to_owned));
    // A full pipe must not block the server.
    thread::spawn(move || lines.for_each(drop));
    let url = url.unwrap_or_else(|| {
        panic!("the server did not start\n{}", fs::read_to_string(directory.join("stderr.txt")).unwrap())
    });
    (child, url)
}

/// Options for a test's own store, without a server, with a queue that no test fills.
pub fn store_options(path: &Path, chunk_events: u32) -> Options {
    let queue = QueueLimits { events_max: 20_000, bytes_max: 64 * 1024 * 1024 };
    Options {
        path: path.to_owned(),
        readers: 1,
        queue,
        chunk_events,
        wal_bytes_max: u64::MAX,
        retention: None,
        fields: None,
    }
}

/// Prepares an event for the writer of a store, as the server would.
pub fn prepare(store: &Store, event: &Value) -> Prepared {
    prepare_received(store, &event.to_string(), Timestamp::now(), &EventLimits::default())
}

/// Prepares an event as a server would have done at another time.
pub fn prepare_received(store: &Store, event: &str, at: Timestamp, limits: &EventLimits) -> Prepared {
    let draft = EventDraft::parse(event, limits, Sender::Client).unwrap();
    store.writer.prepare(draft.accept(&Receipt { at, by: "test" }))
}

/// A directory with a file in which these events were received at these times, in chunks of `chunk_events`.
pub fn received(chunk_events: u32, events: &[(String, Timestamp)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&store_options(&directory.path().join("auditbox.db"), chunk_events), &Quiet).unwrap();
    for batch in events.chunks(1_000) {
        store.writer.wait_for_room();
        let limits = EventLimits::default();
        let prepared = batch.iter().map(|(event, at)| prepare_received(&store, event, *at, &limits)).collect();
        store.writer.append(prepared, Policy::AllOrNothing).unwrap().wait().unwrap();
    }
    store.close().unwrap();
    directory
}

/// Repeats `check` until it returns a value.
pub fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    let is_found = soon(|| {
        found = check();
        found.is_some()
    });
    assert!(is_found, "timeout: {what}");
    found.unwrap()
}

/// Whether `check` holds soon.
pub fn soon(mut check: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !check() {
        if begun.elapsed() > SOON {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}
