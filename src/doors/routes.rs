//! The routes of the doors. `http::actions` has the audit action of each.

use actix_web::web::{self, ServiceConfig, get, head, post};

use crate::{
    doors::{PROTOCOLS, webhook},
    http::resource,
    model::door::Door,
};

/// Registers the routes. Those of protocols begin with `prefix`; those of `disabled` doors are left out.
pub fn configure(config: &mut ServiceConfig, prefix: &str, disabled: &[Door]) {
    config
        .service(
            resource("/in/{route}")
                .route(get().to(webhook::verify))
                .route(head().to(webhook::verify))
                .route(post().to(webhook::receive)),
        )
        .service(resource("/in/{route}/{secret}").route(post().to(webhook::receive)));
    let protocols = || PROTOCOLS.iter().filter(|protocol| !disabled.contains(&protocol.door));
    if prefix.is_empty() {
        protocols().for_each(|protocol| (protocol.routes)(config));
    } else {
        config.service(protocols().fold(web::scope(prefix), |scope, protocol| scope.configure(protocol.routes)));
    }
}
