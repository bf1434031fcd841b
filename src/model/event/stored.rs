//! Reading stored events.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::{
    event::{Bounds, EventDraft, ServerKeys, texts},
    timestamp::Timestamp,
    values::Values,
};

/// The time by which the log orders a stored event, and the values by which it can be found; `None` if the body cannot be read.
/// Both follow from the body alone, so a rebuilt index is the same.
pub fn searchable(body: &str) -> Option<(Timestamp, Values)> {
    let raw: &RawValue = serde_json::from_str(body).ok()?;
    let mut draft = EventDraft::read(raw, Bounds::STORED, ServerKeys::SetAside).ok()?;
    let at = if draft.added.is_ordered_by_receipt { draft.added.received_at } else { draft.at };
    draft.values.set_words(texts::word_numbers(body));
    Some((at?, draft.values))
}

/// When the server received a stored event; `None` if the body has no such time.
pub fn received_at(body: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Received<'a> {
        #[serde(rename = "receivedAt", borrow)]
        at: Cow<'a, str>,
    }
    let Received { at } = serde_json::from_str(body).ok()?;
    Timestamp::parse(&at)
}
