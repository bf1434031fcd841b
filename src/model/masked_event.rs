//! A received event with its secrets masked. All events from outside enter here.
//!
//! Masking comes before parsing, so that no secret reaches an error, the index or the server log.

use crate::model::{
    error::FieldError,
    event::{EventDraft, Sender},
    limits::EventLimits,
    mask::{Mask, Masked},
};

/// A masked event, which can be parsed.
#[derive(Debug)]
pub struct MaskedEvent<'a> {
    text: &'a str,
    masked: Option<Masked>,
}

impl<'a> MaskedEvent<'a> {
    /// Masks the text of an event, a JSON value, after checking its size as sent.
    pub fn new(text: &'a str, limits: &EventLimits, mask: &Mask) -> Result<Self, FieldError> {
        limits.check_bytes(text.len())?;
        Ok(Self { text, masked: mask.apply(text) })
    }

    /// Parses and validates the event. `sender` decides which values are allowed.
    pub fn read(&self, limits: &EventLimits, sender: Sender) -> Result<EventDraft<'_>, FieldError> {
        match &self.masked {
            None => EventDraft::parse(self.text, limits, sender),
            // The text that replaces a secret may be longer than the secret.
            Some(masked) => {
                let limits = EventLimits { event_bytes_max: usize::MAX, ..*limits };
                Ok(EventDraft::parse(&masked.text, &limits, sender)?.with_masked(masked))
            }
        }
    }
}
