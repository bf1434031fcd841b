//! How long events are kept: one rule for all, and others for types of resources.
//!
//! The age of an event counts from its own time (`trigger.at`), whenever it arrived. Every event falls under exactly one
//! rule: that of its resource type, in any case, where there is one, otherwise the general one.

use std::collections::HashSet;

use crate::model::{fold::fold, timestamp::Timestamp};

/// Days that may be set: a hundred years. More is a slip, and far beyond it there is no date to count back to.
pub const DAYS_MAX: u64 = 36_500;
/// Rules for types. Each is looked up in every chunk.
const TYPES_MAX: usize = 100;
/// Bytes of a resource type: the event's own limit.
const TYPE_BYTES_MAX: usize = 128;
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// The general rule's name, and what that of a type begins with: as they stand in the configuration.
const GENERAL: &str = "keep_days";
const OF_TYPES: &str = "resource_types";

/// All rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// Days that events are kept for which no type says otherwise; `None` is for ever.
    general: Option<u32>,
    /// The same by type, as it was written.
    by_type: Vec<(String, Option<u32>)>,
}

impl Rules {
    /// Reads rules; 0 days are for ever. The error names the key that is wrong.
    pub fn parse<'a>(
        keep_days: u64,
        by_type: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> Result<Self, (&'static str, String)> {
        let days = |days: u64| match u32::try_from(days) {
            Ok(days) if u64::from(days) <= DAYS_MAX => Ok((days > 0).then_some(days)),
            _ => Err(format!("must be between 0 (for ever) and {DAYS_MAX}, not {days}")),
        };
        let general = days(keep_days).map_err(|text| (GENERAL, text))?;
        let (mut rules, mut seen) = (Vec::new(), HashSet::new());
        for (name, kept) in by_type {
            let wrong = |text: String| (OF_TYPES, format!("`{name}` {text}"));
            if name.is_empty() || name.len() > TYPE_BYTES_MAX || name.contains('\0') {
                return Err(wrong(format!("is no type of resource: it must be 1 to {TYPE_BYTES_MAX} bytes")));
            }
            if !seen.insert(fold(name).into_owned()) {
                return Err(wrong("stands twice, in another case: types are the same in any case".to_owned()));
            }
            if rules.len() == TYPES_MAX {
                return Err(wrong(format!("is one of more than {TYPES_MAX}")));
            }
            rules.push((name.to_owned(), days(kept).map_err(wrong)?));
        }
        Ok(Self { general, by_type: rules })
    }

    /// Whether everything is kept for ever.
    pub fn keep_everything(&self) -> bool {
        self.general.is_none() && self.by_type.iter().all(|(_, days)| days.is_none())
    }

    /// What is past its time at `now`, by rule.
    pub fn cutoffs(&self, now: Timestamp) -> Vec<Cutoff> {
        let cutoff = |rule: String, days: u32, scope: Scope| Cutoff {
            rule,
            days,
            before: now.plus_seconds(-i64::from(days) * SECONDS_PER_DAY),
            scope,
        };
        let types = || self.by_type.iter().map(|(name, _)| fold(name).into_owned()).collect();
        let general = self.general.map(|days| cutoff(GENERAL.to_owned(), days, Scope::AllBut(types())));
        let by_type = self.by_type.iter().filter_map(|(name, days)| {
            Some(cutoff(format!("{OF_TYPES}.{name}"), (*days)?, Scope::Only(fold(name).into_owned())))
        });
        general.into_iter().chain(by_type).collect()
    }
}

/// What one rule drops at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cutoff {
    /// The rule, as it stands in the configuration: `keep_days` or `resource_types.<type>`.
    pub rule: String,
    /// Days that it keeps events.
    pub days: u32,
    /// Events before this instant are past their time.
    pub before: Timestamp,
    /// Which events it is about.
    pub scope: Scope,
}

/// Resource types, folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Events of this type.
    Only(String),
    /// Events of every other type.
    AllBut(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_type_has_its_own_number_and_zero_is_for_ever() {
        let rules = Rules::parse(30, [("User_Session", 400), ("invoice", 0), ("login", 1)]).unwrap();
        let cutoffs = rules.cutoffs(at("2024-03-01T12:00:00Z"));
        let [general, session, login] = cutoffs.as_slice() else { panic!("{cutoffs:?}") };
        assert_eq!((general.rule.as_str(), general.before), ("keep_days", at("2024-01-31T12:00:00Z")));
        assert_eq!(general.scope, Scope::AllBut(["user_session", "invoice", "login"].map(String::from).into()));
        assert_eq!(
            (session.rule.as_str(), session.before),
            ("resource_types.User_Session", at("2023-01-26T12:00:00Z"))
        );
        assert_eq!(session.scope, Scope::Only("user_session".to_owned()));
        assert_eq!((login.days, login.before), (1, at("2024-02-29T12:00:00Z")));
    }

    #[test]
    fn nothing_set_keeps_everything() {
        assert!(Rules::default().keep_everything() && Rules::parse(0, [("a", 0)]).unwrap().keep_everything());
        assert!(!Rules::parse(0, [("a", 1)]).unwrap().keep_everything());
        assert!(Rules::parse(0, [("a", 0)]).unwrap().cutoffs(Timestamp::now()).is_empty());
    }

    #[test]
    fn a_rule_that_makes_no_sense_is_refused_by_its_key() {
        assert_eq!(Rules::parse(36_501, []).unwrap_err().0, "keep_days");
        for types in [vec![("a", 36_501)], vec![("", 1)], vec![("a", 1), ("A", 2)], vec![("a\0", 1)]] {
            assert_eq!(Rules::parse(1, types).unwrap_err().0, "resource_types");
        }
    }
}
