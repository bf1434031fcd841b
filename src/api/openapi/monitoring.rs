//! The operations for programs that watch the server: whether it is well, and its metrics.

use serde_json::{Value, json};

use super::{AUTHENTICATED, With, object, operation, response};
use crate::http::error::ErrorKind;

/// `/healthz` or `/readyz`: the latter may be answered with an error.
pub(super) fn health(summary: &str, errors: &[&ErrorKind]) -> Value {
    let id = if errors.is_empty() { "healthz" } else { "readyz" };
    operation(id, summary, 200, response("Yes", object(&[("ok", "boolean")])), &[errors]).with("security", json!([]))
}

/// `/metrics`
pub(super) fn metrics() -> Value {
    let success = json!({
        "description": "The metrics, each with its type and what it is",
        "content": { "text/plain": { "schema": { "type": "string" } } },
    });
    operation(
        "metrics",
        "Read the server's metrics in Prometheus's text format; needs the scope metrics, or admin",
        200,
        success,
        &[&AUTHENTICATED],
    )
}
