//! What an action does to its object: `CREATE`, `UPDATE`, `DELETE` or `READ`.

use crate::model::verbs::words;

/// The verbs of each kind of action. HTTP methods are among them.
const KINDS: [(&str, &str); 4] = [
    (
        "CREATE",
        "add append attach clone copy create creates creating created enroll generate grant import insert inserted insertion \
         install instal invite issue join new post provision publish push register start upload",
    ),
    (
        "UPDATE",
        "activate alter apply archive assign associate change changed configure deactivate disable edit enable modification modify \
         modified mount move patch promote put rename renamed replace reset resize restore rotate save set suspend \
         switch sync transfer unarchive unsuspend update updated updates updating upgrade upsert write",
    ),
    (
        "DELETE",
        "delete deletecollection deleted deletes deletion deprovision deregister destroy destroyed detach disassociate drop erase expunge \
         purge remove removed removes removal revoke revoked terminate unassign uninstall unregister",
    ),
    (
        "READ",
        "access accessed describe download downloaded export fetch get head list lookup open options peek preview pull query read \
         scan search select show view viewed watch",
    ),
];

/// The kind of an action: that of its last word, else of its first, else of the first word that has one. `None` if no word has
/// one.
pub(super) fn kind(action: &str) -> Option<&'static str> {
    if let Some(kind) = kind_of_word(&action.to_ascii_lowercase()) {
        return Some(kind);
    }
    let words = words(action);
    let ends = [words.last(), words.first()].into_iter().flatten();
    ends.chain(&words).find_map(|word| kind_of_word(word))
}

fn kind_of_word(word: &str) -> Option<&'static str> {
    KINDS.iter().find(|(_, verbs)| verbs.split_ascii_whitespace().any(|verb| verb == word)).map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_decides_then_the_first_then_any() {
        for (action, expected) in [
            ("create", Some("CREATE")),
            ("deletecollection", Some("DELETE")),
            ("GET", Some("READ")),
            ("PUT", Some("UPDATE")),
            ("CreateAccessKey", Some("CREATE")),
            ("user.account.update", Some("UPDATE")),
            ("google.iam.admin.v1.CreateRole", Some("CREATE")),
            ("Microsoft.Compute/virtualMachines/delete", Some("DELETE")),
            ("user.get_created", Some("CREATE")),
            ("PROPFIND", None),
            ("", None),
        ] {
            assert_eq!(kind(action), expected, "{action}");
        }
    }

    #[test]
    fn no_verb_has_two_kinds() {
        let mut verbs: Vec<_> = KINDS.iter().flat_map(|(_, verbs)| verbs.split_ascii_whitespace()).collect();
        let count = verbs.len();
        verbs.sort_unstable();
        verbs.dedup();
        assert_eq!(verbs.len(), count);
    }
}
