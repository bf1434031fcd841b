//! Real senders deliver with nothing but an address and a secret.

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    process::Command,
};

use super::{daemons::Target, server_with_sender};
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

/// The directory of the senders' packages; `None` if they, or the programs that run them, are not installed.
pub(super) fn packages() -> Option<PathBuf> {
    let packages = env::var_os("AUDITBOX_SENDERS").map(PathBuf::from);
    let has_programs = NODE.is_met(runs("node", &["--version"])) && PYTHON.is_met(runs("python3", &["--version"]));
    let is_met = SENDERS.is_met(packages.is_some()) && has_programs;
    packages.filter(|_| is_met)
}

/// Runs a script that sends to a server, with more variables, to its success.
pub(super) fn send(packages: &Path, script: &str, target: &Target<'_>, variables: &[(&str, &str)]) -> String {
    let is_python = Path::new(script).extension().is_some_and(|extension| extension == "py");
    let program = if is_python { packages.join("venv/bin/python") } else { "node".into() };
    let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/suite/doors/senders");
    let run = Command::new(program)
        .arg(scripts.join(script))
        .env("NODE_PATH", packages.join("node_modules"))
        .env("URL", target.url)
        .env("TOKEN", target.token)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let output = [run.stdout, run.stderr].concat();
    let output = String::from_utf8_lossy(&output).into_owned();
    assert!(run.status.success(), "{script}: {output}");
    output
}

#[test]
fn real_senders_need_only_an_address_and_a_secret() {
    let Some(packages) = packages() else { return };
    let (server, sender) = server_with_sender("");
    let target = Target { url: &server.url, token: sender.strip_prefix("Bearer ").unwrap() };
    for (script, _) in SCRIPTS {
        send(&packages, script, &target, &[]);
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
