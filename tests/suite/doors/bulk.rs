//! The bulk API of Elasticsearch.

use serde_json::{Value, json};

use super::{post, server_with_sender, stored};
use crate::harness::{Answer, Server};

/// A document as loggers for Elasticsearch send it.
const DOCUMENT: &str = r#"{"@timestamp":"2026-01-02T03:04:05.678Z","message":"role changed","event":{"action":"role.update","outcome":"success","category":"iam"},"user":{"name":"alice"},"source":{"ip":"203.0.113.7"}}"#;

fn send(server: &Server, path: &str, sender: &str, body: &str) -> Vec<Value> {
    let answer = post(server, path, sender, body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("x-elastic-product"), Some("Elasticsearch"));
    answer.json()["items"].as_array().unwrap().clone()
}

fn statuses(items: &[Value]) -> Vec<(String, u64)> {
    let status = |item: &Value| {
        let (operation, content) = item.as_object().unwrap().iter().next().unwrap();
        (operation.clone(), content["status"].as_u64().unwrap())
    };
    items.iter().map(status).collect()
}

fn expected(items: &[(&str, u64)]) -> Vec<(String, u64)> {
    items.iter().map(|(operation, status)| ((*operation).to_owned(), *status)).collect()
}

#[test]
fn each_action_has_its_item_in_order_and_a_bad_one_costs_no_other() {
    let (server, sender) = server_with_sender("");
    let body = format!(
        "{{\"create\":{{\"_index\":\"app\",\"_id\":\"1\"}}}}\n{DOCUMENT}\n\n{{\"index\":{{\"_id\":\"2\",\"pipeline\":\"p\"}}}}\n{DOCUMENT}\n\
         {{\"create\":{{}}}}\nno json\nno action\n{{\"delete\":{{\"_id\":\"1\"}}}}\n{{\"index\":{{}}}}\n{DOCUMENT}\n"
    );
    let first = send(&server, "/logs/_bulk", &sender, &body);
    let wanted = [("create", 201), ("index", 201), ("create", 400), ("index", 400), ("delete", 400), ("index", 201)];
    assert_eq!(statuses(&first), expected(&wanted));
    assert_eq!((&first[0]["create"]["_index"], &first[1]["index"]["_index"]), (&json!("app"), &json!("logs")));
    assert!(first[5]["index"]["_id"].as_str().is_some_and(|id| !id.is_empty()), "{first:?}");
    assert!(first[2]["create"]["error"]["reason"].as_str().unwrap().contains("not JSON"), "{first:?}");
    let again = send(&server, "/logs/_bulk", &sender, &body);
    let wanted = [("create", 409), ("index", 200), ("create", 400), ("index", 400), ("delete", 400), ("index", 201)];
    assert_eq!(statuses(&again), expected(&wanted), "documents with names are stored once");
    let events = stored(&server, "");
    assert_eq!(events.len(), 4);
    let event = events.iter().find(|event| event["identifier"] == "bulk/app/1").unwrap();
    assert_eq!((&event["action"], &event["resourceType"]), (&json!("role.update"), &json!("iam")));
    assert_eq!((&event["trigger"]["by"]["name"], &event["request"]["ip"]), (&json!("alice"), &json!("203.0.113.7")));
    assert_eq!(event["trigger"]["at"], "2026-01-02T03:04:05.678Z");
    assert_eq!(event["additionalData"], serde_json::from_str::<Value>(DOCUMENT).unwrap());
}

#[test]
fn another_document_under_the_same_name_is_kept_as_well() {
    let (server, sender) = server_with_sender("");
    let body = |document: &str| format!("{{\"create\":{{\"_index\":\"a\",\"_id\":\"1\"}}}}\n{document}\n");
    assert_eq!(statuses(&send(&server, "/_bulk", &sender, &body(DOCUMENT))), expected(&[("create", 201)]));
    let other = body(&DOCUMENT.replace("alice", "bob"));
    assert_eq!(statuses(&send(&server, "/_bulk", &sender, &other)), expected(&[("create", 201)]));
    assert_eq!(statuses(&send(&server, "/_bulk", &sender, &other)), expected(&[("create", 409)]));
    assert_eq!(stored(&server, "").len(), 2);
}

fn ask(server: &Server, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    server.request(method, path, &[headers, &[("accept-encoding", "identity")]].concat(), b"")
}

#[test]
fn clients_learn_what_they_ask_before_they_send() {
    let server = Server::start();
    let vendor = ("accept", "application/vnd.elasticsearch+json; compatible-with=8");
    let info = ask(&server, "GET", "/", &[vendor]);
    assert_eq!((info.status, &info.json()["version"]["number"]), (200, &json!("8.17.0")));
    assert_eq!(info.header("content-type"), Some("application/vnd.elasticsearch+json;compatible-with=8"));
    for headers in [("user-agent", "elasticsearch-py/7.17.0"), ("authorization", "ApiKey eDp5")] {
        assert_eq!(ask(&server, "GET", "/", &[headers]).header("content-type"), Some("application/json"));
    }
    for (method, path) in [
        ("HEAD", "/"),
        ("GET", "/_license"),
        ("GET", "/_xpack"),
        ("GET", "/_cluster/health"),
        ("GET", "/_nodes"),
        ("GET", "/_nodes/_all/http"),
        ("HEAD", "/_index_template/logs"),
        ("PUT", "/_index_template/logs"),
        ("PUT", "/_template/logs"),
        ("GET", "/_ilm/policy/logs"),
        ("PUT", "/_ingest/pipeline/p"),
        ("POST", "/logs/_refresh"),
        ("HEAD", "/logs"),
        ("PUT", "/logs"),
    ] {
        let answer = ask(&server, method, path, &[vendor]);
        assert_eq!(
            (answer.status, answer.header("x-elastic-product")),
            (200, Some("Elasticsearch")),
            "{method} {path}"
        );
    }
}

#[test]
fn browsers_still_get_the_pages() {
    let server = Server::start();
    let browser = [("accept", "text/html"), ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)")];
    let answer = ask(&server, "GET", "/", &browser);
    assert!(answer.header("x-elastic-product").is_none() && answer.text.contains("<html"), "{}", answer.text);
    assert_eq!(ask(&server, "HEAD", "/logs", &browser).status, 404);
    assert_eq!(ask(&server, "GET", "/healthz", &[("user-agent", "elasticsearch-py")]).status, 200);
}

#[test]
fn errors_of_a_whole_request_have_the_form_of_elasticsearch() {
    let (server, sender) = server_with_sender("");
    for (authorization, body, status, kind) in [
        ("ApiKey eDp5", "{}", 401, "security_exception"),
        (&sender, "", 400, "illegal_argument_exception"),
        (&sender, "\n\n", 400, "illegal_argument_exception"),
    ] {
        let answer = post(&server, "/_bulk", authorization, body);
        let error = answer.json();
        assert_eq!((answer.status, &error["error"]["type"], &error["status"]), (status, &json!(kind), &json!(status)));
        assert_eq!(error["error"]["root_cause"][0]["reason"], error["error"]["reason"]);
        assert_eq!(answer.header("x-elastic-product"), Some("Elasticsearch"));
    }
}
