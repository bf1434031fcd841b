//! No outgoing calls: the system calls of the server's whole life, from the first start to the last request, include no
//! connection that it opens.

use std::{fs, process::Command};

use serde_json::json;

use crate::{
    harness::{CLIENT_ID, CLIENT_SECRET, program},
    platform::signal,
    process::Process,
    skip::{STRACE, runs},
};

/// System calls that contact other hosts. Responses use none of these.
const CALLS: &str = "trace=connect,socket,sendto,sendmsg,sendmmsg";

/// The program under `strace`, or `None` if tracing is not possible.
fn traced(directory: &std::path::Path, trace: &std::path::Path) -> Option<Command> {
    if !STRACE.is_met(runs("strace", &["-f", "-e", CALLS, "true"])) {
        return None;
    }
    let plain = program(directory);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", CALLS, "-o"]).arg(trace).arg(plain.get_program()).current_dir(directory);
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Some(command)
}

/// The lines of a trace that are outgoing calls: a connection, a datagram, or a socket of another kind than the
/// listening one.
fn calls_out(trace: &str) -> Vec<&str> {
    let is_out = |line: &&str| {
        let is_listener = line.contains("socket(AF_INET, SOCK_STREAM") || line.contains("socket(AF_INET6, SOCK_STREAM");
        let is_pair = line.contains("socket(AF_UNIX");
        // A response is sent on an accepted socket, without an address.
        let is_answer = (line.contains("sendto(") || line.contains("sendmsg("))
            && !line.contains("sa_family")
            && !line.contains("sin_");
        let is_call =
            ["connect(", "socket(", "sendto(", "sendmsg(", "sendmmsg("].iter().any(|call| line.contains(call));
        is_call && !is_listener && !is_pair && !is_answer
    };
    trace.lines().filter(is_out).collect()
}

#[test]
fn the_server_makes_no_outgoing_calls() {
    let (directory, traces) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let trace = traces.path().join("trace");
    let Some(mut command) = traced(directory.path(), &trace) else {
        return;
    };
    let server = Process::start(command.arg("serve").env("AUDITBOX_LOG_LEVEL", "trace"));
    let url = server.url();
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let post = |path: &str, token: &str, body: &str| {
        let request = agent.post(format!("{url}{path}")).header("authorization", &format!("Bearer {token}"));
        let mut answer = request.send(body).unwrap();
        answer.body_mut().read_to_string().unwrap()
    };
    let login = json!({ "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET }).to_string();
    let token: serde_json::Value = serde_json::from_str(&post("/v1/auth/access_token", "", &login)).unwrap();
    let token = token["accessToken"].as_str().unwrap();
    // Addresses and names that a program might look up.
    let event = r#"{"identifier":"e1","action":"A","resourceType":"x","request":{"ip":"192.0.2.1","path":"https://audit.example/x"},"additionalData":"http://audit.example/"}"#;
    assert!(post("/v1/audit-log", token, event).contains("accepted"));
    for path in [
        "/",
        "/audit-logs",
        "/audit-logs/e1",
        "/docs/",
        "/openapi.json",
        "/sign-in",
        "/healthz",
        "/readyz",
        "/v1/audit-log?ip=192.0.2.0/24",
        "/v1/audit-log/stats?tz=Europe/Berlin&histogram=1d",
        "/v1/audit-log/export?format=csv",
        "/credentials",
    ] {
        let bearer = format!("Bearer {token}");
        let answer = agent
            .get(format!("{url}{path}"))
            .header("authorization", &bearer)
            .header("referer", "https://audit.example/")
            .call();
        assert!(answer.unwrap().status().as_u16() < 500, "{path}");
    }
    // The tracer passes on no signals, so the test signals its child, the program.
    let pid = fs::read_dir("/proc").unwrap().filter_map(Result::ok).find_map(|entry| {
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let is_child = status.lines().any(|line| line == format!("PPid:\t{}", server.pid()));
        is_child.then(|| entry.file_name().into_string().unwrap())
    });
    assert!(signal(pid.unwrap().parse().unwrap(), "TERM"));
    let mut server = server;
    assert!(server.end().success());
    let text = fs::read_to_string(&trace).unwrap();
    assert!(text.contains("socket(AF_INET, SOCK_STREAM"), "the trace lacks even the listening socket: {text}");
    assert_eq!(calls_out(&text), [""; 0]);
}

#[test]
fn an_outgoing_call_is_detected() {
    let (directory, traces) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let trace = traces.path().join("trace");
    let Some(mut command) = traced(directory.path(), &trace) else {
        return;
    };
    // A command that contacts a server, at a port where none listens.
    let mut asking = Process::start(command.args(["query", "--url", "http://127.0.0.1:9", "--token", "x"]));
    assert!(!asking.end().success());
    assert!(!calls_out(&fs::read_to_string(&trace).unwrap()).is_empty());
}
