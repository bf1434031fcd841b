//! What arrived by each door and route: the API, the command, the metrics, and no secret in any of them.

use std::process::Output;

use serde_json::{Value, json};

use super::{kubernetes, post, server_with_sender, start};
use crate::{
    cli::{bad, good},
    harness::{Server, eventually, program, run},
};

const ROUTE: &str = "[[routes]]\nname = 'hooks'\npreset = 'okta'\n";

fn doors(server: &Server) -> Vec<Value> {
    let answer = server.get("/v1/doors");
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["doors"].as_array().unwrap().clone()
}

fn door(server: &Server, name: &str) -> Value {
    let all = doors(server);
    all.iter().find(|door| door["name"] == name).unwrap_or_else(|| panic!("no {name} in {all:#?}")).clone()
}

/// The counts that are not zero.
fn counts(door: &Value) -> Value {
    let counted = door.as_object().unwrap().iter().filter(|(_, value)| value.as_u64().is_some_and(|count| count > 0));
    Value::Object(counted.map(|(key, value)| (key.clone(), value.clone())).collect())
}

#[test]
fn each_door_and_route_is_listed_with_its_place_its_state_and_its_presets() {
    let (server, _) = server_with_sender(&format!(
        "[doors]\npath_prefix = '/from'\ndisabled = ['registry']\n[doors.presets]\nsender = 'github'\n{ROUTE}"
    ));
    let place = |name: &str| {
        let door = door(&server, name);
        json!([door["kind"], door["state"], door["addresses"], door["presets"]])
    };
    assert_eq!(place("kubernetes"), json!(["door", "open", ["/from/k8s/audit"], ["kubernetes", "github"]]));
    assert_eq!(place("registry"), json!(["door", "closed", ["/from/registry"], ["docker-registry", "github"]]));
    assert_eq!(place("syslog")[1], "closed");
    assert_eq!(place("in/hooks"), json!(["route", "open", ["/in/hooks"], ["okta"]]));
    for door in doors(&server) {
        assert_eq!(
            (counts(&door), &door["lastRecordAt"], &door["lastProblem"]),
            (json!({}), &Value::Null, &Value::Null)
        );
    }
    let kinds: Vec<_> = doors(&server).iter().map(|door| door["kind"].as_str().unwrap().to_owned()).collect();
    assert!(kinds.is_sorted(), "{kinds:?}");
}

#[test]
fn records_count_by_what_became_of_them() {
    let (server, sender) = server_with_sender(ROUTE);
    for _ in 0..2 {
        assert_eq!(post(&server, "/k8s/audit", &sender, kubernetes::LIST).status, 200);
    }
    let kubernetes = door(&server, "kubernetes");
    assert_eq!(counts(&kubernetes), json!({ "stored": 2, "duplicates": 2, "recordsLastMinute": 4 }));
    assert!(kubernetes["lastRecordAt"].is_string() && kubernetes["lastProblem"].is_null());

    assert_eq!(post(&server, "/registry", &sender, r#"{"events":[{"password":"hunter2","x":1}]}"#).status, 200);
    let registry = door(&server, "registry");
    assert_eq!(counts(&registry), json!({ "stored": 1, "unmapped": 1, "recordsLastMinute": 1 }));
    let problem = &registry["lastProblem"];
    assert_eq!(problem["message"], "the preset docker-registry found nothing in the record");
    assert_eq!(problem["sample"], r#"{"password":"[masked]","x":1}"#);

    assert_eq!(post(&server, "/registry", "Bearer wrong", "{}").status, 401);
    let registry = door(&server, "registry");
    assert_eq!(counts(&registry), json!({ "stored": 1, "unmapped": 1, "refused": 1, "recordsLastMinute": 1 }));
    assert!(registry["lastProblem"]["message"].as_str().unwrap().contains("token"), "{registry}");

    assert_eq!(post(&server, "/in/hooks", &sender, "{\"uuid\":\"1\"}\n{\"a\" hunter2}").status, 200);
    let route = door(&server, "in/hooks");
    assert_eq!((&route["stored"], &route["rejected"], &route["refused"]), (&json!(1), &json!(1), &json!(0)), "{route}");
    assert_eq!(route["lastProblem"]["sample"], "{\"a\" a0}", "{route}");
    assert_eq!(post(&server, "/in/hooks", &sender, "hunter2").status, 422);
    assert_eq!(post(&server, "/in/hooks", "Bearer wrong", "{}").status, 401);
    let route = door(&server, "in/hooks");
    assert_eq!((&route["rejected"], &route["refused"]), (&json!(2), &json!(2)), "{route}");
}

#[test]
fn a_request_that_does_not_reach_its_door_is_counted() {
    let server = start(ROUTE);
    let body = json!({ "name": "elsewhere", "scopes": ["ingest"], "allowIp": ["192.0.2.1"] });
    let made = server.post("/v1/credentials", &body.to_string()).json();
    let sender = format!("Bearer {}", made["credential"]["apiToken"].as_str().unwrap());
    for (path, name) in [("/registry", "registry"), ("/in/hooks", "in/hooks")] {
        assert_eq!(post(&server, path, &sender, "{}").status, 403);
        let door = door(&server, name);
        assert_eq!(counts(&door), json!({ "refused": 1 }));
        assert!(door["lastProblem"]["message"].as_str().unwrap().contains("127.0.0.1"), "{door}");
    }
}

#[test]
fn metrics_have_the_counts_of_each_door_and_route() {
    let (server, sender) = server_with_sender(ROUTE);
    for _ in 0..2 {
        assert_eq!(post(&server, "/k8s/audit", &sender, kubernetes::LIST).status, 200);
    }
    post(&server, "/registry", &sender, r#"{"events":[{"x":1}]}"#);
    post(&server, "/registry", "Bearer wrong", "{}");
    post(&server, "/in/hooks", &sender, "{\"uuid\":\"1\"}\n{");
    let text = server.get("/metrics").text;
    for sample in [
        "auditbox_door_records_total{door=\"kubernetes\",outcome=\"stored\"} 2",
        "auditbox_door_records_total{door=\"kubernetes\",outcome=\"duplicate\"} 2",
        "auditbox_door_records_total{door=\"kubernetes\",outcome=\"rejected\"} 0",
        "auditbox_door_records_total{door=\"in/hooks\",outcome=\"rejected\"} 1",
        "auditbox_door_unmapped_records_total{door=\"registry\"} 1",
        "auditbox_door_refused_requests_total{door=\"registry\"} 1",
        "auditbox_door_refused_requests_total{door=\"kubernetes\"} 0",
        "auditbox_door_dropped_datagrams_total{door=\"kubernetes\"} 0",
    ] {
        assert!(text.lines().any(|line| line == sample), "{sample} is not in {text}");
    }
    let last = |name: &str| text.contains(&format!("auditbox_door_last_record_timestamp_seconds{{door=\"{name}\"}} 1"));
    assert!(last("kubernetes") && last("in/hooks") && !last("syslog"), "{text}");
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_command_asks_the_server_that_runs_on_the_file_or_another_one() {
    let long = format!("[[routes]]\nname = '{}'\npreset = 'okta'\n", "r".repeat(64));
    let (server, sender) = server_with_sender(&(ROUTE.to_owned() + &long));
    post(&server, "/k8s/audit", &sender, kubernetes::LIST);
    post(&server, "/registry", &sender, format!(r#"{{"events":[{{"x":"{}"}}]}}"#, "y".repeat(200)));
    post(&server, "/registry", "Bearer wrong", "{}");
    let table = good(server.directory(), &["doors"]);
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let row = |name: &str| table.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap().to_owned();
    let cells: Vec<_> = row("kubernetes").split_whitespace().map(str::to_owned).collect();
    assert_eq!(cells[..7], ["kubernetes", "open", "2", "2", "0", "0", "0"], "{table}");
    assert!(row("in/hooks").ends_with("never"), "{table}");
    assert!(table.contains("registry: last problem ") && table.contains(" ago, 1 refused request\n"), "{table}");

    let lines = good(server.directory(), &["doors", "--json"]);
    let printed: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(printed, doors(&server));
    eventually("the record", || {
        let records = server.list("origin=auditbox&actor=command-line&action=door_state.list").identifiers();
        (records.len() >= 2).then_some(())
    });

    let elsewhere = tempfile::tempdir().unwrap();
    let remote = |token: &str| run(elsewhere.path(), &["doors", "--json", "--url", &server.url, "--token", token]);
    assert_eq!(String::from_utf8(remote(&server.token).stdout).unwrap(), lines);
    let refused = remote(&server.credential("reader", &["read"]));
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("does not have the scope admin"), "{}", stderr(&refused));
}

#[test]
fn without_a_server_the_command_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let message = bad(directory.path(), &["doors"], 1);
    assert!(message.contains("auditbox serve") && message.contains("--url"), "{message}");
    let (_, directory) = Server::start().stop();
    assert!(bad(directory.path(), &["doors"], 1).contains("auditbox serve"));
}

#[test]
fn a_token_of_a_command_sees_the_doors_and_manages_nothing() {
    let server = Server::start();
    let key = auditbox::store::open_for_reading(&server.database()).unwrap().access_token_key().unwrap();
    let token = auditbox::auth::command_line_token(&key, auditbox::model::timestamp::Timestamp::now()).unwrap();
    assert_eq!(server.request_as(&token, "GET", "/v1/doors", "").status, 200);
    assert_eq!(server.request_as(&token, "GET", "/v1/credentials", "").status, 403);
    assert_eq!(server.request_as(&token, "GET", "/doors", "").status, 403);
}

#[test]
fn no_secret_is_shown_anywhere() {
    const SECRET: &str = "hunter2-is-a-secret";
    let (server, sender) = server_with_sender(&format!("{ROUTE}[[routes]]\nname = 'lines'\npreset = 'combined'\n"));
    let token = sender.strip_prefix("Bearer ").unwrap();
    let deep = format!("{}{{\"password\":\"{SECRET}\"}}{}", "{\"a\":".repeat(150), "}".repeat(150));
    let bodies = [
        format!(r#"{{"events":[{{"password":"{SECRET}"}}]}}"#),
        format!(r#"{{"events":[{{"url":"/x?token={SECRET}"}}]}}"#),
        format!(r#"{{"events":[{{"note":"/in/hooks/{token}"}}]}}"#),
        format!(r#"{{"events":[{deep}]}}"#),
        format!("\"{SECRET}\""),
        format!(r#"{{"password" "{SECRET}"}}"#),
        format!("password={SECRET}"),
        format!("{{}}\n{SECRET}"),
    ];
    let command = || String::from_utf8(program(server.directory()).arg("doors").output().unwrap().stdout).unwrap();
    for body in bodies {
        for (path, header) in [
            ("/registry".to_owned(), &*sender),
            ("/in/hooks".to_owned(), &sender),
            ("/in/lines".to_owned(), &sender),
            (format!("/in/hooks/{token}"), ""),
            (format!("/in/hooks/{SECRET}"), ""),
            (format!("/registry?access_token={token}"), ""),
            (format!("/registry?access_token={SECRET}"), ""),
            (format!("/in/hooks/{token}?password={SECRET}"), ""),
            ("/registry".to_owned(), &format!("Bearer abx_{SECRET}")),
        ] {
            let headers = [("authorization", header)];
            let headers = if header.is_empty() { &[][..] } else { &headers };
            server.request("POST", &path, headers, body.as_bytes());
            let shown = [
                server.get("/v1/doors").text,
                server.get("/doors").text,
                server.get("/metrics").text,
                if path == "/registry" { command() } else { String::new() },
            ];
            for text in shown {
                assert!(!text.contains(SECRET) && !text.contains(token), "{path} {body}: {text}");
            }
        }
    }
    let problems = ["registry", "in/hooks", "in/lines"].map(|name| door(&server, name)["lastProblem"].clone());
    assert!(problems.iter().all(Value::is_object), "{problems:?}");
}
