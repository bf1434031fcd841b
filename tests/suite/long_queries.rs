//! Long queries: they have a deadline, stop when their client disconnects, and leave readers, the writer and the
//! write-ahead log to others.
//!
//! They are long here for the same reason as in a log of millions of events: each part of a search is compared with
//! every word that any message ever had. Only parts of one or two letters are, because they rule out no words.

use std::{io::Write, thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    harness::{Answer, Server, eventually},
    held::{WAL_BYTES_MAX, batch},
    raw,
};

/// Events whose messages make the term dictionary large.
const EVENTS: usize = 1_000;
const WORDS_PER_EVENT: usize = 250;
/// Parts of one search. There are enough different ones for seven searches.
const PARTS: usize = 185;
/// A deadline that no test reaches.
const PATIENT: (&str, &str) = ("AUDITBOX_LIMITS_QUERY_SECONDS", "3600");
/// Times that a stopped query is sent again at most.
const ATTEMPTS_MAX: usize = 500;

/// A server whose term dictionary is large.
fn server(settings: &[(&str, &str)]) -> Server {
    server_of(EVENTS, settings)
}

fn server_of(events: usize, settings: &[(&str, &str)]) -> Server {
    let server = Server::start_with(settings);
    let event = |number: usize| {
        let words = (0..WORDS_PER_EVENT).map(|word| format!("{:07x} ", number * WORDS_PER_EVENT + word));
        json!({ "identifier": format!("w{number}"), "action": "A", "resourceType": "words", "message": words.collect::<String>() })
    };
    let events: Vec<_> = (0..events).map(event).collect();
    events.chunks(250).for_each(|batch| drop(server.store(batch)));
    server
}

/// A search that takes many seconds, and whose results do not speed up a search with another number.
fn search(number: usize) -> String {
    let letter = |place: usize| char::from_digit(u32::try_from(place % 36).unwrap(), 36).unwrap();
    let part = |place: usize| [letter(place / 36), letter(place)].iter().collect::<String>();
    let parts: Vec<_> = (number * PARTS..(number + 1) * PARTS).map(part).collect();
    format!("q={}", parts.join("."))
}

/// Sends a request and leaves the response unread.
fn ask(server: &Server, token: &str, path: &str) -> std::net::TcpStream {
    let mut stream = raw::connect(server);
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n")
        .unwrap();
    stream
}

/// Whether no byte of a response has arrived yet.
fn is_waiting(stream: &std::net::TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let waiting = stream.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    waiting
}

fn refusal(answer: &Answer) -> Value {
    assert_eq!(answer.refusal(), (503, "query_timeout".to_owned()), "{}", answer.text);
    assert!(answer.header("retry-after").is_some());
    answer.json()
}

#[test]
fn every_query_has_a_deadline_and_its_error_gives_advice() {
    let server = server(&[("AUDITBOX_LIMITS_QUERY_SECONDS", "1")]);
    let paths = [
        "/v1/audit-log?limit=1",
        "/v1/audit-log?count=true",
        "/v1/audit-log/stats?facets=action&histogram=auto",
        "/v1/audit-log/export?format=csv",
    ];
    for (number, path) in paths.into_iter().enumerate() {
        let message = refusal(&server.get(&format!("{path}&{}", search(number))))["message"].to_string();
        for part in ["1 second", "query_seconds", "fewer words", "from and to"] {
            assert!(message.contains(part), "{path}: {message}");
        }
    }
    let in_range = format!("/v1/audit-log?from=2020-01-01T00:00:00Z&{}", search(5));
    assert!(refusal(&server.get(&in_range))["message"].to_string().contains("shorter time range"));
    let page = server.get(&format!("/audit-logs?{}", search(6)));
    assert_eq!(page.status, 503);
    assert!(page.text.contains("fewer words"), "{}", page.text);
    // Other queries are not affected, and neither is the same search once it is short enough.
    assert_eq!(server.list("identifier=w7").identifiers(), ["w7"]);
    let short = (0..ATTEMPTS_MAX).map(|_| server.list("q=00000fa")).find(|answer| answer.status == 200);
    assert_eq!(short.unwrap().identifiers(), ["w1"]);
    let stopped = server.log().matches("query_seconds").count();
    assert!(stopped >= paths.len(), "the server log names them: {}", server.log());
}

#[test]
fn a_stopped_query_resumes_when_it_is_sent_again() {
    // The search takes some seconds.
    let server = server_of(EVENTS / 5, &[("AUDITBOX_LIMITS_QUERY_SECONDS", "1")]);
    let query = search(0);
    // Each attempt continues the one before, so their number does not depend on the speed of the machine as their time does.
    let attempts = (0..ATTEMPTS_MAX).map(|_| server.list(&query)).take_while(|answer| answer.status != 200);
    let refused = attempts.inspect(|answer| drop(refusal(answer))).count();
    assert!(refused < ATTEMPTS_MAX, "no attempt was answered");
    assert!(refused > 0, "the search is too short for this test");
}

#[test]
fn one_credential_leaves_half_of_the_readers_to_others() {
    let server = server(&[PATIENT]);
    let greedy = server.credential("greedy", &["read"]);
    let other = server.credential("other", &["read"]);
    let long: Vec<_> = (0..4).map(|n| ask(&server, &greedy, &format!("/v1/audit-log?{}", search(n)))).collect();
    for turn in 0..20 {
        let answer = server.request_as(&other, "GET", &format!("/v1/audit-log?identifier=w{turn}"), "");
        assert_eq!(answer.identifiers(), [format!("w{turn}")]);
    }
    // A query that gets no reader in time is rejected with a time to retry.
    let refused = server.request_as(&greedy, "GET", "/v1/audit-log?identifier=w1", "");
    assert_eq!(refused.refusal(), (503, "overloaded".to_owned()));
    assert!(refused.text.contains("half"), "{}", refused.text);
    assert!(refused.header("retry-after").is_some());
    assert!(long.iter().filter(|stream| is_waiting(stream)).count() >= 2, "the searches are too short for this test");
}

#[test]
fn long_queries_block_neither_the_writer_nor_the_wal() {
    let bound = WAL_BYTES_MAX.to_string();
    let server = server(&[PATIENT, ("AUDITBOX_DATABASE_WAL_BYTES_MAX", &bound)]);
    let other = server.credential("other", &["read"]);
    let asked = [(0, &server.token), (1, &server.token), (2, &other), (3, &other)];
    let long = asked.map(|(number, token)| ask(&server, token, &format!("/v1/audit-log?{}", search(number))));
    // Together more than the WAL may hold.
    for number in 0..24 {
        let answer = server.post("/v1/audit-log", &batch(number));
        assert_eq!(answer.status, 201, "{number}: {}", answer.text);
        assert_eq!(server.get("/readyz").status, 200);
    }
    assert!(long.iter().all(is_waiting), "the searches are too short for this test");
}

#[test]
fn a_query_ends_when_its_client_hangs_up() {
    let server = server(&[PATIENT, ("AUDITBOX_DATABASE_READERS", "1")]);
    for (number, path) in ["/v1/audit-log?", "/v1/audit-log/stats?", "/v1/audit-log/export?format=csv&", "/audit-logs?"]
        .into_iter()
        .enumerate()
    {
        let stream = ask(&server, &server.token, &format!("{path}{}", search(number)));
        // By now the search has the only reader, or will get it before the next query.
        thread::sleep(Duration::from_millis(100));
        assert!(is_waiting(&stream), "{path}");
        drop(stream);
        assert_eq!(server.list("identifier=w3").identifiers(), ["w3"], "{path}");
    }
}

#[test]
fn running_responses_wait_for_a_reader_without_a_limit() {
    let server = server(&[PATIENT, ("AUDITBOX_DATABASE_READERS", "1")]);
    (0..3).for_each(|number| assert_eq!(server.post("/v1/audit-log", &batch(number)).status, 201));
    let other = server.credential("other", &["read"]);
    let paths = ["/v1/audit-log?resources=x", "/v1/audit-log/export?format=ndjson&resources=x"];
    let running = paths.map(|path| {
        let stream = ask(&server, &server.token, path);
        assert_eq!(stream.peek(&mut [0]).unwrap(), 1, "{path}");
        stream
    });
    let long = ask(&server, &other, &format!("/v1/audit-log?{}", search(0)));
    // New queries are rejected meanwhile, after a wait.
    let is_refused = || server.list("identifier=e-0-0&includes=identifier").status == 503;
    eventually("a refusal", || is_refused().then_some(()));
    assert!(is_waiting(&long), "the search is too short for this test");
    thread::scope(|scope| {
        let read = running.map(|stream| scope.spawn(move || raw::RawAnswer::read(stream).unwrap()));
        // The responses wait longer than a new query may.
        assert!(is_refused());
        assert!(is_waiting(&long), "the search is too short for this test");
        drop(long);
        for (answer, path) in read.into_iter().map(|read| read.join().unwrap()).zip(paths) {
            assert!(answer.body.ends_with("\r\n0\r\n\r\n"), "{path} broke off after {} bytes", answer.body.len());
            let whole = answer.body.matches("\"identifier\":\"e-").count();
            assert_eq!(whole, 3 * crate::held::BATCH_EVENTS, "{path}");
        }
    });
}

/// The nice values of the threads with this name.
#[cfg(target_os = "linux")]
fn nice_values(server: &Server, name: &str) -> Vec<i32> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let stats = threads.filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat")).ok());
    stats
        .filter_map(|stat| {
            let (start, rest) = stat.rsplit_once(") ").unwrap();
            // proc_pid_stat(5): the 19th field, of which the rest begins with the third.
            start.ends_with(&format!("({name}")).then(|| rest.split(' ').nth(16).unwrap().parse().unwrap())
        })
        .collect()
}

#[test]
#[cfg(target_os = "linux")]
fn threads_of_queries_and_bodies_have_a_lower_priority_than_those_of_connections_and_of_the_writer() {
    let works: [fn(&Server); 2] = [
        |server| drop(server.list("q=x")),
        |server| drop(server.store(&vec![json!({ "action": "A", "resourceType": "x" }); 3_000])),
    ];
    for work in works {
        let server = Server::start();
        let [usual] = nice_values(&server, "writer")[..] else { panic!("there is one writer") };
        work(&server);
        assert!(nice_values(&server, "tokio-rt-worker").iter().any(|value| *value > usual));
        for name in ["actix-rt|system", "actix-server ac", "writer"] {
            let values = nice_values(&server, name);
            assert!(!values.is_empty() && values.iter().all(|value| *value == usual), "{name}: {values:?}");
        }
    }
}
