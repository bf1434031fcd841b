//! `GET /metrics`: the state of the server in Prometheus's text format (version 0.0.4).
//!
//! The response has numbers, and labels that are constants of this program or names in its configuration: no identifier, name or
//! value of an event, and no input of a client. `packaging/grafana-dashboard.json` is a dashboard of exactly these metrics.

use std::fmt::{Display, Write as _};

use actix_web::{
    HttpResponse,
    web::{self, Data},
};

use crate::{
    http::{ApiError, Context, actions, activity::ArrivalState, caller::ReadMetrics as MayRead},
    model::timestamp::Timestamp,
    store::{Durations, StoreMetrics},
};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns all metrics.
pub(super) async fn metrics(_: MayRead, context: Data<Context>) -> Result<HttpResponse, ApiError> {
    let writer = context.writer.clone();
    let store = web::block(move || writer.metrics()).await.map_err(ApiError::internal)?;
    let mut text = Text::default();
    write_http(&mut text, &context);
    write_doors(&mut text, &context);
    write_store(&mut text, &store);
    write_fields(&mut text, &store);
    Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).body(text.0))
}

fn write_http(text: &mut Text, context: &Context) {
    text.describe("auditbox_build_info", "gauge", "The version of the running program, as a label.");
    text.sample("auditbox_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.one("auditbox_start_time_seconds", "gauge", "When the server started.", seconds(context.started.micros()));

    text.describe("auditbox_http_requests_total", "counter", "Requests answered, by method, route and status.");
    for (method, route, status, count) in context.metrics.requests() {
        let labels =
            [("method", method), ("route", &*actions::without_patterns(route)), ("status", &*status.to_string())];
        text.sample("auditbox_http_requests_total", &labels, count);
    }
    let deliveries = "Requests to the routes of the configuration, by name and status.";
    text.describe("auditbox_route_requests_total", "counter", deliveries);
    for (name, status, count) in context.metrics.deliveries() {
        text.sample("auditbox_route_requests_total", &[("name", name), ("status", &*status.to_string())], count);
    }
    text.one("auditbox_http_connections", "gauge", "Open connections.", context.metrics.connections());
    text.one("auditbox_http_streams", "gauge", "Open live streams.", context.streams.open());

    let summary = "Events sent by clients, by outcome: stored, duplicate (stored before), conflict (the identifier belongs \
                   to other content), rejected (invalid).";
    text.describe("auditbox_ingest_events_total", "counter", summary);
    for (outcome, count) in context.metrics.outcomes() {
        text.sample("auditbox_ingest_events_total", &[("outcome", outcome)], count);
    }
}

fn write_doors(text: &mut Text, context: &Context) {
    let now = Timestamp::now();
    let arrivals: Vec<_> = context.activity.all(now).collect();
    let summary = "Records that arrived by doors and routes, by outcome: stored, duplicate (stored before), rejected.";
    text.describe("auditbox_door_records_total", "counter", summary);
    for (door, state) in &arrivals {
        for (outcome, count) in
            [("stored", state.stored), ("duplicate", state.duplicates), ("rejected", state.rejected)]
        {
            text.sample("auditbox_door_records_total", &[("door", door), ("outcome", outcome)], count);
        }
    }
    let unmapped = "Records in which the preset found nothing. They are stored.";
    let refused = "Requests and connections refused as a whole.";
    let dropped = "Datagrams that the system dropped.";
    text.of_doors("auditbox_door_unmapped_records_total", unmapped, &arrivals, |state| state.unmapped);
    text.of_doors("auditbox_door_refused_requests_total", refused, &arrivals, |state| state.refused);
    text.of_doors("auditbox_door_dropped_datagrams_total", dropped, &arrivals, |state| state.dropped);
    let last = "auditbox_door_last_record_timestamp_seconds";
    text.describe(last, "gauge", "When a record was last stored or found to be stored.");
    for (door, state) in &arrivals {
        if let Some(at) = state.last {
            text.sample(last, &[("door", door)], at.seconds());
        }
    }
}

fn write_store(text: &mut Text, store: &StoreMetrics) {
    let accepts = u8::from(store.accepts_writes);
    text.one("auditbox_accepts_writes", "gauge", "1 while events are accepted, as /readyz says; else 0.", accepts);
    text.one("auditbox_events", "gauge", "Events in the log, auditbox's own records included.", store.events);
    text.one("auditbox_queue_events", "gauge", "Events that wait to be written.", store.queue_events);
    text.one("auditbox_queue_bytes", "gauge", "Bytes of memory that they hold.", store.queue_bytes);
    write_commits(text, &store.commits);
    text.one(
        "auditbox_commit_errors_total",
        "counter",
        "Transactions that could not be committed.",
        store.commit_errors,
    );
    text.maybe("auditbox_file_bytes", "gauge", "Size of the file, without its write-ahead log.", store.file_bytes);
    text.one("auditbox_wal_bytes", "gauge", "Size of the write-ahead log.", store.wal_bytes);

    let chunks = "Full chunks of the index in memory that wait to be sealed; past 8 no events are accepted.";
    text.one("auditbox_unsealed_chunks", "gauge", chunks, store.unsealed_chunks);
    text.one("auditbox_unsealed_bytes", "gauge", "Bytes of memory that they hold.", store.unsealed_bytes);
    text.one("auditbox_sealed_chunks_total", "counter", "Chunks of the index sealed.", store.sealed_chunks);
    text.maybe("auditbox_last_seal_timestamp_seconds", "gauge", "When a chunk was last sealed.", store.last_seal);

    let round = "When retention last reached the end of the log.";
    text.maybe("auditbox_retention_last_round_timestamp_seconds", "gauge", round, store.last_retention);
    let dropped = "Events dropped by retention.";
    text.one("auditbox_retention_dropped_events_total", "counter", dropped, store.dropped_events);
}

fn write_fields(text: &mut Text, store: &StoreMetrics) {
    let summary = "Chunks of the index whose events lack a declared field until it is filled in, by field.";
    text.describe("auditbox_field_chunks_left", "gauge", summary);
    for (field, chunks) in &store.fields {
        text.sample("auditbox_field_chunks_left", &[("field", field)], chunks);
    }
}

fn write_commits(text: &mut Text, commits: &Durations) {
    let summary = "Time from taking requests off the queue until their transaction is on disk.";
    text.describe("auditbox_commit_seconds", "histogram", summary);
    for (bound, count) in &commits.buckets {
        text.sample("auditbox_commit_seconds_bucket", &[("le", &decimal(*bound))], count);
    }
    text.sample("auditbox_commit_seconds_bucket", &[("le", "+Inf")], commits.count);
    text.sample("auditbox_commit_seconds_sum", &[], decimal(commits.sum_micros));
    text.sample("auditbox_commit_seconds_count", &[], commits.count);
}

/// Microseconds as seconds.
fn decimal(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

fn seconds(micros: i64) -> i64 {
    micros / 1_000_000
}

/// The text of the response. Writing to a string cannot fail.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Begins a metric. Its samples follow.
    fn describe(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A value of the metric.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if place == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A metric with one value.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.describe(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A counter of each door and route.
    fn of_doors(
        &mut self,
        name: &str,
        help: &str,
        arrivals: &[(&str, ArrivalState)],
        count: impl Fn(&ArrivalState) -> u64,
    ) {
        self.describe(name, "counter", help);
        for (door, state) in arrivals {
            self.sample(name, &[("door", door)], count(state));
        }
    }

    /// A metric that may have no value yet.
    fn maybe(&mut self, name: &str, kind: &str, help: &str, value: Option<impl Display>) {
        self.describe(name, kind, help);
        if let Some(value) = value {
            self.sample(name, &[], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Text, actions, decimal};

    #[test]
    fn microseconds_are_written_as_seconds() {
        let written = [0, 250, 1_000_000, 1_500_000, 61_000_001].map(decimal);
        assert_eq!(written, ["0", "0.00025", "1", "1.5", "61.000001"]);
    }

    #[test]
    fn routes_lose_their_expressions_and_labels_are_escaped() {
        let plain = actions::without_patterns;
        assert_eq!(plain("/v1/audit-log/{identifier:.+}"), "/v1/audit-log/{identifier}");
        assert_eq!(plain("/v1/credentials/{client_id}"), "/v1/credentials/{client_id}");
        let mut text = Text::default();
        text.sample("x", &[("a", "\"\\\n"), ("b", "")], 7);
        assert_eq!(text.0, "x{a=\"\\\"\\\\\\n\",b=\"\"} 7\n");
    }
}
