//! Distinguishes a retry of a stored event from another event with the same identifier.

use memchr::memmem;

use super::{DefaultedFields, MASKED, RECEIVED_AT, SERVER_KEYS};
use crate::model::{
    field::Object,
    json::{self, Members},
    json_tree::Node,
    limits::STORED_KEYS_MAX,
    mask::{MaskedTree, same_but_for_masks},
    records::IMPORTED,
    timestamp,
};

/// Whether a received event has the same content as a stored one: both are equal as JSON, without the additions of the server
/// and except for places that are masked in either. The order of keys, white space and escapes do not count. Numbers are
/// compared by their text, `trigger.at` as an instant. Defaults count as if the sender had written them; `null` and the empty
/// string count as absent where the server reads them. [`IMPORTED`] does not count: it holds claims of an importer about the
/// event, which another import may lack. A body that cannot be read differs from every other.
pub fn same_submission(stored: (&str, DefaultedFields), sent: (&str, DefaultedFields)) -> bool {
    // Nearly every retry has the same bytes.
    if let (Some(old), Some(new)) = (before_additions(stored.0), before_additions(sent.0))
        && old == new
    {
        return true;
    }
    let (Some(mut old), Some(mut new)) = (content(stored.0), content(sent.0)) else {
        return false;
    };
    let was_filled = [stored.1, sent.1].map(|filled| filled.holds(DefaultedFields::AT));
    let [old_time, new_time] = [&mut old, &mut new].map(take_time);
    if was_filled != [true, true] && !is_same_time(old_time.as_ref(), new_time.as_ref()) {
        return false;
    }
    let [old_pointers, new_pointers] = [stored.0, sent.0].map(masked_pointers);
    same_but_for_masks(
        &MaskedTree { tree: &old, pointers: &old_pointers },
        &MaskedTree { tree: &new, pointers: &new_pointers },
    )
}

/// The bytes before the additions of the server: those follow the last `receivedAt`, which no string can contain in this form.
fn before_additions(body: &str) -> Option<&str> {
    let additions = memmem::rfind(body.as_bytes(), b",\"receivedAt\":\"")?;
    body.get(..additions)
}

/// What the sender sent, with the defaults: without the keys of the server and the claims of an importer, and without members
/// that count as absent.
fn content(body: &str) -> Option<Node<'_>> {
    // The order of keys decides which are the server's, and a tree does not have it.
    let members = Members::read(body, STORED_KEYS_MAX).ok()?;
    let added: Vec<_> =
        members.iter().map(|(key, _)| key).skip_while(|key| *key != RECEIVED_AT).filter(is_of_server).collect();
    let mut event = Node::read(body)?;
    let counts = |key: &[u8]| key != IMPORTED.as_bytes() && !added.iter().any(|own| *key == *own.as_bytes());
    event.members()?.retain(|(key, _)| counts(key));
    drop_absent(&mut event, Object::Event);
    Some(event)
}

fn is_of_server(key: &&str) -> bool {
    SERVER_KEYS.contains(key)
}

/// Removes the members that the server reads and that count as absent, also of the objects within.
fn drop_absent(node: &mut Node<'_>, object: Object) {
    let Some(members) = node.members() else {
        return;
    };
    members.retain_mut(|(key, value)| {
        let key = json::lossy(key);
        // An empty string is a value of `before` and `after`, which may be any JSON.
        let is_absent = value.text == "null" || (value.text == "\"\"" && object != Object::Diff);
        if is_absent && object.reads(&key) {
            return false;
        }
        if let Some(inner) = object.inner(&key) {
            drop_absent(value, inner);
        }
        true
    });
}

/// Removes `trigger.at` from an event.
fn take_time<'t>(event: &mut Node<'t>) -> Option<Node<'t>> {
    let members = event.member("trigger")?.members()?;
    let place = members.iter().position(|(key, _)| **key == *b"at")?;
    Some(members.remove(place).1)
}

fn is_same_time(one: Option<&Node<'_>>, other: Option<&Node<'_>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            let [first, second] = [one, other].map(|node| json::unescape(node.text.trim_matches('"').as_bytes()));
            one.is_same_scalar(other)
                || first.zip(second).is_some_and(|(one, other)| timestamp::is_same_instant(&one, &other))
        }
        _ => false,
    }
}

/// The pointers to the masked values of a stored event.
fn masked_pointers(body: &str) -> Vec<String> {
    let members = Members::read(body, STORED_KEYS_MAX).ok();
    let masked = members.and_then(|members| members.into_iter().find(|(key, _)| key == MASKED));
    masked.and_then(|(_, pointers)| serde_json::from_str(pointers.get()).ok()).unwrap_or_default()
}
