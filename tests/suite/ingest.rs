//! Ingest: accepted forms, responses, and that acknowledged events are stored byte for byte.

use std::io::Write;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Server},
    raw,
};

const LOG: &str = "/v1/audit-log";

/// A minimal event.
fn least(identifier: &str) -> Value {
    json!({ "identifier": identifier, "action": "READ", "resourceType": "x" })
}

/// Builds a body of events.
type Form = fn(&[String; 3]) -> String;

/// Sends a raw body with these headers.
fn post(server: &Server, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let bearer = format!("Bearer {}", server.token);
    server.request("POST", LOG, &[&[("authorization", &*bearer)], headers].concat(), body)
}

#[test]
fn ingest_needs_a_token_with_the_scope() {
    let server = Server::start();
    let body = least("e").to_string();
    assert_eq!(server.request("POST", LOG, &[], body.as_bytes()).refusal(), (401, "unauthorized".to_owned()));
    let reader = server.credential("reader", &["read"]);
    assert_eq!(server.request_as(&reader, "POST", LOG, &body).refusal(), (403, "forbidden".to_owned()));
    assert!(server.list("").identifiers().is_empty());
    let sender = server.credential("sender", &["ingest"]);
    assert_eq!(server.request_as(&sender, "POST", LOG, &body).status, 201);
    assert_eq!(server.list("").json()["audits"][0]["receivedBy"], "sender");
}

#[test]
fn an_acknowledged_event_is_stored() {
    let server = Server::start();
    let event =
        json!({ "identifier": "e1", "action": "CREATE", "resourceType": "entity", "context": { "entity": "api" } });
    let answer = server.store(&[event]);
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json(), json!({ "ok": true, "accepted": 1, "duplicates": 0, "identifiers": ["e1"] }));
    assert_eq!(server.list("entity=api").identifiers(), ["e1"]);
}

#[test]
fn objects_arrays_lines_and_concatenated_objects_are_accepted_with_any_content_type() {
    let server = Server::start();
    let [a, b, c] = ["a", "b", "c"].map(|name| move |form: usize| least(&format!("{name}{form}")).to_string());
    let forms: [(Form, usize); 6] = [
        (|[a, ..]| a.clone(), 1),
        (|[a, b, c]| format!("[{a}, {b},\n{c}]"), 3),
        (|[a, b, c]| format!("{a}\n{b}\n{c}\n"), 3),
        (|[a, b, c]| format!("{a}\r\n\r\n{b}\r\n{c}"), 3),
        (|[a, b, c]| format!("{a}{b}{c}"), 3),
        (|[a, b, c]| format!("\u{feff} {a} {b}\t{c} "), 3),
    ];
    let types = ["application/json", "application/x-ndjson", "text/plain; charset=utf-8", "nonsense"];
    for (number, (form, count)) in forms.into_iter().enumerate() {
        let body = form(&[a(number), b(number), c(number)]);
        let answer = post(&server, &[("content-type", types[number % types.len()])], body.as_bytes());
        assert_eq!(answer.status, 201, "{body}: {}", answer.text);
        let expected: Vec<_> = ["a", "b", "c"][..count].iter().map(|name| format!("{name}{number}")).collect();
        assert_eq!(answer.json()["identifiers"], json!(expected));
    }
    assert_eq!(server.list("").identifiers().len(), 16);
}

#[test]
fn a_body_may_have_no_content_type_and_arrive_in_chunks() {
    let server = Server::start();
    let body = least("plain").to_string();
    let length = format!("content-length: {}", body.len());
    let head = raw::head(&server, "POST /v1/audit-log", &[&length]);
    assert!(!String::from_utf8_lossy(&head).contains("content-type"));
    assert_eq!(raw::send(&server, [&*head, body.as_bytes()]).status, 201);

    let head = raw::head(&server, "POST /v1/audit-log", &["transfer-encoding: chunked"]);
    let body = least("chünked").to_string();
    // One byte at a time, so that characters and tokens are split.
    let chunks: Vec<_> = body.as_bytes().iter().map(|byte| raw::chunk(&[*byte])).collect();
    let pieces = [&*head].into_iter().chain(chunks.iter().map(Vec::as_slice)).chain([raw::LAST_CHUNK]);
    let answer = raw::send(&server, pieces);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(server.list("").identifiers(), ["chünked", "plain"]);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_bodies_are_accepted_and_broken_ones_rejected() {
    let server = Server::start();
    let body = |name: &str| least(name).to_string().into_bytes();
    let two = [gzip(&body("g1")), gzip(&body("g2"))].concat();
    let zstd = zstd::encode_all(&*body("z1"), 3).unwrap();
    for (encoding, bytes, expected) in
        [("gzip", &two, json!(["g1", "g2"])), ("zstd", &zstd, json!(["z1"])), ("Identity", &body("i1"), json!(["i1"]))]
    {
        let answer = post(&server, &[("content-encoding", encoding)], bytes);
        assert_eq!(answer.json()["identifiers"], expected, "{}", answer.text);
    }
    for (encoding, bytes) in [
        ("gzip", &two[..two.len() - 9]),
        ("gzip", &body("no")),
        ("zstd", &zstd[..zstd.len() - 1]),
        ("zstd", &body("no")),
        ("br", &body("no")),
        ("gzip, gzip", &two),
    ] {
        let answer = post(&server, &[("content-encoding", encoding)], bytes);
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{encoding}");
    }
    assert_eq!(server.list("").identifiers().len(), 4);
}

#[test]
fn a_response_is_201_if_any_event_was_new_and_names_every_event_in_order() {
    let server = Server::start();
    let [a, b, c] = ["a", "b", "c"].map(least);
    for (batch, status, accepted, duplicates) in [
        (json!([b, a]), 201, 2, 0),
        (json!([a, c, b]), 201, 1, 2),
        (json!([c, b, a]), 200, 0, 3),
        (json!([a, a]), 200, 0, 2),
        (json!([least("d"), least("d")]), 201, 1, 1),
    ] {
        let answer = server.post(LOG, &batch.to_string());
        let identifiers: Vec<_> = batch.as_array().unwrap().iter().map(|event| event["identifier"].clone()).collect();
        let expected =
            json!({ "ok": true, "accepted": accepted, "duplicates": duplicates, "identifiers": identifiers });
        assert_eq!((answer.status, answer.json()), (status, expected));
    }
    assert_eq!(server.list("order=asc&sort=received").identifiers(), ["b", "a", "c", "d"]);
}

#[test]
fn one_invalid_event_rejects_the_batch_and_the_first_twenty_are_named() {
    let server = Server::start();
    let batch: Vec<_> = (0..60).map(|n| if n % 2 == 0 { least(&n.to_string()) } else { json!({ "n": n }) }).collect();
    let answer = server.post(LOG, &Value::from(batch).to_string());
    assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()));
    let envelope = answer.json();
    assert!(envelope["message"].as_str().unwrap().contains("30 of 60"), "{envelope}");
    let details = envelope["details"].as_array().unwrap();
    let indexes: Vec<_> = details.iter().map(|detail| detail["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, (0..20).map(|n| 2 * n + 1).collect::<Vec<_>>());
    assert!(details.iter().all(|detail| detail["field"] == "action" && detail["message"] == "is required"));
    assert!(server.list("").identifiers().is_empty());

    // With a syntax error after valid events.
    let body = format!("{}\n{}\n{{\"identifier\":", least("a"), least("b"));
    let answer = server.post(LOG, &body);
    assert_eq!((answer.status, &answer.json()["details"][0]["index"]), (422, &json!(2)), "{}", answer.text);
    for body in ["not JSON", "[{}", "[", "{", "\"text\"", "[[]]", "7", "null"] {
        assert_eq!(server.post(LOG, body).refusal().0, 422, "{body:?}");
    }
    assert!(server.list("").identifiers().is_empty());
}

#[test]
fn partial_stores_the_valid_events_and_reports_each_outcome() {
    let server = Server::start();
    server.store(&[least("old"), least("taken")]);
    let mut other = least("taken");
    other["action"] = json!("WRITE");
    let batch = json!([least("new"), least("old"), other, { "action": "A" }, least("new"), "text", least("last")]);
    let answer = server.post(&format!("{LOG}?partial=true"), &batch.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(
        [&answer["ok"], &answer["accepted"], &answer["duplicates"], &answer["rejected"]],
        [&json!(true), &json!(2), &json!(2), &json!(3)]
    );
    let results = answer["results"].as_array().unwrap();
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 200, 409, 422, 200, 422, 201]);
    assert!(results.iter().enumerate().all(|(index, result)| result["index"] == index));
    assert_eq!([&results[2]["error"], &results[2]["identifier"]], [&json!("conflict"), &json!("taken")]);
    assert_eq!([&results[3]["error"], &results[3]["field"]], [&json!("invalid_request"), &json!("resourceType")]);
    assert_eq!(server.list("sort=received&order=asc").identifiers(), ["old", "taken", "new", "last"]);
    assert_eq!(server.get(&format!("{LOG}/taken")).json()["audit"]["action"], "READ");

    for (query, named) in [("partial=1", "partial"), ("partial=", "partial"), ("Partial=true", "Partial"), ("x=1", "x")]
    {
        let answer = server.post(&format!("{LOG}?{query}"), &least("no").to_string());
        assert_eq!(answer.refusal().0, 422, "{query}");
        assert!(answer.json()["message"].as_str().unwrap().starts_with(&format!("{named}:")), "{}", answer.text);
    }
}

#[test]
fn defaults_do_not_turn_a_retry_into_another_event() {
    let server = Server::start();
    let event = json!({
        "identifier": "e", "action": "A", "resourceType": "x", "status": "SUCCESS", "message": "m",
        "trigger": { "at": "2024-05-01T12:00:00Z", "origin": "API", "by": { "userId": "u" }, "via": 1 },
        "context": { "entity": null }, "diff": { "before": null, "after": {} }, "more": [1.0],
    });
    let mut events = vec![event.clone()];
    for path in ["/status", "/message", "/trigger", "/trigger/at", "/trigger/origin", "/trigger/by", "/context"] {
        let (parent, key) = path.rsplit_once('/').unwrap();
        let mut without = event.clone();
        without["identifier"] = json!(path);
        without.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
        events.push(without);
    }
    assert_eq!(server.store(&events).json()["accepted"], 8);
    for event in &events {
        let other = server.credential(event["identifier"].as_str().unwrap(), &["ingest"]);
        let answer = server.request_as(&other, "POST", LOG, &event.to_string());
        assert_eq!((answer.status, &answer.json()["duplicates"]), (200, &json!(1)), "{event}");
    }
    // The order of keys, white space, escapes, and null or an empty string for no value are not content.
    for body in [
        r#"{"identifier":"f","action":"A","resourceType":"x","trigger":{"origin":"UI","by":{"name":"é"}},"k":[ 1 ]}"#,
        "[{ \"k\" : [1], \"trigger\":\n{\"by\":{\"name\":\"\\u00e9\"}, \"at\":null, \"origin\":\"UI\"},\"message\":\"\",\
          \"resourceType\":\"x\" , \"action\":\"A\",\"identifier\":\"f\",\"status\":\"SUCCESS\"}]",
    ] {
        assert_eq!(server.post(LOG, body).json()["identifiers"], json!(["f"]));
    }
    assert_eq!(server.list("").identifiers().len(), 9);
}

#[test]
fn another_event_under_the_same_identifier_is_a_conflict_that_names_it() {
    let server = Server::start();
    let stored = json!({ "identifier": "e/1", "action": "A", "resourceType": "x", "diff": { "after": { "n": 1 } } });
    server.store(std::slice::from_ref(&stored));
    for (pointer, value) in [
        ("/action", json!("B")),
        ("/resourceType", json!("X")),
        ("/status", json!("FAILURE")),
        ("/trigger", json!({ "origin": "UI" })),
        ("/trigger", json!({ "at": "2024-05-01T12:00:00Z" })),
        ("/diff/after/n", json!(1.0)),
        ("/note", json!(null)),
    ] {
        let mut other = stored.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        other.pointer_mut(parent).unwrap()[key] = value;
        let answer = server.post(LOG, &json!([least("fresh"), other]).to_string());
        assert_eq!(answer.refusal(), (409, "conflict".to_owned()), "{other}");
        let envelope = answer.json();
        assert!(envelope["message"].as_str().unwrap().contains("e/1"), "{envelope}");
        let detail = &envelope["details"][0];
        assert_eq!([&detail["index"], &detail["identifier"]], [&json!(1), &json!("e/1")]);
        assert_eq!(server.list("").identifiers(), ["e/1"], "a batch with a conflict stores nothing");
    }
    let mut other = least("twin");
    other["action"] = json!("WRITE");
    let answer = server.post(LOG, &json!([least("twin"), other]).to_string());
    assert_eq!(answer.refusal(), (409, "conflict".to_owned()));
    assert!(answer.json()["message"].as_str().unwrap().contains("twin"));
    assert_eq!(server.list("").identifiers(), ["e/1"]);
}

#[test]
fn every_conflict_of_a_batch_is_named_with_its_line() {
    let server = Server::start();
    let stored: Vec<_> = (0..150).map(|number| least(&format!("e{number}"))).collect();
    server.store(&stored);
    let body = |changed: &[usize]| -> String {
        let mut events = stored.clone();
        for number in changed {
            events[*number]["action"] = json!("OTHER");
        }
        events.iter().map(|event| format!("{event}\n")).collect()
    };
    let answer = server.post(LOG, &body(&[3, 40, 149]));
    assert_eq!(answer.refusal(), (409, "conflict".to_owned()));
    let envelope = answer.json();
    assert_eq!(envelope["message"], "identifier \"e3\" and 2 more belong to other events");
    let named: Vec<_> = envelope["details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| {
            (fault["index"].as_u64().unwrap(), fault["line"].as_u64().unwrap(), fault["identifier"].as_str().unwrap())
        })
        .collect();
    assert_eq!(named, [(3, 4, "e3"), (40, 41, "e40"), (149, 150, "e149")]);
    // The list is bounded.
    let all = server.post(LOG, &body(&(0..150).collect::<Vec<_>>())).json();
    assert_eq!(all["message"], "identifier \"e0\" and 149 more belong to other events");
    assert_eq!(all["details"].as_array().unwrap().len(), 100);
}

#[test]
fn several_arrays_are_one_request() {
    let server = Server::start();
    for (body, accepted) in [("[]\n[]", 0), ("[]\n[]\n", 0), ("[{}]\n[]\n[{},{}]", 3)] {
        let body = body.replace("{}", r#"{"action":"A","resourceType":"x"}"#);
        let answer = server.post(LOG, &body);
        assert_eq!(
            (answer.status, &answer.json()["accepted"]),
            (if accepted > 0 { 201 } else { 200 }, &json!(accepted))
        );
    }
}

#[test]
fn missing_parts_get_defaults_and_sent_values_stay() {
    let server = Server::start();
    server.store(&[json!({ "action": "A", "resourceType": "x" })]);
    let event = server.list("").json()["audits"][0].clone();
    assert!(event["identifier"].as_str().unwrap().starts_with("event_"));
    assert_eq!([&event["status"], &event["trigger"]["origin"]], [&json!("SUCCESS"), &json!("API")]);
    assert_eq!(event["trigger"]["at"], event["receivedAt"]);
    assert_eq!(event["receivedBy"], "admin");
    assert_eq!(event.as_object().unwrap().len(), 7, "{event}");
    server.store(&[json!({
        "identifier": "own", "action": "A", "resourceType": "x", "status": "FAILURE",
        "trigger": { "at": "2001-02-03T04:05:06.7+08:00", "origin": "UI" },
    })]);
    let event = server.list("identifier=own").json()["audits"][0].clone();
    assert_eq!(event["status"], "FAILURE");
    assert_eq!(event["trigger"], json!({ "at": "2001-02-03T04:05:06.7+08:00", "origin": "UI" }));
}

#[test]
fn the_senders_bytes_survive_at_every_level() {
    let server = Server::start();
    let parts = [
        r#""diff":{"before":{ "n" : 1.0,"big":9007199254740993, "e":1E+2 },"after":null,"k":-0}"#,
        r#""additionalData":[1.10, "\u00e9\/\u0041\ud83d\ude00", {"twice":1,"twice":2},	[ ]]"#,
        r#""context":{"entity":"\u0061pi","unknown":{"x":0.10}}"#,
        r#""by":{"userId":"u","extra":[1.0 ,2.00]}"#,
        r#""via":123456789012345678901234567890.5"#,
        r#""ünknown":{ "deep": [ [ 1e-7 ] ] }"#,
        r#""request":{"path":"\/a\/b","n":1e400}"#,
    ];
    let [diff, additional, context, by, via, unknown, request] = parts;
    let body = format!(
        r#"{{{unknown},"trigger":{{{via},{by}}},{context},{diff},{request},{additional},"action":"A","resourceType":"x","identifier":"e"}}"#
    );
    assert_eq!(server.post(LOG, &body).status, 201);
    let nested = [diff, additional, context, request, unknown, by, via];
    for answer in [server.list("entity=api"), server.get(&format!("{LOG}/e")), server.list("path=/a/b")] {
        assert_eq!(answer.status, 200);
        for part in nested {
            assert!(answer.text.contains(part), "{part} is not in {}", answer.text);
        }
    }
}

#[test]
fn events_are_found_by_any_identifier_in_the_path() {
    let server = Server::start();
    let longest = "é".repeat(128);
    let identifiers = [
        "a/b",
        "/",
        "//a//",
        "a b",
        "100%",
        "%2F",
        "a%2Fb",
        "+",
        "a+b",
        "名前 🦀",
        "..",
        ".",
        "a/../b",
        "?x=1",
        "#",
        "\"\\",
        "a\nb",
        ";",
        "a,b",
        &longest,
    ];
    let mut events: Vec<_> = identifiers.iter().map(|identifier| least(identifier)).collect();
    for (number, event) in events.iter_mut().enumerate() {
        event["n"] = json!(number);
    }
    server.store(&events);
    for (number, identifier) in identifiers.iter().enumerate() {
        let encoded = utf8_percent_encode(identifier, NON_ALPHANUMERIC).to_string();
        for path in [encoded.clone(), encoded.replace("%2F", "/")] {
            let answer = server.get(&format!("{LOG}/{path}"));
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            assert_eq!(answer.json()["audit"]["n"], number, "{path}");
        }
        let listed = server.list(&format!("identifier={encoded}"));
        assert_eq!(listed.identifiers(), [*identifier]);
    }
    for path in ["b", "a%2Fc", "A%2FB", "%00", &"x".repeat(5_000)] {
        assert_eq!(server.get(&format!("{LOG}/{path}")).refusal(), (404, "not_found".to_owned()), "{path}");
    }
}

#[test]
fn an_object_within_a_broken_event_is_not_stored() {
    let server = Server::start();
    for (broken, next) in [
        ("{\"identifier\":\"b1\",\"action\":\"A\",\"resourceType\": ,\"additionalData\":\nINNER\n}\n", "n1"),
        ("{\n\"action\":\"A\"\n\"resourceType\":\"x\",\n\"additionalData\":[\nINNER,\nINNER\n]\n}\n", "n2"),
        // A truncated line costs only itself.
        ("{\"action\":\"A\",\"additionalData\":\n", "n3"),
        ("{\"action\":\"A\",\"additionalData\":[\n", "n4"),
    ] {
        let body = broken.replace("INNER", &least("phantom").to_string()) + &least(next).to_string();
        let answer = server.post("/v1/audit-log?partial=true", &body).json();
        assert_eq!([&answer["accepted"], &answer["rejected"]], [&json!(1), &json!(1)], "{answer}");
    }
    assert_eq!(server.list("sort=received&order=asc").identifiers(), ["n1", "n2", "n3", "n4"]);
}
