//! Requests that the senders' own libraries have signed.

use std::{
    env,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use auditbox::model::timestamp::Timestamp;
use serde_json::{Value, json};

use super::{credential, post, start};
use crate::{
    harness::Server,
    skip::{NODE, WEBHOOK_LIBRARIES, runs},
};

const SCHEMES: [&str; 4] = ["github", "stripe", "standard-webhooks", "svix"];
const BODY: &str = r#"{"action":"created","note":"größer","at":1}"#;

fn keys() -> Value {
    json!({
        "github": "It's a Secret to Everybody", "stripe": "whsec_of_stripe_0123456789",
        "standard-webhooks": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "svix": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    })
}

/// The headers of each sender for this body, signed at `seconds` with these keys.
fn sign(packages: &PathBuf, body: &str, id: &str, seconds: i64, keys: &Value) -> Value {
    let mut node = Command::new("node");
    node.args(["--input-type=module", "--eval", include_str!("sign.mjs")]).current_dir(packages);
    let mut child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let input = json!({ "body": body, "id": id, "seconds": seconds, "keys": keys }).to_string();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the libraries cannot sign");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The status of a request with the headers of a sender.
fn status(server: &Server, scheme: &str, headers: &Value, body: &str) -> u16 {
    let headers: Vec<_> =
        headers[scheme].as_object().unwrap().iter().map(|(name, value)| (&**name, value.as_str().unwrap())).collect();
    post(server, &format!("/in/{scheme}"), &headers, body).status
}

/// The headers with one character of the signature changed.
fn forged(headers: &Value, scheme: &str) -> Value {
    let mut forged = headers.clone();
    for (name, value) in forged[scheme].as_object_mut().unwrap() {
        if name.contains("signature") {
            let mut text: Vec<char> = value.as_str().unwrap().chars().collect();
            // The last character of base64 may hold bits that do not count.
            let at = text.len() - 5;
            text[at] = if text[at] == 'a' { 'b' } else { 'a' };
            *value = text.into_iter().collect::<String>().into();
        }
    }
    forged
}

#[test]
fn requests_signed_by_the_libraries_of_senders_are_accepted_and_forged_ones_are_not() {
    let packages = env::var_os("AUDITBOX_WEBHOOK_LIBRARIES").map(PathBuf::from);
    if !NODE.is_met(runs("node", &["--version"])) || !WEBHOOK_LIBRARIES.is_met(packages.is_some()) {
        return;
    }
    let packages = packages.unwrap();
    let route = |scheme: &str| {
        let (key, other) = (keys()[scheme].as_str().unwrap().to_owned(), "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        format!(
            "[[routes]]\nname = '{scheme}'\npreset = 'cloudevents'\ncredential = 'hooks'\n\
             signature = {{ scheme = '{scheme}', keys = ['{other}', \"{key}\"] }}\n"
        )
    };
    let server = start(&SCHEMES.map(route).concat());
    credential(&server, "hooks");
    let now = Timestamp::now().seconds();
    let headers = sign(&packages, BODY, "delivery-1", now, &keys());
    let old = sign(&packages, BODY, "delivery-2", now - 400, &keys());
    let mut others = keys();
    for key in others.as_object_mut().unwrap().values_mut() {
        *key = "whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB".into();
    }
    let by_others = sign(&packages, BODY, "delivery-3", now, &others);
    for scheme in SCHEMES {
        assert_eq!(status(&server, scheme, &headers, BODY), 200, "{scheme}");
        // One bit of the body.
        assert_eq!(status(&server, scheme, &headers, &BODY.replace(":1}", ":0}")), 401, "{scheme}");
        assert_eq!(status(&server, scheme, &forged(&headers, scheme), BODY), 401, "{scheme}");
        assert_eq!(status(&server, scheme, &by_others, BODY), 401, "{scheme}");
        // GitHub signs no time.
        let expected = if scheme == "github" { 200 } else { 401 };
        assert_eq!(status(&server, scheme, &old, BODY), expected, "{scheme}");
        // A repeated delivery stores nothing.
        assert_eq!(status(&server, scheme, &headers, BODY), 200, "{scheme}");
    }
    // Stripe names no delivery, and GitHub has delivered twice.
    let stored = server.list("includes=receivedBy,mapping").json();
    assert_eq!(stored["audits"].as_array().unwrap().len(), 6, "{stored}");
    for event in stored["audits"].as_array().unwrap() {
        assert_eq!((&event["receivedBy"], &event["mapping"]["door"]), (&json!("hooks"), &json!("webhook")), "{event}");
    }
}
