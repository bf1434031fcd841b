//! An event as one sentence: "ci-token updated entity api in service".

use std::fmt;

use crate::{
    model::filter::OWN_RESOURCE_TYPE,
    ui::{
        action_phrase::{ActionPhrase, action_phrase},
        event_view::EventView,
        labels::Labels,
    },
};

/// The parts of the sentence, which pages style separately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sentence {
    pub(super) who: String,
    pub(super) verb: String,
    /// The resource type, in lower case unless it is a name.
    pub(super) kind: String,
    /// The object of the action.
    pub(super) subject: Option<String>,
    /// The blueprint of the object.
    pub(super) within: Option<String>,
}

impl Sentence {
    pub(super) fn new(event: &EventView, labels: &Labels) -> Self {
        let ActionPhrase { verb, object } = action_phrase(&event.action, event.failed);
        let context = &event.context;
        let is_request = event.resource_type == OWN_RESOURCE_TYPE;
        let kind = match object {
            // The action of an `api_request` is more specific than its type.
            Some(object) if is_request || object.len() > event.resource_type.len() => object,
            _ => labels.resource_type(&event.resource_type).to_lowercase(),
        };
        // Without an entity, the subject is the blueprint, the webhook or the run.
        let (subject, within) = match (&context.entity, &context.blueprint) {
            (Some(entity), blueprint) => (Some(entity.clone()), blueprint.clone()),
            (None, Some(blueprint)) => (Some(blueprint.clone()), None),
            (None, None) => (context.webhook.clone().or_else(|| context.run.clone()), None),
        };
        let within = within.filter(|within| !within.eq_ignore_ascii_case(&event.resource_type));
        let who = event.actor_name().unwrap_or("Somebody").to_owned();
        Self { who, verb, kind, subject, within }
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.who, self.verb, self.kind)?;
        if let Some(subject) = &self.subject {
            write!(f, " {subject}")?;
        }
        if let Some(within) = &self.within {
            write!(f, " in {within}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(event: &serde_json::Value) -> String {
        Sentence::new(&EventView::read(&event.to_string()), &Labels::none()).to_string()
    }

    #[test]
    fn sentences_name_who_what_and_where() {
        let by = serde_json::json!({ "by": { "userId": "u1", "name": "ci-token" } });
        let event = serde_json::json!({
            "action": "UPDATE", "resourceType": "entity", "trigger": by,
            "context": { "entity": "api", "blueprint": "service" },
        });
        assert_eq!(sentence(&event), "ci-token updated entity api in service");
        let event = serde_json::json!({
            "action": "DELETE", "resourceType": "blueprint", "status": "FAILURE", "context": { "blueprint": "service" },
        });
        assert_eq!(sentence(&event), "Somebody tried to delete blueprint service");
        let event = serde_json::json!({ "action": "audit_log.list", "resourceType": "api_request", "trigger": by });
        assert_eq!(sentence(&event), "ci-token listed audit log");
        assert_eq!(sentence(&serde_json::json!([1])), "Somebody  ");
    }
}
