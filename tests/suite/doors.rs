//! Doors: records that other systems send in their own protocols.

mod bulk;
mod cloudevents;
mod daemons;
mod hec;
mod kubernetes;
mod otlp;
mod overload;
mod overview;
mod registry;
mod senders;
mod syslog;
mod trouble;

use std::fs;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::harness::{Answer, Server, run};

/// A server with this configuration file.
fn start(config: &str) -> Server {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("auditbox.toml"), config).unwrap();
    Server::start_in(directory, &[("AUDITBOX_CONFIG", "auditbox.toml")])
}

/// A server and the header with which a sender's requests authenticate.
fn server_with_sender(config: &str) -> (Server, String) {
    let server = start(config);
    let token = server.credential("sender", &["ingest"]);
    (server, format!("Bearer {token}"))
}

fn post(server: &Server, path: &str, authorization: &str, body: impl AsRef<[u8]>) -> Answer {
    server.request("POST", path, &[("authorization", authorization)], body.as_ref())
}

/// The stored events of senders that match a query, newest first.
fn stored(server: &Server, query: &str) -> Vec<Value> {
    server.list(&format!("not.origin=auditbox&{query}")).json()["audits"].as_array().unwrap().clone()
}

#[test]
fn a_prefix_moves_every_door_and_a_closed_door_is_gone() {
    let (server, sender) = server_with_sender("[doors]\npath_prefix = '/from'\ndisabled = ['registry']\n");
    assert_eq!(post(&server, "/from/k8s/audit", &sender, kubernetes::LIST).status, 200);
    assert_eq!(post(&server, "/k8s/audit", &sender, kubernetes::LIST).status, 404);
    assert_eq!(post(&server, "/from/registry", &sender, r#"{"events":[]}"#).status, 404);
    let refused = post(&server, "/from/k8s/audit", "Bearer wrong", kubernetes::LIST);
    assert_eq!(
        (refused.status, &refused.json()["kind"]),
        (401, &"Status".into()),
        "the door is known by its inner path"
    );
    assert_eq!(stored(&server, "").len(), 2);
}

#[test]
fn the_preset_of_a_credential_replaces_that_of_the_door() {
    let (server, sender) = server_with_sender(
        "[doors.presets]\nsender = 'own'\n[presets.own]\naction = '/what'\nresourceType = '=thing'\n",
    );
    assert_eq!(post(&server, "/registry", &sender, r#"{"what":"push"}"#).status, 200);
    let events = stored(&server, "action=push");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["mapping"], serde_json::json!({ "preset": "own@1", "door": "registry" }));
}

#[test]
fn a_sender_may_present_its_secret_in_every_form() {
    let (server, sender) = server_with_sender("");
    let token = sender.strip_prefix("Bearer ").unwrap();
    let basic = BASE64_STANDARD.encode(format!("x:{token}"));
    for value in [format!("Splunk {token}"), format!("ApiKey {token}"), format!("Basic {basic}")] {
        assert_eq!(post(&server, "/registry", &value, r#"{"events":[]}"#).status, 200, "{value}");
    }
    let path = format!("/registry?access_token={token}");
    assert_eq!(server.request("POST", &path, &[], br#"{"events":[]}"#).status, 200);
    assert_eq!(server.request("POST", "/registry", &[], br#"{"events":[]}"#).status, 401);
}

#[test]
fn unknown_doors_presets_and_prefixes_are_rejected_with_their_place() {
    for (config, message) in [
        ("[doors]\ndisabled = ['smtp']\n", "[doors] disabled"),
        ("[doors]\npath_prefix = 'from'\n", "[doors] path_prefix"),
        ("[doors]\npath_prefix = '/from/'\n", "[doors] path_prefix"),
        ("[doors.presets]\nsender = 'none'\n", "[doors] presets"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("auditbox.toml"), config).unwrap();
        let output = run(directory.path(), &["check-config", "--config", "auditbox.toml"]);
        assert!(!output.status.success());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(message), "{config}: {error}");
    }
}
