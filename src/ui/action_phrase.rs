//! An event as one sentence: "ci-token updated entity api in service".

use std::fmt;

use crate::{
    model::filter::OWN_RESOURCE_TYPE,
    ui::{
        event_view::EventView,
        labels::Labels,
        wording::{self, ActionPhrase},
    },
};

/// The parts of the sentence, so that a page can set off what matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sentence {
    pub(super) who: String,
    pub(super) verb: String,
    /// The kind of thing it was done to, in the middle of a sentence.
    pub(super) kind: String,
    /// The thing.
    pub(super) subject: Option<String>,
    /// What the thing is one of.
    pub(super) within: Option<String>,
}

impl Sentence {
    pub(super) fn new(entry: &EventView, labels: &Labels) -> Self {
        let ActionPhrase { verb, object } = wording::deed(&entry.action, entry.failed);
        let context = &entry.context;
        let is_request = entry.resource_type == OWN_RESOURCE_TYPE;
        let kind = match object {
            // The action of `api_request` says more than the type does.
            Some(object) if is_request || object.len() > entry.resource_type.len() => object,
            _ => labels.resource_type(&entry.resource_type).to_lowercase(),
        };
        // A thing without an entity is named by what it is a kind of, else by where the request went.
        let (subject, within) = match (&context.entity, &context.blueprint) {
            (Some(entity), blueprint) => (Some(entity.clone()), blueprint.clone()),
            (None, Some(blueprint)) => (Some(blueprint.clone()), None),
            (None, None) => (context.webhook.clone().or_else(|| context.run.clone()), None),
        };
        let within = within.filter(|within| !within.eq_ignore_ascii_case(&entry.resource_type));
        let who = entry.actor_name().unwrap_or("Somebody").to_owned();
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

    fn said(event: &serde_json::Value) -> String {
        Sentence::new(&EventView::read(&event.to_string()), &Labels::none()).to_string()
    }

    #[test]
    fn sentences_name_who_what_and_where() {
        let by = serde_json::json!({ "by": { "userId": "u1", "name": "ci-token" } });
        let event = serde_json::json!({
            "action": "UPDATE", "resourceType": "entity", "trigger": by,
            "context": { "entity": "api", "blueprint": "service" },
        });
        assert_eq!(said(&event), "ci-token updated entity api in service");
        let event = serde_json::json!({
            "action": "DELETE", "resourceType": "blueprint", "status": "FAILURE", "context": { "blueprint": "service" },
        });
        assert_eq!(said(&event), "Somebody tried to delete blueprint service");
        let event = serde_json::json!({ "action": "audit_log.list", "resourceType": "api_request", "trigger": by });
        assert_eq!(said(&event), "ci-token listed audit log");
        assert_eq!(said(&serde_json::json!([1])), "Somebody  ");
    }
}
