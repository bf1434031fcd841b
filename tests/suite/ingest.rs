//! Events in.

use serde_json::json;

use crate::harness::Server;

#[test]
fn an_event_that_was_acknowledged_is_there() {
    let server = Server::start();
    let event =
        json!({ "identifier": "e1", "action": "CREATE", "resourceType": "entity", "context": { "entity": "api" } });
    let answer = server.store(&[event]);
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json(), json!({ "ok": true, "accepted": 1, "duplicates": 0, "identifiers": ["e1"] }));
    assert_eq!(server.list("entity=api").identifiers(), ["e1"]);
}
