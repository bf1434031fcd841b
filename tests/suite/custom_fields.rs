//! Fields that the operator declares behave like built-in ones, in new events and in those from before the declaration.

mod random;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    thread,
    time::Duration,
};

use rusqlite::Connection as Database;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, Server, eventually, prepare, run, store_options};
use auditbox::store::{Policy, Quiet, Store};

/// Small, so that the log has many chunks.
const CHUNK_EVENTS: u32 = 64;

const TENANT: &str = "[[fields]]\nname = \"tenant\"\nlabel = \"Tenant\"\npointers = [\"/additionalData/tenant\", \
                      \"/context/tenant\"]\nmatching = \"ignore-case\"\nsearch = true\n";
const COST: &str = "[[fields]]\nname = \"cost\"\npointers = [\"/additionalData/cost\"]\nmatching = \"number\"\n";
const NODE: &str = "[[fields]]\nname = \"node\"\npointers = [\"/additionalData/node\"]\nmatching = \"network\"\n";
const TICKET: &str = "[[fields]]\nname = \"ticket-id\"\npointers = [\"/additionalData/tickets/[open=true]/id\"]\n\
                      matching = \"prefix\"\n";

fn event(number: usize) -> Value {
    let tenant = ["Acme", "acme", "globex", "initech, inc", "Ünïted"][number % 5];
    let mut event = json!({
        "identifier": format!("e{number}"), "action": "UPDATE", "resourceType": "entity",
        "trigger": { "at": format!("2024-05-{:02}T12:00:00Z", 1 + number * 7 % 28) },
        "additionalData": {
            "cost": number % 10, "node": format!("10.0.{}.1:443", number % 3),
            "tickets": [{ "open": false, "id": "OLD-1" }, { "open": true, "id": format!("OPS-{}", number % 4) }],
        },
    });
    match number % 4 {
        0 => {}
        1 => event["context"] = json!({ "tenant": tenant }),
        _ => event["additionalData"]["tenant"] = json!(tenant),
    }
    event
}

fn configure(directory: &Path, fields: &[&str]) {
    fs::write(directory.join("auditbox.toml"), fields.concat()).unwrap();
}

/// Kills while fields are being filled in.
const KILLS: u64 = 10;

const CONFIG: [(&str, &str); 1] = [("AUDITBOX_CONFIG", "auditbox.toml")];

/// A directory with this number of events, stored before any field was declared.
fn stored(events: usize) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&store_options(&directory.path().join("auditbox.db"), CHUNK_EVENTS), &Quiet).unwrap();
    let events: Vec<_> = (0..events).map(event).collect();
    for batch in events.chunks(500) {
        store.writer.wait_for_room();
        let prepared = batch.iter().map(|event| prepare(&store, event)).collect();
        store.writer.append(prepared, Policy::AllOrNothing).unwrap().wait().unwrap();
    }
    store.close().unwrap();
    directory
}

fn start(directory: TempDir, fields: &[&str]) -> Server {
    configure(directory.path(), fields);
    Server::start_in(directory, &CONFIG)
}

/// Waits until no field lacks events and no removed field has rows.
fn settle(server: &Server) {
    eventually("declared fields are filled in", || {
        let database = Database::open(server.database()).unwrap();
        let open = "SELECT count(*) FROM field WHERE first > 0 OR removed = 1";
        (database.query_row(open, [], |row| row.get::<_, i64>(0)).unwrap() == 0).then_some(())
    });
}

/// The identifiers of a list, in ascending order of their numbers.
fn numbers(answer: &Answer) -> Vec<usize> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let mut numbers: Vec<usize> =
        answer.identifiers().iter().filter_map(|identifier| identifier.strip_prefix('e')?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

fn tenant(event: &Value) -> Option<String> {
    let found = event.pointer("/additionalData/tenant").or_else(|| event.pointer("/context/tenant"));
    found.map(|tenant| tenant.as_str().unwrap().to_lowercase())
}

/// Parameters, and whether an event matches them in the plain way.
type Case = (&'static str, fn(&Value) -> bool);

const CASES: &[Case] = &[
    ("tenant=ACME", |event| tenant(event).as_deref() == Some("acme")),
    ("not.tenant=acme", |event| tenant(event).as_deref() != Some("acme")),
    ("tenant=globex,acme", |event| matches!(tenant(event).as_deref(), Some("globex" | "acme"))),
    ("tenant[]=initech, inc", |event| tenant(event).as_deref() == Some("initech, inc")),
    ("tenant=U%CC%88NI%CC%88TED", |event| tenant(event).as_deref() == Some("ünïted")),
    ("tenant=nobody", |_| false),
    ("q=tenant:acme,globex", |event| matches!(tenant(event).as_deref(), Some("globex" | "acme"))),
    ("q=-tenant:acme", |event| tenant(event).as_deref() != Some("acme")),
    ("q=itech", |event| tenant(event).is_some_and(|tenant| tenant.contains("itech"))),
    ("cost=7.0", |event| event["additionalData"]["cost"] == 7),
    ("cost=>=8", |event| event["additionalData"]["cost"].as_i64() >= Some(8)),
    ("cost=2..4&not.cost=3", |event| matches!(event["additionalData"]["cost"].as_i64(), Some(2 | 4))),
    ("node=10.0.1.0/24", |event| event["additionalData"]["node"] == "10.0.1.1:443"),
    ("ticket-id=OPS-", |event| event["additionalData"]["tickets"][1]["id"].is_string()),
    ("ticket-id=OPS-2", |event| event["additionalData"]["tickets"][1]["id"] == "OPS-2"),
    ("ticket-id=OLD", |_| false),
    ("tenant=acme&cost=<3&node=10.0.2.1", |event| {
        let data = &event["additionalData"];
        tenant(event).as_deref() == Some("acme") && data["cost"].as_i64() < Some(3) && data["node"] == "10.0.2.1:443"
    }),
];

const ALL: [&str; 4] = [TENANT, COST, NODE, TICKET];

/// Compares every case with a plain filter over events 0 to `events`.
fn agrees(server: &Server, events: usize) {
    for (parameters, passes) in CASES {
        let expected: Vec<_> = (0..events).filter(|number| passes(&event(*number))).collect();
        let query =
            format!("{}&limit=10000", parameters.replace(' ', "%20").replace(">=", "%3E%3D").replace('<', "%3C"));
        assert_eq!(numbers(&server.list(&query)), expected, "{parameters}");
    }
}

fn is_sound(directory: &Path) {
    let doctor = run(directory, &["doctor"]);
    assert!(doctor.status.success(), "{doctor:?}");
}

#[test]
fn new_events_are_found_by_declared_fields() {
    let directory = stored(0);
    let server = start(directory, &ALL);
    let events: Vec<_> = (0..300).map(event).collect();
    events.chunks(100).for_each(|batch| drop(server.store(batch)));
    agrees(&server, 300);
    // After a restart, the events that were in memory are read again.
    let (status, directory) = server.stop();
    assert!(status.success());
    is_sound(directory.path());
    let server = start(directory, &ALL);
    agrees(&server, 300);
}

#[test]
fn events_from_before_the_declaration_are_filled_in() {
    let server = start(stored(1_500), &ALL);
    settle(&server);
    agrees(&server, 1_500);
    let (_, directory) = server.stop();
    is_sound(directory.path());
}

#[test]
fn masked_values_are_not_found() {
    let field = "[[fields]]\nname = \"apiKey\"\npointers = [\"/additionalData/api_key\"]\n";
    let server = start(stored(0), &[field]);
    let mut events = [event(1), event(2)];
    events[0]["additionalData"]["api_key"] = json!("s3cret");
    server.store(&events);
    for text in ["s3cret", "%5Bmasked%5D"] {
        assert!(numbers(&server.list(&format!("apiKey={text}"))).is_empty());
    }
    assert_eq!(numbers(&server.list("not.apiKey=x")), [1, 2]);
}

#[test]
fn an_invalid_declaration_names_its_line() {
    let directory = stored(0);
    for (field, part) in [
        (TENANT.replace("ignore-case", "regex"), "auditbox.toml:5: [[fields]] matching must be one of"),
        (TENANT.replace("\"tenant\"", "\"actor\""), "auditbox.toml:2: [[fields]] name \"actor\" is taken"),
    ] {
        configure(directory.path(), &[&field]);
        let output = run(directory.path(), &["check-config", "--config", "auditbox.toml"]);
        assert!(String::from_utf8_lossy(&output.stderr).contains(part), "{output:?}");
    }
}

/// The rows and the terms of declared fields in the file.
fn rows(server: &Server) -> (i64, i64) {
    let database = Database::open(server.database()).unwrap();
    let count = |sql: &str| database.query_row(sql, [], |row| row.get(0)).unwrap();
    (count("SELECT count(*) FROM chunk_custom"), count("SELECT count(*) FROM term WHERE field >= 64"))
}

#[test]
fn kills_while_fields_are_filled_in_lose_nothing() {
    let events = 64 * 120;
    let mut server = start(stored(events), &ALL);
    let mut partial = 0;
    for round in 0..KILLS {
        thread::sleep(Duration::from_millis(15 + round * 37 % 120));
        server.store(&[event(events + usize::try_from(round).unwrap())]);
        server.kill();
        let database = Database::open(server.database()).unwrap();
        let open = "SELECT count(*) FROM field WHERE first > 0";
        partial += database.query_row(open, [], |row| row.get::<_, i64>(0)).unwrap();
        server.start_again();
    }
    assert!(partial > 0, "no kill happened while fields were being filled in: this run proves nothing");
    settle(&server);
    agrees(&server, events + usize::try_from(KILLS).unwrap());
    let (_, directory) = server.stop();
    is_sound(directory.path());
}

#[test]
fn until_a_field_is_filled_in_responses_say_from_where_it_is_complete() {
    let server = start(stored(64 * 400), &[TENANT]);
    let answer = server.list("tenant=acme&limit=5");
    let fields = answer.json()["incompleteFields"].clone();
    if let Some(field) = fields.get(0) {
        let (seq, time) = (field["fromSeq"].as_i64().unwrap(), field["fromTime"].as_str().unwrap());
        assert_eq!(field["field"], "tenant");
        assert!(seq > 1 && seq % 64 == 1, "{seq}");
        let header = format!("\"tenant\";from-seq={seq};from-time=\"{time}\"");
        assert_eq!(answer.header("x-incomplete-fields"), Some(header.as_str()));
        assert!(server.list("action=UPDATE&limit=5").header("x-incomplete-fields").is_none());
    }
    assert!(fields.is_array(), "the field was filled in before the first query: this run proves nothing");
    settle(&server);
    let answer = server.list("tenant=acme&limit=5");
    assert!(answer.header("x-incomplete-fields").is_none() && answer.json().get("incompleteFields").is_none());
}

#[test]
fn a_field_is_filled_in_while_events_expire() {
    let directory = stored(1_000);
    let server = start(directory, &[COST, "[retention]\nkeep_days = 30\nkeep_by = \"event_time\"\n"]);
    settle(&server);
    // The events are from 2024: all of them expire.
    eventually("retention", || server.list("cost=%3E%3D0").identifiers().is_empty().then_some(()));
    eventually("the rows are deleted", || (rows(&server).0 == 0).then_some(()));
    let (_, directory) = server.stop();
    is_sound(directory.path());
}

#[test]
fn a_removed_field_frees_its_space_and_a_changed_one_is_filled_in_again() {
    let server = start(stored(1_000), &[TENANT, COST]);
    settle(&server);
    assert!(rows(&server).0 > 0 && rows(&server).1 > 0);
    let cursor = server.list("cost=3&limit=2").json()["next"].as_str().unwrap().to_owned();
    let (_, directory) = server.stop();
    let changed = TENANT.replace("ignore-case", "exact");
    let server = start(directory, &[&changed]);
    settle(&server);
    assert_eq!(server.list("cost=3").status, 422);
    assert_eq!(server.list(&format!("tenant=acme&cursor={cursor}")).status, 422);
    let expected = |text: &str| -> Vec<usize> {
        let is_it = |number: &usize| {
            let event = event(*number);
            event.pointer("/additionalData/tenant").or(event.pointer("/context/tenant")) == Some(&json!(text))
        };
        (0..1_000).filter(is_it).collect()
    };
    for text in ["Acme", "acme", "ACME"] {
        assert_eq!(numbers(&server.list(&format!("tenant={text}&limit=10000"))), expected(text));
    }
    let (_, directory) = server.stop();
    is_sound(directory.path());
    let server = start(directory, &[]);
    settle(&server);
    assert_eq!(rows(&server), (0, 0));
    assert_eq!(server.list("tenant=acme").status, 422);
    let (_, directory) = server.stop();
    is_sound(directory.path());
}

#[test]
fn sixty_four_fields_can_all_be_replaced_at_once() {
    let fields = |before: &str| -> String {
        let field =
            |number| format!("[[fields]]\nname = \"{before}{number}\"\npointers = [\"/additionalData/cost\"]\n");
        (0..64).map(field).collect()
    };
    let server = start(stored(200), &[&fields("a")]);
    settle(&server);
    let (_, directory) = server.stop();
    let server = start(directory, &[&fields("b")]);
    settle(&server);
    let expected: Vec<_> = (0..200).filter(|number| number % 10 == 4).collect();
    assert_eq!(numbers(&server.list("b63=4")), expected);
    assert_eq!(server.list("a0=4").status, 422);
    let (_, directory) = server.stop();
    is_sound(directory.path());
}

#[test]
fn reindexing_keeps_declared_fields() {
    let server = start(stored(1_000), &ALL);
    let (_, directory) = server.stop();
    assert!(run(directory.path(), &["reindex"]).status.success());
    is_sound(directory.path());
    let server = start(directory, &ALL);
    agrees(&server, 1_000);
}

#[test]
fn a_declared_field_is_counted_exported_and_described_like_a_built_in_one() {
    let server = start(stored(500), &ALL);
    settle(&server);
    let stats = server.get("/v1/audit-log/stats?facets=tenant,cost&cost=1..3&tenant=acme").json();
    let counted = |name: &str| -> BTreeMap<String, u64> {
        let values = stats["facets"][name]["values"].as_array().unwrap().iter();
        values
            .map(|value| (value["value"].as_str().unwrap().to_lowercase(), value["count"].as_u64().unwrap()))
            .collect()
    };
    let events: Vec<_> = (0..500).map(event).collect();
    let cost = |event: &Value| event["additionalData"]["cost"].as_i64().unwrap();
    let (mut tenants, mut costs) = (BTreeMap::<String, u64>::new(), BTreeMap::<String, u64>::new());
    for event in &events {
        if let (Some(tenant), 1..=3) = (tenant(event), cost(event)) {
            *tenants.entry(tenant).or_default() += 1;
        }
        if tenant(event).as_deref() == Some("acme") {
            *costs.entry(cost(event).to_string()).or_default() += 1;
        }
    }
    assert_eq!((counted("tenant"), counted("cost")), (tenants, costs));

    let csv = server.get("/v1/audit-log/export?format=csv&tenant=globex").text;
    let mut read = csv::Reader::from_reader(csv.as_bytes());
    let header = read.headers().unwrap().clone();
    let column = header.iter().position(|name| name == "tenant").unwrap();
    assert_eq!(header.iter().skip(column).collect::<Vec<_>>(), ["tenant", "cost", "node", "ticket-id", "others"]);
    assert!(read.records().map(Result::unwrap).all(|record| record.get(column) == Some("globex")));

    let description = server.get("/openapi.json").json();
    let parameters = description["paths"]["/v1/audit-log"]["get"]["parameters"].as_array().unwrap();
    let named = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
    assert!(named("tenant") && named("not.ticket-id"));

    let page = server.get("/audit-logs?tenant=acme&range=all");
    assert!(page.text.contains("id=\"menu-tenant\"") && page.text.contains("name=\"tenant\""), "{}", page.text);
    assert!(page.text.contains("class=\"c-field\">Tenant</th>") && page.text.contains("class=\"c-field\">acme</td>"));

    let metrics = server.get("/metrics").text;
    assert!(metrics.contains("auditbox_field_chunks_left{field=\"tenant\"} 0"), "{metrics}");
}

#[test]
fn commands_take_declared_fields_on_a_server_and_on_the_file() {
    let server = start(stored(500), &ALL);
    settle(&server);
    let expected = (0..500).filter(|number| tenant(&event(*number)).as_deref() == Some("acme"));
    let expected: BTreeSet<_> = expected.filter(|number| number % 10 != 1).map(|number| format!("e{number}")).collect();
    let found = |directory: &Path, more: &[&str]| -> BTreeSet<String> {
        let arguments = ["query", "--json", "--field", "tenant=ACME", "--not-field", "cost=1"];
        let output = run(directory, &[&arguments, more].concat());
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8(output.stdout).unwrap();
        let identifier =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["identifier"].as_str().map(str::to_owned);
        lines.lines().filter_map(identifier).collect()
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let token = server.credential("reader", &["read"]);
    assert_eq!(found(elsewhere.path(), &["--url", &server.url, "--token", &token]), expected);
    assert_eq!(found(server.directory(), &[]), expected);
    let (_, directory) = server.stop();
    assert_eq!(found(directory.path(), &[]), expected);
    assert_eq!(found(directory.path(), &["--q", "tenant:acme"]), expected);
    let stats = run(directory.path(), &["stats", "--json", "--facets", "tenant", "--field", "cost=2"]);
    assert!(String::from_utf8_lossy(&stats.stdout).contains("\"globex\""), "{stats:?}");
    for (field, part) in [("colour=red", "colour"), ("cost=x", "must be a number"), ("tenant", "such as tenant=acme")] {
        let output = run(directory.path(), &["query", "--field", field]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(part), "{output:?}");
    }
}
