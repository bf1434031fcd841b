//! The table of audit actions: what the record calls each request, and when it is recorded.

use actix_web::{HttpRequest, http::Method, web::Data};

use crate::http::Context;

/// When an authenticated request is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recording {
    /// Never: it concerns no data.
    Never,
    /// Before the response if possible, otherwise after it: signing in must work on a full disk.
    BeforeOrAfter,
    /// Shortly after the response.
    Soon,
    /// Before the response.
    Before,
    /// Before the response if it was rejected. Otherwise its events are its record.
    IfRefused,
    /// By its handler, when the whole response was sent, or is known to be incomplete.
    AtEnd,
}

/// What the actions of the doors begin with.
const DOOR_ACTIONS: &str = "door.";

/// A method, a route, its audit action, and when it is recorded.
type ActionRow = (&'static str, &'static str, &'static str, Recording);

/// Every route of the API and of the pages.
const ACTIONS: &[ActionRow] = &[
    ("GET", "/v1/audit-log", "audit_log.list", Recording::Soon),
    ("POST", "/v1/audit-log", "audit_log.ingest", Recording::IfRefused),
    ("GET", "/v1/audit-log/stats", "audit_log.stats", Recording::Soon),
    ("GET", "/v1/audit-log/export", "audit_log.export", Recording::AtEnd),
    ("GET", "/v1/audit-log/stream", "audit_log.stream", Recording::Soon),
    ("GET", "/v1/audit-log/{identifier:.+}", "audit_log.get", Recording::Soon),
    ("GET", "/v1/events/{identifier:.+}", "audit_log.get", Recording::Soon),
    ("POST", "/v1/auth/access_token", "access_token.create", Recording::Soon),
    ("GET", "/v1/credentials", "credential.list", Recording::Soon),
    ("POST", "/v1/credentials", "credential.create", Recording::Before),
    ("PATCH", "/v1/credentials/{client_id}", "credential.switch", Recording::Before),
    ("DELETE", "/v1/credentials/{client_id}", "credential.revoke", Recording::Before),
    ("POST", "/v1/credentials/{client_id}/secrets", "credential.add_secret", Recording::Before),
    ("DELETE", "/v1/credentials/{client_id}/secrets", "credential.retire_secrets", Recording::Before),
    ("GET", "/in/{route}", "route.verify", Recording::Never),
    ("POST", "/in/{route}", "route.ingest", Recording::IfRefused),
    ("POST", "/in/{route}/{secret}", "route.ingest", Recording::IfRefused),
    ("POST", "/v1/logs", "door.otlp", Recording::IfRefused),
    ("POST", "/services/collector", "door.hec", Recording::IfRefused),
    ("OPTIONS", "/services/collector", "door.hec", Recording::Never),
    ("POST", "/services/collector/event", "door.hec", Recording::IfRefused),
    ("OPTIONS", "/services/collector/event", "door.hec", Recording::Never),
    ("POST", "/services/collector/event/1.0", "door.hec", Recording::IfRefused),
    ("OPTIONS", "/services/collector/event/1.0", "door.hec", Recording::Never),
    ("POST", "/services/collector/raw", "door.hec", Recording::IfRefused),
    ("OPTIONS", "/services/collector/raw", "door.hec", Recording::Never),
    ("POST", "/services/collector/raw/1.0", "door.hec", Recording::IfRefused),
    ("OPTIONS", "/services/collector/raw/1.0", "door.hec", Recording::Never),
    ("POST", "/services/collector/ack", "door.hec", Recording::Never),
    ("GET", "/services/collector/health", "door.hec", Recording::Never),
    ("GET", "/services/collector/health/1.0", "door.hec", Recording::Never),
    ("POST", "/_bulk", "door.bulk", Recording::IfRefused),
    ("PUT", "/_bulk", "door.bulk", Recording::IfRefused),
    ("POST", "/{index}/_bulk", "door.bulk", Recording::IfRefused),
    ("PUT", "/{index}/_bulk", "door.bulk", Recording::IfRefused),
    ("GET", "/_license", "door.bulk", Recording::Never),
    ("GET", "/_xpack", "door.bulk", Recording::Never),
    ("GET", "/_cluster/health", "door.bulk", Recording::Never),
    ("GET", "/_nodes{more:.*}", "door.bulk", Recording::Never),
    ("GET", "/_index_template/{name}", "door.bulk", Recording::Never),
    ("PUT", "/_index_template/{name}", "door.bulk", Recording::Never),
    ("POST", "/_index_template/{name}", "door.bulk", Recording::Never),
    ("GET", "/_component_template/{name}", "door.bulk", Recording::Never),
    ("PUT", "/_component_template/{name}", "door.bulk", Recording::Never),
    ("POST", "/_component_template/{name}", "door.bulk", Recording::Never),
    ("GET", "/_template/{name}", "door.bulk", Recording::Never),
    ("PUT", "/_template/{name}", "door.bulk", Recording::Never),
    ("POST", "/_template/{name}", "door.bulk", Recording::Never),
    ("GET", "/_ilm/policy/{name}", "door.bulk", Recording::Never),
    ("PUT", "/_ilm/policy/{name}", "door.bulk", Recording::Never),
    ("POST", "/_ilm/policy/{name}", "door.bulk", Recording::Never),
    ("GET", "/_ingest/pipeline/{name}", "door.bulk", Recording::Never),
    ("PUT", "/_ingest/pipeline/{name}", "door.bulk", Recording::Never),
    ("POST", "/_ingest/pipeline/{name}", "door.bulk", Recording::Never),
    ("GET", "/_data_stream/{name}", "door.bulk", Recording::Never),
    ("PUT", "/_data_stream/{name}", "door.bulk", Recording::Never),
    ("POST", "/_data_stream/{name}", "door.bulk", Recording::Never),
    ("GET", "/{index}/_refresh", "door.bulk", Recording::Never),
    ("POST", "/{index}/_refresh", "door.bulk", Recording::Never),
    ("POST", "/cloudevents", "door.cloudevents", Recording::IfRefused),
    ("OPTIONS", "/cloudevents", "door.cloudevents", Recording::Never),
    ("POST", "/k8s/audit", "door.kubernetes", Recording::IfRefused),
    ("POST", "/registry", "door.registry", Recording::IfRefused),
    ("GET", "/sign-in", "sign_in.page", Recording::Never),
    ("POST", "/sign-in", "session.create", Recording::BeforeOrAfter),
    ("POST", "/sign-out", "session.end", Recording::Before),
    ("GET", "/healthz", "health", Recording::Never),
    ("GET", "/readyz", "health", Recording::Never),
    ("GET", "/metrics", "metrics", Recording::Soon),
    ("GET", "/v1/doors", "door_state.list", Recording::Soon),
    ("GET", "/openapi.json", "documentation", Recording::Never),
    ("GET", "/docs", "documentation", Recording::Never),
    ("GET", "/docs/{_:.*}", "documentation", Recording::Never),
    ("GET", "/", "page.start", Recording::Never),
    ("GET", "/audit-logs", "page.audit_log", Recording::Soon),
    ("GET", "/security/audit-logs", "page.audit_log", Recording::Soon),
    ("GET", "/audit-logs/{identifier:.+}", "page.event", Recording::Soon),
    ("GET", "/credentials", "page.credentials", Recording::Soon),
    ("POST", "/credentials", "credential.create", Recording::Before),
    ("GET", "/credentials/{client_id}", "page.credential", Recording::Soon),
    ("POST", "/credentials/{client_id}", "credential.change", Recording::Before),
    ("GET", "/doors", "page.doors", Recording::Soon),
    ("POST", "/doors", "credential.create", Recording::Before),
    ("GET", "/assets/{name}", "asset", Recording::Never),
];

/// The audit action of this request, and when it is recorded. A request without a row is recorded as well, before the
/// response if it could change something, so a route that is missing here does not go unrecorded.
pub(crate) fn recording_of(request: &HttpRequest) -> (&'static str, Recording) {
    let method = method_of(request);
    let known = of_route(request).find(|(known, ..)| *known == method);
    known.map_or_else(
        || {
            let may_change = request.match_pattern().is_some() && !request.method().is_safe();
            ("unknown", if may_change { Recording::Before } else { Recording::Soon })
        },
        |(_, _, action, recording)| (*action, *recording),
    )
}

/// Whether this request is one that sends events. Such a request may present a secret in more forms than others.
pub(super) fn takes_events(request: &HttpRequest) -> bool {
    recording_of(request).1 == Recording::IfRefused
}

/// The method and the route of each row, in order.
pub(super) fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    ACTIONS.iter().map(|(method, route, ..)| (*method, *route))
}

/// The row that a request belongs to, by its number.
pub(super) fn row_of(request: &HttpRequest) -> Option<usize> {
    let (method, pattern) = (method_of(request), pattern_of(request)?);
    ACTIONS.iter().position(|(known, route, ..)| *known == method && *route == pattern)
}

/// The name of the door that a request is sent to.
pub(crate) fn door_of(request: &HttpRequest) -> Option<&'static str> {
    of_route(request).find_map(|(_, _, action, _)| action.strip_prefix(DOOR_ACTIONS))
}

/// The paths to which senders deliver records by this door, without the prefix that the configuration may give to the doors.
pub(crate) fn paths_of_door(door: &str) -> Vec<&'static str> {
    let takes_records = ACTIONS.iter().filter(|(.., recording)| *recording == Recording::IfRefused);
    let of_door = takes_records.filter(|(_, _, action, _)| action.strip_prefix(DOOR_ACTIONS) == Some(door));
    let mut paths = Vec::new();
    for (_, route, ..) in of_door {
        if !paths.contains(route) {
            paths.push(*route);
        }
    }
    paths
}

/// A route without the regular expressions of its parts.
pub(crate) fn without_patterns(route: &str) -> String {
    let part = |part: &str| part.split_once(':').map_or_else(|| part.to_owned(), |(name, _)| format!("{name}}}"));
    route.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The route of a request, without the prefix that the configuration may give to the doors.
pub(crate) fn pattern_of(request: &HttpRequest) -> Option<String> {
    let pattern = request.match_pattern()?;
    let context = request.app_data::<Data<Context>>();
    let prefix = context.map(|context| context.path_prefix.as_str()).filter(|prefix| !prefix.is_empty());
    let inner = prefix.and_then(|prefix| pattern.strip_prefix(prefix));
    let is_door =
        |inner: &str| ACTIONS.iter().any(|(_, route, action, _)| *route == inner && action.starts_with(DOOR_ACTIONS));
    match inner {
        Some(inner) if is_door(inner) => Some(inner.to_owned()),
        _ => Some(pattern),
    }
}

/// The method that a request is recorded and counted under.
fn method_of(request: &HttpRequest) -> &str {
    if request.method() == Method::HEAD { "GET" } else { request.method().as_str() }
}

/// The methods that this request's route accepts.
pub(super) fn methods_of(request: &HttpRequest) -> Vec<&'static str> {
    of_route(request)
        .flat_map(|(method, ..)| if *method == "GET" { vec!["GET", "HEAD"] } else { vec![*method] })
        .collect()
}

/// The rows of this request's route.
fn of_route(request: &HttpRequest) -> impl Iterator<Item = &'static ActionRow> {
    let pattern = pattern_of(request);
    ACTIONS.iter().filter(move |(_, route, ..)| pattern.as_deref() == Some(*route))
}
