//! The routes of the API. `http::actions` has the audit action of each.

use actix_web::web::{self, ServiceConfig, delete, get, head, patch, post};

use crate::{
    api::{credentials, doors, event, export, health, list, metrics, openapi, send, stats, stream, token},
    http::resource,
};

/// Registers the routes. A route that accepts GET also accepts HEAD.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(
            resource("/v1/audit-log")
                .route(get().to(list::list))
                .route(head().to(list::list))
                .route(post().to(send::events)),
        )
        .service(resource("/v1/audit-log/stats").route(get().to(stats::stats)).route(head().to(stats::stats)))
        .service(resource("/v1/audit-log/export").route(get().to(export::export)).route(head().to(export::export)))
        .service(resource("/v1/audit-log/stream").route(get().to(stream::stream)).route(head().to(stream::stream)))
        .service(resource("/v1/audit-log/{identifier:.+}").route(get().to(event::one)).route(head().to(event::one)))
        .service(resource("/v1/auth/access_token").route(post().to(token::access_token)))
        .service(resource("/v1/events/{identifier:.+}").route(get().to(event::one)).route(head().to(event::one)))
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
        .service(
            resource("/v1/credentials/{client_id}/secrets")
                .route(post().to(credentials::add_secret))
                .route(delete().to(credentials::retire_secrets)),
        )
        .service(resource("/v1/doors").route(get().to(doors::list)).route(head().to(doors::list)))
        .service(resource("/healthz").route(get().to(health::alive)).route(head().to(health::alive)))
        .service(resource("/readyz").route(get().to(health::ready)).route(head().to(health::ready)))
        .service(resource("/metrics").route(get().to(metrics::metrics)).route(head().to(metrics::metrics)))
        .service(resource("/openapi.json").route(get().to(openapi::json)).route(head().to(openapi::json)))
        .service(web::redirect("/docs", "/docs/"))
        .service(openapi::pages());
}
