//! Codes in words: `UPDATE` of an `entity` is "updated entity".
//!
//! Words are made from whatever an event says; an action that is not known keeps its own words. Nothing is invented.

/// A verb as it stands in an action, in its base form, and as what was done.
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

/// What was done, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ActionPhrase {
    /// `updated`, or `tried to update`, or the action's own words.
    pub(super) verb: String,
    /// What the action itself says it was done to: of `user.invite`, the user.
    pub(super) object: Option<String>,
}

/// Reads an action.
pub(super) fn deed(action: &str, failed: bool) -> ActionPhrase {
    let words = words(action);
    let verb_of = |word: &String| VERBS.iter().find(|(known, ..)| known == word);
    let say = |(_, base, past): &(&str, &str, &str)| {
        if failed { format!("tried to {base}") } else { (*past).to_owned() }
    };
    let object = |words: &[String]| Some(words.join(" ")).filter(|words| !words.is_empty());
    if let Some((last, before)) = words.split_last()
        && let Some(verb) = verb_of(last)
    {
        return ActionPhrase { verb: say(verb), object: object(before) };
    }
    if let Some((first, after)) = words.split_first()
        && let Some(verb) = verb_of(first)
    {
        return ActionPhrase { verb: say(verb), object: object(after) };
    }
    let verb = if words.is_empty() { action.to_owned() } else { words.join(" ") };
    ActionPhrase { verb: if failed { format!("failed: {verb}") } else { verb }, object: None }
}

/// The verb of an action, for a mark that shows what kind of change it was.
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

/// A code as people write it: `environment_group` is "Environment group".
pub(super) fn readable(code: &str) -> String {
    // `AWS::S3::Bucket` is a name of its own.
    if code.contains("::") {
        return code.to_owned();
    }
    let text = words(code).join(" ");
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => code.to_owned(),
    }
}

/// `api_request`, `API-request` and `apiRequest` are two words each. Text with spaces was written for people already.
fn words(code: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut was_lower = false;
    for char in code.chars() {
        if matches!(char, '_' | '.' | '-' | ':' | '/' | ' ') {
            words.push(std::mem::take(&mut word));
            was_lower = false;
            continue;
        }
        if char.is_uppercase() && was_lower {
            words.push(std::mem::take(&mut word));
        }
        was_lower = char.is_lowercase() || char.is_numeric();
        word.extend(char.to_lowercase());
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_become_what_was_done() {
        for (action, verb, object) in [
            ("UPDATE", "updated", None),
            ("app.deploy", "deployed", Some("app")),
            ("audit_log.list", "listed", Some("audit log")),
            ("CreateAccessKey", "created", Some("access key")),
            ("TIMER_EXPIRED", "timer expired", None),
            ("", "", None),
            ("…", "…", None),
        ] {
            let deed = deed(action, false);
            assert_eq!((deed.verb.as_str(), deed.object.as_deref()), (verb, object), "{action}");
        }
        assert_eq!(deed("rollback", true).verb, "tried to roll back");
        assert_eq!(deed("TIMER_EXPIRED", true).verb, "failed: timer expired");
    }

    #[test]
    fn codes_become_readable_and_what_is_no_code_stays() {
        for (code, text) in [
            ("environment_group", "Environment group"),
            ("apiRequest", "Api request"),
            ("AWS::S3::Bucket", "AWS::S3::Bucket"),
            ("__", "__"),
            ("", ""),
        ] {
            assert_eq!(readable(code), text);
        }
    }
}
