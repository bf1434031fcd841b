//! What is known of the hidden values of a diff. Masked values are `[masked]` on both sides, so the event records which of them
//! differed before they were masked. Older events do not. Values that a sender hides itself look equal even if they differ.

use crate::{
    model::mask::{MASKED, is_redaction},
    ui::event_view::EventView,
};

/// Maximum number of bytes of a step of a pointer that is tracked. The pointers in an event are shorter.
const STEP_BYTES_MAX: usize = 512;

/// What a page says of a value that the sender hides itself.
pub(super) const HIDDEN_BY_SENDER: &str = "unknown whether it changed (hidden by the sender)";

/// Whether a masked value changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MaskedChange {
    Changed,
    Unchanged,
    Unknown,
}

impl MaskedChange {
    /// What the page says of a value that looks equal.
    pub(super) const fn note(self) -> &'static str {
        match self {
            Self::Changed => "changed (masked)",
            Self::Unchanged => "unchanged (masked)",
            Self::Unknown => "unknown whether it changed (masked)",
        }
    }

    /// What the page says of the masked part of a value whose other parts changed.
    pub(super) const fn note_of_part(self) -> &'static str {
        match self {
            Self::Changed => "the masked part changed",
            Self::Unchanged => "the masked part is unchanged",
            Self::Unknown => "unknown whether the masked part changed",
        }
    }
}

/// The masked values of a diff.
#[derive(Debug, Default)]
pub(in crate::ui) struct MaskedValues {
    /// JSON pointers to the values within `before` and `after`, relative to each. A pointer to an enclosing value means
    /// masked values in it.
    sides: [Vec<String>; 2],
    /// Relative pointers to the values that changed; `None` if that was not recorded.
    changed: Option<Vec<String>>,
    /// Relative pointers to the values of which it is unknown, or to enclosing values.
    unknown: Vec<String>,
}

impl MaskedValues {
    pub(in crate::ui) fn of(event: &EventView) -> Self {
        let within = |side: &str| -> Vec<String> {
            let relative = |pointer: &String| match pointer.strip_prefix("/diff") {
                None if pointer.is_empty() => Some(String::new()),
                Some("") => Some(String::new()),
                Some(rest) => rest.strip_prefix(side).filter(|rest| is_step(rest)).map(str::to_owned),
                None => None,
            };
            event.masked.iter().filter_map(relative).collect()
        };
        Self {
            sides: [within("/before"), within("/after")],
            changed: event.masked_changed.clone(),
            unknown: event.masked_unknown.clone(),
        }
    }

    /// Whether no value is masked.
    pub(super) fn are_none(&self) -> bool {
        self.sides.iter().all(Vec::is_empty)
    }

    /// Whether a masked value may be at or below a place.
    pub(super) fn may_touch(&self, place: &Pointers) -> bool {
        self.sides.iter().zip(&place.0).any(|(masked, pointer)| {
            masked.iter().any(|masked| is_within(masked, pointer) || is_within(pointer, masked))
        })
    }

    /// Whether the value at a place, as stored, is masked on one of the sides.
    pub(super) fn holds(&self, place: &Pointers, side: usize, value: &str) -> bool {
        let pointer = &place.0[side];
        self.sides[side]
            .iter()
            .any(|masked| masked == pointer || (is_within(pointer, masked) && value.contains(MASKED)))
    }

    /// Whether a masked value changed that both sides have. The event has the pointers of such values in `after`.
    pub(super) fn change(&self, place: &Pointers) -> MaskedChange {
        let [_, after] = &place.0;
        let Some(changed) = &self.changed else {
            return MaskedChange::Unknown;
        };
        if changed.contains(after) {
            MaskedChange::Changed
        } else if self.unknown.iter().any(|unknown| is_within(after, unknown)) {
            MaskedChange::Unknown
        } else {
            MaskedChange::Unchanged
        }
    }
}

/// Whether a JSON text, without escapes that are not needed, holds a string that the sender wrote in place of a value.
pub(super) fn holds_redaction(json: &str) -> bool {
    // Every other part between quotation marks is a string. An escaped mark shifts this, which at most costs a closer look.
    json.split('"').any(is_redaction)
}

/// The JSON pointers (RFC 6901) to a value before and after, relative to `diff.before` and `diff.after`.
#[derive(Debug, Clone, Default)]
pub(super) struct Pointers([String; 2]);

impl Pointers {
    /// The pointers to a member.
    pub(super) fn member(&self, key: &str) -> Self {
        let step = key.replace('~', "~0").replace('/', "~1");
        self.with(&step, &step)
    }

    /// The pointers to an element, which may have another index on each side.
    pub(super) fn element(&self, [before, after]: [usize; 2]) -> Self {
        self.with(&before.to_string(), &after.to_string())
    }

    fn with(&self, before: &str, after: &str) -> Self {
        let [mut one, mut other] = self.0.clone();
        for (pointer, step) in [(&mut one, before), (&mut other, after)] {
            pointer.push('/');
            // The step `~` is in no valid pointer.
            pointer.push_str(if step.len() <= STEP_BYTES_MAX { step } else { "~" });
        }
        Self([one, other])
    }
}

/// Whether `pointer` points to a value in the one at `outer`, or to that one.
fn is_within(pointer: &str, outer: &str) -> bool {
    pointer.strip_prefix(outer).is_some_and(is_step)
}

fn is_step(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}
