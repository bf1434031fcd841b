//! Counts, facets, histograms, and text search.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::Server;

fn event(identifier: &str, at: &str, action: &str, status: &str) -> Value {
    json!({
        "identifier": identifier, "action": action, "resourceType": "Entity", "status": status,
        "trigger": { "at": at, "by": { "name": "release bot", "email": "release bot" } },
        "context": { "entity": "Checkout-API", "runId": format!("run-of-{identifier}") },
        "message": if status == "FAILURE" { "Timed out: pool #14100 exhausted" } else { "done" },
    })
}

fn server() -> Server {
    let server = Server::start();
    server.store(&[
        event("a", "2024-03-30T22:30:00Z", "CREATE", "SUCCESS"),
        event("b", "2024-03-30T23:30:00Z", "UPDATE", "SUCCESS"),
        event("c", "2024-03-31T12:00:00Z", "UPDATE", "FAILURE"),
        event("d", "2024-03-31T22:30:00Z", "DELETE", "SUCCESS"),
    ]);
    server
}

fn stats(server: &Server, query: &str) -> Value {
    let answer = server.get(&format!("/v1/audit-log/stats?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[test]
fn counting_needs_the_scope_read() {
    let server = Server::start();
    let ingest = server.credential("sender", &["ingest"]);
    let path = "/v1/audit-log/stats";
    assert_eq!(server.request("GET", path, &[], b"").refusal(), (401, "unauthorized".to_owned()));
    assert_eq!(server.request_as(&ingest, "GET", path, "").refusal(), (403, "forbidden".to_owned()));
}

#[test]
fn the_values_of_a_field_are_counted_without_its_own_filter() {
    let server = server();
    let found = stats(&server, "action=UPDATE&facets=action,status,actor,entity");
    assert_eq!(found["count"], 2);
    let one = |value: &str, count: u64| json!({ "value": value, "count": count });
    assert_eq!(found["facets"]["action"]["values"], json!([one("UPDATE", 2), one("CREATE", 1), one("DELETE", 1)]));
    assert_eq!(found["facets"]["status"]["values"], json!([one("SUCCESS", 1), one("FAILURE", 1)]));
    // An actor whose name equals their address counts once.
    assert_eq!(found["facets"]["actor"], json!({ "values": [one("release bot", 2)], "distinct": 1 }));
    assert_eq!(found["histogram"], Value::Null);
    // A chosen value stays in the list even if no event has it.
    let found = stats(&server, "action=CREATE&status=FAILURE&resources=entity&facets=action,resources");
    assert_eq!(found["facets"]["action"]["values"], json!([one("UPDATE", 1), one("CREATE", 0)]));
    assert_eq!(found["facets"]["resources"]["values"], json!([one("Entity", 0)]));
}

#[test]
fn spellings_of_one_value_are_counted_together_and_filtered_together() {
    let server = Server::start_chunked(64);
    let spellings = [("UI", "User.Login", "Ada@Example.org", "GET"), ("ui", "user.login", "ada@example.org", "get")];
    let event = |number: usize| {
        let (origin, action, actor, method) = spellings[usize::from(number.is_multiple_of(3))];
        let actor = match number % 10 {
            0 => "mu\u{308}ller",
            5 => "M\u{fc}ller",
            _ => actor,
        };
        json!({
            "identifier": format!("e{number}"), "action": action, "resourceType": "x", "request": { "method": method },
            "trigger": { "at": "2024-05-01T12:00:00Z", "origin": origin, "by": { "userId": actor } },
        })
    };
    server.store(&(0..150).map(event).collect::<Vec<_>>());
    let found = stats(&server, "resources=x&include_own=true&facets=origin,action,actor,method");
    let one = |value: &str, count: u64| json!({ "value": value, "count": count });
    // The commonest spelling is shown.
    assert_eq!(found["facets"]["origin"], json!({ "values": [one("UI", 150)], "distinct": 1 }));
    assert_eq!(found["facets"]["action"], json!({ "values": [one("User.Login", 150)], "distinct": 1 }));
    assert_eq!(found["facets"]["method"], json!({ "values": [one("GET", 150)], "distinct": 1 }));
    assert_eq!(found["facets"]["actor"]["distinct"], 2);
    for name in ["origin", "action", "actor", "method"] {
        for value in found["facets"][name]["values"].as_array().unwrap() {
            let text = value["value"].as_str().unwrap();
            let query = form_urlencoded::Serializer::new(String::new()).append_pair(name, text).finish();
            assert_eq!(stats(&server, &query)["count"], value["count"], "{query}");
        }
    }
    // A value that the filter names counts once, in whatever spelling.
    let named = stats(&server, "resources=x&include_own=true&origin=Ui&origin=uI&facets=origin");
    assert_eq!(named["facets"]["origin"], json!({ "values": [one("UI", 150)], "distinct": 1 }));
    let none = stats(&server, "resources=x&include_own=true&origin=Ui&action=none&facets=origin");
    assert_eq!(none["facets"]["origin"]["values"].as_array().unwrap().len(), 1, "{none}");
    assert_eq!(none["facets"]["origin"]["values"][0]["count"], 0);
    // New spellings are known at once.
    server.store(&[json!({ "action": "USER.LOGIN", "resourceType": "x", "trigger": { "origin": "uI" } })]);
    let found = stats(&server, "resources=x&include_own=true&facets=origin,action");
    assert_eq!(found["facets"]["origin"], json!({ "values": [one("UI", 151)], "distinct": 1 }));
    assert_eq!(found["facets"]["action"], json!({ "values": [one("User.Login", 151)], "distinct": 1 }));
}

#[test]
fn an_actor_with_three_names_counts_once() {
    let server = Server::start();
    let by = |number: usize, person: usize| {
        let (id, email, name) =
            (format!("u{person}"), format!("p{person}@example.com"), format!("Person {}", person / 2));
        // The keys in any order; some senders know less of a person.
        let by = match number % 4 {
            0 => json!({ "name": name, "email": email, "userId": id }),
            1 => json!({ "email": email, "userId": id, "name": name }),
            2 => json!({ "name": name, "email": email }),
            _ => json!({ "name": name }),
        };
        json!({ "action": "READ", "resourceType": "x", "trigger": { "by": by } })
    };
    server.store(&(0..40).map(|number| by(number, number / 4)).collect::<Vec<_>>());
    let found = stats(&server, "facets=actor");
    let values = found["facets"]["actor"]["values"].as_array().unwrap();
    let counts: BTreeMap<_, _> =
        values.iter().map(|value| (value["value"].as_str().unwrap(), value["count"].as_u64().unwrap())).collect();
    // Ten ids, ten addresses of events without an id, and five names, each shared by two people. Each counts the events that it
    // finds.
    assert_eq!(found["facets"]["actor"]["distinct"], 25);
    assert_eq!((counts.len(), counts["u7"], counts["p7@example.com"], counts["Person 3"]), (25, 2, 3, 8));
    assert_eq!(values[0], json!({ "value": "Person 0", "count": 8 }));
    let label = |value: &str| values.iter().find(|found| found["value"] == value).unwrap()["label"].clone();
    assert_eq!(
        (label("u7"), label("p7@example.com"), label("Person 3")),
        (json!("Person 3"), json!("Person 3"), Value::Null)
    );
    // All of a person's names find their events.
    for (query, count) in [
        ("actor=u7", 2),
        ("actor=p7@example.com", 3),
        ("actor=Person%203", 8),
        ("not.actor=Person%203", 32),
        ("actor=u7&not.actor=Person%203", 0),
        ("actor=u7&actor=p6@example.com", 5),
        ("q=p7@example.com", 3),
    ] {
        assert_eq!(stats(&server, query)["count"], count, "{query}");
    }
    // The filter on the actor does not limit the facet of actors, by whatever name.
    assert_eq!(stats(&server, "facets=actor&actor=Person%203")["facets"]["actor"]["distinct"], 25);
}

/// Checks that each value of a facet counts the events that a filter by it finds.
fn check_counts(server: &Server, name: &str, filter: &str) -> Vec<Value> {
    let found = stats(server, &format!("facets={name}{filter}"));
    let values = found["facets"][name]["values"].as_array().unwrap().clone();
    for value in &values {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair(&format!("{name}[]"), value["value"].as_str().unwrap())
            .finish();
        assert_eq!(stats(server, &format!("{query}{filter}"))["count"], value["count"], "{query}{filter}");
    }
    let counts: Vec<_> = values.iter().map(|value| value["count"].as_u64().unwrap()).collect();
    assert!(counts.is_sorted_by(|one, other| one >= other), "{values:?}");
    values
}

#[test]
fn every_value_counts_the_events_that_it_finds() {
    let server = Server::start_chunked(64);
    let ips = [
        "10.0.0.1",
        "10.0.0.1:443",
        "203.0.113.7, 10.0.0.1",
        "[2001:db8::2]:443",
        "2001:DB8::2",
        "AWS Internal",
        "::ffff:10.0.0.1",
        "10.0.0.1, 10.0.0.1",
    ];
    let event = |number: usize| {
        // The id of one person is the name of another, in other spellings; an address is also a name.
        let by = match number % 6 {
            0 => json!({ "userId": "Ada", "email": "ada@example.com", "name": "Ada Lovelace" }),
            1 => json!({ "userId": "u2", "name": "ADA" }),
            2 => json!({ "name": "ada" }),
            3 => json!({ "email": "ada@example.com", "name": "ADA@example.com" }),
            4 => json!({ "userId": "u3", "email": "Ada@example.com", "name": "ada@Example.com" }),
            _ => json!({ "userId": format!("u{}", number % 40) }),
        };
        json!({
            "identifier": format!("e{number}"), "action": "READ", "resourceType": if number.is_multiple_of(4) { "x" } else { "y" },
            "trigger": { "at": "2024-05-01T12:00:00Z", "by": by }, "request": { "ip": ips[number % ips.len()] },
        })
    };
    server.store(&(0..240).map(event).collect::<Vec<_>>());
    for filter in ["", "&resources=x", "&q=ada", "&ip=10.0.0.1"] {
        let actors = check_counts(&server, "actor", filter);
        assert!(actors.iter().any(|value| value["value"].as_str().unwrap().eq_ignore_ascii_case("ada")), "{actors:?}");
        if !filter.contains("&ip=") {
            check_counts(&server, "ip", filter);
        }
    }
    let one = |value: &str, count: u64| json!({ "value": value, "count": count });
    let facet = |query: &str| stats(&server, query)["facets"]["ip"].clone();
    let values = [one("10.0.0.1", 150), one("2001:db8::2", 60), one("203.0.113.7", 30), one("AWS Internal", 30)];
    assert_eq!(facet("facets=ip"), json!({ "values": values, "distinct": 4 }));
    // A chosen address stays in the list, in any spelling.
    assert_eq!(facet("facets=ip&ip=2001:DB8:0::2&actor=none")["values"], json!([one("2001:db8::2", 0)]));
    let page = server.get("/audit-logs?range=all&ip=::ffff:10.0.0.1").text;
    assert_eq!(page.matches("value=\"10.0.0.1\" checked").count(), 1, "{page}");
}

#[test]
fn buckets_are_days_of_the_requested_zone() {
    let server = server();
    let found = stats(&server, "histogram=1d&tz=Europe/Berlin&to=2024-04-01T20:00:00Z");
    let bucket = |start: &str, end: &str, success: u64, failure: u64| json!({ "start": start, "end": end, "success": success, "failure": failure });
    // Daylight saving time began on the 31st.
    assert_eq!(
        found["histogram"],
        json!({ "interval": "1d", "tz": "Europe/Berlin", "buckets": [
            bucket("2024-03-30T00:00:00+01:00", "2024-03-31T00:00:00+01:00", 1, 0),
            bucket("2024-03-31T00:00:00+01:00", "2024-04-01T00:00:00+02:00", 1, 1),
            bucket("2024-04-01T00:00:00+02:00", "2024-04-02T00:00:00+02:00", 1, 0),
        ], "before": 0, "after": 0 })
    );
    // A requested range is covered completely, with or without events.
    let found = stats(&server, "histogram=1h&from=2024-05-01T00:00:00Z&to=2024-05-01T02:59:59Z");
    assert_eq!(found["histogram"]["buckets"].as_array().unwrap().len(), 3);
    let found = stats(&server, "histogram=auto&entity=nothing");
    assert_eq!(found["histogram"]["buckets"], json!([]));
}

#[test]
fn invalid_parameters_are_rejected_by_name() {
    let server = server();
    server.store(&[event("old", "0001-01-01T00:00:00Z", "CREATE", "SUCCESS")]);
    for (query, parameter) in [
        ("facets=identifier", "facets"),
        ("facets=,", "facets"),
        ("histogram=2h", "histogram"),
        ("histogram=1m", "histogram"),
        ("histogram=1d&histogram=1d", "histogram"),
        ("tz=Nowhere/At_all", "tz"),
        ("count=maybe", "count"),
        ("q=actor:", "q"),
        ("q=a%00b", "q"),
        ("identifier=a%00b", "identifier"),
        ("nonsense=1", "nonsense"),
    ] {
        let answer = server.get(&format!("/v1/audit-log/stats?{query}"));
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{query}");
        assert_eq!(answer.json()["details"][0]["parameter"], parameter, "{query}: {}", answer.text);
    }
}

#[test]
fn words_are_found_in_names_and_messages() {
    let server = server();
    for (search, found) in [
        ("checkout", "d,c,b,a"),
        ("OUT-ap", "d,c,b,a"),
        ("run-of-b", "b"),
        ("timed%20POOL", "c"),
        ("(%2314100)", "c"),
        ("exhaust%20delete", ""),
        ("delete%20bot", "d"),
        ("done%20entity", "d,b,a"),
        ("%23", ""),
    ] {
        for name in ["q", "search"] {
            assert_eq!(server.list(&format!("{name}={search}")).identifiers().join(","), found, "{search}");
        }
    }
    assert_eq!(server.list("q=checkout&action=UPDATE&count=true&limit=1").json()["count"], 2);
    let long = "x".repeat(1_025);
    assert_eq!(server.list(&format!("q={long}")).refusal(), (422, "invalid_request".to_owned()));
}
