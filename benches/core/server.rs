//! The release program with a client that sends prepared requests and reads their responses.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime, task,
};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_auditbox");
const SECRET: &str = "a-secret-for-benches-0123456789";

/// The program, with its defaults, on a file.
pub(crate) fn command(database: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .env("AUDITBOX_DATABASE_PATH", database)
        .env("AUDITBOX_SERVER_LISTEN", "127.0.0.1:0")
        .env("AUDITBOX_ADMIN_CLIENT_ID", "bench")
        .env("AUDITBOX_ADMIN_CLIENT_SECRET", SECRET)
        .env("AUDITBOX_LOG_LEVEL", "warn")
        .stdin(Stdio::null());
    command
}

/// A running server. Stopped on drop.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    token: String,
    /// Removed after the server has stopped.
    directory: Option<TempDir>,
}

/// The rate, and the latency of every request, sorted.
pub(crate) struct Latencies {
    pub(crate) rate: f64,
    latencies: Vec<Duration>,
}

impl Latencies {
    pub(crate) fn shown(&self) -> String {
        let at = |share: f64| self.latencies[((self.latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        format!("median {:.2} ms, p99 {:.2} ms, longest {:.1} ms", at(0.5), at(0.99), at(1.0))
    }
}

impl Server {
    pub(crate) fn start(environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Self::start_on(&directory.path().join("bench.db"), environment);
        server.directory = Some(directory);
        server
    }

    /// A server with this configuration file, and a credential `sender` that may ingest.
    pub(crate) fn start_with(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("auditbox.toml");
        fs::write(&file, config).unwrap();
        let environment = [("AUDITBOX_CONFIG", file.to_str().unwrap())];
        let mut server = Self::start_on(&directory.path().join("bench.db"), &environment);
        server.directory = Some(directory);
        let credential = ureq::post(format!("http://{}/v1/credentials", server.address))
            .header("authorization", format!("Bearer {}", server.token))
            .header("content-type", "application/json");
        credential.send("{\"name\":\"sender\",\"scopes\":[\"ingest\"]}").unwrap();
        server
    }

    pub(crate) fn start_on(database: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = command(database);
        command.envs(environment.iter().copied()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit("http://").next().unwrap().to_owned();
        let login = format!("{{\"clientId\":\"bench\",\"clientSecret\":\"{SECRET}\"}}");
        let mut response = ureq::post(format!("http://{address}/v1/auth/access_token")).send(login).unwrap();
        let answer: Value = serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
        let token = answer["accessToken"].as_str().unwrap().to_owned();
        Self { child, address, token, directory: None }
    }

    /// Sends each body once over the given number of connections. Every response must be a 201.
    pub(crate) fn post(&self, bodies: &[String], connections: usize) -> Latencies {
        self.send("/v1/audit-log", "application/json", bodies, connections, b"HTTP/1.1 201")
    }

    /// Sends each body once to `path`. Every response must begin with `expected`.
    pub(crate) fn send(
        &self,
        path: &str,
        content_type: &str,
        bodies: &[impl AsRef<[u8]>],
        connections: usize,
        expected: &'static [u8],
    ) -> Latencies {
        let request = |body: &[u8]| {
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
                self.token,
                body.len()
            );
            [head.as_bytes(), body].concat()
        };
        self.exchange(bodies.iter().map(|body| request(body.as_ref())).collect(), connections, expected)
    }

    /// The parsed response to a GET request.
    pub(crate) fn json(&self, path: &str) -> Value {
        let request = ureq::get(format!("http://{}{path}", self.address))
            .header("authorization", format!("Bearer {}", self.token));
        serde_json::from_str(&request.call().unwrap().body_mut().read_to_string().unwrap()).unwrap()
    }

    /// A door or listener, as `/v1/doors` describes it.
    pub(crate) fn door(&self, name: &str) -> Value {
        let doors = self.json("/v1/doors")["doors"].take();
        doors.as_array().unwrap().iter().find(|door| door["name"] == name).unwrap().clone()
    }

    /// The processor time that the server has used (`man 5 proc_pid_stat`, fields 14 and 15).
    pub(crate) fn cpu_seconds(&self) -> f64 {
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after_name = stat.rsplit_once(") ").unwrap().1;
        let ticks = after_name.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().unwrap());
        ticks.sum::<f64>() / TICKS_PER_SECOND
    }

    pub(crate) fn get(&self, path: &str, times: usize) -> Latencies {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", self.token);
        self.exchange(vec![request.into_bytes(); times], 1, b"HTTP/1.1 200")
    }

    fn exchange(&self, requests: Vec<Vec<u8>>, connections: usize, expected: &'static [u8]) -> Latencies {
        let count = requests.len();
        let mut shares: Vec<Vec<Vec<u8>>> = vec![Vec::new(); connections];
        for (index, request) in requests.into_iter().enumerate() {
            shares[index % connections].push(request);
        }
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let begun = Instant::now();
        let mut latencies = task::LocalSet::new().block_on(&runtime, async {
            let address = &self.address;
            let tasks: Vec<_> =
                shares.into_iter().map(|share| task::spawn_local(converse(address.clone(), share, expected))).collect();
            let mut latencies = Vec::with_capacity(count);
            for task in tasks {
                latencies.extend(task.await.unwrap());
            }
            latencies
        });
        let rate = count as f64 / begun.elapsed().as_secs_f64();
        latencies.sort_unstable();
        Latencies { rate, latencies }
    }

    pub(crate) fn resident_megabytes(&self) -> f64 {
        self.status("VmRSS:")
    }

    pub(crate) fn peak_megabytes(&self) -> f64 {
        self.status("VmHWM:")
    }

    fn status(&self, key: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0 / 1e6
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        drop(self.child.wait());
        drop(self.directory.take());
    }
}

/// Sends one request after another, each after the previous response is complete.
async fn converse(address: String, requests: Vec<Vec<u8>>, expected: &'static [u8]) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut latencies = Vec::with_capacity(requests.len());
    let mut answer = Vec::new();
    for request in requests {
        let begun = Instant::now();
        stream.write_all(&request).await.unwrap();
        read_answer(&mut stream, &mut answer).await;
        assert!(answer.starts_with(expected), "{}", String::from_utf8_lossy(&answer[..answer.len().min(400)]));
        latencies.push(begun.elapsed());
    }
    latencies
}

async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) {
    answer.clear();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = stream.read(&mut buffer).await.unwrap();
        assert!(length > 0, "the server closed the connection");
        answer.extend_from_slice(&buffer[..length]);
        let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&answer[..head]).unwrap();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).map(str::parse::<usize>);
        let is_whole = match length {
            Some(length) => answer.len() >= head + 4 + length.unwrap(),
            None => answer.ends_with(b"\r\n0\r\n\r\n"),
        };
        if is_whole {
            return;
        }
    }
}
