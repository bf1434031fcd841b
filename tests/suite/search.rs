//! Text search (`q`): in every script, and in every part of a message of any length.

use serde_json::{Value, json};

use crate::{
    damage,
    harness::{Server, eventually},
};

const EVENTS: usize = 150;
/// The minimum size of chunks, so that some are sealed and some are in memory.
const CHUNK_EVENTS: u32 = 64;

fn query(name: &str, value: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

#[test]
fn case_makes_no_difference_in_any_script() {
    let server = Server::start();
    let event = |identifier: &str, entity: &str, message: &str| {
        json!({
            "identifier": identifier, "action": "CREATE", "resourceType": "ΤΎΠΟΣ", "message": message,
            "trigger": { "at": "2024-05-01T12:00:00Z" }, "context": { "entity": entity },
        })
    };
    server.store(&[
        event("1", "ΟΔΟΣ", "Κλειστή ΟΔΌΣ"),
        event("2", "οδος-β", "Straße gesperrt"),
        event("3", "x", "STRASSE frei, \u{fb01}n"),
        event("4", "x", "İstanbul"),
    ]);
    for (search, found) in [
        ("ΟΔΟΣ", "2,1"),
        ("οδος", "2,1"),
        ("οδοσ", "2,1"),
        ("οδός", "1"),
        ("ΟΔΌΣ", "1"),
        ("οδόσ", "1"),
        ("straße", "3,2"),
        ("STRASSE", "3,2"),
        ("STRAẞE", "3,2"),
        ("FIN", "3"),
        ("İSTANBUL", "4"),
    ] {
        assert_eq!(server.list(&query("q", search)).identifiers().join(","), found, "{search}");
    }
    for kind in ["ΤΎΠΟΣ", "τύπος", "τύποσ"] {
        assert_eq!(server.list(&query("resources", kind)).identifiers().len(), 4, "{kind}");
    }
}

/// Every third event has a message of 601 different words.
fn event(number: usize) -> Value {
    let long: String = (0..600).map(|word| ["alpha", &word.to_string(), " "].concat()).collect();
    json!({
        "identifier": format!("e{number}"), "resourceType": "x",
        "action": if number.is_multiple_of(5) { "DELETE" } else { "CREATE" },
        "status": if number.is_multiple_of(7) { "FAILURE" } else { "SUCCESS" },
        // The later an event arrives, the earlier is its time.
        "trigger": { "at": format!("2024-05-01T{:02}:{:02}:00Z", 23 - number / 60, 59 - number % 60) },
        "message": match number % 3 {
            0 => format!("{long}NEEDLE{}", number % 2),
            1 => "needle1 in a short message".to_owned(),
            _ => "nothing".to_owned(),
        },
    })
}

fn names(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("e{number}")).collect()
}

/// The identifiers on all pages of a query.
fn paged(server: &Server, query: &str, limit: usize) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = server.list(&format!("{query}&includes=identifier&limit={limit}{cursor}"));
        let page = answer.identifiers();
        // By arrival, the last page also has a cursor.
        match answer.json()["next"].as_str().filter(|_| !page.is_empty()) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return [found, page].concat(),
        }
        found.extend(page);
    }
}

fn check(server: &Server, search: &str) {
    let events: Vec<_> = (0..EVENTS).map(event).collect();
    let holds = |number: &usize| {
        let message = events[*number]["message"].as_str().unwrap().to_lowercase();
        search.split(' ').all(|word| message.split(' ').any(|own| own.contains(word)))
    };
    let expected: Vec<_> = (0..EVENTS).filter(holds).collect();
    let q = query("q", search);
    for limit in [30, 1_000] {
        let by_arrival = paged(server, &format!("{q}&sort=received&order=asc"), limit);
        assert_eq!(by_arrival, names(expected.iter().copied()), "{search}");
        let newest = paged(server, &format!("{q}&sort=received"), limit);
        assert_eq!(newest, names(expected.iter().rev().copied()), "{search}");
        // By time, the order is reversed.
        assert_eq!(paged(server, &q, limit), by_arrival, "{search}");
        assert_eq!(paged(server, &format!("{q}&order=asc"), limit), newest, "{search}");
    }
    let count = |filter: &str| server.list(&format!("{q}&count=true&limit=1{filter}")).json()["count"].clone();
    let of = |divisor: usize| expected.iter().filter(|number| number.is_multiple_of(divisor)).count();
    assert_eq!(count(""), expected.len(), "{search}");
    assert_eq!(count("&action=DELETE"), of(5), "{search}");
    let stats = server.get(&format!("/v1/audit-log/stats?{q}&action=DELETE&facets=action,status&histogram=1d")).json();
    assert_eq!(stats["count"], of(5), "{search}");
    let facet = |name: &str, value: &str| {
        let values = stats["facets"][name]["values"].as_array().unwrap();
        values.iter().find(|known| known["value"] == value).map_or(0, |known| known["count"].as_u64().unwrap())
    };
    assert_eq!(facet("action", "CREATE"), (expected.len() - of(5)) as u64, "{search}");
    assert_eq!(facet("action", "DELETE"), of(5) as u64, "{search}");
    assert_eq!(facet("status", "FAILURE"), of(35) as u64, "{search}");
    let buckets = stats["histogram"]["buckets"].as_array().unwrap();
    let failures: u64 = buckets.iter().map(|bucket| bucket["failure"].as_u64().unwrap()).sum();
    assert_eq!(failures, of(35) as u64, "{search}");
}

#[test]
fn every_word_of_a_long_message_is_found_and_counted() {
    let server = Server::start_chunked(CHUNK_EVENTS);
    server.store(&(0..EVENTS).map(event).collect::<Vec<_>>());
    let sealed = || -> i64 {
        let database = rusqlite::Connection::open(server.database()).unwrap();
        database.query_row("SELECT count(*) FROM chunk", [], |row| row.get(0)).unwrap()
    };
    eventually("the sealing of two chunks", || (sealed() == 2).then_some(()));
    for search in ["needle1", "eedle", "alpha599", "alpha3 alpha599", "alpha599 needle1", "needle0 alpha1", "alpha600"]
    {
        check(&server, search);
    }
}

#[test]
fn the_end_of_an_overlong_word_is_found() {
    let server = Server::start();
    let message = format!("{}tail and {}", "x".repeat(5_000), "é".repeat(2_000));
    server.store(&[json!({ "identifier": "e", "action": "CREATE", "resourceType": "y", "message": message })]);
    for (search, found) in [("xtail", 1), ("xxxx", 1), ("tail", 1), ("xtailé", 0), (&"é".repeat(500), 1), ("xtails", 0)]
    {
        assert_eq!(server.list(&query("q", search)).identifiers().len(), found, "{search}");
    }
}

#[test]
fn a_damaged_long_message_is_reported_and_not_omitted() {
    let server = Server::start();
    server.store(&(0..4).map(event).collect::<Vec<_>>());
    let (status, directory) = server.stop();
    assert!(status.success());
    let server = Server::start_in(directory, &[]);
    assert_eq!(server.list("q=needle1").identifiers(), ["e1", "e3"]);
    // Its words have been in the index since startup; only its row is damaged now.
    let connection = damage::sql(&server.database());
    let longest =
        "UPDATE event SET body = x'7b7d' WHERE seq = (SELECT seq FROM event ORDER BY length(body) DESC LIMIT 1)";
    assert_eq!(connection.execute(longest, []).unwrap(), 1);
    damage::close(connection);
    for search in ["needle1", "nowhere"] {
        let answer = server.list(&query("q", search)).json();
        assert_eq!(answer["damaged"]["count"], 1, "{answer}");
    }
}
