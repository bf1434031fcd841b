//! The routes of the pages. `http::actions` has the audit action of each.

use actix_web::web::{self, ServiceConfig, get, head, post};

use crate::{
    http::resource,
    ui::{assets, credentials, event, list, sign_in},
};

/// Adds the routes of the pages.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(web::redirect("/", "/audit-logs").see_other())
        .service(resource("/audit-logs").route(get().to(list::list)).route(head().to(list::list)))
        .service(resource("/security/audit-logs").route(get().to(list::list)).route(head().to(list::list)))
        .service(resource("/audit-logs/{identifier:.+}").route(get().to(event::one)).route(head().to(event::one)))
        .service(
            resource("/credentials")
                .route(get().to(credentials::list))
                .route(head().to(credentials::list))
                .route(post().to(credentials::create)),
        )
        .service(
            resource("/credentials/{client_id}")
                .route(get().to(credentials::confirm))
                .route(head().to(credentials::confirm))
                .route(post().to(credentials::change)),
        )
        .service(
            resource("/sign-in")
                .route(get().to(sign_in::page))
                .route(head().to(sign_in::page))
                .route(post().to(sign_in::enter)),
        )
        .service(resource("/sign-out").route(post().to(sign_in::leave)))
        .service(resource(assets::ROUTE).route(get().to(assets::asset)).route(head().to(assets::asset)));
}
