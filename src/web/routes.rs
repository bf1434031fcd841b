//! Every page on one page. What the record calls each is in `http::actions`.

use actix_web::web::{self, ServiceConfig, get, head};

use crate::{
    http::resource,
    web::{assets, event, list},
};

/// Every route of the pages.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(web::redirect("/", "/audit-logs").see_other())
        .service(resource("/audit-logs").route(get().to(list::list)).route(head().to(list::list)))
        .service(resource("/security/audit-logs").route(get().to(list::list)).route(head().to(list::list)))
        .service(resource("/audit-logs/{identifier:.+}").route(get().to(event::one)).route(head().to(event::one)))
        .service(resource(assets::ROUTE).route(get().to(assets::asset)).route(head().to(assets::asset)));
}
