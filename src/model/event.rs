//! An audit event: parsed, completed by the server, and written as one byte string that never changes.
//!
//! The stored body has the known keys in a fixed order, then the sender's other keys in the sender's order, then the keys that
//! only the server sets, beginning with `receivedAt`. Values are never rewritten: each is a copy of the sender's bytes. The
//! values by which an event is found are read more generously (`read`): an id may be a number, a status may have any case.

mod highlights;
mod object_writer;
mod read;
#[cfg(test)]
mod spelling_tests;
mod stored;
mod submission;
#[cfg(test)]
mod tests;
mod texts;

use std::borrow::Cow;

use serde_json::value::RawValue;
use uuid::Uuid;

use crate::model::{
    error::FieldError,
    field::{Field, Object, extract},
    fold::fold,
    json,
    limits::{EventLimits, OBJECT_KEYS_MAX, STORED_KEYS_MAX},
    mask::Masked,
    timestamp::Timestamp,
    values::Values,
};
pub use highlights::{Highlight, highlights};
use object_writer::ObjectWriter;
use read::members;
pub use stored::{StoredActor, actor, received_at, searchable};
pub use submission::same_submission;
pub use texts::contains;

/// The origin of events that auditbox itself records. Events of senders must not have it.
pub const OWN_ORIGIN: &str = "auditbox";
/// The origin of an event without one.
const DEFAULT_ORIGIN: &str = "API";
/// The status of an event without one.
const DEFAULT_STATUS: &str = "SUCCESS";
/// Every status.
const STATUSES: [&str; 2] = [DEFAULT_STATUS, FAILURE];
/// The status of what failed. Senders may write it in any case.
pub const FAILURE: &str = "FAILURE";

/// The author of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A client with a credential.
    Client,
    /// auditbox, which records its own requests and changes.
    Server,
}

/// What the server knows about an event when it accepts it.
#[derive(Debug, Clone, Copy)]
pub struct Receipt<'a> {
    /// When the event was received.
    pub at: Timestamp,
    /// The name of the credential that sent the event.
    pub by: &'a str,
}

/// The set of fields that the server filled in because the sender left them out. It is stored with the event, so that a retry
/// can be distinguished from a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DefaultedFields(u8);

impl DefaultedFields {
    const AT: u8 = 1;
    const ORIGIN: u8 = 2;
    const STATUS: u8 = 4;
    const IDENTIFIER: u8 = 8;

    /// The code of the set in the file.
    pub const fn code(self) -> u8 {
        self.0
    }

    /// The set with this code.
    pub const fn from_code(code: u8) -> Self {
        Self(code)
    }

    /// Whether the server assigned the identifier.
    pub const fn holds_identifier(self) -> bool {
        self.holds(Self::IDENTIFIER)
    }

    const fn holds(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

/// A complete event, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The identifier, unique in the log.
    pub identifier: String,
    /// The time by which the log orders and filters the event: when it happened, or when it was received if the sender's time
    /// was too far in the future.
    pub timestamp: Timestamp,
    /// The values by which the event can be found.
    pub values: Values,
    /// The fields that the server filled in.
    pub filled: DefaultedFields,
    /// The event as a JSON object, which is stored, served and exported as these bytes.
    pub body: String,
}

/// An event that is parsed and validated, but not yet completed by the server.
#[derive(Debug)]
pub struct EventDraft<'a> {
    /// What was masked.
    masked: Option<&'a Masked>,
    /// The value of `mapping`.
    mapping: Option<&'a str>,
    /// What the sender says of values that it has masked: the keys of [`CLAIMS`] that it sent, with their values.
    claims: Vec<(&'static str, &'a RawValue)>,
    top: Parts<'a>,
    trigger: Parts<'a>,
    at: Option<Timestamp>,
    /// The fields that the server filled in so far.
    filled: DefaultedFields,
    /// Maximum number of seconds by which `at` may be later than the receipt.
    future_seconds_max: i64,
    /// What the server added, if the event comes from the file.
    added: Added,
    values: Values,
    bounds: Bounds,
}

/// Those additions of the server to a stored event that determine its place in the log.
#[derive(Debug, Default)]
struct Added {
    received_at: Option<Timestamp>,
    is_ordered_by_receipt: bool,
}

/// What the server adds to an event when it accepts it.
struct Additions<'a> {
    received_at: &'a str,
    received_by: &'a str,
    is_ordered_by_receipt: bool,
}

/// The limits of an object.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    depth_max: usize,
    keys_max: usize,
}

impl Bounds {
    /// The limits of a stored event. It met the limits for senders when it was received, and the server has added keys.
    const STORED: Self = Self { depth_max: usize::MAX, keys_max: STORED_KEYS_MAX };
}

/// The members of an object: the known ones, each at a fixed index, and the others.
#[derive(Debug, Default)]
struct Parts<'a> {
    known: [Option<Cow<'a, str>>; TOP.len()],
    others: Vec<(Cow<'a, str>, &'a RawValue)>,
}

/// The known keys of an event, in the order in which they are written.
const TOP: [&str; 9] =
    ["identifier", "action", "resourceType", "status", "message", "trigger", "context", "request", "diff"];
const IDENTIFIER: usize = 0;
const STATUS: usize = 3;
const TRIGGER_PLACE: usize = 5;
/// The known keys of `trigger`, in the order in which they are written.
const TRIGGER: [&str; 3] = ["at", "origin", "by"];
const AT: usize = 0;
const ORIGIN: usize = 1;
/// Keys that only the server sets, in the order in which it writes them.
pub const SERVER_KEYS: [&str; 7] =
    [RECEIVED_AT, "receivedBy", MASKED, MASKED_CHANGED, MASKED_UNKNOWN, MAPPING, ORDERED_BY];
/// Those of them by which a sender may say which values changed that it has masked itself. The server uses what they say of
/// these values, and writes its own.
pub const CLAIMS: [&str; 2] = [MASKED_CHANGED, MASKED_UNKNOWN];
const RECEIVED_AT: &str = "receivedAt";
/// The key with the JSON pointers (RFC 6901) to the masked values.
pub const MASKED: &str = "masked";
/// The key with the JSON pointers, relative to `diff.before` and `diff.after`, to the masked values that differ between the two.
pub const MASKED_CHANGED: &str = "maskedChanged";
/// The key with the JSON pointers, relative to `diff.before` and `diff.after`, to the masked values of which it is unknown.
pub const MASKED_UNKNOWN: &str = "maskedUnknown";
/// A key that an event has if a preset made it of another system's record.
pub const MAPPING: &str = "mapping";
/// A key that an event has if the log does not order it by `trigger.at`. Its value is the name of the key that decides.
pub const ORDERED_BY: &str = "orderedBy";

impl<'a> EventDraft<'a> {
    /// Parses and validates the text of one event. `sender` decides which values are allowed.
    pub fn parse(text: &'a str, limits: &EventLimits, sender: Sender) -> Result<Self, FieldError> {
        limits.check_bytes(text.len())?;
        let mut draft = Self::read(
            text,
            Bounds { depth_max: limits.json_depth_max, keys_max: OBJECT_KEYS_MAX },
            ServerKeys::Refused,
        )?;
        draft.future_seconds_max = limits.future_seconds_max;
        for (place, key) in [(1, "action"), (2, "resourceType")] {
            if draft.top.known[place].is_none() {
                return Err(FieldError::new(key, "is required"));
            }
        }
        // In any case, as filters compare it.
        let is_own = draft.values.first(Field::Origin).is_some_and(|origin| fold(origin) == OWN_ORIGIN);
        if sender == Sender::Client && is_own {
            let message = format!("{OWN_ORIGIN:?} is reserved for the events that auditbox records about itself");
            return Err(FieldError::new("trigger.origin", message));
        }
        Ok(draft)
    }

    /// Adds what was masked.
    pub(super) fn with_masked(mut self, masked: &'a Masked) -> Self {
        self.masked = Some(masked);
        self
    }

    /// Adds how a preset made the event, a JSON object: [`crate::model::mapping::MappedRecord::provenance`].
    pub fn with_mapping(mut self, provenance: &'a str) -> Self {
        self.mapping = Some(provenance);
        self
    }

    /// When the event happened, if the sender gives a time.
    pub fn happened_at(&self) -> Option<Timestamp> {
        self.at
    }

    /// The sender's identifier, if there is one.
    pub fn identifier(&self) -> Option<&str> {
        self.values.first(Field::Identifier)
    }

    /// The resource type.
    pub fn resource_type(&self) -> &str {
        self.values.first(Field::ResourceType).unwrap_or_default()
    }

    /// Sets the identifier, unless the sender did.
    pub fn name(&mut self, identifier: &str) {
        if self.top.fill(IDENTIFIER, identifier) {
            self.values.push(Field::Identifier, identifier);
        }
    }

    /// Sets the identifier on behalf of the server, unless the sender did.
    pub fn assign(&mut self, identifier: &str) {
        if self.identifier().is_none() {
            self.name(identifier);
            self.filled.0 |= DefaultedFields::IDENTIFIER;
        }
    }

    /// The event in the form that a sender would send.
    pub fn into_json(self) -> String {
        self.write(None)
    }

    /// Completes the event with what the server knows. A time that is too far after the receipt stays in the event, but then
    /// the log orders the event by its receipt. Otherwise one wrong clock could put an event at the top of every list for years.
    pub fn accept(mut self, receipt: &Receipt<'_>) -> Event {
        if self.identifier().is_none() {
            self.assign(&new_identifier());
        }
        let identifier = self.identifier().unwrap_or_default().to_owned();
        let mut filled = self.filled;
        if self.top.fill(STATUS, DEFAULT_STATUS) {
            filled.0 |= DefaultedFields::STATUS;
            self.values.push(Field::Status, DEFAULT_STATUS);
        }
        if self.trigger.fill(ORIGIN, DEFAULT_ORIGIN) {
            filled.0 |= DefaultedFields::ORIGIN;
            self.values.push(Field::Origin, DEFAULT_ORIGIN);
        }
        let received_at = receipt.at.to_string();
        if self.trigger.fill(AT, &received_at) {
            filled.0 |= DefaultedFields::AT;
        }
        let latest = receipt.at.plus_seconds(self.future_seconds_max);
        let is_ordered_by_receipt = self.at.is_some_and(|at| at > latest);
        let timestamp = self.at.filter(|_| !is_ordered_by_receipt).unwrap_or(receipt.at);
        let mut values = std::mem::take(&mut self.values);
        let body =
            self.write(Some(&Additions { received_at: &received_at, received_by: receipt.by, is_ordered_by_receipt }));
        extract(&body, &mut values);
        values.set_words(texts::word_numbers(&body));
        Event { identifier, timestamp, values, filled, body }
    }

    fn read(text: &'a str, bounds: Bounds, server: ServerKeys) -> Result<Self, FieldError> {
        let (top, trigger, values) = (Parts::default(), Parts::default(), Values::default());
        let (filled, added) = (DefaultedFields::default(), Added::default());
        let mut draft = Self {
            masked: None,
            mapping: None,
            claims: Vec::new(),
            top,
            trigger,
            at: None,
            filled,
            future_seconds_max: 0,
            added,
            values,
            bounds,
        };
        let mut are_additions = false;
        for (key, value) in members(Object::Event, text, bounds)? {
            let claim = CLAIMS.into_iter().find(|claim| *claim == key);
            match server {
                ServerKeys::Refused if claim.is_some() => {
                    check_claim(&key, value)?;
                    draft.claims.extend(claim.map(|claim| (claim, value)));
                    continue;
                }
                ServerKeys::Refused if SERVER_KEYS.contains(&key.as_ref()) => {
                    return Err(FieldError::new(key.as_ref(), "is set by the server"));
                }
                ServerKeys::SetAside => are_additions |= key == RECEIVED_AT,
                ServerKeys::Refused => {}
            }
            if are_additions && SERVER_KEYS.contains(&key.as_ref()) {
                draft.added.read(&key, value);
            } else {
                draft.read_member(key, value)?;
            }
        }
        Ok(draft)
    }

    /// Writes the event, followed by the additions of the server.
    fn write(mut self, additions: Option<&Additions<'_>>) -> String {
        let mut trigger = ObjectWriter::new(self.trigger.bytes() + 2);
        trigger.parts(&TRIGGER, &self.trigger);
        self.top.known[TRIGGER_PLACE] = Some(Cow::Owned(trigger.end()));
        let mut out = ObjectWriter::new(self.top.bytes() + 128);
        out.parts(&TOP, &self.top);
        if let Some(additions) = additions {
            out.string(SERVER_KEYS[0], additions.received_at);
            out.string(SERVER_KEYS[1], additions.received_by);
            if let Some(masked) = self.masked {
                out.strings(MASKED, &masked.pointers);
                if let Some(diff) = &masked.diff {
                    out.strings(MASKED_CHANGED, &diff.changed);
                    if !diff.unknown.is_empty() {
                        out.strings(MASKED_UNKNOWN, &diff.unknown);
                    }
                }
            }
            if let Some(mapping) = self.mapping {
                out.raw(MAPPING, mapping);
            }
            if additions.is_ordered_by_receipt {
                out.string(ORDERED_BY, RECEIVED_AT);
            }
        } else {
            self.claims.iter().for_each(|(key, value)| out.raw(key, value.get()));
        }
        out.end()
    }
}

/// Checks what a sender says of values that it has masked.
fn check_claim(key: &str, value: &RawValue) -> Result<(), FieldError> {
    match serde_json::from_str::<Vec<&RawValue>>(value.get()) {
        Ok(pointers) if pointers.iter().all(|pointer| json::is_string(pointer)) => Ok(()),
        _ => Err(FieldError::new(key, "must be a list of JSON pointers, relative to diff.before and diff.after")),
    }
}

/// How to treat the keys that only the server sets.
#[derive(Clone, Copy)]
enum ServerKeys {
    /// Reject them: the event comes from a sender.
    Refused,
    /// Separate them: the event comes from the file, and the keys from `receivedAt` on are the server's. Keys before it are the
    /// sender's, accepted by a version that did not set them.
    SetAside,
}

impl Added {
    fn read(&mut self, key: &str, value: &RawValue) {
        match key {
            RECEIVED_AT => self.received_at = json::text(value).and_then(|text| Timestamp::parse(&text)),
            ORDERED_BY => self.is_ordered_by_receipt = json::text(value).is_some_and(|text| text == RECEIVED_AT),
            _ => {}
        }
    }
}

impl<'a> Parts<'a> {
    fn put(&mut self, known: &[&str], key: Cow<'a, str>, value: &'a RawValue) {
        match known.iter().position(|name| *name == key) {
            Some(place) => self.known[place] = Some(Cow::Borrowed(value.get())),
            None => self.others.push((key, value)),
        }
    }

    /// Sets an absent member to the string `text`. Returns whether it was absent.
    fn fill(&mut self, place: usize, text: &str) -> bool {
        let absent = self.known[place].is_none();
        if absent {
            let mut value = String::with_capacity(text.len() + 2);
            json::push_string(&mut value, text);
            self.known[place] = Some(Cow::Owned(value));
        }
        absent
    }

    /// The approximate number of bytes of the written members.
    fn bytes(&self) -> usize {
        let known: usize = self.known.iter().flatten().map(|value| value.len() + 16).sum();
        let others: usize = self.others.iter().map(|(key, value)| key.len() + value.get().len() + 4).sum();
        known + others
    }
}

/// Generates an identifier: ordered by time, so that identifiers stay close together in every index, and with 74 random bits, so
/// that it is unguessable (UUID version 7, RFC 9562 section 5.7).
fn new_identifier() -> String {
    format!("event_{}", Uuid::now_v7().simple())
}
