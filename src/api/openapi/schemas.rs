//! The shapes that several operations share.

use serde_json::{Map, Value, json};

use crate::{
    api::openapi::With,
    http::error::KINDS,
    model::{
        credential::Scope,
        event::ORDERED_BY,
        field::{Field, Object},
        limits::OBJECT_KEYS_MAX,
    },
};

/// An error.
pub(super) fn envelope() -> Value {
    json!({
        "type": "object",
        "required": ["ok", "error", "message"],
        "properties": {
            "ok": { "const": false },
            "error": { "type": "string", "enum": KINDS.iter().map(|kind| kind.code).collect::<Vec<_>>() },
            "message": { "type": "string" },
            "details": { "type": "array", "items": { "type": "object" }, "description": "The parts at fault. Of a cursor that the log no longer has, `resume` may be another, from which nothing is missed" },
        },
    })
}

/// The name of a scope.
pub(super) fn scope() -> Value {
    json!({ "enum": Scope::ALL.map(|(_, name)| name) })
}

/// A credential, without its secret.
pub(super) fn credential() -> Value {
    let instant = || json!({ "type": ["string", "null"], "format": "date-time" });
    json!({
        "type": "object",
        "required": ["clientId", "name", "actorType", "scopes", "state", "createdAt"],
        "properties": {
            "clientId": { "type": "string" },
            "name": { "type": "string" },
            "actorType": { "enum": ["user", "service_account"] },
            "scopes": { "type": "array", "items": scope() },
            "state": { "enum": ["active", "disabled", "expired", "revoked"] },
            "createdAt": { "type": "string", "format": "date-time" },
            "expiresAt": instant(), "disabledAt": instant(), "revokedAt": instant(),
            "lastUsedAt": { "type": ["string", "null"], "format": "date-time", "description": "Null if never, as far as is known" },
            "clientSecret": { "type": "string", "description": "In the answer that makes the credential, and never again" },
            "apiToken": { "type": "string", "description": "In the answer that makes the credential, and never again" },
        },
    })
}

/// Texts that the server reads hold no NUL.
pub(super) const NO_NUL: &str = "^[^\\x00]+$";
/// Characters of a text that is kept and not searched, at most: each has a byte at least.
const TEXT_CHARS_MAX: usize = 8_192;

/// An event as it is sent.
pub(super) fn new_event() -> Value {
    read(sent()).with("type", json!("object")).with("required", json!(["action", "resourceType"]))
}

/// An event, or the keys of it that were asked for.
pub(super) fn event_part() -> Value {
    let mut properties = sent();
    properties.insert(
        "receivedAt".to_owned(),
        json!({ "type": "string", "format": "date-time", "description": "When the server took it" }),
    );
    properties.insert(
        "receivedBy".to_owned(),
        json!({ "type": "string", "description": "The name of the credential that sent it" }),
    );
    properties.insert(
        "masked".to_owned(),
        json!({ "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": 101, "description":
            "Where secrets were replaced by \"[masked]\", as JSON pointers; the pointer of what one lies in where its own is \
             long, and \"\" for those after the hundredth" }),
    );
    properties.insert(
        ORDERED_BY.to_owned(),
        json!({ "const": "receivedAt", "description":
            "There if trigger.at lay too far in the future when the event was received: lists, filters and counts then go by \
             receivedAt" }),
    );
    json!({ "type": "object", "properties": properties })
}

/// An event as it is stored.
pub(super) fn event() -> Value {
    json!({ "allOf": [
        { "$ref": "#/components/schemas/EventPart" },
        {
            "type": "object",
            "required": ["identifier", "action", "resourceType", "status", "trigger", "receivedAt", "receivedBy"],
        },
    ] })
}

/// How the events that match spread over time.
pub(super) fn histogram() -> Value {
    let bucket = json!({ "type": "object", "required": ["start", "end", "success", "failure"], "properties": {
        "start": { "type": "string", "format": "date-time" },
        "end": { "type": "string", "format": "date-time", "description": "The first instant after it" },
        "success": { "type": "integer" }, "failure": { "type": "integer" },
    } });
    json!({
        "type": ["object", "null"], "required": ["interval", "tz", "buckets", "before", "after"],
        "description": "Each event that matches is in one bucket, in before, or in after. Without `to`, the buckets end now",
        "properties": {
            "interval": { "type": "string" }, "tz": { "type": "string" }, "buckets": { "type": "array", "items": bucket },
            "before": { "type": "integer", "description":
                "Events before the first bucket: without `from`, up to one in twenty that are much older than the rest" },
            "after": { "type": "integer", "description": "Events whose time lies after now, if there is no `to`" },
        },
    })
}

/// What is said in the place of an event that is damaged.
pub(super) fn damaged_event() -> Value {
    json!({
        "type": "object",
        "required": ["seq", "message"],
        "properties": {
            "seq": { "type": "integer", "description": "Where it stands in the order of arrival" },
            "timestamp": { "type": "string", "format": "date-time", "description": "When it happened, if that is known" },
            "identifier": { "type": "string", "description": "Where it can still be told" },
            "message": { "type": "string", "description": "What is wrong" },
        },
    })
}

/// An object whose keys the server reads, with these among them.
fn read(properties: Map<String, Value>) -> Value {
    json!({
        "type": ["object", "null"], "properties": properties, "maxProperties": OBJECT_KEYS_MAX,
        "propertyNames": { "pattern": "^[^\\x00]*$" },
    })
}

/// The keys of an event that its sender may set and the server reads.
fn sent() -> Map<String, Value> {
    let text = |object: Object, key: &str| {
        let chars_max = Field::at(object, key).map_or(TEXT_CHARS_MAX, |spec| spec.bytes_max);
        json!({ "type": ["string", "null"], "minLength": 1, "maxLength": chars_max, "pattern": NO_NUL })
    };
    let texts = |object: Object, keys: &[&str]| {
        keys.iter().map(|key| ((*key).to_owned(), text(object, key))).collect::<Map<_, _>>()
    };
    let required = |key: &str| text(Object::Event, key).with("type", json!("string"));
    let mut request = texts(Object::Request, &["method", "path", "ip", "userAgent"]);
    request.insert("statusCode".to_owned(), json!({ "type": ["integer", "null"], "minimum": 100, "maximum": 999 }));
    let by = texts(Object::By, &["userId", "orgId", "type", "name", "email"]);
    let context = texts(
        Object::Context,
        &["entity", "blueprint", "runId", "webhookId", "webhookEventId", "integrationId", "actionType"],
    );
    let mut trigger = Map::new();
    trigger.insert(
        "at".to_owned(),
        json!({
            "type": ["string", "null"], "format": "date-time",
            "description": "Event time; the time of receipt where absent. One that lies far in the future is kept, and the \
                            event is ordered by its receipt",
        }),
    );
    trigger.insert("origin".to_owned(), text(Object::Trigger, "origin").with("default", json!("API")));
    trigger.insert("by".to_owned(), read(by));
    let object = || json!({ "type": ["object", "null"] });
    let diff = ["before", "after"].map(|key| (key.to_owned(), object())).into_iter().collect();
    let properties = json!({
        "identifier": text(Object::Event, "identifier")
            .with("description", json!("Makes a retry a duplicate; assigned where absent")),
        "action": required("action"),
        "resourceType": required("resourceType"),
        "status": { "enum": ["SUCCESS", "FAILURE", null], "default": "SUCCESS" },
        "message": { "type": ["string", "null"], "minLength": 1, "pattern": NO_NUL },
        "trigger": read(trigger),
        "context": read(context),
        "request": read(request),
        "diff": read(diff),
        "additionalData": { "description": "Kept as it is" },
    });
    match properties {
        Value::Object(properties) => properties,
        _ => Map::new(),
    }
}
