//! Text that is copied from a page finds its event again.

use serde_json::{Value, json};

use crate::{
    harness::Server,
    pages::{page, rows},
};

/// Actions, resource types and names. Names that the search language itself uses are left out: a hyphen or a quotation mark at
/// the beginning of a word, `OR` and `NOT`, a field's name with a colon, and `(no actor)`.
const ACTIONS: &[&str] = &[
    "UPDATE",
    "tag.delete",
    "TIMER_EXPIRED",
    "delete_failed",
    "login_failed",
    "s3:ObjectCreated:Put",
    "DeleteDBInstance",
    "email.send",
    "role.assign",
    "upsert",
    "rollback",
    "ingest",
    "user.get",
    "ConsoleLogin",
    "BULK-delete users",
    "d\u{e9}marrer",
    "un\u{200d}lock",
];
const KINDS: &[&str] =
    &["application", "AWS::S3::Bucket", "environment_group", "webhook", "run", "blueprint", "DBInstance", "user"];
const ACTORS: &[&str] = &[
    "",
    "Ada Lovelace",
    "mu\u{308}ller",
    "ci:deployer",
    "Dr. X.",
    "system:serviceaccount:kube-system:default",
    "o'brien@example.com",
    "ad\u{202e}nim",
    "مريم",
    "arn:aws:sts::123456789012:assumed-role/a-very-long-role-that-does-not-end-before-a-page-cuts-it/and-a-session-whose-name-\
     goes-on-and-on-without-any-point-as-if-there-were-no-limit-at-all",
];
const ENTITIES: &[&str] = &[
    "",
    "checkout",
    "Two Words",
    "a/b:c",
    "50%",
    "pay\u{2066}ments",
    "x\u{a0}y",
    "tab\there",
    "#1 (old)",
    "…",
    "in of to",
];

fn events() -> Vec<Value> {
    let pick = |list: &[&str], number: usize| list[number % list.len()].to_owned();
    let all = (0..ACTIONS.len() * ACTORS.len()).map(|number| {
        let entity = pick(ENTITIES, number / 3 + number);
        let mut context = json!({ "blueprint": pick(&["", "service", "k8s_cluster"], number / 7) });
        let kind = pick(KINDS, number / 5 + number);
        match kind.as_str() {
            "webhook" => context["webhookId"] = json!(format!("hook {number}")),
            "run" => context["runId"] = json!(format!("run-{number}")),
            _ => context["entity"] = json!(entity),
        }
        json!({
            "identifier": format!("e{number:03}"), "action": pick(ACTIONS, number), "resourceType": kind,
            "status": if number.is_multiple_of(2) { "SUCCESS" } else { "FAILURE" }, "context": context,
            "trigger": {
                "at": format!("2024-05-01T{:02}:{:02}:00Z", number / 60, number % 60),
                "by": { "name": pick(ACTORS, number / ACTIONS.len()) },
            },
        })
    });
    all.collect()
}

/// The sentences of the list, by identifier.
fn sentences(server: &Server) -> Vec<(String, String)> {
    let (mut found, mut path) = (Vec::new(), "/audit-logs?range=all&order=asc".to_owned());
    loop {
        let html = page(server, &path);
        for sentence in rows(&html) {
            found.push((format!("e{:03}", found.len()), sentence));
        }
        let next = html.split("<a rel=\"next\" href=\"").nth(1);
        match next.map(|rest| crate::pages::unescape(&rest[..rest.find('"').unwrap()])) {
            Some(next) => path = next,
            None => return found,
        }
    }
}

#[test]
fn every_sentence_of_the_list_finds_its_event() {
    let server = Server::start();
    let events = events();
    server.store(&events);
    let sentences = sentences(&server);
    assert_eq!(sentences.len(), events.len());
    let finds = |text: &str, identifier: &String| {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("q", text).finish();
        let answer = server.list(&format!("{query}&includes=identifier"));
        assert_eq!(answer.status, 200, "{text}: {}", answer.text);
        let found = answer.identifiers();
        assert!(found.contains(identifier), "{identifier} is not among {} events of {text}", found.len());
        found.len()
    };
    let mut total = 0;
    for ((identifier, sentence), event) in sentences.iter().zip(&events) {
        total += finds(sentence, identifier);
        // With the action after it, as a row has it.
        finds(&format!("{sentence} {}", event["action"].as_str().unwrap()), identifier);
    }
    // It finds few others.
    assert!(total < 8 * sentences.len(), "{total}");
}

#[test]
fn the_words_for_a_missing_actor_find_the_events_without_one() {
    let server = Server::start_chunked(64);
    let mut events = events();
    events.push(json!({ "action": "A", "resourceType": "x", "trigger": { "by": { "name": "(no actor)" } } }));
    server.store(&events);
    let nobody = events.iter().filter(|event| event["trigger"]["by"]["name"] == "").count();
    let count = |text: &str| {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("q", text).finish();
        server.list(&format!("{query}&count=true&limit=1")).json()["count"].clone()
    };
    assert_eq!((count("(no actor)"), count("-(no actor)")), (json!(nobody), json!(events.len() - nobody)));
    // A name with these words is found in quotes.
    assert_eq!(count("\"(no actor)\""), json!(1));
}
