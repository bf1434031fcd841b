//! Real senders while requests fail: with a status that asks them to wait, with a cut connection before or after the server has
//! the request, and with a server that is killed.
//!
//! What a sender repeats must be stored once if its records have a key, and at least once otherwise.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use super::{
    daemons::{Programs, Target, logger},
    senders, start, stored,
};
use crate::harness::{Server, soon};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// This response, without the server.
    Status(&'static str),
    /// The connection ends before the server has the request.
    CutBefore,
    /// The server has stored the request, and the response is lost.
    CutAfter,
    /// The server is killed with the request, and starts again.
    Kill,
    /// The server is told to stop with the request, and starts again.
    Stop,
}

const UNAVAILABLE: Trouble = Trouble::Status("503 Service Unavailable\r\nRetry-After: 1");
const TOO_MANY: Trouble = Trouble::Status("429 Too Many Requests\r\nRetry-After: 1");

/// A proxy in front of a server, which treats the first requests that carry records as its script says.
struct TroubleProxy {
    url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    server: Server,
    script: VecDeque<Trouble>,
}

impl TroubleProxy {
    fn start(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { server, script: VecDeque::new() }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, state) = (stream.unwrap(), Arc::clone(&shared));
                // A client that gives up ends its own connection only.
                thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Self { url, state }
    }
}

/// Reads one request and answers it; the connection ends with the response.
fn serve(mut client: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let Some((head, body)) = read_request(&mut client)? else { return Ok(()) };
    let carries_records = (head.starts_with("POST ") || head.starts_with("PUT ")) && !body.is_empty();
    let (trouble, target) = {
        let mut state = state.lock().unwrap();
        let trouble = if carries_records { state.script.pop_front() } else { None };
        (trouble, state.server.url.strip_prefix("http://").unwrap().to_owned())
    };
    if let Some(Trouble::Status(status)) = trouble {
        return write!(client, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
    if trouble == Some(Trouble::CutBefore) {
        return Ok(());
    }
    let mut server = TcpStream::connect(target)?;
    server.write_all(head.as_bytes())?;
    server.write_all(&body)?;
    if trouble == Some(Trouble::Kill) {
        let mut state = state.lock().unwrap();
        state.server.kill();
        state.server.start_again();
        return Ok(());
    }
    if trouble == Some(Trouble::Stop) {
        let mut state = state.lock().unwrap();
        state.server.signal("TERM");
        state.server.wait();
        state.server.start_again();
    }
    let mut response = Vec::new();
    server.read_to_end(&mut response)?;
    if trouble == Some(Trouble::CutAfter) {
        return Ok(());
    }
    client.write_all(&response)
}

/// The head of a request, changed so that the connection closes after the response, and its body as it is sent.
fn read_request(client: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    let end = loop {
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            break end;
        }
        match client.read(&mut buffer)? {
            0 => return Ok(None),
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut body = bytes.split_off(end + 4);
    let header = |name: &str| {
        head.lines().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)))
    };
    if header("expect").is_some() {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let length = header("content-length").map_or(0, |(_, length)| length.parse().unwrap());
    let is_chunked = header("transfer-encoding").is_some();
    while if is_chunked { !body.ends_with(b"0\r\n\r\n") } else { body.len() < length } {
        match client.read(&mut buffer)? {
            0 => return Ok(None),
            read => body.extend_from_slice(&buffer[..read]),
        }
    }
    let is_kept = |line: &&str| {
        let lower = line.to_ascii_lowercase();
        !lower.starts_with("connection:") && !lower.starts_with("expect:")
    };
    let lines: Vec<&str> = head.lines().filter(is_kept).collect();
    Ok(Some((format!("{}\r\nconnection: close\r\n\r\n", lines.join("\r\n")), body)))
}

/// Waits until the events of a query are there, and counts how often each message is stored.
fn counts(proxy: &TroubleProxy, query: &str, distinct: usize, log: &dyn Fn() -> String) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let is_there = soon(|| {
        let state = proxy.state.lock().unwrap();
        counts.clear();
        for event in stored(&state.server, &format!("limit=1000&{query}")) {
            *counts.entry(event["message"].as_str().unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
        counts.len() >= distinct && state.script.is_empty()
    });
    let script = proxy.state.lock().unwrap().script.clone();
    assert!(is_there, "{query}: {} of {distinct}; left of the script: {script:?}\n{}", counts.len(), log());
    counts
}

/// The scripts: the resource type of their events, whether the events have a key, and what the sender survives.
const SCRIPTS: &[(&str, &str, bool, &[Trouble])] = &[
    ("opentelemetry-client.py", "opentelemetry-python", true, &[UNAVAILABLE, TOO_MANY, Trouble::CutAfter]),
    ("opentelemetry.js", "opentelemetry-js", true, &[UNAVAILABLE, TOO_MANY]),
    (
        "elasticsearch-client.py",
        "elasticsearch-py",
        true,
        &[UNAVAILABLE, TOO_MANY, Trouble::CutBefore, Trouble::CutAfter, Trouble::Kill, Trouble::Stop],
    ),
    (
        "opensearch-client.py",
        "opensearch-py",
        true,
        &[UNAVAILABLE, TOO_MANY, Trouble::CutBefore, Trouble::CutAfter, Trouble::Kill],
    ),
    ("elasticsearch.js", "elasticsearch-js", true, &[UNAVAILABLE, Trouble::CutBefore, Trouble::CutAfter]),
    ("splunk-handler-client.py", "splunk-handler", false, &[UNAVAILABLE, Trouble::CutBefore, Trouble::Kill]),
];
/// Records of each script.
const RECORDS: usize = 30;
/// The largest batch of the scripts for OpenTelemetry.
const BATCH: usize = 10;
const TOO_LARGE: Trouble = Trouble::Status("413 Payload Too Large");

#[test]
fn libraries_lose_and_double_nothing_in_trouble() {
    let Some(packages) = senders::packages() else { return };
    let server = start("");
    let token = server.credential("sender", &["ingest"]);
    let proxy = TroubleProxy::start(server);
    let target = Target { url: &proxy.url, token: &token };
    // A batch that is too large is dropped, and costs no other.
    let too_large = ("opentelemetry-client.py", "too-large", true, &[TOO_LARGE][..]);
    for (script, resource, has_key, troubles) in SCRIPTS.iter().chain([&too_large]) {
        proxy.state.lock().unwrap().script = troubles.iter().copied().collect();
        let variables = [("RECORDS", &*RECORDS.to_string()), ("SERVICE", resource)];
        let output = senders::send(&packages, &format!("trouble/{script}"), &target, &variables);
        let dropped = if troubles.contains(&TOO_LARGE) { BATCH } else { 0 };
        let counts = counts(&proxy, &format!("resources={resource}"), RECORDS - dropped, &|| output.clone());
        assert!(!has_key || counts.values().all(|count| *count == 1), "{script}: {counts:?}");
    }
}

#[test]
fn daemons_lose_and_double_nothing_in_trouble() {
    let Some(programs) = Programs::find() else { return };
    let server = start("");
    let token = server.credential("sender", &["ingest"]);
    let proxy = TroubleProxy::start(server);
    let target = Target { url: &proxy.url, token: &token };
    let cuts = [Trouble::CutBefore, Trouble::CutAfter, Trouble::Kill, Trouble::Stop];
    let all = [&[UNAVAILABLE, TOO_MANY][..], &cuts].concat();
    // rsyslog drops a batch after any response that is an error.
    for (name, troubles) in [("rsyslog", &cuts[..]), ("syslog-ng", &all)] {
        proxy.state.lock().unwrap().script = troubles.iter().copied().collect();
        let is_rsyslog = name == "rsyslog";
        let (daemon, socket) =
            if is_rsyslog { programs.rsyslog_to_bulk(&target) } else { programs.syslog_ng_to_bulk(&target) };
        for number in 0..RECORDS {
            logger(&["--socket", &socket, "--tag", "shop"], &format!("role {number} was changed"));
            // Several requests, so that each of the troubles comes.
            thread::sleep(Duration::from_millis(50));
        }
        let counts = counts(&proxy, &format!("action={name}.bulk"), RECORDS, &|| programs.logs());
        assert!(counts.values().all(|count| *count == 1), "{name}: {counts:?}\n{}", programs.logs());
        drop(daemon);
    }
}
