//! Distinguishes a retry of a stored event from another event with the same identifier.

use serde_json::value::RawValue;

use super::{AT, Bounds, DefaultedFields, EventDraft, MASKED, ORIGIN, STATUS, ServerKeys};
use crate::model::{
    json::Members,
    limits::STORED_KEYS_MAX,
    mask::{MaskedText, same_but_for_masks},
};

/// Whether a received event has the same content as a stored one: both are equal byte for byte without the additions of the
/// server, except for places that are masked in either. A body that cannot be read differs from every other.
pub fn same_submission(stored: (&str, DefaultedFields), sent: (&str, DefaultedFields)) -> bool {
    let (Some(old), Some(new)) = (sent_part(stored), sent_part(sent)) else {
        return false;
    };
    if old == new {
        return true;
    }
    let [old_pointers, new_pointers] = [stored.0, sent.0].map(masked_pointers);
    same_but_for_masks(
        &MaskedText { text: &old, pointers: &old_pointers },
        &MaskedText { text: &new, pointers: &new_pointers },
    )
}

/// The part of an event that its sender sent, written in the order of stored events.
fn sent_part((body, filled): (&str, DefaultedFields)) -> Option<String> {
    let raw: &RawValue = serde_json::from_str(body).ok()?;
    let mut draft = EventDraft::read(raw, Bounds::STORED, ServerKeys::SetAside).ok()?;
    if filled.holds(DefaultedFields::STATUS) {
        draft.top.known[STATUS] = None;
    }
    for (bit, place) in [(DefaultedFields::ORIGIN, ORIGIN), (DefaultedFields::AT, AT)] {
        if filled.holds(bit) {
            draft.trigger.known[place] = None;
        }
    }
    Some(draft.write(None))
}

/// The pointers to the masked values of a stored event.
fn masked_pointers(body: &str) -> Vec<String> {
    let members = Members::read(body, STORED_KEYS_MAX).ok();
    let masked = members.and_then(|members| members.into_iter().find(|(key, _)| key == MASKED));
    masked.and_then(|(_, pointers)| serde_json::from_str(pointers.get()).ok()).unwrap_or_default()
}
