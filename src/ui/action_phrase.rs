//! Actions in words: `UPDATE` is "updated", `app.deploy` is "deployed app".
//!
//! An action whose meaning is uncertain is shown verbatim, so no phrase says more or less than the event.

use crate::model::verbs::{self, Verb, words};

/// An action in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ActionPhrase {
    /// What was done.
    Verb {
        /// `updated`, or `tried to update`.
        verb: String,
        /// The object that the action names, if it is not the resource type: `tag` in `tag.delete`.
        object: Option<String>,
        /// The word between the object and the resource: `of`, or `to` in "sent email to user bob". Empty if the object is the
        /// resource: `system api token` of a `token`.
        link: &'static str,
    },
    /// The action itself, because its meaning is uncertain.
    Verbatim(String),
}

/// The phrase of an action on a resource type.
pub(super) fn action_phrase(action: &str, resource_type: &str, failed: bool) -> ActionPhrase {
    let (words, kind) = (words(action), words(resource_type));
    let Some((Verb { base, past }, object)) = Verb::of_action(&words, &kind) else {
        let action = if action.is_empty() { "(no action)" } else { action };
        let is_said = verbs::says_failure(&words);
        return ActionPhrase::Verbatim(if failed && !is_said {
            format!("failed: {action}")
        } else {
            action.to_owned()
        });
    };
    let object = verbs::after(object, &kind);
    // A type such as `AWS::IAM::User` names the object itself.
    let object = if verbs::ends_with(&kind, object) { &[] } else { object };
    let link = if verbs::ends_with(object, &kind) { "" } else { verbs::link(&base) };
    let verb = if failed { format!("tried to {base}") } else { past.into_owned() };
    ActionPhrase::Verb { verb, object: (!object.is_empty()).then(|| object.join(" ")), link }
}

/// The kind of change that an action makes, for its color.
pub(super) fn tone(action: &str) -> &'static str {
    let words = words(action);
    let is = |verbs: &[&str]| words.iter().any(|word| verbs.contains(&word.as_str()));
    if is(&["create", "add", "insert", "install", "grant", "invite", "import", "upload"]) {
        "create"
    } else if is(&["delete", "remove", "destroy", "revoke", "uninstall", "disable", "deny"]) {
        "delete"
    } else if is(&["read", "get", "list", "view", "export", "download"]) {
        "read"
    } else if is(&["update", "change", "patch", "modify", "set", "rename", "upgrade", "rotate", "scale", "switch"]) {
        "update"
    } else {
        "other"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_become_phrases() {
        for (action, verb, object) in [
            ("UPDATE", "updated", None),
            ("tag.delete", "deleted", Some("tag")),
            ("application.deploy", "deployed", None),
            ("applications.list", "listed", None),
            ("audit_log.list", "listed", Some("audit log")),
            ("CreateAccessKey", "created", Some("access key")),
        ] {
            let expected = ActionPhrase::Verb { verb: verb.to_owned(), object: object.map(str::to_owned), link: "of" };
            assert_eq!(action_phrase(action, "Application", false), expected, "{action}");
        }
        for action in ["TIMER_EXPIRED", "delete_failed", "…"] {
            assert_eq!(action_phrase(action, "x", false), ActionPhrase::Verbatim(action.to_owned()));
        }
        assert_eq!(action_phrase("", "x", false), ActionPhrase::Verbatim("(no action)".to_owned()));
        let tried = ActionPhrase::Verb { verb: "tried to roll back".to_owned(), object: None, link: "of" };
        assert_eq!(action_phrase("rollback", "x", true), tried);
        assert_eq!(
            action_phrase("TIMER_EXPIRED", "x", true),
            ActionPhrase::Verbatim("failed: TIMER_EXPIRED".to_owned())
        );
        // The action says it itself.
        for action in ["login_failed", "LoginFailure", "request.error"] {
            assert_eq!(action_phrase(action, "x", true), ActionPhrase::Verbatim(action.to_owned()));
        }
    }
}
