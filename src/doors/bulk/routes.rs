//! The routes of the bulk API, and of what its clients ask.

use actix_web::{
    guard,
    web::{self, ServiceConfig, get, head, post, put},
};

use super::{
    elasticsearch::{acknowledge, empty, exists, health, info, is_client, license, nodes, refreshed, xpack},
    receive,
};
use crate::http::resource;

/// Registers the routes.
pub(super) fn routes(config: &mut ServiceConfig) {
    for path in ["/_bulk", "/{index}/_bulk"] {
        config.service(resource(path).route(post().to(receive)).route(put().to(receive)));
    }
    // A browser gets the page at this path.
    let root = web::resource("/").guard(guard::fn_guard(is_client));
    config.service(root.route(get().to(info)).route(head().to(exists)));
    config
        .service(resource("/_license").route(get().to(license)))
        .service(resource("/_xpack").route(get().to(xpack)))
        .service(resource("/_cluster/health").route(get().to(health)))
        .service(resource("/_nodes{more:.*}").route(get().to(nodes)));
    for path in [
        "/_index_template/{name}",
        "/_component_template/{name}",
        "/_template/{name}",
        "/_ilm/policy/{name}",
        "/_ingest/pipeline/{name}",
        "/_data_stream/{name}",
    ] {
        config.service(
            resource(path)
                .route(head().to(exists))
                .route(get().to(empty))
                .route(put().to(acknowledge))
                .route(post().to(acknowledge)),
        );
    }
    config.service(resource("/{index}/_refresh").route(get().to(refreshed)).route(post().to(refreshed)));
}
