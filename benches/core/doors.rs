//! What the doors cost: processor time per record compared with plain ingest, messages of syslog per second, and the memory of an
//! idle server in which every door is open.

use std::{
    fmt::Write as _,
    io::Write,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use crate::server::Server;

const ROUNDS: usize = 5;
const BATCHES: usize = 100;
const BATCH: usize = 500;
const CONNECTIONS: usize = 4;
/// Messages of syslog in all, over all connections.
const MESSAGES: usize = 1_000_000;
const POLL: Duration = Duration::from_millis(20);

/// A way in, and the batches that go through it.
struct Way {
    name: &'static str,
    path: &'static str,
    content_type: &'static str,
    status: &'static [u8],
    /// The body with this number, of [`BATCH`] records.
    body: Box<dyn Fn(usize) -> Vec<u8>>,
    /// Processor time per record in microseconds, of each round.
    microseconds: Vec<f64>,
}

/// Processor time per record of 1 kB through each door, in rounds that alternate with plain ingest.
pub(crate) fn cpu(events: &[String]) {
    let events = events.to_vec();
    let plain = move |number: usize| {
        let event = |index: usize| {
            let event = &events[(number * BATCH + index) % events.len()];
            event.replacen("{\"identifier\":\"", &format!("{{\"identifier\":\"{number}-"), 1)
        };
        (0..BATCH).map(event).collect::<Vec<_>>().join("\n").into_bytes()
    };
    let way =
        |name, path, content_type, status, body| Way { name, path, content_type, status, body, microseconds: vec![] };
    let mut ways = [
        way(
            "plain",
            "/v1/audit-log",
            "application/json",
            &b"HTTP/1.1 201"[..],
            Box::new(plain) as Box<dyn Fn(usize) -> Vec<u8>>,
        ),
        way("OTLP protobuf", "/v1/logs", "application/x-protobuf", b"HTTP/1.1 200", Box::new(otlp)),
        way("HEC", "/services/collector/event", "application/json", b"HTTP/1.1 200", Box::new(collector)),
        way("bulk", "/audit/_bulk", "application/x-ndjson", b"HTTP/1.1 200", Box::new(bulk)),
    ];
    let server = Server::start(&[]);
    let mut bytes = [0; 4];
    for round in 0..ROUNDS {
        for (index, way) in ways.iter_mut().enumerate() {
            let bodies: Vec<Vec<u8>> = (0..BATCHES).map(|batch| (way.body)(round * BATCHES + batch)).collect();
            bytes[index] = bodies.iter().map(Vec::len).sum::<usize>() / (BATCHES * BATCH);
            let before = server.cpu_seconds();
            server.send(way.path, way.content_type, &bodies, CONNECTIONS, way.status);
            way.microseconds.push((server.cpu_seconds() - before) * 1e6 / (BATCHES * BATCH) as f64);
        }
    }
    let plain = median(&ways[0].microseconds);
    for (way, bytes) in ways.iter().zip(bytes) {
        let own = median(&way.microseconds);
        println!(
            "{}: {own:.1} us of processor time per record of {bytes} bytes ({:.2} of plain ingest)",
            way.name,
            own / plain
        );
    }
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// What surrounds the names of a record, so that it has about 1 kB.
fn details(number: usize) -> String {
    let mut text = String::new();
    for index in 0..9 {
        let _ = write!(
            text,
            ",\"detail_{index}\":\"value {} of request {number} to the catalog of services\"",
            index * number
        );
    }
    text
}

fn collector(batch: usize) -> Vec<u8> {
    let mut body = String::new();
    for index in 0..BATCH {
        let number = batch * BATCH + index;
        let _ = write!(
            body,
            "{{\"time\":{}.25,\"host\":\"web-{}\",\"source\":\"portal\",\"sourcetype\":\"_json\",\"event\":{{\"action\":\"role.update\",\"user\":\"user-{}\",\"src\":\"192.0.2.{}\",\"status\":\"success\",\"id\":\"{number}\"{}}}}}",
            1_767_323_045 + number,
            number % 20,
            number % 500,
            number % 250,
            details(number)
        );
    }
    body.into_bytes()
}

fn bulk(batch: usize) -> Vec<u8> {
    let mut body = String::new();
    for index in 0..BATCH {
        let number = batch * BATCH + index;
        let _ = writeln!(
            body,
            "{{\"create\":{{\"_id\":\"doc-{number}\"}}}}\n{{\"@timestamp\":\"2026-01-02T03:04:05.{:03}Z\",\"event\":{{\"action\":\"role.update\",\"category\":[\"iam\"],\"outcome\":\"success\"}},\"user\":{{\"name\":\"user-{}\"}},\"source\":{{\"ip\":\"192.0.2.{}\"}},\"service\":{{\"name\":\"portal\"}}{}}}",
            number % 1_000,
            number % 500,
            number % 250,
            details(number)
        );
    }
    body.into_bytes()
}

/// A field of a protobuf message whose wire type is LEN.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let (mut bytes, mut length) = (vec![tag << 3 | 2], content.len());
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(content);
    bytes
}

/// An `ExportLogsServiceRequest` (opentelemetry-proto).
fn otlp(batch: usize) -> Vec<u8> {
    let pair = |tag: u8, key: &str, value: &str| {
        field(tag, &[field(1, key.as_bytes()), field(2, &field(1, value.as_bytes()))].concat())
    };
    let record = |index: usize| {
        let number = batch * BATCH + index;
        let time = 1_767_323_045_000_000_000 + number as u64;
        let mut record = [&[1 << 3 | 1][..], &time.to_le_bytes(), &[2 << 3, 9]].concat();
        record.extend(field(5, &field(1, b"the role of a user was updated")));
        for (key, value) in [
            ("enduser.id", format!("user-{}", number % 500)),
            ("client.address", format!("192.0.2.{}", number % 250)),
            ("log.record.uid", format!("record-{number}")),
        ] {
            record.extend(pair(6, key, &value));
        }
        for detail in 0..9 {
            let value = format!("value {} of request {number} to the catalog of services", detail * number);
            record.extend(pair(6, &format!("detail_{detail}"), &value));
        }
        record.extend(field(9, &(number as u128).to_be_bytes()));
        record.extend(field(12, b"role.update"));
        field(2, &record)
    };
    let records: Vec<u8> = (0..BATCH).flat_map(record).collect();
    let scope = field(2, &[field(1, &field(1, b"portal")), records].concat());
    let resource = field(1, &pair(1, "service.name", "portal"));
    field(1, &[resource, scope].concat())
}

/// Messages of syslog over TCP on several connections, until all are stored.
pub(crate) fn syslog() {
    let server = Server::start_with(
        "[[syslog]]\nname = 'tcp'\nlisten = '127.0.0.1:0'\nprotocol = 'tcp'\ncredential = 'sender'\n",
    );
    let door = server.door("syslog/tcp");
    let port = door["addresses"][0].as_str().unwrap().rsplit_once(':').unwrap().1;
    let address = format!("127.0.0.1:{port}");
    let message = |number: usize| {
        format!(
            "<134>1 2026-01-02T03:04:05.{:06}Z web-{} portal {} audit [auth@32473 user=\"user-{}\" ip=\"192.0.2.{}\"] user user-{} updated the role of service {number}\n",
            number % 1_000_000,
            number % 20,
            number % 3_000,
            number % 500,
            number % 250,
            number % 500,
        )
    };
    let shares: Vec<String> =
        (0..CONNECTIONS).map(|share| (share..MESSAGES).step_by(CONNECTIONS).map(message).collect()).collect();
    let bytes = shares.iter().map(String::len).sum::<usize>() / MESSAGES;
    let (begun, before) = (Instant::now(), server.cpu_seconds());
    thread::scope(|scope| {
        for share in &shares {
            scope.spawn(|| TcpStream::connect(&address).unwrap().write_all(share.as_bytes()).unwrap());
        }
    });
    let mut stored = 0;
    while stored < MESSAGES as u64 {
        thread::sleep(POLL);
        let now = server.door("syslog/tcp")["stored"].as_u64().unwrap();
        assert!(now > stored || begun.elapsed() < Duration::from_mins(5), "{now} of {MESSAGES} messages are stored");
        stored = now;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let count = server.json("/v1/audit-log/stats?not.origin=auditbox")["count"].as_u64().unwrap();
    println!(
        "syslog over TCP, {CONNECTIONS} connections, messages of {bytes} bytes: {:.0} messages/s, {} of {MESSAGES} lost, {:.1} us of processor time each",
        MESSAGES as f64 / seconds,
        MESSAGES as u64 - count,
        (server.cpu_seconds() - before) * 1e6 / MESSAGES as f64
    );
}

/// The memory of an idle server with every door and two listeners for syslog.
pub(crate) fn idle() {
    let listener = |protocol: &str| {
        format!(
            "[[syslog]]\nname = '{protocol}'\nlisten = '127.0.0.1:0'\nprotocol = '{protocol}'\ncredential = 'sender'\n"
        )
    };
    let server = Server::start_with(&["udp", "tcp"].map(listener).concat());
    println!("idle memory with every door and syslog over UDP and TCP: {:.1} MB", server.resident_megabytes());
}
