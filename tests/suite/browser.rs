//! The pages in a real browser.

mod accessibility;
mod doors;
mod driver;
mod event;
mod list;
mod live;
mod pictures;
mod session;

use serde_json::{Value, json};

/// An event of `resource_type` at `at`.
fn event(identifier: &str, resource_type: &str, at: &str) -> Value {
    json!({
        "identifier": identifier, "action": "UPDATE", "resourceType": resource_type,
        "trigger": { "at": at, "origin": "UI", "by": { "type": "user", "name": "ada", "email": "ada@example.com" } },
        "context": { "entity": format!("thing-{identifier}"), "blueprint": "service" },
    })
}

/// For each row of a list, the text of its action.
const WHAT: &str = ".log table.events tbody th.c-what";

/// The path of an event's page.
fn event_path(identifier: &str) -> String {
    format!("/audit-logs/{identifier}")
}
