//! Lists in pages, and programs that follow the log.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::harness::{Answer, Server, eventually};

const LOG: &str = "/v1/audit-log";
const FOLLOW: &str = "sort=received&order=asc";

fn event(identifier: &str, second: u32) -> Value {
    let at = format!("2024-05-01T12:{:02}:{:02}Z", second / 60, second % 60);
    let kind = if second.is_multiple_of(2) { "even" } else { "odd" };
    json!({ "identifier": identifier, "action": "A", "resourceType": kind, "trigger": { "at": at } })
}

/// Events in several requests: some late, many at equal instants.
fn server() -> Server {
    let server = Server::start();
    for batch in 0..6 {
        let events: Vec<_> = (0..17).map(|n| event(&format!("e{batch}-{n}"), (n * 7 + batch * 11) % 23)).collect();
        server.store(&events);
    }
    server
}

fn next(answer: &Answer) -> Option<String> {
    answer.json()["next"].as_str().map(str::to_owned)
}

/// The path and query in the Link header.
fn link(answer: &Answer) -> Option<String> {
    let link = answer.header("link")?;
    Some(link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned())
}

#[test]
fn all_pages_together_are_the_whole_list_in_every_sort_and_order() {
    let server = server();
    for sort in ["time", "received"] {
        for order in ["asc", "desc"] {
            for filter in ["", "&resources=odd", "&from=2024-05-01T12:00:05Z&to=2024-05-01T12:00:15Z"] {
                let query = format!("sort={sort}&order={order}{filter}");
                let whole = server.list(&query).identifiers();
                assert!(whole.len() > 30, "{query}: {}", whole.len());
                for limit in [1, 7, whole.len() - 1, whole.len(), whole.len() + 1] {
                    assert_eq!(in_pages(&server, &query, limit), whole, "{query} by {limit}");
                }
            }
        }
    }
}

/// Follows `next` to the end of the list.
fn in_pages(server: &Server, query: &str, limit: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut answer = server.list(&format!("{query}&limit={limit}"));
    loop {
        let page = answer.identifiers();
        assert!(page.len() <= limit);
        all.extend_from_slice(&page);
        let Some(cursor) = next(&answer) else {
            return all;
        };
        // A followed list has no end, only a page that is not full.
        if query.starts_with(FOLLOW) && page.len() < limit {
            return all;
        }
        assert!(!page.is_empty(), "{query}");
        answer = server.list(&format!("{query}&limit={limit}&cursor={cursor}"));
    }
}

#[test]
fn the_link_header_leads_through_the_list() {
    let server = server();
    let query =
        "resources%5B%5D=ODD&not.origin=a%2Cb&includes=identifier&from=2024-01-01T00:00:00+02:00&limit=10&page=1";
    let (mut answer, mut all) = (server.list(query), Vec::new());
    loop {
        all.extend(answer.identifiers());
        assert_eq!(link(&answer).is_some(), next(&answer).is_some());
        let Some(link) = link(&answer) else {
            break;
        };
        assert!(link.ends_with(&format!("cursor={}", next(&answer).unwrap())), "{link}");
        assert_eq!(link.matches("cursor=").count(), 1, "{link}");
        assert!(answer.json()["audits"].as_array().unwrap().iter().all(|event| event.as_object().unwrap().len() == 1));
        answer = server.get(&link);
    }
    assert_eq!(all, server.list("resources=odd").identifiers());
}

#[test]
fn pages_do_not_change_while_newer_events_arrive() {
    let server = server();
    let whole = server.list("").identifiers();
    let first = server.list("limit=50");
    server.store(&[event("newer", 3_000), event("newer-too", 3_001)]);
    let rest = server.list(&format!("cursor={}", next(&first).unwrap()));
    assert_eq!([first.identifiers(), rest.identifiers()].concat(), whole);
    assert_eq!(next(&rest), None);
}

#[test]
fn a_cursor_is_valid_only_for_its_query() {
    let server = server();
    let cursor = next(&server.list("limit=5&resources=odd&resources=even")).unwrap();
    for same in [
        "resources=odd&resources=even&limit=9",
        "resources=EVEN&resources=odd",
        "resources[0]=odd&resources=even&page=1",
        "includes=action&resources=odd&resources[]=even",
    ] {
        assert_eq!(server.list(&format!("{same}&cursor={cursor}")).status, 200, "{same}");
    }
    for other in [
        "",
        "resources=odd",
        "resources=odd&resources=even&resources=x",
        "not.resources=odd&not.resources=even",
        "resources=odd&resources=even&from=2024-01-01T00:00:00Z",
        "resources=odd&resources=even&order=asc",
        "resources=odd&resources=even&sort=received",
        "resources=odd&resources=even&include_own=true",
    ] {
        let answer = server.list(&format!("{other}&cursor={cursor}"));
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{other}");
        assert_eq!(answer.json()["details"][0]["parameter"], "cursor");
    }
}

#[test]
fn an_invalid_cursor_is_rejected_by_name() {
    let server = server();
    let good = next(&server.list("limit=5")).unwrap();
    let (cut, longer, turned) = (&good[1..], format!("{good}A"), good.chars().rev().collect::<String>());
    let huge = "A".repeat(10_000);
    for garbage in
        ["", "x", "null", "AA==", "%00", "%FF", "%F0%9F%A6%80", "..%2F", cut, &longer, &turned, &huge, "-1", "0"]
    {
        let answer = server.list(&format!("cursor={garbage}"));
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{garbage}");
        assert_eq!(answer.json()["details"][0]["parameter"], "cursor");
    }
    assert_eq!(server.list(&format!("cursor={good}&cursor={good}")).refusal().0, 422);
    assert_eq!(server.list(&format!("cursor={good}")).status, 200);
}

#[test]
fn a_follower_always_gets_a_cursor_and_then_exactly_the_new_events() {
    let server = Server::start();
    for (filter, wanted) in [("", "even odd"), ("&resources=odd", "odd"), ("&entity=none", "")] {
        let base = server.list(FOLLOW).identifiers().len();
        let mut cursor = eventually("a cursor", || next(&server.list(&format!("{FOLLOW}{filter}"))));
        let mut ask = || {
            let answer = server.list(&format!("{FOLLOW}{filter}&cursor={cursor}"));
            assert_eq!(link(&answer).is_some(), next(&answer).is_some());
            cursor = next(&answer).unwrap();
            answer.identifiers()
        };
        assert!(ask().is_empty());
        assert!(ask().is_empty());
        // The second batch has earlier event times than the first.
        for (batch, second) in [(0, 1_000), (1, 500), (2, 500), (3, 2_000)] {
            let names = [format!("{base}-{batch}-even"), format!("{base}-{batch}-odd")];
            server.store(&[event(&names[0], second), event(&names[1], second + 1)]);
            let expected: Vec<_> = names
                .into_iter()
                .filter(|name| wanted.split(' ').any(|kind| name.ends_with(&format!("-{kind}"))))
                .collect();
            assert_eq!(ask(), expected, "{filter}");
            assert!(ask().is_empty());
        }
    }
}

#[test]
fn a_follower_of_a_busy_log_sees_every_event_exactly_once() {
    const WRITERS: usize = 4;
    const REQUESTS: usize = 40;
    let server = Server::start();
    let done = AtomicBool::new(false);
    let followed = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let server = &server;
                scope.spawn(move || {
                    for request in 0..REQUESTS {
                        let size = 1 + (writer + request) % 5;
                        let second = u32::try_from((request * 131 + writer * 17) % 3_600).unwrap();
                        let events: Vec<_> =
                            (0..size).map(|n| event(&format!("{writer}-{request}-{n}"), second)).collect();
                        server.store(&events);
                    }
                })
            })
            .collect();
        let follower = scope.spawn(|| follow(&server, &done));
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        follower.join().unwrap()
    });
    let distinct: BTreeSet<_> = followed.iter().collect();
    let sent: usize =
        (0..WRITERS).flat_map(|writer| (0..REQUESTS).map(move |request| 1 + (writer + request) % 5)).sum();
    assert_eq!((followed.len(), distinct.len()), (sent, sent));
    assert_eq!(followed, server.list(&format!("{FOLLOW}&limit=100000")).identifiers());
}

/// Follows the log until a page that began after `done` is empty.
fn follow(server: &Server, done: &AtomicBool) -> Vec<String> {
    let (mut all, mut query) = (Vec::new(), format!("{FOLLOW}&limit=7"));
    loop {
        let was_done = done.load(Ordering::SeqCst);
        let answer = server.get(&format!("{LOG}?{query}"));
        let page = answer.identifiers();
        if page.is_empty() && was_done {
            return all;
        }
        all.extend(page);
        query = format!("{FOLLOW}&limit=7&cursor={}", next(&answer).unwrap());
    }
}

#[test]
fn a_cursor_ahead_of_the_log_is_rejected() {
    let longer = server();
    let ahead = next(&longer.list(FOLLOW)).unwrap();
    // To its followers, a file restored to an earlier state is a shorter log.
    let shorter = Server::start();
    let answer = shorter.list(&format!("{FOLLOW}&cursor={ahead}"));
    assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()));
    assert_eq!(answer.json()["details"][0]["parameter"], "cursor");
}
