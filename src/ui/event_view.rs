//! A stored event as a page shows it. Only one level is parsed, so a list of large events is as fast as one of small
//! events.
//!
//! The parser does not trust the event: a member that is missing or has an unexpected type is not shown as what it should be,
//! but as one of the other members, so that nothing is left out.

use serde_json::value::RawValue;

use crate::model::{
    event::{FAILURE, MASKED, MASKED_CHANGED, MASKED_UNKNOWN, ORDERED_BY, OWN_ORIGIN},
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
    /// JSON pointers to the masked values.
    pub(super) masked: Vec<String>,
    /// Relative pointers to the masked values of the diff that changed; `None` if that was not recorded.
    pub(super) masked_changed: Option<Vec<String>>,
    /// Relative pointers to the masked values of the diff, or to enclosing values, of which it is unknown.
    pub(super) masked_unknown: Vec<String>,
    /// The members that have no place of their own on a page.
    pub(super) others: Vec<OtherMember>,
}

/// A member that the server does not know, or that it cannot show as what it should be.
#[derive(Debug, Clone)]
pub(super) struct OtherMember {
    /// The object that has the member: `""` is the event, `trigger.by` the actor.
    pub(super) object: &'static str,
    pub(super) key: String,
    /// The value as stored.
    pub(super) value: Box<RawValue>,
}

/// The actor.
#[derive(Debug, Clone, Default)]
pub(super) struct ActorView {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) organization: Option<String>,
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
        // Keys before `receivedAt` are the sender's, even if later versions of the server set them.
        let mut are_additions = false;
        for (key, value) in members(body) {
            are_additions |= key == "receivedAt";
            match key.as_str() {
                "trigger" if is_object(value) => event.read_trigger(value.get()),
                "context" if is_object(value) => event.read_context(value.get()),
                "request" if is_object(value) => event.read_request(value.get()),
                "diff" if is_object(value) => event.read_diff(value.get()),
                _ if are_additions && event.read_addition(&key, value) => {}
                _ => event.read_member(key, value),
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

    /// Reads a key that only the server sets. Returns whether it is one.
    fn read_addition(&mut self, key: &str, value: &RawValue) -> bool {
        let pointers = || serde_json::from_str(value.get()).ok();
        match key {
            "receivedAt" => self.received_at = text(value).and_then(|text| Timestamp::parse(&text)),
            "receivedBy" => self.received_by = text(value),
            MASKED => self.masked = pointers().unwrap_or_default(),
            MASKED_CHANGED => self.masked_changed = pointers(),
            MASKED_UNKNOWN => self.masked_unknown = pointers().unwrap_or_default(),
            ORDERED_BY => self.is_ordered_by_receipt = self.received_at.is_some(),
            _ => return false,
        }
        true
    }

    fn read_member(&mut self, key: String, value: &RawValue) {
        let mut status = None;
        let slots = [("message", &mut self.message), ("status", &mut status)];
        let rest = take(key, value, slots);
        self.failed |= status.is_some_and(|status: String| status.eq_ignore_ascii_case(FAILURE));
        let Some(key) = rest else {
            return;
        };
        match (key.as_str(), text(value)) {
            ("identifier", Some(text)) => self.identifier = text,
            ("action", Some(text)) => self.action = text,
            ("resourceType", Some(text)) => self.resource_type = text,
            _ => self.other("", key, value),
        }
    }

    fn read_trigger(&mut self, trigger: &str) {
        for (key, value) in members(trigger) {
            if key == "by" && is_object(value) {
                self.read_actor(value.get());
            } else if let Some(key) = take(key, value, [("at", &mut self.at_as_sent), ("origin", &mut self.origin)]) {
                self.other("trigger", key, value);
            }
        }
        self.at = self.at_as_sent.as_deref().and_then(Timestamp::parse);
    }

    fn read_actor(&mut self, by: &str) {
        for (key, value) in members(by) {
            let actor = &mut self.actor;
            let slots = [
                ("userId", &mut actor.id),
                ("name", &mut actor.name),
                ("email", &mut actor.email),
                ("type", &mut actor.kind),
                ("orgId", &mut actor.organization),
            ];
            if let Some(key) = take(key, value, slots) {
                self.other("trigger.by", key, value);
            }
        }
    }

    fn read_context(&mut self, context: &str) {
        for (key, value) in members(context) {
            let context = &mut self.context;
            let slots = [
                ("entity", &mut context.entity),
                ("blueprint", &mut context.blueprint),
                ("runId", &mut context.run),
                ("webhookId", &mut context.webhook),
                ("webhookEventId", &mut context.webhook_event),
                ("integrationId", &mut context.integration),
                ("actionType", &mut context.action_type),
            ];
            if let Some(key) = take(key, value, slots) {
                self.other("context", key, value);
            }
        }
    }

    fn read_request(&mut self, request: &str) {
        for (key, value) in members(request) {
            let request = &mut self.request;
            let slots = [
                ("method", &mut request.method),
                ("path", &mut request.path),
                ("ip", &mut request.ip),
                ("userAgent", &mut request.user_agent),
                ("statusCode", &mut request.status_code),
            ];
            if let Some(key) = take(key, value, slots) {
                self.other("request", key, value);
            }
        }
        // The code 0 means that there was no response.
        self.request.status_code = self.request.status_code.take().map(whole).filter(|code| code != "0");
    }

    fn read_diff(&mut self, diff: &str) {
        for (key, value) in members(diff) {
            let side = match key.as_str() {
                "before" => &mut self.before,
                "after" => &mut self.after,
                _ => {
                    self.other("diff", key, value);
                    continue;
                }
            };
            *side = Some(value.to_owned()).filter(|value| !json::is_null(value));
        }
    }

    fn other(&mut self, object: &'static str, key: String, value: &RawValue) {
        self.others.push(OtherMember { object, key, value: value.to_owned() });
    }
}

/// Reads a member into the slot of its key. Returns the key if there is no such slot, or if the value has no text.
fn take<const N: usize>(key: String, value: &RawValue, slots: [(&str, &mut Option<String>); N]) -> Option<String> {
    let Some((_, slot)) = slots.into_iter().find(|(name, _)| *name == key) else {
        return Some(key);
    };
    *slot = text(value);
    let is_nothing = matches!(value.get(), "null" | "\"\"");
    (slot.is_none() && !is_nothing).then_some(key)
}

/// A status code without a fraction: `200.0` is 200.
fn whole(code: String) -> String {
    match code.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && number.abs() < 1_000_000.0 => format!("{number:.0}"),
        _ => code,
    }
}

fn members(object: &str) -> impl Iterator<Item = (String, &RawValue)> {
    let members = Members::read(object, STORED_KEYS_MAX).ok();
    members.into_iter().flatten().map(|(key, value)| (key.into_owned(), value))
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// The text of a scalar that is not empty.
fn text(value: &RawValue) -> Option<String> {
    json::lossy_text(value).map(std::borrow::Cow::into_owned).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_generously_and_nothing_is_left_out() {
        let event = EventView::read(
            r#"{"identifier":7,"action":"A","resourceType":"x","status":"failure","message":"","maskedChanged":"own","trigger":{"at":5,"via":[1],
            "by":{"userId":42,"name":"","email":{"x":1},"team":"t"}},"context":{"entity":"e","runId":null,"tags":["a"]},
            "request":{"statusCode":"403","query":{}},"diff":{"before":null,"after":1,"note":2},"additionalData":null,"extra":true,
            "receivedAt":"2024-07-03T09:46:40Z","receivedBy":"ci","masked":["/a"],"orderedBy":"receivedAt"}"#,
        );
        assert_eq!((event.identifier.as_str(), event.failed, event.message.as_deref()), ("7", true, None));
        assert_eq!((event.actor_name(), event.request.status_code.as_deref()), (Some("42"), Some("403")));
        assert_eq!(
            (event.masked, event.masked_changed, event.is_ordered_by_receipt),
            (vec!["/a".to_owned()], None, true)
        );
        assert!(event.before.is_none() && event.after.is_some());
        let others = event.others.iter().map(|other| format!("{}.{}={}", other.object, other.key, other.value.get()));
        assert_eq!(
            others.collect::<Vec<_>>(),
            [
                r#".maskedChanged="own""#,
                "trigger.via=[1]",
                r#"trigger.by.email={"x":1}"#,
                r#"trigger.by.team="t""#,
                r#"context.tags=["a"]"#,
                "request.query={}",
                "diff.note=2",
                ".additionalData=null",
                ".extra=true",
            ]
        );
    }

    #[test]
    fn a_status_code_is_its_value() {
        for (sent, code) in [("200.0", Some("200")), ("\"404\"", Some("404")), ("0", None), ("\"x\"", Some("x"))] {
            let body = format!(r#"{{"request":{{"statusCode":{sent}}}}}"#);
            assert_eq!(EventView::read(&body).request.status_code.as_deref(), code, "{sent}");
        }
    }
}
