//! The verbs of actions: what an action's words say in the base form and in the past tense.
//!
//! The pages make sentences of them (`app.deploy` is "deployed app"), and a search for a word of such a sentence finds its
//! events.

use std::borrow::Cow;

use crate::model::fold::fold;

/// Words that only join the parts of a sentence: "deleted tag of application checkout".
pub const JOINING: &[&str] = &["in", "of", "on", "to"];
/// Words by which a sentence says that an action failed: "tried to delete", "failed: timer expired".
pub const FAILED: &[&str] = &["failed", "tried", "failure"];
/// Stands in a sentence for an actor that the event does not name.
pub const NO_ACTOR: &str = "(no actor)";
/// What a sentence about a failed action begins with, if its verb is known.
pub const TRIED_TO: &str = "tried to ";

/// Words of an action that say that it failed. A sentence that has one needs no other.
const FAILURES: &[&str] = &["error", "fail", "failed", "failing", "fails", "failure", "failures", "unsuccessful"];
/// Verbs that direct their object to the resource: "sent email to user bob".
const DIRECTED: &[&str] = &["add", "assign", "attach", "deliver", "grant", "invite", "publish", "send", "upload"];

/// Verbs with a regular past tense.
const REGULAR: &str = "\
    add approve archive assign attach cancel change connect create delete deliver deploy destroy detach disable \
    disconnect download enable execute export grant import insert install invite invoke list move promote publish \
    rebase reject remove rename request restart restore revoke rotate scale start suspend switch trigger uninstall \
    unlock lock update upgrade upload view";
/// Other verbs: as an action names them, in the base form, and in the past tense.
const IRREGULAR: &[(&str, &str, &str)] = &[
    ("build", "build", "built"),
    ("deny", "deny", "denied"),
    ("get", "read", "read"),
    ("ingest", "send to", "sent to"),
    ("modify", "modify", "modified"),
    ("patch", "change", "changed"),
    ("put", "put", "put"),
    ("read", "read", "read"),
    ("resync", "resynchronize", "resynchronized"),
    ("rollback", "roll back", "rolled back"),
    ("run", "run", "ran"),
    ("send", "send", "sent"),
    ("set", "set", "set"),
    ("stop", "stop", "stopped"),
    ("sync", "synchronize", "synchronized"),
    ("transfer", "transfer", "transferred"),
    ("upsert", "create or update", "created or updated"),
    ("write", "write", "wrote"),
];

/// A known verb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verb {
    /// The base form: `roll back`.
    pub base: Cow<'static, str>,
    /// The past tense: `rolled back`.
    pub past: Cow<'static, str>,
}

impl Verb {
    /// The verb that an action names with this word, in lower case.
    pub fn of_word(word: &str) -> Option<Self> {
        if let Some(base) = REGULAR.split(' ').find(|known| *known == word) {
            let ending = if base.ends_with('e') { "d" } else { "ed" };
            return Some(Self { base: Cow::Borrowed(base), past: Cow::Owned(format!("{base}{ending}")) });
        }
        let found = IRREGULAR.iter().find(|(known, ..)| *known == word);
        found.map(|(_, base, past)| Self { base: Cow::Borrowed(base), past: Cow::Borrowed(past) })
    }

    /// The verb of an action with these words, and the other words, which name its object. The verb is the last word or the
    /// first: `app.deploy`, `CreateAccessKey`. `None` if the meaning is uncertain: if both may be the verb, as in
    /// `delete.request`, unless the other one is `kind`, the words of the resource type; or if the other words are neither
    /// `kind` nor nouns, as in `delete_failed`, `bulk.delete` and `scale_up`.
    pub fn of_action<'w>(words: &'w [String], kind: &[String]) -> Option<(Self, &'w [String])> {
        let readings: Vec<_> = Self::readings(words).collect();
        let is_certain = readings.len() == 1;
        readings.into_iter().find(|(_, object)| is_same(object, kind) || (is_certain && is_object(object)))
    }

    /// The possible verbs of an action with these words, each with the other words.
    fn readings(words: &[String]) -> impl Iterator<Item = (Self, &[String])> {
        let first = words.split_first().filter(|(_, rest)| !rest.is_empty());
        let ends = [words.split_last(), first].into_iter().flatten();
        ends.filter_map(|(word, rest)| Some((Self::of_word(word)?, rest)))
    }
}

/// Nouns that name the object of an action. With any other word the meaning is uncertain: `undo.delete`, `delete.preview` and
/// `bulk.delete` do not delete an undo, a preview or a bulk.
const NOUNS: &str = "\
    access account addon address admin alert alias annotation api app application artifact asset audit balancer \
    blueprint board branch bucket budget card catalog certificate channel client cloud cluster code collection \
    column comment commit component config configuration connection connector contact container cookie credential \
    customer dashboard data database db dataset datastore deployment device directory disk document domain email endpoint \
    entity entry environment event feature field file filter firewall flag folder function gateway grant group \
    header history hook host identity image index instance integration interface invitation invoice ip issue item job key label layer \
    ledger library license link listener load log login machine member membership message metadata metric mfa module \
    namespace network node note notification oauth object org organization owner package page parameter password \
    payment permission pipeline pod policy pool port profile project property provider proxy query queue quota \
    record region registry repo repository resource role room route router rule runner saml schema scope scorecard \
    script secret section security server service session setting site snapshot source space ssh sso stack storage \
    store subnet subscription system table tag target task team template tenant theme thread ticket token topic \
    trail tunnel type user value variable vault vm volume vpc vpn webhook widget workflow workload workspace zone";

/// Whether words can only name the object of an action, or there are none.
fn is_object(words: &[String]) -> bool {
    words.iter().all(|word| NOUNS.split(' ').any(|noun| noun == word || noun == singular(word)))
}

/// A word without the ending of a plural: `policies` is `policy`.
fn singular(word: &str) -> String {
    match (word.strip_suffix("ies"), word.strip_suffix('s')) {
        (Some(stem), _) => format!("{stem}y"),
        (None, Some(stem)) => stem.to_owned(),
        (None, None) => word.to_owned(),
    }
}

/// Whether two codes have the same words, without regard to a plural.
pub fn is_same(one: &[String], other: &[String]) -> bool {
    match (one.split_last(), other.split_last()) {
        (Some((one, before)), Some((other, before_other))) => {
            before == before_other && singular(one) == singular(other)
        }
        _ => false,
    }
}

/// Whether the last of these words are those of another code, without regard to a plural.
pub fn ends_with(words: &[String], end: &[String]) -> bool {
    words.len().checked_sub(end.len()).is_some_and(|start| is_same(&words[start..], end))
}

/// The words after those of another code; all of them if they do not begin with it.
pub fn after<'w>(words: &'w [String], begin: &[String]) -> &'w [String] {
    match words.split_at_checked(begin.len()) {
        Some((first, rest)) if !rest.is_empty() && is_same(first, begin) => rest,
        _ => words,
    }
}

/// Whether the sentence of an action has these words, in lower case: the verb in the base form or in the past tense, alone or
/// with the other words of the action after it.
pub fn says(action: &str, folded: &str) -> bool {
    let words = words(action);
    // The resource type, which may make any reading certain, is unknown here.
    Verb::readings(&words).any(|(verb, rest)| {
        [&verb.past, &verb.base].into_iter().any(|form| {
            let said =
                std::iter::once(form.as_ref()).chain(rest.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
            format!(" {} ", fold(&said)).contains(&format!(" {folded} "))
        })
    })
}

/// Whether an action with these words says itself that it failed: `login_failed`.
pub fn says_failure(words: &[String]) -> bool {
    words.iter().any(|word| FAILURES.contains(&word.as_str()))
}

/// The word between the object that an action names and the resource, after a verb in the base form: "sent email to user bob",
/// "deleted tag of application checkout".
pub fn link(base: &str) -> &'static str {
    if DIRECTED.contains(&base) { "to" } else { "of" }
}

/// Names that are one word although their capitals say otherwise.
const UNDIVIDED: &[&str] = &["GitHub", "GitLab", "GraphQL", "IPv4", "IPv6", "MySQL", "OAuth", "PostgreSQL"];

/// The words of a code, in lower case: `api_request`, `API-request` and `apiRequest` each have two. The last capital of several
/// begins a word if a small letter follows: `DeleteDBInstance` is delete, db, instance. A plural ends an abbreviation: `ListVPCs`.
pub fn words(code: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut before: Option<char> = None;
    let mut rest = code;
    while let Some(char) = rest.chars().next() {
        let after = &rest[char.len_utf8()..];
        if matches!(char, '_' | '.' | '-' | ':' | '/' | ' ') {
            words.push(std::mem::take(&mut word));
            (before, rest) = (None, after);
            continue;
        }
        let begins = char.is_uppercase()
            && before.is_some_and(|before| is_small(before) || (before.is_uppercase() && begins_small_word(after)));
        if begins {
            words.push(std::mem::take(&mut word));
        }
        let name = UNDIVIDED.iter().find(|name| word.is_empty() && rest.starts_with(**name));
        let taken = name.map_or(char.len_utf8(), |name| name.len());
        word.extend(rest[..taken].chars().flat_map(char::to_lowercase));
        before = rest[..taken].chars().next_back();
        rest = &rest[taken..];
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

fn is_small(char: char) -> bool {
    char.is_lowercase() || char.is_numeric()
}

/// Whether what follows a capital continues a word in small letters, other than the `s` of an abbreviation in the plural.
fn begins_small_word(after: &str) -> bool {
    let mut chars = after.chars();
    let (first, second) = (chars.next(), chars.next());
    first.is_some_and(char::is_lowercase) && (first != Some('s') || second.is_some_and(char::is_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(action: &str, kind: &str) -> Option<(String, String)> {
        let (action, kind) = (words(action), words(kind));
        Verb::of_action(&action, &kind).map(|(verb, object)| (verb.past.into_owned(), object.join(" ")))
    }

    #[test]
    fn the_verb_of_an_action_is_its_last_word_or_its_first() {
        for (action, past, object) in [
            ("UPDATE", "updated", ""),
            ("app.deploy", "deployed", "app"),
            ("CreateAccessKey", "created", "access key"),
            ("user.get", "read", "user"),
            ("rollback", "rolled back", ""),
            ("bucket_policies.list", "listed", "bucket policies"),
        ] {
            assert_eq!(read(action, "x"), Some((past.to_owned(), object.to_owned())), "{action}");
        }
        for action in ["TIMER_EXPIRED", "", "…", "session.end"] {
            assert_eq!(read(action, "x"), None, "{action}");
        }
    }

    #[test]
    fn abbreviations_are_words() {
        for (code, expected) in [
            ("DeleteDBInstance", "delete db instance"),
            ("DescribeDBInstances", "describe db instances"),
            ("CreateVPCPeeringConnection", "create vpc peering connection"),
            ("ListVPCs", "list vpcs"),
            ("ListAPIKeys", "list api keys"),
            ("RotateIDsNow", "rotate ids now"),
            ("DeactivateMFADevice", "deactivate mfa device"),
            ("PutBucketACL", "put bucket acl"),
            ("AddOAuthApp", "add oauth app"),
            ("GetSAMLProvider", "get saml provider"),
            ("installGitHubApp", "install github app"),
            ("AssignIPv6Addresses", "assign ipv6 addresses"),
            ("CreateEC2Fleet", "create ec2 fleet"),
            ("UPDATE", "update"),
            ("USER_LOGIN", "user login"),
            ("apiRequest", "api request"),
            ("HTTPSListener", "https listener"),
            ("", ""),
        ] {
            assert_eq!(words(code).join(" "), expected, "{code}");
        }
    }

    #[test]
    fn an_action_of_uncertain_meaning_has_no_verb() {
        for action in [
            "delete_failed",
            "undo.delete",
            "never_delete",
            "delete.abort",
            "delete.preview",
            "view_as_user",
            "accept.invite",
            "failed_login.delete",
            "access.denied",
            "user.deleted",
            "bulk.delete",
            "soft_delete",
            "SCALE_UP",
            "switch_off",
            "delete.request",
            "create.attempt",
            "CREATE_BUILD",
            "add_to_group",
            "NOT_DELETE",
            "build.success",
        ] {
            assert_eq!(read(action, "application"), None, "{action}");
        }
        // The resource type decides which of two verbs is the object.
        assert_eq!(read("start_build", "Build"), Some(("started".to_owned(), "build".to_owned())));
        assert_eq!(read("build.start", "builds"), Some(("started".to_owned(), "build".to_owned())));
        assert_eq!(read("import.export", "import"), Some(("exported".to_owned(), "import".to_owned())));
    }

    #[test]
    fn an_action_says_its_verb_in_both_forms() {
        for (action, text) in [
            ("ledger.delete", "deleted"),
            ("ledger.delete", "delete ledger"),
            ("ledger.delete", "deleted ledger"),
            ("user.get", "read"),
            ("rollback", "rolled back"),
            ("upsert", "updated"),
            ("import.export", "exported import"),
            ("import.export", "imported export"),
        ] {
            assert!(says(action, text), "{action}: {text}");
        }
        for (action, text) in
            [("ledger.delete", "ted"), ("ledger.delete", "ledger deleted"), ("TIMER_EXPIRED", "expired"), ("", "")]
        {
            assert!(!says(action, text), "{action}: {text}");
        }
    }
}
