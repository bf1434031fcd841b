//! The shapes that several operations share.

use serde_json::{Map, Value, json};

use crate::http::error::KINDS;

/// An error.
pub(super) fn envelope() -> Value {
    json!({
        "type": "object",
        "required": ["ok", "error", "message"],
        "properties": {
            "ok": { "const": false },
            "error": { "type": "string", "enum": KINDS.iter().map(|kind| kind.code).collect::<Vec<_>>() },
            "message": { "type": "string" },
            "details": { "type": "array", "items": { "type": "object" }, "description": "The parts at fault, where there are several" },
        },
    })
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
            "scopes": { "type": "array", "items": { "enum": ["ingest", "read", "admin"] } },
            "state": { "enum": ["active", "disabled", "expired", "revoked"] },
            "createdAt": { "type": "string", "format": "date-time" },
            "expiresAt": instant(), "disabledAt": instant(), "revokedAt": instant(),
            "lastUsedAt": { "type": ["string", "null"], "format": "date-time", "description": "Null if not since the server started" },
            "clientSecret": { "type": "string", "description": "In the answer that makes the credential, and never again" },
            "apiToken": { "type": "string", "description": "In the answer that makes the credential, and never again" },
        },
    })
}

/// An event as it is sent.
pub(super) fn new_event() -> Value {
    let text = || json!({ "type": ["string", "null"], "minLength": 1 });
    let texts = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), text())).collect::<Map<_, _>>();
    let mut request = texts(&["method", "path", "ip", "userAgent"]);
    request.insert("statusCode".to_owned(), json!({ "type": ["integer", "null"], "minimum": 100, "maximum": 999 }));
    json!({
        "type": "object",
        "required": ["action", "resourceType"],
        "properties": {
            "identifier": { "type": ["string", "null"], "minLength": 1, "maxLength": 256, "description": "Makes a retry a duplicate; assigned where absent" },
            "action": { "type": "string", "minLength": 1, "maxLength": 128 },
            "resourceType": { "type": "string", "minLength": 1, "maxLength": 128 },
            "status": { "enum": ["SUCCESS", "FAILURE", null], "default": "SUCCESS" },
            "message": text(),
            "trigger": { "type": ["object", "null"], "properties": {
                "at": { "type": ["string", "null"], "format": "date-time", "description": "Event time; the time of receipt where absent" },
                "origin": { "type": ["string", "null"], "minLength": 1, "maxLength": 256, "default": "API" },
                "by": { "type": ["object", "null"], "properties": texts(&["userId", "orgId", "type", "name", "email"]) },
            } },
            "context": { "type": ["object", "null"], "properties": texts(&[
                "entity", "blueprint", "runId", "webhookId", "webhookEventId", "integrationId", "actionType",
            ]) },
            "request": { "type": ["object", "null"], "properties": request },
            "diff": { "type": ["object", "null"], "properties": {
                "before": { "type": ["object", "null"] }, "after": { "type": ["object", "null"] },
            } },
            "additionalData": { "description": "Kept as it is" },
        },
    })
}

/// An event as it is stored.
pub(super) fn event() -> Value {
    json!({ "allOf": [
        { "$ref": "#/components/schemas/NewEvent" },
        {
            "type": "object",
            "required": ["identifier", "status", "trigger", "receivedAt", "receivedBy"],
            "properties": {
                "receivedAt": { "type": "string", "format": "date-time", "description": "When the server took it" },
                "receivedBy": { "type": "string", "description": "The name of the credential that sent it" },
            },
        },
    ] })
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
