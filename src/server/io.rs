//! A client's connection for the HTTP library to read and write: plain or TLS. It ends when the server closes it for room,
//! and answers malformed chunks, which the library does not.

use std::{
    io, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use actix_web::rt::net::TcpStream;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::timeout,
};
use tokio_rustls::server::TlsStream;

use crate::http::{self, Connection, Member};

/// How long a connection is read on after the last answer: what its client still sends would otherwise reset the connection,
/// and the answer could be lost.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 8 * 1024;

/// The bytes below HTTP.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// What is left of one that was handed on.
    Gone,
}

/// A connection of a client.
pub(super) struct Io {
    stream: Stream,
    member: Arc<Member>,
}

impl Io {
    pub(super) fn new(stream: Stream, member: Member) -> Self {
        Self { stream, member: Arc::new(member) }
    }

    pub(super) fn connection(&self) -> &Connection {
        self.member.connection()
    }

    fn check_cut(&self, context: &mut Context<'_>) -> io::Result<()> {
        match self.connection().poll_cut(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_cut(context)?;
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if read.is_err() || buffer.filled().len() == before {
            self.connection().hang_up();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check_cut(context)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        match &written {
            Ok(_) => self.connection().has_sent(),
            Err(_) => self.connection().hang_up(),
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_cut(context)?;
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(context));
        match &flushed {
            Ok(()) => self.connection().is_flushed(),
            Err(_) => self.connection().hang_up(),
        }
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_cut(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        // A panic is the server's fault, not the client's.
        if self.connection().has_malformed_chunks() && !thread::panicking() {
            let stream = mem::replace(&mut self.stream, Stream::Gone);
            actix_web::rt::spawn(refuse(stream, Arc::clone(&self.member)));
        }
    }
}

/// Answers a request whose body has malformed chunks, and closes the connection.
async fn refuse(mut stream: Stream, member: Arc<Member>) {
    let answer = async {
        stream.write_all(&http::malformed_chunks()).await?;
        stream.flush().await?;
        stream.shutdown().await?;
        let mut unread = [0; LINGER_BYTES];
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    let cut = std::future::poll_fn(|context| member.connection().poll_cut(context));
    tokio::select! {
        () = cut => {}
        // A client that is gone, or goes on sending, has had its answer or does not want one.
        _ = timeout(LINGER, answer) => {}
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}
