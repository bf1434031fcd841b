//! Actions in words: `UPDATE` is "updated", `app.deploy` is "deployed app".
//!
//! An unknown action keeps its own words, so no phrase says more than the event.

use crate::ui::wording::words;

/// Verbs: as an action names it, in the base form, and in the past tense.
const VERBS: &[(&str, &str, &str)] = &[
    ("add", "add", "added"),
    ("approve", "approve", "approved"),
    ("archive", "archive", "archived"),
    ("assign", "assign", "assigned"),
    ("attach", "attach", "attached"),
    ("build", "build", "built"),
    ("cancel", "cancel", "canceled"),
    ("change", "change", "changed"),
    ("connect", "connect", "connected"),
    ("create", "create", "created"),
    ("delete", "delete", "deleted"),
    ("deliver", "deliver", "delivered"),
    ("deploy", "deploy", "deployed"),
    ("deny", "deny", "denied"),
    ("destroy", "destroy", "destroyed"),
    ("detach", "detach", "detached"),
    ("disable", "disable", "disabled"),
    ("disconnect", "disconnect", "disconnected"),
    ("download", "download", "downloaded"),
    ("enable", "enable", "enabled"),
    ("execute", "execute", "executed"),
    ("export", "export", "exported"),
    ("get", "read", "read"),
    ("grant", "grant", "granted"),
    ("import", "import", "imported"),
    ("ingest", "send to", "sent to"),
    ("insert", "insert", "inserted"),
    ("install", "install", "installed"),
    ("invite", "invite", "invited"),
    ("invoke", "invoke", "invoked"),
    ("list", "list", "listed"),
    ("modify", "modify", "modified"),
    ("move", "move", "moved"),
    ("patch", "change", "changed"),
    ("promote", "promote", "promoted"),
    ("publish", "publish", "published"),
    ("put", "put", "put"),
    ("read", "read", "read"),
    ("rebase", "rebase", "rebased"),
    ("reject", "reject", "rejected"),
    ("remove", "remove", "removed"),
    ("rename", "rename", "renamed"),
    ("request", "request", "requested"),
    ("restart", "restart", "restarted"),
    ("restore", "restore", "restored"),
    ("revoke", "revoke", "revoked"),
    ("rollback", "roll back", "rolled back"),
    ("rotate", "rotate", "rotated"),
    ("run", "run", "ran"),
    ("scale", "scale", "scaled"),
    ("send", "send", "sent"),
    ("set", "set", "set"),
    ("start", "start", "started"),
    ("stop", "stop", "stopped"),
    ("suspend", "suspend", "suspended"),
    ("switch", "switch", "switched"),
    ("sync", "synchronize", "synchronized"),
    ("transfer", "transfer", "transferred"),
    ("trigger", "trigger", "triggered"),
    ("uninstall", "uninstall", "uninstalled"),
    ("unlock", "unlock", "unlocked"),
    ("lock", "lock", "locked"),
    ("update", "update", "updated"),
    ("upgrade", "upgrade", "upgraded"),
    ("upload", "upload", "uploaded"),
    ("upsert", "create or update", "created or updated"),
    ("view", "view", "viewed"),
    ("write", "write", "wrote"),
];

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
    let verb_of = |word: &String| VERBS.iter().find(|(known, ..)| known == word);
    let past = |(_, base, done): &(&str, &str, &str)| {
        if failed { format!("tried to {base}") } else { (*done).to_owned() }
    };
    let object = |words: &[String]| Some(words.join(" ")).filter(|words| !words.is_empty());
    if let Some((last, before)) = words.split_last()
        && let Some(verb) = verb_of(last)
    {
        return ActionPhrase { verb: past(verb), object: object(before) };
    }
    if let Some((first, after)) = words.split_first()
        && let Some(verb) = verb_of(first)
    {
        return ActionPhrase { verb: past(verb), object: object(after) };
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
