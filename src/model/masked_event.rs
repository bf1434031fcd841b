//! One event as it was sent, without the secrets in it: the way in for all that comes from outside.
//!
//! Masking comes before reading, so that a secret is in no error, in no index and in no log.

use serde_json::value::RawValue;

use crate::model::{
    error::FieldError,
    event::{EventDraft, Sender},
    limits::EventLimits,
    mask::Mask,
};

/// An event that may be read.
#[derive(Debug)]
pub struct MaskedEvent<'a> {
    raw: &'a RawValue,
    masked: Option<(Box<RawValue>, Vec<String>)>,
}

impl<'a> MaskedEvent<'a> {
    /// Masks an event, whose size is that which was sent.
    pub fn new(raw: &'a RawValue, limits: &EventLimits, mask: &Mask) -> Result<Self, FieldError> {
        limits.check_bytes(raw.get().len())?;
        let masked = mask.apply(raw.get()).map(|masked| {
            let text = RawValue::from_string(masked.text);
            text.map(|text| (text, masked.pointers)).map_err(|error| FieldError::new("", error.to_string()))
        });
        Ok(Self { raw, masked: masked.transpose()? })
    }

    /// Reads it as `sender` may send it.
    pub fn read(&self, limits: &EventLimits, sender: Sender) -> Result<EventDraft<'_>, FieldError> {
        match &self.masked {
            None => EventDraft::parse(self.raw, limits, sender),
            // What stands in a secret's place may be longer than the secret was.
            Some((raw, pointers)) => {
                let limits = EventLimits { event_bytes_max: usize::MAX, ..*limits };
                Ok(EventDraft::parse(raw, &limits, sender)?.with_masked(pointers))
            }
        }
    }
}
