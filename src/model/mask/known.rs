//! Whether two values that the mask replaces are the same.

use std::borrow::Cow;

use crate::model::{
    json,
    json_tree::{Kind, Node},
    mask::redaction::{self, Redaction},
};

/// What is known of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Known {
    Same,
    /// The sender hid at least one of them.
    Unknown,
    Changed,
}

impl Known {
    /// What is known of two secrets, by whether their texts are equal and by what the sender hid of them.
    fn of_hidden(is_same: bool, hidden: [Option<Redaction>; 2]) -> Self {
        match hidden {
            [None, None] if is_same => Self::Same,
            _ if is_same || hidden.contains(&Some(Redaction::Whole)) => Self::Unknown,
            _ => Self::Changed,
        }
    }

    /// What is known of two secrets that are parts of texts.
    pub(super) fn of_texts(one: &str, other: &str) -> Self {
        Self::of_hidden(one == other, [one, other].map(redaction::of_secret))
    }

    /// What is known of two JSON values. The depth of both trees is bounded, so this recursion is.
    pub(super) fn of(one: &Node<'_>, other: &Node<'_>) -> Self {
        match (&one.kind, &other.kind) {
            _ if is_missing(one) != is_missing(other) => Self::Changed,
            (Kind::Array(one), Kind::Array(other)) if one.len() == other.len() => {
                Self::all(one.iter().zip(other).map(|(one, other)| Self::of(one, other)))
            }
            (Kind::Object(one), Kind::Object(other)) if one.len() == other.len() => {
                Self::all(one.iter().zip(other).map(|((key, one), (other_key, other))| {
                    if key == other_key { Self::of(one, other) } else { Self::Changed }
                }))
            }
            _ => {
                let are_scalars = matches!((&one.kind, &other.kind), (Kind::Scalar, Kind::Scalar));
                Self::of_hidden(are_scalars && one.is_same_scalar(other), [one, other].map(redaction_of))
            }
        }
    }

    /// What is known of a whole whose parts are known.
    pub(super) fn all(parts: impl Iterator<Item = Self>) -> Self {
        parts.max().unwrap_or(Self::Same)
    }

    /// What is known of a secret and a value that is not masked.
    pub(super) fn of_secret_and_plain(secret: &Node<'_>, plain: &Node<'_>) -> Self {
        let is_hidden = redaction_of(secret) == Some(Redaction::Whole) && !is_missing(plain);
        if is_hidden { Self::Unknown } else { Self::Changed }
    }
}

/// Whether there is no value. A missing value is not what a sender hides.
fn is_missing(node: &Node<'_>) -> bool {
    matches!(node.text, "null" | "\"\"")
}

/// The text of a string.
pub(super) fn text_of<'t>(node: &Node<'t>) -> Option<Cow<'t, str>> {
    json::unescape(node.text.strip_prefix('"')?.strip_suffix('"')?.as_bytes())
}

fn redaction_of(node: &Node<'_>) -> Option<Redaction> {
    redaction::of_secret(&text_of(node)?)
}
