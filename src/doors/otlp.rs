//! OTLP over HTTP: `POST /v1/logs` (OpenTelemetry protocol 1.x, `opentelemetry/proto/collector/logs/v1`).
//!
//! A body is protobuf or JSON. Log records in protobuf become the same records as in JSON (`message`), so that one preset reads both
//! and an event does not depend on the encoding. The response has the encoding of the request.
//!
//! Exporters send a batch again only after 429, 502, 503 and 504, and lose it after every other error, so a log record that cannot
//! be read costs no other.

mod any_value;
mod message;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, HeaderMap},
    },
    web::{Data, Payload, ServiceConfig, post},
};
use prost::Message;
use serde_json::json;

use crate::{
    doors::protocol::{self, Delivery, Protocol},
    http::{ApiError, Context, NativeForm, error::INVALID_REQUEST, resource},
    ingest::{self, Fate, SentRecord},
    model::{door::Door, mapping::Mapping},
};
use message::{ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse, Status};

pub(super) const PROTOCOL: Protocol = Protocol { door: Door::Otlp, routes, form: json_error };

/// Bytes of a body that are accepted: as many as a Collector accepts.
const BODY_BYTES: usize = 20 * 1024 * 1024;
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";
/// Codes of gRPC, which the errors of the protocol have (`google.rpc.Code`).
const INVALID_ARGUMENT: i32 = 3;
const UNAUTHENTICATED: i32 = 16;
const PERMISSION_DENIED: i32 = 7;
const UNAVAILABLE: i32 = 14;
const INTERNAL: i32 = 13;

fn routes(config: &mut ServiceConfig) {
    config.service(resource("/v1/logs").route(post().to(receive)));
}

/// How the log records of a request are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Json,
    Protobuf,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        match value.split(';').next()?.trim().to_ascii_lowercase().as_str() {
            JSON => Some(Self::Json),
            PROTOBUF | "application/protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }

    const fn form(self) -> NativeForm {
        match self {
            Self::Json => json_error,
            Self::Protobuf => protobuf_error,
        }
    }
}

async fn receive(request: HttpRequest, context: Data<Context>, payload: Payload) -> Result<HttpResponse, ApiError> {
    let encoding = Encoding::of(request.headers());
    let work = async {
        let encoding = encoding.ok_or_else(|| {
            ApiError::invalid(format!("Content-Type: must be {PROTOBUF} or {JSON}"))
                .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        })?;
        let read: ingest::ReadRecords = match encoding {
            Encoding::Json => ingest::documents(usize::MAX),
            Encoding::Protobuf => Box::new(read_protobuf),
        };
        let delivery = Delivery { body_bytes: BODY_BYTES, ..Delivery::new(read) };
        let fates = protocol::receive(Door::Otlp, delivery, &request, &context, payload).await?;
        protocol::check_any(&fates)?;
        Ok(respond(encoding, &fates))
    };
    let answered = protocol::answer(&PROTOCOL, &context, work).await;
    answered.map_err(|error| error.in_form(encoding.map_or(json_error as NativeForm, Encoding::form)))
}

/// The log records of a body in protobuf.
pub(super) fn read_protobuf<'b>(body: &'b [u8], mapping: &Mapping) -> Result<Vec<SentRecord<'b>>, ApiError> {
    let request = ExportLogsServiceRequest::decode(body)
        .map_err(|error| ApiError::invalid(format!("body: is not an ExportLogsServiceRequest: {error}")))?;
    let texts = request.into_records();
    Ok(texts.into_iter().map(|text| SentRecord::new(text.and_then(|text| mapping.owned_element(text)), None)).collect())
}

/// An empty response means that all log records are stored.
fn respond(encoding: Encoding, fates: &[Fate]) -> HttpResponse {
    let reasons =
        || fates.iter().filter_map(|fate| if let Fate::Rejected(reason) = fate { Some(reason) } else { None });
    let rejected = i64::try_from(reasons().count()).unwrap_or(i64::MAX);
    let first = reasons().next().cloned().unwrap_or_default();
    match encoding {
        Encoding::Json if rejected == 0 => HttpResponse::Ok().json(json!({})),
        // A 64-bit number is a string in the JSON of protobuf.
        Encoding::Json => HttpResponse::Ok().json(json!({
            "partialSuccess": { "rejectedLogRecords": rejected.to_string(), "errorMessage": first }
        })),
        Encoding::Protobuf => {
            let partial = ExportLogsPartialSuccess { rejected_log_records: rejected, error_message: first };
            let response = ExportLogsServiceResponse { partial_success: (rejected > 0).then_some(partial) };
            HttpResponse::Ok().content_type(PROTOBUF).body(response.encode_to_vec())
        }
    }
}

fn json_error(error: &ApiError) -> HttpResponse {
    let (status, code) = codes(error);
    HttpResponse::build(status).json(json!({ "code": code, "message": error.message() }))
}

fn protobuf_error(error: &ApiError) -> HttpResponse {
    let (status, code) = codes(error);
    let body = Status { code, message: error.message().to_owned() }.encode_to_vec();
    HttpResponse::build(status).content_type(PROTOBUF).body(body)
}

/// The HTTP status of an error and its code of gRPC. The protocol has 400 for what cannot be read.
fn codes(error: &ApiError) -> (StatusCode, i32) {
    match error.status_code() {
        StatusCode::UNPROCESSABLE_ENTITY if error.kind().code == INVALID_REQUEST.code => {
            (StatusCode::BAD_REQUEST, INVALID_ARGUMENT)
        }
        status @ StatusCode::UNAUTHORIZED => (status, UNAUTHENTICATED),
        status @ StatusCode::FORBIDDEN => (status, PERMISSION_DENIED),
        status @ (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => (status, UNAVAILABLE),
        status if status.is_server_error() => (status, INTERNAL),
        status => (status, INVALID_ARGUMENT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_body_is_read(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = read_protobuf(&body, &Mapping::named("otlp").unwrap());
        }
    }

    #[test]
    fn a_body_may_end_anywhere() {
        let mapping = Mapping::named("otlp").unwrap();
        let body = message::tests::request().encode_to_vec();
        assert_eq!(read_protobuf(&body, &mapping).unwrap().len(), 2);
        for end in 0..body.len() {
            if let Ok(records) = read_protobuf(&body[..end], &mapping) {
                assert!(records.len() <= 2);
            }
        }
    }
}
