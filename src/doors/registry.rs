//! Notifications of container registries that follow the Distribution project: `POST /registry`.
//!
//! A registry sends the same body again until it gets a status of 2xx, in order, so a record that cannot be read must not fail
//! the others.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig, post},
};

use crate::{
    doors::protocol::{self, Delivery, Protocol},
    http::{ApiError, Context, error, resource},
    ingest,
    model::door::Door,
};

pub(super) const PROTOCOL: Protocol = Protocol { door: Door::Registry, routes, form: error::as_json };

fn routes(config: &mut ServiceConfig) {
    config.service(resource("/registry").route(post().to(receive)));
}

async fn receive(request: HttpRequest, context: Data<Context>, payload: Payload) -> Result<HttpResponse, ApiError> {
    let work = async {
        let delivery = Delivery::new(ingest::documents(usize::MAX));
        let fates = protocol::receive(Door::Registry, delivery, &request, &context, payload).await?;
        protocol::check_any(&fates)?;
        Ok(HttpResponse::Ok().finish())
    };
    protocol::answer(&PROTOCOL, &context, work).await
}
