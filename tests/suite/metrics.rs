//! `GET /metrics`: its format, the events that move each counter, the absence of event and client data, and the
//! dashboard.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::{Value, json};

use crate::{
    harness::{CLIENT_SECRET, Server, eventually, run},
    wire::Connection,
};

/// Samples by name and labels, and the type of each metric.
struct Metrics {
    samples: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
}

impl Metrics {
    /// The metrics that the server shows to its administrator.
    fn of(server: &Server) -> Self {
        let answer = server.get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        Self::parse(&answer.text)
    }

    /// Parses the text format (version 0.0.4) strictly by its specification.
    fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'));
        let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
        let mut helped = BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(helped.insert(name.to_owned()) && help.ends_with('.'), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(helped.contains(name), "a type before its help: {line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line:?}"));
                let metric = types.keys().next_back().map(|_| metric_of(series, &types));
                assert!(metric.is_some_and(|metric| types.contains_key(&metric)), "a sample before its type: {line}");
                check_labels(series);
                assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
            }
        }
        Self { samples, types }
    }

    fn value(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("{series} is not among {:#?}", self.samples))
    }

    /// A whole number.
    fn count(&self, series: &str) -> u64 {
        let value = self.samples.get(series).copied().unwrap_or(0.0);
        assert!(value >= 0.0 && value.fract() == 0.0, "{series} {value}");
        format!("{value:.0}").parse().unwrap()
    }
}

/// The metric of a sample; a histogram has three kinds of samples.
fn metric_of(series: &str, types: &BTreeMap<String, String>) -> String {
    let name = series.split('{').next().unwrap();
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
    base.filter(|base| types.get(*base).is_some_and(|kind| kind == "histogram")).unwrap_or(name).to_owned()
}

/// Labels are names with quoted texts.
fn check_labels(series: &str) {
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    assert!(is_name(name) && name.starts_with("auditbox_"), "{series}");
    if labels.is_empty() {
        assert!(!series.contains('{'), "{series}");
        return;
    }
    let labels = labels.strip_suffix("\"}").unwrap_or_else(|| panic!("{series}"));
    for label in labels.split("\",") {
        let (name, text) = label.split_once("=\"").unwrap_or_else(|| panic!("{series}"));
        assert!(is_name(name) && !text.contains(['"', '\\', '\n']), "{series}");
    }
}

fn event(identifier: &str) -> Value {
    json!({ "identifier": identifier, "action": "READ", "resourceType": "x" })
}

#[test]
fn each_counter_moves_with_what_it_counts() {
    let server = Server::start();
    let before = Metrics::of(&server);
    assert_eq!(before.count(&format!("auditbox_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), 1);
    assert_eq!(before.count("auditbox_accepts_writes"), 1);

    server.store(&[event("a"), event("b")]);
    server.store(&[event("a"), event("c")]);
    assert_eq!(server.post("/v1/audit-log", r#"{"identifier":"a","action":"X","resourceType":"x"}"#).status, 409);
    assert_eq!(server.post("/v1/audit-log", r#"[{"action":"X"},{"action":"X","resourceType":"x"}]"#).status, 422);
    assert_eq!(server.post("/v1/audit-log", "no JSON").status, 422);
    let partial = r#"[{"identifier":"a","action":"X","resourceType":"x"},{"action":"X"},{"identifier":"d","action":"X","resourceType":"x"}]"#;
    assert_eq!(server.post("/v1/audit-log?partial=true", partial).status, 200);
    server.list("limit=1");
    server.get("/v1/audit-log/a");
    server.get("/v1/audit-log/none");
    server.request("GET", "/no/such/path", &[], b"");
    server.request("BREW", "/v1/audit-log", &[], b"");

    let after = Metrics::of(&server);
    let moved = |series: &str| after.count(series) - before.count(series);
    let outcome = |name: &str| moved(&format!("auditbox_ingest_events_total{{outcome=\"{name}\"}}"));
    assert_eq!(["stored", "duplicate", "conflict", "rejected"].map(outcome), [4, 1, 2, 3], "{:#?}", after.samples);
    let requests = |method: &str, route: &str, status: u16| {
        moved(&format!("auditbox_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}"))
    };
    let log = "/v1/audit-log";
    assert_eq!([201, 409, 422, 200].map(|status| requests("POST", log, status)), [2, 1, 2, 1]);
    assert_eq!(requests("GET", log, 200), 1);
    assert_eq!([200, 404].map(|status| requests("GET", "/v1/audit-log/{identifier}", status)), [1, 1]);
    assert_eq!(requests("GET", "/metrics", 200), 1);
    assert_eq!(requests("other", "none", 404), 1);
    assert_eq!(requests("other", "none", 405), 1);

    assert!(moved("auditbox_commit_seconds_count") >= 4);
    assert_eq!(
        after.count("auditbox_commit_seconds_bucket{le=\"+Inf\"}"),
        after.count("auditbox_commit_seconds_count")
    );
    assert!(after.value("auditbox_commit_seconds_sum") > before.value("auditbox_commit_seconds_sum"));
    assert!(after.count("auditbox_events") >= 4 && after.count("auditbox_events") > before.count("auditbox_events"));
    assert!(after.count("auditbox_file_bytes") > 0 && after.count("auditbox_wal_bytes") > 0);
    assert_eq!(after.count("auditbox_commit_errors_total"), 0);
    // HEAD counts like GET.
    let bearer = format!("Bearer {}", server.token);
    let head = [("authorization", &*bearer), ("accept-encoding", "identity")];
    assert_eq!(server.request("HEAD", "/metrics", &head, b"").status, 200);
    assert_eq!(
        Metrics::of(&server).count("auditbox_http_requests_total{method=\"GET\",route=\"/metrics\",status=\"200\"}"),
        3
    );
}

#[test]
fn buckets_of_the_histogram_only_grow() {
    let server = Server::start();
    for number in 0..50 {
        server.store(&[event(&format!("e{number}"))]);
    }
    let answer = server.get("/metrics").text;
    let buckets: Vec<(f64, f64)> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("auditbox_commit_seconds_bucket{le=\""))
        .map(|rest| rest.split_once("\"} ").unwrap())
        .map(|(bound, count)| (bound.replace("+Inf", "inf").parse().unwrap(), count.parse().unwrap()))
        .collect();
    assert!(buckets.len() > 10 && buckets.is_sorted() && buckets.last().unwrap().0.is_infinite(), "{answer}");
    assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{answer}");
    assert!(buckets.last().unwrap().1 >= 50.0, "{answer}");
}

#[test]
fn connections_and_streams_are_counted_while_they_are_open() {
    let server = Server::start();
    let count = |series: &str| Metrics::of(&server).count(series);
    let idle = eventually("no connection but the one that asks", || {
        Some(count("auditbox_http_connections")).filter(|connections| *connections <= 1)
    });
    let mut open: Vec<_> = (0..5).map(|_| Connection::open(&server.url).unwrap()).collect();
    let mut stream = Connection::open(&server.url).unwrap();
    let bearer = &server.token;
    stream
        .send(&format!("GET /v1/audit-log/stream HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {bearer}\r\n\r\n"))
        .unwrap();
    eventually("the stream", || (count("auditbox_http_streams") == 1).then_some(()));
    eventually("the connections", || (count("auditbox_http_connections") >= idle + 6).then_some(()));
    open.clear();
    drop(stream);
    eventually("the end of the stream", || {
        // A stream notices that its client is gone when it next sends something.
        server.store(&[json!({ "action": "READ", "resourceType": "x" })]);
        (count("auditbox_http_streams") == 0).then_some(())
    });
    eventually("the end of the connections", || (count("auditbox_http_connections") <= idle + 1).then_some(()));
}

/// Retention by the event's own time, so that new events can be expired.
const DROPPING: [(&str, &str); 2] =
    [("AUDITBOX_RETENTION_KEEP_DAYS", "30"), ("AUDITBOX_RETENTION_KEEP_BY", "event_time")];

#[test]
fn sealing_and_retention_have_timestamps() {
    let server = Server::start_chunked_with(64, &DROPPING);
    let before = Metrics::of(&server);
    assert!(!before.samples.contains_key("auditbox_last_seal_timestamp_seconds"));
    let now = before.count("auditbox_start_time_seconds");
    assert!(now > 1_700_000_000);
    let events: Vec<_> = (0..200).map(|number| event(&format!("e{number}"))).collect();
    server.store(&events);
    let sealed = eventually("sealed chunks", || {
        let metrics = Metrics::of(&server);
        (metrics.count("auditbox_sealed_chunks_total") >= 3 && metrics.count("auditbox_unsealed_chunks") == 0)
            .then_some(metrics)
    });
    assert!(sealed.count("auditbox_last_seal_timestamp_seconds") >= now);
    assert!(sealed.count("auditbox_retention_last_round_timestamp_seconds") >= now);
    assert_eq!(sealed.count("auditbox_unsealed_bytes"), 0);

    // Expired events are dropped and counted when the server starts.
    let old: Vec<_> = (0..128)
        .map(|number| {
            let mut old = event(&format!("old{number}"));
            old["trigger"] = json!({ "at": "2020-01-01T00:00:00Z" });
            old
        })
        .collect();
    server.store(&old);
    let (_, directory) = server.stop();
    let server = Server::start_in(directory, &DROPPING);
    let dropped = eventually("dropped events", || {
        let metrics = Metrics::of(&server);
        (metrics.count("auditbox_retention_dropped_events_total") == 128).then_some(metrics)
    });
    assert_eq!(dropped.count("auditbox_retention_dropped_events_total"), 128);
}

#[test]
fn a_stopped_writer_is_shown() {
    let server = Server::start();
    fs::remove_file(server.database()).unwrap();
    assert_eq!(server.post("/v1/audit-log", &event("a").to_string()).status, 503);
    let metrics = Metrics::of(&server);
    assert_eq!(metrics.count("auditbox_accepts_writes"), 0);
    assert!(!metrics.samples.contains_key("auditbox_file_bytes"));
}

#[test]
fn metrics_contain_no_data_of_events_clients_or_credentials() {
    let server = Server::start();
    let marks = ["zebra", "quagga", "okapi", "tapir"];
    let monitor = server.credential("zebra-monitor", &["metrics"]);
    server.store(&[json!({
        "identifier": "zebra-1", "action": "quagga.run", "resourceType": "okapi", "additionalData": "tapir",
        "trigger": { "by": { "name": "zebra" } }, "request": { "method": "QUAGGA", "path": "/okapi" },
    })]);
    server.request("ZEBRA", "/quagga/okapi?tapir=1", &[("user-agent", "tapir")], b"zebra");
    server.request("GET", "/v1/audit-log/zebra-1", &[("authorization", "Bearer quagga")], b"");
    server.request_as(&monitor, "GET", "/metrics?zebra=quagga", "");
    let text = server.request_as(&monitor, "GET", "/metrics", "");
    assert_eq!(text.status, 200);
    let (token, monitor) = (server.token.as_str(), monitor.as_str());
    for hidden in marks.into_iter().chain([token, monitor, CLIENT_SECRET, "test-admin"]) {
        assert!(!text.text.to_lowercase().contains(&hidden.to_lowercase()), "{hidden} is in {}", text.text);
    }
    // Each scrape is recorded, and the scope permits nothing else.
    eventually("the record", || {
        let found = server.list("origin=auditbox&actor=zebra-monitor&action=metrics").identifiers();
        (found.len() >= 2).then_some(())
    });
    assert_eq!(server.request_as(monitor, "GET", "/v1/audit-log", "").status, 403);
}

#[test]
fn the_scope_metrics_works_like_any_other() {
    let server = Server::start();
    let made = run(server.directory(), &["credential", "create", "--name", "prometheus", "--scope", "metrics"]);
    assert!(made.status.success(), "{made:?}");
    let text = String::from_utf8(made.stdout).unwrap();
    let token = text.lines().find_map(|line| line.trim().strip_prefix("API token")).unwrap().trim().to_owned();
    eventually("the credential", || (server.request_as(&token, "GET", "/metrics", "").status == 200).then_some(()));
    let listed = server.get("/v1/credentials").json();
    let scopes: Vec<_> = listed["credentials"].as_array().unwrap().iter().map(|one| &one["scopes"]).collect();
    // An administrator may read the metrics without the scope.
    assert_eq!(scopes, [&json!(["ingest", "read", "admin"]), &json!(["metrics"])]);
    let refused = server.post("/v1/credentials", r#"{"name":"n","scopes":["metric"]}"#);
    assert_eq!(refused.refusal().0, 422);
    assert!(refused.text.contains("use ingest, read, admin or metrics"), "{}", refused.text);
}

/// The names of metrics in a query.
fn named(query: &str) -> BTreeSet<String> {
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
    query
        .match_indices("auditbox_")
        .map(|(at, _)| query[at..].chars().take_while(|char| is_part(*char)).collect())
        .collect()
}

fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("expr").and_then(Value::as_str).map(str::to_owned));
            object.values().for_each(|value| queries(value, found));
        }
        Value::Array(array) => array.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_shows_exactly_these_metrics() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/grafana-dashboard.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut found = Vec::new();
    queries(&dashboard["panels"], &mut found);
    assert!(found.len() > 10);
    let server = Server::start();
    let metrics = Metrics::of(&server);
    let used: BTreeSet<_> =
        found.iter().flat_map(|query| named(query)).map(|name| metric_of(&name, &metrics.types)).collect();
    let known: BTreeSet<_> = metrics.types.keys().cloned().collect();
    assert_eq!(used, known);
    let panels = dashboard["panels"].as_array().unwrap();
    let numbers: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), panels.len(), "two panels have one id");
    // The labels in a query belong to its metrics.
    let text = server.get("/metrics").text;
    for label in ["outcome", "route", "status", "le", "door"] {
        assert!(text.contains(&format!("{label}=\"")), "{label}");
    }
}
