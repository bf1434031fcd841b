//! Notifications of container registries.

use serde_json::json;

use super::{post, server_with_sender, stored};

#[test]
fn a_notification_that_is_sent_again_is_stored_once() {
    let (server, sender) = server_with_sender("");
    let event = |id: &str| {
        json!({ "id": id, "timestamp": "2026-01-02T03:04:05.000000000Z", "action": "push",
                "target": { "repository": "shop/api", "digest": "sha256:00", "tag": "1.2" },
                "request": { "addr": "192.0.2.7:50332", "method": "PUT", "useragent": "docker/27" },
                "actor": { "name": "ci" } })
    };
    let body = json!({ "events": [event("e-1"), event("e-2")] }).to_string();
    for _ in 0..2 {
        assert_eq!(post(&server, "/registry", &sender, &body).status, 200);
    }
    let events = stored(&server, "ip=192.0.2.7");
    assert_eq!(events.len(), 2);
    assert_eq!((&events[0]["action"], &events[0]["trigger"]["by"]["name"]), (&json!("CREATE"), &json!("ci")));
}

#[test]
fn a_body_of_which_nothing_can_be_read_is_an_error() {
    let (server, sender) = server_with_sender("");
    let answer = post(&server, "/registry", &sender, "{\"events\":[{]}");
    assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()), "{}", answer.text);
}
