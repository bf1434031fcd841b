//! The audit webhook of Kubernetes.

use super::{post, server_with_sender, stored};

/// Two events, one of which has the same `auditID` as the other.
pub(super) const LIST: &str = r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[
 {"level":"Metadata","auditID":"a-1","stage":"RequestReceived","requestURI":"/api/v1/namespaces/shop/secrets/db","verb":"delete",
  "user":{"username":"alice","groups":["system:authenticated"]},"sourceIPs":["203.0.113.7"],
  "objectRef":{"resource":"secrets","namespace":"shop","name":"db","apiVersion":"v1"},
  "stageTimestamp":"2026-01-02T03:04:05.000000Z"},
 {"level":"Metadata","auditID":"a-1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/secrets/db","verb":"delete",
  "user":{"username":"alice"},"sourceIPs":["203.0.113.7"],"objectRef":{"resource":"secrets","namespace":"shop","name":"db"},
  "responseStatus":{"code":403},"stageTimestamp":"2026-01-02T03:04:06.000000Z"}]}"#;

#[test]
fn a_list_of_events_is_stored_once_however_often_it_is_sent() {
    let (server, sender) = server_with_sender("");
    for _ in 0..2 {
        let answer = post(&server, "/k8s/audit", &sender, LIST);
        assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    }
    let events = stored(&server, "");
    assert_eq!(events.len(), 2);
    assert_eq!((&events[0]["action"], &events[0]["status"]), (&"DELETE".into(), &"FAILURE".into()), "{}", events[0]);
    assert_eq!(events[0]["context"]["entity"], "shop/db");
    assert_eq!(events[0]["trigger"]["by"]["name"], "alice");
    assert_eq!(events[0]["mapping"]["door"], "kubernetes");
}

#[test]
fn an_item_that_is_no_object_costs_no_other() {
    let (server, sender) = server_with_sender("");
    let list = LIST.replacen("\"items\":[", "\"items\":[7,null,", 1);
    assert_eq!(post(&server, "/k8s/audit", &sender, list).status, 200);
    assert_eq!(stored(&server, "entity=shop/db").len(), 2);
}

#[test]
fn errors_are_those_of_the_kubernetes_api() {
    let (server, sender) = server_with_sender("");
    for (authorization, body, status) in [("Bearer none", LIST, 401), (&sender, "{\"items\":", 422)] {
        let answer = post(&server, "/k8s/audit", authorization, body);
        let error = answer.json();
        assert_eq!((answer.status, &error["kind"]), (status, &"Status".into()), "{}", answer.text);
        assert_eq!((&error["status"], &error["code"]), (&"Failure".into(), &status.into()));
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
}
