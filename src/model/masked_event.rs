//! A received event with its secrets masked. All events from outside enter here.
//!
//! Masking comes before parsing, so that no secret reaches an error, the index or the server log.

use serde_json::value::RawValue;

use crate::model::{
    error::FieldError,
    event::{EventDraft, Sender},
    limits::EventLimits,
    mask::{Mask, Masked},
};

/// A masked event, which can be parsed.
#[derive(Debug)]
pub struct MaskedEvent<'a> {
    raw: &'a RawValue,
    masked: Option<(Box<RawValue>, Masked)>,
}

impl<'a> MaskedEvent<'a> {
    /// Masks an event, after checking its size as sent.
    pub fn new(raw: &'a RawValue, limits: &EventLimits, mask: &Mask) -> Result<Self, FieldError> {
        limits.check_bytes(raw.get().len())?;
        let masked = mask.apply(raw.get()).map(|mut masked| {
            let text = RawValue::from_string(std::mem::take(&mut masked.text));
            text.map(|text| (text, masked)).map_err(|error| FieldError::new("", error.to_string()))
        });
        Ok(Self { raw, masked: masked.transpose()? })
    }

    /// Parses and validates the event. `sender` decides which values are allowed.
    pub fn read(&self, limits: &EventLimits, sender: Sender) -> Result<EventDraft<'_>, FieldError> {
        match &self.masked {
            None => EventDraft::parse(self.raw, limits, sender),
            // The text that replaces a secret may be longer than the secret.
            Some((raw, masked)) => {
                let limits = EventLimits { event_bytes_max: usize::MAX, ..*limits };
                Ok(EventDraft::parse(raw, &limits, sender)?.with_masked(masked))
            }
        }
    }
}
