//! The HTTP client: one kept-alive connection, on which whole responses are read.
//!
//! The same code sends the same requests to auditbox and to the plain table over HTTP, so that only the servers differ.
//! It understands the responses of these two only.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::Value;

use crate::{
    contender::Contender,
    queries::{FACETS, Filter, LIMIT, parameter},
};

/// One kept-alive connection. A request is sent after the previous response is complete.
pub(crate) struct Connection {
    stream: TcpStream,
    token: String,
    answer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: &str, token: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, token: token.to_owned(), answer: Vec::new() }
    }

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

    /// Sends a GET request for `path`; returns the raw response.
    pub(crate) fn get(&mut self, path: &str) -> &[u8] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", self.token);
        self.stream.write_all(head.as_bytes()).unwrap();
        self.read_answer("200");
        &self.answer
    }

    /// Sends a GET request for `path`; returns the parsed response.
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

/// The body of a chunked response (RFC 9112, section 7.1).
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
        // Each event has exactly one of these.
        memchr::memmem::find_iter(answer, b"\"resourceType\":").count()
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
