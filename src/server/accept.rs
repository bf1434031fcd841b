//! From an accepted socket to HTTP/1.1: each connection is admitted, shakes hands where TLS is configured, and is served.
//!
//! This is what `actix_web::HttpServer` does, except that a connection is known from its first moment: one that does not
//! finish its handshake is closed for room like any other, and delays none.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_http::{HttpService, Request, error::DispatchError};
use actix_server::{Server, ServerBuilder};
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::{
    Error,
    body::MessageBody,
    dev::{AppConfig, Extensions, ServiceResponse},
    rt::net::TcpStream,
    web::Data,
};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::{
    auth,
    http::{self, Connections, Context},
    platform,
    server::io::{Io, Stream},
};

/// How long an idle connection is kept: longer than the intervals at which programs usually send.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long the head of a connection's first request may take to arrive.
const HEAD_READ_WITHIN: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take: a lost packet, and a client at the other end of the world.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(2);
/// How long a connection that is closing may take to close.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// How long a connection may wait at most, and how often that is checked: an idle one is closed after [`KEEP_ALIVE`], and
/// the head of a later request has as long as that of the first.
const WAIT_MAX: Duration = KEEP_ALIVE.saturating_add(HEAD_READ_WITHIN);
const WAIT_CHECK: Duration = Duration::from_secs(5);
/// Threads that the HTTP library runs at most; a machine may have more cores.
const WORKERS_MAX: usize = 512;

/// What a server of connections is made of.
pub(super) struct Acceptor {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) connections: Connections,
    pub(super) connections_max: usize,
    /// Says which addresses are proxies, whose connections carry the requests of many clients and have no limit by address.
    pub(super) context: Data<Context>,
    pub(super) workers: usize,
    /// How long a client may take nothing of what is sent to it.
    pub(super) stall: Duration,
    pub(super) shutdown_seconds: u64,
}

impl Acceptor {
    /// Serves `app` to every connection.
    pub(super) fn serve<F, A, S, B>(self, app: F) -> io::Result<Server>
    where
        F: Fn() -> A + Clone + Send + 'static,
        A: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = Error, InitError = ()>
            + 'static,
        B: MessageBody + 'static,
    {
        let workers = self.workers.min(WORKERS_MAX);
        let builder = ServerBuilder::new()
            .workers(workers)
            .max_concurrent_connections(connections_of_a_worker(self.connections_max, workers))
            .shutdown_timeout(self.shutdown_seconds)
            .disable_signals();
        let stopping = builder.graceful_shutdown_signal();
        look_after(self.connections.clone());
        let (connections, context, tls, stall) = (self.connections, self.context, self.tls, self.stall);
        let service = move || {
            let (stopping, metrics) = (stopping.clone(), Arc::clone(&context.metrics));
            let protocol = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .keep_alive(KEEP_ALIVE)
                .client_request_timeout(HEAD_READ_WITHIN)
                .client_disconnect_timeout(CLOSE_WITHIN)
                .on_connect_ext(move |io: &Io, data: &mut Extensions| {
                    data.insert(io.connection().clone());
                    data.insert(metrics.connection());
                })
                .h1(map_config(app().into_factory().map_err(|error| error.error_response()), |()| {
                    AppConfig::default()
                }));
            let (connections, context, tls) = (connections.clone(), context.clone(), tls.clone());
            fn_service(move |socket: TcpStream| {
                let (connections, context, tls) = (connections.clone(), context.clone(), tls.clone());
                platform::socket::send_at_once(&socket);
                platform::socket::end_when_stalled(&socket, stall);
                async move { admit(socket, &connections, &context, tls).await.map_err(DispatchError::Io) }
            })
            .and_then(protocol)
        };
        Ok(builder.listen("auditbox", self.listener, service)?.run())
    }
}

/// How many connections one thread may have: its share of all, and as many again as it may have accepted and not yet
/// admitted, or be closing. It accepts no more until it has.
pub(super) fn connections_of_a_worker(connections_max: usize, workers: usize) -> usize {
    let newest = http::newest(connections_max);
    connections_max.saturating_add(newest).div_ceil(workers).saturating_add(newest)
}

/// Admits a connection, and finishes its handshake if it needs one.
async fn admit(
    socket: TcpStream,
    connections: &Connections,
    context: &Context,
    tls: Option<TlsAcceptor>,
) -> io::Result<(Io, Option<SocketAddr>)> {
    let peer = socket.peer_addr()?;
    let address = Some(peer.ip()).filter(|address| !context.trusts(*address)).map(auth::network);
    let member = connections.admit(address);
    let Some(tls) = tls else {
        return Ok((Io::new(Stream::Plain(socket), member), Some(peer)));
    };
    let cut = std::future::poll_fn(|context| member.connection().poll_cut(context));
    let stream = tokio::select! {
        () = cut => return Err(io::ErrorKind::ConnectionAborted.into()),
        finished = timeout(HANDSHAKE_WITHIN, tls.accept(socket)) => finished??,
    };
    Ok((Io::new(Stream::Tls(Box::new(stream)), member), Some(peer)))
}

/// Closes connections that have waited too long, and has the server log say what it counted, while the server runs.
fn look_after(connections: Connections) {
    actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(WAIT_CHECK).await;
            connections.close_waiting(WAIT_MAX);
            connections.close_unread(WAIT_MAX);
            http::report_refusals(false);
        }
    });
}
