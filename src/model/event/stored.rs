//! Reading events that are stored.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::{
    event::{AT, Bounds, Draft, Filled, ORIGIN, STATUS, Server},
    timestamp::Timestamp,
    values::Values,
};

/// Whether two stored events are the same submission: equal byte for byte once what the server filled in is set aside.
/// Bodies that cannot be read are different from everything.
pub fn same_submission(one: (&str, Filled), other: (&str, Filled)) -> bool {
    match (sent_part(one), sent_part(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// The time by which the log orders a stored event, and the values that it can be found by; `None` if the body cannot be
/// read. Both follow from the body alone, so that an index made again is the same.
pub fn searchable(body: &str) -> Option<(Timestamp, Values)> {
    let raw: &RawValue = serde_json::from_str(body).ok()?;
    let draft = Draft::read(raw, Bounds::STORED, Server::SetAside).ok()?;
    let at = if draft.added.is_ordered_by_receipt { draft.added.received_at } else { draft.at };
    Some((at?, draft.values))
}

/// When the server received a stored event; `None` if the body does not say.
pub fn received_at(body: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Received<'a> {
        #[serde(rename = "receivedAt", borrow)]
        at: Cow<'a, str>,
    }
    let Received { at } = serde_json::from_str(body).ok()?;
    Timestamp::parse(&at)
}

fn sent_part((body, filled): (&str, Filled)) -> Option<String> {
    let raw: &RawValue = serde_json::from_str(body).ok()?;
    let mut draft = Draft::read(raw, Bounds::STORED, Server::SetAside).ok()?;
    if filled.holds(Filled::STATUS) {
        draft.top.known[STATUS] = None;
    }
    for (bit, place) in [(Filled::ORIGIN, ORIGIN), (Filled::AT, AT)] {
        if filled.holds(bit) {
            draft.trigger.known[place] = None;
        }
    }
    Some(draft.write(None))
}
