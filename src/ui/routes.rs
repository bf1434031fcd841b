//! The routes of the pages. `http::actions` has the audit action of each.

use actix_web::{
    FromRequest, Handler, Resource, Responder,
    web::{self, ServiceConfig, get, head, post},
};

use crate::{
    http::resource,
    ui::{assets, credentials, doors, event, list, sign_in},
};

/// Adds the routes of the pages.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(web::redirect("/", "/audit-logs").see_other())
        .service(get_and_head("/audit-logs", list::list))
        .service(get_and_head("/security/audit-logs", list::list))
        .service(get_and_head("/audit-logs/{identifier:.+}", event::one))
        .service(get_and_head("/credentials", credentials::list).route(post().to(credentials::create)))
        .service(get_and_head("/credentials/{client_id}", credentials::confirm).route(post().to(credentials::change)))
        .service(get_and_head("/doors", doors::list).route(post().to(doors::create)))
        .service(get_and_head("/sign-in", sign_in::page).route(post().to(sign_in::enter)))
        .service(resource("/sign-out").route(post().to(sign_in::leave)))
        .service(get_and_head(assets::ROUTE, assets::asset));
}

fn get_and_head<F, A>(path: &str, handler: F) -> Resource
where
    F: Handler<A> + Clone,
    A: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    resource(path).route(get().to(handler.clone())).route(head().to(handler))
}
