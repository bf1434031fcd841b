//! Three stories for an auditor to find among the everyday events.
//!
//! Each happens at a fixed point of the span. Their things have names that no everyday event uses, so that no everyday
//! change contradicts them.

use serde_json::{Value, json};

use crate::{
    model::timestamp::Timestamp,
    testdata::{actors, clock::weekday},
};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Stories keep their time of day if the span has several days.
const CALENDAR_SPAN_SECONDS: i64 = 10 * DAY;
/// The addresses from which the leaked token and the curious token are used.
const LEAK_ADDRESS: &str = "198.51.100.254";
const BURST_ADDRESS: &str = "192.0.2.66";

/// An event of a story: its time, and everything except its identifier.
pub(super) type StoryEvent = (Timestamp, Value);

/// All stories of the span from `begin` to `end`, by time.
pub(super) fn tell(begin: Timestamp, end: Timestamp) -> Vec<StoryEvent> {
    let seconds = end.seconds() - begin.seconds();
    let place = |tenths: i64, time_of_day: i64| {
        let at = begin.plus_seconds(seconds / 10 * tenths);
        let midnight = at.seconds().div_euclid(DAY) * DAY;
        if seconds < CALENDAR_SPAN_SECONDS { at } else { Timestamp::from_micros((midnight + time_of_day) * 1_000_000) }
    };
    let mut events = leaked_token(place(4, 10 * HOUR + 12 * MINUTE));
    events.extend(curious_token(place(7, 2 * HOUR + 41 * MINUTE)));
    events.extend(friday_evening(friday_before(place(9, 0), seconds)));
    for (at, event) in &mut events {
        *at = (*at).clamp(begin, end);
        event["trigger"]["at"] = json!(at.to_string());
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

/// The evening of the last Friday that began before `at`, if the span is long enough to include one.
fn friday_before(at: Timestamp, span_seconds: i64) -> Timestamp {
    if span_seconds < CALENDAR_SPAN_SECONDS {
        return at;
    }
    let day = at.seconds().div_euclid(DAY);
    let friday = day - (weekday(day) + 3) % 7;
    Timestamp::from_micros((friday * DAY + 18 * HOUR + 47 * MINUTE) * 1_000_000)
}

/// An event by an actor, extended by `more`.
fn event(at: Timestamp, by: &str, action: &str, resource_type: &str, more: &Value) -> StoryEvent {
    let actor = actors::called(by);
    let mut by = json!({ "userId": actor.user_id(), "orgId": "org_example", "type": actor.kind, "name": actor.name });
    if let Some(email) = actor.email() {
        by["email"] = Value::String(email);
    }
    let mut event = json!({
        "action": action,
        "resourceType": resource_type,
        "status": if more.get("message").is_some() { "FAILURE" } else { "SUCCESS" },
        "trigger": { "origin": actor.origin, "by": by },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        event[key] = value.clone();
    }
    if let Some(request) = event.get_mut("request") {
        request["userAgent"] = Value::from(actor.user_agent);
    }
    (at, event)
}

fn request(method: &str, path: &str, status_code: u16, ip: &str) -> Value {
    json!({ "method": method, "path": path, "statusCode": status_code, "ip": ip })
}

/// A token is found in a public repository, was used by a stranger, and is revoked; the secret that it could read is
/// replaced.
fn leaked_token(at: Timestamp) -> Vec<StoryEvent> {
    const GROUP: &str = "/api/projects/1/clusters/1/environment_groups/card-vault-production";
    let group = json!({ "entity": "card-vault-production", "projectId": "1" });
    let secret = json!({ "entity": "card-vault-database-password", "blueprint": "secret" });
    let token = json!({ "entity": "legacy-deploy-token", "blueprint": "token" });
    let version = |version: u8, rotated: &str| {
        json!({
            "identifier": "card-vault-database-password", "blueprint": "secret", "team": "payments",
            "properties": { "valueVersion": version, "value": "(hidden)", "rotationDays": 90, "rotatedAt": rotated },
        })
    };
    let variables = |version: u8| {
        json!({
            "identifier": "card-vault-production", "blueprint": "environment_group",
            "variables": { "LOG_LEVEL": "info", "DATABASE_URL": format!("secret://card-vault-database-password/v{version}") },
        })
    };
    let before = at.plus_seconds(-70 * DAY).to_string();
    let rotated = at.plus_seconds(14 * MINUTE).to_string();
    let mut events: Vec<StoryEvent> = [-38, -37, -31]
        .map(|minutes| {
            let more = json!({ "context": group, "request": request("GET", GROUP, 200, LEAK_ADDRESS) });
            event(at.plus_seconds(minutes * MINUTE + 13), "legacy-deploy-token", "READ", "environment_group", &more)
        })
        .into();
    let denied = json!({
        "message": "The role \"deployer\" does not allow this in project \"production\"",
        "context": group, "request": request("DELETE", GROUP, 403, LEAK_ADDRESS),
    });
    events.push(event(at.plus_seconds(-30 * MINUTE), "legacy-deploy-token", "DELETE", "environment_group", &denied));
    let found = json!({
        "context": { "webhookId": "secret-scanning", "webhookEventId": "wev_secret_scanning_17", "entity": "legacy-deploy-token" },
        "additionalData": { "finding": "legacy-deploy-token in a public repository", "file": "scripts/deploy.sh", "line": 12 },
    });
    events.push(event(at, "github-exporter", "DELIVER", "webhook", &found));
    let revoked = json!({
        "context": token, "additionalData": { "reason": "Leaked: see the secret-scanning alert" },
        "diff": { "before": { "name": "legacy-deploy-token", "role": "deployer", "revoked": false },
                  "after": { "name": "legacy-deploy-token", "role": "deployer", "revoked": true } },
    });
    events.push(event(at.plus_seconds(9 * MINUTE), "security-officer", "REVOKE", "token", &revoked));
    let replaced =
        json!({ "context": secret, "diff": { "before": version(6, &before), "after": version(7, &rotated) } });
    events.push(event(at.plus_seconds(14 * MINUTE), "security-officer", "UPDATE", "secret", &replaced));
    let linked = json!({
        "context": group, "request": request("PATCH", GROUP, 200, "203.0.113.11"),
        "diff": { "before": variables(6), "after": variables(7) },
    });
    events.push(event(at.plus_seconds(17 * MINUTE), "platform-oncall", "UPDATE", "environment_group", &linked));
    let refused = json!({
        "message": "The token has been revoked",
        "context": group, "request": request("GET", GROUP, 401, LEAK_ADDRESS),
    });
    events.push(event(at.plus_seconds(52 * MINUTE), "legacy-deploy-token", "READ", "environment_group", &refused));
    events
}

/// At night a token tries project after project and is rejected, until an administrator disables it.
fn curious_token(at: Timestamp) -> Vec<StoryEvent> {
    let mut events: Vec<StoryEvent> = (0..36)
        .map(|turn: i64| {
            let (project, kind) = (turn / 6 + 1, ["environment_group", "datastore", "project"]);
            let kind = kind[usize::from(turn % 2 == 1) + usize::from(turn % 6 == 5)];
            let path = format!("/api/projects/{project}/clusters/{}/{kind}s?include=variables", turn % 4 + 1);
            let more = json!({
                "message": "The role \"reporter\" does not allow this",
                "context": { "projectId": project.to_string() },
                "request": request("GET", &path, 403, BURST_ADDRESS),
            });
            event(at.plus_seconds(turn * 5 + turn % 3), "vendor-reporting-token", "LIST", kind, &more)
        })
        .collect();
    let restricted = json!({
        "context": { "entity": "vendor-reporting-token", "blueprint": "token" },
        "additionalData": { "note": "36 refused requests in three minutes from one address; disabled until explained" },
        "diff": { "before": { "name": "vendor-reporting-token", "role": "reporter", "enabled": true, "allowedAddresses": [] },
                  "after": { "name": "vendor-reporting-token", "role": "reporter", "enabled": false, "allowedAddresses": ["192.0.2.0/28"] } },
    });
    events.push(event(at.plus_seconds(25 * MINUTE), "platform-oncall", "UPDATE", "token", &restricted));
    events
}

/// On a Friday evening, production is scaled down instead of staging, suffers, and is scaled up again.
fn friday_evening(at: Timestamp) -> Vec<StoryEvent> {
    const PATH: &str = "/api/projects/1/clusters/1/applications/storefront-checkout/scale";
    let context = json!({ "entity": "storefront-checkout", "projectId": "1" });
    let size = |replicas: u8, autoscaling: bool| {
        json!({
            "identifier": "storefront-checkout", "blueprint": "application",
            "properties": {
                "environment": "production", "autoscaling": autoscaling,
                "resources": { "limits": { "cpu": "1000m", "memoryMiB": 1024 }, "replicas": { "min": replicas, "max": 16 } },
            },
        })
    };
    let health = |health: &str, ready: u8| {
        json!({
            "identifier": "storefront-checkout", "blueprint": "workload",
            "properties": { "health": health, "readyReplicas": ready, "environment": "production" },
        })
    };
    let workload =
        json!({ "entity": "storefront-checkout", "blueprint": "workload", "integrationId": "kubernetes-exporter" });
    let down = json!({
        "context": context, "request": request("POST", PATH, 202, "203.0.113.14"),
        "additionalData": { "note": "save cost over the weekend (staging)" },
        "diff": { "before": size(12, true), "after": size(1, false) },
    });
    let sick =
        json!({ "context": workload, "diff": { "before": health("Healthy", 12), "after": health("Degraded", 1) } });
    let opened = json!({
        "context": { "entity": "storefront-checkout-latency", "blueprint": "incident" },
        "diff": { "before": null, "after": { "identifier": "storefront-checkout-latency", "blueprint": "incident", "properties": {
            "severity": "sev-1", "status": "triggered", "summary": "Checkout answers in more than 9 s" } } },
    });
    let busy = json!({
        "message": "Another deployment of this application is in progress",
        "context": context, "request": request("POST", PATH, 409, "198.51.100.31"),
    });
    let up = json!({
        "context": context, "request": request("POST", PATH, 202, "198.51.100.31"),
        "additionalData": { "note": "Revert: this was production, not staging" },
        "diff": { "before": size(1, false), "after": size(12, true) },
    });
    let well =
        json!({ "context": workload, "diff": { "before": health("Degraded", 1), "after": health("Healthy", 12) } });
    vec![
        event(at, "release-manager", "SCALE", "application", &down),
        event(at.plus_seconds(4 * MINUTE), "kubernetes-exporter", "UPDATE", "entity", &sick),
        event(at.plus_seconds(6 * MINUTE), "automation-engine", "CREATE", "entity", &opened),
        event(at.plus_seconds(21 * MINUTE), "platform-oncall", "SCALE", "application", &busy),
        event(at.plus_seconds(23 * MINUTE), "platform-oncall", "SCALE", "application", &up),
        event(at.plus_seconds(27 * MINUTE), "kubernetes-exporter", "UPDATE", "entity", &well),
    ]
}
