//! Compares every response in any test with the schema of its operation in the API description.
//!
//! The harness passes each response to this module. Paths that the description does not contain (pages, unknown paths)
//! are ignored. A response on a described path must have a described status, content type and form.

use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use auditbox::{api::openapi_document, model::limits::QueryLimits};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::harness::Answer;

/// Longer responses are long lists of similar events.
const CHECKED_BYTES_MAX: usize = 512 * 1024;

/// The description and its compiled schemas.
struct Description {
    document: Value,
    validators: Mutex<HashMap<String, &'static Validator>>,
}

fn description() -> &'static Description {
    static DESCRIPTION: OnceLock<Description> = OnceLock::new();
    DESCRIPTION.get_or_init(|| Description {
        document: openapi_document(&QueryLimits::default()),
        validators: Mutex::default(),
    })
}

/// Panics unless the description allows this response for this request.
pub fn check(method: &str, path: &str, answer: &Answer) {
    let document = &description().document;
    let Some(item) = item_of(document, path) else {
        return;
    };
    let method = method.to_lowercase();
    let context = || format!("{method} {path}: {} {}", answer.status, &answer.text[..answer.text.len().min(2_000)]);
    match item.get(&method) {
        Some(operation) => {
            let promised = &operation["responses"][answer.status.to_string()];
            assert!(promised.is_object(), "the status is not documented: {}", context());
            check_content(promised, answer, &context);
        }
        // A response to HEAD has no body, and is otherwise that of GET.
        None if method == "head" => {}
        None => {
            assert_eq!(answer.status, 405, "the method is not documented: {}", context());
            check_json(&json!({ "$ref": "#/components/schemas/Error" }), answer, &context);
        }
    }
}

/// The description's entry for a request path. An identifier may contain anything.
fn item_of<'d>(document: &'d Value, path: &str) -> Option<&'d Value> {
    let path = path.split('?').next()?;
    let paths = document["paths"].as_object()?;
    let fits = |pattern: &str| {
        let (before, rest) = pattern.split_once('{').filter(|(_, rest)| rest.ends_with('}'))?;
        let given = path.strip_prefix(before)?;
        (!given.is_empty() && (rest == "identifier}" || !given.contains('/'))).then_some(())
    };
    paths.get(path).or_else(|| paths.iter().find(|(pattern, _)| fits(pattern).is_some()).map(|(_, item)| item))
}

fn check_content(promised: &Value, answer: &Answer, context: &dyn Fn() -> String) {
    let kinds = promised["content"].as_object().unwrap();
    let kind = answer.header("content-type").and_then(|kind| kind.split(';').next()).unwrap_or_default();
    let described = kinds.get(kind).unwrap_or_else(|| panic!("the type {kind:?} is not documented: {}", context()));
    if kind == "application/json" {
        check_json(&described["schema"], answer, context);
    }
}

fn check_json(schema: &Value, answer: &Answer, context: &dyn Fn() -> String) {
    if answer.text.len() > CHECKED_BYTES_MAX {
        return;
    }
    // A number that does not fit was stored as sent; other readers may support it.
    let Ok(instance) = serde_json::from_str::<Value>(&answer.text) else {
        let grammatical = serde_json::from_str::<Box<serde_json::value::RawValue>>(&answer.text).is_ok();
        assert!(grammatical, "not JSON: {}", context());
        return;
    };
    if let Err(error) = validator(schema).validate(&instance) {
        panic!("{error}, at {}: {}", error.instance_path(), context());
    }
}

fn validator(schema: &Value) -> &'static Validator {
    let Description { document, validators } = description();
    let mut validators = validators.lock().unwrap_or_else(PoisonError::into_inner);
    validators.entry(schema.to_string()).or_insert_with(|| {
        // References point into the document.
        let mut whole = schema.clone();
        whole["components"] = document["components"].clone();
        Box::leak(Box::new(jsonschema::options().should_validate_formats(true).build(&whole).unwrap()))
    })
}

#[test]
fn a_response_that_deviates_from_its_description_is_detected() {
    let answer = |status: u16, kind: &str, text: &str| {
        let mut headers = ureq::http::HeaderMap::new();
        headers.insert("content-type", kind.parse().unwrap());
        Answer { status, headers, text: text.to_owned() }
    };
    let json = "application/json";
    let list = |events: &str| format!(r#"{{"ok":true,"audits":[{events}],"next":null}}"#);
    for (path, good) in [
        ("/v1/audit-log?entity=a", answer(200, json, &list(r#"{"status":"FAILURE"}"#))),
        ("/v1/audit-log/e/1", answer(404, json, r#"{"ok":false,"error":"not_found","message":"there is none"}"#)),
        ("/none", answer(418, "text/plain", "")),
    ] {
        check("GET", path, &good);
    }
    for (path, bad) in [
        ("/v1/audit-log", answer(418, json, &list(""))),
        ("/v1/audit-log", answer(200, "text/html", &list(""))),
        ("/v1/audit-log", answer(200, json, &list(r#"{"status":"MAYBE"}"#))),
        ("/v1/audit-log", answer(200, json, &list(r#"{"receivedAt":"today"}"#))),
        ("/v1/audit-log", answer(200, json, r#"{"ok":true,"audits":[]}"#)),
        ("/v1/audit-log/e", answer(404, json, r#"{"ok":false,"error":"no_such_code","message":"there is none"}"#)),
    ] {
        let seen = std::panic::catch_unwind(|| check("GET", path, &bad));
        assert!(seen.is_err(), "{path}: {bad:?}");
    }
}
