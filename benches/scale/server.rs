//! auditbox itself: the program that ships, run on a file and spoken to over HTTP.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    contender::Contender,
    questions::{FACETS, Filter, LIMIT, parameter},
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

/// A running server. Stopped when dropped.
pub(crate) struct Server {
    child: Child,
    address: String,
    token: String,
    /// From the start of the process to the answer to its first question.
    pub(crate) start: Duration,
}

impl Server {
    pub(crate) fn start(database: &Path) -> Self {
        let begun = Instant::now();
        let mut child = command(database).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit("http://").next().unwrap().to_owned();
        let login = format!("{{\"clientId\":\"bench\",\"clientSecret\":\"{SECRET}\"}}");
        let mut response = ureq::post(format!("http://{address}/v1/auth/access_token")).send(login).unwrap();
        let answer: Value = serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
        let token = answer["accessToken"].as_str().unwrap().to_owned();
        let mut server = Self { child, address, token, start: Duration::ZERO };
        server.connect().list(&Filter::default());
        server.start = begun.elapsed();
        server
    }

    /// Stops it and waits until it has: the file is complete then.
    pub(crate) fn stop(self) {
        drop(self);
    }

    pub(crate) fn connect(&self) -> Connection {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { stream, token: self.token.clone(), answer: Vec::new() }
    }

    /// A line of the process's status, in bytes: `VmRSS` or `RssAnon`.
    pub(crate) fn memory_bytes(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.split(':').next() == Some(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        drop(self.child.wait());
    }
}

/// One connection, kept alive; a request is sent when the one before it has been answered whole.
pub(crate) struct Connection {
    stream: TcpStream,
    token: String,
    answer: Vec<u8>,
}

impl Connection {
    /// Sends events and waits until they are on disk.
    pub(crate) fn post(&mut self, body: &str) {
        let head = format!(
            "POST /v1/audit-log HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
            self.token,
            body.len()
        );
        self.stream.write_all(head.as_bytes()).unwrap();
        self.stream.write_all(body.as_bytes()).unwrap();
        self.read_answer("201");
    }

    /// Asks for `path`; the answer, as it came.
    pub(crate) fn get(&mut self, path: &str) -> &[u8] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", self.token);
        self.stream.write_all(head.as_bytes()).unwrap();
        self.read_answer("200");
        &self.answer
    }

    /// Asks for `path`; the answer, read.
    pub(crate) fn get_json(&mut self, path: &str) -> Value {
        self.get(path);
        let head = head_length(&self.answer).unwrap();
        let is_chunked = content_length(&self.answer[..head]).is_none();
        let body = if is_chunked { join_chunks(&self.answer[head..]) } else { self.answer[head..].to_vec() };
        serde_json::from_slice(&body).unwrap()
    }

    fn read_answer(&mut self, status: &str) {
        self.answer.clear();
        let mut buffer = vec![0; 256 * 1024];
        let (mut head, mut length) = (None, None);
        loop {
            let read = self.stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the server closed the connection");
            self.answer.extend_from_slice(&buffer[..read]);
            if head.is_none() {
                head = head_length(&self.answer);
                length = head.and_then(|head| content_length(&self.answer[..head]));
            }
            let is_whole = match (head, length) {
                (None, _) => false,
                (Some(head), Some(length)) => self.answer.len() >= head + length,
                (Some(_), None) => self.answer.ends_with(b"\r\n0\r\n\r\n"),
            };
            if is_whole {
                break;
            }
        }
        let shown = String::from_utf8_lossy(&self.answer[..self.answer.len().min(400)]);
        assert_eq!(shown.split(' ').nth(1), Some(status), "{shown}");
    }
}

fn head_length(answer: &[u8]) -> Option<usize> {
    memchr::memmem::find(answer, b"\r\n\r\n").map(|at| at + 4)
}

fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).unwrap();
    head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|text| text.parse().unwrap())
}

/// The body of an answer that came in chunks (RFC 9112, section 7.1).
fn join_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(rest.len());
    loop {
        let line = memchr::memmem::find(rest, b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + length]);
        rest = &rest[line + 2 + length + 2..];
    }
}

impl Contender for Connection {
    fn list(&mut self, filter: &Filter) -> usize {
        let answer = self.get(&format!("/v1/audit-log?limit={LIMIT}&{}", filter.query_string()));
        // Each event has one of these, and no event of this bench has more.
        memchr::memmem::find_iter(answer, b"\"receivedAt\":").count()
    }

    fn identifiers(&mut self, filter: &Filter) -> Vec<String> {
        let answer = self.get_json(&format!("/v1/audit-log?limit={LIMIT}&{}", filter.query_string()));
        let events = answer["audits"].as_array().unwrap();
        events.iter().map(|event| event["identifier"].as_str().unwrap().to_owned()).collect()
    }

    fn count(&mut self, filter: &Filter) -> u64 {
        self.get_json(&format!("/v1/audit-log/stats?{}", filter.query_string()))["count"].as_u64().unwrap()
    }

    fn overview(&mut self, filter: &Filter) {
        let facets = FACETS.map(parameter).join(",");
        self.get(&format!("/v1/audit-log/stats?facets={facets}&histogram=1d&{}", filter.query_string()));
    }
}
