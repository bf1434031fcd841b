//! The audit webhook of Kubernetes: `POST /k8s/audit` with an `EventList` (`audit.k8s.io/v1`).
//!
//! After any error kube-apiserver sends a batch five times and then drops it, so a record that cannot be read costs no other.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::StatusCode,
    web::{Data, Payload, ServiceConfig, post},
};
use serde::Serialize;

use crate::{
    doors::protocol::{self, Delivery, Protocol},
    http::{ApiError, Context, resource},
    ingest,
    model::door::Door,
};

pub(super) const PROTOCOL: Protocol = Protocol { door: Door::Kubernetes, routes, form: status };

/// Bytes of a body that are accepted: the webhook of kube-apiserver batches up to 10 MiB.
const BODY_BYTES: usize = 32 * 1024 * 1024;

fn routes(config: &mut ServiceConfig) {
    config.service(resource("/k8s/audit").route(post().to(receive)));
}

async fn receive(request: HttpRequest, context: Data<Context>, payload: Payload) -> Result<HttpResponse, ApiError> {
    let work = async {
        let read = ingest::documents(usize::MAX);
        let delivery = Delivery { body_bytes: BODY_BYTES, ..Delivery::new(read) };
        let fates = protocol::receive(Door::Kubernetes, delivery, &request, &context, payload).await?;
        protocol::check_any(&fates)?;
        Ok(HttpResponse::Ok().finish())
    };
    protocol::answer(&PROTOCOL, &context, work).await
}

/// An error of the Kubernetes API (`meta/v1` `Status`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure<'a> {
    kind: &'static str,
    api_version: &'static str,
    status: &'static str,
    message: &'a str,
    code: u16,
}

fn status(error: &ApiError) -> HttpResponse {
    let code: StatusCode = error.status_code();
    HttpResponse::build(code).json(Failure {
        kind: "Status",
        api_version: "v1",
        status: "Failure",
        message: error.message(),
        code: code.as_u16(),
    })
}
