//! HTTP/1.1 on one open socket, for things that a well-behaved client cannot do: stop midway, send nothing, be
//! disconnected.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use crate::harness::SOON;

/// One connection to a server.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

/// The head of an answer, and its body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Connection {
    /// Connects to `http://host:port`.
    pub(crate) fn open(url: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(url.trim_start_matches("http://"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SOON))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends raw bytes.
    pub(crate) fn send(&mut self, bytes: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_bytes())
    }

    /// Sends a request and waits for its answer; the connection stays open.
    pub(crate) fn request(&mut self, method: &str, path: &str, token: &str, body: &str) -> io::Result<Reply> {
        let length = body.len();
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))?;
        self.reply()
    }

    /// The next response, which must have a length. `100 Continue` counts as a response.
    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        let (status, head) = self.head()?;
        self.body(status, &head)
    }

    /// The status of the next answer, and the lines of its head in lower case.
    pub(crate) fn head(&mut self) -> io::Result<(u16, Vec<String>)> {
        let status = self.line()?.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(cut_off)?;
        let mut lines = Vec::new();
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                return Ok((status, lines));
            }
            lines.push(line);
        }
    }

    /// The body after this head.
    pub(crate) fn body(&mut self, status: u16, head: &[String]) -> io::Result<Reply> {
        let length = head.iter().find_map(|line| line.strip_prefix("content-length:"));
        let length = length.map_or(Ok(0), |length| length.trim().parse()).map_err(io::Error::other)?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Reply { status, body: String::from_utf8(body).map_err(io::Error::other)? })
    }

    /// The next chunk of a body that is sent in chunks (RFC 9112 section 7.1); an error at its end.
    pub(crate) fn chunk(&mut self) -> io::Result<String> {
        let length = usize::from_str_radix(&self.line()?, 16).map_err(io::Error::other)?;
        if length == 0 {
            return Err(cut_off());
        }
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        self.line()?;
        String::from_utf8(bytes).map_err(io::Error::other)
    }

    /// All remaining bytes until the server closes.
    pub(crate) fn rest(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes)?;
        String::from_utf8(bytes).map_err(io::Error::other)
    }

    /// The next line, without its end.
    pub(crate) fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        // A truncated line is an error, because it might have been longer.
        let whole = line.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        whole.map(str::to_owned).ok_or_else(cut_off)
    }
}

fn cut_off() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}
