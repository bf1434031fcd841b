//! The limits of events and queries. Each default is a constant with its reason.

use crate::model::error::FieldError;

/// Maximum number of events in one request. With bodies of a kilobyte this is 10 MiB: one transaction of about a quarter of a second.
pub const BATCH_EVENTS_MAX: usize = 10_000;
/// Maximum number of bytes of one event as sent. The largest real events seen have about 20 kB. Whole documents before and
/// after a change fit in this.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Maximum nesting of arrays and objects in one event; the event itself is level 1. Deeper input is an attack or a mistake, and
/// many JSON parsers reject input that is only a little deeper.
pub const JSON_DEPTH_MAX: usize = 64;
/// Maximum number of values of one field in a filter.
pub const FILTER_VALUES_MAX: usize = 100;
/// Number of events in a list if the request has no limit: the default of Port's endpoint.
pub const LIST_DEFAULT: usize = 10_000;
/// Maximum number of events in a list. For more events, follow `next`.
pub const LIST_MAX: usize = 100_000;
/// Maximum number of keys in each object of an event that the server reads (the event, `trigger`, `by`, `context`, `request`, `diff`).
pub const OBJECT_KEYS_MAX: usize = 1_000;
/// Maximum number of seconds by which an event's time may be later than its receipt: a day, which covers a wrong time zone. The
/// log orders an event with a later time by its receipt.
pub const FUTURE_SECONDS_MAX: i64 = 24 * 60 * 60;

/// Maximum number of keys in a stored event, including those that the server adds: defaults, and what the server knows.
pub const STORED_KEYS_MAX: usize = OBJECT_KEYS_MAX + 9;

/// The limits of an event.
#[derive(Debug, Clone, Copy)]
pub struct EventLimits {
    /// Maximum number of bytes of one event, as sent.
    pub event_bytes_max: usize,
    /// Maximum nesting of arrays and objects.
    pub json_depth_max: usize,
    /// Maximum number of seconds by which an event's time may be later than its receipt.
    pub future_seconds_max: i64,
}

impl EventLimits {
    /// Rejects an event with too many bytes.
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

/// The limits of a query.
#[derive(Debug, Clone, Copy)]
pub struct QueryLimits {
    /// Maximum number of values of one field, over all its parameters.
    pub filter_values_max: usize,
    /// Number of events in a list if the request has no limit.
    pub list_default: usize,
    /// Maximum number of events in a list. A larger `limit` is clamped.
    pub list_max: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { filter_values_max: FILTER_VALUES_MAX, list_default: LIST_DEFAULT, list_max: LIST_MAX }
    }
}
