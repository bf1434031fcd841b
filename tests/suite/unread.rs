//! Unread responses: they cost little memory, and they end.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use uuid::Uuid;

use crate::{
    harness::{SOON, Server, eventually},
    raw,
};

const MEBIBYTE: u64 = 1024 * 1024;

fn event(number: usize, filling: &str) -> Value {
    let at = format!("2024-05-01T{:02}:{:02}:{:02}Z", number / 3_600 % 24, number / 60 % 60, number % 60);
    json!({
        "identifier": format!("e{number:06}"), "action": "A", "resourceType": "listed", "trigger": { "at": at },
        "additionalData": filling,
    })
}

/// Text that is half as long when compressed.
fn noise() -> String {
    (0..13).map(|_| Uuid::new_v4().simple().to_string()).collect()
}

/// Sends a request and leaves its response unread after it has begun. The client's system buffers little of it.
fn unread(server: &Server, path: &str) -> TcpStream {
    unread_as(server, path, "identity")
}

fn unread_as(server: &Server, path: &str, encoding: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let address: SocketAddr = server.url.strip_prefix("http://").unwrap().parse().unwrap();
    socket.connect(&address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(SOON)).unwrap();
    let encoding = format!("accept-encoding: {encoding}");
    stream.write_all(&raw::head(server, &format!("GET {path}"), &[&encoding])).unwrap();
    assert_eq!(stream.peek(&mut [0]).unwrap(), 1, "{path}");
    stream
}

fn memory_bytes(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

#[test]
fn an_unread_list_of_any_length_costs_little_memory() {
    const LISTS: u64 = 40;
    let server = Server::start();
    let events: Vec<_> = (0..40_000).map(|number| event(number, &noise())).collect();
    events.chunks(10_000).for_each(|batch| drop(server.store(batch)));
    let path = "/v1/audit-log?limit=40000";
    for encoding in ["identity", "gzip", "zstd, deflate"] {
        // The first list fills caches; that is not the cost of each list.
        drop(unread_as(&server, path, encoding));
        let before = memory_bytes(&server);
        let lists: Vec<_> = (0..LISTS).map(|_| unread_as(&server, path, encoding)).collect();
        let each = memory_bytes(&server).saturating_sub(before) / LISTS;
        assert!(each < MEBIBYTE / 2, "{each} bytes for each list, {encoding}");
        drop(lists);
    }
}

#[test]
fn a_long_response_is_the_same_in_every_encoding() {
    let server = Server::start();
    let events: Vec<_> = (0..6_000).map(|number| event(number, &noise())).collect();
    events.chunks(3_000).for_each(|batch| drop(server.store(batch)));
    for path in ["/v1/audit-log", "/v1/audit-log/export?format=ndjson", "/v1/audit-log/export?format=csv"] {
        let path = format!("{path}{}resources=listed", if path.contains('?') { '&' } else { '?' });
        let bearer = format!("Bearer {}", server.token);
        let fetch = |encoding| {
            // The client decodes only gzip, so any other encoding would be noticed.
            let headers = [("authorization", &*bearer), ("accept-encoding", encoding)];
            server.request("GET", &path, &headers, b"").text
        };
        let plain = fetch("identity");
        assert!(plain.len() > 1_000_000, "{path}");
        for encoding in ["gzip", "gzip, deflate, br, zstd", "zstd, deflate", "gzip;q=0"] {
            assert!(fetch(encoding) == plain, "{path} as {encoding}");
        }
    }
    // The second of two pieces may have any size.
    for limit in (250..500).step_by(3) {
        let path = format!("/v1/audit-log?resources=listed&limit={limit}");
        assert_eq!(server.get(&path).identifiers().len(), limit);
    }
}

#[test]
fn a_stalled_response_is_ended_and_a_slowly_read_one_is_not() {
    let server = Server::start_with(&[("AUDITBOX_LIMITS_ANSWER_STALL_SECONDS", "2")]);
    let filling = "x".repeat(1_000);
    let events: Vec<_> = (0..12_000).map(|number| event(number, &filling)).collect();
    events.chunks(3_000).for_each(|batch| drop(server.store(batch)));
    let connections = || {
        let metrics = server.get("/metrics").text;
        let count = metrics.lines().find_map(|line| line.strip_prefix("auditbox_http_connections "));
        count.unwrap().parse::<u64>().unwrap()
    };
    let paths = ["/v1/audit-log?limit=12000", "/v1/audit-log/export?format=ndjson", "/v1/audit-log/export?format=csv"];
    let unread = paths.map(|path| unread(&server, path));
    let mut slow = self::unread(&server, "/v1/audit-log?limit=12000");
    let read = thread::spawn(move || {
        let (mut whole, mut buffer) = (Vec::new(), vec![0; 1024 * 1024]);
        loop {
            match slow.read(&mut buffer).unwrap() {
                0 => return whole,
                read => whole.extend_from_slice(&buffer[..read]),
            }
            // Together longer than a response may stall.
            thread::sleep(Duration::from_millis(100));
        }
    });
    // One remains for the slow reader, and one is that of the request.
    eventually("the end of unread responses", || (connections() <= 2).then_some(()));
    for (stream, path) in unread.into_iter().zip(paths) {
        let mut whole = Vec::new();
        let outcome = { stream }.read_to_end(&mut whole);
        assert!(outcome.is_err() || !whole.ends_with(b"0\r\n\r\n"), "{path} ends as if it were complete");
    }
    let whole = String::from_utf8(read.join().unwrap()).unwrap();
    assert!(whole.ends_with("0\r\n\r\n") && whole.contains("\"e000000\""), "the slow reader got everything");
    let message = |found: &Value| found["message"].as_str().unwrap_or_default().to_owned();
    eventually("the record of the exports", || {
        let records = server.list("origin=auditbox&action=audit_log.export&status=FAILURE");
        let found: Vec<_> = records.json()["audits"].as_array().unwrap().iter().map(message).collect();
        (found.iter().filter(|message| message.starts_with("interrupted after")).count() == 2).then_some(())
    });
}

#[test]
fn a_list_is_the_same_although_events_arrive_while_it_is_sent() {
    let server = Server::start();
    let filling = "x".repeat(1_000);
    // Every second number, so that later events fall between them.
    let events: Vec<_> = (0..12_000).map(|number| event(number * 2, &filling)).collect();
    events.chunks(3_000).for_each(|batch| drop(server.store(batch)));
    for query in
        ["limit=11000", "limit=11000&order=asc", "limit=11000&sort=received", "limit=11000&sort=received&order=asc"]
    {
        let path = format!("/v1/audit-log?resources=listed&{query}");
        let expected = server.get(&path).identifiers();
        assert_eq!(expected.len(), 11_000);
        let stream = unread(&server, &path);
        server.store(&(0..3_000).map(|number| late(query, number)).collect::<Vec<_>>());
        let answer = raw::RawAnswer::read(stream).unwrap();
        let found: Vec<_> = identifiers(&answer.body).collect();
        assert_eq!(found.len(), expected.len(), "{query}");
        assert_eq!(found, expected, "{query}");
        let next = answer.body.rsplit("\"next\":").next().unwrap();
        assert!(next.starts_with('"'), "{query}: {next:.200}");
    }
}

/// An event that would be in the middle of the list if it had arrived in time.
fn late(query: &str, number: usize) -> Value {
    let mut late = event(number * 8 + 1, "");
    late["identifier"] = json!(format!("late-{query}-{number}"));
    late
}

fn identifiers(body: &str) -> impl Iterator<Item = String> {
    body.split("\"identifier\":\"").skip(1).filter_map(|rest| Some(rest.split('"').next()?.to_owned()))
}
