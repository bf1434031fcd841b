//! [`Application`]: built from a configuration and an open store, and run until a signal to stop.
//!
//! It stops in this order: live streams end; no more connections are accepted; requests in flight finish; syslog listeners
//! store what has arrived; records of reads and the last uses of credentials are written; the writer finishes its queue, copies
//! the WAL into the file, and closes it.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse,
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
    doors::{
        self, Routes,
        syslog::{BoundListener, Running},
    },
    http::{self, Activity, ApiError, BodyLimits, Connections, Context, Listener, Metrics, Streams},
    model::{credential::CredentialName, mapping::CompiledPresets, self_audit::RequestMask, timestamp::Timestamp},
    platform::{
        process::{self, StopSignals},
        socket,
    },
    server::{accept::Acceptor, error::StartError, files, keys, syslog, tls},
    store::Store,
    ui as pages,
};

/// Connections that wait to be accepted. The system caps it at its own limit (4,096 by default). A client that finds no room
/// retries after a second, which is longer than any other delay of a healthy server.
const BACKLOG: i32 = 4096;
/// How long a connection without a credential may continue when the server stops: a login takes less.
const WAIT_AT_STOP: Duration = Duration::from_secs(1);

/// A reserved address, and the certificate for it. Everything outside the database that can keep a server from starting is
/// checked here, before the database is created. It does not listen yet: a client that connects while the database is being
/// opened is refused instead of waiting for a response.
pub struct Endpoint {
    socket: socket2::Socket,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    routes: Routes,
    syslog: Vec<BoundListener>,
}

impl Endpoint {
    /// Reads the certificate, if there is one, and the keys of routes, and reserves the address.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        process::raise_open_files();
        let tls = config.server.tls().as_ref().map(tls::load).transpose()?;
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let routes = Routes::open(&config.routes, &config.presets, keys::read).map_err(StartError::Route)?;
        let (address, syslog) = (config.server.listen, syslog::bind(config)?);
        bind(address)
            .map(|(socket, address)| Self { socket, address, tls, routes, syslog })
            .map_err(|source| StartError::Listen { address, source })
    }

    /// Listens. From here on clients wait for a response.
    pub fn listen(self) -> Result<Listening, StartError> {
        let Self { socket, address, tls, routes, syslog } = self;
        socket.listen(BACKLOG).map_err(|source| StartError::Listen { address, source })?;
        syslog::listen(&syslog)?;
        Ok(Listening { listener: socket.into(), address, tls, routes, syslog })
    }
}

/// An address on which the server listens, and the certificate for it.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    routes: Routes,
    syslog: Vec<BoundListener>,
}

/// A socket bound to an address, and that address with its real port.
fn bind(address: SocketAddr) -> io::Result<(socket2::Socket, SocketAddr)> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket::reuse_address(&socket)?;
    socket.bind(&address.into())?;
    let bound = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok((socket, bound))
}

/// A server that listens. It responds once it runs.
pub struct Application {
    server: Server,
    address: SocketAddr,
    recorder: Recorder,
    uses: LastUsed,
    store: Store,
    signals: StopSignals,
    streams: Streams,
    connections: Connections,
    syslog: Running,
}

impl Application {
    /// Prepares the server. Must be called within the runtime that will run it.
    pub fn build(config: &Config, mut endpoint: Listening, store: Store) -> Result<Self, StartError> {
        let address = endpoint.address;
        // From here on a signal stops the server in order, even before the server runs.
        let signals = StopSignals::receive().map_err(StartError::Signals)?;
        let recorder = Recorder::start(store.writer.clone(), config.self_audit.record);
        let streams = Streams::new(config.limits.streams_max);
        let listeners = std::mem::take(&mut endpoint.syslog);
        let context = context(config, address, &store, recorder.clone(), streams.clone())?;
        let context = Data::new(Context { listeners: described(&listeners), ..context });
        warn_of_missing_credentials(config, &context.authenticator);
        let uses = LastUsed::keep(&context.authenticator, store.writer.clone());
        let syslog = Running::start(listeners, &context)?;
        let (server, connections) = serve(config, endpoint, context)?;
        Ok(Self { server, address, recorder, uses, store, signals, streams, connections, syslog })
    }

    /// The address on which it listens, with the real port even if port 0 was configured.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until a signal to stop, then stops in order. An error means that something could not be finished.
    pub async fn run_until_stopped(self) -> Result<(), StartError> {
        let stopping = tokio::spawn(stop_on_signal(self.signals, self.server.handle(), self.streams, self.connections));
        let served = self.server.await;
        stopping.abort();
        self.syslog.stop().await;
        http::report_refusals(true);
        self.recorder.close().await;
        self.uses.close().await;
        let store = self.store;
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        served?;
        Ok(closed.map_err(io::Error::other)??)
    }
}

/// Warns of routes whose senders are rejected until the credential exists.
fn warn_of_missing_credentials(config: &Config, authenticator: &Authenticator) {
    for route in &config.routes {
        let name = route.credential.as_ref().map(CredentialName::as_str);
        if let Some(name) = name.filter(|name| !authenticator.has_credential(name)) {
            tracing::warn!(
                route = route.name,
                "there is no credential {name:?}, which this route acts as; create it with `auditbox credential create \
                 --scope ingest`"
            );
        }
    }
    for listener in &config.syslog {
        let name = listener.credential.as_str();
        if !authenticator.has_credential(name) {
            tracing::warn!(
                listener = listener.name,
                "there is no credential {name:?}, which this listener acts as; create it with `auditbox credential create \
                 --scope ingest`"
            );
        }
    }
}

/// The listeners for syslog as operators see them.
fn described(listeners: &[BoundListener]) -> BTreeMap<String, Listener> {
    let describe = |bound: &BoundListener| {
        let address = format!("{} {}", bound.listener.protocol.name(), bound.address);
        (doors::counted_as_listener(&bound.listener.name), Listener { address, preset: bound.listener.preset.clone() })
    };
    listeners.iter().map(describe).collect()
}

fn context(
    config: &Config,
    address: SocketAddr,
    store: &Store,
    recorder: Recorder,
    streams: Streams,
) -> Result<Context, StartError> {
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
        address,
        reader: store.reader.clone(),
        writer: store.writer.clone(),
        authenticator,
        recorder,
        event_limits: limits.event(),
        mask: Arc::new(config.mask.clone()),
        presets: CompiledPresets::new(config.presets.clone()),
        routes: config.routes.clone(),
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
        metrics: Arc::new(Metrics::new(config.routes.iter().map(|route| route.name.clone()))),
        started: Timestamp::now(),
        path_prefix: config.doors.path_prefix.clone(),
        listeners: BTreeMap::new(),
        closed_doors: config.doors.disabled.clone(),
        sender_presets: config.doors.presets.clone(),
        activity: Activity::new(doors::counted_names(&config.routes, &config.syslog)),
        error_page: pages::error_page,
        native_form: doors::native_form,
        serves_tls: config.server.tls().is_some(),
    })
}

/// The socket and the middleware. The last middleware is the outermost: every response is recorded, then compressed, then
/// traced.
fn serve(config: &Config, endpoint: Listening, context: Data<Context>) -> Result<(Server, Connections), StartError> {
    let (app_context, routes, open_doors) = (context.clone(), Data::new(endpoint.routes), config.doors.clone());
    let app = move || {
        App::new()
            .app_data(app_context.clone())
            .app_data(routes.clone())
            .wrap(from_fn(http::authenticate))
            .wrap(Compress::default())
            .wrap(from_fn(http::trace))
            .wrap(from_fn(http::keep_unread))
            .configure(api::configure)
            .configure(|config| doors::configure(config, &open_doors.path_prefix, &open_doors.disabled))
            .configure(pages::configure)
            .default_service(web::to(without_route))
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

/// Answers a request that no route takes.
async fn without_route(request: HttpRequest, context: Data<Context>) -> Result<HttpResponse, ApiError> {
    match doors::index_response(&request, &context) {
        Some(response) => Ok(response),
        None => pages::not_found(request).await,
    }
}

async fn stop_on_signal(mut signals: StopSignals, server: ServerHandle, streams: Streams, connections: Connections) {
    signals.wait().await;
    tracing::info!("stopping: requests in flight finish first");
    connections.stop();
    tokio::select! {
        _ = async { tokio::join!(streams.close(), server.stop(true)) } => {}
        () = close_waiting(connections) => {}
    }
}

/// Closes connections without a request that has a credential: their clients could otherwise keep the server from stopping.
async fn close_waiting(connections: Connections) {
    loop {
        tokio::time::sleep(WAIT_AT_STOP).await;
        connections.close_waiting(WAIT_AT_STOP);
    }
}
