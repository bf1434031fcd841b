//! Connections without a credential: the server closes them to make room, and answers requests meanwhile.

use std::{
    env, fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::{
    harness::{SOON, Server, eventually, program},
    process::Process,
    wire::Connection,
};

/// Few, so that a test can take all of them.
const CONNECTIONS_MAX: usize = 200;
const FEW: (&str, &str) = ("AUDITBOX_SERVER_CONNECTIONS_MAX", "200");
/// The address of a trusted proxy has no separate limit, so only the limit on all connections applies.
const ONE_PROXY: (&str, &str) = ("AUDITBOX_SERVER_TRUSTED_PROXIES", "127.0.0.1");

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n";

/// How a client without a credential keeps a connection.
#[derive(Debug, Clone, Copy)]
enum Idler {
    /// Sends nothing.
    Silent,
    /// Sends one request, reads the response, and sends nothing more.
    Kept,
    /// Sends one request, reads the response, and sends half of the next head.
    HalfOfTheNextHead,
    /// Sends the head of a login without the body.
    LoginWithoutABody,
    /// Requests a large response and reads nothing of it.
    NeverReads,
}

use Idler::{HalfOfTheNextHead, Kept, LoginWithoutABody, NeverReads, Silent};

impl Idler {
    /// The bytes to send, whether to read a response next, and the bytes to send after it.
    fn script(self) -> (&'static [u8], bool, Vec<u8>) {
        match self {
            Silent => (b"", false, Vec::new()),
            Kept => (HEALTH, true, Vec::new()),
            HalfOfTheNextHead => (HEALTH, true, b"GET /healthz HT".to_vec()),
            LoginWithoutABody => {
                (b"POST /v1/auth/access_token HTTP/1.1\r\nhost: test\r\ncontent-length: 99\r\n\r\n", false, Vec::new())
            }
            NeverReads => (b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: test\r\n\r\n", false, Vec::new()),
        }
    }

    /// Runs the script on a connection.
    fn play(self, stream: &mut (impl Read + Write)) -> io::Result<()> {
        let (first, is_answered, then) = self.script();
        stream.write_all(first)?;
        if is_answered {
            let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
            while !answer.ends_with(b"{\"ok\":true}") {
                let read = stream.read(&mut buffer)?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                answer.extend_from_slice(&buffer[..read]);
            }
        }
        stream.write_all(&then)
    }
}

/// A connection from this local address.
fn connect_from(source: &str, url: &str) -> TcpStream {
    let target: SocketAddr = url.split("://").nth(1).unwrap().parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // A small buffer, so that the system takes in little for a client that does not read.
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind(&SocketAddr::new(source.parse().unwrap(), 0).into()).unwrap();
    socket.connect_timeout(&target.into(), SOON).unwrap();
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.set_write_timeout(Some(SOON)).unwrap();
    stream
}

/// Checks that `/healthz` and `/readyz` respond on separate connections from this address.
fn is_well(source: &str, url: &str) {
    for path in ["/healthz", "/readyz"] {
        let mut stream = connect_from(source, url);
        let asked = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(asked.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{path} from {source}: {error}"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path} from {source}: {answer:?}");
    }
}

#[test]
fn idle_connections_without_a_credential_leave_health_answered() {
    for environment in [&[FEW][..], &[FEW, ONE_PROXY]] {
        for idler in [Silent, Kept, HalfOfTheNextHead, LoginWithoutABody, NeverReads] {
            let server = Server::start_with(environment);
            let mut idle = Vec::new();
            for _ in 0..2 * CONNECTIONS_MAX {
                let mut stream = connect_from("127.0.0.1", &server.url);
                idler.play(&mut stream).unwrap_or_else(|error| panic!("{idler:?}: {error}"));
                idle.push(stream);
            }
            for _ in 0..3 {
                is_well("127.0.0.1", &server.url);
                is_well("127.0.0.3", &server.url);
            }
            assert_eq!(server.get("/v1/audit-log").status, 200, "{idler:?}");
            let (status, _) = server.stop();
            assert!(status.success(), "{idler:?}");
        }
    }
}

#[test]
fn one_address_keeps_a_quarter_of_the_connections_and_takes_none_from_others() {
    let server = Server::start_with(&[FEW]);
    let mut other = connect_from("127.0.0.2", &server.url);
    Kept.play(&mut other).unwrap();
    let mut kept: Vec<_> = (0..2 * CONNECTIONS_MAX)
        .map(|_| {
            let mut stream = connect_from("127.0.0.1", &server.url);
            Kept.play(&mut stream).unwrap();
            stream
        })
        .collect();
    // The latest connections are open, and so is the one from the other address. The earlier ones were closed. A connection
    // joins the line again a moment after its response, perhaps behind later ones, so some around the border are skipped.
    let (closed, open) = kept.split_at_mut(2 * CONNECTIONS_MAX - CONNECTIONS_MAX / 4);
    for stream in open.iter_mut().skip(16).chain([&mut other]) {
        Kept.play(stream).unwrap();
    }
    for stream in closed.iter_mut().rev().skip(16) {
        assert!(Kept.play(stream).is_err());
    }
}

/// A live stream, which occupies its connection.
fn tail(server: &Server) -> Connection {
    let mut tail = Connection::open(&server.url).unwrap();
    let asked =
        format!("GET /v1/audit-log/stream HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\n\r\n", server.token);
    tail.send(&asked).unwrap();
    assert!(tail.line().unwrap().starts_with("HTTP/1.1 200"));
    while !tail.line().unwrap().is_empty() {}
    tail
}

/// Waits until a stream has sent this text.
fn announces(tail: &mut Connection, text: &str) {
    let mut seen = String::new();
    while !seen.contains(text) {
        seen += &tail.chunk().unwrap();
    }
}

#[test]
fn a_request_with_a_credential_is_never_cut_off_for_room() {
    let server = Server::start_with(&[FEW, ONE_PROXY]);
    let event = json!({ "identifier": "slow", "action": "A", "resourceType": "slow" }).to_string();
    let (first, last) = event.split_at(20);
    let mut sender = Connection::open(&server.url).unwrap();
    let head = format!(
        "POST /v1/audit-log HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        server.token,
        event.len()
    );
    sender.send(&(head + first)).unwrap();
    let mut tail = tail(&server);
    let mut idle = Vec::new();
    for _ in 0..2 * CONNECTIONS_MAX {
        let mut stream = connect_from("127.0.0.1", &server.url);
        Kept.play(&mut stream).unwrap();
        idle.push(stream);
    }
    sender.send(last).unwrap();
    assert_eq!(sender.reply().unwrap().status, 201);
    // The stream continues: it announces the event that was just stored.
    announces(&mut tail, "\"slow\"");
    assert!(Kept.play(&mut idle[0]).is_err());
}

#[test]
fn with_a_request_on_every_connection_the_next_is_rejected_and_health_is_answered() {
    let server = Server::start_with(&[("AUDITBOX_SERVER_CONNECTIONS_MAX", "4"), ONE_PROXY]);
    let event = json!({ "identifier": "slow", "action": "A", "resourceType": "slow" }).to_string();
    let mut sender = Connection::open(&server.url).unwrap();
    let head = format!(
        "POST /v1/audit-log HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\nexpect: 100-continue\r\n\
         content-length: {}\r\n\r\n",
        server.token,
        event.len()
    );
    sender.send(&head).unwrap();
    assert_eq!(sender.reply().unwrap().status, 100);
    let mut tails: Vec<_> = (0..3).map(|_| tail(&server)).collect();
    let asked = || {
        let mut next = Connection::open(&server.url).unwrap();
        next.request("GET", "/v1/audit-log?limit=1", &server.token, "").unwrap()
    };
    for _ in 0..30 {
        let refused = asked();
        assert_eq!(refused.status, 503, "{}", refused.body);
        assert!(refused.body.contains("overloaded") && refused.body.contains("connections_max"), "{}", refused.body);
        is_well("127.0.0.1", &server.url);
    }
    // The requests that occupy connections continue.
    sender.send(&event).unwrap();
    assert_eq!(sender.reply().unwrap().status, 201);
    eventually("a place", || (asked().status == 200).then_some(()));
    for tail in &mut tails {
        announces(tail, "\"slow\"");
    }
    eventually("the record of what was refused", || {
        let refused = server.list("origin=auditbox&status_code=503").json();
        let (action, message) = (&refused["audits"][0]["action"], refused["audits"][0]["message"].as_str());
        (action == "audit_log.list" && message.is_some_and(|said| said.contains("connections_max"))).then_some(())
    });
    drop(tails);
    let (status, directory) = server.stop();
    assert!(status.success());
    let log = fs::read_to_string(directory.path().join("stderr.txt")).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("requests hold all connections")).collect();
    assert!(lines.len() == 2 && lines[1].contains("refused=29"), "one line for the first, and one for the rest: {log}");
}

/// A server with a certificate, and the TLS configuration of its client.
struct Secured {
    process: Process,
    url: String,
    client: Arc<ClientConfig>,
    _directory: TempDir,
}

impl Secured {
    fn start() -> Self {
        Self::start_with(&[FEW])
    }

    fn start_with(environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (directory.path().join("certificate.pem"), directory.path().join("key.pem"));
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let mut command = program(directory.path());
        command.env("AUDITBOX_SERVER_TLS_CERTIFICATE", &certificate).env("AUDITBOX_SERVER_TLS_KEY", key);
        command.envs(environment.iter().copied());
        let process = Process::start(&mut command);
        let url = process.url();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let client = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
        Self { process, url, client, _directory: directory }
    }

    fn connect(&self, source: &str) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let client = ClientConnection::new(Arc::clone(&self.client), name).unwrap();
        StreamOwned::new(client, connect_from(source, &self.url))
    }
}

#[test]
fn idle_connections_over_tls_leave_health_answered() {
    for idler in [Silent, Kept, HalfOfTheNextHead, LoginWithoutABody] {
        let mut server = Secured::start();
        let mut idle = Vec::new();
        for _ in 0..2 * CONNECTIONS_MAX {
            let mut stream = server.connect("127.0.0.1");
            idler.play(&mut stream).unwrap_or_else(|error| panic!("{idler:?}: {error}"));
            idle.push(stream);
        }
        for source in ["127.0.0.1", "127.0.0.3"] {
            Kept.play(&mut server.connect(source)).unwrap_or_else(|error| panic!("{idler:?}: {error}"));
        }
        drop(idle);
        assert!(server.process.stop().success());
    }
}

#[test]
fn unfinished_handshakes_leave_health_answered() {
    let mut server = Secured::start();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // As many as would take a minute if each had to wait for a place.
            let mut unfinished = Vec::new();
            while !over.load(Ordering::Relaxed) {
                if unfinished.len() < 8 * CONNECTIONS_MAX {
                    let mut stream = connect_from("127.0.0.1", &server.url);
                    drop(stream.write_all(b"\x16\x03\x01"));
                    unfinished.push(stream);
                } else {
                    thread::sleep(Duration::from_millis(10));
                }
            }
        });
        thread::sleep(Duration::from_secs(1));
        let answered: Vec<_> = ["127.0.0.1", "127.0.0.3"]
            .iter()
            .map(|source| Kept.play(&mut server.connect(source)).map_err(|error| format!("{source}: {error}")))
            .collect();
        over.store(true, Ordering::Relaxed);
        assert!(answered.iter().all(Result::is_ok), "{answered:?}");
    });
    assert!(server.process.stop().success());
}

/// The number of idle connections, and the duration.
fn siege() -> (usize, Duration) {
    let asked = env::var("AUDITBOX_IDLE").ok();
    let long = asked.as_deref().and_then(|asked| asked.split_once(':'));
    long.map_or((300, Duration::from_secs(2)), |(connections, seconds)| {
        (connections.parse().unwrap(), Duration::from_secs(seconds.parse().unwrap()))
    })
}

/// Keeps this many connections idle until `is_over`, and replaces those that the server closes.
fn besiege(url: &str, connections: usize, is_over: &AtomicBool, opened: &AtomicUsize) {
    let idlers: [&[u8]; 4] = [b"", HEALTH, b"GET /healthz HT", b"\x16\x03\x01"];
    let mut streams: Vec<Option<TcpStream>> = (0..connections).map(|_| None).collect();
    let mut buffer = [0; 1024];
    while !is_over.load(Ordering::Relaxed) {
        for (n, slot) in streams.iter_mut().enumerate() {
            let is_open = slot.as_mut().is_some_and(|stream| match stream.read(&mut buffer) {
                Ok(read) => read > 0,
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            });
            if !is_open && !is_over.load(Ordering::Relaxed) {
                let mut stream = connect_from("127.0.0.1", url);
                drop(stream.write_all(idlers[n % idlers.len()]));
                stream.set_nonblocking(true).unwrap();
                *slot = Some(stream);
                opened.fetch_add(1, Ordering::Relaxed);
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn health_is_answered_at_the_default_limits_however_many_connections_are_idle() {
    let (connections, length) = siege();
    // This process holds the other end of each connection.
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    }
    for is_secured in [false, true] {
        let plain = (!is_secured).then(Server::start);
        let secured = is_secured.then(|| Secured::start_with(&[]));
        let url = plain.as_ref().map_or_else(|| secured.as_ref().unwrap().url.clone(), |server| server.url.clone());
        let (is_over, opened) = (AtomicBool::new(false), AtomicUsize::new(0));
        let mut waits = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| besiege(&url, connections, &is_over, &opened));
            let begun = Instant::now();
            while begun.elapsed() < length {
                let asked = Instant::now();
                let answered = match &secured {
                    Some(server) => Kept.play(&mut server.connect("127.0.0.1")),
                    None => Kept.play(&mut connect_from("127.0.0.1", &url)),
                };
                waits.push(asked.elapsed());
                if let Err(error) = answered {
                    is_over.store(true, Ordering::Relaxed);
                    panic!("health after {:?}: {error}", begun.elapsed());
                }
                thread::sleep(Duration::from_millis(50));
            }
            is_over.store(true, Ordering::Relaxed);
        });
        waits.sort_unstable();
        let at = |share: usize| waits[(waits.len() - 1) * share / 100];
        println!(
            "{}: {connections} idle, {} opened; health asked {} times: median {:?}, p99 {:?}, longest {:?}",
            if is_secured { "TLS" } else { "plain" },
            opened.into_inner(),
            waits.len(),
            at(50),
            at(99),
            at(100)
        );
    }
}
