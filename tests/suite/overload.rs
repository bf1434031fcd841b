//! More load of every kind than the server can take. It stays up, rejects what it cannot take with a time to retry,
//! keeps its memory within bounds, and recovers afterwards.
//!
//! In `cargo test` this takes a few seconds, and asserts only what holds on any machine. The long form measures:
//!
//! ```text
//! cargo build --release
//! AUDITBOX_OVERLOAD=long AUDITBOX_TEST_PROGRAM=target/release/auditbox \
//!     cargo test --test suite -- overload --nocapture
//! ```
//!
//! It takes a minute and a half, prints its figures, and also asserts the aims: 99 of 100 health checks within 100 ms,
//! full speed again within a second. This process makes the load on the same machine: four times the event rate that
//! four connections reached before (without identifiers, so that a batch costs the sender nothing); connections that
//! send nothing, send their heads or bodies byte by byte, or stall; readers that take whole pages one kilobyte at a
//! time; live tails that read nothing.
//!
//! A second test adds the longest and the largest requests: as many idle connections as the server accepts, four
//! searches through every identifier, and clients that request the longest lists and read nothing.
//! `AUDITBOX_OVERLOAD=long` runs its long form too (`overload::everything`): every health check within a second, and 99
//! of 100 within 100 ms.

#![allow(clippy::cast_precision_loss, reason = "rates are printed with a few digits")]

use std::{
    collections::BTreeMap,
    env, fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{SOON, Server, eventually, run};

const BATCH_EVENTS: u64 = 500;
/// The documented bound: bodies, the queue and the newest events at their limits, and the program itself.
const MEMORY_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const OVER: u64 = 4;
/// Maximum size of the write-ahead log: the size beyond which the writer waits for readers, and what may be added
/// meanwhile.
const WAL_BYTES_MAX: u64 = 320 * 1024 * 1024;
/// Number of concurrent searches.
const SEARCHES: usize = 4;
/// Fewer requests than this are no overload.
const FEW: u64 = 200;
/// One batch: such a short queue is full at once in any build.
const QUEUE_SHORT: &str = "500";

/// The amount of load of each kind.
struct Size {
    long: bool,
    measured: Duration,
    load: Duration,
    senders: u64,
    silent: usize,
    slow_heads: usize,
    slow_bodies: usize,
    stalled_bodies: usize,
    slow_readers: usize,
    tails: usize,
    searches: usize,
    unread_lists: usize,
}

const SHORT: Size = Size {
    long: false,
    measured: Duration::from_secs(1),
    load: Duration::from_secs(4),
    senders: 16,
    silent: 100,
    slow_heads: 50,
    slow_bodies: 25,
    stalled_bodies: 25,
    slow_readers: 5,
    tails: 20,
    searches: 0,
    unread_lists: 0,
};
const LONG: Size = Size {
    long: true,
    measured: Duration::from_secs(10),
    load: Duration::from_secs(60),
    senders: 64,
    silent: 1_000,
    slow_heads: 400,
    slow_bodies: 300,
    stalled_bodies: 300,
    slow_readers: 20,
    tails: 100,
    searches: 0,
    unread_lists: 0,
};
/// Every kind of load; the number of idle connections is the maximum that the server accepts.
const EVERYTHING_SHORT: Size =
    Size { senders: 8, silent: 300, searches: SEARCHES, unread_lists: 50, slow_heads: 0, ..SHORT };
const EVERYTHING_LONG: Size =
    Size { silent: 4_096, searches: SEARCHES, unread_lists: 600, slow_heads: 0, tails: 25, ..LONG };

/// The size of the long form if it was requested.
fn size(short: Size, long: Size) -> Size {
    if env::var("AUDITBOX_OVERLOAD").is_ok_and(|form| form == "long") { long } else { short }
}

/// Observations from outside.
#[derive(Default)]
struct Seen {
    /// Requests to ingest, by status; 0 for a connection that broke.
    statuses: Mutex<BTreeMap<u16, u64>>,
    /// Rejected requests without a `Retry-After` header.
    without_retry: AtomicU64,
    /// Microseconds until `/healthz` or `/readyz` responded, and the second of the load in which it was requested.
    health: Mutex<Vec<(u64, u64)>>,
    /// Health checks without a response, and health checks on new connections with a response during the load.
    unanswered: AtomicU64,
    answered: AtomicU64,
    /// All slow and idle connections have been opened.
    is_full: AtomicBool,
    searched: AtomicU64,
    memory_bytes: AtomicU64,
    wal_bytes: AtomicU64,
    over: AtomicBool,
}

impl Seen {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn count(&self, status: u16) -> u64 {
        self.statuses.lock().unwrap().get(&status).copied().unwrap_or(0)
    }
}

/// One connection that sends one request after another.
struct Client<'s> {
    server: &'s Server,
    stream: Option<TcpStream>,
}

impl<'s> Client<'s> {
    fn new(server: &'s Server) -> Self {
        Self { server, stream: None }
    }

    /// The status and the head of the response; `None` if the connection broke.
    fn send(&mut self, request: &[u8]) -> Option<(u16, String)> {
        let answered = self.try_send(request);
        if answered.is_none() {
            self.stream = None;
        }
        answered
    }

    fn try_send(&mut self, request: &[u8]) -> Option<(u16, String)> {
        if self.stream.is_none() {
            self.stream = Some(connect(self.server)?);
        }
        let stream = self.stream.as_mut()?;
        stream.write_all(request).ok()?;
        let (mut answer, mut buffer) = (Vec::new(), [0; 16 * 1024]);
        loop {
            let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
            answer.extend_from_slice(&buffer[..read]);
            let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1)?.lines().next()?.parse::<usize>().ok()?;
            if answer.len() >= end + 4 + length {
                return Some((head.split(' ').nth(1)?.parse().ok()?, head));
            }
        }
    }
}

fn connect(server: &Server) -> Option<TcpStream> {
    let stream = TcpStream::connect(server.url.strip_prefix("http://")?).ok()?;
    stream.set_nodelay(true).ok()?;
    stream.set_read_timeout(Some(SOON)).ok()?;
    stream.set_write_timeout(Some(SOON)).ok()?;
    Some(stream)
}

fn request(token: &str, line: &str, more: &str, body: &str) -> Vec<u8> {
    let head = format!("{line} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{more}\r\n");
    [head.as_bytes(), body.as_bytes()].concat()
}

/// A batch that can be sent repeatedly: the server assigns new identifiers each time.
fn batch(token: &str) -> Vec<u8> {
    let event = |number: u64| {
        let entity = format!("service-{}", number % 97);
        json!({
            "action": "UPDATE", "resourceType": "overload", "message": "replicas were changed by the autoscaler",
            "trigger": { "origin": "API", "by": { "userId": format!("user-{}", number % 31), "type": "user" } },
            "context": { "entity": entity, "blueprint": "service", "runId": format!("run-{number}") },
            "diff": { "before": { "identifier": entity, "replicas": number }, "after": { "identifier": entity, "replicas": number + 1 } },
        })
        .to_string()
            + "\n"
    };
    let body: String = (0..BATCH_EVENTS).map(event).collect();
    request(token, "POST /v1/audit-log", &format!("content-length: {}\r\n", body.len()), &body)
}

/// Sends from four connections for a time. Returns events per second, and the counts in windows of a tenth of a second.
fn measure(server: &Server, batch: &[u8], length: Duration) -> (f64, Vec<u64>, u64) {
    const WINDOW: Duration = Duration::from_millis(100);
    let begun = Instant::now();
    let windows = Mutex::new(vec![0; usize::try_from(length.as_millis() / WINDOW.as_millis()).unwrap() + 1]);
    let stored = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::new(server);
                while begun.elapsed() < length {
                    if client.send(batch).is_some_and(|(status, _)| status == 201) {
                        stored.fetch_add(BATCH_EVENTS, Ordering::Relaxed);
                        let window = begun.elapsed().as_millis() / WINDOW.as_millis();
                        if let Some(window) = windows.lock().unwrap().get_mut(usize::try_from(window).unwrap()) {
                            *window += BATCH_EVENTS;
                        }
                    }
                }
            });
        }
    });
    let stored = stored.into_inner();
    let rate = stored as f64 / begun.elapsed().as_secs_f64();
    (rate, windows.into_inner().unwrap(), stored)
}

/// Sends batches at a fixed pace, regardless of the responses.
fn offer(server: &Server, batch: &[u8], pause: Duration, seen: &Seen) {
    let (mut client, mut next) = (Client::new(server), Instant::now());
    while !seen.is_over() {
        let answered = client.send(batch);
        let status = answered.as_ref().map_or(0, |(status, _)| *status);
        *seen.statuses.lock().unwrap().entry(status).or_default() += 1;
        if answered.is_some_and(|(status, head)| status >= 400 && !head.contains("\r\nretry-after: ")) {
            seen.without_retry.fetch_add(1, Ordering::Relaxed);
        }
        // A delayed sender does not catch up, because that would change the shape of the load.
        next = (next + pause).max(Instant::now());
        thread::sleep(next.saturating_duration_since(Instant::now()).min(Duration::from_secs(1)));
    }
}

/// Requests the server's health, alternately on a kept connection and on a new one.
fn watch(server: &Server, seen: &Seen) {
    let log = server.database().with_extension("db-wal");
    let requests = ["/healthz", "/readyz"].map(|path| (path, request("none", &format!("GET {path}"), "", "")));
    let (mut kept, start) = (Client::new(server), Instant::now());
    while !seen.is_full.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(10));
    }
    while !seen.is_over() {
        for (path, request) in &requests {
            for is_new in [false, true] {
                let begun = Instant::now();
                let answered = if is_new { Client::new(server).send(request) } else { kept.send(request) };
                let micros = u64::try_from(begun.elapsed().as_micros()).unwrap();
                match answered {
                    Some((status, _)) => assert!(*path != "/healthz" || status == 200, "{status}: {}", server.log()),
                    None => drop(seen.unanswered.fetch_add(1, Ordering::Relaxed)),
                }
                if is_new && !seen.is_over() {
                    seen.answered.fetch_add(1, Ordering::Relaxed);
                }
                seen.health.lock().unwrap().push((micros, (begun - start).as_secs()));
            }
        }
        seen.memory_bytes.fetch_max(memory_bytes(server), Ordering::Relaxed);
        seen.wal_bytes.fetch_max(fs::metadata(&log).map_or(0, |file| file.len()), Ordering::Relaxed);
        thread::sleep(Duration::from_millis(50));
    }
}

/// Repeatedly searches every identifier for text that does not occur.
fn search(server: &Server, seen: &Seen) {
    let path = "/v1/audit-log/stats?q=no-such-word&facets=entity,actor,path&histogram=auto";
    let request = request(&server.token, &format!("GET {path}"), "", "");
    let mut client = Client::new(server);
    while !seen.is_over() {
        if client.send(&request).is_some_and(|(status, _)| status == 200) {
            seen.searched.fetch_add(1, Ordering::Relaxed);
        } else {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn memory_bytes(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

/// Keeps slow and idle connections until the load ends, and replaces those that the server closes.
fn hold_connections(server: &Server, size: &Size, seen: &Seen) {
    let whole = "x".repeat(1_000_000);
    let post = request(&server.token, "POST /v1/audit-log", "content-length: 1000000\r\n", "");
    let get = request(&server.token, "GET /v1/audit-log?limit=10000&resources=overload", "", "");
    let tail = request(&server.token, "GET /v1/audit-log/stream?resources=overload", "", "");
    let list = request(&server.token, "GET /v1/audit-log?limit=100000", "", "");
    // The bytes to send at once, the bytes to send one by one, and whether to read.
    let kinds: [(usize, &[u8], &[u8], bool); 7] = [
        (size.unread_lists, &list, b"", false),
        (size.silent, b"", b"", false),
        (size.slow_heads, b"", &post, false),
        (size.slow_bodies, &post, whole.as_bytes(), false),
        (size.stalled_bodies, &post, b"", false),
        (size.slow_readers, &get, b"", true),
        (size.tails, &tail, b"", false),
    ];
    let mut connections: Vec<_> = kinds
        .iter()
        .flat_map(|(count, at_once, slowly, reads)| (0..*count).map(move |_| (*at_once, *slowly, *reads)))
        .map(|kind| (kind, None::<TcpStream>, 0))
        .collect();
    while !seen.is_over() {
        for ((at_once, slowly, reads), stream, sent) in &mut connections {
            if stream.is_none() {
                let Some(mut new) = connect(server) else { continue };
                if new.write_all(at_once).is_ok() && new.set_nonblocking(true).is_ok() {
                    (*stream, *sent) = (Some(new), 0);
                }
            }
            let Some(open) = stream.as_mut() else { continue };
            let mut buffer = [0; 1_024];
            let was_written = match slowly.get(*sent..=*sent) {
                Some(byte) => open.write(byte).map(|written| *sent += written),
                None => Ok(()),
            };
            let was_read = if *reads { open.read(&mut buffer) } else { Ok(1) };
            let is_closed = |error: std::io::Error| error.kind() != ErrorKind::WouldBlock;
            if matches!(was_read, Ok(0)) || was_read.is_err_and(is_closed) || was_written.is_err_and(is_closed) {
                *stream = None;
            }
        }
        seen.is_full.store(true, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(100));
    }
}

/// Makes the load for its duration.
fn load(server: &Server, size: &Size, batch: &[u8], rate: f64, seen: &Seen) {
    let pause = Duration::from_secs_f64((size.senders * BATCH_EVENTS) as f64 / (rate * OVER as f64).max(1.0));
    thread::scope(|scope| {
        scope.spawn(|| hold_connections(server, size, seen));
        for _ in 0..size.senders {
            scope.spawn(|| offer(server, batch, pause, seen));
        }
        for _ in 0..size.searches {
            scope.spawn(|| search(server, seen));
        }
        scope.spawn(|| watch(server, seen));
        thread::sleep(size.load);
        seen.over.store(true, Ordering::Relaxed);
    });
}

/// Prints the observations and asserts what holds on any machine. Returns the times of the health checks, sorted.
fn report_and_check(size: &Size, seen: &Seen) -> Vec<(u64, u64)> {
    let mut health = seen.health.lock().unwrap().clone();
    health.sort_unstable();
    let statuses = seen.statuses.lock().unwrap().clone();
    let stored = seen.count(201) * BATCH_EVENTS;
    let [memory_bytes, wal_bytes, unanswered, searched] =
        [&seen.memory_bytes, &seen.wal_bytes, &seen.unanswered, &seen.searched].map(|one| one.load(Ordering::Relaxed));
    println!(
        "responses to ingest, by status: {statuses:?}; stored {:.0} events/s",
        stored as f64 / size.load.as_secs_f64()
    );
    println!(
        "health: {} requests, {unanswered} without a response, median {} us, p99 {} us, longest {} us",
        health.len(),
        at(&health, 500),
        at(&health, 990),
        at(&health, 1_000)
    );
    println!("longest, with their seconds: {:?}", &health[health.len().saturating_sub(8)..]);
    println!("memory: {} MiB at most; write-ahead log: {} MiB at most", memory_bytes >> 20, wal_bytes >> 20);
    println!("{searched} searches");
    assert!(statuses.keys().all(|status| matches!(status, 0 | 201 | 429 | 503)), "{statuses:?}");
    assert_eq!(seen.without_retry.load(Ordering::Relaxed), 0, "every rejection has a time to retry");
    assert_eq!(unanswered, 0, "every health check gets a response");
    assert!(seen.answered.load(Ordering::Relaxed) > 0, "no health check succeeded on a new connection during the load");
    assert!(memory_bytes <= MEMORY_BYTES_MAX, "{memory_bytes}");
    assert!(wal_bytes <= WAL_BYTES_MAX, "{wal_bytes}");
    health
}

fn at(health: &[(u64, u64)], share: usize) -> u64 {
    health[(health.len() - 1) * share / 1_000].0
}

/// Acknowledged events are stored. A batch whose connection broke before its response may be stored too.
fn nothing_is_lost(server: Server, acknowledged: u64, seen: &Seen) {
    let acknowledged = acknowledged + seen.count(201) * BATCH_EVENTS;
    let broken = seen.count(0) * BATCH_EVENTS;
    let count = eventually("an answer", || {
        let answer = server.get("/v1/audit-log/stats?resources=overload");
        (answer.status == 200).then(|| answer.json()["count"].as_u64().unwrap())
    });
    assert!((acknowledged..=acknowledged + broken).contains(&count), "{count} of {acknowledged}, {broken} uncertain");
    assert_eq!(server.get("/v1/audit-log?limit=1").json()["ok"], Value::Bool(true));
    let (status, directory) = server.stop();
    assert!(status.success());
    assert!(run(directory.path(), &["doctor"]).status.success());
}

#[test]
fn the_server_survives_an_overload() {
    let size = size(SHORT, LONG);
    // A short queue and short batches, so that the load fills the queue in any build.
    let short = [("AUDITBOX_LIMITS_QUEUE_EVENTS_MAX", QUEUE_SHORT), ("AUDITBOX_LIMITS_BATCH_EVENTS_MAX", QUEUE_SHORT)];
    let server = Server::start_with(if size.long { &[] } else { &short });
    let batch = batch(&server.token);
    let (rate, _, before) = measure(&server, &batch, size.measured);
    println!("sustained before: {rate:.0} events/s; offered: {:.0} events/s", rate * OVER as f64);
    let (calm_bytes, seen) = (memory_bytes(&server), Seen::default());
    load(&server, &size, &batch, rate, &seen);
    let (rate_after, windows, after) = measure(&server, &batch, size.measured);
    let health = report_and_check(&size, &seen);
    println!("memory before: {} MiB", calm_bytes >> 20);
    println!("after: {rate_after:.0} events/s; by tenths of a second {:?}", &windows[..windows.len().min(20)]);

    let statuses = seen.statuses.lock().unwrap().clone();
    assert!(seen.count(0) * 100 <= statuses.values().sum::<u64>(), "valid senders are not disconnected: {statuses:?}");
    assert!(seen.count(201) > 0, "events are accepted: {statuses:?}");
    // On a machine that is busy with other work, the few requests may not meet.
    let is_loaded = statuses.values().sum::<u64>() >= FEW;
    assert!(size.long || !is_loaded || seen.count(503) > 0, "the excess is rejected: {statuses:?}");
    if size.long {
        // The longest times come from moments when hundreds of connections are closed and reopened at once. The load
        // runs on the same cores.
        assert!(at(&health, 990) < 100_000, "health within 100 ms");
        // Full speed is relative to the present log, which is millions of events longer and has chunks being sealed.
        let per_second = |tenths: &[u64]| tenths.iter().sum::<u64>() * 10 / tenths.len() as u64;
        let (second, later) = (per_second(&windows[10..20]), per_second(&windows[50..100]));
        println!("in the second second after: {second} events/s; in the sixth and later: {later}");
        assert!(second * 10 >= later * 8, "full speed again after a second: {second} of {later}");
    }
    nothing_is_lost(server, before + after, &seen);
}

#[test]
fn everything_at_once_leaves_health_answered_memory_bounded_and_no_event_lost() {
    let size = size(EVERYTHING_SHORT, EVERYTHING_LONG);
    let server = Server::start_with(&[("AUDITBOX_SERVER_CONNECTIONS_MAX", &size.silent.to_string())]);
    let batch = batch(&server.token);
    let (rate, _, before) = measure(&server, &batch, size.measured);
    println!("sustained before: {rate:.0} events/s; offered: {:.0} events/s", rate * OVER as f64);
    let seen = Seen::default();
    load(&server, &size, &batch, rate, &seen);
    let health = report_and_check(&size, &seen);
    if size.long {
        assert!(at(&health, 1_000) < 1_000_000, "health within a second");
        assert!(at(&health, 990) < 100_000, "health within 100 ms");
    }
    nothing_is_lost(server, before, &seen);
}
