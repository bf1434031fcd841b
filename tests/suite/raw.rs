//! HTTP by hand, for requests that no client library would send: partial requests, odd bytes, chunks, floods.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

use crate::harness::{SOON, Server};

/// A raw response.
#[derive(Debug)]
pub struct RawAnswer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl RawAnswer {
    /// `None` if the server closed the connection without a response.
    pub fn read(mut stream: TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes) {
            // A server that rejects a body midway resets the connection after its response.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
            other => drop(other.unwrap()),
        }
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
    }

    /// Sends bytes and reads everything until the server closes: no response, or several.
    pub fn read_all(stream: &mut TcpStream, bytes: &[u8]) -> String {
        // A server may respond and close before it has received everything.
        drop(stream.write_all(bytes));
        let mut all = Vec::new();
        match stream.read_to_end(&mut all) {
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
            other => drop(other.unwrap()),
        }
        String::from_utf8(all).unwrap()
    }

    /// The error code.
    pub fn error(&self) -> String {
        let envelope: serde_json::Value =
            serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert_eq!(envelope["ok"], false, "{self:?}");
        envelope["error"].as_str().unwrap().to_owned()
    }
}

/// A connection to the server.
pub fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.set_write_timeout(Some(SOON)).unwrap();
    stream
}

/// The head of a request by the admin with these header lines, after which the server closes the connection.
pub fn head(server: &Server, request_line: &str, lines: &[&str]) -> Vec<u8> {
    let mut head = format!(
        "{request_line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {}\r\n",
        server.token
    );
    for line in lines {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// Sends the pieces in turn and reads the response. `None` if the connection was closed without one.
pub fn try_send<'p>(server: &Server, pieces: impl IntoIterator<Item = &'p [u8]>) -> Option<RawAnswer> {
    let mut stream = connect(server);
    for piece in pieces {
        // A server may respond and close before it has received everything.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    RawAnswer::read(stream)
}

/// Sends the pieces and reads the response, which must arrive.
pub fn send<'p>(server: &Server, pieces: impl IntoIterator<Item = &'p [u8]>) -> RawAnswer {
    try_send(server, pieces).unwrap_or_else(|| panic!("no answer\n{}", server.log()))
}

/// `bytes` as one chunk of a chunked body (RFC 9112 section 7.1).
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// The end of a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
