//! Reading stored events.

use std::borrow::Cow;

use serde::Deserialize;

use crate::model::{
    event::{Bounds, EventDraft, ServerKeys, texts},
    field::extract,
    json::{self, Members},
    limits::STORED_KEYS_MAX,
    timestamp::Timestamp,
    values::Values,
};

/// The time by which the log orders a stored event, and the values by which it can be found; `None` if the body cannot be read.
/// Both follow from the body alone, so a rebuilt index is the same.
pub fn searchable(body: &str) -> Option<(Timestamp, Values)> {
    let draft = EventDraft::read(body, Bounds::STORED, ServerKeys::SetAside).ok()?;
    let at = if draft.added.is_ordered_by_receipt { draft.added.received_at } else { draft.at };
    let mut values = draft.values;
    extract(body, &mut values);
    values.set_words(texts::word_numbers(body));
    Some((at?, values))
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

/// The actor of a stored event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredActor {
    /// The user id.
    pub id: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
}

impl StoredActor {
    /// The value by which the log counts the actor.
    pub fn identity(&self) -> Option<&str> {
        self.id.as_deref().or(self.email.as_deref()).or(self.name.as_deref())
    }
}

/// The actor of a stored event, if it has one.
pub fn actor(body: &str) -> Option<StoredActor> {
    let find = |object: &str, key: &str| -> Option<String> {
        let members = Members::read(object, STORED_KEYS_MAX).ok()?;
        members.into_iter().find(|(own, _)| own == key).map(|(_, value)| value.get().to_owned())
    };
    let by = find(&find(body, "trigger")?, "by")?;
    let members = Members::read(&by, STORED_KEYS_MAX).ok()?;
    let text = |key: &str| {
        let (_, value) = members.iter().find(|(own, _)| *own == key)?;
        json::lossy_text(value).map(Cow::into_owned).filter(|text| !text.is_empty())
    };
    Some(StoredActor { id: text("userId"), name: text("name"), email: text("email") })
}
