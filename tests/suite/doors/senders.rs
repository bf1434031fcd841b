//! Real senders deliver with nothing but an address and a secret.

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    process::Command,
};

use super::server_with_sender;
use crate::{
    harness::eventually,
    skip::{NODE, PYTHON, SENDERS, runs},
};

/// The scripts, and what each of their events is about.
const SCRIPTS: &[(&str, &[&str])] = &[
    ("opentelemetry-client.py", &["opentelemetry-python"]),
    ("opentelemetry.js", &["opentelemetry-http", "opentelemetry-proto"]),
    ("elasticsearch-client.py", &["elasticsearch-py"]),
    ("opensearch-client.py", &["opensearch-py"]),
    ("elasticsearch.js", &["elasticsearch-js"]),
    ("opensearch.js", &["opensearch-js"]),
    ("pino-elasticsearch.js", &["pino-elasticsearch"]),
    ("winston-elasticsearch.js", &["winston-elasticsearch"]),
    ("splunk-handler-client.py", &["splunk-handler"]),
    ("splunk.js", &["splunk-logging", "winston-splunk"]),
    ("cloudevents-client.py", &["cloudevents-py.role"]),
    ("cloudevents.js", &["cloudevents-js.role"]),
];

#[test]
fn real_senders_need_only_an_address_and_a_secret() {
    let packages = env::var_os("AUDITBOX_SENDERS").map(PathBuf::from);
    let has_programs = NODE.is_met(runs("node", &["--version"])) && PYTHON.is_met(runs("python3", &["--version"]));
    if !SENDERS.is_met(packages.is_some()) || !has_programs {
        return;
    }
    let packages = packages.unwrap();
    let (server, sender) = server_with_sender("");
    let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/suite/doors/senders");
    for (script, _) in SCRIPTS {
        let is_python = Path::new(script).extension().is_some_and(|extension| extension == "py");
        let program = if is_python { packages.join("venv/bin/python") } else { "node".into() };
        let run = Command::new(program)
            .arg(scripts.join(script))
            .env("NODE_PATH", packages.join("node_modules"))
            .env("URL", &server.url)
            .env("TOKEN", sender.strip_prefix("Bearer ").unwrap())
            .output()
            .unwrap();
        assert!(run.status.success(), "{script}: {}", String::from_utf8_lossy(&run.stderr));
    }
    let expected: BTreeSet<&str> = SCRIPTS.iter().flat_map(|(_, resources)| resources.iter().copied()).collect();
    eventually("all events", || {
        let events = server.list("actor=alice&limit=100").json()["audits"].as_array().unwrap().clone();
        let found: BTreeSet<_> = events.iter().map(|event| event["resourceType"].as_str().unwrap()).collect();
        (found == expected).then_some(())
    });
    let events = server.list("actor=alice&limit=100").json()["audits"].as_array().unwrap().clone();
    for event in &events {
        let action = event["action"].as_str().unwrap();
        let is_cloud_event = event["mapping"]["door"] == "cloudevents";
        assert!(action == "role.update" || (is_cloud_event && action == "update"), "{event}");
        assert!(is_cloud_event || event["request"]["ip"] == "203.0.113.7", "{event}");
    }
}
