//! Hostile sizes, depths and speeds. Each gets an error, or a closed connection if HTTP has no error for it, and the
//! server continues to serve others.

use std::{io::Write, iter, thread, time::Duration};

use serde_json::json;

use crate::{
    harness::{Answer, SOON, Server, eventually},
    raw::{self, RawAnswer},
};

const LOG: &str = "/v1/audit-log";
/// The default limit of a body.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
const MEBIBYTE: usize = 1024 * 1024;

/// The server serves others: it stores an event and finds it.
fn assert_serves(server: &Server, name: &str) {
    server.store(&[json!({ "identifier": name, "action": "A", "resourceType": "alive" })]);
    assert_eq!(server.list(&format!("identifier={name}")).identifiers(), [name]);
}

/// Rejected or cut off; never a server error, never accepted.
fn assert_refused(answer: Option<RawAnswer>, statuses: &[u16]) {
    if let Some(answer) = answer {
        assert!(statuses.contains(&answer.status), "{answer:?}");
    }
}

fn post_encoded(server: &Server, encoding: &str, body: &[u8]) -> Answer {
    let bearer = format!("Bearer {}", server.token);
    server.request("POST", LOG, &[("authorization", &bearer), ("content-encoding", encoding)], body)
}

#[test]
fn dripping_bodies_are_cut_off_and_delay_no_other_client() {
    let server = Server::start_with(&[("AUDITBOX_LIMITS_BODY_READ_SECONDS", "2"), ("AUDITBOX_SERVER_WORKERS", "1")]);
    let head = raw::head(&server, "POST /v1/audit-log", &["content-length: 1000000"]);
    let mut dripping: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = raw::connect(&server);
            stream.write_all(&head).unwrap();
            stream
        })
        .collect();
    assert_serves(&server, "meanwhile");
    for stream in &mut dripping {
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        eventually("the end of a slow body", || {
            // The body never pauses and never ends.
            let closed = stream.write_all(b" ").is_err();
            (closed || stream.peek(&mut [0]).is_ok()).then_some(())
        });
    }
    for stream in dripping {
        stream.set_read_timeout(Some(SOON)).unwrap();
        assert_refused(RawAnswer::read(stream), &[408]);
    }
    assert_serves(&server, "afterwards");
}

#[test]
fn bodies_over_the_limit_are_rejected_with_any_framing() {
    let server = Server::start();
    let piece = vec![b' '; MEBIBYTE];
    let length = format!("content-length: {}", BODY_BYTES_MAX + 1);
    let head = raw::head(&server, "POST /v1/audit-log", &[&length]);
    let pieces = [&*head].into_iter().chain(iter::repeat_n(&*piece, 16)).chain([&b" "[..]]);
    assert_refused(raw::try_send(&server, pieces), &[413]);

    let head = raw::head(&server, "POST /v1/audit-log", &["transfer-encoding: chunked"]);
    let chunk = raw::chunk(&piece);
    let pieces = [&*head].into_iter().chain(iter::repeat_n(&*chunk, 17)).chain([raw::LAST_CHUNK]);
    assert_refused(raw::try_send(&server, pieces), &[413]);
    assert_serves(&server, "afterwards");

    // A declared length is rejected before the body is sent.
    let head = raw::head(&server, "POST /v1/audit-log", &["content-length: 1000000000000"]);
    let answer = raw::send(&server, [&*head]);
    assert_eq!((answer.status, &*answer.error()), (413, "payload_too_large"));
}

#[test]
fn a_body_without_end_is_cut_off() {
    let server = Server::start();
    let mut stream = raw::connect(&server);
    stream.write_all(&raw::head(&server, "POST /v1/audit-log", &["transfer-encoding: chunked"])).unwrap();
    let chunk = raw::chunk(&vec![b' '; MEBIBYTE]);
    eventually("the end of a body without end", || stream.write_all(&chunk).is_err().then_some(()));
    assert_refused(RawAnswer::read(stream), &[413]);
    assert_serves(&server, "afterwards");
}

#[test]
fn a_client_rejected_before_its_body_arrives_is_disconnected() {
    let server = Server::start();
    for (request_line, token, status) in [
        ("POST /v1/audit-log", "none", 401),
        ("POST /none", "none", 404),
        ("PUT /v1/audit-log", "none", 405),
        ("POST /v1/audit-log?partial=maybe", &*server.token, 422),
        ("GET /v1/audit-log", &*server.token, 200),
        ("GET /healthz", "none", 200),
    ] {
        for framing in ["content-length: 1000", "transfer-encoding: chunked"] {
            // The client neither finishes its body nor closes its side.
            let head = format!(
                "{request_line} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n{framing}\r\n\r\n"
            );
            let answer = raw::send(&server, [head.as_bytes(), b"3\r\n"]);
            assert_eq!(answer.status, status, "{request_line} {framing}: {answer:?}");
        }
    }
    assert_serves(&server, "afterwards");
}

#[test]
fn a_small_body_that_unpacks_into_a_large_one_is_413() {
    let server = Server::start();
    let zeros = vec![b' '; 4 * BODY_BYTES_MAX];
    let zstd = zstd::encode_all(&*zeros, 1).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&zeros).unwrap();
    let gzip = gzip.finish().unwrap();
    // Each is repeated, for a thousand times as much data in one body.
    for (encoding, bomb) in [("gzip", &gzip), ("zstd", &zstd), ("gzip", &gzip.repeat(30)), ("zstd", &zstd.repeat(250))]
    {
        assert!(bomb.len() < BODY_BYTES_MAX, "{encoding}: {}", bomb.len());
        assert_eq!(
            post_encoded(&server, encoding, bomb).refusal(),
            (413, "payload_too_large".to_owned()),
            "{encoding}"
        );
    }
    assert_serves(&server, "afterwards");
}

#[test]
fn endless_nesting_is_rejected() {
    let server = Server::start();
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let (open_objects, close_objects) = ("{\"a\":".repeat(100_000), "}".repeat(100_000));
    for body in [
        format!("{open}{close}"),
        open.clone(),
        format!("{open_objects}1{close_objects}"),
        open_objects.clone(),
        with(&format!(r#""additionalData":{open}{close}"#)),
        with(&format!(r#""diff":{{"before":{open_objects}1{close_objects}}}"#)),
        with(&format!(r#""trigger":{open_objects}1{close_objects}"#)),
        with(&format!(r#""action2":{open}"#)),
        "[".repeat(BODY_BYTES_MAX),
    ] {
        let answer = server.post(LOG, &body);
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()));
        assert!(answer.text.len() < 1_000, "{}", answer.text);
    }
    // The event itself is the first of 64 levels.
    let nested = |levels: usize| with(&format!(r#""additionalData":{}{}"#, "[".repeat(levels), "]".repeat(levels)));
    assert_eq!(server.post(LOG, &nested(64)).refusal().0, 422);
    assert_eq!(server.post(LOG, &nested(63)).status, 201);
    assert_serves(&server, "afterwards");
}

/// A valid event except for `part`.
fn with(part: &str) -> String {
    format!(r#"{{"action":"A","resourceType":"x",{part}}}"#)
}

#[test]
fn endless_numbers_and_texts_are_rejected_where_they_are_read_and_kept_elsewhere() {
    let server = Server::start();
    let digits = "7".repeat(1_000_000);
    for part in [
        format!(r#""request":{{"statusCode":{digits}}}"#),
        format!(r#""identifier":{digits}"#),
        format!(r#""action":{digits}"#),
        format!(r#""status":"{digits}""#),
        format!(r#""trigger":{{"at":"{digits}"}}"#),
        format!(r#""trigger":{{"at":{digits}}}"#),
        format!(r#""{digits}":1,"{digits}":2"#),
    ] {
        let answer = server.post(LOG, &with(&part));
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()));
        assert!(answer.text.len() < 1_000, "the error repeats the whole value: {} bytes", answer.text.len());
    }
    for kept in [
        format!(r#""additionalData":{{"n":{digits}}}"#),
        format!(r#""context":{{"entity":{digits}}}"#),
        format!(r#""trigger":{{"by":{{"name":"{digits}"}}"#),
    ] {
        let part = if kept.starts_with("\"trigger") { kept.clone() + "}" } else { kept.clone() };
        assert_eq!(server.post(LOG, &with(&part)).status, 201);
        let kept = kept.strip_prefix("\"trigger\":{").unwrap_or(&kept);
        assert!(server.list("resources=x&limit=1").text.contains(kept));
    }
    assert_serves(&server, "afterwards");
}

#[test]
fn too_many_events_and_too_large_events_are_rejected() {
    let server =
        Server::start_with(&[("AUDITBOX_LIMITS_BATCH_EVENTS_MAX", "3"), ("AUDITBOX_LIMITS_EVENT_BYTES_MAX", "1000")]);
    let event = with(r#""note":1"#);
    for (separator, before, after) in [("\n", "", ""), (",", "[", "]")] {
        let body = |count: usize| format!("{before}{}{after}", vec![&*event; count].join(separator));
        assert_eq!(server.post(LOG, &body(3)).status, 201);
        let answer = server.post(LOG, &body(4));
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()));
        assert!(answer.text.contains("more than 3 events"), "{}", answer.text);
        assert_eq!(server.post(LOG, &body(100_000)).refusal().0, 422);
    }
    let sized = |bytes: usize| with(&format!(r#""note":"{}""#, "n".repeat(bytes - with(r#""note":"""#).len())));
    assert_eq!(server.post(LOG, &sized(1_000)).status, 201);
    let answer = server.post(LOG, &format!("[{event},{}]", sized(1_001)));
    assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()));
    assert_eq!(answer.json()["details"][0]["index"], 1, "{}", answer.text);
    let keys: String = (0..1_001).map(|n| format!(r#","{n}":0"#)).collect();
    let wide = Server::start();
    assert_eq!(wide.post(LOG, &format!(r#"{{"action":"A","resourceType":"x"{keys}}}"#)).refusal().0, 422);
    assert_serves(&server, "afterwards");
}

#[test]
fn too_many_filter_values_are_rejected_in_any_spelling() {
    let server = Server::start();
    let values = |name: &str, count: usize| (0..count).map(|n| format!("{name}=v{n}&")).collect::<String>();
    for query in [
        values("entity", 101),
        values("not.entity", 101),
        values("entity[]", 101),
        format!("{}{}", values("resources", 60), values("resource_type", 60)),
        values("identifier", 3_000),
    ] {
        assert_eq!(server.list(&query).refusal(), (422, "invalid_request".to_owned()));
    }
    assert_eq!(server.list(&format!("{}{}", values("entity", 100), values("not.entity", 100))).status, 200);
    assert_serves(&server, "afterwards");
}

#[test]
fn floods_of_parameters_and_headers_are_rejected_or_cut_off() {
    const HEAD_REFUSED: [u16; 5] = [400, 413, 414, 422, 431];
    let server = Server::start();
    let long = "x".repeat(50_000);
    assert_eq!(server.list(&format!("entity={long}")).status, 200);
    let flood = "x".repeat(2 * MEBIBYTE);
    for request in [
        raw::head(&server, &format!("GET /v1/audit-log?entity={flood}"), &[]),
        raw::head(&server, &format!("GET /{flood}"), &[]),
        raw::head(&server, "GET /v1/audit-log", &[&format!("x-flood: {flood}")]),
        raw::head(&server, "GET /v1/audit-log", &vec!["x-flood: x"; 100_000]),
        raw::head(&server, &flood, &[]),
    ] {
        assert_refused(raw::try_send(&server, [&*request]), &HEAD_REFUSED);
        assert_serves(&server, "meanwhile");
    }
    for line in [
        "GET",
        "GET /v1/audit-log HTTP/9.9\r\nx:",
        "\u{16}\u{3}\u{1}",
        "POST /v1/audit-log HTTP/1.1\r\ncontent-length: -1\r\nx: ",
    ] {
        assert_refused(raw::try_send(&server, [&*raw::head(&server, line, &[])]), &HEAD_REFUSED);
    }
    let both = raw::head(&server, "POST /v1/audit-log", &["content-length: 5", "transfer-encoding: chunked"]);
    assert_refused(raw::try_send(&server, [&*both, raw::LAST_CHUNK]), &HEAD_REFUSED);
    assert_serves(&server, "afterwards");
}

#[test]
fn many_silent_connections_delay_no_other_client() {
    let server = Server::start_with(&[("AUDITBOX_SERVER_WORKERS", "1")]);
    let silent: Vec<_> = (0..300).map(|_| raw::connect(&server)).collect();
    thread::scope(|scope| {
        for client in 0..4 {
            let server = &server;
            scope.spawn(move || (0..5).for_each(|turn| assert_serves(server, &format!("{client}-{turn}"))));
        }
    });
    drop(silent);
}
