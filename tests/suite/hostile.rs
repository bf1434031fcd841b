//! Requests that no honest client makes: framing that two readers could read differently, floods of small things,
//! values at the ends of their ranges. Each gets an error with an explanation or a closed connection, and none changes
//! the response to the next.

use std::io::Write;

use serde_json::{Value, json};

use crate::{
    harness::{Server, exchange},
    raw::{self, RawAnswer},
};

const LOG: &str = "/v1/audit-log";
/// The statuses of heads that the HTTP library rejects.
const HEAD_REFUSED: [u16; 5] = [400, 413, 414, 422, 431];

fn event(identifier: &str) -> String {
    json!({ "identifier": identifier, "action": "A", "resourceType": "hostile" }).to_string()
}

/// The identifiers of the stored hostile events.
fn stored(server: &Server) -> Vec<String> {
    server.list("resources=hostile&sort=received&order=asc").identifiers()
}

/// Sends bytes on one connection and reads the statuses of all responses until the server closes it.
fn statuses(server: &Server, bytes: &[u8]) -> Vec<u16> {
    let text = RawAnswer::read_all(&mut raw::connect(server), bytes);
    text.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse::<u16>().unwrap()).collect()
}

#[test]
fn ambiguous_framing_is_rejected_and_smuggles_nothing() {
    let server = Server::start();
    let smuggled = event("smuggled");
    let inner = format!(
        "POST {LOG} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{smuggled}",
        server.token,
        smuggled.len()
    );
    let (whole, none) = (format!("content-length: {}", inner.len()), "content-length: 0");
    for lines in [
        vec![&*whole, none],
        vec![none, &*whole],
        vec!["content-length: 0, 5"],
        vec!["content-length: +0"],
        vec!["content-length: 0x0"],
        vec!["content-length: 18446744073709551616"],
        vec!["content-length: "],
        vec![&*whole, "transfer-encoding: chunked"],
        vec!["transfer-encoding: chunked", &*whole],
        vec!["transfer-encoding: identity, chunked", none],
        vec!["transfer-encoding: xchunked", none],
        vec!["transfer-encoding: chunked, identity"],
        vec!["transfer-encoding: chunked", "transfer-encoding: identity"],
        vec!["transfer-encoding : chunked", none],
        vec!["transfer-encoding:\u{b}chunked", none],
        vec!["x: y\rtransfer-encoding: chunked", none],
    ] {
        let mut head = raw::head(&server, "POST /v1/audit-log", &lines);
        head.extend(format!("0\r\n\r\n{inner}").bytes());
        let answers = statuses(&server, &head);
        assert!(answers.len() <= 1, "{lines:?}: one request, {answers:?}");
        assert!(answers.iter().all(|status| HEAD_REFUSED.contains(status)), "{lines:?}: {answers:?}");
        assert!(stored(&server).is_empty(), "{lines:?}");
    }
}

#[test]
fn oversized_and_malformed_chunks_are_rejected() {
    // The server waits for bytes that were announced and do not come.
    let server = Server::start_with(&[("AUDITBOX_LIMITS_BODY_READ_SECONDS", "1")]);
    let body = event("chunked");
    for chunks in [
        "fffffffffffffffff\r\nx".to_owned(),
        "ffffffffffffffff\r\nx".to_owned(),
        "7fffffffffffffff\r\nx".to_owned(),
        "-1\r\nx\r\n0\r\n\r\n".to_owned(),
        "0x1\r\nx\r\n0\r\n\r\n".to_owned(),
        "g\r\nx\r\n0\r\n\r\n".to_owned(),
        format!("{:x}\r\n{body}x\r\n0\r\n\r\n", body.len()),
        format!("{:x}\n{body}\n0\n\n", body.len()),
        "\r\n\r\n".to_owned(),
    ] {
        let mut request = raw::head(&server, "POST /v1/audit-log", &["transfer-encoding: chunked"]);
        request.extend(chunks.bytes());
        let answer = raw::send(&server, [&*request]);
        assert!(matches!(answer.status, 400 | 408 | 413 | 422), "{chunks:?}: {answer:?}");
        assert!(stored(&server).is_empty(), "{chunks:?}");
    }
    // Many small chunks, and everything that may follow a chunk's length, are accepted.
    let mut request = raw::head(&server, "POST /v1/audit-log", &["transfer-encoding: chunked"]);
    for byte in body.bytes() {
        request.extend(format!("1;x=\"y\"\r\n{}\r\n", char::from(byte)).bytes());
    }
    request.extend(raw::LAST_CHUNK);
    assert_eq!(raw::send(&server, [&*request]).status, 201);
    assert_eq!(stored(&server), ["chunked"]);
}

#[test]
fn a_malformed_chunk_is_answered_400_and_then_the_connection_is_closed() {
    let server = Server::start();
    let whole = event("chunked");
    for (route, credential) in [
        ("POST /v1/audit-log", true),
        ("POST /v1/audit-log", false),
        ("POST /v1/auth/access_token", false),
        ("POST /sign-in", false),
        ("POST /credentials", true),
        ("GET /healthz", false),
    ] {
        for chunks in ["g\r\nx\r\n0\r\n\r\n", "1\r\nxy", "5;a\nb", "ffffffffffffffffff\r\n"] {
            let authorization =
                if credential { format!("authorization: Bearer {}\r\n", server.token) } else { String::new() };
            let head = format!("{route} HTTP/1.1\r\nhost: x\r\n{authorization}transfer-encoding: chunked\r\n\r\n");
            let first = raw::chunk(&whole.as_bytes()[..10]);
            for pieces in [
                vec![[head.as_bytes(), chunks.as_bytes()].concat()],
                vec![[head.as_bytes(), &first, chunks.as_bytes()].concat()],
                vec![head.clone().into_bytes(), first.clone(), chunks.as_bytes().to_vec()],
            ] {
                let mut stream = raw::connect(&server);
                let (last, before) = pieces.split_last().unwrap();
                for piece in before {
                    stream.write_all(piece).unwrap();
                    // The pieces arrive separately, so the handler waits for the rest of the body.
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                let text = RawAnswer::read_all(&mut stream, last);
                let answers: Vec<_> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
                // A request that is answered before its body arrives keeps its status.
                let early = match (route, credential) {
                    ("GET /healthz", _) => "200",
                    ("POST /v1/audit-log", false) => "401",
                    _ => "400",
                };
                let expected: &[&str] = if early == "400" { &["400"] } else { &[early, "400"] };
                assert!(
                    !answers.is_empty() && answers.iter().all(|status| expected.contains(status)),
                    "{route} {chunks:?} in {}: {text}",
                    pieces.len()
                );
            }
        }
    }
    assert!(stored(&server).is_empty());
    assert_eq!(server.get("/healthz").status, 200);
    // The record has the same status.
    let records = server.list("origin=auditbox&status_code=4xx&action=audit_log.ingest").json();
    let records = records["audits"].as_array().unwrap().clone();
    assert!(!records.is_empty() && records.iter().all(|event| event["request"]["statusCode"] == 400), "{records:?}");
}

#[test]
fn another_spelling_of_a_path_is_the_same_route() {
    let server = Server::start();
    server.store(&[serde_json::from_str(&event("e1")).unwrap()]);
    let token = server.credential("reader", &["read"]);
    for (plain, spelled) in [
        ("/v1/audit-log?limit=1", "/%76%31/audit-log?limit=1"),
        ("/v1/audit-log/e1", "/v%31/audit%2Dlog/%651"),
        ("/v1/audit-log/stats", "/v1/audit-log/%73tats"),
        ("/v1/audit-log/export?format=csv", "/%761/audit-log/e%78port?format=csv"),
        ("/v1/credentials", "/v1/%63redentials"),
        ("/v1/nothing", "/%76%31/nothing"),
        ("/audit-logs/e1", "/%61udit-logs/e1"),
        ("/credentials", "/%63redentials"),
        ("/nothing", "/n%6Fthing"),
    ] {
        for token in [&*server.token, &token, "none"] {
            let bearer = format!("Bearer {token}");
            let asked = |path| exchange(&server.url, 0, "GET", path, &[("authorization", &bearer)], b"").unwrap();
            let [one, other] = [plain, spelled].map(asked);
            assert_eq!(one.status, other.status, "{spelled}");
            for name in ["cache-control", "content-type", "x-content-type-options", "content-security-policy"] {
                assert_eq!(one.header(name), other.header(name), "{spelled} {name}");
            }
            assert_eq!(other.header("cache-control"), Some("no-store"), "{spelled}");
            if one.status == 200 && plain.ends_with("/e1") {
                assert_eq!(one.text.contains("\"e1\""), other.text.contains("\"e1\""), "{spelled}");
            }
        }
    }
    // The record gives both the same action.
    let actions = || {
        let list = server.list("origin=auditbox&actor=reader&limit=1000").json();
        let audits = list["audits"].as_array().unwrap();
        let mut actions: Vec<_> = audits.iter().map(|event| event["action"].to_string()).collect();
        actions.sort_unstable();
        actions
    };
    let actions = crate::harness::eventually("the records", || Some(actions()).filter(|found| found.len() >= 18));
    for pair in actions.chunks(2) {
        assert_eq!(pair[0], pair[1], "{actions:?}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_and_http_1_0_is_served() {
    let server = Server::start();
    let bearer = format!("host: localhost\r\nauthorization: Bearer {}\r\n", server.token);
    let (one, two) = (event("one"), event("two"));
    let post = |event: &str| format!("POST {LOG} HTTP/1.1\r\n{bearer}content-length: {}\r\n\r\n{event}", event.len());
    let row = format!(
        "{}GET {LOG}/one HTTP/1.1\r\n{bearer}\r\nGET /none HTTP/1.1\r\n{bearer}\r\n{}GET {LOG}/two HTTP/1.1\r\n{bearer}connection: close\r\n\r\n",
        post(&one),
        post(&two)
    );
    assert_eq!(statuses(&server, row.as_bytes()), [201, 200, 404, 201, 200]);
    // A hundred at once, of which the client reads most much later.
    let many = format!("GET {LOG}?limit=1 HTTP/1.1\r\n{bearer}\r\n").repeat(100)
        + &format!("GET /healthz HTTP/1.1\r\n{bearer}connection: close\r\n\r\n");
    assert_eq!(statuses(&server, many.as_bytes()), vec![200; 101]);

    let old = format!("GET {LOG}/one HTTP/1.0\r\nauthorization: Bearer {}\r\n\r\n", server.token);
    let answer = RawAnswer::read_all(&mut raw::connect(&server), old.as_bytes());
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!(serde_json::from_str::<Value>(body).unwrap()["audit"]["identifier"], "one");
    // A long response to such a client is not chunked either, because HTTP/1.0 has no chunks.
    let old = format!("GET {LOG}?include_own=true HTTP/1.0\r\nauthorization: Bearer {}\r\n\r\n", server.token);
    let answer = RawAnswer::read_all(&mut raw::connect(&server), old.as_bytes());
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    assert!(serde_json::from_str::<Value>(body).is_ok(), "{}", &answer[..answer.len().min(500)]);
}

#[test]
fn http_2_is_not_spoken_on_a_plain_connection_either() {
    let server = Server::start();
    // The preface (RFC 9113 section 3.4), SETTINGS, and HEADERS that an index of HPACK's table makes `GET /`.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x03\x01\x05\0\0\0\x01\x82\x84\x86";
    let answers = statuses(&server, preface);
    assert!(answers.is_empty() || answers == [400], "{answers:?}");
    // A client that offers an upgrade (RFC 7540 section 3.2) is served over HTTP/1.1.
    let offer = ["upgrade: h2c", "http2-settings: AAMAAABkAAQAoAAAAAIAAAAA"];
    let answer = raw::send(&server, [&*raw::head(&server, "GET /healthz", &offer)]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(!answer.head.contains("upgrade"), "{answer:?}");
}

#[test]
fn malformed_requests_are_not_logged_unless_configured() {
    for (level, is_told) in [("info", false), ("info,actix_http::h1=error", true)] {
        let server = Server::start_with(&[("AUDITBOX_LOG_LEVEL", level)]);
        let before = server.log();
        for _ in 0..20 {
            for bytes in
                [&b"\x16\x03\x01\0\0"[..], b"GET /\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"G\0T / HTTP/1.1\r\n\r\n"]
            {
                assert_eq!(statuses(&server, bytes), [400], "{bytes:?}");
            }
            let endless = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(200_000));
            assert!(statuses(&server, endless.as_bytes()).iter().all(|status| HEAD_REFUSED.contains(status)));
        }
        let log = server.log();
        let told = log[before.len()..].lines().count();
        assert_eq!(told >= 100, is_told, "{level}: {told} lines\n{log}");
        assert!(is_told || told == 0, "{log}");
    }
}

#[test]
fn a_hundred_thousand_parameters_are_answered_quickly() {
    let server = Server::start();
    for pair in ["a", "&", "a=1&", "entity=1&", "entity[]=&", "=&", "%&", "not.not.entity=1&"] {
        let request = raw::head(&server, &format!("GET {LOG}?{}", pair.repeat(100_000)), &[]);
        if let Some(answer) = raw::try_send(&server, [&*request]) {
            assert!(HEAD_REFUSED.contains(&answer.status), "{pair}: {answer:?}");
        }
        // As many as fit into one head.
        let answer = server.list(&pair.repeat(50_000 / pair.len()));
        let expected = if ["&", "entity[]=&"].contains(&pair) { 200 } else { 422 };
        assert_eq!(answer.status, expected, "{pair}: {}", &answer.text[..answer.text.len().min(500)]);
        assert!(answer.text.len() < 2_000, "{pair}: {} bytes", answer.text.len());
    }
}

#[test]
fn undecodable_text_is_rejected_in_every_body() {
    let server = Server::start();
    let bearer = format!("Bearer {}", server.token);
    let bodies: [&[u8]; 7] = [
        b"{\"clientId\":\"\\ud800\",\"clientSecret\":\"x\",\"name\":\"\\ud800\",\"scopes\":[\"read\"],\"action\":\"\\ud800\"}",
        b"{\"clientId\":\"\xff\",\"clientSecret\":\"x\",\"name\":\"\xff\",\"scopes\":[\"read\"],\"action\":\"\xff\"}",
        b"{\"clientId\":\"\xed\xa0\x80\",\"clientSecret\":\"\",\"name\":\"\xed\xa0\x80\",\"action\":\"\xed\xa0\x80\"}",
        b"{\"clientId\":\"a\",\"clientId\":\"b\",\"clientSecret\":\"x\",\"name\":\"a\",\"name\":\"b\",\"action\":\"A\",\"action\":\"B\"}",
        b"\0",
        b"\xff\xfe{\0}\0",
        b"{\"\\ud800\":1}",
    ];
    for path in [LOG, "/v1/auth/access_token", "/v1/credentials"] {
        for body in bodies {
            let answer = server.request("POST", path, &[("authorization", &bearer)], body);
            assert_eq!(answer.status, 422, "{path} {}: {}", String::from_utf8_lossy(body), answer.text);
        }
    }
    assert_eq!(server.list("limit=10").identifiers(), [""; 0]);
}

#[test]
fn headers_of_any_bytes_cause_no_server_error() {
    let server = Server::start();
    for name in ["authorization", "cookie", "content-encoding", "accept-encoding", "x-forwarded-for", "last-event-id"] {
        for value in
            [&b"\xff\xfe"[..], b"", b"Bearer", b"Bearer ", b"Bearer \xff", b"gzip;q=\xff, \x80", b"\t", b"a\tb"]
        {
            let mut head = raw::head(&server, "GET /v1/audit-log?limit=1", &[]);
            head.truncate(head.len() - 2);
            let line = [name.as_bytes(), b": ", value, b"\r\n\r\n"].concat();
            head.extend(line);
            let answer = raw::send(&server, [&*head]);
            assert!(matches!(answer.status, 200 | 400 | 401 | 422), "{name} {value:?}: {answer:?}");
        }
    }
    let lines: Vec<String> = (0..90).map(|n| format!("x-{n}: {}", "v".repeat(300))).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(raw::send(&server, [&*raw::head(&server, "GET /v1/audit-log", &lines)]).status, 200);
}

#[test]
fn times_at_the_ends_of_the_calendar_are_stored_or_rejected() {
    let server = Server::start();
    for (number, (at, good)) in [
        ("0000-01-01T00:00:00Z", true),
        ("9999-12-31T23:59:59.999999999Z", true),
        ("9999-12-31T23:59:59+23:59", true),
        ("0000-01-01T00:00:00-23:59", true),
        ("-0001-12-31T23:59:59Z", false),
        ("+10000-01-01T00:00:00Z", false),
        ("10000-01-01T00:00:00Z", false),
        ("9999-12-31T23:59:59-00:01", false),
        ("0000-01-01T00:00:00+00:01", false),
        ("2024-01-01T00:00:00+24:00", false),
        ("2024-01-01T00:00:00+23:60", false),
        ("2024-01-01T24:00:00Z", false),
        ("2024-01-01T00:60:00Z", false),
        ("2023-02-29T00:00:00Z", false),
        ("2024-01-01T00:00:00.Z", false),
        ("2024-01-01T12:30:60Z", false),
        ("2024-01-01T00:00:00Z\u{0}", false),
        ("２０２４-01-01T00:00:00Z", false),
        // A leap second that did occur; it is stored as the second before it.
        ("2016-12-31T23:59:60Z", true),
    ]
    .into_iter()
    .enumerate()
    {
        let identifier = format!("at-{number}");
        let event = json!({
            "identifier": identifier, "action": "A", "resourceType": "hostile", "trigger": { "at": at },
        });
        let answer = server.post(LOG, &event.to_string());
        assert_eq!(answer.status, if good { 201 } else { 422 }, "{at}: {}", answer.text);
        let text: String = form_urlencoded::byte_serialize(at.as_bytes()).collect();
        let ranged = server.list(&format!("resources=hostile&from={text}&to={text}"));
        if good {
            // An event from the future is found by its receipt.
            assert_eq!(ranged.identifiers().contains(&identifier), !at.starts_with("9999"), "{at}");
            let stored = server.get(&format!("{LOG}/{identifier}")).json();
            assert_eq!(stored["audit"]["trigger"]["at"], at);
            let stats = server.get(&format!("/v1/audit-log/stats?from={text}&to={text}&histogram=auto&tz=-23:59"));
            assert!(matches!(stats.status, 200 | 422), "{at}: {}", stats.text);
            assert_eq!(server.get(&format!("/audit-logs/{identifier}")).status, 200, "{at}");
            assert_eq!(server.get(&format!("/audit-logs?from={text}&to={text}&tz=%2B23:59")).status, 200, "{at}");
        } else {
            assert_eq!(ranged.refusal().0, 422, "{at}");
        }
    }
    // The whole of time at once, on every page that counts.
    for path in [
        "/v1/audit-log/stats?histogram=auto",
        "/v1/audit-log/stats?histogram=100y&tz=Europe/Berlin",
        "/audit-logs?range=all",
    ] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    assert_eq!(server.get("/v1/audit-log/stats?histogram=1m").refusal().0, 422);
}

#[test]
fn zones_of_any_text_are_rejected_by_name() {
    let server = Server::start();
    // It looks like four bytes of digits, but an hour would end in the middle of a character.
    for zone in ["%2B5%D4%AA%3D", "-%F0%9F%99%82", "%2B99:99", "%2B-1:-1", "Europe/Berlin%00", "../../etc/passwd"] {
        let answer = server.get(&format!("/v1/audit-log/stats?tz={zone}"));
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{zone}");
        assert!(answer.text.contains("tz"), "{}", answer.text);
        assert_eq!(server.get(&format!("/audit-logs?tz={zone}")).status, 422, "{zone}");
    }
}

#[test]
fn identifiers_of_every_length_are_found_again() {
    let server = Server::start();
    for identifier in ["x".to_owned(), ".".to_owned(), "é".repeat(128), "%2F/?#&=+ \"'<>\\".to_owned(), "x".repeat(256)]
    {
        assert_eq!(server.post(LOG, &event(&identifier)).status, 201, "{identifier}");
        let text: String = form_urlencoded::byte_serialize(identifier.as_bytes()).collect();
        assert_eq!(server.list(&format!("identifier={text}")).identifiers(), [&*identifier]);
        let text = text.replace('+', "%20").replace('.', "%2E");
        assert_eq!(server.get(&format!("{LOG}/{text}")).json()["audit"]["identifier"], *identifier, "{identifier}");
    }
    for refused in ["x".repeat(257), "a\0".to_owned()] {
        let answer = server.post(LOG, &event(&refused));
        assert_eq!(
            (answer.refusal().0, &answer.json()["details"][0]["field"]),
            (422, &json!("identifier")),
            "{refused}"
        );
    }
    // An empty one counts as absent.
    let assigned = server.post(LOG, &event("")).json()["identifiers"][0].clone();
    assert!(assigned.as_str().unwrap().starts_with("event_"), "{assigned}");
}
