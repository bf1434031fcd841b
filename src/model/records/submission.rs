//! Turns a record of a log, which a server has completed, back into an event that a sender may send.

use std::borrow::Cow;

use crate::model::{
    event::{CLAIMS, OWN_ORIGIN, SERVER_KEYS},
    json::{self, Members},
    limits::STORED_KEYS_MAX,
};

/// The key under which an imported event keeps what the log that it comes from had recorded about it.
pub const IMPORTED: &str = "imported";

/// Number of keys of the response with one event: `ok` and `audit`.
const SINGLE_KEYS: usize = 2;

/// A record as its sender would send it.
#[derive(Debug, PartialEq, Eq)]
pub struct SentRecord<'a> {
    /// The event.
    pub text: Cow<'a, str>,
    /// Whether the record had keys that only a server sets.
    pub was_received: bool,
    /// Whether auditbox itself recorded it.
    pub is_own: bool,
}

impl<'a> SentRecord<'a> {
    /// Removes the keys that only a server sets, except those that say which masked values changed. With `keep` all of them become
    /// members of [`IMPORTED`]: claims of the importer, no longer facts of the server. An earlier value of that key becomes the member of the same name, so that an event
    /// that has moved twice tells both stories. A text that cannot be read stays unchanged, because its error is clearer.
    pub fn of(text: &'a str, keep: bool) -> Self {
        let unchanged = |is_own| Self { text: Cow::Borrowed(text), was_received: false, is_own };
        let Ok(members) = Members::read(text, STORED_KEYS_MAX) else { return unchanged(false) };
        let is_own = members.iter().any(|(key, value)| key == "trigger" && is_own_trigger(value.get()));
        if !members.iter().any(|(key, _)| SERVER_KEYS.contains(&key)) {
            return unchanged(is_own);
        }
        let (mut sent, mut claims) = (Object::default(), Object::default());
        for (key, value) in members.iter() {
            let is_claim = SERVER_KEYS.contains(&key) || (keep && key == IMPORTED);
            if is_claim {
                claims.push(key, value.get());
            }
            // Masked values say nothing of themselves any more.
            if !is_claim || CLAIMS.contains(&key) {
                sent.push(key, value.get());
            }
        }
        if keep {
            sent.push(IMPORTED, &claims.end());
        }
        Self { text: Cow::Owned(sent.end()), was_received: true, is_own }
    }
}

fn is_own_trigger(trigger: &str) -> bool {
    let members = Members::read(trigger, STORED_KEYS_MAX);
    let origin = |members: Members<'_>| {
        members
            .iter()
            .any(|(key, value)| key == "origin" && json::text(value).is_some_and(|origin| origin == OWN_ORIGIN))
    };
    members.is_ok_and(origin)
}

/// The event of a response of `GET /v1/events/{identifier}`; any other text stays as it is.
pub(super) fn single(text: String) -> String {
    let Ok(members) = Members::read(&text, SINGLE_KEYS) else { return text };
    let find = |key: &str| members.iter().find(|(name, _)| *name == key).map(|(_, value)| value.get());
    match (find("ok"), find("audit")) {
        (Some("true"), Some(event)) if event.starts_with('{') => event.to_owned(),
        _ => text,
    }
}

/// A JSON object that is being written.
#[derive(Default)]
struct Object(String);

impl Object {
    fn push(&mut self, key: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        json::push_string(&mut self.0, key);
        self.0.push(':');
        self.0.push_str(value);
    }

    fn end(mut self) -> String {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_the_server_are_removed_or_kept_as_claims() {
        let stored = r#"{"identifier":"e1","action":"A","diff":{"x": 1.0},"receivedAt":"2024-05-01T12:00:00Z","receivedBy":"ci","masked":["/p"]}"#;
        let bare = r#"{"identifier":"e1","action":"A","diff":{"x": 1.0}}"#;
        let sent = SentRecord::of(stored, false);
        assert_eq!((&*sent.text, sent.was_received, sent.is_own), (bare, true, false));
        let claims = r#"{"receivedAt":"2024-05-01T12:00:00Z","receivedBy":"ci","masked":["/p"]}"#;
        let kept = SentRecord::of(stored, true).text.into_owned();
        assert_eq!(kept, format!("{},\"imported\":{claims}}}", bare.trim_end_matches('}').to_owned() + "}"));
        // A second move keeps the first.
        let moved = format!("{},\"receivedBy\":\"import\"}}", kept.strip_suffix('}').unwrap());
        let twice = SentRecord::of(&moved, true).text.into_owned();
        assert!(
            twice.ends_with(&format!("\"imported\":{{\"imported\":{claims},\"receivedBy\":\"import\"}}}}")),
            "{twice}"
        );
        assert_eq!(SentRecord::of(&moved, false).text, kept);
    }

    #[test]
    fn other_texts_stay_as_they_are() {
        for text in [bare(), "{", "[1]", r#"{"a":1,"a":2,"receivedAt":"x"}"#] {
            let sent = SentRecord::of(text, true);
            assert_eq!((&*sent.text, sent.was_received, sent.is_own), (text, false, false));
        }
        assert!(SentRecord::of(r#"{"trigger":{"by":{},"origin":"\u0061uditbox"}}"#, false).is_own);
        assert!(
            !SentRecord::of(r#"{"trigger":{"origin":"API","by":{"origin":"auditbox"}},"origin":"auditbox"}"#, false)
                .is_own
        );
    }

    const fn bare() -> &'static str {
        r#"{"action":"A","resourceType":"x","request":{"receivedAt":"x"}}"#
    }
}
