//! The one table of what the record calls each request, and when it is recorded.

use actix_web::{HttpRequest, http::Method};

/// When a request by an authenticated caller is put on the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recording {
    /// Not at all: it concerns no data.
    Never,
    /// Before it is answered if that can be written, else after: who signs in may read on a full disk.
    BeforeOrAfter,
    /// Shortly after its answer.
    Soon,
    /// Before its answer.
    Before,
    /// Before its answer if it was refused; otherwise its events are its record.
    IfRefused,
    /// Always; by its handler when all of its answer is sent, or it is known that not all of it will be.
    AtEnd,
}

/// A method, a route, what the record calls it, and when it is recorded.
type Row = (&'static str, &'static str, &'static str, Recording);

/// Every route, of the API and of the pages.
const ACTIONS: &[Row] = &[
    ("GET", "/v1/audit-log", "audit_log.list", Recording::Soon),
    ("POST", "/v1/audit-log", "audit_log.ingest", Recording::IfRefused),
    ("GET", "/v1/audit-log/stats", "audit_log.stats", Recording::Soon),
    ("GET", "/v1/audit-log/export", "audit_log.export", Recording::AtEnd),
    ("GET", "/v1/audit-log/stream", "audit_log.stream", Recording::Soon),
    ("GET", "/v1/audit-log/{identifier:.+}", "audit_log.get", Recording::Soon),
    ("POST", "/v1/auth/access_token", "access_token.create", Recording::Soon),
    ("GET", "/v1/credentials", "credential.list", Recording::Soon),
    ("POST", "/v1/credentials", "credential.create", Recording::Before),
    ("PATCH", "/v1/credentials/{client_id}", "credential.switch", Recording::Before),
    ("DELETE", "/v1/credentials/{client_id}", "credential.revoke", Recording::Before),
    ("GET", "/sign-in", "sign_in.page", Recording::Never),
    ("POST", "/sign-in", "session.create", Recording::BeforeOrAfter),
    ("POST", "/sign-out", "session.end", Recording::Before),
    ("GET", "/healthz", "health", Recording::Never),
    ("GET", "/readyz", "health", Recording::Never),
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
    ("GET", "/assets/{name}", "asset", Recording::Never),
];

/// What the record calls this request, and when it is recorded. One that no row names is recorded all the same, and
/// before its answer if it could have changed something: a route that was forgotten here is not one that goes unseen.
pub(crate) fn recording_of(request: &HttpRequest) -> (&'static str, Recording) {
    let method = if request.method() == Method::HEAD { "GET" } else { request.method().as_str() };
    let known = of_route(request).find(|(known, ..)| *known == method);
    known.map_or_else(
        || {
            let may_change = request.match_pattern().is_some() && !request.method().is_safe();
            ("unknown", if may_change { Recording::Before } else { Recording::Soon })
        },
        |(_, _, action, recording)| (*action, *recording),
    )
}

/// The methods that this request's route takes.
pub(super) fn methods_of(request: &HttpRequest) -> Vec<&'static str> {
    of_route(request)
        .flat_map(|(method, ..)| if *method == "GET" { vec!["GET", "HEAD"] } else { vec![*method] })
        .collect()
}

/// What this request's route can do.
fn of_route(request: &HttpRequest) -> impl Iterator<Item = &'static Row> {
    let pattern = request.match_pattern();
    ACTIONS.iter().filter(move |(_, route, ..)| pattern.as_deref() == Some(*route))
}
