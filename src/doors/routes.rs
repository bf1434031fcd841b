//! The routes of the doors. `http::actions` has the audit action of each.

use actix_web::web::{ServiceConfig, get, head, post};

use crate::{doors::webhook, http::resource};

/// Registers the routes.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(
            resource("/in/{route}")
                .route(get().to(webhook::verify))
                .route(head().to(webhook::verify))
                .route(post().to(webhook::receive)),
        )
        .service(resource("/in/{route}/{secret}").route(post().to(webhook::receive)));
}
