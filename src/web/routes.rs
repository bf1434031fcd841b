//! All pages on one page: every route. What the record calls each is in `http::actions`.

use actix_web::web::{ServiceConfig, get, head, post};

use crate::{http::resource, web::sign_in};

/// Every route of the pages.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(
            resource("/sign-in")
                .route(get().to(sign_in::page))
                .route(head().to(sign_in::page))
                .route(post().to(sign_in::enter)),
        )
        .service(resource("/sign-out").route(post().to(sign_in::leave)));
}
