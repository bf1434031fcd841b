//! The objects of an event.

use super::Field;
use crate::model::printable::shortened;

/// The objects of an event that the server reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// The event itself.
    Event,
    /// `trigger`
    Trigger,
    /// `trigger.by`
    By,
    /// `context`
    Context,
    /// `request`
    Request,
    /// `diff`
    Diff,
}

impl Object {
    /// The dotted path of a member of this object, for errors. A very long key is truncated.
    pub fn path(self, key: &str) -> String {
        let separator = if self == Self::Event { "" } else { "." };
        format!("{}{separator}{}", self.name(), shortened(key, KEY_CHARS_SHOWN))
    }

    /// The object that is the member `key`, if the server reads it.
    pub fn inner(self, key: &str) -> Option<Self> {
        match (self, key) {
            (Self::Event, "trigger") => Some(Self::Trigger),
            (Self::Event, "context") => Some(Self::Context),
            (Self::Event, "request") => Some(Self::Request),
            (Self::Event, "diff") => Some(Self::Diff),
            (Self::Trigger, "by") => Some(Self::By),
            _ => None,
        }
    }

    /// Whether the server reads this member, to filter by it or to validate it.
    pub fn reads(self, key: &str) -> bool {
        let others: &[&str] = match self {
            Self::Event => &["message", "trigger", "context", "request", "diff"],
            Self::Trigger => &["at", "by"],
            Self::By => &["orgId"],
            Self::Context => &[],
            Self::Request => &["userAgent"],
            Self::Diff => &["before", "after"],
        };
        others.contains(&key) || Field::at(self, key).is_some()
    }

    /// The nesting level of the object. The event itself is level 1.
    pub const fn depth(self) -> usize {
        match self {
            Self::Event => 1,
            Self::Trigger | Self::Context | Self::Request | Self::Diff => 2,
            Self::By => 3,
        }
    }

    /// The dotted path of the object; empty for the event.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Event => "",
            Self::Trigger => "trigger",
            Self::By => "trigger.by",
            Self::Context => "context",
            Self::Request => "request",
            Self::Diff => "diff",
        }
    }
}

/// Maximum number of characters of a key in an error.
const KEY_CHARS_SHOWN: usize = 128;
