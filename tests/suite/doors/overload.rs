//! Doors while the server cannot store: each says so in its own form, and syslog keeps what has arrived.

use std::{
    io::Write,
    net::{TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rusqlite::Connection;
use serde_json::json;

use super::{post, server_with_sender, stored, syslog};
use crate::harness::{Server, eventually};

/// A queue of one event is full while another program holds the file.
const QUEUE_SHORT: &str = "[limits]\nqueue_events_max = 1\nbatch_events_max = 1\n";

/// Holds the file of a server, so that it cannot store.
fn hold(server: &Server) -> Connection {
    let other = Connection::open(server.database()).unwrap();
    eventually("the file is held", || other.execute_batch("BEGIN IMMEDIATE").ok());
    other
}

/// Ends other threads, also if the test fails.
struct SetOnDrop<'f>(&'f AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn each_door_says_in_its_own_form_that_the_server_is_overloaded() {
    let (server, sender) = server_with_sender(QUEUE_SHORT);
    let held = hold(&server);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let over = SetOnDrop(&is_over);
        // Two events wait: one for the file, and one in the queue.
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    server.post("/v1/audit-log", r#"{"action":"A","resourceType":"x"}"#);
                }
            });
        }
        let bodies = [
            ("/services/collector", r#"{"event":"x"}"#, json!({ "text": "Server is busy", "code": 9 })),
            ("/_bulk", "{\"create\":{}}\n{\"a\":1}\n", json!(503)),
            ("/k8s/audit", r#"{"kind":"EventList","items":[{"verb":"get"}]}"#, json!(503)),
            ("/cloudevents", r#"{"specversion":"1.0","id":"1","source":"s","type":"t.x"}"#, json!("overloaded")),
            ("/registry", r#"{"events":[{"action":"push"}]}"#, json!("overloaded")),
            ("/v1/logs", r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}"#, json!(14)),
        ];
        for (path, body, sign) in bodies {
            let refused = eventually("a refusal", || {
                let answer = server.request(
                    "POST",
                    path,
                    &[("authorization", &sender), ("content-type", "application/json")],
                    body.as_bytes(),
                );
                (answer.status == 503).then_some(answer)
            });
            let seconds: u32 = refused.header("retry-after").unwrap_or_else(|| panic!("{path}")).parse().unwrap();
            assert!((1..=5).contains(&seconds), "{path}: {seconds}");
            let answer = refused.json();
            let signs = [&answer, &answer["status"], &answer["code"], &answer["error"]];
            assert!(signs.contains(&&sign), "{path}: {answer}");
        }
        assert_eq!(server.get("/services/collector/health").status, 503);
        drop((held, over));
    });
    assert_eq!(post(&server, "/registry", &sender, r#"{"events":[{"action":"push"}]}"#).status, 200);
    assert_eq!(server.get("/services/collector/health").status, 200);
}

#[test]
fn syslog_messages_wait_until_they_can_be_stored() {
    let (server, port) = syslog::listening("tcp", QUEUE_SHORT);
    let held = hold(&server);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    for number in 0..300 {
        writeln!(stream, "<14>app: {number}").unwrap();
    }
    drop(stream);
    thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(stored(&server, "").len(), 0);
    drop(held);
    eventually("every message", || {
        (server.get("/v1/audit-log/stats?not.origin=auditbox").json()["count"] == 300).then_some(())
    });
}

#[test]
fn datagrams_that_the_system_drops_are_counted() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let (server, port) = syslog::listening("udp", QUEUE_SHORT);
    let held = hold(&server);
    let (socket, datagram) = (UdpSocket::bind("127.0.0.1:0").unwrap(), vec![b'x'; 60_000]);
    // More than the inbox and the buffer of the socket hold.
    for _ in 0..400 {
        socket.send_to(&datagram, ("127.0.0.1", port)).unwrap();
    }
    let dropped = eventually("dropped datagrams are counted", || {
        let dropped = syslog::door(&server)["dropped"].as_u64().unwrap();
        (dropped > 0).then_some(dropped)
    });
    assert!(dropped < 400);
    drop(held);
}
