//! Text search (`q`): in every script, and in every part of a message of any length.

use serde_json::{Value, json};

use crate::{
    blocks, damage,
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

/// Waits until two chunks are sealed. A third one is in memory.
fn await_sealing(server: &Server) {
    let sealed = || -> i64 {
        let database = rusqlite::Connection::open(server.database()).unwrap();
        database.query_row("SELECT count(*) FROM chunk", [], |row| row.get(0)).unwrap()
    };
    eventually("the sealing of two chunks", || (sealed() == 2).then_some(()));
}

#[test]
fn every_word_of_a_long_message_is_found_and_counted() {
    let server = Server::start_chunked(CHUNK_EVENTS);
    server.store(&(0..EVENTS).map(event).collect::<Vec<_>>());
    await_sealing(&server);
    for search in ["needle1", "eedle", "alpha599", "alpha3 alpha599", "alpha599 needle1", "needle0 alpha1", "alpha600"]
    {
        check(&server, search);
    }
}

/// Checks which of the events each search finds, newest first, in lists, counts and facets.
fn check_terms(server: &Server, all: &[&str], searches: &[(&str, &str)]) {
    for (search, expected) in searches {
        let expected: Vec<_> = expected.split_whitespace().collect();
        let q = query("q", search);
        assert_eq!(server.list(&q).identifiers(), expected, "{search}");
        assert_eq!(server.list(&format!("{q}&sort=received")).identifiers(), expected, "{search}");
        let stats = server.get(&format!("/v1/audit-log/stats?{q}&facets=status&status=SUCCESS&status=FAILURE")).json();
        assert_eq!(stats["count"], expected.len(), "{search}");
        let values = stats["facets"]["status"]["values"].as_array().unwrap();
        let sum: u64 = values.iter().map(|value| value["count"].as_u64().unwrap()).sum();
        assert_eq!(sum, expected.len() as u64, "{search}: {stats}");
        // Each term of one word can be turned around.
        if !search.contains([' ', '-']) {
            let others: Vec<_> = all.iter().filter(|name| !expected.contains(name)).copied().collect();
            assert_eq!(server.list(&query("q", &format!("-{search}"))).identifiers(), others, "-{search}");
        }
    }
}

#[test]
fn a_search_has_words_phrases_fields_and_exclusions() {
    let server = Server::start();
    let event = |name: &str, action: &str, status: &str, actor: &str, entity: &str, message: &str| {
        json!({
            "identifier": name, "action": action, "resourceType": "ledger", "status": status, "message": message,
            "trigger": { "at": "2024-05-01T12:00:00Z", "by": { "userId": actor } }, "context": { "entity": entity },
        })
    };
    let long: String = (0..600).map(|word| format!("w{word} ")).collect();
    server.store(&[
        event("n1", "ledger.delete", "SUCCESS", "Ada", "Two Words", "connection pool exhausted: node:18"),
        event("n2", "DELETE", "FAILURE", "bob", "words, two", "pool of connections; connection lost, pool closed"),
        event(
            "n3",
            "ledger.create",
            "SUCCESS",
            "ada",
            "https://example.org/a:b",
            "a time: 12:30 arn:aws:iam::1:role/x",
        ),
        event("n4", "TIMER_EXPIRED", "FAILURE", "ted", "c", &format!("{long} connection pool")),
        event("n5", "READ", "SUCCESS", "eve", "actor:ada", &format!("{long} pool, connection")),
    ]);
    check_terms(
        &server,
        &["n5", "n4", "n3", "n2", "n1"],
        &[
            ("two words", "n2 n1"),
            ("\"two words\"", "n1"),
            ("\"two Word\"", "n1"),
            ("connection", "n5 n4 n2 n1"),
            ("connection pool", "n5 n4 n2 n1"),
            ("\"connection pool\"", "n4 n1"),
            ("\"pool, connection\"", "n5"),
            ("\"connection: POOL\" exhausted", "n1"),
            ("-\"connection pool\"", "n5 n3 n2"),
            ("-\"connection pool\" pool", "n5 n2"),
            ("pool -exhausted -w599", "n2"),
            ("\"lost, pool\"", "n2"),
            ("\"onnection po\"", "n4 n1"),
            ("\" onnection po\"", ""),
            ("actor:ADA", "n3 n1"),
            ("user:ada,Bob", "n3 n2 n1"),
            ("entity:\"Two Words\"", "n1"),
            ("entity:\"words, two\",c", "n4 n2"),
            ("-actor:ada,bob", "n5 n4"),
            ("actor:ada actor:bob", ""),
            ("action:delete,read status:failure", "n2"),
            ("deleted", "n2 n1"),
            ("Deleted ledger", "n2 n1"),
            ("ada deleted ledger in \"two words\"", "n1"),
            ("bob tried to delete ledger", "n2"),
            ("\"tried to delete\"", "n2"),
            ("\"deleted ledger\"", "n1"),
            ("failed", "n4 n2"),
            ("failed timer", "n4"),
            ("ted", "n4 n1"),
            ("created", "n3"),
            ("https://example.org/a:b", "n3"),
            ("12:30", "n5 n4 n3"),
            ("arn:aws:iam", "n3"),
            ("node:18", "n1"),
            ("\"actor:ada\"", "n5"),
            ("w599", "n5 n4"),
            ("-w599 -ledger.create", "n2 n1"),
        ],
    );
}

/// An event with words in values that have no filter: rare ones, common ones, and more than the index keeps.
fn event_with_values(number: usize) -> Value {
    let many: Vec<_> = (0..if number == 77 { 700 } else { 1 }).map(|word| format!("many{word}")).collect();
    json!({
        "identifier": format!("e{number}"), "action": "UPDATE", "resourceType": "x",
        "trigger": { "at": format!("2024-05-01T{:02}:{:02}:00Z", 23 - number / 60, 59 - number % 60) },
        "context": { "runId": format!("run-{}-{}", "k".repeat(number % 12), "z".repeat(number / 12)) },
        "request": { "userAgent": format!("agent/{}", number % 3), "ip": format!("192.0.2.{number}") },
        "diff": {
            "before": { "replicas": number, "image": "shop:1.2" },
            "after": { "replicas": number + 1_000, "notes": ["Zwei Stra\u{df}en", format!("step {} of 9", number % 9)], "on": true },
        },
        "additionalData": { "ticket": format!("OPS-{}", number / 50), "many": many },
        "zone": "eu-central-1", "secret": "hunter2",
    })
}

#[test]
fn words_in_every_value_are_found_in_memory_and_sealed() {
    /// A search, and which events it finds.
    type Case = (&'static str, fn(usize) -> bool);
    const VALUES: &[Case] = &[
        ("agent", |_| true),
        ("agent/2", |number| number % 3 == 2),
        ("\"agent 2\"", |number| number % 3 == 2),
        ("gent", |_| false),
        ("1077", |number| number == 77),
        ("77", |number| number == 77),
        ("ops-1", |number| (50..100).contains(&number)),
        ("ops zzzzzzzzzzz", |number| number >= 132),
        ("\"zwei strassen\"", |_| true),
        ("\"strassen zwei\"", |_| false),
        ("\"step 4 of\"", |number| number % 9 == 4),
        ("\"step 4\" -agent/1 -1013", |number| number % 9 == 4 && number % 3 != 1 && number != 13),
        ("eu-central-1", |_| true),
        ("shop:1.2 true", |_| true),
        ("-\"shop:1.2\"", |_| false),
        ("many699", |number| number == 77),
        ("-many0", |_| false),
        ("many700", |_| false),
        ("replicas", |_| false),
        ("hunter2", |_| false),
        ("masked", |_| false),
        ("192.0.2.14", |number| number == 14 || (140..150).contains(&number)),
        ("run-", |_| true),
        ("un-kk-zzz", |number| number % 12 == 2 && number >= 36),
        ("unusual", |_| false),
        ("e11", |number| number == 11 || (110..120).contains(&number)),
    ];
    let (memory, mixed) = (Server::start(), Server::start_chunked(CHUNK_EVENTS));
    for server in [&memory, &mixed] {
        server.store(&(0..EVENTS).map(event_with_values).collect::<Vec<_>>());
    }
    await_sealing(&mixed);
    for server in [&memory, &mixed] {
        for (search, holds) in VALUES {
            let expected = names((0..EVENTS).filter(|number| holds(*number)));
            let q = query("q", search);
            // By time, the order is reversed.
            assert_eq!(paged(server, &q, 30), expected, "{search}");
            assert_eq!(paged(server, &format!("{q}&sort=received&order=asc"), 1_000), expected, "{search}");
            assert_eq!(server.list(&format!("{q}&count=true&limit=1")).json()["count"], expected.len(), "{search}");
        }
    }
}

#[test]
fn an_invalid_search_is_rejected_with_the_reason() {
    let server = Server::start();
    for (search, message) in [
        ("\"two words", "q: lacks the quotation mark"),
        ("acotr:ada", "q: has no field \"acotr\": did you mean actor:?"),
        ("status:maybe", "q: status:maybe: must be SUCCESS or FAILURE"),
        ("actor: ada", "q: has no value after actor:"),
        ("a OR b", "q: has no operator OR"),
        (&"a ".repeat(33), "q: has more than 32 words"),
    ] {
        let answer = server.list(&query("q", search)).json();
        assert_eq!((&answer["error"], &answer["details"][0]["parameter"]), (&json!("invalid_request"), &json!("q")));
        assert!(answer["message"].as_str().unwrap().starts_with(message), "{answer}");
    }
}

#[test]
fn phrases_and_exclusions_are_the_same_in_sealed_chunks() {
    let server = Server::start_chunked(CHUNK_EVENTS);
    let event = |number: usize| {
        let words = ["alpha beta gamma", "beta alpha gamma", "alphabeta gamma", "none"][number % 4];
        json!({
            "identifier": format!("e{number}"), "action": "user.delete", "resourceType": "x", "message": words,
            "trigger": { "at": format!("2024-05-01T{:02}:{:02}:00Z", number / 60, number % 60) },
        })
    };
    server.store(&(0..EVENTS).map(event).collect::<Vec<_>>());
    await_sealing(&server);
    for (search, rests) in [
        ("\"alpha beta\"", &[0][..]),
        ("\"beta alpha\"", &[1]),
        ("\"pha beta g\"", &[0]),
        ("-\"alpha beta\"", &[1, 2, 3]),
        ("-\"alpha beta\" -none", &[1, 2]),
        ("alpha beta", &[0, 1, 2]),
        ("\" alpha\"", &[0, 1, 2]),
        ("\" alpha \"", &[0, 1]),
        ("\"deleted user\" none", &[3]),
    ] {
        let q = query("q", search);
        let expected = names((0..EVENTS).rev().filter(|number| rests.contains(&(number % 4))));
        assert_eq!(paged(&server, &q, 30), expected, "{search}");
        assert_eq!(server.list(&format!("{q}&count=true&limit=1")).json()["count"], expected.len(), "{search}");
    }
}

#[test]
fn a_composed_letter_finds_a_decomposed_one() {
    let server = Server::start();
    let event = |name: &str, entity: &str, message: &str| {
        json!({
            "identifier": name, "action": "A", "resourceType": "x", "message": message, "context": { "entity": entity },
            "trigger": { "at": "2024-05-01T12:00:00Z" },
        })
    };
    server.store(&[
        event("1", "Mu\u{308}ller", "none"),
        event("2", "M\u{fc}ller", "none"),
        event("3", "x", "an MU\u{308}LLER"),
        event("4", "Muller", "none"),
    ]);
    for search in ["m\u{fc}ller", "mu\u{308}ller", "M\u{dc}LL"] {
        assert_eq!(server.list(&query("q", search)).identifiers(), ["3", "2", "1"], "{search}");
    }
    assert_eq!(server.list("q=muller").identifiers(), ["4"]);
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
    let last: i64 = connection.query_row("SELECT max(seq) FROM event", [], |row| row.get(0)).unwrap();
    let longest = (1..=last).max_by_key(|seq| blocks::body(&connection, *seq).len()).unwrap();
    blocks::overwrite(&connection, longest, b"{}");
    damage::close(connection);
    for search in ["needle1", "nowhere"] {
        let answer = server.list(&query("q", search)).json();
        assert_eq!(answer["damaged"]["count"], 1, "{answer}");
    }
}

#[test]
fn a_list_reports_where_its_search_matches() {
    let server = Server::start();
    server.store(&(0..3).map(event_with_values).collect::<Vec<_>>());
    let q = query("q", "\"step 1\" zwei");
    let answer = server.list(&format!("{q}&highlight=true&includes=identifier")).json();
    let expected = json!([[
        { "pointer": "/diff/after/notes/0", "ranges": [[0, 4]] },
        { "pointer": "/diff/after/notes/1", "ranges": [[0, 6]] },
    ]]);
    assert_eq!((&answer["audits"][0]["identifier"], &answer["highlights"]), (&json!("e1"), &expected));
    // One entry for each event, also for one that is found without a text.
    let all = server.list("highlight=true&limit=5000");
    assert_eq!(all.json()["highlights"], json!([[], [], []]));
    assert_eq!(all.header("x-limit-clamped"), Some("1000"));
    assert!(server.list(&q).json().get("highlights").is_none());
    server.store(&(3..EVENTS).map(event_with_values).collect::<Vec<_>>());
    // More than one slice of a response.
    let large = json!({ "identifier": "large", "action": "A", "resourceType": "x", "additionalData": vec!["zwei ".repeat(10_000); 3] });
    server.store(&[large]);
    let answer = server.list("q=zwei&highlight=true").json();
    let highlights = answer["highlights"].as_array().unwrap();
    assert_eq!(highlights.len(), answer["audits"].as_array().unwrap().len());
    assert!(highlights.iter().all(|event| event.as_array().is_some_and(|event| !event.is_empty())));
}
