//! `CloudEvents` 1.0 over HTTP: `POST /cloudevents` in all three content modes, and the handshake of its web hooks.
//!
//! Sources: `CloudEvents`, "HTTP Protocol Binding" 1.0.2 and "HTTP 1.1 Web Hooks for Event Delivery" 1.0.2. In the binary mode the
//! attributes are headers; they become the members that they are in the structured mode, so that one preset reads both.

use std::borrow::Cow;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method, StatusCode,
        header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    },
    web::{Data, Payload, ServiceConfig, post, route},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    doors::protocol::{self, Delivery, Protocol},
    http::{ApiError, Context, error, resource},
    ingest::{self, Fate, ReadRecords, SentRecord},
    model::{batch::BYTE_ORDER_MARK, door::Door, json as json_text, mapping::Mapping},
};

pub(super) const PROTOCOL: Protocol = Protocol { door: Door::CloudEvents, routes, form: error::as_json };

const ATTRIBUTE_PREFIX: &str = "ce-";
/// An event that names its data as text or as JSON, and one that names it as bytes (JSON Event Format, section 3.1).
const DATA: &str = "data";
const DATA_BASE64: &str = "data_base64";
const REQUEST_ORIGIN: &str = "webhook-request-origin";
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

fn routes(config: &mut ServiceConfig) {
    let events = resource("/cloudevents").route(post().to(receive));
    config.service(events.route(route().method(Method::OPTIONS).to(allow)));
}

async fn receive(request: HttpRequest, context: Data<Context>, payload: Payload) -> Result<HttpResponse, ApiError> {
    let work = async {
        let read = reader(request.headers())?;
        let fates = protocol::receive(Door::CloudEvents, Delivery::new(read), &request, &context, payload).await?;
        protocol::check_any(&fates)?;
        let rejected = fates.iter().filter(|fate| matches!(fate, Fate::Rejected(_))).count();
        Ok(match rejected {
            0 => HttpResponse::NoContent().finish(),
            _ => HttpResponse::Ok().json(json!({ "accepted": fates.len() - rejected, "rejected": rejected })),
        })
    };
    protocol::answer(&PROTOCOL, &context, work).await
}

/// Lets a sender deliver from its origin, at any rate. A sender must still present a secret with its events.
async fn allow(request: HttpRequest) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((ALLOW, "POST, OPTIONS"));
    if let Some(origin) = request.headers().get(REQUEST_ORIGIN) {
        response.insert_header((ALLOWED_ORIGIN, origin.clone()));
        response.insert_header((ALLOWED_RATE, HeaderValue::from_static("*")));
    }
    response.finish()
}

/// What reads the body of a request, by its content mode.
fn reader(headers: &HeaderMap) -> Result<ReadRecords, ApiError> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/cloudevents+json" | "application/cloudevents-batch+json" => Ok(ingest::documents(usize::MAX)),
        _ if headers.contains_key("ce-specversion") && !media_type.starts_with("application/cloudevents") => {
            let attributes = attributes(headers);
            let content_type = content_type.to_owned();
            Ok(Box::new(move |body, mapping| Ok(vec![binary(&attributes, &content_type, body, mapping)])))
        }
        // Some senders name structured events by their plain type.
        "application/json" => Ok(ingest::documents(usize::MAX)),
        _ => {
            let expected = "must be application/cloudevents+json or application/cloudevents-batch+json, or the event must be in \
                            headers that begin with ce-";
            let error = ApiError::invalid(format!("Content-Type: {expected}"));
            Err(error.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
        }
    }
}

/// The attributes in the headers of a binary event. Their values are percent-encoded (HTTP Protocol Binding, section 3.1.3.2).
fn attributes(headers: &HeaderMap) -> Map<String, Value> {
    let mut attributes = Map::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(ATTRIBUTE_PREFIX) else { continue };
        let text = String::from_utf8_lossy(value.as_bytes());
        // What is not UTF-8 after decoding was not encoded.
        let decoded =
            percent_decode_str(&text).decode_utf8().map_or_else(|_| text.clone().into_owned(), Cow::into_owned);
        attributes.insert(name.to_owned(), decoded.into());
    }
    attributes
}

/// A body as the data of a binary event, as JSON if it begins like an object.
#[cfg(any(test, fuzzing))]
pub(super) fn read_binary<'b>(body: &'b [u8], mapping: &Mapping) -> SentRecord<'b> {
    let attributes = ["id", "type"].iter().map(|name| ((*name).to_owned(), Value::from(*name))).collect();
    binary(&attributes, if body.first() == Some(&b'{') { "application/json" } else { "" }, body, mapping)
}

/// A binary event in the form of a structured one.
fn binary<'b>(
    attributes: &Map<String, Value>,
    content_type: &str,
    body: &'b [u8],
    mapping: &Mapping,
) -> SentRecord<'b> {
    let mut event = attributes.clone();
    if !content_type.is_empty() {
        event.insert("datacontenttype".to_owned(), content_type.into());
    }
    let mut text = Value::Object(event).to_string();
    text.pop();
    let text_body = std::str::from_utf8(body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body));
    match text_body {
        _ if body.is_empty() => {}
        // The data stay as they were sent: numbers keep their digits.
        Ok(data) if is_json(content_type) && serde_json::from_str::<&RawValue>(data).is_ok() => {
            push_key(&mut text, DATA);
            text.push_str(data.trim());
        }
        Ok(data) => {
            push_key(&mut text, DATA);
            json_text::push_string(&mut text, data);
        }
        Err(_) => {
            push_key(&mut text, DATA_BASE64);
            json_text::push_string(&mut text, &BASE64_STANDARD.encode(body));
        }
    }
    text.push('}');
    SentRecord::new(mapping.owned_element(text), None)
}

/// Adds a key to an object that is not yet closed.
fn push_key(object: &mut String, key: &str) {
    object.push_str(",\"");
    object.push_str(key);
    object.push_str("\":");
}

/// Whether data of this type are JSON. Without a type they are (JSON Event Format, section 3.1.1).
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type.is_empty() || media_type.ends_with("/json") || media_type.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(content_type: &str, body: &[u8]) -> String {
        let attributes = json!({ "specversion": "1.0", "id": "1" });
        let mapping = Mapping::named("cloudevents").unwrap();
        let sent = binary(attributes.as_object().unwrap(), content_type, body, &mapping);
        sent.record.unwrap().source().to_owned()
    }

    #[test]
    fn data_keep_their_form() {
        for (content_type, body, data) in [
            ("", &b"{\"n\":1.50}"[..], r#","data":{"n":1.50}"#),
            (
                "application/json; charset=utf-8",
                b" [1] ",
                r#","datacontenttype":"application/json; charset=utf-8","data":[1]"#,
            ),
            ("application/json", b"{", r#","datacontenttype":"application/json","data":"{""#),
            ("text/plain", b"a \"b\"", r#","datacontenttype":"text/plain","data":"a \"b\"""#),
            ("image/png", b"\xff\x00", r#","datacontenttype":"image/png","data_base64":"/wA=""#),
            ("", b"", ""),
        ] {
            assert_eq!(
                record(content_type, body),
                format!(r#"{{"specversion":"1.0","id":"1"{data}}}"#),
                "{content_type}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_body_becomes_a_record(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100)) {
            for content_type in ["", "text/plain", "application/json"] {
                serde_json::from_str::<Value>(&record(content_type, &body)).unwrap();
            }
        }
    }
}
