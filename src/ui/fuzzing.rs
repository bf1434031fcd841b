//! Feeds arbitrary texts to the diff and to the pages' parser of events.
//!
//! For tests and fuzzers only.

#![allow(clippy::missing_panics_doc, reason = "a check that fails is what a fuzzer looks for")]

use serde_json::value::RawValue;

use crate::ui::{
    event::{Diff, MaskedValues},
    event_view::EventView,
};

/// Maximum number of lines of a comparison: the listed ones and the equal ones that can be unfolded.
const LINES_MAX: usize = 2_000;
/// Maximum number of bytes of all lines together: their budget, and a few words of each line beyond it.
const SHOWN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Compares two JSON texts in both directions, and each with a missing value.
pub fn compare(before: &str, after: &str) {
    let raw = |text: &str| serde_json::from_str::<Box<RawValue>>(text).ok();
    let (before, after) = (raw(before), raw(after));
    for (before, after) in [
        (before.as_deref(), after.as_deref()),
        (after.as_deref(), before.as_deref()),
        (before.as_deref(), None),
        (None, after.as_deref()),
        (before.as_deref(), before.as_deref()),
    ] {
        let diff = Diff::of(before, after, MaskedValues::default());
        assert!(diff.lines.len() + diff.equal.len() <= LINES_MAX);
        let shown = diff.lines.iter().chain(&diff.equal).flat_map(|line| [&line.before, &line.after]);
        let bytes: usize = shown.flatten().map(|shown| shown.text().len()).sum();
        assert!(bytes <= SHOWN_BYTES_MAX, "{bytes}");
        assert!(!diff.summary().is_empty() || (before.is_none() && after.is_none()));
    }
}

/// Parses a text as a stored event, as every page does.
pub fn read_entry(body: &str) {
    let _ = EventView::read(body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,40}".prop_map(Into::into),
            "[a-c .\"]{0,6}".prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 60, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                prop::collection::vec((prop_oneof!["[a-c]", "id", ".{0,5}"], inner), 0..8)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_two_values_are_compared(before in value(), after in value(), text in ".{0,80}") {
            compare(&before.to_string(), &after.to_string());
            compare(&text, &before.to_string());
            read_entry(&text);
            read_entry(&serde_json::json!({ "diff": { "before": before }, "trigger": after, "context": text }).to_string());
        }
    }
}
