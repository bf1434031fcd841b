//! Actions in words: `UPDATE` is "updated", `app.deploy` is "deployed app".
//!
//! An unknown action keeps its own words, so no phrase says more than the event.

use crate::model::verbs::{Verb, words};

/// An action in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ActionPhrase {
    /// `updated`, `tried to update`, or the words of an unknown action.
    pub(super) verb: String,
    /// The object that the action itself names: `user` in `user.invite`.
    pub(super) object: Option<String>,
}

/// The phrase of an action.
pub(super) fn action_phrase(action: &str, failed: bool) -> ActionPhrase {
    let words = words(action);
    if let Some((Verb { base, past }, rest)) = Verb::of_action(&words) {
        let verb = if failed { format!("tried to {base}") } else { past.into_owned() };
        return ActionPhrase { verb, object: Some(rest.join(" ")).filter(|words| !words.is_empty()) };
    }
    let verb = if words.is_empty() { action.to_owned() } else { words.join(" ") };
    ActionPhrase { verb: if failed { format!("failed: {verb}") } else { verb }, object: None }
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
            ("app.deploy", "deployed", Some("app")),
            ("audit_log.list", "listed", Some("audit log")),
            ("CreateAccessKey", "created", Some("access key")),
            ("unlock", "unlocked", None),
            ("user.get", "read", Some("user")),
            ("TIMER_EXPIRED", "timer expired", None),
            ("", "", None),
            ("…", "…", None),
        ] {
            let phrase = action_phrase(action, false);
            assert_eq!((phrase.verb.as_str(), phrase.object.as_deref()), (verb, object), "{action}");
        }
        assert_eq!(action_phrase("rollback", true).verb, "tried to roll back");
        assert_eq!(action_phrase("TIMER_EXPIRED", true).verb, "failed: timer expired");
    }
}
