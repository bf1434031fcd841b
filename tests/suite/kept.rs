//! What can be kept is kept: unusual values, other spellings of an event, damaged bodies, and retries by key.

use std::io::Write;

use serde_json::{Value, json};

use crate::{
    harness::{Answer, Server, run},
    properties::assert_kept,
};

const LOG: &str = "/v1/audit-log";
const PARTIAL: &str = "/v1/audit-log?partial=true";
const KEY: &str = "idempotency-key";

/// Sends a body with these headers.
fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let bearer = format!("Bearer {}", server.token);
    server.request("POST", path, &[&[("authorization", &*bearer)], headers].concat(), body)
}

/// An event with these further members.
fn event(identifier: &str, members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    format!(r#"{{"identifier":"{identifier}","action":"READ","resourceType":"x"{comma}{members}}}"#)
}

fn query(name: &str, value: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

#[test]
fn unusual_values_are_stored_as_sent_and_found_by_what_they_mean() {
    let mut server = Server::start();
    let cases = [
        ("empty", r#""message":"","context":{"entity":"","runId":""},"request":{"ip":"","userAgent":""}"#, vec![]),
        (
            "ids",
            r#""trigger":{"by":{"userId":42,"orgId":7}},"context":{"entity":1001}"#,
            vec!["actor=42", "entity=1001"],
        ),
        ("text", r#""request":{"statusCode":"403"}"#, vec!["status_code=403", "status_code=4xx"]),
        ("float", r#""request":{"statusCode":200.0}"#, vec!["status_code=200"]),
        ("none", r#""request":{"statusCode":0}"#, vec![]),
        ("lower", r#""status":"success""#, vec!["status=SUCCESS&action=READ"]),
        ("mixed", r#""status":"Failure""#, vec!["status=FAILURE"]),
        ("sides", r#""diff":{"before":"on","after":["off", 1.0]}"#, vec![]),
        ("lone", r#""additionalData":{"\ud800":"\udfff"},"unknown":["x\ud83d"]"#, vec![]),
        ("cut", r#""message":"broken emoji \ud83d""#, vec!["q=emoji"]),
    ];
    for (identifier, members, _) in &cases {
        let answer = server.post(LOG, &event(identifier, members));
        assert_eq!(answer.status, 201, "{members}: {}", answer.text);
    }
    for restarted in [false, true] {
        for (identifier, members, filters) in &cases {
            let answer = server.get(&format!("{LOG}/{identifier}")).text;
            let stored = answer.strip_prefix(r#"{"ok":true,"audit":"#).unwrap().strip_suffix('}').unwrap();
            assert_kept(&event(identifier, members), stored);
            for filter in filters {
                assert!(server.list(filter).text.contains(&format!("\"{identifier}\"")), "{filter}");
            }
            // Its page, its row, and the files that contain it.
            let page = server.get(&format!("/audit-logs/{identifier}"));
            assert_eq!(page.status, 200, "{identifier}");
            assert_eq!(server.get(&format!("/audit-logs/{identifier}?within=list")).status, 200, "{identifier}");
        }
        for path in ["/audit-logs", "/v1/audit-log/export?format=csv", "/v1/audit-log/export?format=ndjson"] {
            assert_eq!(server.get(path).status, 200, "{path}");
        }
        let facets = server.get("/v1/audit-log/stats?facets=status&resources=x").text;
        assert!(facets.contains("\"SUCCESS\"") && !facets.contains("\"success\""), "{facets}");
        for missing in ["status_code=0", "ip=0", "entity=%22%22"] {
            let found = server.list(missing);
            assert!(found.status == 422 || found.json()["audits"] == json!([]), "{missing}: {}", found.text);
        }
        if !restarted {
            // An index that is rebuilt finds the same.
            let (_, directory) = server.stop();
            let done = run(directory.path(), &["reindex"]);
            assert!(done.status.success(), "{done:?}");
            server = Server::start_in(directory, &[]);
        }
    }
    let page = server.get("/audit-logs/lone").text;
    assert!(page.contains(r"\ud800") && page.contains(r"x\ud83d"), "{page}");
    assert!(server.get("/audit-logs/sides").text.contains("(whole value)"));
    assert!(server.get("/audit-logs/ids").text.contains("1001"));
}

#[test]
fn a_surrogate_is_rejected_where_the_text_is_compared() {
    let server = Server::start();
    for (members, field) in [
        (r#""context":{"entity":"a\ud800"}"#, "context.entity"),
        (r#""trigger":{"by":{"name":"\udc00"}}"#, "trigger.by.name"),
        (r#""trigger":{"origin":"\udc00"}"#, "trigger.origin"),
        (r#""request":{"path":"\ud83d"}"#, "request.path"),
        (r#""trigger":{"\ud83d":1}"#, "trigger"),
    ] {
        let answer = server.post(LOG, &event("e", members));
        assert_eq!((answer.refusal().0, &answer.json()["details"][0]["field"]), (422, &json!(field)), "{members}");
        assert!(answer.text.contains("surrogate"), "{}", answer.text);
    }
}

#[test]
fn a_value_of_any_length_is_kept_and_found_by_its_whole_text() {
    let server = Server::start_chunked(64);
    let entity = |last: &str| format!("{}{last}", "entity/".repeat(200));
    let path = format!("/{}?q=1", "segment/".repeat(1_200));
    let run = "r".repeat(3_000);
    for (identifier, entity) in [("one", entity("a")), ("two", entity("b"))] {
        let members = format!(
            r#""context":{{"entity":"{entity}","runId":"{run}"}},"request":{{"path":"{path}","userAgent":"{path}{path}"}}"#
        );
        let answer = server.post(LOG, &event(identifier, &members));
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    let check = || {
        assert_eq!(server.list(&query("entity", &entity("a"))).identifiers(), ["one"]);
        assert_eq!(server.list(&query("entity", &entity("b"))).identifiers(), ["two"]);
        assert_eq!(server.list(&query("entity", &entity("c"))).identifiers(), [""; 0]);
        assert_eq!(server.list(&format!("resources=x&{}", query("not.entity", &entity("a")))).identifiers(), ["two"]);
        assert_eq!(server.list(&query("path", &path)).identifiers(), ["two", "one"]);
        assert_eq!(server.list(&query("path", &path[..5_000])).identifiers(), ["two", "one"]);
        assert_eq!(server.list(&query("run_id", &run)).identifiers(), ["two", "one"]);
        assert_eq!(server.list("q=entity/entity").identifiers(), ["two", "one"]);
        assert_eq!(server.list("q=sha256").identifiers(), [""; 0]);
    };
    check();
    // A facet shows the beginning, and its value is a filter.
    let facets = server.get("/v1/audit-log/stats?facets=entity&resources=x").json();
    let values: Vec<_> = facets["facets"]["entity"]["values"].as_array().unwrap().iter().collect();
    assert_eq!(values.len(), 2, "{facets}");
    for value in values {
        let value = value["value"].as_str().unwrap();
        assert!(value.starts_with("entity/entity/") && value.contains("…sha256:") && value.len() <= 1_024, "{value}");
        assert_eq!(server.list(&query("entity", value)).identifiers().len(), 1);
    }
    // In a sealed chunk too.
    let more: Vec<Value> =
        (0..200).map(|n| json!({ "identifier": n.to_string(), "action": "A", "resourceType": "y" })).collect();
    server.store(&more);
    check();
    assert_eq!(server.get("/audit-logs/one").status, 200);
    assert_eq!(server.get(&format!("/audit-logs?{}", query("entity", &entity("a")))).status, 200);
}

#[test]
fn pages_and_links_stay_small_with_values_of_any_length() {
    let server = Server::start();
    let long = "checkout ".repeat(5_000);
    let text = format!(
        r#"{{"identifier":"long","action":"{long}","resourceType":"{long}","message":"{long}","trigger":{{"origin":"{long}","by":{{"userId":"{long}","orgId":"{long}","name":"{long}","email":"{long}","type":"{long}"}}}},"context":{{"entity":"{long}","blueprint":"{long}","runId":"{long}","webhookId":"{long}","actionType":"{long}"}},"request":{{"method":"{long}","path":"{long}","ip":"{long}","userAgent":"{long}"}}}}"#
    );
    for identifier in ["long", "longer"] {
        let answer = server.post(LOG, &text.replace("\"long\"", &format!("\"{identifier}\"")));
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    for path in [
        "/audit-logs",
        "/audit-logs/long",
        "/audit-logs/long?within=list",
        "/v1/audit-log/stats?facets=entity,actor,path",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.text.len() < 700_000, "{path}: {} bytes", answer.text.len());
    }
    // A link to the events with the same value leads to both.
    let page = server.get("/audit-logs/long").text;
    let link = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let links: Vec<_> = link.filter(|link| link.contains("?entity=checkout")).collect();
    assert!(!links.is_empty(), "{page}");
    for link in links {
        assert!(link.len() < 8_000, "{} bytes", link.len());
        let page = server.get(&link.replace("&#38;", "&").replace("&amp;", "&"));
        assert!(page.status == 200 && page.text.contains("/audit-logs/longer"), "{link}");
    }
}

const FIRST: &str = r#"{"identifier":"s","action":"UPDATE","resourceType":"x","trigger":{"at":"2024-05-01T12:00:00Z","by":{"name":"é/\"b"}},"diff":{"before":{"n":1.0,"list":[1,{"a":"\ud800"}]},"after":{}},"additionalData":{"a":1,"b":[true,null]}}"#;

#[test]
fn another_spelling_of_an_event_is_the_same_event() {
    let server = Server::start();
    assert_eq!(server.post(LOG, FIRST).status, 201);
    let stored = server.get(&format!("{LOG}/s")).text;
    let replace = |old: &str, new: &str| {
        let other = FIRST.replace(old, new);
        assert_ne!(other, FIRST, "{old}");
        other
    };
    for other in [
        replace("\"a\":1", "\"a\": 1"),
        replace(r#""a":1,"b":[true,null]"#, r#""b" : [ true , null ] ,"a":1"#),
        replace("é", r"\u00e9"),
        replace("é", r"\u00E9"),
        replace("é/", r"é\/"),
        replace("00Z", "00.000Z"),
        replace("12:00:00Z", "14:00:00+02:00"),
        replace("\"resourceType\"", "\"status\":\"SUCCESS\",\"resourceType\""),
        replace("\"resourceType\"", "\"message\":null,\"status\":null,\"context\":null,\"resourceType\""),
        replace("\"by\"", "\"origin\":\"API\",\"by\""),
        replace("\"name\"", "\"email\":\"\",\"userId\":null,\"name\""),
        replace(r"\ud800", r"\uD800"),
        replace("UPDATE", r"\u0055PDATE"),
        replace("\"diff\"", "\"\\u0064iff\""),
        replace(",\"additionalData\"", "\r\n,\t\"additionalData\""),
    ] {
        let answer = server.post(LOG, &other);
        assert_eq!((answer.status, &answer.json()["duplicates"]), (200, &json!(1)), "{other}: {}", answer.text);
    }
    assert_eq!(server.get(&format!("{LOG}/s")).text, stored, "the first bytes stay");
    for (old, new) in [
        ("1.0", "1"),
        ("1.0", "\"1.0\""),
        ("\"a\":1", "\"a\":1e0"),
        ("[1,", "[{\"a\":\"\\ud800\"},"),
        (r"\ud800", r"\ud801"),
        (r"\ud800", r"\ufffd"),
        ("é", "e\u{301}"),
        ("12:00:00Z", "12:00:00.000001Z"),
        ("12:00:00Z", "12:00:00.000000001Z"),
        ("true", "false"),
        (",null]", "]"),
        ("\"after\":{}", "\"after\":null"),
        ("UPDATE", "update"),
        ("\"by\"", "\"origin\":\"UI\",\"by\""),
        ("\"b\":[", "\"c\":null,\"b\":["),
    ] {
        let answer = server.post(LOG, &replace(old, new));
        assert_eq!(answer.refusal(), (409, "conflict".to_owned()), "{old} -> {new}");
    }
}

#[test]
fn an_empty_object_differs_from_an_absent_one_except_as_trigger() {
    let server = Server::start();
    let objects = ["trigger", "context", "request", "diff", "additionalData", "more"];
    let event = |name: &str, more: &str| format!(r#"{{"identifier":"{name}","action":"A","resourceType":"x"{more}}}"#);
    for object in objects {
        for pair in [["", "{}"], ["{}", ""]] {
            let name = format!("{object}{}", pair[0]);
            let bodies = pair.map(|value| {
                let more = if value.is_empty() { String::new() } else { format!(",\"{object}\":{value}") };
                event(&name, &more)
            });
            assert_eq!(server.post(LOG, &bodies[0]).status, 201);
            let again = server.post(LOG, &bodies[1]);
            assert_eq!(again.status, if object == "trigger" { 200 } else { 409 }, "{}", bodies[1]);
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_bodies_are_recognized_without_a_header() {
    let server = Server::start();
    for (name, body) in [
        ("gzip", gzip(event("gzip", "").as_bytes())),
        ("zstd", zstd::encode_all(event("zstd", "").as_bytes(), 3).unwrap()),
    ] {
        for headers in [&[][..], &[("content-encoding", "identity")][..]] {
            let answer = post(&server, LOG, headers, &body);
            assert_eq!(answer.json()["identifiers"], json!([name]), "{}", answer.text);
        }
        assert_eq!(post(&server, LOG, &[], &body[..body.len() - 3]).refusal().0, 422, "{name}");
    }
    // The limits are those of a body with the header.
    let bomb = gzip(&vec![b' '; 17 * 1024 * 1024]);
    assert_eq!(post(&server, LOG, &[], &bomb).refusal(), (413, "payload_too_large".to_owned()));
}

#[test]
fn a_request_without_events_is_a_success() {
    let server = Server::start();
    let nothing = json!({ "ok": true, "accepted": 0, "duplicates": 0, "identifiers": [] });
    for body in ["", " \n", "[]", " [ ]\n", "\u{feff}"] {
        let answer = server.post(LOG, body);
        assert_eq!((answer.status, answer.json()), (200, nothing.clone()), "{body:?}");
        let answer = server.post(PARTIAL, body);
        let partial = json!({ "ok": true, "accepted": 0, "duplicates": 0, "rejected": 0, "results": [] });
        assert_eq!((answer.status, answer.json()), (200, partial), "{body:?}");
    }
    assert_eq!(post(&server, LOG, &[], &gzip(b"")).json(), nothing);
}

/// The status, the line and the message of each result.
fn results(answer: &Answer) -> Vec<(u64, Option<u64>, String)> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    let results = body["results"].as_array().unwrap();
    assert!(results.iter().enumerate().all(|(index, result)| result["index"] == index), "{}", answer.text);
    let of = |result: &Value| {
        let message = result["message"].as_str().unwrap_or_default().to_owned();
        (result["status"].as_u64().unwrap(), result["line"].as_u64(), message)
    };
    results.iter().map(of).collect()
}

#[test]
#[expect(clippy::many_single_char_names, reason = "events are called by their identifiers")]
fn with_partial_a_damaged_line_costs_that_line_only() {
    let server = Server::start();
    let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(|name| event(name, "\"message\":\"ü\""));
    // Truncated at every byte.
    let whole = event("whole", r#""additionalData":[{"k":"v"},"text"]"#);
    for length in 1..whole.len() {
        let body = format!("{a}\n{}\n{b}\n{c}\n", &whole[..length]);
        let found = results(&server.post(PARTIAL, &body));
        let statuses: Vec<_> = found.iter().map(|(status, ..)| *status).collect();
        let expected = if length == 1 { [201, 422, 201, 201] } else { [200, 422, 200, 200] };
        assert_eq!(statuses, expected, "{length}: {found:?}");
        assert!(found[1].1 == Some(2) && found[1].2.contains("not JSON"), "{length}: {found:?}");
    }
    assert_eq!(server.list("sort=received&order=asc").identifiers(), ["a", "b", "c"]);

    let body = [d.as_bytes(), b"\r\n{\"action\":\"\xff\"}\r\nnonsense\r\n\xfe\xff\r\n{\"action\":5}\r\n", e.as_bytes()]
        .concat();
    let answer = post(&server, PARTIAL, &[], &body);
    let found = results(&answer);
    let lines: Vec<_> = found.iter().map(|(status, line, _)| (*status, *line)).collect();
    let expected = [(201, None), (422, Some(2)), (422, Some(3)), (422, Some(4)), (422, Some(5)), (201, None)];
    assert_eq!(lines, expected, "{found:?}");
    assert!(found[1].2.contains("not UTF-8"), "{found:?}");
    assert_eq!([&answer.json()["accepted"], &answer.json()["rejected"]], [&json!(2), &json!(4)]);

    // Without partial, the body is rejected, and the error names the line.
    let answer = post(&server, LOG, &[], &body);
    assert_eq!(answer.refusal().0, 422);
    assert!(answer.text.contains("line 2"), "{}", answer.text);
    assert_eq!([&answer.json()["details"][0]["index"], &answer.json()["details"][0]["line"]], [&json!(1), &json!(2)]);
}

#[test]
fn with_partial_an_error_in_an_element_of_an_array_costs_that_element() {
    let server = Server::start();
    let (a, b) = (event("a", ""), event("b", ""));
    let body =
        [b"[", a.as_bytes(), b",\n{\"action\":\"\xff\"},\n{\"n\":1},", b.as_bytes(), b"\n,{\"x\" 1},7]"].concat();
    let found = results(&post(&server, PARTIAL, &[], &body));
    let lines: Vec<_> = found.iter().map(|(status, line, _)| (*status, *line)).collect();
    assert_eq!(
        lines,
        [(201, None), (422, Some(2)), (422, Some(3)), (201, None), (422, Some(4)), (422, Some(4))],
        "{found:?}"
    );
    assert!(found[4].2.starts_with("line 4, column 7: not JSON"), "{found:?}");
    // An object that is nested in a broken event does not become an event.
    let nested =
        format!("{{\n  \"action\": \"A\",\n  \"additionalData\": [\n    {}\n  ],\n  oops\n}}\n{a}\n", event("no", ""));
    let found = results(&server.post(PARTIAL, &nested));
    assert_eq!(found.iter().map(|(status, ..)| *status).collect::<Vec<_>>(), [422, 200], "{found:?}");
    assert_eq!(server.list("sort=received&order=asc").identifiers(), ["a", "b"]);
}

#[test]
fn a_retry_by_key_stores_nothing_and_gets_the_first_response() {
    let mut server = Server::start();
    let bare = r#"{"action":"READ","resourceType":"x"}"#;
    let own = event("own", "");
    server.store(&[serde_json::from_str(&event("before", "")).unwrap()]);
    let bodies = [
        ("k1", LOG, bare.to_owned()),
        ("\"k 2\"", LOG, format!("[{bare},{own},{bare},{}]", event("before", ""))),
        ("k3", PARTIAL, format!("{bare}\nnonsense\n{{\"action\":\"A\"}}\n{}\n{bare}", event("partial", ""))),
    ];
    let mut first = Vec::new();
    for (key, path, body) in &bodies {
        let answer = post(&server, path, &[(KEY, key)], body.as_bytes());
        assert!(answer.header("idempotency-replayed").is_none(), "{}", answer.text);
        first.push(answer);
    }
    assert_eq!((first[0].status, first[1].status, first[2].status), (201, 201, 200));
    assert_eq!([&first[1].json()["accepted"], &first[1].json()["duplicates"]], [&json!(3), &json!(1)]);
    let count = server.list("").identifiers().len();
    assert_eq!(count, 1 + 1 + 3 + 3);
    for restarted in [false, true] {
        for ((key, path, body), first) in bodies.iter().zip(&first) {
            // Another spelling is the same content.
            let retry = body.replace("\"READ\"", "\"\\u0052EAD\"");
            let answer = post(&server, path, &[(KEY, key)], retry.as_bytes());
            assert_eq!((answer.status, &answer.text), (first.status, &first.text), "{key}");
            assert_eq!(answer.header("idempotency-replayed"), Some("true"), "{key}");
        }
        assert_eq!(server.list("").identifiers().len(), count);
        if !restarted {
            let directory = server.stop_killed();
            server = Server::start_in(directory, &[]);
        }
    }
    // Another credential's key is another key, and so is another key.
    let other = server.credential("other", &["ingest"]);
    let bearer = format!("Bearer {other}");
    for (token, key) in [(&*bearer, "k1"), (&*format!("Bearer {}", server.token), "K1")] {
        let answer = server.request("POST", LOG, &[("authorization", token), (KEY, key)], bare.as_bytes());
        assert_eq!((answer.status, answer.header("idempotency-replayed")), (201, None), "{key}");
    }
    assert_eq!(server.list("").identifiers().len(), count + 2);
}

#[test]
fn a_key_for_other_content_and_an_invalid_key_are_rejected() {
    let server = Server::start();
    let bare = |action: &str| format!(r#"{{"action":"{action}","resourceType":"x"}}"#);
    let two = format!("{}{}", bare("A"), bare("B"));
    assert_eq!(post(&server, LOG, &[(KEY, "k")], two.as_bytes()).status, 201);
    for body in [bare("B") + &bare("A"), bare("A"), format!("{two}{}", bare("C")), bare("A") + &bare("C")] {
        let answer = post(&server, LOG, &[(KEY, "k")], body.as_bytes());
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{body}");
        assert!(answer.json()["message"].as_str().unwrap().starts_with("Idempotency-Key:"), "{}", answer.text);
    }
    let answer = post(&server, PARTIAL, &[(KEY, "k")], (bare("A") + &bare("C")).as_bytes());
    let found = results(&answer);
    assert_eq!((found[0].0, found[1].0), (200, 422), "{found:?}");
    assert!(answer.header("idempotency-replayed").is_none());
    assert!(found[1].2.contains("Idempotency-Key"), "{found:?}");
    assert_eq!(server.list("").identifiers().len(), 2);
    let long = "k".repeat(256);
    for key in ["", "\"", "\"a\"b\"", "é", &long] {
        let answer = post(&server, LOG, &[(KEY, key)], bare("A").as_bytes());
        assert_eq!(answer.refusal().0, 422, "{key:?}");
        assert!(answer.json()["message"].as_str().unwrap().starts_with("Idempotency-Key:"), "{}", answer.text);
    }
    let answer = post(&server, LOG, &[(KEY, "a"), (KEY, "b")], bare("A").as_bytes());
    assert!(answer.refusal().0 == 422 && answer.text.contains("twice"), "{}", answer.text);
    // A request that was not stored has not used its key.
    assert_eq!(post(&server, LOG, &[(KEY, "new")], b"{\"action\":\"A\"}").refusal().0, 422);
    assert_eq!(post(&server, LOG, &[(KEY, "new")], bare("A").as_bytes()).status, 201);
}

#[test]
fn a_request_that_stores_an_event_is_no_replay() {
    let server = Server::start();
    let bare = |action: &str| format!(r#"{{"action":"{action}","resourceType":"x"}}"#);
    let [a, b, c] = ["A", "B", "C"].map(bare);
    let send = |body: String| post(&server, PARTIAL, &[(KEY, "k3")], body.as_bytes());
    let statuses = |answer: &Answer| results(answer).iter().map(|(status, ..)| *status).collect::<Vec<_>>();
    let first = send(format!("{a}\n{{bad\n{c}\n"));
    assert_eq!(statuses(&first), [201, 422, 201]);
    let retry = send(format!("{a}\n{{bad\n{c}\n"));
    assert_eq!((&retry.text, retry.header("idempotency-replayed")), (&first.text, Some("true")));
    let repaired = send(format!("{a}\n{b}\n{c}\n"));
    assert_eq!(statuses(&repaired), [200, 201, 200], "{}", repaired.text);
    assert_eq!(repaired.header("idempotency-replayed"), None);
    let own = send(format!("{a}\n{b}\n{c}\n{}", event("own", "")));
    assert_eq!((statuses(&own), own.header("idempotency-replayed")), (vec![200, 200, 200, 201], None));
    assert_eq!(server.list("").identifiers().len(), 4);
}

#[test]
fn gzip_with_zeros_and_zstd_with_a_skippable_frame_are_read() {
    let server = Server::start();
    let padded = [gzip(event("g", "").as_bytes()), vec![0; 700]].concat();
    let frame =
        [&b"\x5a\x2a\x4d\x18\x01\0\0\0x"[..], &zstd::encode_all(event("z", "").as_bytes(), 3).unwrap()].concat();
    for (name, body) in [("g", padded), ("z", frame)] {
        let answer = post(&server, LOG, &[], &body);
        assert_eq!(answer.json()["identifiers"], json!([name]), "{}", answer.text);
    }
}

#[test]
fn what_arrived_of_a_compressed_body_that_is_cut_off_is_stored_on_request() {
    let server = Server::start();
    let text: String = (0..300).map(|number| event(&format!("e{number}"), "") + "\n").collect();
    for (name, whole) in [("gzip", gzip(text.as_bytes())), ("zstd", zstd::encode_all(text.as_bytes(), 3).unwrap())] {
        let cut = &whole[..whole.len() - 6];
        let refused = post(&server, LOG, &[], cut);
        assert_eq!(refused.refusal().0, 422);
        assert!(refused.text.contains(&format!("body: is {name}, but cut off")), "{}", refused.text);
        let answer = post(&server, PARTIAL, &[], cut);
        let found = results(&answer);
        let (status, _, message) = found.last().unwrap();
        assert_eq!((answer.status, *status, answer.json()["rejected"].clone()), (200, 422, json!(1)), "{name}");
        assert!(message.contains(&format!("the {name} stream is cut off")), "{message}");
        let stored = answer.json()["accepted"].as_u64().unwrap() + answer.json()["duplicates"].as_u64().unwrap();
        assert_eq!(stored, found.len() as u64 - 1);
        assert!(name == "zstd" || stored > 100, "{stored}");
    }
}

#[test]
fn an_error_names_the_line() {
    let server = Server::start();
    let deep = format!("{{\"action\":\"A\",\"resourceType\":\"x\",\"x\":{}{}}}", "[".repeat(100), "]".repeat(100));
    let large = format!("{{\"action\":\"A\",\"resourceType\":\"x\",\"x\":\"{}\"}}", "y".repeat(2 * 1024 * 1024));
    let answer = post(&server, PARTIAL, &[], format!("\n{deep}\n\n7\n{large}\n{{\"a\":\n").as_bytes());
    let found = answer.json()["results"].as_array().unwrap().clone();
    let lines: Vec<_> = found.iter().map(|result| result["line"].clone()).collect();
    assert_eq!(lines, [json!(2), json!(4), json!(5), json!(6)], "{}", answer.text);
    let message = found[3]["message"].as_str().unwrap();
    assert!(message.starts_with("line 6, column 1: not JSON"), "{message}");
}

#[test]
fn requests_with_one_key_at_once_store_the_events_once() {
    let server = Server::start();
    let body = r#"{"action":"READ","resourceType":"x"}{"action":"READ","resourceType":"x"}"#;
    let answers: Vec<_> = std::thread::scope(|scope| {
        let sending: Vec<_> =
            (0..8).map(|_| scope.spawn(|| post(&server, LOG, &[(KEY, "at once")], body.as_bytes()))).collect();
        sending.into_iter().map(|sending| sending.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.text == answers[0].text));
    assert_eq!(answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).count(), 1);
    assert_eq!(server.list("").identifiers().len(), 2);
}
