//! [`Application`]: built from a configuration and an open store, run until it is told to stop.
//!
//! It stops in this order: live streams end; no more connections; requests in flight finish; records of reads, and when
//! credentials were last used, are written; the writer
//! finishes its queue, copies its log into the file, and closes it.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use actix_web::{
    App,
    dev::{Server, ServerHandle},
    middleware::{Compress, from_fn},
    web::{self, Data},
};
use socket2::{Domain, Type};
use tokio_rustls::TlsAcceptor;

use crate::{
    api,
    auth::{Authenticator, AuthenticatorOptions, LastUsed, Recorder},
    config::Config,
    http::{self, BodyLimits, Connections, Context, Streams},
    model::{self_audit::RequestMask, timestamp::Timestamp},
    platform::{
        process::{self, StopSignals},
        socket,
    },
    server::{accept::Acceptor, files, tls},
    store::{CloseError, ReadError, Store},
    ui as pages,
};

/// Connections that wait to be accepted. The system caps it at its own limit (4,096 by default). Whoever finds no room tries
/// again after a second, which is longer than anything else that a server which is well takes.
const BACKLOG: i32 = 4096;
/// How long a connection without a credential may go on when the server stops: a login takes less.
const WAIT_AT_STOP: Duration = Duration::from_secs(1);

/// Why the server did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or not ours.
    #[error(
        "cannot listen on {address}: {source}; stop the program that listens there (another auditbox?), or set another \
         address with [server] listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("TLS: {}: {message}", .path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Nothing could tell the server to stop.
    #[error("signals to stop cannot be received: {0}")]
    Signals(io::Error),
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The server broke off.
    #[error("the server stopped: {0}")]
    Io(#[from] io::Error),
    /// The writer ended early.
    #[error("the server stopped writing early: {0}")]
    Writer(#[from] CloseError),
}

/// A reserved address, and the certificate that will be shown there. Everything outside the database that can keep a server
/// from starting is checked here, before the database is created. It does not listen yet: a client that connects while the
/// database is being opened is refused instead of waiting for an answer.
pub struct Endpoint {
    socket: socket2::Socket,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
}

impl Endpoint {
    /// Reads the certificate, if there is one, and reserves the address.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        process::raise_open_files();
        let tls = config.server.tls().as_ref().map(tls::load).transpose()?;
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let address = config.server.listen;
        bind(address)
            .map(|(socket, address)| Self { socket, address, tls })
            .map_err(|source| StartError::Listen { address, source })
    }

    /// Listens. From here on clients wait for an answer.
    pub fn listen(self) -> Result<Listening, StartError> {
        let Self { socket, address, tls } = self;
        socket.listen(BACKLOG).map_err(|source| StartError::Listen { address, source })?;
        Ok(Listening { listener: socket.into(), address, tls })
    }
}

/// An address on which the server listens, and the certificate that is shown there.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
}

/// A socket bound to an address, and that address with its real port.
fn bind(address: SocketAddr) -> io::Result<(socket2::Socket, SocketAddr)> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket::reuse_address(&socket)?;
    socket.bind(&address.into())?;
    let bound = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok((socket, bound))
}

/// A server that listens, though nothing is answered until it runs.
pub struct Application {
    server: Server,
    address: SocketAddr,
    recorder: Recorder,
    uses: LastUsed,
    store: Store,
    signals: StopSignals,
    streams: Streams,
    connections: Connections,
}

impl Application {
    /// Makes ready to serve. Must be called within the runtime that will run it.
    pub fn build(config: &Config, endpoint: Listening, store: Store) -> Result<Self, StartError> {
        let address = endpoint.address;
        // From here on a signal stops the server in order, even if it comes before it runs.
        let signals = StopSignals::receive().map_err(StartError::Signals)?;
        let recorder = Recorder::start(store.writer.clone(), config.self_audit.record);
        let streams = Streams::new(config.limits.streams_max);
        let context = Data::new(context(config, &store, recorder.clone(), streams.clone())?);
        let uses = LastUsed::keep(&context.authenticator, store.writer.clone());
        let (server, connections) = serve(config, endpoint, context)?;
        Ok(Self { server, address, recorder, uses, store, signals, streams, connections })
    }

    /// Where it listens. The port is the real one, where 0 was asked for.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until a signal to stop, then stops in order. An error means that something was not right to the end.
    pub async fn run_until_stopped(self) -> Result<(), StartError> {
        let stopping = tokio::spawn(stop_on_signal(self.signals, self.server.handle(), self.streams, self.connections));
        let served = self.server.await;
        stopping.abort();
        http::report_refusals(true);
        self.recorder.close().await;
        self.uses.close().await;
        let store = self.store;
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        served?;
        Ok(closed.map_err(io::Error::other)??)
    }
}

fn context(config: &Config, store: &Store, recorder: Recorder, streams: Streams) -> Result<Context, StartError> {
    let authenticator = Authenticator::open(
        &store.own_reader,
        AuthenticatorOptions {
            access_token_seconds: config.auth.access_token_seconds,
            failed_logins_max: config.auth.failed_logins_max,
            failed_logins_window_seconds: config.auth.failed_logins_window_seconds,
            session_idle_seconds: config.auth.session_idle_seconds,
            session_seconds: config.auth.session_seconds,
        },
    )?;
    authenticator.watch();
    let limits = &config.limits;
    Ok(Context {
        reader: store.reader.clone(),
        writer: store.writer.clone(),
        authenticator,
        recorder,
        event_limits: limits.event(),
        mask: Arc::new(config.mask.clone()),
        request_mask: RequestMask::default(),
        query_limits: limits.query(),
        query_within: Duration::from_secs(limits.query_seconds),
        batch_events_max: limits.batch_events_max,
        body_limits: BodyLimits::new(
            limits.body_bytes_max,
            Duration::from_secs(limits.body_read_seconds),
            limits.body_memory_bytes_max,
        ),
        trusted_proxies: config.server.trusted_proxies.clone(),
        resource_types: config.resource_types.clone(),
        streams,
        metrics: Arc::default(),
        started: Timestamp::now(),
        error_page: pages::error_page,
        serves_tls: config.server.tls().is_some(),
    })
}

/// The socket and the middleware. The last middleware is the outermost: every response is traced, then compressed, and is
/// recorded before either.
fn serve(config: &Config, endpoint: Listening, context: Data<Context>) -> Result<(Server, Connections), StartError> {
    let app_context = context.clone();
    let app = move || {
        App::new()
            .app_data(app_context.clone())
            .wrap(from_fn(http::authenticate))
            .wrap(Compress::default())
            .wrap(from_fn(http::trace))
            .wrap(from_fn(http::keep_unread))
            .configure(api::configure)
            .configure(pages::configure)
            .default_service(web::to(pages::not_found))
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let workers = if config.server.workers == 0 { cores } else { config.server.workers };
    let connections_max = files::connections_max(config, workers);
    let connections = Connections::new(connections_max);
    let acceptor = Acceptor {
        listener: endpoint.listener,
        tls: endpoint.tls,
        connections: connections.clone(),
        connections_max,
        context,
        workers,
        stall: Duration::from_secs(config.limits.answer_stall_seconds),
        shutdown_seconds: config.server.shutdown_seconds,
    };
    Ok((acceptor.serve(app)?, connections))
}

async fn stop_on_signal(mut signals: StopSignals, server: ServerHandle, streams: Streams, connections: Connections) {
    signals.wait().await;
    tracing::info!("stopping: requests in flight are finished first");
    connections.stop();
    tokio::select! {
        _ = async { tokio::join!(streams.close(), server.stop(true)) } => {}
        () = close_waiting(connections) => {}
    }
}

/// Closes connections that requests with a credential do not hold: their clients could otherwise keep the server from
/// stopping.
async fn close_waiting(connections: Connections) {
    loop {
        tokio::time::sleep(WAIT_AT_STOP).await;
        connections.close_waiting(WAIT_AT_STOP);
    }
}
