//! A stored event as a page shows it. Only one level is parsed, so a list of large events is as fast as one of small
//! events.
//!
//! The parser does not trust the event: a member that is missing or has an unexpected type is not shown.

use serde_json::value::RawValue;

use crate::model::{
    event::{FAILURE, ORDERED_BY, OWN_ORIGIN},
    json::{self, Members},
    limits::STORED_KEYS_MAX,
    timestamp::Timestamp,
};

/// The members of an event that pages show.
#[derive(Debug, Clone, Default)]
pub(super) struct EventView {
    pub(super) identifier: String,
    pub(super) action: String,
    pub(super) resource_type: String,
    pub(super) failed: bool,
    pub(super) message: Option<String>,
    pub(super) at: Option<Timestamp>,
    /// The event time as the sender wrote it.
    pub(super) at_as_sent: Option<String>,
    pub(super) received_at: Option<Timestamp>,
    pub(super) received_by: Option<String>,
    /// Whether the log orders the event by its receipt, because the event time was too far in the future.
    pub(super) is_ordered_by_receipt: bool,
    pub(super) origin: Option<String>,
    pub(super) actor: ActorView,
    pub(super) context: ContextView,
    pub(super) request: Request,
    pub(super) before: Option<Box<RawValue>>,
    pub(super) after: Option<Box<RawValue>>,
}

/// The actor.
#[derive(Debug, Clone, Default)]
pub(super) struct ActorView {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) organisation: Option<String>,
}

/// The context.
#[derive(Debug, Clone, Default)]
pub(super) struct ContextView {
    pub(super) entity: Option<String>,
    pub(super) blueprint: Option<String>,
    pub(super) run: Option<String>,
    pub(super) webhook: Option<String>,
    pub(super) webhook_event: Option<String>,
    pub(super) integration: Option<String>,
    pub(super) action_type: Option<String>,
    /// Other members: the key, and the value as stored.
    pub(super) others: Vec<(String, String)>,
}

/// The request.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: Option<String>,
    pub(super) path: Option<String>,
    pub(super) status_code: Option<String>,
    pub(super) ip: Option<String>,
    pub(super) user_agent: Option<String>,
}

impl EventView {
    /// Parses a stored event.
    pub(super) fn read(body: &str) -> Self {
        let mut event = Self::default();
        for (key, value) in members(body) {
            match key.as_str() {
                "identifier" => event.identifier = text(value).unwrap_or_default(),
                "action" => event.action = text(value).unwrap_or_default(),
                "resourceType" => event.resource_type = text(value).unwrap_or_default(),
                "status" => event.failed = text(value).is_some_and(|text| text.eq_ignore_ascii_case(FAILURE)),
                "message" => event.message = text(value),
                "receivedAt" => event.received_at = text(value).and_then(|text| Timestamp::parse(&text)),
                "receivedBy" => event.received_by = text(value),
                ORDERED_BY => event.is_ordered_by_receipt = event.received_at.is_some(),
                "trigger" => event.read_trigger(value.get()),
                "context" => event.context = ContextView::read(value.get()),
                "request" => event.request = Request::read(value.get()),
                "diff" => event.read_diff(value.get()),
                _ => {}
            }
        }
        event
    }

    /// The actor's name, otherwise the e-mail address, otherwise the id.
    pub(super) fn actor_name(&self) -> Option<&str> {
        let ActorView { name, email, id, .. } = &self.actor;
        name.as_deref().or(email.as_deref()).or(id.as_deref())
    }

    /// The time by which the log orders the event.
    pub(super) fn ordered_at(&self) -> Option<Timestamp> {
        self.at.filter(|_| !self.is_ordered_by_receipt).or(self.received_at)
    }

    /// Whether this is auditbox's own record.
    pub(super) fn is_own(&self) -> bool {
        self.origin.as_deref() == Some(OWN_ORIGIN)
    }

    fn read_trigger(&mut self, trigger: &str) {
        for (key, value) in members(trigger) {
            match key.as_str() {
                "at" => {
                    self.at_as_sent = text(value);
                    self.at = self.at_as_sent.as_deref().and_then(Timestamp::parse);
                }
                "origin" => self.origin = text(value),
                "by" => self.actor = ActorView::read(value.get()),
                _ => {}
            }
        }
    }

    fn read_diff(&mut self, diff: &str) {
        for (key, value) in members(diff) {
            let side = match key.as_str() {
                "before" => &mut self.before,
                "after" => &mut self.after,
                _ => continue,
            };
            *side = Some(value.to_owned()).filter(|value| !json::is_null(value));
        }
    }
}

impl ActorView {
    fn read(by: &str) -> Self {
        let mut actor = Self::default();
        for (key, value) in members(by) {
            let slot = match key.as_str() {
                "userId" => &mut actor.id,
                "name" => &mut actor.name,
                "email" => &mut actor.email,
                "type" => &mut actor.kind,
                "orgId" => &mut actor.organisation,
                _ => continue,
            };
            *slot = text(value);
        }
        actor
    }
}

impl ContextView {
    fn read(context: &str) -> Self {
        let mut read = Self::default();
        for (key, value) in members(context) {
            let slot = match key.as_str() {
                "entity" => &mut read.entity,
                "blueprint" => &mut read.blueprint,
                "runId" => &mut read.run,
                "webhookId" => &mut read.webhook,
                "webhookEventId" => &mut read.webhook_event,
                "integrationId" => &mut read.integration,
                "actionType" => &mut read.action_type,
                _ => {
                    if !json::is_null(value) {
                        read.others.push((key, value.get().to_owned()));
                    }
                    continue;
                }
            };
            *slot = text(value);
        }
        read
    }
}

impl Request {
    fn read(request: &str) -> Self {
        let mut read = Self::default();
        for (key, value) in members(request) {
            match key.as_str() {
                "method" => read.method = text(value),
                "path" => read.path = text(value),
                "ip" => read.ip = text(value),
                "userAgent" => read.user_agent = text(value),
                "statusCode" => read.status_code = text(value),
                _ => {}
            }
        }
        read
    }
}

fn members(object: &str) -> impl Iterator<Item = (String, &RawValue)> {
    let members = Members::read(object, STORED_KEYS_MAX).ok();
    members.into_iter().flatten().map(|(key, value)| (key.into_owned(), value))
}

/// The text of a scalar that is not empty. Text with a lone surrogate cannot be shown otherwise than as stored.
fn text(value: &RawValue) -> Option<String> {
    let text = json::scalar_text(value).or_else(|| json::is_string(value).then(|| value.get().into()));
    text.map(std::borrow::Cow::into_owned).filter(|text| !text.is_empty())
}
