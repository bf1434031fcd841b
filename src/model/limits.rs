//! The limits an event and a query are held to. Each default is a constant with its reason.

use crate::model::error::FieldError;

/// Events in one request. With bodies of a kilobyte this is 10 MiB: one transaction of about a quarter of a second.
pub const BATCH_EVENTS_MAX: usize = 10_000;
/// Bytes of one event as sent. The largest real ones seen are near 20 kB; whole documents before and after fit in this.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Nesting of arrays and objects in one event, the event itself being level 1. Deeper input is an attack or a mistake,
/// and many a reader's JSON parser gives up not far beyond.
pub const JSON_DEPTH_MAX: usize = 64;
/// Values of one field in a filter.
pub const FILTER_VALUES_MAX: usize = 100;
/// Events in a list when the request names no limit: the default of Port's endpoint.
pub const LIST_DEFAULT: usize = 10_000;
/// Events in a list at most. Beyond it, follow `next`.
pub const LIST_MAX: usize = 100_000;
/// Keys in each object of an event that the server reads (the event, `trigger`, `by`, `context`, `request`, `diff`).
pub const OBJECT_KEYS_MAX: usize = 1_000;
/// Seconds that an event's time may lie after its receipt: a day, which covers a wrong time zone. The log orders an event
/// from further ahead by its receipt.
pub const FUTURE_SECONDS_MAX: i64 = 24 * 60 * 60;

/// Keys in a stored event at most, including those that the server adds: what was absent, and what it knows itself.
pub const STORED_KEYS_MAX: usize = OBJECT_KEYS_MAX + 8;

/// What an event must keep to.
#[derive(Debug, Clone, Copy)]
pub struct EventLimits {
    /// Bytes of one event, as sent.
    pub event_bytes_max: usize,
    /// Levels of nesting.
    pub json_depth_max: usize,
    /// Seconds that an event's time may lie after its receipt before the log orders the event by its receipt.
    pub future_seconds_max: i64,
}

impl EventLimits {
    /// Refuses an event of more bytes than one may have.
    pub fn check_bytes(&self, bytes: usize) -> Result<(), FieldError> {
        if bytes <= self.event_bytes_max {
            return Ok(());
        }
        Err(FieldError::new("", format!("larger than {} bytes", self.event_bytes_max)))
    }
}

impl Default for EventLimits {
    fn default() -> Self {
        Self {
            event_bytes_max: EVENT_BYTES_MAX,
            json_depth_max: JSON_DEPTH_MAX,
            future_seconds_max: FUTURE_SECONDS_MAX,
        }
    }
}

/// What a query must keep to.
#[derive(Debug, Clone, Copy)]
pub struct QueryLimits {
    /// Values of one field, all its parameters together.
    pub filter_values_max: usize,
    /// Events in a list when the request names no limit.
    pub list_default: usize,
    /// Events in a list at most; a larger `limit` is clamped to it.
    pub list_max: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { filter_values_max: FILTER_VALUES_MAX, list_default: LIST_DEFAULT, list_max: LIST_MAX }
    }
}
