//! The values of an event. Each links to the events with the same value and to those without it.

use crate::{
    model::{field::Field, list_params::ListParams, timestamp::Timestamp, zone::Zone},
    ui::{
        event_view::EventView,
        formatted_time::{self, FormattedTime},
        labels::Labels,
        wording::truncated,
    },
};

/// Seconds between an event and its receipt above which the page shows the difference.
const SKEW_SECONDS: i64 = 5;
/// Maximum number of characters of a value.
const CHARS_MAX: usize = 600;

/// A group of facts.
#[derive(Debug)]
pub(super) struct FactGroup {
    pub(super) title: &'static str,
    pub(super) facts: Vec<Fact>,
}

/// One value.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) label: String,
    pub(super) value: String,
    /// The stored value, if it is shown in other words.
    pub(super) code: Option<String>,
    /// The URLs of the events with this value and of those without it.
    pub(super) links: Option<(String, String)>,
}

/// When an event happened, and when it was received.
#[derive(Debug)]
pub(super) struct Times {
    /// The time by which the log orders the event.
    pub(super) at: FormattedTime,
    /// Whether that is the time of receipt, so that the time of the event is unknown.
    pub(super) is_ordered_by_receipt: bool,
    pub(super) received: Option<FormattedTime>,
    /// The difference between the two, if it is large.
    pub(super) skew: Option<String>,
    /// The time of the event as the sender wrote it.
    pub(super) as_sent: Option<String>,
    /// Whether the sender gave no time, so that the server set the time of receipt.
    pub(super) is_receipt: bool,
}

impl Times {
    pub(super) fn of(event: &EventView, zone: &Zone, now: Timestamp) -> Self {
        let show = |at| FormattedTime::new(at, zone, now);
        let skew = event.at.zip(event.received_at).and_then(|(at, received)| {
            let seconds = (received.micros() - at.micros()).div_euclid(1_000_000);
            let length = formatted_time::length(seconds);
            match seconds {
                late if late > SKEW_SECONDS => Some(format!("received {length} after it happened")),
                early if early < -SKEW_SECONDS => {
                    Some(format!("received {length} before its own time: the sender’s clock is ahead"))
                }
                _ => None,
            }
        });
        let is_receipt = event.received_at.map(|at| at.to_string()) == event.at_as_sent;
        Self {
            at: show(event.ordered_at().unwrap_or(now)),
            is_ordered_by_receipt: event.is_ordered_by_receipt,
            received: event.received_at.map(show),
            skew,
            as_sent: event.at_as_sent.clone().filter(|_| !is_receipt),
            is_receipt,
        }
    }
}

/// The facts of an event, except its times, message and changes.
pub(super) fn groups(event: &EventView, params: &ListParams, labels: &Labels) -> Vec<FactGroup> {
    let facts = Facts { params, labels };
    let (actor, context, request) = (&event.actor, &event.context, &event.request);
    let who = [
        facts.of("Name", Field::Actor, actor.name.as_deref()),
        facts.of("E-mail", Field::Actor, actor.email.as_deref()),
        facts.of("Id", Field::Actor, actor.id.as_deref()),
        facts.of("Type", Field::ActorType, actor.kind.as_deref()),
        plain("Organization", actor.organization.as_deref()),
        plain("Received from", event.received_by.as_deref()),
    ];
    let what = [
        facts.of("Action", Field::Action, Some(&event.action)),
        facts.of("Resource type", Field::ResourceType, Some(&event.resource_type)),
        facts.of("Entity", Field::Entity, context.entity.as_deref()),
        facts.of("Blueprint", Field::Blueprint, context.blueprint.as_deref()),
        facts.of("Run", Field::Run, context.run.as_deref()),
        facts.of("Action type", Field::ActionType, context.action_type.as_deref()),
        facts.of("Outcome", Field::Status, Some(if event.failed { "FAILURE" } else { "SUCCESS" })),
        facts.of("Identifier", Field::Identifier, Some(&event.identifier)),
    ];
    let from = [
        facts.of("Origin", Field::Origin, event.origin.as_deref()),
        facts.of("Address", Field::Ip, request.ip.as_deref()),
        facts.of("Method", Field::Method, request.method.as_deref()),
        facts.of("Path", Field::Path, request.path.as_deref()),
        facts.of("Status code", Field::StatusCode, request.status_code.as_deref()),
        plain("User agent", request.user_agent.as_deref()),
        facts.of("Webhook", Field::Webhook, context.webhook.as_deref()),
        facts.of("Webhook event", Field::WebhookEvent, context.webhook_event.as_deref()),
        facts.of("Installation", Field::Installation, context.integration.as_deref()),
    ];
    let groups = [
        ("Who", who.into_iter().flatten().collect::<Vec<_>>()),
        ("What", what.into_iter().flatten().collect()),
        ("From where", from.into_iter().flatten().collect()),
    ];
    let groups = groups.into_iter().filter(|(_, facts)| !facts.is_empty());
    groups.map(|(title, facts)| FactGroup { title, facts }).collect()
}

/// Creates facts with their links.
struct Facts<'a> {
    params: &'a ListParams,
    labels: &'a Labels,
}

impl Facts<'_> {
    fn of(&self, label: &str, field: Field, value: Option<&str>) -> Option<Fact> {
        let value = value.filter(|value| !value.is_empty())?;
        let shown = cut(&self.labels.of(field, value));
        let link = |negated| {
            // The event itself may be one of auditbox's own records.
            let list = ListParams { include_own: true, ..self.params.all() };
            Some(list.with(field, negated, value)?.href())
        };
        Some(Fact {
            label: label.to_owned(),
            code: Some(value).filter(|value| value.to_lowercase() != shown.to_lowercase()).map(cut),
            value: shown,
            links: link(false).zip(link(true)),
        })
    }
}

fn plain(label: &str, value: Option<&str>) -> Option<Fact> {
    let value = value.filter(|value| !value.is_empty())?;
    Some(Fact { label: label.to_owned(), value: cut(value), code: None, links: None })
}

fn cut(text: &str) -> String {
    truncated(text, CHARS_MAX)
}
