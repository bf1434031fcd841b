//! The HTTP Event Collector (HEC) of Splunk: `/services/collector` and the paths under it.
//!
//! A body has JSON objects in a row, each with an `event` and what surrounds it (`time`, `host`, `source`, `sourcetype`, `fields`);
//! or, under `raw`, lines. The object is the record. A preset other than that of this door reads the `event` alone.
//!
//! Splunk stores the events before an invalid one and answers 400. Senders then drop the whole body or send it again, so events are
//! lost or stored twice. Here every valid event is stored, and the answer is a success that names the first invalid one. A body
//! without any valid event is an error.

mod reply;

use std::{borrow::Cow, collections::BTreeMap};

use actix_web::{
    HttpRequest, HttpResponse,
    http::Method,
    web::{Data, Payload, ServiceConfig, get, head, post, route},
};
use serde_json::{json, value::RawValue};

use crate::{
    doors::protocol::{self, Delivery, Protocol},
    http::{ApiError, Context, caller::Ingest, parameters, resource},
    ingest::{Fate, SentRecord},
    model::{
        batch::{self, AfterError, BYTE_ORDER_MARK},
        door::Door,
        json_walk,
        mapping::{Mapping, Record},
    },
};
use reply::{Code, reply};

pub(super) const PROTOCOL: Protocol = Protocol { door: Door::Hec, routes, form: reply::error };

/// Bytes of a body that are accepted. Splunk itself accepts 1 MB by default, and its cloud 1 MB to 800 MB.
const BODY_BYTES: usize = 32 * 1024 * 1024;
/// The parameters of `raw` that describe every line.
const DESCRIPTIONS: [&str; 4] = ["host", "source", "sourcetype", "index"];

fn routes(config: &mut ServiceConfig) {
    for path in ["/services/collector", "/services/collector/event", "/services/collector/event/1.0"] {
        config.service(resource(path).route(post().to(events)).route(route().method(Method::OPTIONS).to(options)));
    }
    for path in ["/services/collector/raw", "/services/collector/raw/1.0"] {
        config.service(resource(path).route(post().to(raw)).route(route().method(Method::OPTIONS).to(options)));
    }
    config.service(resource("/services/collector/ack").route(post().to(acknowledgements)));
    for path in ["/services/collector/health", "/services/collector/health/1.0"] {
        config.service(resource(path).route(get().to(health)).route(head().to(health)));
    }
}

async fn events(request: HttpRequest, context: Data<Context>, payload: Payload) -> Result<HttpResponse, ApiError> {
    let work =
        store(&request, &context, payload, Delivery::new(Box::new(|body, mapping| Ok(read_events(body, mapping)))));
    protocol::answer(&PROTOCOL, &context, work).await
}

async fn raw(request: HttpRequest, context: Data<Context>, payload: Payload) -> Result<HttpResponse, ApiError> {
    let (pairs, _) = parameters::decode_valid(request.query_string());
    let described = pairs.into_iter().filter(|(name, _)| DESCRIPTIONS.contains(&&**name));
    let described: Vec<(String, String)> =
        described.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let read = Delivery::new(Box::new(move |body, mapping| Ok(read_lines(body, &described, mapping))));
    let work = store(&request, &context, payload, read);
    protocol::answer(&PROTOCOL, &context, work).await
}

async fn store(
    request: &HttpRequest,
    context: &Data<Context>,
    payload: Payload,
    delivery: Delivery,
) -> Result<HttpResponse, ApiError> {
    Ingest::of(request).map_err(|error| reply::of_credential(error, request))?;
    let delivery = Delivery { body_bytes: BODY_BYTES, ..delivery };
    let fates = protocol::receive(Door::Hec, delivery, request, context, payload).await?;
    if fates.is_empty() {
        return Ok(reply(Code::NoData));
    }
    let rejected = fates.iter().enumerate().find_map(|(index, fate)| match fate {
        Fate::Rejected(reason) => Some((index, reason)),
        _ => None,
    });
    let is_any_good = fates.iter().any(|fate| !matches!(fate, Fate::Rejected(_)));
    Ok(match rejected {
        None => reply(Code::Success),
        Some((index, _)) if is_any_good => reply::with_invalid(Code::Success, index),
        Some((index, reason)) => reply::with_invalid(Code::of_rejection(reason), index),
    })
}

/// The events of a body.
pub(super) fn read_events<'b>(body: &'b [u8], mapping: &Mapping) -> Vec<SentRecord<'b>> {
    let Ok(pieces) = batch::split(body, usize::MAX, AfterError::Resume) else { return Vec::new() };
    let records = pieces.into_iter().map(|piece| {
        let record = piece.map_err(|error| error.message).and_then(|raw| record(raw, mapping));
        SentRecord::new(record, None)
    });
    records.collect()
}

fn record<'b>(raw: &'b RawValue, mapping: &Mapping) -> Result<Record<'b>, String> {
    if !raw.get().starts_with('{') {
        return Err("the event is not a JSON object".to_owned());
    }
    match json_walk::member(raw.get(), "event") {
        None | Some("null") => Err(reply::EVENT_MISSING.to_owned()),
        Some("\"\"") => Err(reply::EVENT_BLANK.to_owned()),
        Some(event) if mapping.name() == Door::Hec.preset() => {
            let opened = event.starts_with('"').then(|| opened(raw, &payload(event))).flatten();
            Ok(mapping.carried(raw.to_owned(), opened.as_deref()))
        }
        Some(event) => Ok(mapping.carried(raw.to_owned(), Some(&payload(event)))),
    }
}

/// The object with its event replaced by the JSON object in the event's string. `None` if the string holds none.
fn opened(raw: &RawValue, payload: &str) -> Option<String> {
    let mut members: BTreeMap<&str, &RawValue> = serde_json::from_str(raw.get()).ok()?;
    let event = payload.starts_with('{').then(|| serde_json::from_str(payload).ok()).flatten()?;
    members.insert("event", event);
    serde_json::to_string(&members).ok()
}

/// The value in which another preset looks: the event, or the text of a string.
fn payload(event: &str) -> Cow<'_, str> {
    let text = event.starts_with('"').then(|| serde_json::from_str::<String>(event).ok()).flatten();
    // A preset of JSON reads a string only if it holds a JSON object.
    let text =
        text.filter(|text| !text.trim_start().starts_with('{') || serde_json::from_str::<&RawValue>(text).is_ok());
    text.map_or(Cow::Borrowed(event), |text| Cow::Owned(text.trim_start().to_owned()))
}

/// The lines of a body, each as the event of an object with what `described` says of all.
pub(super) fn read_lines<'b>(body: &'b [u8], described: &[(String, String)], mapping: &Mapping) -> Vec<SentRecord<'b>> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let lines = body.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).zip(1..);
    let lines = lines.filter(|(line, _)| !line.trim_ascii().is_empty());
    let records = lines.map(|(line, number)| {
        let text = std::str::from_utf8(line).map_err(|error| format!("line {number}: is not UTF-8: {error}"));
        let record = text.and_then(|text| line_record(text, described, mapping));
        SentRecord::new(record, None)
    });
    records.collect()
}

fn line_record<'b>(text: &'b str, described: &[(String, String)], mapping: &Mapping) -> Result<Record<'b>, String> {
    if mapping.reads_lines() {
        let mut records = mapping.records(text).map_err(|error| error.to_string())?;
        return records.pop().ok_or_else(|| "the line is empty".to_owned());
    }
    let object = text.trim_start().starts_with('{').then(|| serde_json::from_str::<&RawValue>(text).ok()).flatten();
    if mapping.name() != Door::Hec.preset()
        && let Some(object) = object
    {
        return mapping.element(object.get()).map_err(|error| error.to_string());
    }
    let mut envelope = serde_json::Map::new();
    for (name, value) in described {
        envelope.insert(name.clone(), json!(value));
    }
    let around = serde_json::Value::Object(envelope).to_string();
    let event = object.map_or_else(|| json!(text).to_string(), |object| object.get().to_owned());
    let separator = if described.is_empty() { "" } else { "," };
    let record = format!("{}{separator}\"event\":{event}}}", around.trim_end_matches('}'));
    RawValue::from_string(record).map(Record::owned).map_err(|error| error.to_string())
}

/// Senders that wait for acknowledgements ask here. A response to their events already means that the events are on disk.
async fn acknowledgements() -> HttpResponse {
    reply(Code::AckDisabled)
}

async fn health(context: Data<Context>) -> HttpResponse {
    reply(if context.writer.check_room().is_ok() { Code::Healthy } else { Code::Unhealthy })
}

async fn options() -> HttpResponse {
    HttpResponse::Ok().insert_header(("Allow", "POST, OPTIONS")).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(records: Vec<SentRecord<'_>>) -> Vec<String> {
        records
            .into_iter()
            .map(|sent| sent.record.map_or("rejected".to_owned(), |record| record.source().to_owned()))
            .collect()
    }

    #[test]
    fn events_follow_each_other_with_or_without_space() {
        let mapping = Mapping::named("hec").unwrap();
        let body = br#"{"event":"a"}{"event":{"x":1},"time":1.5} {"event":null}
            {"time":2}{"event":"b"}"#;
        let expected =
            [r#"{"event":"a"}"#, r#"{"event":{"x":1},"time":1.5}"#, "rejected", "rejected", r#"{"event":"b"}"#];
        assert_eq!(outline(read_events(body, &mapping)), expected);
    }

    #[test]
    fn lines_become_events() {
        let mapping = Mapping::named("hec").unwrap();
        let described = [("host".to_owned(), "web \"1\"}".to_owned())];
        let expected =
            [r#"{"host":"web \"1\"}","event":"plain"}"#, r#"{"host":"web \"1\"}","event":{"x":1}}"#, "rejected"];
        let body = b"plain\r\n\n{\"x\":1}\n\xff\n";
        assert_eq!(outline(read_lines(body, &described, &mapping)), expected);
        assert_eq!(outline(read_lines(b"plain", &[], &mapping)), [r#"{"event":"plain"}"#]);
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_read(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            for preset in ["hec", "github", "combined"] {
                let mapping = Mapping::named(preset).unwrap();
                read_events(&body, &mapping);
                read_lines(&body, &[], &mapping);
            }
        }

        #[test]
        fn a_body_may_end_anywhere(at in 0_usize..64) {
            let body = b"{\"event\":\"\xc3\xbc\",\"time\":1}{\"event\":{\"a\":[1,{\"b\":2}]}}\n";
            let records = read_events(&body[..at.min(body.len())], &Mapping::named("hec").unwrap());
            proptest::prop_assert!(records.len() <= 2);
        }
    }
}
