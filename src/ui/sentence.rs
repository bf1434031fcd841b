//! An event as one sentence: "ci-token updated entity api in service".

use std::fmt;

use crate::{
    model::{
        filter::OWN_RESOURCE_TYPE,
        verbs::{NO_ACTOR, words},
    },
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
    /// What was done, or the action itself.
    pub(super) verb: String,
    /// Whether `verb` is the action itself, because its meaning is uncertain.
    pub(super) is_verbatim: bool,
    /// The word between the action and the resource.
    link: &'static str,
    /// The object that the action names besides the resource: `tag` in "deleted tag of application checkout".
    pub(super) object: Option<String>,
    /// The resource type, in lower case unless it is a name.
    pub(super) kind: Option<String>,
    /// The name of the resource.
    pub(super) subject: Option<String>,
    /// The blueprint of the resource.
    pub(super) within: Option<String>,
}

impl Sentence {
    pub(super) fn new(event: &EventView, labels: &Labels) -> Self {
        let phrase = action_phrase(&event.action, &event.resource_type, event.failed);
        let (verb, object, link, is_verbatim) = match phrase {
            ActionPhrase::Verb { verb, object, link } => (verb, object, link, false),
            ActionPhrase::Verbatim(action) => (action, None, "on", true),
        };
        // The action of auditbox's own record of a request is more specific than its type.
        let is_own_request = event.is_own() && event.resource_type == OWN_RESOURCE_TYPE;
        let is_named_by_action = object.is_some() && (link.is_empty() || is_own_request);
        let kind = (!event.resource_type.is_empty() && !is_named_by_action)
            .then(|| labels.resource_type_in_text(&event.resource_type));
        let (subject, within) = subject(event);
        let who = event.actor_name().unwrap_or(NO_ACTOR).to_owned();
        Self { who, verb, is_verbatim, link, object, kind, subject, within }
    }

    /// The word between the action and the resource, if there is one.
    pub(super) fn link(&self) -> &'static str {
        let is_needed = self.has_resource() && (self.is_verbatim || self.object.is_some());
        if is_needed { self.link } else { "" }
    }

    /// The sentence as text in parts: each value, and the text between them.
    pub(super) fn parts(&self) -> Vec<String> {
        let mut parts = vec![self.who.clone(), if self.is_verbatim { ": " } else { " " }.to_owned(), self.verb.clone()];
        let link = Some(self.link()).filter(|link| !link.is_empty());
        let (object, kind, subject) = (self.object.as_deref(), self.kind.as_deref(), self.subject.as_deref());
        for part in [object, link, kind, subject].into_iter().flatten() {
            parts.extend([" ".to_owned(), part.to_owned()]);
        }
        if let Some(within) = &self.within {
            parts.extend([" in ".to_owned(), within.clone()]);
        }
        parts
    }

    /// The sentence with each part changed by `change`.
    pub(super) fn map(self, change: impl Fn(&str) -> String) -> Self {
        let part = |part: Option<String>| part.as_deref().map(&change);
        Self {
            who: change(&self.who),
            verb: change(&self.verb),
            is_verbatim: self.is_verbatim,
            link: self.link,
            object: part(self.object),
            kind: part(self.kind),
            subject: part(self.subject),
            within: part(self.within),
        }
    }

    fn has_resource(&self) -> bool {
        self.kind.is_some() || self.subject.is_some()
    }
}

/// The name of the resource, and the blueprint that it belongs to. A blueprint, a run and a webhook are the resource only if
/// the resource type says so.
fn subject(event: &EventView) -> (Option<String>, Option<String>) {
    let context = &event.context;
    let kind = words(&event.resource_type);
    let own_name = match kind.last().map(String::as_str) {
        Some("blueprint") => &context.blueprint,
        Some("run") => &context.run,
        Some("webhook") => &context.webhook,
        _ => &None,
    };
    let subject = context.entity.as_ref().or(own_name.as_ref());
    let is_said =
        |blueprint: &&String| words(blueprint) == kind || (subject == Some(*blueprint) && subject == own_name.as_ref());
    let within = context.blueprint.as_ref().filter(|blueprint| !is_said(blueprint));
    (subject.cloned(), within.cloned())
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().iter().try_for_each(|part| f.write_str(part))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::verbs::Verb;

    fn sentence(event: &serde_json::Value) -> String {
        Sentence::new(&EventView::read(&event.to_string()), &Labels::none()).to_string()
    }

    #[test]
    fn sentences_name_who_what_and_where() {
        let by = json!({ "by": { "userId": "u1", "name": "ci-token" } });
        let event = json!({
            "action": "UPDATE", "resourceType": "entity", "trigger": by,
            "context": { "entity": "api", "blueprint": "service" },
        });
        assert_eq!(sentence(&event), "ci-token updated entity api in service");
        let event = json!({
            "action": "DELETE", "resourceType": "blueprint", "status": "FAILURE", "context": { "blueprint": "service" },
        });
        assert_eq!(sentence(&event), "(no actor) tried to delete blueprint service");
        let event = json!({ "action": "audit_log.list", "resourceType": "api_request", "trigger": by });
        assert_eq!(sentence(&event), "ci-token listed audit log of api request");
        let mut own = event;
        own["trigger"]["origin"] = "auditbox".into();
        assert_eq!(sentence(&own), "ci-token listed audit log");
        assert_eq!(sentence(&json!([1])), "(no actor): (no action)");
    }

    #[test]
    fn the_object_of_the_action_is_named_whatever_its_length() {
        for (action, kind, entity, expected) in [
            ("tag.delete", "application", "checkout", "deleted tag of application checkout"),
            ("key.delete", "cluster", "prod", "deleted key of cluster prod"),
            ("mfa.disable", "user", "ada", "disabled mfa of user ada"),
            ("email.send", "user", "bob", "sent email to user bob"),
            ("role.assign", "user", "bob", "assigned role to user bob"),
            ("DeleteDBInstance", "database", "orders", "deleted db instance of database orders"),
            ("DeleteDBInstance", "AWS::RDS::DBInstance", "orders", "deleted AWS::RDS::DBInstance orders"),
            ("CreateUser", "AWS::IAM::User", "ada", "created AWS::IAM::User ada"),
            ("user.session.start", "user", "ada", "started session of user ada"),
            ("group.user_membership.add", "group", "admins", "added user membership to group admins"),
            ("system.api_token.create", "token", "t1", "created system api token t1"),
            ("tag.delete", "price_tag", "t1", "deleted price tag t1"),
            ("environment_variable.update", "app", "web", "updated environment variable of app web"),
            ("application.deploy", "application", "checkout", "deployed application checkout"),
            ("users.delete", "user", "ada", "deleted user ada"),
            ("delete_failed", "application", "checkout", ": delete_failed on application checkout"),
        ] {
            let event = json!({ "action": action, "resourceType": kind, "context": { "entity": entity } });
            let space = if expected.starts_with(':') { "" } else { " " };
            assert_eq!(sentence(&event), format!("(no actor){space}{expected}"));
        }
    }

    #[test]
    fn the_actions_of_well_known_systems_read_well() {
        for (action, kind, expected) in [
            ("ModifyDBInstance", "rds", "modified db instance of rds"),
            ("RestoreDBInstanceFromDBSnapshot", "rds", ": RestoreDBInstanceFromDBSnapshot on rds"),
            ("AddRoleToDBInstance", "rds", ": AddRoleToDBInstance on rds"),
            ("AttachRolePolicy", "iam", "attached role policy to iam"),
            ("DetachRolePolicy", "iam", "detached role policy of iam"),
            ("EnableMFADevice", "iam", "enabled mfa device of iam"),
            ("ListAPIKeys", "rest", "listed api keys of rest"),
            ("CreateSAMLProvider", "iam", "created saml provider of iam"),
            ("RunInstances", "ec2", "ran instances of ec2"),
            ("ConsoleLogin", "signin", ": ConsoleLogin on signin"),
            ("repo.create", "repo", "created repo"),
            ("org.add_member", "org", ": org.add_member on org"),
            ("issue_comment.update", "issue_comment", "updated issue comment"),
            ("user.failed_login", "user", ": user.failed_login on user"),
            ("user.account.lock", "user", "locked account of user"),
            ("policy.rule.update", "policy", "updated rule of policy"),
            ("patch", "deployments", "changed deployments"),
            ("deletecollection", "pods", ": deletecollection on pods"),
            ("Microsoft.Compute/virtualMachines/write", "vm", ": Microsoft.Compute/virtualMachines/write on vm"),
        ] {
            let space = if expected.starts_with(':') { "" } else { " " };
            let event = |status: &str| sentence(&json!({ "action": action, "resourceType": kind, "status": status }));
            assert_eq!(event("SUCCESS"), format!("(no actor){space}{expected}"));
            assert!(event("FAILURE").matches("failed").count() < 2, "{action}");
        }
    }

    #[test]
    fn what_is_not_the_resource_is_not_named_as_the_resource() {
        let event = |kind: &str, context: serde_json::Value| {
            sentence(&json!({ "action": "DELETE", "resourceType": kind, "context": context }))
        };
        assert_eq!(event("entity", json!({ "blueprint": "service" })), "(no actor) deleted entity in service");
        assert_eq!(event("s3", json!({ "blueprint": "s3", "runId": "r1" })), "(no actor) deleted s3");
        assert_eq!(event("action", json!({ "runId": "r1" })), "(no actor) deleted action");
        assert_eq!(event("run", json!({ "runId": "r1" })), "(no actor) deleted run r1");
        assert_eq!(event("webhook", json!({ "webhookId": "w1" })), "(no actor) deleted webhook w1");
        let both = json!({ "entity": "service", "blueprint": "service" });
        assert_eq!(event("entity", both), "(no actor) deleted entity service in service");
    }

    fn code() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            prop::sample::select(vec![
                "delete",
                "create",
                "GET",
                "update",
                "rollback",
                "request",
                "upsert",
                "build",
                "failed",
                "bulk",
                "not",
                "up",
                "tag",
                "tags",
                "Application",
                "user",
                "mfa",
                "api_request",
                "İ",
                "ß",
                "v2",
            ])
            .prop_map(str::to_owned),
            "[a-zA-Z]{1,8}",
        ];
        let separator = prop::sample::select(vec!["_", ".", "-", ":", "/", " ", "", "|"]);
        prop::collection::vec((word, separator), 1..5)
            .prop_map(|parts| parts.into_iter().map(|(word, separator)| word + separator).collect::<String>())
    }

    proptest! {
        #[test]
        fn a_sentence_holds_every_word_of_its_action_or_the_action(action in code(), kind in code(), failed in any::<bool>()) {
            let status = if failed { "FAILURE" } else { "SUCCESS" };
            let event = json!({ "action": action, "resourceType": kind, "status": status });
            let parts = Sentence::new(&EventView::read(&event.to_string()), &Labels::none());
            let text = parts.to_string();
            if parts.is_verbatim {
                prop_assert!(text.contains(&action), "{text}");
                return Ok(());
            }
            let shown = words(&text);
            let holds = |word: &str| shown.iter().any(|shown| shown.trim_end_matches('s') == word.trim_end_matches('s'));
            let is_verb = |word: &str| {
                Verb::of_word(word).is_some_and(|verb| text.contains(&*verb.past) || text.contains(&*verb.base))
            };
            for word in words(&action) {
                prop_assert!(holds(&word) || is_verb(&word), "{word} of {action} is not in {text}");
            }
        }
    }
}
