//! `/openapi.json`: what this API takes and gives, put together from the tables that the code itself runs on; and
//! `/docs`, the same for people, with every asset in the binary.

#![expect(
    clippy::needless_pass_by_value,
    reason = "json! takes parts by reference; whoever builds one is done with it"
)]

mod monitoring;
mod schemas;

use actix_web::{HttpResponse, web::Data};
use serde_json::{Map, Value, json};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{
    api::export::FORMAT,
    http::{
        Context,
        error::{self, ErrorKind, KINDS},
    },
    model::{
        field::{FIELDS, FieldSpec, Matching},
        limits::QueryLimits,
        query::{CONTROLS, INCLUDABLE},
        search::{SEARCH_BYTES_MAX, SEARCH_WORDS_MAX},
        stats::STATS_CONTROLS,
        zone::Interval,
    },
};

/// Serves the document.
pub(super) async fn json(context: Data<Context>) -> HttpResponse {
    HttpResponse::Ok().json(document(&context.query_limits))
}

/// The pages.
pub(super) fn pages() -> SwaggerUi {
    let config = Config::from("/openapi.json").validator_url("none").persist_authorization(false);
    SwaggerUi::new("/docs/{_:.*}").config(config)
}

/// The OpenAPI 3.1 document for a server with these limits.
pub fn document(limits: &QueryLimits) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "auditbox",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Who did what, to what, when, and what changed.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "bearer": [] }, { "session": [] }],
        "paths": {
            "/v1/audit-log": { "get": list(limits), "post": ingest() },
            "/v1/audit-log/stats": { "get": stats(limits) },
            "/v1/audit-log/export": { "get": export(limits) },
            "/v1/audit-log/stream": { "get": stream(limits) },
            "/v1/audit-log/{identifier}": { "get": one_event() },
            "/v1/auth/access_token": { "post": access_token() },
            "/v1/credentials": { "get": list_credentials(), "post": create_credential() },
            "/v1/credentials/{clientId}": {
                "patch": change_credential("Switch a credential off or on again", Some(only(&[("disabled", "boolean")]))),
                "delete": change_credential("Revoke a credential for good", None),
            },
            "/healthz": { "get": monitoring::health("Whether the process answers", &[]) },
            "/readyz": { "get": monitoring::health("Whether the process takes writes", &[error::OVERLOADED]) },
            "/metrics": { "get": monitoring::metrics() },
        },
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http", "scheme": "bearer",
                    "description": "An access token from /v1/auth/access_token, or an API token (abx_…).",
                },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "auditbox_session",
                    "description": "Of somebody who signed in with a browser (under TLS its name begins with __Host-). \
                                    What changes something must come from a page of this server.",
                },
            },
            "schemas": {
                "Event": schemas::event(), "EventPart": schemas::event_part(), "NewEvent": schemas::new_event(),
                "DamagedEvent": schemas::damaged_event(),
                "Credential": schemas::credential(), "Error": schemas::envelope(),
            },
        },
    })
}

/// A status code, or a class of them. One text may be a list of them with commas; several texts are one each.
const STATUS_CODE: &str = "^[1-9]([0-9]{2}|[xX]{2})$";
/// Durations in one unit or more. There are other spellings; none is needed.
const DURATION: &str = "^[1-9][0-9]{0,3}(s|m|h|d)( [1-9][0-9]{0,3}(s|m|h|d)){0,2}$";
/// A credential's name: neither a control character, nor white space at either end.
const NAME: &str = "^[^\\s\\x00-\\x1f\\x7f-\\x9f]([^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f])?$";

/// What any request that needs a credential may be answered with.
const AUTHENTICATED: [&ErrorKind; 5] =
    [error::NOT_AUTHENTICATED, error::FORBIDDEN, error::RATE_LIMITED, error::INTERNAL, error::OVERLOADED];
/// What any query may be answered with.
const QUERY: [&ErrorKind; 3] = [error::INVALID_REQUEST, error::QUERY_TIMEOUT, error::CLIENT_CLOSED];
/// What any request with a body may be answered with.
const WITH_BODY: [&ErrorKind; 5] =
    [error::INVALID_REQUEST, error::MALFORMED_BODY, error::PAYLOAD_TOO_LARGE, error::REQUEST_TIMEOUT, error::DISK_FULL];

fn list(limits: &QueryLimits) -> Value {
    let headers = json!({
        "Link": { "description": "The next page's URL, rel=\"next\"", "schema": { "type": "string" } },
        "X-Limit-Clamped": { "description": "The limit in force, where a larger one was asked for", "schema": { "type": "integer" } },
    });
    let schema = json!({
        "type": "object",
        "required": ["ok", "audits", "next"],
        "properties": {
            "ok": { "const": true },
            "audits": {
                "type": "array", "items": { "$ref": "#/components/schemas/EventPart" },
                "description": "Events; with includes, parts of them",
            },
            "next": { "type": ["string", "null"], "description": "The cursor of the next page" },
            "damaged": {
                "type": "object",
                "description": "Events that match and are damaged in the file: they are not among the audits",
                "required": ["count", "events"],
                "properties": {
                    "count": { "type": "integer", "description": "How many" },
                    "events": { "type": "array", "items": { "$ref": "#/components/schemas/DamagedEvent" } },
                },
            },
            "count": { "type": "integer", "description": "With count=true: how many events match in all" },
        },
    });
    let mut success = response("The events that match", schema);
    success["headers"] = headers;
    operation(
        "list",
        "Ask for events; all filters are ANDed, the values of one ORed",
        200,
        success,
        &[&AUTHENTICATED, &QUERY],
    )
    .with("parameters", filters(limits).collect())
}

fn stats(limits: &QueryLimits) -> Value {
    let value = json!({ "type": "object", "required": ["value", "count"], "properties": {
        "value": { "type": "string" }, "count": { "type": "integer" },
    } });
    let facet = json!({ "type": "object", "required": ["values", "distinct"], "properties": {
        "values": { "type": "array", "items": value, "description": "Most common first, then those the filter names" },
        "distinct": { "type": "integer", "description": "Different values in all" },
    } });
    let schema = json!({ "type": "object", "required": ["ok", "count", "facets", "histogram"], "properties": {
        "ok": { "const": true },
        "count": { "type": "integer", "description": "Events that match" },
        "facets": {
            "type": "object", "additionalProperties": facet,
            "description": "For each field, its values among what matches when the field's own filter is set aside",
        },
        "histogram": schemas::histogram(),
    } });
    let own = STATS_CONTROLS
        .iter()
        .map(|control| parameter(control.name, control.summary, control_schema(control.name, limits)));
    operation(
        "stats",
        "Count events, their most common values, and how they spread over time",
        200,
        response("The counts", schema),
        &[&AUTHENTICATED, &QUERY],
    )
    .with("parameters", filters(limits).chain(own).collect())
}

fn export(limits: &QueryLimits) -> Value {
    let (name, summary) = FORMAT;
    let format = json!({ "name": name, "in": "query", "required": true, "description": summary,
        "schema": { "type": "string", "enum": ["csv", "ndjson"] } });
    let text = json!({ "schema": { "type": "string" } });
    let success = json!({
        "description": "Every event that matched when the export began; one that breaks off is not complete. Without a \
                        limit there is none. In CSV a cell that begins like a formula has an apostrophe before it; in \
                        NDJSON a line is the stored event.",
        "headers": { "Content-Disposition": { "description": "A name for the file", "schema": { "type": "string" } } },
        "content": { "text/csv": text, "application/x-ndjson": text },
    });
    operation("export", "Get every event that matches as a file", 200, success, &[&AUTHENTICATED, &QUERY])
        .with("parameters", std::iter::once(format).chain(filters(limits)).collect())
}

fn stream(limits: &QueryLimits) -> Value {
    let last = json!({ "name": "Last-Event-ID", "in": "header", "required": false, "schema": { "type": "string" },
        "description": "Go on after the message with this id; so does cursor. Without either, with what arrives from now on" });
    let success = json!({
        "description": "Server-sent events without end, by arrival: the data of each is an event, its id the place after it",
        "content": { "text/event-stream": { "schema": { "type": "string" } } },
    });
    let parameters = filters(limits).filter(|parameter| parameter["name"] != "limit" && parameter["name"] != "count");
    operation("stream", "Follow the log", 200, success, &[&AUTHENTICATED, &QUERY])
        .with("parameters", parameters.chain(std::iter::once(last)).collect())
}

/// The parameters that say which events, and how they are listed.
fn filters(limits: &QueryLimits) -> impl Iterator<Item = Value> {
    let fields = FIELDS.iter().flat_map(|spec| {
        spec.parameters.iter().flat_map(move |name| {
            let excluded = format!("Leaves out what {name} would match");
            [filter(name, spec, spec.summary), filter(&format!("not.{name}"), spec, &excluded)]
        })
    });
    let controls =
        CONTROLS.iter().map(|control| parameter(control.name, control.summary, control_schema(control.name, limits)));
    fields.chain(controls)
}

fn ingest() -> Value {
    let schema = json!({
        "type": "object",
        "required": ["ok", "accepted", "duplicates"],
        "properties": {
            "ok": { "const": true },
            "accepted": { "type": "integer" },
            "duplicates": { "type": "integer", "description": "Events stored before, with the same content" },
            "rejected": { "type": "integer", "description": "With partial=true: events that were not stored" },
            "identifiers": { "type": "array", "items": { "type": "string" }, "description": "In the order sent" },
            "results": {
                "type": "array", "items": { "type": "object" },
                "description": "With partial=true: for each event its index, its identifier, and a status of its own",
            },
        },
    });
    let one_or_more = json!({ "oneOf": [
        { "$ref": "#/components/schemas/NewEvent" },
        { "type": "array", "minItems": 1, "items": { "$ref": "#/components/schemas/NewEvent" } },
    ] });
    let summary = "Send events: one, an array, or one after another (NDJSON); answered once they are on disk";
    let partial = parameter(
        "partial",
        "true to store the good events of a batch that has bad ones",
        json!({ "type": "boolean" }),
    );
    let mut operation = operation(
        "ingest",
        summary,
        201,
        response("Stored", schema.clone()),
        &[&AUTHENTICATED, &WITH_BODY, &[error::CONFLICT]],
    )
    .with("parameters", json!([partial]))
    .with(
        "requestBody",
        json!({ "required": true, "content": {
            "application/json": { "schema": one_or_more },
            "application/x-ndjson": { "schema": { "type": "string" } },
        } }),
    );
    operation["responses"]["200"] = response("All were stored before; or partial=true", schema);
    operation
}

fn one_event() -> Value {
    let schema = json!({ "type": "object", "required": ["ok", "audit"], "properties": {
        "ok": { "const": true }, "audit": { "$ref": "#/components/schemas/Event" },
    } });
    operation(
        "event",
        "Ask for one event",
        200,
        response("The event", schema),
        &[&AUTHENTICATED, &QUERY, &[error::NOT_FOUND, error::DAMAGED]],
    )
    .with("parameters", json!([path_parameter("identifier", "The event's identifier")]))
}

fn access_token() -> Value {
    let schema = json!({ "type": "object", "required": ["ok", "accessToken", "expiresIn", "tokenType"], "properties": {
        "ok": { "const": true },
        "accessToken": { "type": "string" },
        "expiresIn": { "type": "integer", "description": "Seconds" },
        "tokenType": { "const": "Bearer" },
    } });
    let errors: &[&ErrorKind] = &[error::INVALID_CREDENTIALS, error::RATE_LIMITED, error::INTERNAL, error::OVERLOADED];
    operation(
        "accessToken",
        "Get an access token for a client id and secret",
        200,
        response("A token", schema),
        &[errors, &WITH_BODY],
    )
    .with("security", json!([]))
    .with("requestBody", body(object(&[("clientId", "string"), ("clientSecret", "string")])))
}

fn list_credentials() -> Value {
    let schema = json!({ "type": "object", "required": ["ok", "credentials"], "properties": {
        "ok": { "const": true },
        "credentials": { "type": "array", "items": { "$ref": "#/components/schemas/Credential" } },
    } });
    operation(
        "listCredentials",
        "List the credentials, revoked ones included",
        200,
        response("The credentials", schema),
        &[&AUTHENTICATED, &[error::CLIENT_CLOSED]],
    )
}

fn create_credential() -> Value {
    let asked = json!({
        "type": "object", "required": ["name", "scopes"], "additionalProperties": false,
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 128, "pattern": NAME },
            "scopes": { "type": "array", "minItems": 1, "items": schemas::scope() },
            "actorType": { "enum": ["user", "service_account", null] },
            "expires": {
                "type": ["string", "null"], "pattern": DURATION,
                "description": "How long from now, such as 90d, or 1h 30m; a hundred years at most",
            },
        },
    });
    let schema = json!({ "type": "object", "required": ["ok", "credential"], "properties": {
        "ok": { "const": true },
        "credential": { "$ref": "#/components/schemas/Credential" },
    } });
    let success = response("The credential, with its clientSecret and apiToken, shown this once", schema);
    operation("createCredential", "Make a credential", 201, success, &[&AUTHENTICATED, &WITH_BODY, &[error::CONFLICT]])
        .with("requestBody", body(asked))
}

fn change_credential(summary: &str, asked: Option<Value>) -> Value {
    let id = if asked.is_some() { "switchCredential" } else { "revokeCredential" };
    let errors: &[&ErrorKind] = &[error::NOT_FOUND, error::CONFLICT, error::INVALID_REQUEST, error::DISK_FULL];
    let of_body: &[&ErrorKind] = if asked.is_some() { &WITH_BODY } else { &[] };
    let success = response("Done", object(&[("ok", "boolean")]));
    let operation = operation(id, summary, 200, success, &[&AUTHENTICATED, of_body, errors])
        .with("parameters", json!([path_parameter("clientId", "The credential's client id")]));
    match asked {
        Some(asked) => operation.with("requestBody", body(asked)),
        None => operation,
    }
}

fn filter(name: &str, spec: &FieldSpec, summary: &str) -> Value {
    let value = match spec.matching {
        Matching::OneOf(values) => json!({ "type": "string", "enum": values }),
        Matching::StatusCode => json!({ "type": "string", "pattern": STATUS_CODE }),
        _ => json!({ "type": "string", "minLength": 1, "pattern": schemas::NO_NUL }),
    };
    parameter(name, summary, json!({ "type": "array", "items": value }))
}

fn control_schema(name: &str, limits: &QueryLimits) -> Value {
    match name {
        "from" | "to" => json!({ "type": "string", "format": "date-time" }),
        "limit" => {
            json!({ "type": "integer", "minimum": 1, "default": limits.list_default, "description": format!("At most {}", limits.list_max) })
        }
        "includes" => json!({ "type": "array", "items": { "type": "string", "enum": INCLUDABLE } }),
        "q" | "search" => json!({
            "type": "string", "minLength": 1, "maxLength": SEARCH_BYTES_MAX,
            "pattern": format!("^\\s*\\S+(\\s+\\S+){{0,{}}}\\s*$", SEARCH_WORDS_MAX - 1),
        }),
        "facets" => {
            let names: Vec<_> =
                FIELDS.iter().filter(|spec| spec.is_countable()).flat_map(|spec| spec.parameters).collect();
            json!({ "type": "array", "items": { "type": "string", "enum": names } })
        }
        "histogram" => {
            let widths: Vec<_> = std::iter::once("auto").chain(Interval::ALL.iter().map(|(name, _)| *name)).collect();
            json!({ "type": "string", "enum": widths })
        }
        "sort" => json!({ "type": "string", "enum": ["time", "received"], "default": "time" }),
        "order" => json!({ "type": "string", "enum": ["desc", "asc"], "default": "desc" }),
        "count" | "include_own" | "include_deleted_entities" => json!({ "type": "boolean", "default": false }),
        _ => json!({ "type": "string" }),
    }
}

fn parameter(name: &str, summary: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "required": false, "description": summary, "schema": schema })
}

fn path_parameter(name: &str, summary: &str) -> Value {
    // A client id has few characters, an identifier may have any.
    let schema = match name {
        "clientId" => json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$" }),
        _ => json!({ "type": "string", "minLength": 1 }),
    };
    json!({ "name": name, "in": "path", "required": true, "description": summary, "schema": schema })
}

fn body(schema: Value) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

/// An object whose keys are all required.
fn object(keys: &[(&str, &str)]) -> Value {
    let properties: Map<_, _> = keys.iter().map(|(key, kind)| ((*key).to_owned(), json!({ "type": kind }))).collect();
    json!({ "type": "object", "required": keys.iter().map(|(key, _)| key).collect::<Vec<_>>(), "properties": properties })
}

/// The same, and no other key is taken.
fn only(keys: &[(&str, &str)]) -> Value {
    object(keys).with("additionalProperties", json!(false))
}

fn response(description: &str, schema: Value) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": schema } } })
}

/// An operation with its success and, by status, its errors.
fn operation(id: &str, summary: &str, status: u16, success: Value, errors: &[&[&ErrorKind]]) -> Value {
    let mut responses = Map::new();
    responses.insert(status.to_string(), success);
    // Several kinds may share a status.
    for known in KINDS {
        if errors.iter().any(|some| some.iter().any(|kind| kind.code == known.code)) {
            let place = responses
                .entry(known.status.as_u16().to_string())
                .or_insert_with(|| response("", json!({ "$ref": "#/components/schemas/Error" })));
            let described = place["description"].as_str().unwrap_or_default();
            let separator = if described.is_empty() { "" } else { "; " };
            place["description"] = json!(format!("{described}{separator}`{}`: {}", known.code, known.summary));
        }
    }
    json!({ "operationId": id, "summary": summary, "responses": responses })
}

/// Adds a key to an object under construction.
trait With {
    fn with(self, key: &str, value: Value) -> Self;
}

impl With for Value {
    fn with(mut self, key: &str, value: Value) -> Self {
        self[key] = value;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(array) => array.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
        let document = document(&QueryLimits::default());
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 10);
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        let paths = document["paths"].as_object().unwrap().values();
        let operations: Vec<_> = paths.flat_map(|path| path.as_object().unwrap().values()).collect();
        let names: std::collections::HashSet<_> =
            operations.iter().map(|operation| operation["operationId"].as_str().unwrap()).collect();
        assert_eq!(names.len(), operations.len());
    }

    #[test]
    fn every_filter_and_control_is_a_parameter() {
        let document = document(&QueryLimits::default());
        let parameters = document["paths"]["/v1/audit-log"]["get"]["parameters"].as_array().unwrap();
        let names: Vec<_> = parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
        for name in FIELDS.iter().flat_map(|spec| spec.parameters) {
            assert!(names.contains(name) && names.contains(&format!("not.{name}").as_str()), "{name}");
        }
        assert!(CONTROLS.iter().all(|control| names.contains(&control.name)));
    }
}
