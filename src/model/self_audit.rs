//! auditbox's own records: requests and changes to auditbox itself, as ordinary events.

use std::{borrow::Cow, sync::Arc};

use serde_json::{Value, json};

use crate::model::{
    credential::COMMAND_LINE_NAME,
    error::FieldError,
    event::{Event, EventDraft, OWN_ORIGIN, Receipt, Sender},
    filter::OWN_RESOURCE_TYPE,
    limits::EventLimits,
    mask::{self, Mask},
    timestamp::Timestamp,
};

/// Maximum number of bytes of a path with its query, of a user agent, and of a message in a record. Clients choose these texts,
/// and each request makes a record, so longer texts could fill the disk.
const TEXT_BYTES_MAX: usize = 1_024;

/// Maximum number of bytes of a method in a record: the limit of an event.
const METHOD_BYTES_MAX: usize = 128;

/// Which requests to auditbox are recorded. Changes to credentials and exports are always recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// Every authenticated request.
    All,
    /// Requests that change something, or that were rejected when they tried to.
    Writes,
    /// No requests.
    Off,
}

impl Record {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::All, Self::Writes, Self::Off];

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Writes => "writes",
            Self::Off => "off",
        }
    }
}

/// Masks secrets in the paths of requests to auditbox: those that are masked in events, in case a client sends one by mistake,
/// and the code of a sign-in link.
#[derive(Debug, Clone, Default)]
pub struct RequestMask(Arc<Mask>);

impl RequestMask {
    /// The path with its query, with secrets replaced.
    pub fn path(&self, path: &str) -> String {
        let path = self.0.query_of(path).map_or(Cow::Borrowed(path), Cow::Owned);
        mask::without_parameter(&path, "code").unwrap_or_else(|| path.into_owned())
    }
}

/// An authenticated request to auditbox.
#[derive(Debug, Clone)]
pub struct SelfAuditRequest {
    /// The credential's name.
    pub actor_name: String,
    /// The credential's client id.
    pub actor_id: String,
    /// The credential's type.
    pub actor_type: &'static str,
    /// The action, which the route decides: `audit_log.list`, `credential.create` …
    pub action: &'static str,
    /// The HTTP method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The address of the client.
    pub ip: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// When the request arrived.
    pub at: Timestamp,
}

impl SelfAuditRequest {
    /// The record of this request, answered with `status_code`. `message` is the reason of a rejection.
    pub fn event(&self, status_code: u16, message: Option<&str>) -> Result<Event, FieldError> {
        self.ended(if status_code < 400 { "SUCCESS" } else { "FAILURE" }, status_code, message)
    }

    /// The record of this request, whose response began with `status_code` and was interrupted.
    pub fn broken_event(&self, status_code: u16, message: &str) -> Result<Event, FieldError> {
        self.ended("FAILURE", status_code, Some(message))
    }

    fn ended(&self, status: &str, status_code: u16, message: Option<&str>) -> Result<Event, FieldError> {
        let event = json!({
            "action": self.action,
            "resourceType": OWN_RESOURCE_TYPE,
            "status": status,
            "message": message.filter(|message| !message.is_empty()).map(bounded),
            "trigger": {
                "at": self.at.to_string(),
                "origin": OWN_ORIGIN,
                "by": { "userId": self.actor_id, "type": self.actor_type, "name": self.actor_name },
            },
            "context": {},
            "request": {
                "method": self.method[..self.method.floor_char_boundary(METHOD_BYTES_MAX)],
                "path": bounded(&self.path),
                "statusCode": status_code,
                "ip": self.ip,
                "userAgent": self.user_agent.as_deref().filter(|agent| !agent.is_empty()).map(bounded),
            },
        });
        own_event(&event)
    }
}

/// The record of a command: `action` on the credential called `name`.
pub fn command_line_event(action: &str, name: &str, client_id: &str) -> Result<Event, FieldError> {
    system_event(action, "credential", COMMAND_LINE_NAME, &json!({ "entity": client_id }), &json!({ "name": name }))
}

/// The resource type of records about the log itself, mainly of deletions.
pub const RECORD_RESOURCE_TYPE: &str = "audit_log";

/// The record of a deletion by retention. `details` lists the deleted events and the rules.
pub fn retention_event(details: &Value) -> Result<Event, FieldError> {
    system_event("DELETE", RECORD_RESOURCE_TYPE, "retention", &json!({}), details)
}

/// The record of an operator's confirmation that the clock is right although it is far ahead of the log.
pub fn clock_event(before: Option<Timestamp>) -> Result<Event, FieldError> {
    let details = json!({ "before": before.map(|before| before.to_string()) });
    system_event("retention.trust_clock", RECORD_RESOURCE_TYPE, COMMAND_LINE_NAME, &json!({}), &details)
}

/// The record of a restore, in the restored log. `details` describes the replaced log and the changes to credentials.
pub fn restore_event(details: &Value) -> Result<Event, FieldError> {
    system_event("audit_log.restore", RECORD_RESOURCE_TYPE, COMMAND_LINE_NAME, &json!({}), details)
}

/// The record of a change that no authenticated request made.
fn system_event(
    action: &str,
    resource_type: &str,
    by: &str,
    context: &Value,
    details: &Value,
) -> Result<Event, FieldError> {
    own_event(&json!({
        "action": action,
        "resourceType": resource_type,
        "trigger": { "origin": OWN_ORIGIN, "by": { "type": "system", "name": by } },
        "context": context,
        "additionalData": details,
    }))
}

fn own_event(event: &Value) -> Result<Event, FieldError> {
    let text = event.to_string();
    let draft = EventDraft::parse(&text, &EventLimits::default(), Sender::Server)?;
    Ok(draft.accept(&Receipt { at: Timestamp::now(), by: OWN_ORIGIN }))
}

/// Shortens a text that is too long for a record or the server log to its beginning, followed by its length in bytes. A shortened
/// text is short enough, so it is not shortened again.
pub fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    let mark = format!("… ({} bytes)", text.len());
    let kept = text.floor_char_boundary(TEXT_BYTES_MAX - mark.len());
    Cow::Owned(text[..kept].to_owned() + &mark)
}

fn bounded(text: &str) -> String {
    shortened(&text.replace('\0', "\u{fffd}")).into_owned()
}
