//! The whole surface on one page: every route, what the record calls it, and when it is recorded.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header::ALLOW},
    web::{self, ServiceConfig, delete, get, head, patch, post},
};

use crate::api::{
    ApiError, credentials,
    error::{METHOD_NOT_ALLOWED, NOT_FOUND},
    event, health, ingest, list, openapi, stats, token,
};

/// Every route of the API. What can be got can be asked for its head alone.
pub fn configure(config: &mut ServiceConfig) {
    let resource = |path: &str| web::resource(path).default_service(web::to(method_not_allowed));
    config
        .service(
            resource("/v1/audit-log")
                .route(get().to(list::list))
                .route(head().to(list::list))
                .route(post().to(ingest::ingest)),
        )
        .service(resource("/v1/audit-log/stats").route(get().to(stats::stats)).route(head().to(stats::stats)))
        .service(resource("/v1/audit-log/{identifier:.+}").route(get().to(event::one)).route(head().to(event::one)))
        .service(resource("/v1/auth/access_token").route(post().to(token::access_token)))
        .service(
            resource("/v1/credentials")
                .route(get().to(credentials::list))
                .route(head().to(credentials::list))
                .route(post().to(credentials::create)),
        )
        .service(
            resource("/v1/credentials/{client_id}")
                .route(patch().to(credentials::switch))
                .route(delete().to(credentials::revoke)),
        )
        .service(resource("/healthz").route(get().to(health::alive)).route(head().to(health::alive)))
        .service(resource("/readyz").route(get().to(health::ready)).route(head().to(health::ready)))
        .service(resource("/openapi.json").route(get().to(openapi::json)).route(head().to(openapi::json)))
        .service(web::redirect("/docs", "/docs/"))
        .service(openapi::pages())
        .default_service(web::to(not_found));
}

/// When a request by an authenticated caller is put on the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recording {
    /// Not at all: it concerns no data.
    Never,
    /// Shortly after its answer.
    Soon,
    /// Before its answer.
    Before,
    /// Before its answer if it was refused; otherwise its events are its record.
    IfRefused,
}

/// What the record calls a request, by method and route.
const ACTIONS: &[(&str, &str, &str, Recording)] = &[
    ("GET", "/v1/audit-log", "audit_log.list", Recording::Soon),
    ("POST", "/v1/audit-log", "audit_log.ingest", Recording::IfRefused),
    ("GET", "/v1/audit-log/stats", "audit_log.stats", Recording::Soon),
    ("GET", "/v1/audit-log/{identifier:.+}", "audit_log.get", Recording::Soon),
    ("POST", "/v1/auth/access_token", "access_token.create", Recording::Soon),
    ("GET", "/v1/credentials", "credential.list", Recording::Soon),
    ("POST", "/v1/credentials", "credential.create", Recording::Before),
    ("PATCH", "/v1/credentials/{client_id}", "credential.switch", Recording::Before),
    ("DELETE", "/v1/credentials/{client_id}", "credential.revoke", Recording::Before),
    ("GET", "/healthz", "health", Recording::Never),
    ("GET", "/readyz", "health", Recording::Never),
    ("GET", "/openapi.json", "documentation", Recording::Never),
    ("GET", "/docs", "documentation", Recording::Never),
    ("GET", "/docs/{_:.*}", "documentation", Recording::Never),
];

/// What the record calls this request, and when it is recorded. A request that no route takes is recorded like a read: it
/// changed nothing.
pub(super) fn recording_of(request: &HttpRequest) -> (&'static str, Recording) {
    let method = if request.method() == Method::HEAD { "GET" } else { request.method().as_str() };
    of_route(request)
        .find(|(known, ..)| *known == method)
        .map_or(("unknown", Recording::Soon), |(_, _, action, recording)| (*action, *recording))
}

/// What this request's route can do.
fn of_route(
    request: &HttpRequest,
) -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str, Recording)> {
    let pattern = request.match_pattern();
    ACTIONS.iter().filter(move |(_, route, ..)| pattern.as_deref() == Some(*route))
}

async fn not_found(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(NOT_FOUND, format!("there is nothing at {}", request.path())))
}

/// Says which methods the path does take (RFC 9110 section 15.5.6).
async fn method_not_allowed(request: HttpRequest) -> HttpResponse {
    let error = ApiError::new(METHOD_NOT_ALLOWED, format!("{} does not take {}", request.path(), request.method()));
    let methods = of_route(&request)
        .flat_map(|(method, ..)| if *method == "GET" { &["GET", "HEAD"][..] } else { std::slice::from_ref(method) });
    let mut response = HttpResponse::from_error(error);
    if let Ok(allowed) = methods.copied().collect::<Vec<_>>().join(", ").parse() {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}
